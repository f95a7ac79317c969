#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * From the frame queue through the engines to the pool: the scheduler thread and the batches that go round.
 *
 * One engine for each device. A batch is taken from the queue only when one is free and an engine has room for it, so
 * frames wait where a newer one can replace them; it goes to the engine with the least to do, and among equals to the
 * one that has waited longest. Every frame taken comes out as a job of the pool or as a failure of its camera; none is
 * forgotten. Frames of one camera reach the pool in order, whichever engines they went through: a frame that is done
 * early waits for the earlier ones of its own camera, and for no other's.
 */
#include "daemon/lane.h"

#define PD_DEVICES_MAX 8

struct pd_pipeline_params {
    const struct pd_net *net;
    const char *engine;
    struct pd_engine_params engine_params; /* in_flight is set here; an engine is opened for each of its devices */
    int64_t batch_wait_ns;
    int post_threads;
    struct pd_handoff *handoff;
    struct pd_stats *stats;
};

struct pd_pipeline_health {
    int in_flight;      /* batches with the engines */
    int n_devices;
    struct {
        int64_t since_ns;   /* when its engine began with the batch that it works on; 0: none */
        int64_t longest_ns; /* what a full batch may take at most, judged by the first one */
    } device[PD_DEVICES_MAX];
};

struct pd_pipeline_device {
    const struct pd_engine_caps *caps;
    int number; /* as in `devices` of the configuration */
    uint64_t frames, batches, failed_batches;
    int64_t busy_ns; /* time with a batch in the engine */
    int in_flight;
};

struct pd_pipeline;

/* Open the engines, warm them up, put one frame through each and look at what comes out. Nothing runs after a failure.
 * An engine that computes on the CPU is opened once, whatever devices say. "auto" goes on without an engine, or one of
 * several devices, that fails at that. */
int pd_pipeline_open(const struct pd_pipeline_params *params, struct pd_pipeline **ret_pipeline, struct pd_err *err);
/* What all engines can do: the smallest max_batch, the memory of all. */
const struct pd_engine_caps *pd_pipeline_caps(const struct pd_pipeline *pipeline);
int pd_pipeline_devices(const struct pd_pipeline *pipeline);
void pd_pipeline_get_device(struct pd_pipeline *pipeline, int i, struct pd_pipeline_device *ret_device);
struct pd_queue *pd_pipeline_queue(struct pd_pipeline *pipeline);
int pd_pipeline_workers(const struct pd_pipeline *pipeline);
/* Tell whose frames carry camera->index; before its source starts, and (NULL) after its last frame has settled. */
void pd_pipeline_set_camera(struct pd_pipeline *pipeline, int index, struct pd_camera *camera);
void pd_pipeline_get_health(struct pd_pipeline *pipeline, struct pd_pipeline_health *ret_health);
/* Sources are being stopped: from now on a frame that no batch has is dropped, and so no push waits for the engine. */
void pd_pipeline_let_go(struct pd_pipeline *pipeline);
/* Sources have stopped. Frames that no batch has yet are let go; those under way are finished. Blocks until all threads
 * are joined; not on the loop thread while it is needed. */
void pd_pipeline_stop(struct pd_pipeline *pipeline);
/* Free what stop left, the queue included: cameras are gone. NULL is fine. */
void pd_pipeline_destroy(struct pd_pipeline *pipeline);
