/* SPDX-License-Identifier: Apache-2.0 */
#include "decode/rotate.h"

#include <stdlib.h>
#include <string.h>

#include "core/util.h"

struct pd_orientation pd_orientation_exif(int value)
{
    static const struct pd_orientation table[9] = {
        [2] = {false, true, false}, [3] = {false, true, true}, [4] = {false, false, true}, [5] = {true, false, false},
        [6] = {true, true, false},  [7] = {true, true, true},  [8] = {true, false, true},
    };
    return value < 1 || value > 8 ? table[0] : table[value];
}

struct pd_orientation pd_orientation_matrix(const int32_t matrix[9])
{
    /* x' = a x + c y, y' = b x + d y */
    int64_t a = matrix[0], b = matrix[1], c = matrix[3], d = matrix[4];
    if (llabs(b) + llabs(c) > llabs(a) + llabs(d))
        return (struct pd_orientation){true, c < 0, b < 0};
    return (struct pd_orientation){false, a < 0, d < 0};
}

/* One plane of @px bytes a sample, @step bytes from sample to sample. @w, @h: of the result. */
struct plane {
    const uint8_t *src;
    int src_stride, step, px;
    uint8_t *dst;
    int dst_stride, w, h;
};

static void turn_plane(const struct plane *p, struct pd_orientation o)
{
    for (int y = 0; y < p->h; y++) {
        int sy = o.flip_y ? p->h - 1 - y : y;
        uint8_t *out = p->dst + (ptrdiff_t)y * p->dst_stride;
        for (int x = 0; x < p->w; x++, out += p->px) {
            int sx = o.flip_x ? p->w - 1 - x : x;
            const uint8_t *in = o.transpose ? p->src + (ptrdiff_t)sx * p->src_stride + (ptrdiff_t)sy * p->step
                                            : p->src + (ptrdiff_t)sy * p->src_stride + (ptrdiff_t)sx * p->step;
            for (int i = 0; i < p->px; i++)
                out[i] = in[i];
        }
    }
}

struct pd_frame *pd_frame_turn(const struct pd_frame *frame, struct pd_orientation o)
{
    if (frame->mem != PD_MEM_HOST || frame->format == PD_PIX_P010)
        return NULL;
    bool nv12 = frame->format == PD_PIX_NV12;
    bool packed = frame->format == PD_PIX_RGB24 || frame->format == PD_PIX_BGR24;
    int sx = nv12 ? 1 : frame->chroma_shift_x, sy = nv12 ? 1 : frame->chroma_shift_y;
    struct pd_frame *out = pd_frame_alloc(nv12 ? PD_PIX_YUV : frame->format, o.transpose ? frame->height : frame->width,
                                          o.transpose ? frame->width : frame->height, o.transpose ? sy : sx,
                                          o.transpose ? sx : sy);
    if (!out)
        return NULL;
    for (int i = 0; i < pd_frame_planes(out->format); i++) {
        bool uv = nv12 && i > 0;
        int px = packed ? 3 : 1;
        struct plane p = {
            .src = uv ? frame->plane[1] + (i - 1) : frame->plane[i],
            .src_stride = uv ? frame->stride[1] : frame->stride[i],
            .step = uv ? 2 : px,
            .px = px,
            .dst = (uint8_t *)out->plane[i],
            .dst_stride = out->stride[i],
            .w = pd_frame_plane_row_bytes(out, i) / px,
            .h = pd_frame_plane_rows(out, i),
        };
        turn_plane(&p, o);
    }
    out->camera = frame->camera;
    out->generation = frame->generation;
    out->seq = frame->seq;
    out->captured_us = frame->captured_us;
    out->arrived_ns = frame->arrived_ns;
    out->pts_us = frame->pts_us;
    out->time_source = frame->time_source;
    out->range = frame->range;
    out->matrix = frame->matrix;
    return out;
}
