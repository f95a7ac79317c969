/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/line.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static _Atomic size_t live_bytes;

struct pd_line *pd_line_new(const char *text, size_t len)
{
    struct pd_line *line = malloc(sizeof(*line) + len + 1);
    if (!line)
        return NULL;
    line->refs = 1;
    line->len = len;
    memcpy(line->text, text, len);
    line->text[len] = 0;
    atomic_fetch_add_explicit(&live_bytes, sizeof(*line) + len + 1, memory_order_relaxed);
    return line;
}

void pd_line_unref(struct pd_line *line)
{
    if (!line || --line->refs > 0)
        return;
    atomic_fetch_sub_explicit(&live_bytes, sizeof(*line) + line->len + 1, memory_order_relaxed);
    free(line);
}

size_t pd_line_live_bytes(void)
{
    return atomic_load_explicit(&live_bytes, memory_order_relaxed);
}
