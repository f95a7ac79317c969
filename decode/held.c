/* SPDX-License-Identifier: Apache-2.0 */
#include "decode/held.h"

#include <pthread.h>
#include <stdlib.h>

struct pd_held {
    pthread_mutex_t lock;
    pthread_cond_t fewer;
    /* protected by lock */
    int frames;
    bool owned; /* pd_held_destroy() has not run: the last frame frees it after that */
    bool cancelled;
};

struct pd_held *pd_held_create(void)
{
    struct pd_held *held = calloc(1, sizeof(*held));
    if (!held)
        return NULL;
    pthread_mutex_init(&held->lock, NULL);
    pthread_cond_init(&held->fewer, NULL);
    held->owned = true;
    return held;
}

/* Called with the lock, which it gives back. */
static void unlock_or_free(struct pd_held *held)
{
    bool last = !held->owned && held->frames == 0;
    pthread_mutex_unlock(&held->lock);
    if (!last)
        return;
    pthread_cond_destroy(&held->fewer);
    pthread_mutex_destroy(&held->lock);
    free(held);
}

void pd_held_destroy(struct pd_held *held)
{
    if (!held)
        return;
    pthread_mutex_lock(&held->lock);
    held->owned = false;
    unlock_or_free(held);
}

static void on_released(void *user)
{
    struct pd_held *held = user;
    pthread_mutex_lock(&held->lock);
    held->frames--;
    pthread_cond_signal(&held->fewer);
    unlock_or_free(held);
}

void pd_held_add(struct pd_held *held, struct pd_frame *frame)
{
    frame->released = on_released;
    frame->released_user = held;
    pthread_mutex_lock(&held->lock);
    held->frames++;
    pthread_mutex_unlock(&held->lock);
}

bool pd_held_wait(struct pd_held *held, int max)
{
    pthread_mutex_lock(&held->lock);
    while (held->frames >= max && !held->cancelled)
        pthread_cond_wait(&held->fewer, &held->lock);
    bool go_on = !held->cancelled;
    pthread_mutex_unlock(&held->lock);
    return go_on;
}

void pd_held_cancel(struct pd_held *held)
{
    pthread_mutex_lock(&held->lock);
    held->cancelled = true;
    pthread_cond_signal(&held->fewer);
    pthread_mutex_unlock(&held->lock);
}
