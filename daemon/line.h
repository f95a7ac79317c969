#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * A finished line of the wire, newline included, made once and shared by every subscriber that gets it.
 *
 * Made on any thread; from the moment it is handed to the loop its references are counted on the loop thread alone, so
 * the count is a plain integer. The bytes are read-only after creation.
 */
#include <stddef.h>

struct pd_line {
    int refs;
    size_t len;
    char text[]; /* len bytes, the last is '\n'; then a 0 for debuggers and tests */
};

/* A copy of @len bytes with one reference. NULL: out of memory. */
struct pd_line *pd_line_new(const char *text, size_t len);

static inline struct pd_line *pd_line_ref(struct pd_line *line)
{
    line->refs++;
    return line;
}

/* NULL is fine. */
void pd_line_unref(struct pd_line *line);

/* Bytes of all lines alive in the process: what slow subscribers really cost. Any thread. */
size_t pd_line_live_bytes(void);
