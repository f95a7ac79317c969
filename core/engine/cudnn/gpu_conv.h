#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolutions as steps:
 *   gpu_conv    the ways in which one can run, and whether this one can
 *   gpu_search  which of them are worth a try for a layer, the likeliest first
 *   gpu_choose  the fastest of those, remembered
 *   gpu_pair    two of equal geometry as one launch
 */
#include "core/engine/cudnn/gpu.h"

#define PD_GPU_SM90_TRIED 5
#define PD_GPU_REPEATS 5 /* runs that a time is the mean of */

/* ---- ways ---- */

/* What cuDNN does of a convolution: all of it; or its products alone, which it has kernels for where it has none that
 * end with the rest; or these in NCHW, for which it has the faster ones without tensor cores, so that of fp32 two
 * transposes pay. */
enum pd_gpu_cudnn_way { PD_GPU_FUSED, PD_GPU_BARE, PD_GPU_NCHW, PD_GPU_CUDNN_WAYS };

/* @s becomes the layer for @n images, without a way to run yet. */
void pd_gpu_conv_describe(struct pd_gpu_net *g, int layer, int n, struct pd_gpu_step *s);
/* Bytes by which its tensors miss 16-byte alignment: slices of other tensors may begin anywhere. */
size_t pd_gpu_conv_misalignment(const struct pd_gpu_step *s);
struct pd_sm90_problem pd_gpu_conv_sm90_problem(const struct pd_gpu_step *s);

bool pd_gpu_conv_can_sm90(const struct pd_gpu_net *g, const struct pd_gpu_step *s);
bool pd_gpu_conv_can_cudnn(const struct pd_gpu_net *g, const struct pd_gpu_step *s, enum pd_gpu_cudnn_way way);
bool pd_gpu_conv_can_stem(const struct pd_gpu_net *g, const struct pd_gpu_step *s);
bool pd_gpu_conv_can_depthwise(const struct pd_gpu_step *s);

/* Set a described step up to run in one way. -ENOMEM: there is no room for its weights or its scratch. The step is to
 * be finished in any case. */
int pd_gpu_conv_by_sm90(struct pd_gpu_net *g, struct pd_gpu_step *s, int choice, struct pd_err *err);
int pd_gpu_conv_by_stem(struct pd_gpu_net *g, struct pd_gpu_step *s, struct pd_err *err);
int pd_gpu_conv_by_depthwise(struct pd_gpu_net *g, struct pd_gpu_step *s, struct pd_err *err);
int pd_gpu_conv_by_direct(struct pd_gpu_net *g, struct pd_gpu_step *s, struct pd_err *err);
/* cuDNN in two: what its plans depend on, then one of them, which the step takes over. */
struct pd_cudnn_problem pd_gpu_conv_for_cudnn(const struct pd_gpu_net *g, struct pd_gpu_step *s,
                                              enum pd_gpu_cudnn_way way);
int pd_gpu_conv_by_plan(struct pd_gpu_net *g, struct pd_gpu_step *s, struct pd_cudnn_plan *plan, struct pd_err *err);

/* ---- search ---- */

struct pd_gpu_search {
    struct pd_gpu_net *g;
    int layer, n;
    /* Takes @step over, whether it likes it or not. True: no other is wanted. */
    bool (*offer)(struct pd_gpu_search *search, struct pd_gpu_step *step);
    void *user;     /* of the caller */
    bool ran;       /* set by offer(): there is one that works, so the last resorts may be left out */
    bool no_room;   /* one was passed over because it did not fit into the device's memory */
    bool done;
};

/* Offer the ways to run a layer one after the other. A negative errno for what no other way could mend; what does not
 * fit into memory is passed over, with a line in @err. */
int pd_gpu_search(struct pd_gpu_search *search, struct pd_err *err);

/* ---- choice ---- */

/* What a time depends on, all of it, as text; @problems: 2 for a pair. */
void pd_gpu_choose_key(const struct pd_gpu_net *g, const struct pd_gpu_step *s, int problems, char *key, size_t cap);
