/* SPDX-License-Identifier: Apache-2.0 */
#include "decode/decoder.h"

#include <errno.h>
#include <string.h>

#include <libavcodec/avcodec.h>

#include "core/log.h"
#include "decode/av.h"
#include "decode/hwaccel.h"

/* A stream with intra refresh never has a keyframe. After this many packets (10 s at 30 a second) it goes in anyway; of
 * a stream that has them three times their distance are worth waiting for, since the next one may be damaged too. */
#define WAIT_KEY_MAX 300
#define WAIT_DISTANCES 3
#define KEY_DISTANCE_MAX 3000
/* What the GPU may fail to give, above what it gives, before software takes over: a second or two of video. A live
 * stream waits for a keyframe after each error, so that many packets are gone with one error that is the stream's own:
 * it takes some errors as well. */
#define HARDWARE_FAILURES 30
#define HARDWARE_ERRORS 3

/* Pictures between a keyframe and the first to be shown after it: twice what reordering codecs hold. */
#define LEADING_MAX 32

/* Our mark on a packet that comes back on its frame. */
#if LIBAVCODEC_VERSION_MAJOR >= 60
static void mark_set(AVCodecContext *avctx, AVPacket *packet, uintptr_t mark)
{
    packet->opaque = (void *)mark;
}
static uintptr_t mark_get(const AVFrame *frame)
{
    return (uintptr_t)frame->opaque;
}
#define COPY_MARK AV_CODEC_FLAG_COPY_OPAQUE
#else
static void mark_set(AVCodecContext *avctx, AVPacket *packet, uintptr_t mark)
{
    avctx->reordered_opaque = (int64_t)mark;
}
static uintptr_t mark_get(const AVFrame *frame)
{
    return (uintptr_t)frame->reordered_opaque;
}
#define COPY_MARK 0
#endif

static void set_threads(AVCodecContext *avctx, const struct pd_decoder_params *params)
{
    /* Each frame thread delays a live picture by a frame; cameras are parallel enough among themselves. */
    if (params->live) {
        avctx->thread_count = 1;
        avctx->thread_type = FF_THREAD_SLICE;
        avctx->flags |= AV_CODEC_FLAG_LOW_DELAY;
    } else {
        avctx->thread_count = PD_CLAMP(params->threads, 1, 64);
        avctx->thread_type = FF_THREAD_FRAME | FF_THREAD_SLICE;
    }
}

/* Picture decoders that fill what is missing with grey, unless told not to. Others say so by themselves, and TIFF's
 * strictness is about unknown tags. */
static bool conceals(enum AVCodecID id)
{
    return id == AV_CODEC_ID_PNG || id == AV_CODEC_ID_APNG || id == AV_CODEC_ID_MJPEG;
}

static int open_context(struct pd_decoder *decoder, struct pd_err *err)
{
    const struct pd_decoder_params *params = &decoder->params;
    const char *name = decoder->name, *codec_name = avcodec_get_name(params->par->codec_id);
    const AVCodec *codec = avcodec_find_decoder(params->par->codec_id);
    if (!codec)
        return pd_err_set(err, -ENOTSUP, "%s: this FFmpeg has no decoder for %s", name, codec_name);
    decoder->avctx = avcodec_alloc_context3(codec);
    if (!decoder->avctx || avcodec_parameters_to_context(decoder->avctx, params->par) < 0)
        return pd_err_set(err, -ENOMEM, "%s: out of memory", name);
    const int64_t pixels_max = params->network ? PD_AV_NETWORK_PIXELS_MAX : PD_AV_PIXELS_MAX;
    if ((int64_t)params->par->width * params->par->height > pixels_max) /* libav would call it an invalid argument */
        return pd_err_set(err, -E2BIG, "%s: a picture of %dx%d; at most %.0f million pixels can be read", name,
                          params->par->width, params->par->height, (double)pixels_max * 1e-6);
    set_threads(decoder->avctx, params);
    decoder->avctx->max_pixels = pixels_max;
    decoder->avctx->flags |= COPY_MARK | AV_CODEC_FLAG_UNALIGNED; /* or up to 31 columns that are cut off stay */
    if (params->strict && conceals(params->par->codec_id))
        decoder->avctx->err_recognition = AV_EF_CRCCHECK | AV_EF_BITSTREAM | AV_EF_BUFFER | AV_EF_EXPLODE;
    pd_hwaccel_attach(decoder, codec);
    decoder->draining = false;
    int r = avcodec_open2(decoder->avctx, codec, NULL);
    return r < 0 ? pd_av_err(err, r, name, codec_name) : 0;
}

/* In a file some codecs have nothing to wait for: every picture is a keyframe, or the first alone, as in animations. */
static bool has_keyframes(const struct pd_decoder_params *params)
{
    const AVCodecDescriptor *codec = avcodec_descriptor_get(params->par->codec_id);
    const int props = codec ? codec->props : 0;
    return params->live || ((props & AV_CODEC_PROP_LOSSY) && !(props & AV_CODEC_PROP_INTRA_ONLY));
}

int pd_decoder_open(struct pd_decoder *decoder, const struct pd_decoder_params *params, const char *name,
                    struct pd_err *err)
{
    memset(decoder, 0, sizeof(*decoder));
    decoder->params = *params;
    decoder->name = name;
    decoder->wait_key = params->live;
    decoder->key_pts = AV_NOPTS_VALUE;
    decoder->keyframes = has_keyframes(params);
    decoder->frame = av_frame_alloc();
    int r = decoder->frame ? open_context(decoder, err) : pd_err_set(err, -ENOMEM, "%s: out of memory", name);
    if (r < 0)
        pd_decoder_finish(decoder);
    return r;
}

void pd_decoder_finish(struct pd_decoder *decoder)
{
    if (pd_hwaccel_is_forsaken(decoder))
        decoder->avctx = NULL;
    avcodec_free_context(&decoder->avctx);
    av_frame_free(&decoder->frame);
    pd_hwaccel_detach(decoder);
}

/* On the GPU that is also what "no surface is free" is called: a frame lost. */
static bool out_of_memory(const struct pd_decoder *decoder, int averror)
{
    return averror == AVERROR(ENOMEM) && !decoder->hardware;
}

static void note_distance(struct pd_decoder *decoder, const AVPacket *packet)
{
    if (decoder->since_key < KEY_DISTANCE_MAX)
        decoder->since_key++;
    if (!(packet->flags & AV_PKT_FLAG_KEY))
        return;
    if (decoder->key_seen)
        decoder->key_distance = PD_MAX(decoder->key_distance, decoder->since_key);
    decoder->key_seen = true;
    decoder->since_key = 0;
}

/* Before the first keyframe a decoder has nothing to refer to: what it made would be grey mud. */
static bool hold_back(struct pd_decoder *decoder, const AVPacket *packet)
{
    if (!decoder->wait_key)
        return false;
    const int most = PD_MAX(WAIT_KEY_MAX, WAIT_DISTANCES * decoder->key_distance);
    if (!(packet->flags & AV_PKT_FLAG_KEY) && decoder->waited++ < most) {
        note_distance(decoder, packet);
        decoder->corrupt += decoder->recovering;
        decoder->failures += decoder->failures > 0;
        return true;
    }
    decoder->key_pts = decoder->recovering && (packet->flags & AV_PKT_FLAG_KEY) ? packet->pts : AV_NOPTS_VALUE;
    decoder->leading = 0;
    decoder->wait_key = decoder->recovering = false;
    return false;
}

/* Pictures that are sent after a keyframe and shown before it refer to what was there before it, which is damaged. Once
 * one to be shown after it has come, they are over; a clock that jumps back must not make them of all that follows. */
static bool is_leading(struct pd_decoder *decoder, const AVPacket *packet)
{
    const int64_t key = decoder->key_pts;
    if (key == AV_NOPTS_VALUE || packet->pts == key)
        return false;
    if (packet->pts != AV_NOPTS_VALUE && packet->pts < key && decoder->leading++ < LEADING_MAX)
        return true;
    decoder->key_pts = AV_NOPTS_VALUE;
    return false;
}

/* Decoders conceal what is missing and say so of one frame at best; the frames behind it, which refer to it, look whole
 * to them. A person smeared over the picture must not become a skeleton. */
void pd_decoder_lost(struct pd_decoder *decoder)
{
    if (!decoder->keyframes || decoder->wait_key)
        return;
    decoder->wait_key = decoder->recovering = true;
    decoder->waited = 0;
}

static int take_over_in_software(struct pd_decoder *decoder)
{
    pd_log_warn(decoder->name, "the GPU fails to decode this stream: decoding in software from now on");
    avcodec_free_context(&decoder->avctx);
    pd_hwaccel_detach(decoder);
    decoder->params.hwaccel = NULL;
    decoder->wait_key = true;
    decoder->waited = 0;
    return open_context(decoder, NULL) < 0 ? -ENOMEM : 1;
}

/* The GPU took the stream and then could not decode it, which only its errors tell: go on in software, from the next
 * keyframe. An occasional error is the stream's. 1: software is in charge from now on; 0, -ENOMEM. */
static int note_failure(struct pd_decoder *decoder)
{
    decoder->corrupt++;
    pd_decoder_lost(decoder);
    if (!decoder->hardware)
        return 0;
    decoder->failures++;
    decoder->errors++;
    if (decoder->failures < HARDWARE_FAILURES || decoder->errors < HARDWARE_ERRORS)
        return 0;
    return take_over_in_software(decoder);
}

static void note_success(struct pd_decoder *decoder)
{
    if (decoder->failures > 0)
        decoder->failures--;
    if (decoder->failures == 0)
        decoder->errors = 0;
}

int pd_decoder_send(struct pd_decoder *decoder, AVPacket *packet, const struct pd_arrival *arrival)
{
    if (packet) {
        if (hold_back(decoder, packet))
            return 0;
        unsigned mark = decoder->n_arrivals % PD_ARRIVALS;
        decoder->arrivals[mark] = *arrival;
        decoder->arrivals[mark].damaged = is_leading(decoder, packet);
        mark_set(decoder->avctx, packet, mark);
    }
    decoder->draining |= !packet;
    int r = avcodec_send_packet(decoder->avctx, packet);
    if (r == AVERROR(EAGAIN))
        return -EAGAIN;
    if (out_of_memory(decoder, r))
        return -ENOMEM;
    decoder->n_arrivals++;
    if (packet)
        note_distance(decoder, packet);
    r = r < 0 && r != AVERROR_EOF ? note_failure(decoder) : 0;
    /* the packet that software takes over at may well be the keyframe that it needs */
    return r <= 0 ? r : packet ? -EAGAIN : 0;
}

static bool damaged(const AVFrame *frame)
{
    return (frame->flags & AV_FRAME_FLAG_CORRUPT) || frame->decode_error_flags;
}

int pd_decoder_receive(struct pd_decoder *decoder, AVFrame **ret_frame, struct pd_arrival *ret_arrival)
{
    for (;;) {
        int r = avcodec_receive_frame(decoder->avctx, decoder->frame);
        if (r == AVERROR(EAGAIN))
            return -EAGAIN;
        if (r == AVERROR_EOF && decoder->draining)
            return -EPIPE;
        /* The end of a GIF inside a packet, say: libav would neither take another one nor give anything from now on. */
        if (r == AVERROR_EOF)
            avcodec_flush_buffers(decoder->avctx);
        if (out_of_memory(decoder, r))
            return -ENOMEM;
        if (r < 0) {
            /* One frame's error, told late by a frame thread or by the drain; each call consumes one. */
            r = note_failure(decoder);
            return r < 0 ? r : -EBADMSG;
        }
        note_success(decoder);
        if (damaged(decoder->frame)) {
            decoder->corrupt++;
            pd_decoder_lost(decoder);
            av_frame_unref(decoder->frame);
            continue;
        }
        *ret_arrival = decoder->arrivals[mark_get(decoder->frame) % PD_ARRIVALS];
        if (ret_arrival->damaged) {
            decoder->corrupt++;
            av_frame_unref(decoder->frame);
            continue;
        }
        *ret_frame = decoder->frame;
        return 0;
    }
}

void pd_decoder_flush(struct pd_decoder *decoder)
{
    avcodec_flush_buffers(decoder->avctx);
    decoder->draining = decoder->wait_key = decoder->recovering = false;
    decoder->key_pts = AV_NOPTS_VALUE;
}

void pd_decoder_discard(struct pd_decoder *decoder, enum pd_discard discard)
{
    static const enum AVDiscard levels[] = {AVDISCARD_DEFAULT, AVDISCARD_NONREF, AVDISCARD_NONKEY};
    decoder->avctx->skip_frame = levels[discard];
}
