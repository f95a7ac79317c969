/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libswscale/swscale.h>

#include "decode/av.h"
#include "decode/encode.h"

#define DEFAULT_FPS 25

struct pd_video {
    char *path;
    AVFormatContext *fmt;
    AVCodecContext *enc;
    AVStream *stream;
    AVFrame *frame;
    AVPacket *packet;
    struct SwsContext *sws;
    int64_t count;
};

static void free_video(struct pd_video *v)
{
    sws_freeContext(v->sws);
    avcodec_free_context(&v->enc);
    av_frame_free(&v->frame);
    av_packet_free(&v->packet);
    if (v->fmt)
        avio_closep(&v->fmt->pb);
    avformat_free_context(v->fmt);
    free(v->path);
    free(v);
}

static AVCodecContext *new_encoder(const struct pd_video *v, const char *name, int width, int height, double fps)
{
    const AVCodec *codec = avcodec_find_encoder_by_name(name);
    AVCodecContext *enc = codec ? avcodec_alloc_context3(codec) : NULL;
    if (!enc)
        return NULL;
    enc->width = (width + 1) & ~1; /* 4:2:0 */
    enc->height = (height + 1) & ~1;
    enc->pix_fmt = AV_PIX_FMT_YUV420P;
    enc->framerate = av_d2q(fps, 60000);
    enc->time_base = av_inv_q(enc->framerate);
    enc->color_range = AVCOL_RANGE_MPEG;
    enc->colorspace = height >= 720 ? AVCOL_SPC_BT709 : AVCOL_SPC_SMPTE170M;
    enc->gop_size = (int)PD_CLAMP(fps * 5, 10, 300);
    if (v->fmt->oformat->flags & AVFMT_GLOBALHEADER)
        enc->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    return enc;
}

static int open_encoder(struct pd_video *v, int width, int height, double fps)
{
    AVDictionary *opts = NULL;
    v->enc = new_encoder(v, "libx264", width, height, fps);
    av_dict_set(&opts, "preset", "veryfast", 0);
    av_dict_set(&opts, "crf", "20", 0);
    int r = v->enc ? avcodec_open2(v->enc, NULL, &opts) : AVERROR_ENCODER_NOT_FOUND;
    av_dict_free(&opts);
    if (r >= 0)
        return 0;
    avcodec_free_context(&v->enc);
    v->enc = new_encoder(v, "mpeg4", width, height, fps);
    if (!v->enc)
        return AVERROR_ENCODER_NOT_FOUND;
    v->enc->flags |= AV_CODEC_FLAG_QSCALE;
    v->enc->global_quality = 3 * FF_QP2LAMBDA;
    return avcodec_open2(v->enc, NULL, NULL);
}

static int start_file(struct pd_video *v)
{
    v->stream = avformat_new_stream(v->fmt, NULL);
    if (!v->stream)
        return AVERROR(ENOMEM);
    v->stream->time_base = v->enc->time_base;
    v->stream->avg_frame_rate = v->enc->framerate;
    int r = avcodec_parameters_from_context(v->stream->codecpar, v->enc);
    if (r >= 0)
        r = avio_open(&v->fmt->pb, v->path, AVIO_FLAG_WRITE);
    if (r < 0)
        return r;
    AVDictionary *opts = NULL;
    av_dict_set(&opts, "movflags", "+faststart", 0);
    r = avformat_write_header(v->fmt, &opts);
    av_dict_free(&opts);
    return r;
}

static int new_frame(struct pd_video *v)
{
    v->frame = av_frame_alloc();
    v->packet = av_packet_alloc();
    if (!v->frame || !v->packet)
        return AVERROR(ENOMEM);
    v->frame->format = v->enc->pix_fmt;
    v->frame->width = v->enc->width;
    v->frame->height = v->enc->height;
    return av_frame_get_buffer(v->frame, 0);
}

int pd_video_open(const char *path, double fps, const struct pd_frame *first, struct pd_video **ret_video,
                  struct pd_err *err)
{
    struct pd_video *v = calloc(1, sizeof(*v));
    if (!v)
        return pd_err_set(err, -ENOMEM, "%s: out of memory", path);
    if (!(fps > 0) || !isfinite(fps) || fps > 1000)
        fps = DEFAULT_FPS;
    /* A path with a colon must not be taken for a protocol. */
    int r = asprintf(&v->path, "file:%s", path) < 0 ? AVERROR(ENOMEM) : 0;
    if (r < 0)
        v->path = NULL;
    else
        r = avformat_alloc_output_context2(&v->fmt, NULL, NULL, path);
    if (r >= 0)
        r = open_encoder(v, first->width, first->height, fps);
    if (r >= 0)
        r = new_frame(v);
    if (r >= 0)
        r = start_file(v);
    if (r < 0) {
        r = pd_av_err(err, r, path, "the video cannot be written");
        free_video(v);
        return r;
    }
    *ret_video = v;
    return 0;
}

static int drain(struct pd_video *v)
{
    for (;;) {
        int r = avcodec_receive_packet(v->enc, v->packet);
        if (r == AVERROR(EAGAIN) || r == AVERROR_EOF)
            return 0;
        if (r < 0)
            return r;
        v->packet->stream_index = v->stream->index;
        v->packet->duration = 1;
        av_packet_rescale_ts(v->packet, v->enc->time_base, v->stream->time_base);
        r = av_interleaved_write_frame(v->fmt, v->packet);
        if (r < 0)
            return r;
    }
}

static int fill_frame(struct pd_video *v, const struct pd_frame *rgb)
{
    int r = av_frame_make_writable(v->frame);
    if (r < 0)
        return r;
    v->sws = sws_getCachedContext(v->sws, rgb->width, rgb->height, AV_PIX_FMT_RGB24, v->frame->width, v->frame->height,
                                  v->frame->format, SWS_BICUBIC | SWS_ACCURATE_RND, NULL, NULL, NULL);
    if (!v->sws)
        return AVERROR(ENOMEM);
    const int *table = sws_getCoefficients(v->enc->colorspace == AVCOL_SPC_BT709 ? SWS_CS_ITU709 : SWS_CS_ITU601);
    sws_setColorspaceDetails(v->sws, table, 1, table, 0, 0, 1 << 16, 1 << 16);
    r = sws_scale(v->sws, (const uint8_t *const[4]){rgb->plane[0]}, (const int[4]){rgb->stride[0]}, 0, rgb->height,
                  v->frame->data, v->frame->linesize);
    return r < 0 ? r : 0;
}

int pd_video_write(struct pd_video *v, const struct pd_frame *rgb, struct pd_err *err)
{
    int r = fill_frame(v, rgb);
    if (r >= 0) {
        v->frame->pts = v->count++;
        r = avcodec_send_frame(v->enc, v->frame);
    }
    if (r >= 0)
        r = drain(v);
    return r < 0 ? pd_av_err(err, r, v->path + 5, "the video cannot be written") : 0;
}

int pd_video_close(struct pd_video *v, struct pd_err *err)
{
    int r = avcodec_send_frame(v->enc, NULL);
    if (r >= 0)
        r = drain(v);
    int t = av_write_trailer(v->fmt);
    int c = avio_closep(&v->fmt->pb);
    r = r < 0 ? r : t < 0 ? t : c;
    if (r < 0)
        r = pd_av_err(err, r, v->path + 5, "the video cannot be finished");
    free_video(v);
    return r < 0 ? r : 0;
}
