/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "daemon/json_pose.h"

struct worker {
    struct pd_pool *pool;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t work;
    /* protected by lock */
    struct pd_job *first, **end;
    bool finish;
    /* the worker's own */
    struct pd_post *post;
    struct pd_people people;
    char line[PD_LINE_MAX];
};

struct pd_pool {
    struct pd_pool_params params;
    int n_workers;
    struct worker *workers[PD_POOL_WORKERS_MAX];
};

static int find_people(struct worker *w, const struct pd_job *job)
{
    const struct pd_post_params *post = &job->camera->config->post;
    return w->pool->params.candidates ? pd_post_assemble(w->post, job->slot->candidates, post, &w->people)
                                      : pd_post_run(w->post, &job->slot->maps, post, &w->people);
}

static struct pd_event *make_event(struct worker *w, const struct pd_job *job, int64_t now)
{
    const struct pd_frame *frame = job->slot->frame;
    const struct pd_pose_line pose = {
        .camera = job->camera->config->name, .seq = frame->seq, .timed = true, .time_us = frame->captured_us,
        .time_source = frame->time_source, .pts_us = frame->pts_us, .width = frame->width, .height = frame->height,
        .latency_ms = (double)(now - frame->arrived_ns) / 1e6, .people = &w->people,
    };
    size_t len = pd_json_pose(&pose, w->line);
    struct pd_event *event = pd_event_new(PD_EVENT_POSE, job->camera);
    struct pd_line *line = event ? pd_line_new(w->line, len) : NULL;
    if (!line) {
        free(event);
        return NULL;
    }
    event->seq = frame->seq;
    event->line = line;
    event->arrived_ns = frame->arrived_ns;
    event->posted_ns = now;
    return event;
}

static void do_job(struct worker *w, struct pd_job *job)
{
    struct pd_camera *camera = job->camera;
    struct pd_stats *stats = w->pool->params.stats;
    int64_t begin = pd_now_ns();
    struct pd_event *event = NULL;
    if (find_people(w, job) == 0) {
        pd_people_to_source(&w->people, &job->slot->lb);
        int64_t at_us = pd_motion_time(&camera->motion, job->slot->frame);
        if (camera->tracker)
            pd_tracker_update(camera->tracker, &w->people, at_us);
        if (camera->smoother)
            pd_smoother_update(camera->smoother, &w->people, at_us);
        pd_count(&stats->people, (uint64_t)w->people.n);
        pd_count(&stats->capped_peaks, w->people.capped_peaks);
        pd_count(&stats->capped_connections, w->people.capped_connections);
        pd_count(&stats->capped_people, w->people.capped_people);
        event = make_event(w, job, pd_now_ns());
    }
    pd_histogram_add(&stats->stage[PD_STAGE_POST], pd_now_ns() - begin);
    pd_frame_unref(&job->slot->frame);
    pd_mask_unref(job->mask);
    w->pool->params.finished(job, w->pool->params.user); /* job is not ours any more */
    if (event) {
        pd_count(&camera->published, 1);
        pd_handoff_post(w->pool->params.handoff, &event->item);
        pd_camera_settle(camera);
    } else {
        pd_camera_fail(camera);
    }
}

static void *run(void *user)
{
    struct worker *w = user;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (!w->first && !w->finish)
            pthread_cond_wait(&w->work, &w->lock);
        struct pd_job *job = w->first;
        if (!job)
            break;
        w->first = job->next;
        if (!w->first)
            w->end = &w->first;
        pthread_mutex_unlock(&w->lock);
        do_job(w, job);
        pthread_mutex_lock(&w->lock);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static int start_worker(struct pd_pool *pool, int i)
{
    struct worker *w = calloc(1, sizeof(*w));
    if (!w)
        return -ENOMEM;
    pool->workers[pool->n_workers++] = w;
    w->pool = pool;
    w->end = &w->first;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->work, NULL);
    const struct pd_net_meta *meta = &pool->params.net->meta;
    int r = pd_post_create(meta->skeleton, meta->limbs, pool->params.max_w, pool->params.max_h, &w->post);
    if (r < 0)
        return r;
    if (pthread_create(&w->thread, NULL, run, w))
        return -EAGAIN;
    w->started = true;
    char name[16];
    snprintf(name, sizeof(name), "post:%d", i);
    pthread_setname_np(w->thread, name);
    return 0;
}

int pd_pool_create(const struct pd_pool_params *params, struct pd_pool **ret_pool, struct pd_err *err)
{
    struct pd_pool *pool = calloc(1, sizeof(*pool));
    if (!pool)
        return pd_err_set(err, -ENOMEM, "out of memory");
    pool->params = *params;
    for (int i = 0; i < params->workers; i++) {
        int r = start_worker(pool, i);
        if (r < 0) {
            pd_pool_destroy(pool);
            return pd_err_set(err, r, "cannot start a post-processing worker: %s", strerror(-r));
        }
    }
    *ret_pool = pool;
    return 0;
}

void pd_pool_push(struct pd_pool *pool, struct pd_job *job)
{
    struct worker *w = pool->workers[job->camera->worker];
    job->next = NULL;
    pthread_mutex_lock(&w->lock);
    *w->end = job;
    w->end = &job->next;
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
}

void pd_pool_destroy(struct pd_pool *pool)
{
    if (!pool)
        return;
    for (int i = 0; i < pool->n_workers; i++) {
        struct worker *w = pool->workers[i];
        pthread_mutex_lock(&w->lock);
        w->finish = true;
        pthread_cond_signal(&w->work);
        pthread_mutex_unlock(&w->lock);
    }
    for (int i = 0; i < pool->n_workers; i++) {
        struct worker *w = pool->workers[i];
        if (w->started)
            pthread_join(w->thread, NULL);
        pd_post_destroy(w->post);
        pthread_cond_destroy(&w->work);
        pthread_mutex_destroy(&w->lock);
        free(w);
    }
    free(pool);
}
