#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * The post-processing workers: maps or candidates to people, ids, smoothing, the pose line, and off to the loop.
 * A camera belongs to one worker, whose jobs are done in order: so its lines leave in order, and its tracker needs no
 * lock.
 */
#include "daemon/camera.h"
#include "postproc/post.h"

#define PD_POOL_WORKERS_MAX 64

struct pd_job {
    struct pd_job *next;       /* the worker's list */
    struct pd_camera *camera;
    struct pd_slot *slot;      /* frame and results; the job's until it is finished */
    struct pd_mask *mask;      /* held while the engine may read it */
};

struct pd_pool_params {
    int workers; /* 1..PD_POOL_WORKERS_MAX */
    const struct pd_net *net;
    int max_w, max_h; /* of the maps */
    bool candidates;  /* slots hold candidates, not maps */
    struct pd_handoff *handoff;
    struct pd_stats *stats;
    /* The slot's memory may be used again. On the worker's thread. */
    void (*finished)(struct pd_job *job, void *user);
    void *user;
};

struct pd_pool;

int pd_pool_create(const struct pd_pool_params *params, struct pd_pool **ret_pool, struct pd_err *err);
/* Queue @job for its camera's worker. Any thread; jobs of one camera come from one thread. */
void pd_pool_push(struct pd_pool *pool, struct pd_job *job);
/* Finish what is queued, join, free. NULL is fine. */
void pd_pool_destroy(struct pd_pool *pool);
