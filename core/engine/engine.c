/* SPDX-License-Identifier: Apache-2.0
 *
 * The wrapper around a backend: argument checks, the worker thread of synchronous backends, the bound on batches in
 * flight, and handing batches back in the order in which they came, whatever happened to them.
 *
 * A batch is in the ring from submit until it is handed back. Its place is freed just before done() runs, so a waiting
 * submit goes on while the callback works; `handing_over` keeps two threads from running callbacks at once, which would
 * let a later batch overtake.
 */
#include "core/engine/engine.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/engine/cpu.h"
#include "core/log.h"

#define IN_FLIGHT_MAX 4
#define IN_FLIGHT_DEFAULT 2
#define THREADS_LIMIT 1024

/* Something to run on the worker while its caller waits. */
struct call {
    int (*fn)(struct pd_engine *engine, void *arg);
    void *arg;
    int result;
    bool finished;
};

struct flight {
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
    struct flight ring[IN_FLIGHT_MAX];
    int head, count;   /* the oldest, and how many are in the ring */
    int begun;         /* of them, by the worker */
    bool handing_over; /* some thread is in hand_over() */
    bool closing, stop;
    struct call *call;
};

static struct flight *flight_at(struct pd_engine *e, int i)
{
    return &e->ring[(e->head + i) % IN_FLIGHT_MAX];
}

/* Hand back the finished batches at the head of the ring. Called and returns with the lock held; drops it meanwhile. */
static void hand_over(struct pd_engine *e)
{
    if (e->handing_over)
        return; /* whoever does it looks again before it leaves */
    e->handing_over = true;
    while (e->count > 0 && flight_at(e, 0)->finished) {
        struct pd_batch *batch = flight_at(e, 0)->batch;
        batch->status = flight_at(e, 0)->status;
        e->head = (e->head + 1) % IN_FLIGHT_MAX;
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
        struct flight *f = flight_at(e, i);
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
    struct pd_batch *batch = flight_at(e, e->begun++)->batch;
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

static void *worker_main(void *arg)
{
    struct pd_engine *e = arg;
    pthread_mutex_lock(&e->lock);
    for (;;) {
        if (e->call) {
            struct call *call = e->call;
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

/* Run @fn where the backend's entries run: on the worker, or at once for an asynchronous backend. A call goes before
 * waiting batches, but never interrupts one. */
static int call_backend(struct pd_engine *e, int (*fn)(struct pd_engine *, void *), void *arg)
{
    if (!e->has_worker || pthread_equal(pthread_self(), e->worker))
        return fn(e, arg);
    struct call call = {.fn = fn, .arg = arg};
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

/* ---- open and close ---- */

static int check_size(const struct pd_net *net, int width, int height, struct pd_err *err)
{
    int multiple = pd_net_multiple(net);
    if (width < 1 || height < 1 || width > PD_FRAME_SIDE_MAX || height > PD_FRAME_SIDE_MAX)
        return pd_err_set(err, -EINVAL, "a network input of %dx%d is out of range: give 1..%d for each side", width,
                          height, PD_FRAME_SIDE_MAX);
    if (width % multiple || height % multiple)
        return pd_err_set(err, -EINVAL, "a network input of %dx%d does not fit: both sides must be multiples of %d",
                          width, height, multiple);
    return 0;
}

static int check_params(const struct pd_engine_ops *ops, const struct pd_net *net, const struct pd_engine_params *p,
                        struct pd_err *err)
{
    if (!net || !p)
        return pd_err_set(err, -EINVAL, "an engine needs a network and parameters");
    if (p->max_batch < 0 || p->max_batch > PD_BATCH_MAX)
        return pd_err_set(err, -EINVAL, "a largest batch of %d is out of range: give 0 (the engine's choice) to %d",
                          p->max_batch, PD_BATCH_MAX);
    if (p->in_flight < 0 || p->in_flight > IN_FLIGHT_MAX)
        return pd_err_set(err, -EINVAL, "%d batches in flight are out of range: give 1..%d", p->in_flight,
                          IN_FLIGHT_MAX);
    if (ops->per_device && p->n_devices > 1)
        return pd_err_set(err, -ENOTSUP, "engine %s drives one device, and %d are given", ops->name, p->n_devices);
    if (p->threads < 0 || p->threads > THREADS_LIMIT)
        return pd_err_set(err, -EINVAL, "%d threads are out of range: give 0 (all cores) to %d", p->threads,
                          THREADS_LIMIT);
    return check_size(net, p->width, p->height, err);
}

static int open_backend(struct pd_engine *e, void *arg)
{
    struct pd_err *err = arg;
    const struct pd_engine_ops *ops = e->ops;
    if (!ops->submit && !ops->run) {
        int r = pd_cpu_create(e->net, e->params.max_batch, e->params.threads, &e->cpu);
        if (r < 0)
            return pd_err_set(err, r, "out of memory");
    }
    int r = ops->open(e->net, &e->params, &e->caps, &e->self, err);
    if (r < 0)
        return r;
    e->caps.name = ops->name;
    if (e->caps.max_batch < 1 || e->caps.max_batch > e->params.max_batch)
        e->caps.max_batch = e->params.max_batch;
    return 0;
}

static int close_backend(struct pd_engine *e, void *arg)
{
    if (e->self)
        e->ops->close(e->self);
    pd_cpu_destroy(e->cpu);
    return 0;
}

static void destroy(struct pd_engine *e)
{
    if (e->has_worker) {
        pthread_mutex_lock(&e->lock);
        e->stop = true;
        pthread_cond_signal(&e->work);
        pthread_mutex_unlock(&e->lock);
        pthread_join(e->worker, NULL);
    }
    pthread_cond_destroy(&e->news);
    pthread_cond_destroy(&e->work);
    pthread_mutex_destroy(&e->lock);
    free(e);
}

int pd_engine_open_ops(const struct pd_engine_ops *ops, const struct pd_net *net, const struct pd_engine_params *params,
                       struct pd_engine **ret_engine, struct pd_err *err)
{
    int r = check_params(ops, net, params, err);
    if (r < 0)
        return r;
    struct pd_engine *e = calloc(1, sizeof(*e));
    if (!e)
        return pd_err_set(err, -ENOMEM, "out of memory");
    e->ops = ops;
    e->net = net;
    e->params = *params;
    if (!params->max_batch)
        e->params.max_batch = ops->best_batch ? PD_CLAMP(ops->best_batch(params), 1, PD_BATCH_MAX) : PD_BATCH_MAX;
    e->caps.synchronous = !ops->submit;
    e->caps.per_device = ops->per_device;
    e->in_flight_max = params->in_flight ? params->in_flight : IN_FLIGHT_DEFAULT;
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->work, NULL);
    pthread_cond_init(&e->news, NULL);
    if (!ops->submit) {
        r = -pthread_create(&e->worker, NULL, worker_main, e);
        if (r < 0) {
            pd_err_set(err, r, "cannot start the engine's thread: %s", strerror(-r));
            goto fail;
        }
        e->has_worker = true;
        pthread_setname_np(e->worker, "posed-engine");
    }
    r = call_backend(e, open_backend, err);
    if (r < 0) {
        call_backend(e, close_backend, NULL);
        goto fail;
    }
    *ret_engine = e;
    return 0;
fail:
    destroy(e);
    return r;
}

void pd_engine_drain(struct pd_engine *e)
{
    pthread_mutex_lock(&e->lock);
    while (e->count > 0 || e->handing_over)
        pthread_cond_wait(&e->news, &e->lock);
    pthread_mutex_unlock(&e->lock);
}

void pd_engine_close(struct pd_engine *e)
{
    if (!e)
        return;
    pthread_mutex_lock(&e->lock);
    e->closing = true;
    pthread_mutex_unlock(&e->lock);
    pd_engine_drain(e);
    call_backend(e, close_backend, NULL);
    destroy(e);
}

const struct pd_engine_caps *pd_engine_caps(const struct pd_engine *e)
{
    return &e->caps;
}

/* ---- batches ---- */

struct batch_call {
    struct pd_batch *batch;
    struct pd_err *err;
};

static int batch_init(struct pd_engine *e, void *arg)
{
    struct batch_call *c = arg;
    if (e->ops->batch_init)
        return e->ops->batch_init(e->self, c->batch, c->err);
    return e->cpu ? pd_cpu_batch_init(e->cpu, c->batch, c->err) : 0;
}

static int batch_finish(struct pd_engine *e, void *arg)
{
    struct batch_call *c = arg;
    if (e->ops->batch_finish)
        e->ops->batch_finish(e->self, c->batch);
    else if (e->cpu)
        pd_cpu_batch_finish(e->cpu, c->batch);
    return 0;
}

int pd_engine_batch_init(struct pd_engine *e, struct pd_batch *batch, struct pd_err *err)
{
    int r = check_size(e->net, batch->width, batch->height, err);
    if (r < 0)
        return r;
    struct batch_call c = {batch, err};
    r = call_backend(e, batch_init, &c);
    if (r < 0)
        return r;
    batch->engine = e;
    return 0;
}

void pd_engine_batch_finish(struct pd_engine *e, struct pd_batch *batch)
{
    if (batch->engine != e)
        return;
    struct batch_call c = {batch, NULL};
    call_backend(e, batch_finish, &c);
    batch->engine = NULL;
}

static int check_batch(const struct pd_engine *e, struct pd_batch *b)
{
    if (b->engine != e || !b->done)
        return pd_err_set(&b->err, -EINVAL, "the batch was not set up for this engine");
    if (b->n < 1 || b->n > e->caps.max_batch)
        return pd_err_set(&b->err, -EINVAL, "a batch of %d frames is out of range: at most %d", b->n,
                          e->caps.max_batch);
    int r = check_size(e->net, b->width, b->height, &b->err);
    if (r < 0)
        return r;
    for (int i = 0; i < b->n; i++) {
        const struct pd_slot *s = &b->slot[i];
        if (!s->frame || s->lb.dst_w != b->width || s->lb.dst_h != b->height)
            return pd_err_set(&b->err, -EINVAL, "slot %d of the batch has no frame or another size than the batch", i);
        if (s->frame->mem != PD_MEM_HOST && !e->caps.device_frames)
            return pd_err_set(&b->err, -EINVAL, "slot %d holds a frame on a GPU, which engine %s cannot read", i,
                              e->ops->name);
    }
    return 0;
}

/* Take the newest batch out of the ring again; lock held. */
static void withdraw(struct pd_engine *e)
{
    e->count--;
    pthread_cond_broadcast(&e->news);
}

int pd_engine_submit(struct pd_engine *e, struct pd_batch *batch)
{
    batch->status = 0;
    batch->err.text[0] = 0;
    batch->started_ns = batch->preprocessed_ns = batch->done_ns = 0;
    int r = check_batch(e, batch);
    if (r < 0)
        return r;
    pthread_mutex_lock(&e->lock);
    while (e->count >= e->in_flight_max && !e->closing)
        pthread_cond_wait(&e->news, &e->lock);
    if (e->closing) {
        pthread_mutex_unlock(&e->lock);
        return pd_err_set(&batch->err, -ECANCELED, "the engine is closing");
    }
    batch->submitted_ns = pd_now_ns();
    *flight_at(e, e->count) = (struct flight){.batch = batch};
    e->count++;
    if (e->has_worker)
        pthread_cond_signal(&e->work);
    pthread_mutex_unlock(&e->lock);
    if (e->has_worker)
        return 0;

    r = e->ops->submit(e->self, batch);
    if (r < 0) {
        pthread_mutex_lock(&e->lock);
        withdraw(e);
        pthread_mutex_unlock(&e->lock);
    }
    return r;
}

/* ---- one at a time: warm-up, bare forward pass, profile ---- */

struct size_call {
    int n, width, height, repeats;
    const float *input;
    float *heat, *paf;
    struct pd_layer_time *times;
    double *ms;
    struct pd_err *err;
};

static int check_call(const struct pd_engine *e, const struct size_call *c)
{
    if (c->n < 1 || c->n > e->caps.max_batch)
        return pd_err_set(c->err, -EINVAL, "a batch of %d frames is out of range: the engine was opened for 1..%d",
                          c->n, e->caps.max_batch);
    return check_size(e->net, c->width, c->height, c->err);
}

static int prepare(struct pd_engine *e, void *arg)
{
    struct size_call *c = arg;
    return e->ops->prepare(e->self, c->n, c->width, c->height, c->err);
}

static int forward(struct pd_engine *e, void *arg)
{
    struct size_call *c = arg;
    return e->ops->forward(e->self, c->n, c->width, c->height, c->input, c->heat, c->paf, c->err);
}

static int profile(struct pd_engine *e, void *arg)
{
    struct size_call *c = arg;
    return e->ops->profile(e->self, c->n, c->width, c->height, c->repeats, c->times, c->err);
}

static int time_network(struct pd_engine *e, void *arg)
{
    struct size_call *c = arg;
    return e->ops->time_network(e->self, c->n, c->width, c->height, c->ms, c->err);
}

int pd_engine_prepare(struct pd_engine *e, int n, int width, int height, struct pd_err *err)
{
    struct size_call c = {.n = n, .width = width, .height = height, .err = err};
    int r = check_call(e, &c);
    if (r < 0 || !e->ops->prepare)
        return r;
    return call_backend(e, prepare, &c);
}

static int update_memory(struct pd_engine *e, void *arg)
{
    e->caps.memory_bytes = e->ops->memory(e->self);
    return 0;
}

void pd_engine_update_memory(struct pd_engine *e)
{
    if (e->ops->memory)
        call_backend(e, update_memory, NULL);
}

int pd_engine_forward(struct pd_engine *e, int n, int width, int height, const float *input, float *heat, float *paf,
                      struct pd_err *err)
{
    struct size_call c = {.n = n, .width = width, .height = height, .input = input, .heat = heat, .paf = paf,
                          .err = err};
    int r = check_call(e, &c);
    return r < 0 ? r : call_backend(e, forward, &c);
}

int pd_engine_profile(struct pd_engine *e, int n, int width, int height, int repeats, struct pd_layer_time *times,
                      struct pd_err *err)
{
    struct size_call c = {.n = n, .width = width, .height = height, .repeats = repeats, .times = times, .err = err};
    int r = check_call(e, &c);
    if (r < 0)
        return r;
    if (!e->ops->profile || repeats < 1)
        return pd_err_set(err, e->ops->profile ? -EINVAL : -ENOTSUP, "engine %s cannot time single layers",
                          e->ops->name);
    return call_backend(e, profile, &c);
}

int pd_engine_time_network(struct pd_engine *e, int n, int width, int height, double *ret_ms, struct pd_err *err)
{
    struct size_call c = {.n = n, .width = width, .height = height, .ms = ret_ms, .err = err};
    int r = check_call(e, &c);
    if (r < 0)
        return r;
    if (!e->ops->time_network)
        return pd_err_set(err, -ENOTSUP, "engine %s cannot time the network alone", e->ops->name);
    return call_backend(e, time_network, &c);
}
