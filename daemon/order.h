#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * The order of each camera's frames through several engines: a frame that is done waits for those of its own camera
 * that were taken before it, and for no other camera's.
 *
 * Pure data; the caller's lock.
 */
#include <stdbool.h>

#include "core/queue.h"

/* One frame under way, in memory of the caller's, from pd_order_add() until a pd_order_finish() returns it. */
struct pd_order_entry {
    struct pd_order_entry *next;
    int camera;
    bool finished;
};

struct pd_order {
    struct {
        struct pd_order_entry *first, *last;
    } line[PD_CAMERAS_MAX]; /* zeroed: nobody waits */
};

/* @entry is the newest of @camera (0..PD_CAMERAS_MAX - 1). */
void pd_order_add(struct pd_order *order, struct pd_order_entry *entry, int camera);
/* @entry is done. Returns the entries that may go on now, in order and linked by next; NULL when an earlier one of the
 * camera is still out. */
struct pd_order_entry *pd_order_finish(struct pd_order *order, struct pd_order_entry *entry);
