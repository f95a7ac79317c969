#pragma once
/* SPDX-License-Identifier: Apache-2.0 - writes down what a source tells, for tests that wait for it. */
#include <pthread.h>
#include <stdatomic.h>

#include "decode/source.h"

#define EVENTS_MAX 64

/* Fields are read freely once the source is destroyed, and states[] up to an index that record_wait_state returned. */
struct record {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum pd_source_state states[EVENTS_MAX];
    char reasons[EVENTS_MAX][512];
    double retry_s[EVENTS_MAX];
    int64_t state_ns[EVENTS_MAX];
    int n_states;
    int frames;
    uint64_t last_seq;
    uint32_t last_generation;
    int64_t first_ns, last_ns;
    int64_t captured_us;             /* of the last frame */
    enum pd_time_source time_source;
    int width;
    bool in_order;
    _Atomic bool block; /* frames wait in the sink */
    /* Looks at each frame, under the lock; set with record_start_looking. */
    void (*look)(struct record *r, const struct pd_frame *frame);
    void *look_user;
};

/* Start a source as camera 3. Fails the test when it cannot. */
struct pd_source *record_start(struct record *r, const struct pd_source_config *config);
struct pd_source *record_start_looking(struct record *r, const struct pd_source_config *config,
                                       void (*look)(struct record *r, const struct pd_frame *frame), void *user);
/* Wait until the @count-th time of @state; its place in the record. Fails the test after a minute. */
int record_wait_state(struct record *r, enum pd_source_state state, int count);
/* Wait until @count frames in all. Fails the test after a minute. */
void record_wait_frames(struct record *r, int count);
/* Wait until @count more came. */
void record_wait_more(struct record *r, int count);
/* Ends the source; seconds that it took. */
double record_destroy(struct pd_source *source);
/* A bound in seconds for something that takes less: more of them where a sanitizer makes everything slow. */
double record_bound(double seconds);
