/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "daemon/pipeline_impl.h"

#define ENGINE_FAILURES_MAX 10 /* batches of one engine in a row before it is given up */
#define TELL_EVERY_NS (10 * PD_NS_PER_S) /* an engine that fails now and then does not fill the log */

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
    f->refused = false;
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

void pd_pipeline_on_job_finished(struct pd_job *job, void *user)
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
    if (f->refused)
        pd_lane_withdraw(f->lane);
    else
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

void pd_pipeline_on_batch_done(struct pd_batch *batch, void *user)
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
    f->refused = true;
    f->batch.status = status;
    if (!f->batch.err.text[0])
        pd_err_set(&f->batch.err, status, "the engine refused it: %s", strerror(-status));
    pd_pipeline_on_batch_done(&f->batch, p);
}

void *pd_pipeline_schedule(void *user)
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
