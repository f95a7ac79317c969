#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * The time by which the people of a camera move, for tracking and smoothing: it must not step back while the stream
 * goes on, or everybody would be taken for somebody new.
 *
 * A file's is its own time, so that the speed of reading does not matter. A live camera's is that of capture as far as
 * it is known. But where that is only when a packet came in, frames that were sent out of order (B frames) have times
 * out of order, and a machine's clock may be put back: then the stream's own time tells how far apart two frames are.
 *
 * Pure data, one thread. Zeroed: no frame yet.
 */
#include <stdbool.h>

#include "core/frame.h"

struct pd_motion {
    bool any;
    uint32_t generation; /* of the last frame, like the rest */
    int64_t pts_us, at_us;
};

int64_t pd_motion_time(struct pd_motion *motion, const struct pd_frame *frame);
