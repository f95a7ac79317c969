#pragma once
/* SPDX-License-Identifier: Apache-2.0 - what the readers of protocol buffers share. Private to core/net. */
#include <protobuf-c/protobuf-c.h>

#include "core/net/arena.h"

static inline void *pd_proto_alloc(void *arena, size_t size)
{
    return pd_arena_charge(arena, size) ? malloc(size) : NULL;
}

static inline void pd_proto_free(void *arena, void *p)
{
    free(p);
}

/* Memory from malloc(), charged to @arena; NULL is fine when nothing but releasing will be done. */
static inline ProtobufCAllocator pd_proto_allocator(struct pd_arena *arena)
{
    return (ProtobufCAllocator){.alloc = pd_proto_alloc, .free = pd_proto_free, .allocator_data = arena};
}
