#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * One engine of the pipeline, on one device, with the batches that go round through it and the books on them. The
 * pipeline has a lane for each device and gives the next batch to one that is free.
 */
#include <stdatomic.h>

#include "daemon/order.h"
#include "daemon/pool.h"

#define PD_LANE_BATCHES 4   /* two with the engine, two in post-processing */
#define PD_LANE_IN_FLIGHT 2 /* a CPU engine works on one: frames of a second would grow old beside it */

/* A frame's place in a batch, beside the batch's own slot. */
struct pd_seat {
    struct pd_order_entry order;
    struct pd_job job;
    bool failed;
};

struct pd_flight {
    struct pd_batch batch;
    struct pd_seat seats[PD_BATCH_MAX];
    struct pd_lane *lane;
    int64_t taken_ns;
    struct pd_flight *next; /* free list */
    int seats_left;         /* frames still on their way; protected by the pipeline's lock */
    bool refused;           /* the engine did not take it */
};

struct pd_lane {
    /* set at open, then read-only */
    struct pd_engine *engine;
    int device; /* of those configured; 0 where the engine computes on the CPU */
    int in_flight_max;
    struct pd_flight *flights[PD_LANE_BATCHES];

    /* protected by the pipeline's lock */
    struct pd_flight *free;
    int in_flight;
    int64_t submitted_ns[PD_LANE_IN_FLIGHT]; /* oldest first */
    int64_t longest_ns; /* what a full batch may take at most, judged by the first one */
    uint64_t turn; /* when it was last given a batch: the count of batches then */
    int failures;  /* in a row */
    int64_t told_ns; /* when the log last heard of a failure, 0: never */

    /* atomic: what a report tells of the device */
    _Atomic uint64_t frames, batches, failed_batches;
    _Atomic uint64_t busy_ns; /* time with a batch in the engine */
};

/* Open the engine called @engine, warm it up, put one frame through it and look at what comes out. Batches then come
 * back to @done with @user. A lane that failed to open still wants pd_lane_finish(). */
int pd_lane_open(struct pd_lane *lane, const char *engine, const struct pd_net *net,
                 const struct pd_engine_params *params, void (*done)(struct pd_batch *batch, void *user), void *user,
                 struct pd_err *err);
/* Nothing is in flight, and no result is being read. A zeroed lane is fine. */
void pd_lane_finish(struct pd_lane *lane);

/* ---- with the pipeline's lock held ---- */
bool pd_lane_has_room(const struct pd_lane *lane);
struct pd_flight *pd_lane_get(struct pd_lane *lane); /* only where there is room */
void pd_lane_put(struct pd_flight *flight);
void pd_lane_enter(struct pd_lane *lane, int64_t now_ns);
/* The engine is done with the oldest. */
void pd_lane_leave(struct pd_lane *lane, int64_t now_ns);
/* The engine did not take the newest: that says nothing of the time that batches take. */
void pd_lane_withdraw(struct pd_lane *lane);
