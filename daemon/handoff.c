/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/handoff.h"

#include <errno.h>

int pd_handoff_init(struct pd_handoff *h, uv_loop_t *loop, int capacity, void (*wake)(uv_async_t *async))
{
    h->capacity = capacity;
    h->first = NULL;
    h->end = &h->first;
    h->n = 0;
    h->open = false;
    if (uv_mutex_init(&h->lock))
        return -ENOMEM;
    if (uv_cond_init(&h->space)) {
        uv_mutex_destroy(&h->lock);
        return -ENOMEM;
    }
    int r = uv_async_init(loop, &h->async, wake);
    if (r < 0) {
        uv_cond_destroy(&h->space);
        uv_mutex_destroy(&h->lock);
    }
    return r; /* libuv's codes are negative errnos on Unix */
}

void pd_handoff_post(struct pd_handoff *h, struct pd_handoff_item *item)
{
    item->next = NULL;
    uv_mutex_lock(&h->lock);
    while (h->n >= h->capacity && !h->open)
        uv_cond_wait(&h->space, &h->lock);
    *h->end = item;
    h->end = &item->next;
    h->n++;
    uv_mutex_unlock(&h->lock);
    uv_async_send(&h->async);
}

struct pd_handoff_item *pd_handoff_take(struct pd_handoff *h)
{
    uv_mutex_lock(&h->lock);
    struct pd_handoff_item *first = h->first;
    h->first = NULL;
    h->end = &h->first;
    h->n = 0;
    uv_cond_broadcast(&h->space);
    uv_mutex_unlock(&h->lock);
    return first;
}

void pd_handoff_open_gates(struct pd_handoff *h)
{
    uv_mutex_lock(&h->lock);
    h->open = true;
    uv_cond_broadcast(&h->space);
    uv_mutex_unlock(&h->lock);
}

void pd_handoff_close(struct pd_handoff *h, uv_close_cb closed)
{
    uv_close((uv_handle_t *)&h->async, closed);
}

void pd_handoff_finish(struct pd_handoff *h)
{
    uv_cond_destroy(&h->space);
    uv_mutex_destroy(&h->lock);
}
