/* SPDX-License-Identifier: Apache-2.0
 *
 * Cameras stand in a list, the one served longest ago first. A batch walks the list once and takes one frame of each
 * camera; if there is room left, only FIFOs of file cameras can still hold frames, and further walks take those. A
 * served camera goes to the end. A walk is a few hundred steps at most, so nothing cleverer is kept.
 */
#include "core/queue.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "core/util.h"

#define DEPTH_MAX 1024
#define WAIT_MAX_NS (3600 * PD_NS_PER_S)

struct camera {
    bool used;
    bool up;
    enum pd_queue_policy policy;
    int capacity;        /* of ring */
    int head, depth;     /* the ring's oldest frame, frames in it */
    int waiters;         /* pushes asleep on `space` */
    int prev, next;      /* order list, -1 at its ends */
    /* When the slot last went from empty to waiting. A newer frame that replaces a live camera's waiting one keeps it:
     * else a camera faster than batch_wait would push its own deadline away for ever. */
    int64_t waiting_since;
    struct waiting {
        struct pd_frame *frame;
        int64_t pushed_ns;
    } *ring;
    uint64_t pushed, dropped, taken;
    pthread_cond_t space;
};

struct pd_queue {
    int max_batch;
    const struct pd_clock *clock;
    void (*on_drop)(const struct pd_frame *frame, void *user);
    void *user;

    pthread_mutex_t lock;
    pthread_cond_t ready; /* the taker's: something became due, or will be earlier than thought */
    /* protected by lock */
    int64_t batch_wait_ns;
    bool finished;
    int frames;       /* waiting in all cameras */
    int first, last;  /* order list */
    int next_index;   /* where add() looks first, so that an index rests as long as possible before it is reused */
    struct camera camera[PD_CAMERAS_MAX];
};

/* ---- order list ---- */

static void list_remove(struct pd_queue *q, int i)
{
    struct camera *c = &q->camera[i];
    *(c->prev >= 0 ? &q->camera[c->prev].next : &q->first) = c->next;
    *(c->next >= 0 ? &q->camera[c->next].prev : &q->last) = c->prev;
}

static void list_append(struct pd_queue *q, int i)
{
    struct camera *c = &q->camera[i];
    c->prev = q->last;
    c->next = -1;
    *(q->last >= 0 ? &q->camera[q->last].next : &q->first) = i;
    q->last = i;
}

/* ---- create, destroy ---- */

static int init_sync(struct pd_queue *q)
{
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr))
        return -ENOMEM;
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    int rc = pthread_cond_init(&q->ready, &attr);
    pthread_condattr_destroy(&attr);
    if (rc)
        return -ENOMEM;
    pthread_mutex_init(&q->lock, NULL);
    for (int i = 0; i < PD_CAMERAS_MAX; i++)
        pthread_cond_init(&q->camera[i].space, NULL);
    return 0;
}

struct pd_queue *pd_queue_create(const struct pd_queue_params *params)
{
    struct pd_queue *q = calloc(1, sizeof(*q));
    if (!q)
        return NULL;
    q->max_batch = PD_CLAMP(params->max_batch, 1, PD_CAMERAS_MAX);
    q->batch_wait_ns = PD_CLAMP(params->batch_wait_ns, 0, WAIT_MAX_NS);
    q->clock = params->clock ? params->clock : &pd_clock_system;
    q->on_drop = params->on_drop;
    q->user = params->user;
    q->first = q->last = -1;
    if (init_sync(q)) {
        free(q);
        return NULL;
    }
    return q;
}

void pd_queue_destroy(struct pd_queue *q)
{
    if (!q)
        return;
    for (int i = 0; i < PD_CAMERAS_MAX; i++) {
        struct camera *c = &q->camera[i];
        for (int k = 0; k < c->depth; k++)
            pd_frame_unref(&c->ring[(c->head + k) % c->capacity].frame);
        free(c->ring);
        pthread_cond_destroy(&c->space);
    }
    pthread_cond_destroy(&q->ready);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

/* ---- cameras ---- */

static struct camera *lookup(struct pd_queue *q, int camera)
{
    return camera >= 0 && camera < PD_CAMERAS_MAX && q->camera[camera].used ? &q->camera[camera] : NULL;
}

static int free_index(const struct pd_queue *q)
{
    for (int k = 0; k < PD_CAMERAS_MAX; k++) {
        int i = (q->next_index + k) % PD_CAMERAS_MAX;
        if (!q->camera[i].used && !q->camera[i].waiters)
            return i;
    }
    return -ENOSPC;
}

int pd_queue_add(struct pd_queue *q, enum pd_queue_policy policy, int depth)
{
    int capacity = policy == PD_QUEUE_LOSSLESS ? PD_CLAMP(depth, 1, DEPTH_MAX) : 1;
    struct waiting *ring = calloc((size_t)capacity, sizeof(*ring));
    if (!ring)
        return -ENOMEM;
    pthread_mutex_lock(&q->lock);
    int i = free_index(q);
    if (i >= 0) {
        struct camera *c = &q->camera[i];
        free(c->ring);
        c->ring = ring;
        ring = NULL;
        c->used = true;
        c->up = false;
        c->policy = policy;
        c->capacity = capacity;
        c->head = c->depth = 0;
        c->pushed = c->dropped = c->taken = 0;
        list_append(q, i);
        q->next_index = (i + 1) % PD_CAMERAS_MAX;
    }
    pthread_mutex_unlock(&q->lock);
    free(ring);
    return i;
}

static void drop(struct pd_queue *q, struct pd_frame *frame)
{
    if (q->on_drop)
        q->on_drop(frame, q->user);
    pd_frame_unref(&frame);
}

void pd_queue_remove(struct pd_queue *q, int camera)
{
    pthread_mutex_lock(&q->lock);
    struct camera *c = lookup(q, camera);
    if (!c) {
        pthread_mutex_unlock(&q->lock);
        return;
    }
    struct waiting *ring = c->ring;
    int head = c->head, n = c->depth, capacity = c->capacity;
    c->ring = NULL;
    c->used = false;
    c->depth = 0;
    c->dropped += (uint64_t)n;
    q->frames -= n;
    list_remove(q, camera);
    pthread_cond_broadcast(&c->space);
    pthread_cond_signal(&q->ready); /* it may have been the one that the batch was not complete without */
    pthread_mutex_unlock(&q->lock);

    for (int k = 0; k < n; k++)
        drop(q, ring[(head + k) % capacity].frame);
    free(ring);
}

void pd_queue_set_up(struct pd_queue *q, int camera, bool up)
{
    pthread_mutex_lock(&q->lock);
    struct camera *c = lookup(q, camera);
    if (c && c->up != up) {
        c->up = up;
        pthread_cond_signal(&q->ready);
    }
    pthread_mutex_unlock(&q->lock);
}

/* ---- push ---- */

/* Wait for room in a file camera's FIFO. False when there will be none: the camera or the queue is finished. */
static bool wait_for_room(struct pd_queue *q, struct camera *c)
{
    while (c->used && !q->finished && c->depth == c->capacity) {
        c->waiters++;
        pthread_cond_wait(&c->space, &q->lock);
        c->waiters--;
    }
    return c->used && !q->finished;
}

static void put(struct pd_queue *q, struct camera *c, struct pd_frame *frame)
{
    int64_t now = pd_clock_now(q->clock);
    if (!c->depth)
        c->waiting_since = now;
    c->ring[(c->head + c->depth) % c->capacity] = (struct waiting){frame, now};
    c->depth++;
    c->pushed++;
    q->frames++;
}

int pd_queue_push(struct pd_queue *q, int camera, struct pd_frame *frame)
{
    struct pd_frame *old = NULL;
    pthread_mutex_lock(&q->lock);
    struct camera *c = lookup(q, camera);
    if (!c || q->finished || (c->policy == PD_QUEUE_LOSSLESS && !wait_for_room(q, c))) {
        pthread_mutex_unlock(&q->lock);
        return PD_QUEUE_E_FINISHED;
    }
    if (c->depth == c->capacity) {
        struct waiting *slot = &c->ring[c->head];
        old = slot->frame;
        *slot = (struct waiting){frame, pd_clock_now(q->clock)};
        c->pushed++;
        c->dropped++;
    } else {
        put(q, c, frame);
        pthread_cond_signal(&q->ready);
    }
    pthread_mutex_unlock(&q->lock);
    if (!old)
        return 0;
    drop(q, old);
    return PD_QUEUE_E_DROPPED;
}

/* ---- take ---- */

/* When the next batch is due: INT64_MIN for now, INT64_MAX for not before another push. Needs the lock. */
static int64_t due_at(const struct pd_queue *q)
{
    if (!q->frames)
        return INT64_MAX;
    if (q->finished || q->frames >= q->max_batch)
        return INT64_MIN;
    bool complete = true;
    int64_t oldest = INT64_MAX;
    for (int i = q->first; i >= 0; i = q->camera[i].next) {
        const struct camera *c = &q->camera[i];
        if (c->depth)
            oldest = PD_MIN(oldest, c->waiting_since);
        else if (c->up && c->policy == PD_QUEUE_NEWEST)
            complete = false;
    }
    return complete ? INT64_MIN : oldest + q->batch_wait_ns;
}

static struct pd_frame *get(struct pd_queue *q, int i)
{
    struct camera *c = &q->camera[i];
    struct pd_frame *frame = c->ring[c->head].frame;
    c->head = (c->head + 1) % c->capacity;
    c->depth--;
    c->taken++;
    q->frames--;
    if (c->depth)
        c->waiting_since = c->ring[c->head].pushed_ns;
    if (c->waiters)
        pthread_cond_signal(&c->space);
    list_remove(q, i);
    list_append(q, i);
    return frame;
}

static int fill(struct pd_queue *q, struct pd_frame **frames)
{
    int n = 0;
    while (n < q->max_batch && q->frames) {
        /* One walk: stop at the camera that was last when it began, as those served move behind it. */
        const int end = q->last;
        for (int i = q->first, next; n < q->max_batch; i = next) {
            next = q->camera[i].next;
            if (q->camera[i].depth)
                frames[n++] = get(q, i);
            if (i == end)
                break;
        }
    }
    return n;
}

int pd_queue_try_take(struct pd_queue *q, struct pd_frame **frames, int64_t *ret_due_ns)
{
    pthread_mutex_lock(&q->lock);
    int64_t due = due_at(q);
    int n = due <= pd_clock_now(q->clock) ? fill(q, frames) : 0;
    pthread_mutex_unlock(&q->lock);
    if (!n && ret_due_ns)
        *ret_due_ns = due;
    return n;
}

/* Sleep until woken or for @ns of the machine's clock, whatever clock the queue goes by. */
static void wait_ready(struct pd_queue *q, int64_t ns)
{
    int64_t until = pd_now_ns() + ns;
    struct timespec ts = {.tv_sec = until / PD_NS_PER_S, .tv_nsec = until % PD_NS_PER_S};
    pthread_cond_timedwait(&q->ready, &q->lock, &ts);
}

int pd_queue_take(struct pd_queue *q, struct pd_frame **frames)
{
    int n = 0;
    pthread_mutex_lock(&q->lock);
    while (!n) {
        int64_t due = due_at(q), now = pd_clock_now(q->clock);
        if (due <= now)
            n = fill(q, frames);
        else if (due == INT64_MAX && q->finished)
            break;
        else if (due == INT64_MAX)
            pthread_cond_wait(&q->ready, &q->lock);
        else
            wait_ready(q, due - now);
    }
    pthread_mutex_unlock(&q->lock);
    return n;
}

/* ---- the rest ---- */

void pd_queue_finish(struct pd_queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->finished = true;
    pthread_cond_broadcast(&q->ready);
    for (int i = q->first; i >= 0; i = q->camera[i].next)
        pthread_cond_broadcast(&q->camera[i].space);
    pthread_mutex_unlock(&q->lock);
}

void pd_queue_set_wait(struct pd_queue *q, int64_t batch_wait_ns)
{
    pthread_mutex_lock(&q->lock);
    q->batch_wait_ns = PD_CLAMP(batch_wait_ns, 0, WAIT_MAX_NS);
    pthread_cond_signal(&q->ready);
    pthread_mutex_unlock(&q->lock);
}

struct pd_queue_stats pd_queue_stats(struct pd_queue *q, int camera)
{
    struct pd_queue_stats stats = {0};
    if (camera < 0 || camera >= PD_CAMERAS_MAX)
        return stats;
    pthread_mutex_lock(&q->lock);
    const struct camera *c = &q->camera[camera];
    stats = (struct pd_queue_stats){.pushed = c->pushed, .dropped = c->dropped, .taken = c->taken, .depth = c->depth};
    pthread_mutex_unlock(&q->lock);
    return stats;
}
