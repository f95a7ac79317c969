#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * A network as every engine sees it: a short list of layers in execution order with everything foldable folded (batch
 * norm, scales, constants) and everything fusable fused (bias, residual add, activation into the convolution). Made
 * once by lowering an ONNX file; immutable afterwards, so any number of engines and threads may read it at once.
 *
 * Sizes: the input is n x 3 x h x w with h and w multiples of pd_net_multiple(); all shapes follow from them
 * (pd_net_shapes).
 * Weights are fp32, host memory, owned by the net.
 */
#include "core/err.h"
#include "core/letterbox.h"
#include "core/net/act.h"
#include "core/skeleton.h"

#define PD_LAYER_INPUTS_MAX 32
#define PD_NET_LAYERS_MAX 4096
#define PD_NAME_MAX 96

enum pd_layer_kind {
    PD_LAYER_CONV,     /* dense, grouped or depthwise convolution (+ bias) (+ residual) (+ activation) */
    PD_LAYER_DECONV,   /* transposed convolution (+ bias) (+ activation); weights (ci, co/groups, kh, kw) */
    PD_LAYER_MAXPOOL,  /* padding counts as -inf */
    PD_LAYER_AVGPOOL,  /* count_include_pad tells what padding counts as */
    PD_LAYER_GAVGPOOL, /* global average: h = w = 1 */
    PD_LAYER_FC,       /* dense layer on c*h*w features, weights (co, ci*h*w) for a fixed input shape (+ activation) */
    PD_LAYER_ADD,      /* in[0] + in[1] (+ activation), same shape */
    PD_LAYER_MUL,      /* in[0] * in[1] (+ activation), same shape, or in[1] with h = w = 1 (channel attention) */
    PD_LAYER_CONCAT,   /* along channels */
    PD_LAYER_SLICE,    /* channels slice_from .. slice_from + out channels */
    PD_LAYER_RESIZE,   /* to (h * scale_y, w * scale_x): nearest (floor), or bilinear (half-pixel, edges clamped) */
    PD_LAYER_AFFINE,   /* per-channel x * weight[c] + bias[c] (+ activation) that could not be folded */
    PD_LAYER_ACT,      /* activation alone */
    PD_LAYER_KINDS
};

struct pd_layer {
    enum pd_layer_kind kind;
    char name[PD_NAME_MAX]; /* of the node it came from */
    int stage;              /* 0: features, 1..: OpenPose stage; the grouping that `posed bench` prints */
    int n_in;
    int in[PD_LAYER_INPUTS_MAX]; /* tensor ids */
    int out;                     /* tensor id; each tensor is written by exactly one layer */

    /* convolution, pooling */
    int kh, kw, stride_y, stride_x, dilation_y, dilation_x, groups;
    int pad_top, pad_left, pad_bottom, pad_right;
    int out_pad_y, out_pad_x; /* DECONV */
    bool ceil_mode, count_include_pad;
    int residual;             /* CONV: tensor added after the bias, before the activation; -1: none */

    /* everything with weights; (co, ci/groups, kh, kw) for CONV */
    const float *weight, *bias; /* bias may be NULL */
    size_t n_weight;            /* floats in weight */

    enum pd_act act;
    float alpha, beta;
    const float *slope;
    int n_slopes;

    int slice_from;         /* SLICE */
    int scale_y, scale_x;   /* RESIZE */
    bool bilinear;
};

struct pd_tensor {
    char name[PD_NAME_MAX];
    int channels;
    int producer; /* layer index; -1: the network's input */
};

struct pd_net_meta {
    char name[PD_NAME_MAX];      /* "openpose-coco", or the file's name without folder and suffix */
    char licence[128];           /* as the file says, "" when it says nothing */
    bool non_commercial;         /* the licence forbids commercial use */
    const struct pd_skeleton *skeleton; /* NULL: not a pose network (a classifier for `posed bench`) */
    struct pd_limb limbs[PD_LIMBS_MAX]; /* the skeleton's limbs with this network's own PAF channels */
    struct pd_normalise input;   /* hoisted out of the graph where the graph began with it */
    int stride;                  /* input pixels per map sample, a power of two, 1..64 */
    int multiple;                /* what the input's sides must be multiples of, see pd_net_multiple() */
    float offset;                /* input pixel of map sample 0; (stride - 1) / 2 unless the file says otherwise */
    char source_sha256[65];      /* of the file an import read, "" otherwise */
};

struct pd_net {
    struct pd_net_meta meta;
    int n_tensors, n_layers;
    struct pd_tensor *tensors;
    struct pd_layer *layers;
    int input;      /* tensor id, 3 channels */
    int heat, paf;  /* tensor ids of the two outputs; a classifier has heat only, and paf is -1 */
    char file_sha256[65];
    void *storage;  /* owner of all weights; private */
};

struct pd_shape {
    int c, h, w;
};

/* Sides of the input are multiples of this: of the stride, and of every sampling inside, since a network that
 * goes down to 1/32 and up again has maps that fit the picture only then (at most 256, as far as that goes). */
static inline int pd_net_multiple(const struct pd_net *net)
{
    return PD_MAX(PD_MAX(net->meta.multiple, net->meta.stride), 1);
}

/* Shapes of all tensors for one input size: fills @shapes[n_tensors]. -EINVAL with a line in @err where the size does
 * not go through (too small, not a multiple of the stride, different sizes meeting in an add or concat). */
int pd_net_shapes(const struct pd_net *net, int h, int w, struct pd_shape *shapes, struct pd_err *err);

/* Multiply-adds of a layer for one frame; shapes as filled by pd_net_shapes. */
double pd_layer_macs(const struct pd_net *net, const struct pd_layer *layer, const struct pd_shape *shapes);

/* Parameters (weights, biases, slopes) of the whole network. */
size_t pd_net_parameters(const struct pd_net *net);

const char *pd_layer_kind_name(enum pd_layer_kind kind);
const char *pd_act_name(enum pd_act act);

void pd_net_destroy(struct pd_net *net); /* NULL is fine */

/* A network in which convolutions that read the same tensor in the same way (the beginnings of an OpenPose stage's two
 * branches) are one, followed by a slice for each: for engines that take slices as views. Tensor ids of @net stay, new
 * ones come after them. The result views @net's weights, so @net must outlive it. 0 or -ENOMEM. */
int pd_net_merge_siblings(const struct pd_net *net, struct pd_net **ret_net);

/* ---- where networks come from ---- */

/* Read, check and lower an ONNX file of the OpenPose family. Nothing in the file is trusted: sizes are checked before
 * use, memory is bounded by the file's own size times a small factor. Errors name file, node and operator. */
int pd_net_load(const char *path, struct pd_net **ret_net, struct pd_err *err);
int pd_net_load_memory(const void *data, size_t size, const char *name, struct pd_net **ret_net, struct pd_err *err);

/* A network of a known shape with random weights (He-scaled, reproducible from @seed), written as an ONNX file with our
 * metadata. Names: pd_net_random_name(i) until NULL: "openpose-coco", "openpose-mpi", "vgg19", "tiny" for tests, ... */
int pd_net_random_write(const char *kind, uint64_t seed, const char *path, struct pd_err *err);
const char *pd_net_random_name(int i);
