#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * A progress bar on one line of a terminal: how far, how fast, how long still. Silent when standard error is not a
 * terminal. One thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pd_progress {
    bool on;
    int width;            /* columns */
    int64_t started_ns, drawn_ns;
    uint64_t done;
    int64_t total;        /* 0: unknown */
    char name[64];
};

/* @quiet: never draw. */
void pd_progress_start(struct pd_progress *p, bool quiet);
/* The input that is read now, and the frames expected of all inputs so far (0: unknown). */
void pd_progress_input(struct pd_progress *p, const char *name, int64_t total);
/* @n more frames are done; redrawn ten times a second at most. */
void pd_progress_add(struct pd_progress *p, uint64_t n, int64_t now_ns);
/* Wipe the line, so that something else can be printed. */
void pd_progress_clear(struct pd_progress *p);

/* The line without its carriage return; for tests. */
void pd_progress_text(const struct pd_progress *p, int64_t now_ns, char *text, size_t size);
