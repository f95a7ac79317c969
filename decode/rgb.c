/* SPDX-License-Identifier: Apache-2.0 */
#include <libavutil/frame.h>
#include <libavutil/hwcontext.h>
#include <libswscale/swscale.h>

#include "decode/avframe.h"
#include "decode/writer.h"

static enum AVPixelFormat av_format(const struct pd_frame *f)
{
    static const enum AVPixelFormat yuv[3][3] = {
        {AV_PIX_FMT_YUV444P, AV_PIX_FMT_YUV440P, AV_PIX_FMT_NONE},
        {AV_PIX_FMT_YUV422P, AV_PIX_FMT_YUV420P, AV_PIX_FMT_NONE},
        {AV_PIX_FMT_YUV411P, AV_PIX_FMT_NONE, AV_PIX_FMT_YUV410P},
    };
    switch (f->format) {
    case PD_PIX_YUV:
        return yuv[PD_CLAMP(f->chroma_shift_x, 0, 2)][PD_CLAMP(f->chroma_shift_y, 0, 2)];
    case PD_PIX_NV12:
        return AV_PIX_FMT_NV12;
    case PD_PIX_P010:
        return AV_PIX_FMT_P010LE;
    case PD_PIX_RGB24:
        return AV_PIX_FMT_RGB24;
    case PD_PIX_BGR24:
        return AV_PIX_FMT_BGR24;
    case PD_PIX_GRAY8:
        return AV_PIX_FMT_GRAY8;
    }
    return AV_PIX_FMT_NONE;
}

static int sws_matrix(enum pd_matrix matrix)
{
    switch (matrix) {
    case PD_MATRIX_BT709:
        return SWS_CS_ITU709;
    case PD_MATRIX_BT2020:
        return SWS_CS_BT2020;
    case PD_MATRIX_BT601:
        break;
    }
    return SWS_CS_ITU601;
}

/* Grey of studio range: libswscale takes all grey for full range. */
static void stretch(struct pd_frame *rgb)
{
    for (int y = 0; y < rgb->height; y++) {
        uint8_t *p = (uint8_t *)rgb->plane[0] + (ptrdiff_t)y * rgb->stride[0];
        for (int x = 0; x < 3 * rgb->width; x++) {
            int v = ((p[x] - 16) * 255 + 109) / 219;
            p[x] = (uint8_t)PD_CLAMP(v, 0, 255);
        }
    }
}

static struct pd_frame *convert(const struct pd_frame *f, enum AVPixelFormat from, const uint8_t *const planes[4],
                                const int strides[4])
{
    struct SwsContext *sws =
        sws_getContext(f->width, f->height, from, f->width, f->height, AV_PIX_FMT_RGB24,
                       SWS_BILINEAR | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT, NULL, NULL, NULL);
    struct pd_frame *rgb = sws ? pd_frame_alloc(PD_PIX_RGB24, f->width, f->height, 0, 0) : NULL;
    if (rgb) {
        const int *in = sws_getCoefficients(sws_matrix(f->matrix)), *out = sws_getCoefficients(SWS_CS_DEFAULT);
        sws_setColorspaceDetails(sws, in, f->range == PD_RANGE_FULL, out, 1, 0, 1 << 16, 1 << 16);
        uint8_t *dst[4] = {(uint8_t *)rgb->plane[0]};
        const int dst_stride[4] = {rgb->stride[0]};
        if (sws_scale(sws, planes, strides, 0, f->height, dst, dst_stride) != f->height)
            pd_frame_unref(&rgb);
    }
    sws_freeContext(sws);
    return rgb;
}

/* Surfaces of the GPU come down first; only decode/ can make them, so the AVFrame is there. */
static struct pd_frame *download(const struct pd_frame *f)
{
    const AVFrame *av = pd_frame_avframe(f);
    AVFrame *host = av ? av_frame_alloc() : NULL;
    struct pd_frame *rgb = NULL;
    if (host && av_hwframe_transfer_data(host, av, 0) >= 0) {
        host->crop_left = av->crop_left;
        host->crop_top = av->crop_top;
        if (av_frame_apply_cropping(host, AV_FRAME_CROP_UNALIGNED) >= 0)
            rgb = convert(f, host->format, (const uint8_t *const *)host->data, host->linesize);
    }
    av_frame_free(&host);
    return rgb;
}

struct pd_frame *pd_frame_to_rgb(const struct pd_frame *f)
{
    struct pd_frame *rgb;
    if (f->mem == PD_MEM_CUDA) {
        rgb = download(f);
    } else {
        enum AVPixelFormat from = av_format(f);
        const uint8_t *const planes[4] = {f->plane[0], f->plane[1], f->plane[2], NULL};
        const int strides[4] = {f->stride[0], f->stride[1], f->stride[2], 0};
        rgb = from == AV_PIX_FMT_NONE ? NULL : convert(f, from, planes, strides);
    }
    if (!rgb)
        return NULL;
    if (f->format == PD_PIX_GRAY8 && f->range == PD_RANGE_LIMITED)
        stretch(rgb);
    rgb->camera = f->camera;
    rgb->generation = f->generation;
    rgb->seq = f->seq;
    rgb->captured_us = f->captured_us;
    rgb->arrived_ns = f->arrived_ns;
    rgb->pts_us = f->pts_us;
    rgb->time_source = f->time_source;
    rgb->range = PD_RANGE_FULL;
    return rgb;
}
