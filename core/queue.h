#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * The frame queue between decode threads and the scheduler: one slot per camera, one lock for all.
 *
 * Live cameras: the slot holds the newest frame; a newer one replaces it, and the drop is counted and told to
 * on_drop. Files: the slot is a short FIFO and push() waits, so nothing is dropped.
 *
 * The scheduler's rule, in words: a batch leaves when it is full; when every live camera that is up has a frame in it;
 * or when its oldest frame has waited batch_wait_ms since it was pushed. The cameras served longest ago go first, and a
 * camera gives at most one frame to a batch unless only file cameras have frames left. Nobody is waited for by name.
 * Time comes from a struct pd_clock, so tests step it.
 *
 * Threads: push from each camera's decode thread; take from the scheduler's; add/remove from the loop. */
#include <stdbool.h>

#include "core/clock.h"
#include "core/frame.h"

#define PD_CAMERAS_MAX 256

enum pd_queue_policy { PD_QUEUE_NEWEST, PD_QUEUE_LOSSLESS };

struct pd_queue;

struct pd_queue_stats {
    uint64_t pushed, dropped, taken;
    int depth;
};

struct pd_queue_params {
    int max_batch;         /* 1..32 */
    int64_t batch_wait_ns; /* 0: never wait */
    const struct pd_clock *clock; /* NULL: the system's */
    /* A live camera's frame was replaced before it was taken; under no lock, on the pushing thread. May be NULL. */
    void (*on_drop)(const struct pd_frame *frame, void *user);
    void *user;
};

struct pd_queue *pd_queue_create(const struct pd_queue_params *params); /* NULL: out of memory */
void pd_queue_destroy(struct pd_queue *q);                               /* releases frames still inside */

/* A camera index to push to. @depth: frames a lossless camera may have waiting (>= 1), ignored for newest.
 * Returns the index (>= 0; indices of removed cameras are reused only after their frames are gone) or -ENOSPC. */
int pd_queue_add(struct pd_queue *q, enum pd_queue_policy policy, int depth);
/* Drop the camera and its waiting frames (told to on_drop). Pushes to it fail from now on; a waiting push returns. */
void pd_queue_remove(struct pd_queue *q, int camera);
/* A camera that is not up (connecting, ended) is not waited for to complete a batch. New cameras are down. */
void pd_queue_set_up(struct pd_queue *q, int camera, bool up);

#define PD_QUEUE_E_DROPPED 1  /* an older frame was dropped to make room; @frame is in */
#define PD_QUEUE_E_FINISHED 2 /* the queue or camera is finished; the caller still owns @frame */
/* Takes @frame's reference on 0 and PD_QUEUE_E_DROPPED. Blocks only for lossless cameras. */
int pd_queue_push(struct pd_queue *q, int camera, struct pd_frame *frame);

/* Fill @frames (room for max_batch) with the next batch; waits for it. Returns how many (>= 1), or 0 when the queue is
 * finished and empty. The caller owns the references. Frames of one camera come in order. */
int pd_queue_take(struct pd_queue *q, struct pd_frame **frames);
/* The same without waiting: 0 when nothing is due at the clock's now; *ret_due_ns then says when something will be
 * (INT64_MAX: not before another push). For tests on a fake clock. */
int pd_queue_try_take(struct pd_queue *q, struct pd_frame **frames, int64_t *ret_due_ns);

/* No more pushes; take() drains what is there and then returns 0. */
void pd_queue_finish(struct pd_queue *q);
void pd_queue_set_wait(struct pd_queue *q, int64_t batch_wait_ns);
struct pd_queue_stats pd_queue_stats(struct pd_queue *q, int camera);
