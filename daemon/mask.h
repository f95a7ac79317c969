#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * A camera's masked areas, drawn at the network's size for one geometry. Shared by the batches under way with it, so a
 * change of the picture's size needs to wait for nobody. Reference counting is safe from any thread.
 */
#include <stdatomic.h>
#include <stdint.h>

#include "core/letterbox.h"
#include "daemon/config.h"

struct pd_mask {
    _Atomic int refs;
    uint8_t cover[]; /* dst_w x dst_h, 1 where nothing shall be seen */
};

/* A sample is covered when its centre lies in one of the polygons (even-odd rule), which are given as shares of the
 * frame of @src_w x @src_h. One reference; NULL: out of memory. */
struct pd_mask *pd_mask_create(const struct pd_polygon *polygons, int n, const struct pd_letterbox *lb, int src_w,
                               int src_h);
static inline struct pd_mask *pd_mask_ref(struct pd_mask *mask)
{
    if (mask)
        atomic_fetch_add_explicit(&mask->refs, 1, memory_order_relaxed);
    return mask;
}
void pd_mask_unref(struct pd_mask *mask); /* NULL is fine */
