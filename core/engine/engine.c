/* SPDX-License-Identifier: Apache-2.0 */
#include "core/engine/engine_impl.h"

#include <errno.h>
#include <string.h>

#include "core/clock.h"
#include "core/engine/cpu.h"

#define IN_FLIGHT_DEFAULT 2
#define THREADS_LIMIT 1024

/* ---- open and close ---- */

int pd_engine_check_size(const struct pd_net *net, int width, int height, struct pd_err *err)
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
    if (p->in_flight < 0 || p->in_flight > PD_IN_FLIGHT_MAX)
        return pd_err_set(err, -EINVAL, "%d batches in flight are out of range: give 1..%d", p->in_flight,
                          PD_IN_FLIGHT_MAX);
    if (ops->per_device && p->n_devices > 1)
        return pd_err_set(err, -ENOTSUP, "engine %s drives one device, and %d are given", ops->name, p->n_devices);
    if (p->threads < 0 || p->threads > THREADS_LIMIT)
        return pd_err_set(err, -EINVAL, "%d threads are out of range: give 0 (all cores) to %d", p->threads,
                          THREADS_LIMIT);
    return pd_engine_check_size(net, p->width, p->height, err);
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
        r = -pthread_create(&e->worker, NULL, pd_engine_work, e);
        if (r < 0) {
            pd_err_set(err, r, "cannot start the engine's thread: %s", strerror(-r));
            goto fail;
        }
        e->has_worker = true;
        pthread_setname_np(e->worker, "posed-engine");
    }
    r = pd_engine_call(e, open_backend, err);
    if (r < 0) {
        pd_engine_call(e, close_backend, NULL);
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
    pd_engine_call(e, close_backend, NULL);
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
    int r = pd_engine_check_size(e->net, batch->width, batch->height, err);
    if (r < 0)
        return r;
    struct batch_call c = {batch, err};
    r = pd_engine_call(e, batch_init, &c);
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
    pd_engine_call(e, batch_finish, &c);
    batch->engine = NULL;
}

static int check_batch(const struct pd_engine *e, struct pd_batch *b)
{
    if (b->engine != e || !b->done)
        return pd_err_set(&b->err, -EINVAL, "the batch was not set up for this engine");
    if (b->n < 1 || b->n > e->caps.max_batch)
        return pd_err_set(&b->err, -EINVAL, "a batch of %d frames is out of range: at most %d", b->n,
                          e->caps.max_batch);
    int r = pd_engine_check_size(e->net, b->width, b->height, &b->err);
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
    *pd_engine_flight(e, e->count) = (struct pd_flight){.batch = batch};
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
