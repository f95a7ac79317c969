/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/pipeline.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"

#define ENGINE_FAILURES_MAX 10 /* batches of one engine in a row before it is given up */
#define TELL_EVERY_NS (10 * PD_NS_PER_S) /* an engine that fails now and then does not fill the log */

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

/* ---- batches going round ---- */

/* The lane for the next batch: that with the least to do, of equals the one that has waited longest. Lock held. */
static struct pd_lane *free_lane(struct pd_pipeline *p)
{
    struct pd_lane *best = NULL;
    for (int i = 0; i < p->n_lanes; i++) {
        struct pd_lane *lane = &p->lanes[i];
        if (!pd_lane_has_room(lane))
            continue;
        if (!best || lane->in_flight < best->in_flight ||
            (lane->in_flight == best->in_flight && lane->turn < best->turn))
            best = lane;
    }
    return best;
}

static void wait_for_room(struct pd_pipeline *p)
{
    pthread_mutex_lock(&p->lock);
    while (!free_lane(p))
        pthread_cond_wait(&p->room, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

/* After wait_for_room(); the choice is made now because while the queue gathered frames another lane may have ended. */
static struct pd_flight *get_flight(struct pd_pipeline *p)
{
    pthread_mutex_lock(&p->lock);
    struct pd_flight *f = pd_lane_get(free_lane(p));
    pthread_mutex_unlock(&p->lock);
    return f;
}

static void put_flight(struct pd_pipeline *p, struct pd_flight *f)
{
    pthread_mutex_lock(&p->lock);
    pd_lane_put(f);
    pthread_cond_signal(&p->room);
    pthread_mutex_unlock(&p->lock);
}

/* Frames of @f are about to be the engine's; until they are done, later ones of their cameras wait for them. */
static void enter_engine(struct pd_pipeline *p, struct pd_flight *f)
{
    pthread_mutex_lock(&p->lock);
    f->seats_left = f->batch.n;
    for (int i = 0; i < f->batch.n; i++) {
        f->seats[i].failed = false;
        pd_order_add(&p->order, &f->seats[i].order, f->seats[i].job.camera->index);
    }
    f->lane->turn = ++p->turn;
    pd_lane_enter(f->lane, pd_now_ns());
    pthread_mutex_unlock(&p->lock);
}

/* One frame has left its flight; lock held. */
static void leave_seat(struct pd_pipeline *p, struct pd_flight *f)
{
    if (--f->seats_left > 0)
        return;
    pd_lane_put(f);
    pthread_cond_signal(&p->room);
}

static void on_job_finished(struct pd_job *job, void *user)
{
    struct pd_pipeline *p = user;
    pthread_mutex_lock(&p->lock);
    leave_seat(p, job->slot->user);
    pthread_mutex_unlock(&p->lock);
}

/* The engine is done with @f, well or not: its frames go on to the pool as far as the order of their cameras allows,
 * and with them later ones that waited for them. */
static void leave_engine(struct pd_pipeline *p, struct pd_flight *f, bool failed)
{
    pthread_mutex_lock(&p->lock);
    if (!failed)
        f->lane->failures = 0;
    pd_lane_leave(f->lane, pd_now_ns());
    for (int i = 0, n = f->batch.n; i < n; i++) { /* the flight may go round again only after the last of them */
        f->seats[i].failed = failed;
        struct pd_order_entry *e = pd_order_finish(&p->order, &f->seats[i].order);
        for (struct pd_order_entry *next; e; e = next) {
            next = e->next;
            struct pd_seat *seat = PD_CONTAINER_OF(e, struct pd_seat, order);
            if (seat->failed)
                leave_seat(p, seat->job.slot->user);
            else
                pd_pool_push(p->pool, &seat->job);
        }
    }
    pthread_cond_signal(&p->room);
    pthread_mutex_unlock(&p->lock);
}

/* ---- batches coming back: an engine's thread, or the scheduler's for those that were never taken ---- */

/* What the frames of a failed batch held; the cameras are told when nothing of theirs is touched any more. */
static void fail_flight(struct pd_pipeline *p, struct pd_flight *f)
{
    struct pd_camera *cameras[PD_BATCH_MAX];
    int n = f->batch.n;
    for (int i = 0; i < n; i++) {
        pd_frame_unref(&f->batch.slot[i].frame);
        pd_mask_unref(f->seats[i].job.mask);
        cameras[i] = f->seats[i].job.camera;
    }
    leave_engine(p, f, true);
    for (int i = 0; i < n; i++)
        pd_camera_fail(cameras[i]);
}

static void tell_fatal(struct pd_pipeline *p, int status, const char *reason)
{
    struct pd_event *event = pd_event_new_patiently(PD_EVENT_FATAL, NULL);
    if (!event)
        return;
    event->status = status;
    snprintf(event->reason, sizeof(event->reason), "%.*s", (int)sizeof(event->reason) - 1, reason);
    pd_handoff_post(p->params.handoff, &event->item);
}

static void on_failed_batch(struct pd_pipeline *p, struct pd_lane *lane, const struct pd_batch *batch)
{
    if (batch->status == -ECANCELED)
        return;
    int64_t now = pd_now_ns();
    pthread_mutex_lock(&p->lock);
    bool fatal = ++lane->failures == ENGINE_FAILURES_MAX || batch->status == -ENODEV;
    bool tell = !lane->told_ns || now - lane->told_ns > TELL_EVERY_NS;
    if (tell)
        lane->told_ns = now;
    pthread_mutex_unlock(&p->lock);
    if (tell)
        pd_log_err("engine", "%s: a batch of %d failed, %llu so far: %s", pd_engine_caps(lane->engine)->device,
                   batch->n, (unsigned long long)pd_counted(&lane->failed_batches), batch->err.text);
    if (fatal)
        tell_fatal(p, batch->status, batch->err.text);
}

/* An engine that hands out something else than its network's maps has failed; nobody may look into them. */
static void check_maps(const struct pd_pipeline *p, struct pd_batch *batch)
{
    for (int i = 0; i < batch->n && batch->status == 0 && !pd_pipeline_caps(p)->candidates; i++) {
        const struct pd_maps *m = &batch->slot[i].maps;
        if (m->w != p->heat.w || m->h != p->heat.h || m->n_heat != p->heat.c || m->n_paf != p->paf.c)
            batch->status = pd_err_set(&batch->err, -EIO, "maps of %dx%d with %d and %d channels, expected %dx%d with "
                                       "%d and %d", m->w, m->h, m->n_heat, m->n_paf, p->heat.w, p->heat.h, p->heat.c,
                                       p->paf.c);
    }
}

static void on_batch_done(struct pd_batch *batch, void *user)
{
    struct pd_pipeline *p = user;
    check_maps(p, batch);
    struct pd_flight *f = PD_CONTAINER_OF(batch, struct pd_flight, batch);
    struct pd_lane *lane = f->lane;
    struct pd_stats *stats = p->params.stats;
    pd_stats_batch(stats, batch->n, batch->status);
    pd_count(&lane->batches, 1);
    if (batch->status < 0) {
        pd_count(&lane->failed_batches, 1);
        on_failed_batch(p, lane, batch);
        fail_flight(p, f);
        return;
    }
    pd_count(&lane->frames, (uint64_t)batch->n);
    pd_histogram_add(&stats->stage[PD_STAGE_SUBMIT], batch->started_ns - f->taken_ns);
    pd_histogram_add(&stats->stage[PD_STAGE_PREPROCESS], batch->preprocessed_ns - batch->started_ns);
    pd_histogram_add(&stats->stage[PD_STAGE_NETWORK], batch->done_ns - batch->preprocessed_ns);
    leave_engine(p, f, false);
}

/* ---- scheduler thread ---- */

/* Make @frame the next slot of @f; its camera hears of it when that cannot be. */
static void add_slot(struct pd_pipeline *p, struct pd_flight *f, struct pd_frame *frame)
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
    f->seats[i].job = (struct pd_job){.camera = camera, .slot = slot, .mask = pd_mask_ref(camera->mask)};
}

/* The engine did not take @f. A device that is lost may be noticed here first. */
static void refuse(struct pd_pipeline *p, struct pd_flight *f, int status)
{
    f->batch.status = status;
    if (!f->batch.err.text[0])
        pd_err_set(&f->batch.err, status, "the engine refused it: %s", strerror(-status));
    on_batch_done(&f->batch, p);
}

static void *schedule(void *user)
{
    struct pd_pipeline *p = user;
    struct pd_frame *frames[PD_BATCH_MAX];
    for (;;) {
        wait_for_room(p);
        int n = pd_queue_take(p->queue, frames);
        struct pd_flight *f = get_flight(p);
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
        enter_engine(p, f);
        int r = pd_engine_submit(f->lane->engine, &f->batch);
        if (r < 0)
            refuse(p, f, r);
    }
}

/* ---- start ---- */

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
    p->heat = shapes[net->heat];
    p->paf = shapes[net->paf];
    const struct pd_pool_params params = {
        .workers = PD_CLAMP(p->params.post_threads, 1, PD_POOL_WORKERS_MAX), .net = net,
        .max_w = p->heat.w, .max_h = p->heat.h, .candidates = pd_pipeline_caps(p)->candidates,
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

/* The next lane, on device @device. *@name: the engine asked for; afterwards the one that opened, even if it failed
 * then. */
static int add_lane(struct pd_pipeline *p, int device, const char **name, const char *after, struct pd_err *err)
{
    struct pd_lane *lane = &p->lanes[p->n_lanes];
    struct pd_engine_params params = p->params.engine_params;
    params.n_devices = PD_MIN(params.n_devices, 1);
    params.devices[0] = device;
    params.after = after;
    int r = pd_lane_open(lane, *name, p->params.net, &params, on_batch_done, p, err);
    const struct pd_engine_caps *caps = lane->engine ? pd_engine_caps(lane->engine) : NULL;
    if (caps)
        *name = caps->name;
    if (r < 0) {
        pd_lane_finish(lane);
        return r;
    }
    if (p->n_lanes++ == 0) {
        p->caps = *caps;
    } else {
        p->caps.max_batch = PD_MIN(p->caps.max_batch, caps->max_batch);
        p->caps.memory_bytes += caps->memory_bytes;
    }
    return 0;
}

/* An engine for each device; on those after the first the very one that the first got, whatever was asked for. Under
 * `auto` such a one that fails is left out: the first computes faster alone than the next engine would. */
static int add_lanes(struct pd_pipeline *p, const char **name, const char *after, struct pd_err *err)
{
    const struct pd_engine_params *params = &p->params.engine_params;
    const int wanted = PD_CLAMP(params->n_devices, 1, PD_DEVICES_MAX);
    const bool automatic = !strcmp(p->params.engine, "auto");
    for (int i = 0; i < wanted; i++) {
        int r = add_lane(p, params->devices[i], name, after, err);
        if (r < 0 && (!automatic || i == 0 || r == -EINVAL))
            return r;
        if (r < 0) {
            pd_log_warn("engine", "device %d is left out: %s", params->devices[i], err->text);
        } else if (!p->caps.per_device && wanted > 1) {
            pd_log_warn("engine", "%s computes on the CPU: `devices` means nothing to it", *name);
            break;
        }
    }
    return 0;
}

/* An engine that opens may still fail at its first batch. `auto` then takes the next, as it does when one does not
 * open, but for mistakes of the configuration, which are the same for all. No lane is open when it goes on. */
static int open_lanes(struct pd_pipeline *p, struct pd_err *err)
{
    const bool automatic = !strcmp(p->params.engine, "auto");
    const char *after = NULL;
    for (;;) {
        const char *name = p->params.engine;
        int r = add_lanes(p, &name, after, err);
        const bool opened = strcmp(name, "auto") != 0;
        if (r == 0 || r == -EINVAL || !automatic || !opened || !pd_engine_has_next(name))
            return r;
        pd_log_warn("engine", "%s cannot be used: %s; trying the next one", name, err->text);
        after = name;
    }
}

int pd_pipeline_open(const struct pd_pipeline_params *params, struct pd_pipeline **ret_pipeline, struct pd_err *err)
{
    static_assert(PD_DEVICES_MAX == PD_ARRAY_SIZE(params->engine_params.devices), "a lane for each device");
    struct pd_pipeline *p = calloc(1, sizeof(*p));
    if (!p)
        return pd_err_set(err, -ENOMEM, "out of memory");
    p->params = *params;
    p->width = params->engine_params.width;
    p->height = params->engine_params.height;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->room, NULL);
    int r = open_lanes(p, err);
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
    return &pipeline->caps;
}

int pd_pipeline_devices(const struct pd_pipeline *pipeline)
{
    return pipeline->n_lanes;
}

void pd_pipeline_get_device(struct pd_pipeline *pipeline, int i, struct pd_pipeline_device *ret_device)
{
    struct pd_lane *lane = &pipeline->lanes[i];
    pthread_mutex_lock(&pipeline->lock);
    int in_flight = lane->in_flight;
    pthread_mutex_unlock(&pipeline->lock);
    *ret_device = (struct pd_pipeline_device){
        .caps = pd_engine_caps(lane->engine),
        .frames = pd_counted(&lane->frames),
        .batches = pd_counted(&lane->batches),
        .failed_batches = pd_counted(&lane->failed_batches),
        .busy_ns = (int64_t)pd_counted(&lane->busy_ns),
        .in_flight = in_flight,
    };
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
    *ret_health = (struct pd_pipeline_health){.n_devices = pipeline->n_lanes};
    pthread_mutex_lock(&pipeline->lock);
    for (int i = 0; i < pipeline->n_lanes; i++) {
        const struct pd_lane *lane = &pipeline->lanes[i];
        ret_health->in_flight += lane->in_flight;
        ret_health->longest_ns = PD_MAX(ret_health->longest_ns, lane->longest_ns);
        ret_health->device[i].since_ns = lane->in_flight ? lane->submitted_ns[0] : 0;
        ret_health->device[i].longest_ns = lane->longest_ns;
    }
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
    for (int i = 0; i < pipeline->n_lanes; i++)
        if (pipeline->lanes[i].engine)
            pd_engine_drain(pipeline->lanes[i].engine);
    pd_pool_destroy(pipeline->pool);
    pipeline->pool = NULL;
}

void pd_pipeline_destroy(struct pd_pipeline *pipeline)
{
    if (!pipeline)
        return;
    pd_pipeline_stop(pipeline);
    for (int i = 0; i < pipeline->n_lanes; i++)
        pd_lane_finish(&pipeline->lanes[i]);
    pd_queue_destroy(pipeline->queue);
    pthread_cond_destroy(&pipeline->room);
    pthread_mutex_destroy(&pipeline->lock);
    free(pipeline);
}
