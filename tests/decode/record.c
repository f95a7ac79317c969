/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "tests/decode/record.h"

#define PATIENCE_S 60

static void record_init(struct record *r)
{
    memset(r, 0, sizeof(*r));
    pthread_mutex_init(&r->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&r->changed, &attr);
    pthread_condattr_destroy(&attr);
    r->in_order = true;
}

static void on_frame(struct pd_frame *frame, void *user)
{
    struct record *r = user;
    while (atomic_load(&r->block))
        usleep(1000);
    pthread_mutex_lock(&r->lock);
    r->in_order &= frame->seq == r->last_seq + 1 && frame->camera == 3 && frame->generation >= r->last_generation;
    r->last_seq = frame->seq;
    r->captured_us = frame->captured_us;
    r->time_source = frame->time_source;
    r->width = frame->width;
    r->last_generation = frame->generation;
    r->last_ns = pd_now_ns();
    if (!r->frames)
        r->first_ns = r->last_ns;
    r->frames++;
    if (r->look)
        r->look(r, frame);
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
    pd_frame_unref(&frame);
}

static void on_state(enum pd_source_state state, const char *reason, double retry_s, void *user)
{
    struct record *r = user;
    pthread_mutex_lock(&r->lock);
    if (r->n_states < EVENTS_MAX) {
        int i = r->n_states++;
        r->states[i] = state;
        snprintf(r->reasons[i], sizeof(r->reasons[i]), "%s", reason);
        r->retry_s[i] = retry_s;
        r->state_ns[i] = pd_now_ns();
    }
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

struct pd_source *record_start_looking(struct record *r, const struct pd_source_config *config,
                                       void (*look)(struct record *r, const struct pd_frame *frame), void *user)
{
    record_init(r);
    r->look = look;
    r->look_user = user;
    struct pd_source *source;
    struct pd_err err = {""};
    const struct pd_source_sink sink = {on_frame, on_state, r};
    if (pd_source_start(config, 3, &sink, &source, &err) < 0)
        fail_msg("%s", err.text);
    return source;
}

struct pd_source *record_start(struct record *r, const struct pd_source_config *config)
{
    return record_start_looking(r, config, NULL, NULL);
}

int record_wait_state(struct record *r, enum pd_source_state state, int count)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&r->lock);
    int at = -1;
    while (at < 0) {
        int seen = 0;
        for (int i = 0; i < r->n_states && at < 0; i++)
            if (r->states[i] == state && ++seen == count)
                at = i;
        if (at < 0 && pthread_cond_timedwait(&r->changed, &r->lock, &until) == ETIMEDOUT)
            break;
    }
    pthread_mutex_unlock(&r->lock);
    if (at < 0)
        fail_msg("state %s did not come in %d s", pd_source_state_name(state), PATIENCE_S);
    return at;
}

void record_wait_frames(struct record *r, int count)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&r->lock);
    while (r->frames < count)
        if (pthread_cond_timedwait(&r->changed, &r->lock, &until) == ETIMEDOUT)
            break;
    int frames = r->frames;
    pthread_mutex_unlock(&r->lock);
    if (frames < count)
        fail_msg("%d of %d frames in %d s", frames, count, PATIENCE_S);
}

void record_wait_more(struct record *r, int count)
{
    pthread_mutex_lock(&r->lock);
    int frames = r->frames;
    pthread_mutex_unlock(&r->lock);
    record_wait_frames(r, frames + count);
}

double record_destroy(struct pd_source *source)
{
    int64_t from = pd_now_ns();
    pd_source_destroy(source);
    return (double)(pd_now_ns() - from) / (double)PD_NS_PER_S;
}

double record_bound(double seconds)
{
    return getenv("POSED_SANITIZED") ? seconds + 6 : seconds;
}
