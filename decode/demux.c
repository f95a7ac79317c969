/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <time.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "core/clock.h"
#include "decode/av.h"
#include "decode/demux_impl.h"
#include "decode/photo.h"

/* Packets, some ten seconds: who says longer than that of most packets that they are damaged does not mean it. */
#define MARKS_MAX 250

/* Pictures that are sent after those that they are shown before are behind by less. */
#define RESTART_S 1.0

/* A century: further from its start no stream is. */
#define STREAM_US_MAX (INT64_C(100) * 365 * 86400 * 1000000)

bool pd_demux_is_picture(const struct pd_demux *d)
{
    const char *name = d->fmt->iformat->name, *pipe = strstr(name, "_pipe");
    return pipe && !pipe[5];
}

bool pd_demux_is_playlist(const struct pd_demux *d)
{
    return !strcmp(d->fmt->iformat->name, "hls") || !strcmp(d->fmt->iformat->name, "dash");
}

bool pd_demux_is_live(const struct pd_demux *d)
{
    if (d->file || d->fmt->duration <= 0)
        return !d->file;
    /* Of an MP4 that is sent in fragments as they are made, what has come so far has a length. */
    return d->network && strstr(d->fmt->iformat->name, "mp4") && d->stream->nb_frames == 0 && d->fmt->pb &&
           avio_size(d->fmt->pb) < 0;
}

double pd_demux_fps(const struct pd_demux *d)
{
    AVRational rate = av_guess_frame_rate(d->fmt, d->stream, NULL);
    double fps = rate.num > 0 && rate.den > 0 ? av_q2d(rate) : 0;
    return fps > 1000 || fps < 1e-3 ? 0 : fps; /* 90000 is a clock, and a frame in an hour no rate either */
}

int64_t pd_demux_frames(const struct pd_demux *d)
{
    if (pd_demux_is_picture(d))
        return 1;
    if (pd_demux_is_live(d))
        return 0;
    if (d->stream->nb_frames > 0)
        return d->stream->nb_frames;
    double fps = pd_demux_fps(d);
    return d->fmt->duration > 0 && fps > 0 ? (int64_t)((double)d->fmt->duration / AV_TIME_BASE * fps + 0.5) : 0;
}

int64_t pd_demux_us(const struct pd_demux *d, int64_t ts, int64_t start)
{
    int64_t ticks;
    if (ts == AV_NOPTS_VALUE || __builtin_sub_overflow(ts, start, &ticks))
        return PD_PTS_NONE;
    int64_t us = av_rescale_q(ticks, d->stream->time_base, AV_TIME_BASE_Q);
    return us >= -STREAM_US_MAX && us <= STREAM_US_MAX ? us : PD_PTS_NONE;
}

/* Where in the stream we are, for people. */
static double seconds_read(const struct pd_demux *d)
{
    if (d->end_pts == AV_NOPTS_VALUE)
        return 0;
    int64_t start = d->stream->start_time == AV_NOPTS_VALUE ? 0 : d->stream->start_time;
    return ((double)d->end_pts - (double)start) * av_q2d(d->stream->time_base);
}

/* A clip is cut when its own header promised more. Half a second and a few frames are left for headers that round.
 * Fewer frames than the header counts are not enough where the times reach the end: an AVI counts places without a
 * picture, and an edit list leaves out frames that an MP4 counts. */
static bool ended_early(const struct pd_demux *d, double *ret_promised)
{
    if (d->fmt->duration_estimation_method != AVFMT_DURATION_FROM_STREAM || d->fmt->duration <= 0 || d->restarted)
        return false;
    double promised = d->stream->duration > 0 ? (double)d->stream->duration * av_q2d(d->stream->time_base)
                                              : (double)d->fmt->duration / AV_TIME_BASE;
    /* They count from 0, where a recording in pieces has its first piece, not from the first picture. */
    const char *name = d->fmt->iformat->name;
    if ((!strcmp(name, "matroska,webm") || !strcmp(name, "asf")) && d->stream->start_time != AV_NOPTS_VALUE)
        promised -= (double)d->stream->start_time * av_q2d(d->stream->time_base);
    const double counted = (double)d->stream->nb_frames;
    const bool fewer = counted > 0 && (double)d->packets + 5 < counted;
    *ret_promised = promised;
    if (d->end_pts == AV_NOPTS_VALUE)
        return fewer;
    const double left = promised - PD_MAX(seconds_read(d), pd_demux_has_one_length(d) ? d->other_end : 0);
    return left > PD_MAX(0.5, 0.02 * promised) || (fewer && left > 5 * promised / counted);
}

static int at_end(struct pd_demux *d, int averror, struct pd_err *err)
{
    double promised = 0;
    if (averror == AVERROR(ENOMEM)) /* nothing is wrong with the clip */
        return pd_err_set(err, -ENOMEM, "%s: out of memory", d->name);
    /* Over HTTP an end whose place nobody told is an input/output error to libav. */
    const bool ended = averror == AVERROR_EOF || (averror == AVERROR(EIO) && pd_av_log_take_ended());
    if (pd_demux_is_live(d))
        return ended ? pd_err_set(err, -EPIPE, "%s: the other side ended the stream", d->name)
                     : pd_av_err(err, averror, d->name, "reading failed");
    if (ended_early(d, &promised) && promised > 0)
        return pd_err_set(err, PD_READER_E_CUT, "%s: cut off after %.1f of %.1f s (%llu frames)", d->name,
                          seconds_read(d), promised, (unsigned long long)d->packets);
    if (!ended || d->damaged_end)
        return pd_err_set(err, PD_READER_E_CUT, "%s: damaged or cut off after %.1f s (%llu frames)", d->name,
                          seconds_read(d), (unsigned long long)d->packets);
    if (d->missing)
        return pd_err_set(err, PD_READER_E_CUT, "%s: %u parts of the playlist could not be opened (%llu frames)",
                          d->name, d->missing, (unsigned long long)d->packets);
    return PD_READER_E_END;
}

/* AV_NOPTS_VALUE: unknown */
static int64_t end_of(const AVPacket *p)
{
    int64_t end;
    if (p->pts == AV_NOPTS_VALUE || p->duration <= 0 || __builtin_add_overflow(p->pts, p->duration, &end))
        return p->pts;
    return end;
}

/* Of a transport stream libav marks the packets that a gap in its numbering fell into. What marks everything tells
 * nothing. The segments of a playlist may each begin their numbering anew; those are another format to libav. */
static bool is_marked(struct pd_demux *d)
{
    const bool marked = (d->packet->flags & AV_PKT_FLAG_CORRUPT) && !strcmp(d->fmt->iformat->name, "mpegts");
    d->marks = PD_CLAMP(d->marks + (marked ? 1 : -1), 0, MARKS_MAX);
    return marked && d->marks < MARKS_MAX;
}

/* A picture that something is missing in is no keyframe to go on from: decoders of H.265 do not tell that half of it is
 * not there. RTP tells of a gap while the picture is put together. The mark of a whole packet of a transport stream
 * comes out one picture early, since the parser sees where one ends by the start of the next: that is as suspect.
 * Pictures on their own (JPEG) that RTP left incomplete are not given to us. */
static void note_loss(struct pd_demux *d)
{
    const AVCodecDescriptor *codec = avcodec_descriptor_get(d->stream->codecpar->codec_id);
    const bool alone = codec && (codec->props & AV_CODEC_PROP_INTRA_ONLY);
    const bool before = d->marked, marked = is_marked(d);
    d->marked = marked && !alone;
    if (marked || before || (d->lost && !alone))
        d->packet->flags &= ~AV_PKT_FLAG_KEY;
    d->lost |= marked || before;
}

static void note_packet(struct pd_demux *d)
{
    note_loss(d);
    d->packets++;
    d->damaged_end = d->packet->flags & AV_PKT_FLAG_CORRUPT;
    const int64_t pts = d->packet->pts;
    if (pts != AV_NOPTS_VALUE && d->end_pts != AV_NOPTS_VALUE)
        d->restarted |= ((double)d->end_pts - (double)pts) * av_q2d(d->stream->time_base) > RESTART_S;
    d->end_pts = PD_MAX(d->end_pts, end_of(d->packet)); /* unknown is the least number there is */
}

static void note_other(struct pd_demux *d)
{
    const int64_t end = end_of(d->packet), start = d->stream->start_time;
    const double begin = start == AV_NOPTS_VALUE ? 0 : (double)start * av_q2d(d->stream->time_base);
    const AVStream *stream = d->fmt->streams[d->packet->stream_index];
    if (end != AV_NOPTS_VALUE)
        d->other_end = PD_MAX(d->other_end, (double)end * av_q2d(stream->time_base) - begin);
}

/* Belongs to the photo before it, and no viewer shows it. Only files of JPEGs hold any. */
static bool is_part(struct pd_demux *d)
{
    const AVPacket *p = d->packet;
    const bool jpegs = pd_demux_is_picture(d) || !strcmp(d->fmt->iformat->name, "mjpeg");
    if (!d->file || !jpegs || d->stream->codecpar->codec_id != AV_CODEC_ID_MJPEG)
        return false;
    d->video = pd_photo_has_video(p->data, p->size);
    if (d->parts == 0) {
        d->parts = pd_photo_parts(p->data, p->size);
        return false;
    }
    d->parts--;
    return true;
}

int pd_demux_read(struct pd_demux *d, struct pd_err *err)
{
    d->since_ns = pd_now_ns();
    d->lost = false;
    for (;;) {
        av_packet_unref(d->packet);
        if (d->video)
            return PD_READER_E_END;
        int r = av_read_frame(d->fmt, d->packet);
        d->lost |= pd_av_log_take_lost() > 0;
        d->missing += pd_av_log_take_parts();
        if (d->interrupt.code)
            return pd_demux_cancelled(d, err, "read");
        if (r == AVERROR(EAGAIN)) { /* a capture device between two pictures */
            if (pd_interrupt_poll(&d->interrupt))
                return pd_demux_cancelled(d, err, "read");
            nanosleep(&(struct timespec){0, 2 * PD_NS_PER_MS}, NULL);
            continue;
        }
        if (r < 0)
            return at_end(d, r, err);
        if (d->packet->stream_index != d->stream->index) {
            note_other(d);
            continue;
        }
        if (is_part(d))
            continue;
        note_packet(d);
        return 0;
    }
}

int pd_demux_rewind(struct pd_demux *d, struct pd_err *err)
{
    /* Transport and program streams have no index, and a search by time misses what comes before a later keyframe. */
    const int searched = AVFMT_TS_DISCONT | AVFMT_SHOW_IDS, flags = d->fmt->iformat->flags;
    int64_t start = d->stream->start_time == AV_NOPTS_VALUE ? 0 : d->stream->start_time;
    int r = -1;
    if ((flags & (searched | AVFMT_NO_BYTE_SEEK)) != searched)
        r = avformat_seek_file(d->fmt, d->stream->index, INT64_MIN, start, start, 0);
    /* Raw streams know no times: byte 0 is the start of any file. */
    if (r < 0)
        r = avformat_seek_file(d->fmt, -1, INT64_MIN, 0, INT64_MAX, AVSEEK_FLAG_BYTE);
    if (r < 0)
        return pd_av_err(err, r, d->name, "cannot start again");
    d->packets = 0;
    d->end_pts = AV_NOPTS_VALUE;
    d->other_end = 0;
    d->damaged_end = d->marked = d->video = d->restarted = false;
    d->parts = 0;
    d->missing = 0;
    pd_av_log_forget();
    return 0;
}
