#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * A plan is a network at one input size as a list of steps: oneDNN primitives, and a few copies of ours between them.
 * It is made once; any number of instances (an arena for activations and the memory objects of all steps) can run it at
 * the same time on threads of their own.
 *
 * Layout. Activations are blocked: blocks of 8 or 16 channels, all samples of a block together. A plan holds one frame
 * (n = 1), so any run of whole blocks is contiguous, and a concat is nothing but its inputs written side by side. That
 * needs every tensor to be a whole number of blocks, so we pad them ourselves: logical channel k of a tensor is its
 * physical channel phys[k], physical channels that no logical one uses hold finite values that nobody reads, and
 * weights are spread out accordingly, with zeros.
 */
#include "core/engine/onednn_api.h"

struct pd_dnn_tensor {
    struct pd_shape shape;
    int *phys;    /* shape.c entries, rising */
    int channels; /* physical */
    bool plain;   /* nchw without padding: the network's input */
    dnnl_data_type_t type;
    int parent;   /* tensor in whose memory this one lies, from physical channel parent_at on; -1: its own memory */
    int parent_at;
    bool shared;  /* of a tensor with memory of its own: parts of it belong to several living tensors */
    int first, last; /* layers that write and last read it; last is n_layers for the network's outputs */
    int buffer;   /* of a tensor with memory of its own; -1: the caller's memory */
};

struct pd_dnn_buffer {
    size_t bytes, offset; /* in the arena */
    int first, last;      /* layers between which it is alive */
};

enum pd_dnn_place { PD_DNN_ARENA, PD_DNN_INPUT, PD_DNN_WEIGHTS };

struct pd_dnn_ref {
    enum pd_dnn_place place;
    int buffer;
    size_t offset; /* bytes in the buffer */
    struct pd_dnn_md md;
    dnnl_memory_t weights; /* of the cache */
};

enum pd_dnn_step_kind {
    PD_DNN_PRIMITIVE,
    PD_DNN_COPY,   /* bytes from src to dst */
    PD_DNN_GATHER, /* channels from one tensor's arrangement to another's */
};

struct pd_dnn_channels { /* how the channels of an activation are arranged, for PD_DNN_GATHER */
    int block, n_physical;
    dnnl_data_type_t type;
    const int *phys;
};

struct pd_dnn_step {
    enum pd_dnn_step_kind kind;
    int layer;
    struct pd_dnn_prim prim;
    int n_args;
    int arg[PD_DNN_ARGS_MAX];
    struct pd_dnn_ref ref[PD_DNN_ARGS_MAX]; /* of a copy or gather: src, dst */
    size_t bytes;                           /* COPY */
    struct pd_dnn_channels from, to;        /* GATHER */
    int n_channels, area;
};

struct pd_dnn_weights;

struct pd_dnn_plan {
    struct pd_dnn *dnn;
    const struct pd_net *net;
    struct pd_dnn_weights *weights;
    int width, height, block;
    dnnl_data_type_t type;
    struct pd_dnn_tensor *tensors; /* net->n_tensors */
    int *identity;                 /* 0, 1, 2, ... as long as any tensor has channels */
    int n_buffers, cap_buffers;
    struct pd_dnn_buffer *buffers;
    int n_steps, cap_steps;
    struct pd_dnn_step *steps;
    size_t arena, scratchpad; /* bytes */
};

/* ---- onednn_plan.c ---- */
int pd_dnn_plan_create(struct pd_dnn *dnn, const struct pd_net *net, struct pd_dnn_weights *weights, int width,
                       int height, dnnl_data_type_t type, struct pd_dnn_plan **ret_plan, struct pd_err *err);
void pd_dnn_plan_destroy(struct pd_dnn_plan *plan);
/* A buffer alive from layer @first to layer @last; its index or -ENOMEM. */
int pd_dnn_plan_buffer(struct pd_dnn_plan *plan, size_t bytes, int first, int last);
/* Room for one more step, zeroed; NULL when out of memory. */
struct pd_dnn_step *pd_dnn_plan_step(struct pd_dnn_plan *plan, enum pd_dnn_step_kind kind, int layer);

/* ---- onednn_place.c: where tensors lie ---- */
int pd_dnn_place_tensors(struct pd_dnn_plan *plan, struct pd_err *err);
int pd_dnn_place_arena(struct pd_dnn_plan *plan, struct pd_err *err);
/* The tensor's memory: the tensor that owns it, and the physical channel at which this one begins in it. */
int pd_dnn_root(const struct pd_dnn_plan *plan, int tensor, int *ret_at);
bool pd_dnn_is_depthwise(const struct pd_net *net, const struct pd_layer *layer);

/* ---- onednn_layers.c: the steps of one layer, see onednn_builder.h ---- */
int pd_dnn_add_layer(struct pd_dnn_plan *plan, int layer, struct pd_err *err);

/* ---- onednn_weights.c: weights in the layouts that primitives want, shared by all plans of a network ---- */
enum pd_dnn_weight_kind { PD_DNN_WEIGHT, PD_DNN_BIAS, PD_DNN_SLOPES };
struct pd_dnn_spread { /* how logical weights become physical ones */
    enum pd_dnn_weight_kind kind;
    int groups;             /* as the primitive has them, 1: dense, however the layer is grouped */
    int n_in, n_out;        /* physical channels */
    const int *in, *out;    /* phys of the layer's input and output */
    int c_in, c_out;        /* logical channels */
};
int pd_dnn_weights_create(struct pd_dnn *dnn, int n_layers, struct pd_dnn_weights **ret_weights);
void pd_dnn_weights_destroy(struct pd_dnn_weights *weights);
/* The memory object for @layer's weights, spread and laid out as @md. The cache keeps it. */
int pd_dnn_weights_get(struct pd_dnn_weights *weights, const struct pd_net *net, int layer,
                       const struct pd_dnn_spread *spread, const struct pd_dnn_md *md, dnnl_memory_t *ret_memory,
                       struct pd_err *err);
size_t pd_dnn_weights_bytes(const struct pd_dnn_weights *weights);

/* ---- onednn_run.c ---- */
struct pd_dnn_instance;
int pd_dnn_instance_create(const struct pd_dnn_plan *plan, struct pd_dnn_instance **ret_instance, struct pd_err *err);
void pd_dnn_instance_destroy(struct pd_dnn_instance *instance);
/* One frame. @heat and @paf may be NULL. @step_ns: NULL, or n_steps sums of time to be added to. */
int pd_dnn_instance_run(struct pd_dnn_instance *instance, const float *input, float *heat, float *paf,
                        int64_t *step_ns, struct pd_err *err);
