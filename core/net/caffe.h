#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Caffe's network files. Private to core/net. One thread.
 *
 *   caffe.c         parses within a memory budget; both generations of layer messages become struct pd_caffe_layer
 *   caffe_graph.c   names resolved to values, what only training needs left out
 *   caffe_outputs.c which values are the outputs
 *   caffe_write.c   walks the layers that the outputs need and hands each to the function of its type
 *   caffe_conv.c    layers with windows, as ONNX nodes; caffe_plain.c: all others
 *
 * Layers are in execution order in the file: a layer reads what an earlier one wrote last under that name, so there
 * are no cycles, only inputs that nothing has made yet.
 */
#include "core/err.h"
#include "core/net/arena.h"
#include "core/net/caffe.pb-c.h"
#include "core/net/write.h"

#define PD_CAFFE_NAME 96
#define PD_CAFFE_CHANNELS_MAX (1 << 20)

/* A layer message of either generation. Parameters are NULL when the file leaves them out. */
struct pd_caffe_layer {
    const char *name;
    const char *type; /* as the newer generation calls it: "Convolution" */
    int n_bottom, n_top, n_blobs;
    char **bottom, **top;
    Caffe__BlobProto **blobs;
    const Caffe__BatchNormParameter *batch_norm;
    const Caffe__ConcatParameter *concat;
    const Caffe__ConvolutionParameter *convolution;
    const Caffe__EltwiseParameter *eltwise;
    const Caffe__ELUParameter *elu;
    const Caffe__InnerProductParameter *inner_product;
    const Caffe__PoolingParameter *pooling;
    const Caffe__PowerParameter *power;
    const Caffe__PReLUParameter *prelu;
    const Caffe__ReLUParameter *relu;
    const Caffe__ScaleParameter *scale;
    const Caffe__SliceParameter *slice;

    int *in, *out; /* values read and written */
    bool dropped;  /* belongs to training alone */
    bool needed;   /* for the outputs */
    bool namesake; /* of an earlier layer, which Caffe allows */
};

enum pd_caffe_kind {
    PD_CAFFE_IMAGE,
    PD_CAFFE_COMPUTED,
    PD_CAFFE_LABEL, /* comes with the training data, or depends on what does */
};

struct pd_caffe_value {
    enum pd_caffe_kind kind;
    const char *blob; /* the file's name for it */
    int layer;        /* that writes it; -1: none */
    int readers;
    char name[PD_CAFFE_NAME]; /* in the ONNX file, once written */
    int channels;
    bool flat; /* n x c, without height and width */
};

struct pd_caffe {
    const char *file; /* for messages */
    struct pd_err *err;
    struct pd_arena arena;
    Caffe__NetParameter *proto;
    int n_layers, n_values, image;
    struct pd_caffe_layer *layers;
    struct pd_caffe_value *values;
    int heat, paf; /* values; a classifier, or a network with both in one tensor, has no paf: -1 */
    bool told_both, pafs_first;

    struct pd_onnx_writer *w;
    const struct pd_caffe_layer *layer; /* being written */
};

/* What the caller wants to have as outputs; NULL: not told. */
struct pd_caffe_outputs {
    const char *heatmaps, *pafs, *output;
    bool pafs_first; /* in @output */
};

/* Parse, resolve and find the outputs. Takes over @data. @ret_caffe is to be finished whatever is returned. */
int pd_caffe_read(void *data, size_t size, const char *file, const struct pd_caffe_outputs *told,
                  struct pd_caffe *ret_caffe, struct pd_err *err);
/* Hand the graph to @w: input, nodes, weights, outputs, no metadata. Weights are released as they are written, so that
 * a large network is not held twice. */
int pd_caffe_write(struct pd_caffe *c, struct pd_onnx_writer *w);
void pd_caffe_finish(struct pd_caffe *c);

/* ---- between the files ---- */

int pd_caffe_resolve(struct pd_caffe *c);
int pd_caffe_outputs(struct pd_caffe *c, const struct pd_caffe_outputs *told);
int pd_caffe_no_memory(struct pd_caffe *c);
/* "FILE: layer 'NAME' (TYPE): ..." */
int pd_caffe_fail(struct pd_caffe *c, const struct pd_caffe_layer *l, int code, const char *fmt, ...) PD_PRINTF(4, 5);

/* The layer's only, or first, input and output. */
struct pd_caffe_value *pd_caffe_in(struct pd_caffe *c, int k);
struct pd_caffe_value *pd_caffe_out(struct pd_caffe *c);
/* The same as an image: -ENOTSUP where it was flattened. */
int pd_caffe_image(struct pd_caffe *c, struct pd_caffe_value **ret_in);
/* A node that writes the layer's output from the inputs named. Sets what is known of the output but its channels. */
void pd_caffe_node(struct pd_caffe *c, const char *op, const char *inputs, int channels, bool flat);
/* Blob @k as the constant "OUTPUT.suffix" with the given sizes, which its number of values must fit. */
int pd_caffe_constant(struct pd_caffe *c, int k, const char *suffix, int n_dims, const int64_t *dims);
/* The channels @from .. @to of the tensor @in as the tensor @out. */
void pd_caffe_slice_node(struct pd_caffe *c, const char *in, const char *out, int64_t from, int64_t to);
/* The values of a small blob that stays where it is: @n floats. */
int pd_caffe_values(struct pd_caffe *c, int k, size_t n, const float **ret_values);

typedef int pd_caffe_fn(struct pd_caffe *c);
pd_caffe_fn pd_caffe_convolution, pd_caffe_deconvolution, pd_caffe_pooling;
pd_caffe_fn pd_caffe_relu, pd_caffe_prelu, pd_caffe_elu, pd_caffe_sigmoid, pd_caffe_tanh, pd_caffe_power;
pd_caffe_fn pd_caffe_batch_norm, pd_caffe_scale, pd_caffe_bias, pd_caffe_eltwise, pd_caffe_concat, pd_caffe_slice;
pd_caffe_fn pd_caffe_inner_product, pd_caffe_flatten;
