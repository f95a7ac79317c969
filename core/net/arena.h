#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory that lives as long as the reading of one file, with a budget: whatever a file says, lowering it cannot take
 * more than a small multiple of the file's own size. One thread.
 */
#include "core/util.h"

struct pd_arena {
    struct pd_arena_block *blocks;
    size_t used, limit;
};

static inline void pd_arena_init(struct pd_arena *arena, size_t limit)
{
    *arena = (struct pd_arena){.limit = limit};
}

/* Zeroed memory for @n objects of @size bytes, aligned to 64. NULL: over budget, or out of memory. */
void *pd_arena_alloc(struct pd_arena *arena, size_t n, size_t size);
/* Count memory that somebody else holds. False when it is over budget. */
bool pd_arena_charge(struct pd_arena *arena, size_t bytes);
void pd_arena_finish(struct pd_arena *arena);
