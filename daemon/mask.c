/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/mask.h"

#include <math.h>
#include <string.h>

#include "core/util.h"

struct pd_mask *pd_mask_create(const struct pd_polygon *polygons, int n, const struct pd_letterbox *lb, int src_w,
                               int src_h)
{
    size_t size;
    if (pd_mul_overflows((size_t)lb->dst_w, (size_t)lb->dst_h, &size))
        return NULL;
    struct pd_mask *mask = calloc(1, sizeof(*mask) + size);
    if (!mask)
        return NULL;
    atomic_init(&mask->refs, 1);
    for (int y = 0; y < lb->in_h; y++) {
        float fx, fy;
        pd_letterbox_to_source(lb, 0, (float)y, &fx, &fy);
        fy = (fy + 0.5f) / (float)src_h;
        for (int p = 0; p < n; p++) {
            const struct pd_polygon *poly = &polygons[p];
            /* Where this row crosses the outline, from the left: inside is from the 1st to the 2nd, 3rd to 4th, ... */
            float cross[PD_POLYGON_POINTS_MAX];
            int crossings = 0;
            for (int i = 0, k = poly->n - 1; i < poly->n; k = i++) {
                if ((poly->y[i] > fy) == (poly->y[k] > fy))
                    continue;
                float x = poly->x[i] + (fy - poly->y[i]) * (poly->x[k] - poly->x[i]) / (poly->y[k] - poly->y[i]);
                int at = crossings++;
                for (; at > 0 && cross[at - 1] > x; at--)
                    cross[at] = cross[at - 1];
                cross[at] = x;
            }
            for (int i = 0; i + 1 < crossings; i += 2) {
                /* Share of the frame -> column: the inverse of pd_letterbox_to_source at the pixel's centre. */
                float left = (cross[i] * (float)src_w - (float)lb->roi.x) * lb->sx - 0.5f;
                float right = (cross[i + 1] * (float)src_w - (float)lb->roi.x) * lb->sx - 0.5f;
                int from = (int)ceilf(PD_CLAMP(left, 0.0f, (float)lb->in_w));
                int to = (int)ceilf(PD_CLAMP(right, 0.0f, (float)lb->in_w));
                if (to > from)
                    memset(mask->cover + (size_t)y * (size_t)lb->dst_w + from, 1, (size_t)(to - from));
            }
        }
    }
    return mask;
}

void pd_mask_unref(struct pd_mask *mask)
{
    if (mask && atomic_fetch_sub_explicit(&mask->refs, 1, memory_order_acq_rel) == 1)
        free(mask);
}
