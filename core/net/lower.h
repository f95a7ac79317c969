#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Lowering: an indexed ONNX graph becomes a list of layers. Private to core/net. One thread.
 *
 *   lower.c       walks the nodes in execution order and hands each to the function of its operator
 *   op_*.c        one function an operator: checks everything it reads, appends plain layers
 *   swish.c       x * sigmoid(x) and x * hardsigmoid(x), spelt out by exporters, into one activation
 *   fold.c        per-channel scales into the weights beside them, or into the input normalisation
 *   fuse.c        residual adds and activations into the layer before
 *   uses.c        who reads what; drops what nobody reads
 *   finish.c      numbers what is left, moves the weights into one block, makes the struct pd_net
 *   outputs.c     which outputs are the confidence maps and the part affinity fields; meta.c: the metadata
 */
#include "core/net/net.h"
#include "core/net/onnx.h"

#define PD_LOWER_LAYERS_MAX (4 * PD_NET_LAYERS_MAX) /* before folding and fusing */
#define PD_LOWER_SHAPE_MAX 8

enum pd_value_kind { PD_VALUE_UNSET, PD_VALUE_CONST, PD_VALUE_TENSOR, PD_VALUE_SHAPE };

/* What a name of the graph stands for once its node was lowered. */
struct pd_value {
    enum pd_value_kind kind;
    struct pd_const k; /* CONST */
    int tensor;        /* TENSOR */
    bool flat;         /* TENSOR: seen as n x (c*h*w) */
    int pad[4];        /* TENSOR: zeros that the next convolution adds: top, left, bottom, right */
    /* SHAPE: a short vector computed from a tensor's shape. v[i] is known, or is axis[i] of some tensor */
    int n_dims, n; /* n_dims 0: a scalar; 2: a matrix, row after row */
    int columns;   /* of a matrix, not 0 */
    int64_t v[PD_LOWER_SHAPE_MAX];
    int axis[PD_LOWER_SHAPE_MAX]; /* -1: known */
};

/* What lowering knows of a tensor beside struct pd_tensor. */
struct pd_tensor_info {
    bool pooled;             /* h = w = 1 whatever the input */
    double scale_y, scale_x; /* input pixels per sample */
    int more_y, more_x;      /* samples beyond the input's side / scale: windows without padding take some, say */
};

/* Far above any side that pd_net_shapes() lets pass; windows add to it without overflow. */
#define PD_LOWER_MORE_MAX (1 << 24)
static inline int pd_lower_more(int64_t more)
{
    return (int)PD_CLAMP(more, -PD_LOWER_MORE_MAX, PD_LOWER_MORE_MAX);
}

struct pd_lower {
    const struct pd_onnx *onnx;
    struct pd_arena *arena;
    struct pd_err *err;
    const struct pd_onnx_node *node; /* being lowered */
    struct pd_value *values;
    bool *is_read; /* per value: by a node */

    struct pd_layer *layers;
    int n_layers, layers_cap;
    struct pd_tensor *tensors;
    struct pd_tensor_info *info;
    int n_tensors, tensors_cap;
    bool *weight_owned; /* per layer: weights are a private copy, so folding may write to them */

    int input, heat, paf;
    double same_scale; /* coarsest sampling at which an auto_pad of SAME relied on even division */
    struct pd_net_meta meta;
};

/* ---- lower.c: for the op_*.c ---- */

/* Leave "FILE: node 'NAME' (OP): ..." and return @code. */
int pd_lower_fail(struct pd_lower *lw, int code, const char *fmt, ...) PD_PRINTF(3, 4);
int pd_lower_no_memory(struct pd_lower *lw);

/* The k-th input; NULL when it is left out. */
const struct pd_value *pd_lower_input(const struct pd_lower *lw, int k);
/* The k-th input as a plain image tensor (no pending padding, not flat). */
int pd_lower_image(struct pd_lower *lw, int k, int *ret_tensor);
/* The k-th input as a tensor, flat or not, without pending padding. */
int pd_lower_any_tensor(struct pd_lower *lw, int k, int *ret_tensor);
/* The k-th input as a constant of floats; @n_dims -1: any. */
int pd_lower_floats(struct pd_lower *lw, int k, int n_dims, struct pd_const *ret_const);

/* Append a layer reading @in (an optional second one @in2, else -1), writing a new tensor. -1 with the error set. */
int pd_lower_layer(struct pd_lower *lw, enum pd_layer_kind kind, int in, int in2, int channels);
/* A per-channel x * w + b as a layer; @weight and @bias are arena arrays of the tensor's channel count. */
int pd_lower_affine(struct pd_lower *lw, int in, const float *weight, const float *bias);
/* Output @k of the node is @tensor, which keeps the view (flat or not) of @like (may be NULL). */
int pd_lower_set(struct pd_lower *lw, int k, int tensor, const struct pd_value *like);
int pd_lower_set_value(struct pd_lower *lw, int k, const struct pd_value *value);
/* Output 0 is the tensor that layer @layer writes (a negative @layer is passed through as an error). */
int pd_lower_set_layer(struct pd_lower *lw, int layer, const struct pd_value *like);

/* ---- attr.c ---- */
const Onnx__AttributeProto *pd_attr(const struct pd_onnx_node *node, const char *name);
/* Whether its value is a number of that kind, zero included. */
bool pd_attr_has_int(const Onnx__AttributeProto *attr);
bool pd_attr_has_float(const Onnx__AttributeProto *attr);
int64_t pd_attr_int(const struct pd_onnx_node *node, const char *name, int64_t fallback);
float pd_attr_float(const struct pd_onnx_node *node, const char *name, float fallback);
/* True when the string attribute is there and equal; a missing one compares equal to @fallback. */
bool pd_attr_is(const struct pd_onnx_node *node, const char *name, const char *fallback, const char *text);

/* ---- operators ---- */
typedef int pd_op_fn(struct pd_lower *lw);
pd_op_fn pd_op_conv, pd_op_conv_transpose, pd_op_max_pool, pd_op_average_pool, pd_op_global_pool, pd_op_reduce_mean,
    pd_op_pad;
pd_op_fn pd_op_gemm, pd_op_matmul, pd_op_flatten, pd_op_reshape;
pd_op_fn pd_op_arithmetic, pd_op_batch_norm;
pd_op_fn pd_op_activation, pd_op_clip, pd_op_prelu, pd_op_hard_sigmoid;
pd_op_fn pd_op_concat, pd_op_split, pd_op_slice, pd_op_resize;
pd_op_fn pd_op_identity, pd_op_constant, pd_op_constant_of_shape, pd_op_shape, pd_op_gather, pd_op_squeeze, pd_op_cast,
    pd_op_transpose;

/* op_shape.c: a short vector of integers, from a constant or a shape computation. False when it is neither. */
bool pd_lower_vector(const struct pd_value *value, struct pd_value *ret_vector);
/* op_shape.c: Concat and Slice of such vectors. */
int pd_lower_concat_vectors(struct pd_lower *lw);
/* Integers, by the node's operator: what exporters leave of sizes and channel counts. */
int pd_lower_compute(struct pd_lower *lw, const struct pd_value *a, const struct pd_value *b);
int pd_lower_slice_vector(struct pd_lower *lw, const struct pd_value *vector, int64_t start, int64_t end);

/* op_matrix.c: @m is an integer matrix, PD_VALUE_SHAPE with n_dims 2; @data one or a vector. */
int pd_lower_reshape_integers(struct pd_lower *lw, const struct pd_value *data, const struct pd_value *shape);
int pd_lower_turn_upside_down(struct pd_lower *lw, const struct pd_value *m);
int pd_lower_transpose_integers(struct pd_lower *lw, const struct pd_value *m);

/* ---- passes, in this order ---- */
int pd_lower_outputs(struct pd_lower *lw); /* sets heat, paf, and skeleton */
int pd_lower_meta(struct pd_lower *lw);
int pd_lower_swish(struct pd_lower *lw);
int pd_lower_fold(struct pd_lower *lw);
int pd_lower_fuse(struct pd_lower *lw);
int pd_lower_finish(struct pd_lower *lw, struct pd_net **ret_net);

/* Drops layers whose output nobody reads, and then those that only they read. */
int pd_lower_prune(struct pd_lower *lw);

/* How often each tensor is read (the network's outputs count as readers), and the last layer that reads it. Layers
 * whose out is -1 are gone. */
struct pd_uses {
    int *count, *reader, *producer; /* per tensor; arena */
};
int pd_lower_uses(struct pd_lower *lw, struct pd_uses *ret_uses);
/* Reuses the arrays of an earlier call. */
void pd_lower_recount(const struct pd_lower *lw, struct pd_uses *uses);
