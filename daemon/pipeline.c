/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/pipeline.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"

#define ENGINE_FAILURES_MAX 10 /* batches in a row before the engine is given up */

struct flight {
    struct pd_batch batch;
    struct pd_job jobs[PD_BATCH_MAX];
    _Atomic int jobs_left;
    int64_t taken_ns;
    struct flight *next; /* free list */
};

struct pd_pipeline {
    /* set at open, then read-only */
    struct pd_pipeline_params params;
    struct pd_engine *engine;
    struct pd_queue *queue;
    struct pd_pool *pool;
    int width, height;
    int in_flight_max;
    pthread_t scheduler;
    bool started, stopped;
    struct flight *flights[PD_PIPELINE_BATCHES];

    struct pd_camera *_Atomic cameras[PD_CAMERAS_MAX];
    _Atomic bool stopping;

    pthread_mutex_t lock;
    pthread_cond_t room;
    /* protected by lock */
    struct flight *free;
    int in_flight;
    int64_t submitted_ns[PD_PIPELINE_IN_FLIGHT]; /* oldest first */
    int64_t longest_ns;

    /* engine thread */
    int failures; /* in a row */
};

/* ---- batches going round ---- */

/* A batch that is free, and room for it in the engine. */
static struct flight *get_flight(struct pd_pipeline *p)
{
    pthread_mutex_lock(&p->lock);
    while (!p->free || p->in_flight >= p->in_flight_max)
        pthread_cond_wait(&p->room, &p->lock);
    struct flight *f = p->free;
    p->free = f->next;
    pthread_mutex_unlock(&p->lock);
    return f;
}

static void put_flight(struct pd_pipeline *p, struct flight *f)
{
    pthread_mutex_lock(&p->lock);
    f->next = p->free;
    p->free = f;
    pthread_cond_signal(&p->room);
    pthread_mutex_unlock(&p->lock);
}

static void enter_engine(struct pd_pipeline *p)
{
    pthread_mutex_lock(&p->lock);
    p->submitted_ns[p->in_flight++] = pd_now_ns();
    pthread_mutex_unlock(&p->lock);
}

static void leave_engine(struct pd_pipeline *p)
{
    pthread_mutex_lock(&p->lock);
    int64_t now = pd_now_ns();
    p->longest_ns = PD_MAX(p->longest_ns, now - p->submitted_ns[0]);
    p->in_flight--;
    memmove(p->submitted_ns, p->submitted_ns + 1, (size_t)p->in_flight * sizeof(p->submitted_ns[0]));
    if (p->in_flight)
        p->submitted_ns[0] = now; /* its own time begins when the one before it is done */
    pthread_cond_signal(&p->room);
    pthread_mutex_unlock(&p->lock);
}

static void on_job_finished(struct pd_job *job, void *user)
{
    struct flight *f = job->slot->user;
    if (atomic_fetch_sub_explicit(&f->jobs_left, 1, memory_order_acq_rel) == 1)
        put_flight(user, f);
}

/* ---- scheduler thread ---- */

/* Make @frame the next slot of @f; its camera hears of it when that cannot be. */
static void add_slot(struct pd_pipeline *p, struct flight *f, struct pd_frame *frame)
{
    struct pd_camera *camera = atomic_load_explicit(&p->cameras[frame->camera], memory_order_acquire);
    pd_histogram_add(&p->params.stats->stage[PD_STAGE_QUEUE], f->taken_ns - frame->arrived_ns);
    bool stopping = atomic_load_explicit(&p->stopping, memory_order_relaxed);
    if (stopping || pd_camera_fit(camera, frame->width, frame->height, p->width, p->height) < 0) {
        pd_frame_unref(&frame);
        if (stopping)
            pd_camera_drop(camera);
        else
            pd_camera_fail(camera);
        return;
    }
    int i = f->batch.n++;
    struct pd_slot *slot = &f->batch.slot[i];
    slot->frame = frame;
    slot->lb = camera->lb;
    slot->mask = camera->mask ? camera->mask->cover : NULL;
    slot->find = pd_post_find_params(&camera->config->post);
    slot->user = f;
    f->jobs[i] = (struct pd_job){.camera = camera, .slot = slot, .mask = pd_mask_ref(camera->mask)};
}

static void fail_flight(struct pd_pipeline *p, struct flight *f)
{
    for (int i = 0; i < f->batch.n; i++) {
        pd_frame_unref(&f->batch.slot[i].frame);
        pd_mask_unref(f->jobs[i].mask);
        pd_camera_fail(f->jobs[i].camera);
    }
    put_flight(p, f);
}

static void *schedule(void *user)
{
    struct pd_pipeline *p = user;
    struct pd_frame *frames[PD_BATCH_MAX];
    for (;;) {
        struct flight *f = get_flight(p);
        int n = pd_queue_take(p->queue, frames);
        f->batch.n = 0;
        f->taken_ns = pd_now_ns();
        for (int i = 0; i < n; i++)
            add_slot(p, f, frames[i]);
        if (f->batch.n == 0) {
            put_flight(p, f);
            if (n == 0)
                return NULL;
            continue;
        }
        enter_engine(p);
        int r = pd_engine_submit(p->engine, &f->batch);
        if (r < 0) {
            leave_engine(p);
            pd_log_err("engine", "a batch was refused: %s", strerror(-r));
            fail_flight(p, f);
        }
    }
}

/* ---- engine thread ---- */

static void tell_fatal(struct pd_pipeline *p, int status, const char *reason)
{
    struct pd_event *event = pd_event_new(PD_EVENT_FATAL, NULL);
    if (!event)
        return;
    event->status = status;
    snprintf(event->reason, sizeof(event->reason), "%.*s", (int)sizeof(event->reason) - 1, reason);
    pd_handoff_post(p->params.handoff, &event->item);
}

static void on_failed_batch(struct pd_pipeline *p, const struct pd_batch *batch)
{
    if (batch->status == -ECANCELED)
        return;
    p->failures++;
    if (p->failures == 1) /* the first of a row says it all */
        pd_log_err("engine", "a batch of %d failed: %s", batch->n, batch->err.text);
    if (batch->status == -ENODEV || p->failures == ENGINE_FAILURES_MAX)
        tell_fatal(p, batch->status, batch->err.text);
}

static void on_batch_done(struct pd_batch *batch, void *user)
{
    struct pd_pipeline *p = user;
    struct flight *f = PD_CONTAINER_OF(batch, struct flight, batch);
    struct pd_stats *stats = p->params.stats;
    leave_engine(p);
    pd_stats_batch(stats, batch->n, batch->status);
    if (batch->status < 0) {
        on_failed_batch(p, batch);
        fail_flight(p, f);
        return;
    }
    p->failures = 0;
    pd_histogram_add(&stats->stage[PD_STAGE_SUBMIT], batch->started_ns - f->taken_ns);
    pd_histogram_add(&stats->stage[PD_STAGE_PREPROCESS], batch->preprocessed_ns - batch->started_ns);
    pd_histogram_add(&stats->stage[PD_STAGE_NETWORK], batch->done_ns - batch->preprocessed_ns);
    int n = batch->n; /* the flight may go round again as soon as its last job is pushed */
    atomic_store_explicit(&f->jobs_left, n, memory_order_release);
    for (int i = 0; i < n; i++)
        pd_pool_push(p->pool, &f->jobs[i]);
}

/* ---- start ---- */

struct trial {
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool is_done;
};

static void on_trial_done(struct pd_batch *batch, void *user)
{
    struct trial *trial = user;
    pthread_mutex_lock(&trial->lock);
    trial->is_done = true;
    pthread_cond_signal(&trial->done);
    pthread_mutex_unlock(&trial->lock);
}

static bool are_finite(const float *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(values[i]))
            return false;
    return true;
}

static int not_finite(struct pd_err *err)
{
    return pd_err_set(err, -EIO, "a grey picture came out as numbers that are not finite; the network or the device is "
                                 "broken");
}

static int look_at_maps(const struct pd_maps *maps, struct pd_err *err)
{
    size_t plane = (size_t)maps->w * (size_t)maps->h;
    bool finite = are_finite(maps->heat, plane * (size_t)maps->n_heat) &&
                  are_finite(maps->paf, plane * (size_t)maps->n_paf);
    return finite ? 0 : not_finite(err);
}

static size_t values_of(const struct pd_shape *s)
{
    return (size_t)s->c * (size_t)s->h * (size_t)s->w;
}

/* An engine that gives candidates hides its maps, where NaN looks like nobody being there: ask for them once. */
static int look_behind_candidates(struct pd_pipeline *p, struct pd_err *err)
{
    const struct pd_net *net = p->params.net;
    PD_CLEANUP(pd_freep) struct pd_shape *shapes = calloc((size_t)net->n_tensors, sizeof(*shapes));
    int r = shapes ? pd_net_shapes(net, p->height, p->width, shapes, err) : pd_err_set(err, -ENOMEM, "out of memory");
    if (r < 0)
        return r;
    const size_t n_heat = values_of(&shapes[net->heat]), n_paf = values_of(&shapes[net->paf]);
    PD_CLEANUP(pd_freep) float *input = calloc((size_t)3 * (size_t)p->width * (size_t)p->height, sizeof(*input));
    PD_CLEANUP(pd_freep) float *maps = calloc(n_heat + n_paf, sizeof(*maps));
    if (!input || !maps)
        return pd_err_set(err, -ENOMEM, "out of memory");
    r = pd_engine_forward(p->engine, 1, p->width, p->height, input, maps, maps + n_heat, err);
    return r < 0 || are_finite(maps, n_heat + n_paf) ? r : not_finite(err);
}

/* One grey frame all the way through the engine: what starts after this has worked once. */
static int try_one(struct pd_pipeline *p, struct pd_err *err)
{
    struct pd_batch *batch = &p->flights[0]->batch;
    struct trial trial = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
    struct pd_frame *frame = pd_frame_alloc(PD_PIX_GRAY8, p->width, p->height, 0, 0);
    if (!frame)
        return pd_err_set(err, -ENOMEM, "out of memory");
    for (int y = 0; y < p->height; y++)
        memset((uint8_t *)frame->plane[0] + (ptrdiff_t)y * frame->stride[0], 128, (size_t)p->width);
    batch->n = 1;
    batch->slot[0].frame = frame;
    batch->slot[0].mask = NULL;
    const struct pd_post_params post = pd_post_defaults();
    batch->slot[0].find = pd_post_find_params(&post);
    batch->done = on_trial_done;
    batch->user = &trial;
    int r = pd_letterbox_fit(p->width, p->height, NULL, p->width, p->height, &batch->slot[0].lb);
    if (r == 0)
        r = pd_engine_submit(p->engine, batch);
    if (r == 0) {
        pthread_mutex_lock(&trial.lock);
        while (!trial.is_done)
            pthread_cond_wait(&trial.done, &trial.lock);
        pthread_mutex_unlock(&trial.lock);
        pd_engine_drain(p->engine);
        r = batch->status;
        /* What a full batch may take at most, for the watchdog, until one has been seen. */
        p->longest_ns = (batch->done_ns - batch->submitted_ns) * pd_pipeline_caps(p)->max_batch;
        if (r < 0)
            pd_err_set(err, r, "%s", batch->err.text);
        else
            r = pd_pipeline_caps(p)->candidates ? look_behind_candidates(p, err)
                                                : look_at_maps(&batch->slot[0].maps, err);
    } else {
        pd_err_set(err, r, "the engine refuses its first batch: %s", strerror(-r));
    }
    pd_frame_unref(&batch->slot[0].frame);
    return r;
}

static int warm_up(struct pd_pipeline *p, struct pd_err *err)
{
    static const int sizes[] = {1, 2, 4, 8, 16, 24, 32};
    int max = pd_pipeline_caps(p)->max_batch;
    for (size_t i = 0; i < PD_ARRAY_SIZE(sizes) && sizes[i] <= max; i++) {
        int r = pd_engine_prepare(p->engine, sizes[i], p->width, p->height, err);
        if (r < 0)
            return r;
    }
    return try_one(p, err);
}

static int make_flights(struct pd_pipeline *p, struct pd_err *err)
{
    for (int i = 0; i < PD_PIPELINE_BATCHES; i++) {
        struct flight *f = calloc(1, sizeof(*f));
        if (!f)
            return pd_err_set(err, -ENOMEM, "out of memory");
        f->batch.width = p->width;
        f->batch.height = p->height;
        int r = pd_engine_batch_init(p->engine, &f->batch, err);
        if (r < 0) {
            free(f);
            return r;
        }
        p->flights[i] = f;
    }
    int r = warm_up(p, err);
    for (int i = 0; i < PD_PIPELINE_BATCHES; i++) {
        p->flights[i]->batch.done = on_batch_done;
        p->flights[i]->batch.user = p;
        p->flights[i]->next = p->free;
        p->free = p->flights[i];
    }
    return r;
}

static void on_drop(const struct pd_frame *frame, void *user)
{
    struct pd_pipeline *p = user;
    pd_camera_drop(atomic_load_explicit(&p->cameras[frame->camera], memory_order_acquire));
}

static int make_pool(struct pd_pipeline *p, struct pd_err *err)
{
    const struct pd_net *net = p->params.net;
    struct pd_shape *shapes = calloc((size_t)net->n_tensors, sizeof(*shapes));
    if (!shapes)
        return pd_err_set(err, -ENOMEM, "out of memory");
    int r = pd_net_shapes(net, p->height, p->width, shapes, err);
    const struct pd_pool_params params = {
        .workers = PD_CLAMP(p->params.post_threads, 1, PD_POOL_WORKERS_MAX), .net = net,
        .max_w = shapes[net->heat].w, .max_h = shapes[net->heat].h, .candidates = pd_pipeline_caps(p)->candidates,
        .handoff = p->params.handoff, .stats = p->params.stats, .finished = on_job_finished, .user = p,
    };
    free(shapes);
    return r < 0 ? r : pd_pool_create(&params, &p->pool, err);
}

static int start_scheduler(struct pd_pipeline *p, struct pd_err *err)
{
    const struct pd_queue_params params = {
        .max_batch = pd_pipeline_caps(p)->max_batch, .batch_wait_ns = p->params.batch_wait_ns, .on_drop = on_drop,
        .user = p,
    };
    p->queue = pd_queue_create(&params);
    if (!p->queue)
        return pd_err_set(err, -ENOMEM, "out of memory");
    if (pthread_create(&p->scheduler, NULL, schedule, p))
        return pd_err_set(err, -EAGAIN, "cannot start the scheduler's thread");
    p->started = true;
    pthread_setname_np(p->scheduler, "scheduler");
    return 0;
}

int pd_pipeline_open(const struct pd_pipeline_params *params, struct pd_pipeline **ret_pipeline, struct pd_err *err)
{
    struct pd_pipeline *p = calloc(1, sizeof(*p));
    if (!p)
        return pd_err_set(err, -ENOMEM, "out of memory");
    p->params = *params;
    p->params.engine_params.in_flight = PD_PIPELINE_IN_FLIGHT;
    p->width = params->engine_params.width;
    p->height = params->engine_params.height;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->room, NULL);
    int r = pd_engine_open(params->engine, params->net, &p->params.engine_params, &p->engine, err);
    if (r == 0)
        p->in_flight_max = pd_pipeline_caps(p)->synchronous ? 1 : PD_PIPELINE_IN_FLIGHT;
    if (r == 0)
        r = make_flights(p, err);
    if (r == 0)
        r = make_pool(p, err);
    if (r == 0)
        r = start_scheduler(p, err);
    if (r < 0) {
        pd_pipeline_destroy(p);
        return r;
    }
    *ret_pipeline = p;
    return 0;
}

/* ---- while it runs ---- */

const struct pd_engine_caps *pd_pipeline_caps(const struct pd_pipeline *pipeline)
{
    return pd_engine_caps(pipeline->engine);
}

struct pd_queue *pd_pipeline_queue(struct pd_pipeline *pipeline)
{
    return pipeline->queue;
}

int pd_pipeline_workers(const struct pd_pipeline *pipeline)
{
    return PD_CLAMP(pipeline->params.post_threads, 1, PD_POOL_WORKERS_MAX);
}

void pd_pipeline_set_camera(struct pd_pipeline *pipeline, int index, struct pd_camera *camera)
{
    atomic_store_explicit(&pipeline->cameras[index], camera, memory_order_release);
}

void pd_pipeline_get_health(struct pd_pipeline *pipeline, struct pd_pipeline_health *ret_health)
{
    pthread_mutex_lock(&pipeline->lock);
    ret_health->in_flight = pipeline->in_flight;
    ret_health->longest_ns = pipeline->longest_ns;
    pthread_mutex_unlock(&pipeline->lock);
}

/* ---- stop ---- */

void pd_pipeline_stop(struct pd_pipeline *pipeline)
{
    if (pipeline->stopped)
        return;
    pipeline->stopped = true;
    atomic_store_explicit(&pipeline->stopping, true, memory_order_relaxed);
    if (pipeline->queue)
        pd_queue_finish(pipeline->queue);
    if (pipeline->started)
        pthread_join(pipeline->scheduler, NULL);
    if (pipeline->engine)
        pd_engine_drain(pipeline->engine);
    pd_pool_destroy(pipeline->pool);
    pipeline->pool = NULL;
}

void pd_pipeline_destroy(struct pd_pipeline *pipeline)
{
    if (!pipeline)
        return;
    pd_pipeline_stop(pipeline);
    for (int i = 0; i < PD_PIPELINE_BATCHES; i++) {
        if (pipeline->flights[i])
            pd_engine_batch_finish(pipeline->engine, &pipeline->flights[i]->batch);
        free(pipeline->flights[i]);
    }
    pd_engine_close(pipeline->engine);
    pd_queue_destroy(pipeline->queue);
    pthread_cond_destroy(&pipeline->room);
    pthread_mutex_destroy(&pipeline->lock);
    free(pipeline);
}
