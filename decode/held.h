#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * The frames of one source that are still in use somewhere. A decoder on the GPU has a fixed number of surfaces, and
 * loses what it is given while others hold them all: whoever feeds it waits here instead.
 */
#include <stdbool.h>

#include "core/frame.h"

struct pd_held;

struct pd_held *pd_held_create(void); /* NULL: out of memory */
/* The owner's last call; what is still held may be released later. NULL is fine. */
void pd_held_destroy(struct pd_held *held);

/* Count @frame until it is released. */
void pd_held_add(struct pd_held *held, struct pd_frame *frame);
/* Wait until fewer than @max are held; false: cancelled. */
bool pd_held_wait(struct pd_held *held, int max);
/* Any thread: no waiting from now on. */
void pd_held_cancel(struct pd_held *held);
