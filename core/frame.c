/* SPDX-License-Identifier: Apache-2.0 */
#include "core/frame.h"

#include "core/util.h"

void pd_frame_unref(struct pd_frame **frame)
{
    struct pd_frame *f = *frame;
    *frame = NULL;
    if (!f || atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) != 1)
        return;
    void (*released)(void *user) = f->released;
    void *user = f->released_user;
    f->release(f);
    if (released)
        released(user);
}

int pd_frame_planes(enum pd_pix format)
{
    switch (format) {
    case PD_PIX_YUV:
        return 3;
    case PD_PIX_NV12:
    case PD_PIX_P010:
        return 2;
    case PD_PIX_RGB24:
    case PD_PIX_BGR24:
    case PD_PIX_GRAY8:
        return 1;
    }
    return 0;
}

/* Chroma planes round up: the last column of an odd width has its own chroma sample. */
static int chroma(int size, int shift)
{
    return (size + (1 << shift) - 1) >> shift;
}

int pd_frame_plane_row_bytes(const struct pd_frame *frame, int i)
{
    int w = frame->width;
    switch (frame->format) {
    case PD_PIX_YUV:
        return i == 0 ? w : chroma(w, frame->chroma_shift_x);
    case PD_PIX_NV12:
        return i == 0 ? w : 2 * chroma(w, 1);
    case PD_PIX_P010:
        return i == 0 ? 2 * w : 4 * chroma(w, 1);
    case PD_PIX_RGB24:
    case PD_PIX_BGR24:
        return 3 * w;
    case PD_PIX_GRAY8:
        return w;
    }
    return 0;
}

int pd_frame_plane_rows(const struct pd_frame *frame, int i)
{
    if (i == 0)
        return frame->height;
    return chroma(frame->height, frame->format == PD_PIX_YUV ? frame->chroma_shift_y : 1);
}

static void release_owned(struct pd_frame *frame)
{
    free(frame->opaque);
    free(frame);
}

/* Bytes after the last row: libswscale and other vector code read whole vectors and look past the end of it. */
#define TAIL 64

struct pd_frame *pd_frame_alloc(enum pd_pix format, int width, int height, int chroma_shift_x, int chroma_shift_y)
{
    if (width < 1 || height < 1 || width > PD_FRAME_SIDE_MAX || height > PD_FRAME_SIDE_MAX || chroma_shift_x < 0 ||
        chroma_shift_x > 2 || chroma_shift_y < 0 || chroma_shift_y > 2)
        return NULL;
    struct pd_frame *f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    atomic_init(&f->refs, 1);
    f->format = format;
    f->width = width;
    f->height = height;
    f->chroma_shift_x = chroma_shift_x;
    f->chroma_shift_y = chroma_shift_y;
    f->pts_us = PD_PTS_NONE;
    f->release = release_owned;

    size_t total = 0, offset[3] = {0};
    for (int i = 0; i < pd_frame_planes(format); i++) {
        f->stride[i] = (pd_frame_plane_row_bytes(f, i) + 63) & ~63;
        offset[i] = total;
        total += (size_t)f->stride[i] * (size_t)pd_frame_plane_rows(f, i);
    }
    uint8_t *mem = pd_alloc_aligned(total + TAIL);
    if (!mem) {
        free(f);
        return NULL;
    }
    f->opaque = mem;
    for (int i = 0; i < pd_frame_planes(format); i++)
        f->plane[i] = mem + offset[i];
    return f;
}
