/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/dict.h>

#include "core/clock.h"
#include "decode/av.h"
#include "decode/demux_impl.h"
#include "decode/descriptors.h"
#include "decode/diagnose.h"
#include "decode/resolve.h"

/* Formats that take plain text, or anything at all, for a video. */
static const char *const refused_formats[] = {"tty", "bin", "xbin", "adf", "idf", "ansi", "lavfi"};

/* Of a network stream. Each costs libav memory before a packet has come, up to a MiB while the stream is looked at. */
#define STREAMS_MAX 8

/* How much of a stream without an end is looked at before its first picture may come. libav would take 5 s of its
 * time, and of some formats 7 or 90, which a camera of one picture a second does not get through in the time it has. */
#define LOOK_US 2000000

/* Of one compressed picture of a network stream: ten times the average picture of 100 Mbit/s, which is 8K video. While
 * the parser's buffer grows, it is there twice. */
#define PICTURE_BYTES_MAX (6 << 20)

/* What a camera's connection takes: its own, two for RTP and RTCP over UDP, and one for looking up names. Where only
 * that for RTCP is missing, libavformat 5.1 loses the one for RTP for good (rtp_open() tries again and forgets it).
 */
#define DESCRIPTORS 4

/* How often a pipe without a writer is left to look at the deadline. */
#define PIPE_POLL_MS 20

/* libav's own look at whether to go on: besides the caller's reasons, a camera may begin a picture and never end it,
 * and libavformat's parser would keep all of it. */
static int poll_interrupt(void *user)
{
    struct pd_demux *d = user;
    /* fmt is gone before the connection is closed, and TLS still says goodbye then */
    for (unsigned i = 0; d->network && d->fmt && i < d->fmt->nb_streams; i++) {
        const AVCodecParserContext *parser = av_stream_get_parser(d->fmt->streams[i]);
        if (parser && parser->cur_offset - parser->next_frame_offset > PICTURE_BYTES_MAX && !d->interrupt.code)
            d->interrupt.code = -EMSGSIZE;
    }
    return pd_interrupt_poll(&d->interrupt);
}

int pd_demux_cancelled(const struct pd_demux *d, struct pd_err *err, const char *phase)
{
    if (d->interrupt.code == -EMSGSIZE)
        return pd_err_set(err, -EMSGSIZE, "%s: a picture of over %d MiB that does not end", d->name,
                          PICTURE_BYTES_MAX >> 20);
    if (d->interrupt.code == -ETIMEDOUT)
        return pd_err_set(err, -ETIMEDOUT, "%s: timed out after %.1f s in %s", d->name,
                          (double)(pd_now_ns() - d->since_ns) / (double)PD_NS_PER_S, phase);
    return pd_err_set(err, d->interrupt.code, "%s: stopped in %s", d->name, phase);
}

/* A local file is probed by its content first: by name, "photo-%d.jpg" would be a sequence and a text named .png a
 * picture. The name only helps with formats that have no mark in them. */
static int probe_file(struct pd_demux *d, const char *path, const AVInputFormat **ret_format)
{
    int r = av_probe_input_buffer2(d->file, ret_format, "", NULL, 0, 0);
    if (r < 0 && r != AVERROR_EXIT)
        r = av_probe_input_buffer2(d->file, ret_format, path, NULL, 0, 0);
    if (r < 0)
        return r;
    for (size_t i = 0; i < PD_ARRAY_SIZE(refused_formats); i++)
        if (!strcmp((*ret_format)->name, refused_formats[i]))
            return AVERROR_INVALIDDATA;
    return !strcmp((*ret_format)->name, "image2") ? AVERROR_INVALIDDATA : 0;
}

/* Pipes and devices may never give a byte, and a named pipe waits for a writer while it is opened. No deadline reaches
 * the kernel, so they are read without waiting, and libav looks at the interrupt between two tries. */
static bool may_block(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

static int open_pipe(struct pd_demux *d, const char *path, const AVIOInterruptCB *interrupt)
{
    char url[32];
    d->pipe = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (d->pipe < 0)
        return AVERROR(errno);
    struct pollfd ready = {.fd = d->pipe, .events = POLLIN};
    while (poll(&ready, 1, PIPE_POLL_MS) == 0) /* before its first writer a pipe would seem to be at its end */
        if (pd_interrupt_poll(&d->interrupt))
            return AVERROR_EXIT;
    snprintf(url, sizeof(url), "pipe:%d", d->pipe);
    return avio_open2(&d->file, url, AVIO_FLAG_READ, interrupt, NULL);
}

static int open_file(struct pd_demux *d, const char *path, AVDictionary **opts, struct pd_err *err)
{
    const bool pipe = may_block(path);
    int r = pipe ? 0 : pd_diagnose_access(path, err);
    if (r < 0)
        return r;
    size_t cap = strlen(path) + sizeof("file:");
    PD_CLEANUP(pd_freep) char *url = malloc(cap);
    if (!url)
        return pd_err_set(err, -ENOMEM, "%s: out of memory", d->name);
    snprintf(url, cap, "file:%s", path); /* else a colon in the name would be taken for a protocol */
    const AVIOInterruptCB interrupt = {poll_interrupt, d};
    const AVInputFormat *format = NULL;
    pd_av_log_forget();
    r = pipe ? open_pipe(d, path, &interrupt) : avio_open2(&d->file, url, AVIO_FLAG_READ, &interrupt, NULL);
    if (r >= 0)
        r = probe_file(d, path, &format);
    if (r >= 0) {
        d->fmt->pb = d->file;
        r = avformat_open_input(&d->fmt, url, format, opts);
    }
    if (r < 0)
        return d->interrupt.code ? pd_demux_cancelled(d, err, "opening") : pd_diagnose_refusal(path, r, err);
    return 0;
}

static int open_url(struct pd_demux *d, const struct pd_reader_params *params, const struct pd_input *input,
                    AVDictionary **opts, struct pd_err *err)
{
    const AVInputFormat *format = NULL;
    if (input->kind == PD_INPUT_V4L2) {
        format = av_find_input_format("video4linux2,v4l2");
        if (!format)
            return pd_err_set(err, -ENOTSUP, "%s: this FFmpeg was built without v4l2", d->name);
        d->fmt->flags |= AVFMT_FLAG_NONBLOCK; /* its blocking read cannot be interrupted */
    }
    if (d->network) {
        pd_av_init_network();
        d->fmt->max_streams = STREAMS_MAX;
        int r = pd_descriptors_left(DESCRIPTORS);
        if (r < 0)
            return pd_diagnose_descriptors(d->name, r, err);
        r = pd_resolve(input, &d->interrupt, err);
        if (d->interrupt.code)
            return pd_demux_cancelled(d, err, "looking up its host name");
        if (r < 0)
            return r;
        r = pd_tls_prepare(&d->tls, input, params, d->fmt, opts, err);
        if (r < 0)
            return r;
    }
    pd_av_log_forget();
    char *url = pd_input_url(input, params->username, params->password);
    if (!url)
        return pd_err_set(err, -ENOMEM, "%s: out of memory", d->name);
    int r = avformat_open_input(&d->fmt, url, format, opts);
    pd_input_wipe(&url);
    av_dict_set(opts, PD_TLS_PLAYLIST_OPTION, NULL, 0);
    if (r >= 0)
        return 0;
    if (d->interrupt.code)
        return pd_demux_cancelled(d, err, "connecting");
    bool known = input->user || params->username || params->password;
    return pd_diagnose_camera(d->name, r, known, d->tls.open, err);
}

static int check_options(struct pd_demux *d, const AVDictionary *opts, struct pd_err *err)
{
    const AVDictionaryEntry *left = av_dict_get(opts, "", NULL, AV_DICT_IGNORE_SUFFIX);
    if (!left)
        return 0;
    return pd_err_set(err, -EINVAL, "%s: this FFmpeg does not know the option %s=%s for it", d->name, left->key,
                      left->value);
}

/* The SDP of an RTSP camera carries the parameter sets, and JPEG pictures carry their own: probing would only cost a
 * second. */
static bool needs_probing(const struct pd_demux *d, const struct pd_input *input)
{
    if (input->kind != PD_INPUT_RTSP)
        return true;
    for (unsigned i = 0; i < d->fmt->nb_streams; i++) {
        const AVCodecParameters *par = d->fmt->streams[i]->codecpar;
        if (par->codec_type != AVMEDIA_TYPE_VIDEO)
            continue;
        bool parameter_sets = par->codec_id == AV_CODEC_ID_H264 || par->codec_id == AV_CODEC_ID_HEVC;
        if ((parameter_sets && par->extradata_size > 0) || par->codec_id == AV_CODEC_ID_MJPEG)
            return false;
    }
    return true;
}

bool pd_demux_has_one_length(const struct pd_demux *d)
{
    return d->stream->duration <= 0 || !strcmp(d->fmt->iformat->name, "asf");
}

static int choose_stream(struct pd_demux *d, const char *path, struct pd_err *err)
{
    int best = av_find_best_stream(d->fmt, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
    const bool known = best >= 0 && d->fmt->streams[best]->codecpar->codec_id != AV_CODEC_ID_NONE;
    if (d->file && !known) { /* libav makes what it can of half an index */
        int r = pd_diagnose_index(path, err);
        if (r < 0)
            return r;
    }
    if (best < 0)
        return pd_err_set(err, -EBADMSG, "%s: there is no picture in it (%s)", d->name, d->fmt->iformat->long_name);
    d->stream = d->fmt->streams[best];
    /* Sound may outlast the picture: the end of the one is then no sign that the other was cut off. */
    const enum AVDiscard others = d->file && pd_demux_has_one_length(d) ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
    for (unsigned i = 0; i < d->fmt->nb_streams; i++)
        d->fmt->streams[i]->discard = (int)i == best ? AVDISCARD_DEFAULT : others;
    return 0;
}

int pd_demux_open(struct pd_demux *d, const struct pd_reader_params *params, const struct pd_input *input,
                  struct pd_err *err)
{
    *d = (struct pd_demux){
        .name = input->name,
        .interrupt = {params->interrupt, params->user, 0},
        .packet = av_packet_alloc(),
        .fmt = avformat_alloc_context(),
        .network = input->kind == PD_INPUT_RTSP || input->kind == PD_INPUT_HTTP,
        .pipe = -1,
        .end_pts = AV_NOPTS_VALUE,
        .since_ns = pd_now_ns(),
    };
    AVDictionary *opts = NULL;
    int r = d->fmt && d->packet ? pd_input_options(input, params, &opts) : AVERROR(ENOMEM);
    if (r < 0) {
        r = pd_err_set(err, -ENOMEM, "%s: out of memory", d->name);
        goto out;
    }
    d->fmt->interrupt_callback = (AVIOInterruptCB){poll_interrupt, d};
    r = input->kind == PD_INPUT_FILE ? open_file(d, input->address, &opts, err)
                                     : open_url(d, params, input, &opts, err);
    if (r == 0)
        r = check_options(d, opts, err);
    if (r == 0 && needs_probing(d, input)) {
        if (d->network && d->fmt->duration <= 0)
            d->fmt->max_analyze_duration = LOOK_US;
        if (input->kind == PD_INPUT_RTSP) /* else 20 frames to guess a rate by, which mostly nobody knows */
            d->fmt->fps_probe_size = 0;
        r = avformat_find_stream_info(d->fmt, NULL);
        if (d->interrupt.code)
            r = pd_demux_cancelled(d, err, "looking at the stream");
        else if (r < 0)
            r = pd_av_err(err, r, d->name, "the stream cannot be understood");
    }
    if (r >= 0)
        r = choose_stream(d, input->address, err);
out:
    av_dict_free(&opts);
    if (r < 0)
        pd_demux_finish(d);
    return r;
}

void pd_demux_finish(struct pd_demux *d)
{
    if (d->interrupt.code == -ECANCELED)
        d->interrupt.code = 0; /* a camera that was well is told goodbye, for as long as whoever stopped it allows */
    avformat_close_input(&d->fmt);
    avio_closep(&d->file);
    if (d->pipe >= 0)
        close(d->pipe);
    d->pipe = -1;
    av_packet_free(&d->packet);
}
