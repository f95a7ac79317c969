#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * The pose line, written by hand because it is the only line made for every frame. Part of json.h, apart from it so
 * that offline commands can write the same line without the rest of the protocol. Pure function, any thread.
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/frame.h"
#include "core/pose.h"

/* No server line is longer, newline included. People that would not fit are left out, weakest first, and counted. */
#define PD_LINE_MAX 65536

struct pd_pose_line {
    const char *camera;              /* NULL: left out */
    const char *file;                /* NULL: left out; the input's name, for offline use */
    uint64_t seq;
    bool timed;                      /* false: "time" and "clock" are left out */
    int64_t time_us;                 /* UTC, microseconds since 1970 */
    enum pd_time_source time_source;
    int64_t pts_us;                  /* PD_PTS_NONE: "pts" is null */
    int width, height;
    double latency_ms;               /* < 0: left out */
    const struct pd_people *people;  /* source pixels */
};

/* Write the line, newline included, to @buf. Returns its length, at most PD_LINE_MAX. Any float may be in @pose: a
 * keypoint that is not finite is null, a score that is not finite is 0, coordinates are clamped to +-1e6. Names are
 * made valid UTF-8 (bad bytes become U+FFFD) and cut at 4 KiB. */
size_t pd_json_pose(const struct pd_pose_line *pose, char buf[static PD_LINE_MAX]);

/* "2026-11-23T05:33:12.345678Z"; years 1970..9999, others are clamped. Writes 27 characters and a 0. */
#define PD_TIME_TEXT 28
void pd_time_text(int64_t us, char text[static PD_TIME_TEXT]);
