/* SPDX-License-Identifier: Apache-2.0 */
#include "core/engine/engine_impl.h"

#include <errno.h>
#include <string.h>

#include "core/clock.h"
#include "core/engine/cpu.h"
#include "core/log.h"

/* ---- back to the caller ---- */

/* Hand back the finished batches at the head of the ring. Called and returns with the lock held; drops it meanwhile. */
static void hand_over(struct pd_engine *e)
{
    if (e->handing_over)
        return; /* whoever does it looks again before it leaves */
    e->handing_over = true;
    while (e->count > 0 && pd_engine_flight(e, 0)->finished) {
        struct pd_batch *batch = pd_engine_flight(e, 0)->batch;
        batch->status = pd_engine_flight(e, 0)->status;
        e->head = (e->head + 1) % PD_IN_FLIGHT_MAX;
        e->count--;
        if (e->begun > 0)
            e->begun--;
        pthread_cond_broadcast(&e->news);
        pthread_mutex_unlock(&e->lock);
        batch->done(batch, batch->user);
        pthread_mutex_lock(&e->lock);
    }
    e->handing_over = false;
    pthread_cond_broadcast(&e->news);
}

/* Mark @batch finished; lock held. Codes that the contract does not know become -EIO, and every failure has a line. */
static void finish(struct pd_engine *e, struct pd_batch *batch, int status)
{
    for (int i = 0; i < e->count; i++) {
        struct pd_flight *f = pd_engine_flight(e, i);
        if (f->batch != batch || f->finished)
            continue;
        if (status > 0)
            status = -EIO;
        if (status < 0 && !batch->err.text[0])
            pd_err_set(&batch->err, status, "engine %s failed: %s", e->ops->name, strerror(-status));
        batch->done_ns = pd_now_ns();
        if (!batch->started_ns)
            batch->started_ns = batch->submitted_ns;
        if (!batch->preprocessed_ns)
            batch->preprocessed_ns = batch->started_ns;
        f->status = status;
        f->finished = true;
        hand_over(e);
        return;
    }
    pd_log_err("engine", "%s finished a batch that is not in flight; ignored", e->ops->name);
}

void pd_engine_done(struct pd_batch *batch, int status)
{
    struct pd_engine *e = batch->engine;
    pthread_mutex_lock(&e->lock);
    finish(e, batch, status);
    pthread_mutex_unlock(&e->lock);
}

/* ---- the worker of a synchronous backend ---- */

static int run_batch(struct pd_engine *e, struct pd_batch *batch)
{
    batch->started_ns = pd_now_ns();
    return e->ops->run ? e->ops->run(e->self, batch) : pd_cpu_batch_run(e->cpu, e->ops, e->self, batch);
}

static void worker_next_batch(struct pd_engine *e)
{
    struct pd_batch *batch = pd_engine_flight(e, e->begun++)->batch;
    int status;
    if (e->closing) {
        status = pd_err_set(&batch->err, -ECANCELED, "the engine is closing");
    } else {
        pthread_mutex_unlock(&e->lock);
        status = run_batch(e, batch);
        pthread_mutex_lock(&e->lock);
    }
    finish(e, batch, status);
}

void *pd_engine_work(void *arg)
{
    struct pd_engine *e = arg;
    pthread_mutex_lock(&e->lock);
    for (;;) {
        if (e->call) {
            struct pd_call *call = e->call;
            pthread_mutex_unlock(&e->lock);
            call->result = call->fn(e, call->arg);
            pthread_mutex_lock(&e->lock);
            call->finished = true;
            e->call = NULL;
            pthread_cond_broadcast(&e->news);
        } else if (e->begun < e->count) {
            worker_next_batch(e);
        } else if (e->stop) {
            break;
        } else {
            pthread_cond_wait(&e->work, &e->lock);
        }
    }
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

int pd_engine_call(struct pd_engine *e, int (*fn)(struct pd_engine *engine, void *arg), void *arg)
{
    if (!e->has_worker || pthread_equal(pthread_self(), e->worker))
        return fn(e, arg);
    struct pd_call call = {.fn = fn, .arg = arg};
    pthread_mutex_lock(&e->lock);
    while (e->call)
        pthread_cond_wait(&e->news, &e->lock);
    e->call = &call;
    pthread_cond_signal(&e->work);
    while (!call.finished)
        pthread_cond_wait(&e->news, &e->lock);
    pthread_mutex_unlock(&e->lock);
    return call.result;
}
