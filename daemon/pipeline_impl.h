#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * What the two parts of the pipeline share: pipeline.c opens, answers and stops, pipeline_batches.c is the scheduler's
 * thread and what becomes of the batches that it gives out.
 */
#include <pthread.h>

#include "daemon/pipeline.h"

struct pd_pipeline {
    /* set at open, then read-only */
    struct pd_pipeline_params params;
    struct pd_engine_caps caps;
    struct pd_queue *queue;
    struct pd_pool *pool;
    int width, height;
    struct pd_shape heat, paf; /* what an engine has to hand out for a frame */
    int n_lanes;
    pthread_t scheduler;
    bool started, stopped;

    struct pd_camera *_Atomic cameras[PD_CAMERAS_MAX];
    _Atomic bool stopping;

    pthread_mutex_t lock;
    pthread_cond_t room;
    /* protected by lock */
    struct pd_lane lanes[PD_DEVICES_MAX]; /* their marked parts */
    struct pd_order order;
    uint64_t turn; /* batches given out */
};

/* ---- pipeline_batches.c ---- */
/* The scheduler's thread; @user is the pipeline. Ends once the queue is finished and empty. */
void *pd_pipeline_schedule(void *user);
/* An engine is done with a batch, on a thread of its own; @user as above. */
void pd_pipeline_on_batch_done(struct pd_batch *batch, void *user);
/* The pool is done with a frame, on a thread of the pool's; @user as above. */
void pd_pipeline_on_job_finished(struct pd_job *job, void *user);
