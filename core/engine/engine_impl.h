#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of the wrapper around a backend share: engine.c checks arguments, opens, closes and takes batches,
 * engine_flight.c is the worker thread of synchronous backends and hands batches back in the order in which they came,
 * whatever happened to them, engine_calls.c is what runs outside batches.
 *
 * A batch is in the ring from submit until it is handed back. Its place is freed just before done() runs, so a waiting
 * submit goes on while the callback works; `handing_over` keeps two threads from running callbacks at once, which would
 * let a later batch overtake.
 */
#include <pthread.h>

#include "core/engine/engine.h"

#define PD_IN_FLIGHT_MAX 4

struct pd_cpu;

/* Something to run on the worker while its caller waits. */
struct pd_call {
    int (*fn)(struct pd_engine *engine, void *arg);
    void *arg;
    int result;
    bool finished;
};

struct pd_flight {
    struct pd_batch *batch;
    int status;
    bool finished; /* by the backend; not handed back yet */
};

struct pd_engine {
    const struct pd_engine_ops *ops;
    const struct pd_net *net;
    struct pd_engine_params params;
    struct pd_engine_caps caps;
    void *self;
    struct pd_cpu *cpu; /* synchronous backends without run of their own */
    int in_flight_max;
    pthread_t worker;
    bool has_worker;

    pthread_mutex_t lock;
    pthread_cond_t work; /* something for the worker */
    pthread_cond_t news; /* something for those who wait: a free place, a finished call, nothing in flight */
    /* guarded by lock */
    struct pd_flight ring[PD_IN_FLIGHT_MAX];
    int head, count;   /* the oldest, and how many are in the ring */
    int begun;         /* of them, by the worker */
    bool handing_over; /* some thread is in hand_over() */
    bool closing, stop;
    struct pd_call *call;
};

/* Counted from the oldest in flight. */
static inline struct pd_flight *pd_engine_flight(struct pd_engine *e, int i)
{
    return &e->ring[(e->head + i) % PD_IN_FLIGHT_MAX];
}

/* ---- engine.c ---- */
int pd_engine_check_size(const struct pd_net *net, int width, int height, struct pd_err *err);

/* ---- engine_flight.c ---- */
/* The worker's thread; @arg is the engine. */
void *pd_engine_work(void *arg);
/* Run @fn where the backend's entries run: on the worker, or at once for an asynchronous backend. A call goes before
 * waiting batches, but never interrupts one. */
int pd_engine_call(struct pd_engine *e, int (*fn)(struct pd_engine *engine, void *arg), void *arg);
