#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of the cuDNN engine, from the bottom up:
 *   device    one GPU: streams, cuDNN handle, element type, the remembered choices
 *   weights   device copies of a layer's parameters, in the layouts that the kernels want
 *   memory    where each tensor lives: channel slices of shared buffers instead of concatenations; one arena
 *   step      one layer (or two that run as one) for one batch size: candidates, timing, running
 *   plan      all layers for one batch size, as a CUDA graph
 *   size      a network's memory and plans for one input size
 * One thread at a time, except where said otherwise.
 */
#include <cuda_runtime.h>
#include <cudnn.h>

#include "core/engine/cudnn/conv_cudnn.h"
#include "core/engine/cudnn/conv_sm90.h"
#include "core/engine/cudnn/kernels.h"
#include "core/engine/cudnn/plugin.h"
#include "core/engine/engine.h"

/* ---- device ---- */

struct pd_gpu_choices;

struct pd_gpu {
    const struct pd_gpu_host *host;
    int device, sms, capability; /* capability: 90 for 9.0 */
    char name[256], version[64];
    enum pd_precision precision;
    enum pd_elem elem;
    enum pd_cudnn_math math;
    size_t elem_bytes;
    size_t memory_bytes; /* that the device has */
    cudaStream_t compute, upload, download;
    cudnnHandle_t cudnn; /* on the compute stream */
    void *workspace;     /* shared by all cuDNN plans: they run one after another */
    size_t workspace_bytes;
    size_t allocated;    /* bytes taken through pd_gpu_alloc */
    size_t free_at_open; /* bytes; 0: not known */
    struct pd_gpu_choices *choices;
};

/* 0, or a negative errno with "what: CUDA's own words" in @err. -ENODEV for errors that poison the context; any other
 * is over with this, and CUDA no longer tells of it. */
int pd_gpu_check(int cuda_error, const char *what, struct pd_err *err);
int pd_gpu_open(const struct pd_gpu_host *host, int device, enum pd_precision precision, const char *cache_dir,
                struct pd_gpu **ret_gpu, struct pd_err *err);
void pd_gpu_close(struct pd_gpu *gpu);
/* Bytes of the device's memory taken since it was opened. */
size_t pd_gpu_taken(const struct pd_gpu *gpu);
int pd_gpu_alloc(struct pd_gpu *gpu, size_t bytes, void **ret, struct pd_err *err);
/* Copy plain memory to the device before anything later on the compute stream; @what: for the error. */
int pd_gpu_copy_in(struct pd_gpu *gpu, void *to, const void *from, size_t bytes, const char *what, struct pd_err *err);
void pd_gpu_free(struct pd_gpu *gpu, void *p, size_t bytes);
/* Make the shared workspace at least this large. Invalidates graphs captured before. */
int pd_gpu_reserve_workspace(struct pd_gpu *gpu, size_t bytes, struct pd_err *err);
/* Make it no larger than this, where there is room for the smaller one beside it. Invalidates graphs as well. */
void pd_gpu_trim_workspace(struct pd_gpu *gpu, size_t bytes);

/* ---- choices: what was measured to be best, remembered across starts ---- */

/* Shared by the GPUs of one kind, any thread. Never fails: without a folder, or with an unreadable file, nothing is
 * remembered. */
struct pd_gpu_choices *pd_gpu_choices_open(const char *cache_dir, const char *device, const char *version);
void pd_gpu_choices_close(struct pd_gpu_choices *choices); /* saves what is new */
/* Write what is new, by rename. A negative errno when that cannot be: a daemon works as well without, only the next
 * start takes longer. */
int pd_gpu_choices_save(struct pd_gpu_choices *choices);
/* False: not measured yet. */
bool pd_gpu_choices_get(const struct pd_gpu_choices *choices, const char *key, char *value, size_t size);
void pd_gpu_choices_put(struct pd_gpu_choices *choices, const char *key, const char *value);

/* ---- weights ---- */

enum pd_gpu_layout { PD_GPU_PLAIN, PD_GPU_DEPTHWISE, PD_GPU_STEM, PD_GPU_SM90, PD_GPU_FILTER, PD_GPU_LAYOUTS };

struct pd_gpu_weights {
    void *weight[PD_GPU_LAYOUTS]; /* made when first asked for */
    size_t bytes[PD_GPU_LAYOUTS];
    float *bias, *slope;
};

/* The layer's weights in @layout, uploaded when they are not there yet. @shape: of the layer as a convolution. */
int pd_gpu_weights_get(struct pd_gpu *gpu, const struct pd_net *net, const struct pd_layer *layer,
                       const struct pd_conv_shape *shape, struct pd_gpu_weights *w, enum pd_gpu_layout layout,
                       const void **ret, struct pd_err *err);
int pd_gpu_weights_init(struct pd_gpu *gpu, const struct pd_layer *layer, int co, struct pd_gpu_weights *w,
                        struct pd_err *err); /* bias and slopes */
void pd_gpu_weights_finish(struct pd_gpu *gpu, struct pd_gpu_weights *w);

/* ---- memory ---- */

struct pd_gpu_place {
    int root;    /* tensor whose buffer it lives in */
    int channel; /* first channel there */
};

struct pd_gpu_memory {
    int width, height, max_batch;
    struct pd_shape *shapes;     /* by tensor */
    struct pd_gpu_place *places; /* by tensor */
    size_t *offsets;             /* by root tensor, bytes into the arena */
    int *strides;                /* by root tensor, channels from a pixel to the next */
    int *levels;                 /* by layer: layers of one level do not depend on each other */
    int *order;                  /* layers by level */
    int n_levels;
    size_t arena_bytes;
    void *arena;
};

int pd_gpu_memory_create(struct pd_gpu *gpu, const struct pd_net *net, int width, int height, int max_batch,
                         struct pd_gpu_memory **ret_memory, struct pd_err *err);
void pd_gpu_memory_destroy(struct pd_gpu *gpu, struct pd_gpu_memory *memory);
/* The tensor as a view for @n images. */
struct pd_view pd_gpu_view(const struct pd_gpu *gpu, const struct pd_gpu_memory *memory, int tensor, int n);
/* First channel of part @part of CONCAT @layer in its buffer. */
int pd_gpu_part_channel(const struct pd_net *net, const struct pd_layer *layer, int part);
/* Where @tensor's channels do not lie in their own order: map[channel in memory] = channel; returns how many, 0 when
 * they lie in order (map is then not written, or holds the identity). */
int pd_gpu_channel_map(const struct pd_net *net, int tensor, int *map);
/* Whether part @i of CONCAT @layer already lies where it belongs. */
bool pd_gpu_in_place(const struct pd_net *net, const struct pd_gpu_memory *memory, const struct pd_layer *layer, int i);

/* ---- layer ---- */

enum pd_gpu_method { PD_GPU_NOTHING, PD_GPU_SIMPLE, PD_GPU_BY_SM90, PD_GPU_BY_CUDNN,
                     PD_GPU_BY_NCHW, /* cuDNN between two transposes, which lie before its own part of the workspace */
                     PD_GPU_BY_STEM, PD_GPU_BY_DEPTHWISE, PD_GPU_BY_DIRECT };

struct pd_gpu_step {
    enum pd_gpu_method method;
    int layer[2], n_layers; /* two: a pair in one launch */
    struct pd_conv_shape shape;
    struct pd_conv_epilogue epilogue;
    struct pd_view in, out;
    const void *weight;
    struct pd_sm90_launch sm90;
    int choice; /* of pd_sm90_choices() */
    struct pd_cudnn_plan *plan;
    bool act_apart; /* the convolution ends without its activation, a pass after it applies it */
    bool bare;      /* it ends without anything: the pass does bias and residual as well */
    char algorithm[64];
};

/* What a layer of the plan that is being made got: the next one of its kind gets the same without looking. */
struct pd_gpu_twin {
    char key[256], value[96];
    struct pd_conv_epilogue epilogue;
    struct pd_cudnn_plan *plan; /* the step's, or NULL */
};

struct pd_gpu_net {
    struct pd_gpu *gpu;
    const struct pd_net *net;
    struct pd_gpu_memory *memory;
    struct pd_gpu_weights *weights; /* by layer */
    struct pd_gpu_twin *twins;      /* one a layer, while a plan is being made; else NULL */
    int n_twins;
    bool guess; /* what was never timed is not timed now either: the first candidate that runs is taken */
};

/* The layer as a convolution over its input's shape; false when it is not one. */
bool pd_gpu_conv_shape(const struct pd_gpu_net *g, int layer, int n, struct pd_conv_shape *ret_shape);
/* Choose how @layer runs for @n images: from memory, by timing the candidates, or (guess) the likeliest. */
int pd_gpu_step_choose(struct pd_gpu_net *g, int layer, int n, struct pd_gpu_step *ret_step, struct pd_err *err);
/* Replace two chosen steps of equal geometry by one launch where that is faster: *a becomes it, *b NOTHING. */
int pd_gpu_step_pair(struct pd_gpu_net *g, int n, struct pd_gpu_step *a, struct pd_gpu_step *b, struct pd_err *err);
int pd_gpu_step_run(struct pd_gpu_net *g, const struct pd_gpu_step *step, int n, cudaStream_t stream);
void pd_gpu_step_finish(struct pd_gpu_step *step);
/* Bytes of workspace that it runs in. */
size_t pd_gpu_step_workspace(const struct pd_gpu_step *step);
/* Mean time of @repeats runs, milliseconds; negative errno on failure. */
int pd_gpu_step_time(struct pd_gpu_net *g, const struct pd_gpu_step *step, int n, int repeats, float *ret_ms);
/* Whether it can be part of a CUDA graph, which is not promised of all that cuDNN does. It must have run before, as the
 * first run may load code. */
bool pd_gpu_step_captures(struct pd_gpu_net *g, const struct pd_gpu_step *step, int n);

/* ---- plan ---- */

struct pd_gpu_plan {
    int n;
    int n_steps;
    struct pd_gpu_step *steps; /* in order */
    cudaGraphExec_t graph;     /* NULL: capturing failed */
};

int pd_gpu_plan_create(struct pd_gpu_net *g, int n, struct pd_gpu_plan **ret_plan, struct pd_err *err);
/* After a failure it has no graph, and may be captured again. */
int pd_gpu_plan_capture(struct pd_gpu_net *g, struct pd_gpu_plan *plan, struct pd_err *err);
int pd_gpu_plan_run(struct pd_gpu_net *g, struct pd_gpu_plan *plan, struct pd_err *err);
void pd_gpu_plan_destroy(struct pd_gpu_plan *plan);
