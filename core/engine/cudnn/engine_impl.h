#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of the cudnn engine share: engine_cudnn.c opens, closes and hands batches over, engine_batches.c is a
 * batch's way over the device, engine_measure.c are the runs that somebody waits for. Only engine_cudnn.c takes the
 * lock.
 */
#include <pthread.h>

#include "core/engine/cudnn/gpu_find.h"
#include "core/engine/cudnn/gpu_size.h"

struct pd_gpu_engine {
    struct pd_gpu *gpu;
    const struct pd_net *net;
    bool maps;                      /* results are downloaded as maps */
    struct pd_gpu_find *find;       /* results are candidates; or NULL */
    struct pd_gpu_weights *weights; /* by layer, shared by all sizes */
    struct pd_gpu_sizes sizes;
    bool told_save; /* that the choices cannot be written */

    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock;
    pthread_cond_t news;
    /* guarded by lock */
    struct pd_batch *flights[PD_GPU_FLIGHTS_MAX];
    int head, count;
    bool stop;
    bool lost; /* the context, and with it all that was made in it */
    struct pd_err why;
};

/* ---- engine_cudnn.c ---- */

/* Look at @r, what an entry came to: -ENODEV is the last word of the context. The first time keeps its reason. */
int pd_gpu_engine_note(struct pd_gpu_engine *e, int r, const struct pd_err *err);
/* What every entry begins with. */
int pd_gpu_engine_enter(struct pd_gpu_engine *e, struct pd_err *err);
/* Destroy @b, or leave it alone with the context that is lost. */
void pd_gpu_engine_drop_batch(struct pd_gpu_engine *e, struct pd_gpu_batch *b);
/* The plan for batches of @n, ready to run. */
int pd_gpu_engine_get_ready(struct pd_gpu_engine *e, int n, int width, int height, struct pd_gpu_size **ret_size,
                            struct pd_gpu_plan **ret_plan, struct pd_err *err);

/* ---- engine_batches.c ---- */

/* Entries of struct pd_engine_ops; @self is the engine. */
int pd_gpu_engine_batch_init(void *self, struct pd_batch *batch, struct pd_err *err);
void pd_gpu_engine_batch_finish(void *self, struct pd_batch *batch);
/* Queue all of @batch. After a failure parts of it may be under way, and read its memory. */
int pd_gpu_engine_queue_batch(struct pd_gpu_engine *e, struct pd_batch *batch, struct pd_err *err);
/* Queue all that follows the network. @batch: NULL when it is the maps alone that are wanted. */
int pd_gpu_engine_queue_results(struct pd_gpu_engine *e, const struct pd_gpu_size *s, struct pd_gpu_batch *b,
                                const struct pd_batch *batch, int n, struct pd_err *err);
/* Room in @b for the maps of the largest batch, and (@host_maps) in host memory. */
int pd_gpu_engine_reserve_maps(struct pd_gpu_engine *e, const struct pd_gpu_size *s, struct pd_gpu_batch *b,
                               bool host_maps, struct pd_err *err);

/* ---- engine_measure.c ---- */

/* Entries as above. */
int pd_gpu_engine_time_network(void *self, int n, int width, int height, double *ret_ms, struct pd_err *err);
int pd_gpu_engine_forward(void *self, int n, int width, int height, const float *input, float *heat, float *paf,
                          struct pd_err *err);
int pd_gpu_engine_profile(void *self, int n, int width, int height, int repeats, struct pd_layer_time *times,
                          struct pd_err *err);
