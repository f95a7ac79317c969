/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/arena.h"

#include <string.h>

struct pd_arena_block {
    struct pd_arena_block *next;
    _Alignas(64) unsigned char data[];
};

bool pd_arena_charge(struct pd_arena *arena, size_t bytes)
{
    if (bytes > arena->limit - arena->used)
        return false;
    arena->used += bytes;
    return true;
}

void *pd_arena_alloc(struct pd_arena *arena, size_t n, size_t size)
{
    size_t bytes, total;
    if (pd_mul_overflows(n, size, &bytes) || pd_add_overflows(bytes, sizeof(struct pd_arena_block), &total))
        return NULL;
    if (!pd_arena_charge(arena, total))
        return NULL;
    struct pd_arena_block *b = pd_alloc_aligned(total);
    if (!b)
        return NULL;
    b->next = arena->blocks;
    arena->blocks = b;
    memset(b->data, 0, bytes);
    return b->data;
}

void pd_arena_finish(struct pd_arena *arena)
{
    while (arena->blocks) {
        struct pd_arena_block *b = arena->blocks;
        arena->blocks = b->next;
        free(b);
    }
    arena->used = 0;
}
