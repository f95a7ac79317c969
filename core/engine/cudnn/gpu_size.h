#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * The network for one input size: its memory, and a plan for each batch size once it is wanted. The last few sizes are
 * kept. The scheduler's thread.
 */
#include "core/engine/cudnn/gpu.h"
#include "core/engine/cudnn/plugin.h"

#define PD_GPU_SIZES_MAX 4
#define PD_GPU_PLANS_MAX 7   /* batch sizes that have plans */
#define PD_GPU_FLIGHTS_MAX 4 /* batches in flight */

struct pd_gpu_size {
    struct pd_gpu_net net;
    struct pd_gpu_plan *plans[PD_GPU_PLANS_MAX];
    uint64_t used; /* the least recently used one makes room */
};

struct pd_gpu_sizes {
    struct pd_gpu *gpu;             /* not owned */
    const struct pd_net *net;       /* not owned */
    struct pd_gpu_weights *weights; /* by layer, not owned: shared by all sizes */
    int max_batch;
    struct pd_gpu_size *sizes[PD_GPU_SIZES_MAX];
    uint64_t clock;
};

/* Take memory for the largest batch that fits: @max_batch, or half of it, and so on, which @host is told. Sets
 * max_batch. gpu, net and weights are set already. */
int pd_gpu_sizes_take(struct pd_gpu_sizes *z, const struct pd_gpu_host *host, int width, int height, int max_batch,
                      struct pd_err *err);
void pd_gpu_sizes_finish(struct pd_gpu_sizes *z);

/* @expected: this size was announced, so that the time to find its fastest kernels is well spent. */
int pd_gpu_sizes_get(struct pd_gpu_sizes *z, int width, int height, bool expected, struct pd_gpu_size **ret,
                     struct pd_err *err);
/* The plan for at least @n frames, made and captured when it is new. */
int pd_gpu_sizes_plan(struct pd_gpu_sizes *z, struct pd_gpu_size *s, int n, struct pd_gpu_plan **ret,
                      struct pd_err *err);
/* Floats of one frame's @tensor. */
size_t pd_gpu_size_floats(const struct pd_gpu_size *s, int tensor);
