/* SPDX-License-Identifier: Apache-2.0
 *
 * Packets through the decoder wrapper and the converter, in the thread mode of live cameras. Input: one byte for codec,
 * live and threads, then packets, each as two bytes of length (big-endian), one of flags (1: keyframe) and its data.
 * Promises: every frame that comes out is whole (all of its bytes are there to be read), in range, and turnable.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>

#include <libavcodec/avcodec.h>

#include "core/util.h"
#include "decode/av.h"
#include "decode/decoder.h"
#include "decode/rotate.h"

#define PACKETS_MAX 64
#define PIXELS_MAX (1024 * 1024) /* of a frame: larger ones only cost time */

static const enum AVCodecID codecs[] = {AV_CODEC_ID_H264, AV_CODEC_ID_HEVC, AV_CODEC_ID_MJPEG, AV_CODEC_ID_MPEG4,
                                        AV_CODEC_ID_PNG,  AV_CODEC_ID_VP9,  AV_CODEC_ID_GIF,   AV_CODEC_ID_TIFF};

static void check_frame(const struct pd_frame *f)
{
    FUZZ_CHECK(f->width >= 1 && f->width <= PD_FRAME_SIDE_MAX && f->height >= 1 && f->height <= PD_FRAME_SIDE_MAX);
    FUZZ_CHECK(f->mem == PD_MEM_HOST && pd_frame_planes(f->format) >= 1);
    static volatile uint8_t sink;
    for (int p = 0; p < pd_frame_planes(f->format); p++) {
        int bytes = pd_frame_plane_row_bytes(f, p), rows = pd_frame_plane_rows(f, p);
        FUZZ_CHECK(f->stride[p] >= bytes);
        for (int y = 0; y < rows; y++)
            sink = f->plane[p][(ptrdiff_t)y * f->stride[p]] ^ f->plane[p][(ptrdiff_t)y * f->stride[p] + bytes - 1];
    }
    (void)sink;
    struct pd_frame *turned = pd_frame_turn(f, (struct pd_orientation){true, true, false});
    if (turned)
        FUZZ_CHECK(turned->width == f->height && turned->height == f->width);
    pd_frame_unref(&turned);
}

/* Returns false at the end of the stream. */
static bool take_frames(struct pd_decoder *decoder, struct pd_converter *converter, int codec, unsigned sent)
{
    for (;;) {
        AVFrame *av;
        struct pd_arrival arrival;
        struct pd_frame *f;
        int r = pd_decoder_receive(decoder, &av, &arrival);
        if (r == -EAGAIN || r == -EPIPE)
            return r == -EAGAIN;
        if (r < 0)
            continue;
        FUZZ_CHECK(!(av->flags & AV_FRAME_FLAG_CORRUPT) && !av->decode_error_flags);
        FUZZ_CHECK(arrival.arrived_ns >= 1 && arrival.arrived_ns <= (int64_t)sent);
        if (pd_avframe_to_frame(converter, av, codec, &f, NULL) == 0) {
            check_frame(f);
            pd_frame_unref(&f);
        }
    }
}

/* The next packet of the input; false: there is none. */
static bool next_packet(const uint8_t **data, size_t *size, AVPacket *packet)
{
    if (*size < 3)
        return false;
    size_t n = PD_MIN((size_t)((*data)[0] << 8 | (*data)[1]), *size - 3);
    FUZZ_CHECK(av_new_packet(packet, (int)n) == 0);
    memcpy(packet->data, *data + 3, n);
    packet->flags = (*data)[2] & 1 ? AV_PKT_FLAG_KEY : 0;
    *data += 3 + n;
    *size -= 3 + n;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    pd_av_init();
    int codec = codecs[data[0] % PD_ARRAY_SIZE(codecs)];
    AVCodecParameters *par = avcodec_parameters_alloc();
    AVPacket *packet = av_packet_alloc();
    FUZZ_CHECK(par && packet);
    par->codec_type = AVMEDIA_TYPE_VIDEO;
    par->codec_id = codec;
    const struct pd_decoder_params params = {
        .par = par, .live = data[0] & 0x80, .threads = data[0] & 0x40 ? 3 : 1, .strict = data[0] & 0x20};
    struct pd_decoder decoder;
    struct pd_converter converter = {0};
    if (pd_decoder_open(&decoder, &params, "fuzz", NULL) == 0) {
        decoder.avctx->max_pixels = PIXELS_MAX;
        data++;
        size--;
        unsigned sent = 0;
        while (sent < PACKETS_MAX && next_packet(&data, &size, packet)) {
            const struct pd_arrival arrival = {.arrived_ns = ++sent};
            while (pd_decoder_send(&decoder, packet, &arrival) == -EAGAIN)
                take_frames(&decoder, &converter, codec, sent);
            av_packet_unref(packet);
            take_frames(&decoder, &converter, codec, sent);
        }
        pd_decoder_send(&decoder, NULL, NULL);
        FUZZ_CHECK(sent == 0 || !take_frames(&decoder, &converter, codec, sent));
        pd_decoder_finish(&decoder);
    }
    pd_converter_finish(&converter);
    av_packet_free(&packet);
    avcodec_parameters_free(&par);
    return 0;
}
