/* SPDX-License-Identifier: Apache-2.0 */
#include "decode/avframe.h"

#include <errno.h>
#include <string.h>

#include <libavcodec/codec_id.h>
#include <libavutil/frame.h>
#include <libavutil/hwcontext.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>

#include "decode/av.h"

void pd_converter_finish(struct pd_converter *converter)
{
    sws_freeContext(converter->sws);
    converter->sws = NULL;
}

struct layout {
    enum pd_pix format;
    int shift_x, shift_y;
    bool jpeg_range; /* one of FFmpeg's yuvj formats, which are full range by their name */
};

/* False: not one of ours, it has to be converted. */
static bool direct_layout(enum AVPixelFormat format, struct layout *ret_layout)
{
    switch (format) {
    case AV_PIX_FMT_YUVJ420P:
    case AV_PIX_FMT_YUVJ422P:
    case AV_PIX_FMT_YUVJ444P:
    case AV_PIX_FMT_YUVJ440P:
    case AV_PIX_FMT_YUVJ411P:
    case AV_PIX_FMT_YUV420P:
    case AV_PIX_FMT_YUV422P:
    case AV_PIX_FMT_YUV444P:
    case AV_PIX_FMT_YUV440P:
    case AV_PIX_FMT_YUV411P:
    case AV_PIX_FMT_YUV410P: {
        const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(format);
        *ret_layout = (struct layout){PD_PIX_YUV, d->log2_chroma_w, d->log2_chroma_h, strncmp(d->name, "yuvj", 4) == 0};
        return true;
    }
    case AV_PIX_FMT_NV12:
        *ret_layout = (struct layout){PD_PIX_NV12, 0, 0, false};
        return true;
    case AV_PIX_FMT_P010LE:
        *ret_layout = (struct layout){PD_PIX_P010, 0, 0, false};
        return true;
    case AV_PIX_FMT_RGB24:
        *ret_layout = (struct layout){PD_PIX_RGB24, 0, 0, false};
        return true;
    case AV_PIX_FMT_BGR24:
        *ret_layout = (struct layout){PD_PIX_BGR24, 0, 0, false};
        return true;
    case AV_PIX_FMT_GRAY8:
        *ret_layout = (struct layout){PD_PIX_GRAY8, 0, 0, false};
        return true;
    default:
        return false;
    }
}

static enum AVPixelFormat planar_yuv(int shift_x, int shift_y)
{
    static const enum AVPixelFormat by_shift[3][3] = {
        {AV_PIX_FMT_YUV444P, AV_PIX_FMT_YUV440P, AV_PIX_FMT_YUV420P},
        {AV_PIX_FMT_YUV422P, AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUV420P},
        {AV_PIX_FMT_YUV411P, AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUV410P},
    };
    return by_shift[PD_CLAMP(shift_x, 0, 2)][PD_CLAMP(shift_y, 0, 2)];
}

/* The format of ours that keeps what the network can use of @format: colour model and chroma subsampling. RGBA, which
 * is not ours, is where everything with transparency goes first. */
static enum AVPixelFormat nearest_format(enum AVPixelFormat format)
{
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(format);
    if (!d || !sws_isSupportedInput(format))
        return AV_PIX_FMT_NONE;
    if (d->flags & (AV_PIX_FMT_FLAG_ALPHA | AV_PIX_FMT_FLAG_PAL))
        return AV_PIX_FMT_RGBA;
    if (d->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_BAYER))
        return AV_PIX_FMT_RGB24;
    if (d->nb_components < 3)
        return AV_PIX_FMT_GRAY8;
    return planar_yuv(d->log2_chroma_w, d->log2_chroma_h);
}

/* Codecs made for pictures: unmarked grey is full range there, and studio range in a video. */
static bool picture_codec(int codec_id)
{
    switch (codec_id) {
    case AV_CODEC_ID_H264:
    case AV_CODEC_ID_HEVC:
    case AV_CODEC_ID_AV1:
    case AV_CODEC_ID_VP8:
    case AV_CODEC_ID_VP9:
    case AV_CODEC_ID_MPEG4:
    case AV_CODEC_ID_MPEG1VIDEO:
    case AV_CODEC_ID_MPEG2VIDEO:
        return false;
    default:
        return true;
    }
}

static enum pd_range range_of(const AVFrame *av, enum pd_pix format, bool jpeg_range, int codec_id)
{
    if (format == PD_PIX_RGB24 || format == PD_PIX_BGR24 || jpeg_range || av->color_range == AVCOL_RANGE_JPEG)
        return PD_RANGE_FULL;
    if (format == PD_PIX_GRAY8 && av->color_range == AVCOL_RANGE_UNSPECIFIED && picture_codec(codec_id))
        return PD_RANGE_FULL;
    return PD_RANGE_LIMITED;
}

/* What players do with an unmarked stream: JFIF says BT.601; otherwise high definition is BT.709. */
static enum pd_matrix matrix_of(const AVFrame *av, int codec_id)
{
    switch (av->colorspace) {
    case AVCOL_SPC_BT709:
    case AVCOL_SPC_SMPTE240M:
        return PD_MATRIX_BT709;
    case AVCOL_SPC_BT2020_NCL:
    case AVCOL_SPC_BT2020_CL:
        return PD_MATRIX_BT2020;
    case AVCOL_SPC_BT470BG:
    case AVCOL_SPC_SMPTE170M:
    case AVCOL_SPC_FCC:
        return PD_MATRIX_BT601;
    default:
        if (codec_id == AV_CODEC_ID_MJPEG || codec_id == AV_CODEC_ID_WEBP)
            return PD_MATRIX_BT601;
        return av->height >= 720 ? PD_MATRIX_BT709 : PD_MATRIX_BT601;
    }
}

static void release_view(struct pd_frame *frame)
{
    AVFrame *av = frame->opaque;
    av_frame_free(&av);
    free(frame);
}

const AVFrame *pd_frame_avframe(const struct pd_frame *frame)
{
    return frame->release == release_view ? frame->opaque : NULL;
}

static struct pd_frame *view(const AVFrame *av, const struct layout *layout, enum pd_mem mem)
{
    struct pd_frame *f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    AVFrame *ref = av_frame_clone(av);
    if (!ref) {
        free(f);
        return NULL;
    }
    atomic_init(&f->refs, 1);
    f->width = av->width;
    f->height = av->height;
    f->format = layout->format;
    f->mem = mem;
    f->chroma_shift_x = layout->shift_x;
    f->chroma_shift_y = layout->shift_y;
    f->pts_us = PD_PTS_NONE;
    for (int i = 0; i < pd_frame_planes(f->format); i++) {
        f->plane[i] = ref->data[i];
        f->stride[i] = ref->linesize[i];
    }
    f->opaque = ref;
    f->release = release_view;
    return f;
}

/* Straight copy of the picture's bytes, for a frame stored bottom-up: our strides are positive. */
static struct pd_frame *copy_upright(const AVFrame *av, const struct layout *layout)
{
    struct pd_frame *f = pd_frame_alloc(layout->format, av->width, av->height, layout->shift_x, layout->shift_y);
    for (int i = 0; f && i < pd_frame_planes(f->format); i++) {
        int rows = pd_frame_plane_rows(f, i), bytes = pd_frame_plane_row_bytes(f, i);
        for (int y = 0; y < rows; y++)
            memcpy((uint8_t *)f->plane[i] + (ptrdiff_t)y * f->stride[i], av->data[i] + (ptrdiff_t)y * av->linesize[i],
                   (size_t)bytes);
    }
    return f;
}

static int sws_space(enum pd_matrix matrix)
{
    return matrix == PD_MATRIX_BT709 ? SWS_CS_ITU709 : matrix == PD_MATRIX_BT2020 ? SWS_CS_BT2020 : SWS_CS_ITU601;
}

/* Nearest point: only depth, packing or colour model change here, never the size. */
static bool repack(struct pd_converter *c, const AVFrame *av, enum pd_matrix matrix, enum AVPixelFormat to,
                   uint8_t *const planes[4], const int strides[4])
{
    c->sws = sws_getCachedContext(c->sws, av->width, av->height, av->format, av->width, av->height, to,
                                  SWS_POINT | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INP, NULL, NULL, NULL);
    if (!c->sws)
        return false;
    /* Between YUV formats the same range on both sides: values keep the meaning that the frame gives them. */
    const int *table = sws_getCoefficients(sws_space(matrix));
    int full = av->color_range == AVCOL_RANGE_JPEG;
    sws_setColorspaceDetails(c->sws, table, full, table, to == AV_PIX_FMT_RGBA ? 1 : full, 0, 1 << 16, 1 << 16);
    return sws_scale(c->sws, (const uint8_t *const *)av->data, av->linesize, 0, av->height, planes, strides) ==
           av->height;
}

/* Over black: the colour under a transparent pixel is often garbage that no viewer shows. */
static void blend(struct pd_frame *rgb, const uint8_t *rgba, int stride)
{
    for (int y = 0; y < rgb->height; y++) {
        const uint8_t *in = rgba + (ptrdiff_t)y * stride;
        uint8_t *out = (uint8_t *)rgb->plane[0] + (ptrdiff_t)y * rgb->stride[0];
        for (int x = 0; x < rgb->width; x++, in += 4, out += 3)
            for (int i = 0; i < 3; i++)
                out[i] = (uint8_t)((in[i] * in[3] + 127) / 255);
    }
}

static struct pd_frame *convert_alpha(struct pd_converter *c, const AVFrame *av, enum pd_matrix matrix)
{
    size_t size;
    int stride = (av->width * 4 + 63) & ~63;
    if (pd_mul_overflows((size_t)stride, (size_t)av->height, &size) || size > PD_AV_ALLOC_MAX)
        return NULL;
    PD_CLEANUP(pd_freep) uint8_t *rgba = pd_alloc_aligned(size + 64);
    struct pd_frame *f = rgba ? pd_frame_alloc(PD_PIX_RGB24, av->width, av->height, 0, 0) : NULL;
    if (!f)
        return NULL;
    if (repack(c, av, matrix, AV_PIX_FMT_RGBA, (uint8_t *const[4]){rgba}, (const int[4]){stride}))
        blend(f, rgba, stride);
    else
        pd_frame_unref(&f);
    return f;
}

static struct pd_frame *convert(struct pd_converter *c, const AVFrame *av, enum pd_matrix matrix)
{
    enum AVPixelFormat to = nearest_format(av->format);
    struct layout layout;
    if (to == AV_PIX_FMT_RGBA)
        return convert_alpha(c, av, matrix);
    if (to == AV_PIX_FMT_NONE || !direct_layout(to, &layout))
        return NULL;
    struct pd_frame *f = pd_frame_alloc(layout.format, av->width, av->height, layout.shift_x, layout.shift_y);
    if (!f)
        return NULL;
    uint8_t *const planes[4] = {(uint8_t *)f->plane[0], (uint8_t *)f->plane[1], (uint8_t *)f->plane[2], NULL};
    const int strides[4] = {f->stride[0], f->stride[1], f->stride[2], 0};
    if (!repack(c, av, matrix, to, planes, strides))
        pd_frame_unref(&f);
    return f;
}

static bool bottom_up(const AVFrame *av, enum pd_pix format)
{
    for (int i = 0; i < pd_frame_planes(format); i++)
        if (av->linesize[i] < 0)
            return true;
    return false;
}

/* libav cuts right and bottom off a surface, and leaves what is to be cut off left and top to whoever reads it. */
static bool cut_left_and_top(struct pd_frame *f, const AVFrame *av, const AVPixFmtDescriptor *format)
{
    if (av->crop_left >= (size_t)f->width || av->crop_top >= (size_t)f->height)
        return false;
    f->width -= (int)av->crop_left;
    f->height -= (int)av->crop_top;
    for (int c = 0; c < format->nb_components; c++) { /* components that share a plane agree */
        const int plane = format->comp[c].plane;
        const int sx = plane ? format->log2_chroma_w : 0, sy = plane ? format->log2_chroma_h : 0;
        f->plane[plane] = av->data[plane] + (ptrdiff_t)(av->crop_top >> sy) * av->linesize[plane] +
                          (ptrdiff_t)(av->crop_left >> sx) * format->comp[c].step;
    }
    return true;
}

/* NVDEC surfaces stay where they are; the surface's own format is beside the frame. */
static struct pd_frame *view_cuda(const AVFrame *av, struct layout *layout)
{
    if (!av->hw_frames_ctx)
        return NULL;
    const AVHWFramesContext *frames = (const AVHWFramesContext *)av->hw_frames_ctx->data;
    if (!direct_layout(frames->sw_format, layout))
        return NULL;
    struct pd_frame *f = view(av, layout, PD_MEM_CUDA);
    if (f && !cut_left_and_top(f, av, av_pix_fmt_desc_get(frames->sw_format)))
        pd_frame_unref(&f);
    return f;
}

int pd_avframe_to_frame(struct pd_converter *converter, const AVFrame *av, int codec_id, struct pd_frame **ret_frame,
                        struct pd_err *err)
{
    const char *format_name = av_get_pix_fmt_name(av->format);
    if (!format_name)
        format_name = "unknown";
    if (av->width < 1 || av->height < 1 || av->width > PD_FRAME_SIDE_MAX || av->height > PD_FRAME_SIDE_MAX)
        return pd_err_set(err, -E2BIG, "a picture of %dx%d; 1x1 to %dx%d can be read", av->width, av->height,
                          PD_FRAME_SIDE_MAX, PD_FRAME_SIDE_MAX);
    enum pd_matrix matrix = matrix_of(av, codec_id);
    struct layout layout = {.format = PD_PIX_YUV};
    struct pd_frame *f;
    if (av->format == AV_PIX_FMT_CUDA)
        f = view_cuda(av, &layout);
    else if (!direct_layout(av->format, &layout))
        f = convert(converter, av, matrix);
    else if (bottom_up(av, layout.format))
        f = copy_upright(av, &layout);
    else
        f = view(av, &layout, PD_MEM_HOST);
    if (!f)
        return pd_err_set(err, -ENOTSUP, "cannot convert pixel format %s of %dx%d", format_name, av->width, av->height);
    f->range = range_of(av, f->format, layout.jpeg_range, codec_id);
    f->matrix = matrix;
    *ret_frame = f;
    return 0;
}
