/* SPDX-License-Identifier: Apache-2.0
 *
 * The reader of everything that libavformat opens: packets of one stream, decoded, turned upright, stamped.
 */
#include <errno.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/display.h>
#include <libavutil/parseutils.h>

#include "core/clock.h"
#include "decode/av.h"
#include "decode/decoder.h"
#include "decode/demux.h"
#include "decode/reader_impl.h"
#include "decode/rotate.h"
#include "decode/writer.h"

/* A camera's own clock is believed when it is this near to ours, including the way through the network. */
#define NTP_TRUST_US INT64_C(5000000)
#define REORDERED_US INT64_C(1000000)

struct stream {
    struct pd_reader base;
    struct pd_input input;
    struct pd_demux demux;
    struct pd_decoder decoder;
    struct pd_converter converter;
    struct pd_orientation orientation; /* the container's, or the last that the stream told */
    struct pd_orientation container;
    struct pd_frame *first;            /* decoded while opening, not yet handed out */
    int64_t creation_us;               /* files: when the recording began, 0 unknown */
    int64_t read;                      /* frames since the start of the input */
    int64_t timed_us, timed;           /* the last of them that had a time, and its number */
    struct pd_arrival arrival;         /* of the packet at hand */
    bool pending;                      /* it waits for the decoder to take it */
    int64_t ntp_us;                    /* what the camera's clock says of the next packet, 0: nothing */
    int64_t last_key_us;               /* stream time of the last keyframe, 0 none */
    int64_t last_arrival_us;           /* what the last frame was given for one */
    int end;                           /* how the packets ended, an errno if by an error; 0: not yet */
    struct pd_err end_err;
};

static struct stream *stream_of(struct pd_reader *reader)
{
    return PD_CONTAINER_OF(reader, struct stream, base);
}

/* Whether libavformat's parser puts the pictures of this codec together from RTP packets: it knows that one is whole
 * when the next one begins, and what the packet that began it carried beside its bytes goes with the picture before. */
static bool parsed(const struct stream *s)
{
    enum AVCodecID id = s->demux.stream->codecpar->codec_id;
    return id == AV_CODEC_ID_H264 || id == AV_CODEC_ID_HEVC || id == AV_CODEC_ID_MPEG4;
}

static int64_t ntp_of(struct stream *s, const AVPacket *packet)
{
    size_t size = 0;
    const AVProducerReferenceTime *ref =
        (const AVProducerReferenceTime *)av_packet_get_side_data(packet, AV_PKT_DATA_PRFT, &size);
    int64_t here = ref && size >= sizeof(*ref) ? ref->wallclock : 0, before = s->ntp_us;
    s->ntp_us = here;
    return parsed(s) ? before : here;
}

static struct pd_arrival stamp(struct stream *s, const AVPacket *packet)
{
    struct pd_arrival a = {.arrived_ns = pd_now_ns(), .wall_us = pd_wall_us()};
    int64_t ntp_us = ntp_of(s, packet);
    if (!ntp_us)
        return a;
    int64_t error = ntp_us - a.wall_us;
    a.ntp = llabs(error) < NTP_TRUST_US;
    s->base.clock_error_us = a.ntp ? 0 : error;
    if (a.ntp)
        a.wall_us = ntp_us;
    return a;
}

static void note_key(struct stream *s, const AVPacket *packet)
{
    int64_t ts = packet->dts != AV_NOPTS_VALUE ? packet->dts : packet->pts;
    int64_t us = pd_demux_us(&s->demux, ts, 0);
    if (!(packet->flags & AV_PKT_FLAG_KEY) || us == PD_PTS_NONE)
        return;
    s->base.key_interval_us = s->last_key_us && us > s->last_key_us ? us - s->last_key_us : 0;
    s->last_key_us = us;
}

/* Put one packet, or the end, into the decoder. */
static int feed(struct stream *s, struct pd_err *err)
{
    if (!s->pending) {
        int r = pd_demux_read(&s->demux, err);
        if (r < 0 && s->demux.interrupt.code)
            return r; /* nobody waits for frames any more, or they are late by the whole deadline */
        if (r != 0) {
            s->end = r;
            if (err)
                s->end_err = *err;
            pd_decoder_send(&s->decoder, NULL, NULL);
            return 0;
        }
        if (s->demux.lost)
            pd_decoder_lost(&s->decoder);
        s->arrival = stamp(s, s->demux.packet);
        note_key(s, s->demux.packet);
        if (s->base.progress)
            s->base.progress(s->base.progress_user);
    }
    int r = pd_decoder_send(&s->decoder, s->demux.packet, &s->arrival);
    s->pending = r == -EAGAIN;
    return r == -ENOMEM ? pd_err_set(err, r, "%s: out of memory", s->input.name) : 0;
}

/* H.264 and H.265 tell it beside a keyframe, for the frames up to the next one as well. */
static struct pd_orientation orientation_of(struct stream *s, const AVFrame *av)
{
    const AVFrameSideData *side = av_frame_get_side_data(av, AV_FRAME_DATA_DISPLAYMATRIX);
    const enum AVCodecID codec = s->demux.stream->codecpar->codec_id;
    if (side && side->size >= 9 * sizeof(int32_t)) {
        const struct pd_orientation told = pd_orientation_matrix((const int32_t *)side->data);
        if (codec == AV_CODEC_ID_H264 || codec == AV_CODEC_ID_HEVC)
            s->orientation = told;
        return told;
    }
    const AVDictionaryEntry *exif = av_dict_get(av->metadata, "Orientation", NULL, 0);
    if (exif)
        return pd_orientation_exif(atoi(exif->value));
    return s->orientation;
}

/* Pictures are shown in another order than they are sent in, and what is shown later was not taken earlier. More than a
 * decoder keeps back is this machine's clock, which was set. */
static int64_t in_order(struct stream *s, int64_t us)
{
    if (us < s->last_arrival_us && s->last_arrival_us - us < REORDERED_US)
        us = s->last_arrival_us;
    s->last_arrival_us = us;
    return us;
}

static void set_times(struct stream *s, const AVFrame *av, const struct pd_arrival *arrival, struct pd_frame *f)
{
    const struct pd_reader_info *info = &s->base.info;
    const AVStream *st = s->demux.stream;
    f->arrived_ns = arrival->arrived_ns;
    int64_t start = info->live || st->start_time == AV_NOPTS_VALUE ? 0 : st->start_time;
    f->pts_us = pd_demux_us(&s->demux, av->best_effort_timestamp, start);
    if (f->pts_us != PD_PTS_NONE) {
        s->timed_us = f->pts_us;
        s->timed = s->read;
    } else if (!info->live && info->fps > 0) {
        /* The nominal rate is the clock of a raw stream, and of what an AVI's decoder still held at its end. */
        f->pts_us = s->timed_us + (int64_t)((double)(s->read - s->timed) * 1e6 / info->fps);
    }
    if (info->live) {
        f->captured_us = arrival->ntp ? arrival->wall_us : in_order(s, arrival->wall_us);
        f->time_source = arrival->ntp ? PD_TIME_NTP : PD_TIME_ARRIVAL;
    } else {
        f->captured_us = s->creation_us + (f->pts_us == PD_PTS_NONE ? 0 : f->pts_us);
        f->time_source = PD_TIME_FILE;
    }
}

static int finish_frame(struct stream *s, const AVFrame *av, const struct pd_arrival *arrival,
                        struct pd_frame **ret_frame, struct pd_err *err)
{
    struct pd_frame *f;
    int r = pd_avframe_to_frame(&s->converter, av, (int)s->demux.stream->codecpar->codec_id, &f, err);
    if (r < 0)
        return pd_err_prefix(err, r, "%s", s->input.name);
    struct pd_orientation turn = orientation_of(s, av);
    if (!pd_orientation_upright(turn)) {
        struct pd_frame *host = f->mem == PD_MEM_HOST ? pd_frame_ref(f) : pd_frame_to_rgb(f);
        struct pd_frame *turned = host ? pd_frame_turn(host, turn) : NULL;
        pd_frame_unref(&host);
        pd_frame_unref(&f);
        if (!turned)
            return pd_err_set(err, -ENOTSUP, "%s: a picture of this format cannot be turned upright", s->input.name);
        f = turned;
    }
    set_times(s, av, arrival, f);
    s->base.hardware = f->mem == PD_MEM_CUDA;
    s->read++;
    *ret_frame = f;
    return 0;
}

static int no_more(struct stream *s, struct pd_err *err)
{
    if (s->read == 0 && s->end > 0)
        return pd_err_set(err, -EBADMSG, "%s: the %s is damaged or cut off: nothing in it can be decoded",
                          s->input.name, s->base.info.pictures ? "picture" : "video");
    if (err)
        *err = s->end_err;
    return s->end;
}

static int decode_next(struct stream *s, struct pd_frame **ret_frame, struct pd_err *err)
{
    for (;;) {
        AVFrame *av;
        struct pd_arrival arrival;
        int r = pd_decoder_receive(&s->decoder, &av, &arrival);
        s->base.corrupt = s->decoder.corrupt;
        if (r == 0)
            return finish_frame(s, av, &arrival, ret_frame, err);
        if (r == -ENOMEM)
            return pd_err_set(err, r, "%s: out of memory", s->input.name);
        if (r == -EPIPE || (s->end && r == -EAGAIN))
            return no_more(s, err);
        if (r == -EBADMSG)
            continue;
        r = feed(s, err);
        s->base.corrupt = s->decoder.corrupt;
        if (r < 0)
            return r;
    }
}

static int stream_next(struct pd_reader *reader, struct pd_frame **ret_frame, struct pd_err *err)
{
    struct stream *s = stream_of(reader);
    pd_av_log_context(s->input.name);
    int r = 0;
    if (s->first) {
        *ret_frame = s->first;
        s->first = NULL;
    } else {
        r = decode_next(s, ret_frame, err);
    }
    pd_av_log_context(NULL);
    return r;
}

static int stream_rewind(struct pd_reader *reader, struct pd_err *err)
{
    struct stream *s = stream_of(reader);
    int r = pd_demux_rewind(&s->demux, err);
    if (r < 0)
        return r;
    pd_decoder_flush(&s->decoder);
    pd_frame_unref(&s->first);
    s->pending = false;
    s->end = 0;
    s->read = s->timed = s->timed_us = 0;
    s->orientation = s->container;
    return 0;
}

static void stream_close(struct pd_reader *reader)
{
    struct stream *s = stream_of(reader);
    pd_frame_unref(&s->first);
    pd_decoder_finish(&s->decoder);
    pd_demux_finish(&s->demux);
    pd_converter_finish(&s->converter);
    pd_input_finish(&s->input);
    free(s);
}

static void stream_discard(struct pd_reader *reader, enum pd_discard discard)
{
    pd_decoder_discard(&stream_of(reader)->decoder, discard);
}

static const struct pd_reader_ops stream_ops = {
    .next = stream_next,
    .rewind = stream_rewind,
    .close = stream_close,
    .discard = stream_discard,
};

static void fill_info(struct stream *s)
{
    const AVStream *st = s->demux.stream;
    struct pd_reader_info *info = &s->base.info;
    info->fps = pd_demux_is_picture(&s->demux) ? 0 : pd_demux_fps(&s->demux);
    info->frames = pd_demux_frames(&s->demux);
    info->pictures = pd_demux_is_picture(&s->demux);
    info->live = s->input.kind != PD_INPUT_FILE && pd_demux_is_live(&s->demux);
    info->parts = info->live && pd_demux_is_playlist(&s->demux);
    snprintf(info->codec, sizeof(info->codec), "%s", avcodec_get_name(st->codecpar->codec_id));
    size_t size = 0;
    const uint8_t *matrix = av_stream_get_side_data(st, AV_PKT_DATA_DISPLAYMATRIX, &size);
    if (matrix && size >= 9 * sizeof(int32_t))
        s->orientation = s->container = pd_orientation_matrix((const int32_t *)matrix);
    const AVDictionaryEntry *made = av_dict_get(s->demux.fmt->metadata, "creation_time", NULL, 0);
    int64_t us;
    if (made && av_parse_time(&us, made->value, 0) >= 0)
        s->creation_us = us;
}

/* A file is opened as far as its first frame, so that what cannot be decoded is refused here and the size is known. */
static int open_decoder(struct stream *s, const struct pd_reader_params *params, struct pd_err *err)
{
    const struct pd_decoder_params decoder = {
        .par = s->demux.stream->codecpar,
        .live = params->live || s->base.info.live,
        .network = s->demux.network,
        .threads = params->threads,
        .hwaccel = params->hwaccel,
        .cuda_device = params->cuda_device,
        .strict = s->base.info.pictures,
    };
    int r = pd_decoder_open(&s->decoder, &decoder, s->input.name, err);
    if (r < 0 || s->base.info.live)
        return r;
    r = decode_next(s, &s->first, err);
    if (r != 0)
        return r < 0 ? r : -EBADMSG;
    s->base.info.width = s->first->width;
    s->base.info.height = s->first->height;
    return 0;
}

int pd_reader_open_stream(const struct pd_reader_params *params, struct pd_input *input, struct pd_reader **ret_reader,
                          struct pd_err *err)
{
    struct stream *s = calloc(1, sizeof(*s));
    if (!s)
        return pd_err_set(err, -ENOMEM, "%s: out of memory", input->name);
    s->base.ops = &stream_ops;
    s->input = *input;
    s->base.current = s->input.name;
    pd_av_log_context(s->input.name);
    int r = pd_demux_open(&s->demux, params, &s->input, err);
    if (r >= 0) {
        fill_info(s);
        r = open_decoder(s, params, err);
    }
    pd_av_log_context(NULL);
    if (r < 0) {
        memset(&s->input, 0, sizeof(s->input)); /* stays the caller's */
        stream_close(&s->base);
        return r;
    }
    memset(input, 0, sizeof(*input));
    *ret_reader = &s->base;
    return 0;
}
