/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/decode/clip.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/display.h>
#include <libavutil/imgutils.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>

/* What the sanitizers see of others: a KiB that the encoder of H.265 keeps; and libav's reference counts, which the
 * thread sanitizer cannot follow in a library that was built without it. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libx265";
}
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:libavutil.so\ncalled_from_lib:libavcodec.so\ncalled_from_lib:libx264.so\n"
           "called_from_lib:libx265.so\n";
}

/* 9 levels apart, so that a lossy codec cannot blur one into the next; repeats after 24. */
int clip_luma(int n)
{
    return 20 + n % 24 * 9;
}

int clip_number(const struct pd_frame *f)
{
    const uint8_t *p = f->plane[0] + (ptrdiff_t)(f->height / 2) * f->stride[0];
    int y = f->format == PD_PIX_RGB24 || f->format == PD_PIX_BGR24 ? p[f->width / 2 * 3] : p[f->width / 2];
    int n = (y - 20 + 4) / 9;
    return y < 16 || n > 23 || abs(clip_luma(n) - y) > 4 ? -1 : n;
}

static uint32_t noise(int x, int y, int seed)
{
    uint32_t h = (uint32_t)x / 4 * 374761393u + (uint32_t)y / 4 * 668265263u + (uint32_t)seed * 2246822519u;
    h = (h ^ h >> 13) * 1274126177u;
    return h ^ h >> 16;
}

/* Component @c of every pixel is @value of 255, and @dark inside the top left quarter; or noise from @seed on. */
static void fill_component(AVFrame *f, const AVPixFmtDescriptor *d, int c, int value, int dark, int seed)
{
    int depth = d->comp[c].depth;
    bool chroma = !(d->flags & AV_PIX_FMT_FLAG_RGB) && (c == 1 || c == 2);
    int w = chroma ? AV_CEIL_RSHIFT(f->width, d->log2_chroma_w) : f->width;
    int h = chroma ? AV_CEIL_RSHIFT(f->height, d->log2_chroma_h) : f->height;
    uint16_t *line = malloc((size_t)w * 2);
    for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x++) {
            int v = y < h / 2 && x < w / 2 ? dark : value;
            if (seed >= 0)
                v = (int)(40 + noise(x, y, seed) % 150);
            line[x] = (uint16_t)(depth >= 8 ? v << (depth - 8) : v >> (8 - depth));
        }
        av_write_image_line(line, f->data, f->linesize, d, 0, y, c, w);
    }
    free(line);
}

static void fill(AVFrame *f, int n, const struct clip *clip)
{
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(f->format);
    bool rgb = d->flags & AV_PIX_FMT_FLAG_RGB, alpha = d->flags & AV_PIX_FMT_FLAG_ALPHA;
    for (int i = 0; i < 4 && f->buf[i]; i++)
        memset(f->buf[i]->data, 0, f->buf[i]->size); /* av_write_image_line ors its bits in */
    for (int c = 0; c < d->nb_components; c++) {
        int luma = clip_luma(n), value = luma;
        if (c == 1)
            value = clip->u ? clip->u : rgb ? luma : 128;
        else if (c == 2)
            value = clip->v ? clip->v : rgb ? luma : 128;
        if (alpha && c == d->nb_components - 1)
            fill_component(f, d, c, clip->transparent ? 0 : 255, clip->transparent ? 0 : 255, -1);
        else
            fill_component(f, d, c, value, value - (clip->mark && (rgb || c == 0) ? 9 : 0),
                           clip->texture ? n / 2 + c * 1000 : -1);
    }
}

AVFrame *clip_frame(const struct clip *clip, int n)
{
    AVFrame *f = av_frame_alloc();
    f->format = av_get_pix_fmt(clip->pix_fmt);
    f->width = clip->width;
    f->height = clip->height;
    f->color_range = clip->color_range;
    f->colorspace = clip->color_space ? clip->color_space : AVCOL_SPC_UNSPECIFIED;
    if (f->format == AV_PIX_FMT_NONE || av_frame_get_buffer(f, 0) < 0)
        av_frame_free(&f);
    else
        fill(f, n, clip);
    return f;
}

struct output {
    AVFormatContext *fmt;
    AVCodecContext *enc;
    AVStream *st;
    AVPacket *pkt;
    int64_t next;
};

static int drain(struct output *o)
{
    for (;;) {
        int r = avcodec_receive_packet(o->enc, o->pkt);
        if (r < 0)
            return r == AVERROR(EAGAIN) || r == AVERROR_EOF ? 0 : r;
        av_packet_rescale_ts(o->pkt, o->enc->time_base, o->st->time_base);
        o->pkt->stream_index = 0;
        if (!o->pkt->duration)
            o->pkt->duration = av_rescale_q(1, o->enc->time_base, o->st->time_base);
        if ((r = av_interleaved_write_frame(o->fmt, o->pkt)) < 0)
            return r;
    }
}

static AVStream *add_sound(struct output *o)
{
    AVStream *st = avformat_new_stream(o->fmt, NULL);
    st->codecpar->codec_type = AVMEDIA_TYPE_AUDIO;
    st->codecpar->codec_id = AV_CODEC_ID_PCM_S16LE;
    st->codecpar->sample_rate = 11025;
    st->codecpar->ch_layout = (AVChannelLayout)AV_CHANNEL_LAYOUT_MONO;
    st->codecpar->bits_per_coded_sample = 16;
    st->codecpar->block_align = 2;
    st->time_base = (AVRational){1, 11025};
    return st;
}

/* In packets of a fifth of a second. */
static int write_sound(struct output *o, const AVStream *st, int seconds)
{
    const int samples = 11025 / 5;
    for (int i = 0, r; i < seconds * 5; i++) {
        if ((r = av_new_packet(o->pkt, samples * 2)) < 0)
            return r;
        memset(o->pkt->data, 0, (size_t)o->pkt->size);
        o->pkt->stream_index = st->index;
        o->pkt->pts = o->pkt->dts = av_rescale_q((int64_t)i * samples, (AVRational){1, 11025}, st->time_base);
        o->pkt->duration = av_rescale_q(samples, (AVRational){1, 11025}, st->time_base);
        if ((r = av_interleaved_write_frame(o->fmt, o->pkt)) < 0)
            return r;
    }
    return 0;
}

static int encode(struct output *o, const struct clip *clip, int width, int height, int frames)
{
    const AVCodec *codec = avcodec_find_encoder_by_name(clip->codec);
    if (!codec)
        return -ENOTSUP;
    o->enc = avcodec_alloc_context3(codec);
    o->enc->width = width;
    o->enc->height = height;
    o->enc->pix_fmt = av_get_pix_fmt(clip->pix_fmt);
    o->enc->time_base = (AVRational){1, clip->fps};
    o->enc->framerate = (AVRational){clip->fps, 1};
    o->enc->gop_size = clip->gop ? clip->gop : 10;
    o->enc->strict_std_compliance = FF_COMPLIANCE_UNOFFICIAL;
    o->enc->thread_count = 1;
    o->enc->color_range = clip->color_range;
    o->enc->colorspace = clip->color_space ? clip->color_space : AVCOL_SPC_UNSPECIFIED;
    if (o->fmt->oformat->flags & AVFMT_GLOBALHEADER)
        o->enc->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    AVDictionary *opts = NULL;
    if (clip->options)
        av_dict_parse_string(&opts, clip->options, "=", ":", 0);
    int r = avcodec_open2(o->enc, codec, &opts);
    av_dict_free(&opts);
    if (r < 0)
        return r;
    if (!o->st) {
        o->st = avformat_new_stream(o->fmt, NULL);
        avcodec_parameters_from_context(o->st->codecpar, o->enc);
        o->st->time_base = o->enc->time_base;
        o->st->avg_frame_rate = o->enc->framerate;
        if (clip->rotate)
            av_display_rotation_set((int32_t *)av_stream_new_side_data(o->st, AV_PKT_DATA_DISPLAYMATRIX, 36),
                                    clip->rotate);
        AVStream *sound = clip->sound_s ? add_sound(o) : NULL;
        AVDictionary *mux = NULL;
        if (clip->faststart)
            av_dict_set(&mux, "movflags", "+faststart", 0);
        r = avformat_write_header(o->fmt, &mux);
        av_dict_free(&mux);
        if (r >= 0 && sound)
            r = write_sound(o, sound, clip->sound_s);
        if (r < 0)
            return r;
    }
    for (int i = 0; i < frames && r >= 0; i++) {
        struct clip picture = *clip;
        picture.width = width;
        picture.height = height;
        AVFrame *f = clip_frame(&picture, clip->first + (int)o->next);
        f->pts = o->next++;
        r = avcodec_send_frame(o->enc, f);
        av_frame_free(&f);
        if (r >= 0)
            r = drain(o);
    }
    if (r >= 0)
        avcodec_send_frame(o->enc, NULL);
    if (r >= 0)
        r = drain(o);
    avcodec_free_context(&o->enc);
    return r;
}

int clip_write(const struct clip *clip)
{
    struct output o = {.pkt = av_packet_alloc()};
    av_log_set_level(AV_LOG_ERROR);
    int r = avformat_alloc_output_context2(&o.fmt, NULL, clip->container, clip->path);
    if (r < 0)
        return r;
    if (!(o.fmt->oformat->flags & AVFMT_NOFILE))
        r = avio_open(&o.fmt->pb, clip->path, AVIO_FLAG_WRITE);
    if (r >= 0 && !strncmp(o.fmt->oformat->name, "image2", 6))
        av_opt_set(o.fmt->priv_data, "update", "1", 0);
    if (r >= 0)
        r = encode(&o, clip, clip->width, clip->height, clip->frames);
    if (r >= 0 && clip->tail_frames)
        r = encode(&o, clip, clip->tail_width, clip->tail_height, clip->tail_frames);
    if (r >= 0)
        r = av_write_trailer(o.fmt);
    avcodec_free_context(&o.enc);
    if (!(o.fmt->oformat->flags & AVFMT_NOFILE))
        avio_closep(&o.fmt->pb);
    avformat_free_context(o.fmt);
    av_packet_free(&o.pkt);
    return r;
}

static char folder[64];

static void remove_folder(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    if (system(command) != 0)
        fprintf(stderr, "# %s is left over\n", folder);
}

const char *clip_path(const char *name)
{
    static char paths[16][256];
    static int next;
    if (!folder[0]) {
        snprintf(folder, sizeof(folder), "/tmp/posed-decode-XXXXXX");
        if (!mkdtemp(folder))
            abort();
        atexit(remove_folder);
    }
    char *path = paths[next++ % 16];
    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

uint8_t *clip_load(const char *path, long *ret_size)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    fseek(f, 0, SEEK_END);
    *ret_size = ftell(f);
    rewind(f);
    uint8_t *bytes = malloc((size_t)*ret_size + 1);
    if (!bytes || fread(bytes, 1, (size_t)*ret_size, f) != (size_t)*ret_size)
        abort();
    fclose(f);
    return bytes;
}

void clip_save(const char *path, const void *bytes, long size)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, (size_t)size, f) != (size_t)size || fclose(f))
        abort();
}

const char *clip_shared(const char *name)
{
    static char path[512];
    const char *shared = getenv("POSED_SHARED"), *root = getenv("POSED_SOURCE_ROOT");
    if (shared)
        snprintf(path, sizeof(path), "%s/media/%s", shared, name);
    else
        snprintf(path, sizeof(path), "%s/../shared/media/%s", root ? root : ".", name);
    return access(path, R_OK) == 0 ? path : NULL;
}
