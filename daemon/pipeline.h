#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * From the frame queue through the engine to the pool: the scheduler thread and the batches that go round.
 *
 * A batch is taken from the queue only when one is free and the engine has room for it, so frames wait where a newer
 * one can replace them. Every frame taken comes out as a job of the pool or as a failure of its camera; none is
 * forgotten.
 */
#include "daemon/pool.h"

#define PD_PIPELINE_BATCHES 4   /* two with the engine, two in post-processing */
#define PD_PIPELINE_IN_FLIGHT 2 /* a CPU engine works on one: frames of a second would grow old beside it */

struct pd_pipeline_params {
    const struct pd_net *net;
    const char *engine;
    struct pd_engine_params engine_params; /* in_flight is set here */
    int64_t batch_wait_ns;
    int post_threads;
    struct pd_handoff *handoff;
    struct pd_stats *stats;
};

struct pd_pipeline_health {
    int in_flight;      /* batches with the engine */
    int64_t longest_ns; /* the longest that any took so far */
};

struct pd_pipeline;

/* Open the engine, warm it up, put one frame through it and look at what comes out. Nothing runs after a failure. */
int pd_pipeline_open(const struct pd_pipeline_params *params, struct pd_pipeline **ret_pipeline, struct pd_err *err);
const struct pd_engine_caps *pd_pipeline_caps(const struct pd_pipeline *pipeline);
struct pd_queue *pd_pipeline_queue(struct pd_pipeline *pipeline);
int pd_pipeline_workers(const struct pd_pipeline *pipeline);
/* Tell whose frames carry camera->index; before its source starts, and (NULL) after its last frame has settled. */
void pd_pipeline_set_camera(struct pd_pipeline *pipeline, int index, struct pd_camera *camera);
void pd_pipeline_get_health(struct pd_pipeline *pipeline, struct pd_pipeline_health *ret_health);
/* Sources have stopped. Frames that no batch has yet are let go; those under way are finished. Blocks until all threads
 * are joined; not on the loop thread while it is needed. */
void pd_pipeline_stop(struct pd_pipeline *pipeline);
/* Free what stop left, the queue included: cameras are gone. NULL is fine. */
void pd_pipeline_destroy(struct pd_pipeline *pipeline);
