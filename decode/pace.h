#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Which frames of a source are handed on and when: max_fps, playing a file at its own speed, and the rate that comes
 * out. Pure functions of frames and times; one thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/frame.h"
#include "decode/reader_impl.h"

struct pd_pace {
    bool realtime;  /* handed on at the stream's own rate */
    double max_fps; /* 0: all */
    double fps;     /* nominal, 0 unknown */
    uint64_t skipped;
    int64_t next_us;   /* max_fps: a frame before this stream time is skipped */
    bool any;          /* next_us is set */
    int64_t origin_ns; /* realtime: the monotonic time of stream time 0, 0 not set */
    int64_t last_us;   /* stream time of the last frame */
    uint64_t count;    /* frames seen since the start */
};

void pd_pace_init(struct pd_pace *pace, bool realtime, double max_fps, double fps);
/* The input starts again: its times jump back, the rhythm goes on. */
void pd_pace_restart(struct pd_pace *pace);
/* Whether @frame is handed on; counts it otherwise. Call once for every frame, in order. */
bool pd_pace_keep(struct pd_pace *pace, const struct pd_frame *frame);
/* When to hand it on (monotonic), 0: at once. After a stall the lost time is not made up by rushing: later frames keep
 * their distance from the first late one only when it is over a second behind. */
int64_t pd_pace_due_ns(struct pd_pace *pace, const struct pd_frame *frame, int64_t now_ns);

/* What of a live stream has to be decoded for its max_fps: keyframes alone where they come often enough (4 % of the
 * work), everything but unreferenced frames where every second one is skipped anyway, else all. @key_interval_us: 0
 * unknown. To be applied right after a frame: in keyframe mode that frame is a keyframe, the next ones refer to it. */
enum pd_discard pd_pace_discard(const struct pd_pace *pace, int64_t key_interval_us);

/* Frames a second over the last ones. */
#define PD_RATE_FRAMES 64
struct pd_rate {
    int64_t at_ns[PD_RATE_FRAMES];
    uint64_t n;
};
double pd_rate_add(struct pd_rate *rate, int64_t now_ns);
double pd_rate_get(const struct pd_rate *rate, int64_t now_ns);
