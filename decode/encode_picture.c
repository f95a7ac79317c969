/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <libavcodec/avcodec.h>
#include <libswscale/swscale.h>

#include "core/half.h"
#include "decode/av.h"
#include "decode/encode.h"

/* Thin coloured lines are what these pictures are for: no chroma subsampling, and little loss. */
#define JPEG_QUALITY 3 /* of 1 (best) .. 31 */

static AVCodecContext *open_encoder(const struct pd_frame *rgb, bool jpeg)
{
    const AVCodec *codec = avcodec_find_encoder(jpeg ? AV_CODEC_ID_MJPEG : AV_CODEC_ID_PNG);
    AVCodecContext *enc = codec ? avcodec_alloc_context3(codec) : NULL;
    if (!enc)
        return NULL;
    enc->width = rgb->width;
    enc->height = rgb->height;
    enc->time_base = (AVRational){1, 25};
    enc->pix_fmt = jpeg ? AV_PIX_FMT_YUVJ444P : AV_PIX_FMT_RGB24;
    enc->color_range = AVCOL_RANGE_JPEG;
    enc->thread_count = 1;
    if (jpeg) {
        enc->flags |= AV_CODEC_FLAG_QSCALE;
        enc->global_quality = JPEG_QUALITY * FF_QP2LAMBDA;
    }
    if (avcodec_open2(enc, codec, NULL) < 0)
        avcodec_free_context(&enc);
    return enc;
}

static int convert(const struct pd_frame *rgb, AVFrame *to)
{
    struct SwsContext *sws = sws_getContext(rgb->width, rgb->height, AV_PIX_FMT_RGB24, to->width, to->height,
                                            to->format, SWS_BILINEAR | SWS_ACCURATE_RND, NULL, NULL, NULL);
    if (!sws)
        return AVERROR(ENOMEM);
    const int *table = sws_getCoefficients(SWS_CS_ITU601);
    sws_setColorspaceDetails(sws, table, 1, table, 1, 0, 1 << 16, 1 << 16);
    int r = sws_scale(sws, (const uint8_t *const[4]){rgb->plane[0]}, (const int[4]){rgb->stride[0]}, 0, rgb->height,
                      to->data, to->linesize);
    sws_freeContext(sws);
    return r < 0 ? r : 0;
}

static int encode(AVCodecContext *enc, const struct pd_frame *rgb, AVPacket *packet)
{
    AVFrame *frame = av_frame_alloc();
    if (!frame)
        return AVERROR(ENOMEM);
    frame->width = enc->width;
    frame->height = enc->height;
    frame->format = enc->pix_fmt;
    frame->quality = enc->global_quality;
    frame->pts = 0;
    int r = av_frame_get_buffer(frame, 0);
    if (r >= 0)
        r = convert(rgb, frame);
    if (r >= 0)
        r = avcodec_send_frame(enc, frame);
    if (r >= 0)
        r = avcodec_send_frame(enc, NULL);
    if (r >= 0)
        r = avcodec_receive_packet(enc, packet);
    av_frame_free(&frame);
    return r;
}

static int save(const char *path, const AVPacket *packet, struct pd_err *err)
{
    FILE *f = fopen(path, "wbe");
    if (!f)
        return pd_err_set(err, -errno, "%s: cannot be written: %s", path, strerror(errno));
    bool good = fwrite(packet->data, 1, (size_t)packet->size, f) == (size_t)packet->size;
    int e = errno;
    if (fclose(f) != 0) {
        e = good ? errno : e;
        good = false;
    }
    if (!good)
        pd_remove_half(path);
    return good ? 0 : pd_err_set(err, -e, "%s: cannot be written: %s", path, strerror(e));
}

int pd_encode_picture(const char *path, const struct pd_frame *rgb, struct pd_err *err)
{
    const char *dot = strrchr(path, '.');
    AVCodecContext *enc = open_encoder(rgb, dot && strcasecmp(dot, ".png") != 0);
    AVPacket *packet = av_packet_alloc();
    int r = enc && packet ? encode(enc, rgb, packet) : AVERROR_ENCODER_NOT_FOUND;
    r = r < 0 ? pd_av_err(err, r, path, "cannot encode the picture") : save(path, packet, err);
    av_packet_free(&packet);
    avcodec_free_context(&enc);
    return r;
}
