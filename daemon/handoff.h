#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * The only way from a thread into the loop: a bounded list under a mutex, and uv_async_send().
 *
 * libuv folds any number of sends into one callback, so the callback takes the whole list, detached under the lock and
 * worked through outside it. A full list makes the posting thread wait, which in turn fills the frame queue, where live
 * cameras drop their oldest frame: pressure ends where frames are cheapest. The loop itself never posts.
 */
#include <stdbool.h>

#include <uv.h>

struct pd_handoff_item {
    struct pd_handoff_item *next;
};

struct pd_handoff {
    /* set at init, then read-only */
    uv_async_t async;
    int capacity;

    uv_mutex_t lock;
    uv_cond_t space;
    /* protected by lock */
    struct pd_handoff_item *first, **end;
    int n;
    bool open;
};

/* @wake runs on the loop thread after posts; it is to call pd_handoff_take(). Returns 0 or a negative errno. */
int pd_handoff_init(struct pd_handoff *h, uv_loop_t *loop, int capacity, void (*wake)(uv_async_t *async));
/* Any thread but the loop's. Waits while the list is full. Takes @item; after pd_handoff_open_gates() never waits. */
void pd_handoff_post(struct pd_handoff *h, struct pd_handoff_item *item);
/* Loop thread: everything posted so far, oldest first, NULL when there is nothing. */
struct pd_handoff_item *pd_handoff_take(struct pd_handoff *h);
/* From now on nobody waits: for shutdown, when the loop no longer takes regularly. */
void pd_handoff_open_gates(struct pd_handoff *h);
/* Close the async handle; once its close callback has run, finish may be called. */
void pd_handoff_close(struct pd_handoff *h, uv_close_cb closed);
void pd_handoff_finish(struct pd_handoff *h);
