/* SPDX-License-Identifier: Apache-2.0
 *
 * The decoder alone: when it waits for a keyframe, for how long, and when software takes over from a GPU.
 */
#include "tests/core/test.h"

#include <errno.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "decode/decoder.h"
#include "decode/demux.h"
#include "tests/decode/clip.h"

#define FRAMES 100

static struct clip sample(const char *path, int gop, int frames)
{
    return (struct clip){.path = path, .codec = "mpeg4", .pix_fmt = "yuv420p", .width = 160, .height = 128, .fps = 25,
                         .frames = frames, .gop = gop, .texture = true,
                         .options = "sc_threshold=1000000000"}; /* no other keyframes */
}

/* ---- a GPU that fails, played by software that believes to be one and is given rubbish ---- */

#define GOP 10

struct playback {
    bool (*fails)(int packet, const struct pd_decoder *decoder);
    bool shown[FRAMES]; /* by packet: these streams have no reordering */
    int frames;
    uint64_t corrupt;
    bool hardware; /* still, at the end */
};

static void take_frames(struct pd_decoder *decoder, struct playback *p)
{
    AVFrame *frame;
    struct pd_arrival arrival;
    int r;
    while ((r = pd_decoder_receive(decoder, &frame, &arrival)) == 0 || r == -EBADMSG)
        if (r == 0) {
            p->shown[arrival.arrived_ns] = true;
            p->frames++;
        }
}

static void give(struct pd_decoder *decoder, struct playback *p, const AVPacket *packet, int number)
{
    const struct pd_arrival arrival = {.arrived_ns = number};
    AVPacket *copy = NULL;
    int r;
    do {
        av_packet_free(&copy);
        copy = av_packet_clone(packet);
        assert_non_null(copy);
        assert_int_equal(av_packet_make_writable(copy), 0);
        if (p->fails(number, decoder))
            memset(copy->data, 0, (size_t)copy->size);
        r = pd_decoder_send(decoder, copy, &arrival);
        take_frames(decoder, p);
    } while (r == -EAGAIN);
    assert_int_equal(r, 0);
    av_packet_free(&copy);
}

static void play(struct playback *p)
{
    struct clip c = sample(clip_path("gpu.avi"), GOP, FRAMES);
    struct pd_err err = {""};
    struct pd_input input;
    struct pd_demux demux = {0};
    struct pd_decoder decoder;
    assert_int_equal(clip_write(&c), 0);
    assert_int_equal(pd_input_parse(c.path, &input, &err), 0);
    assert_int_equal(pd_demux_open(&demux, &(struct pd_reader_params){.input = c.path}, &input, &err), 0);
    const struct pd_decoder_params params = {.par = demux.stream->codecpar, .live = true, .threads = 1};
    assert_int_equal(pd_decoder_open(&decoder, &params, "gpu", &err), 0);
    decoder.hardware = true;
    for (int i = 0; pd_demux_read(&demux, &err) == 0; i++)
        give(&decoder, p, demux.packet, i);
    p->corrupt = decoder.corrupt;
    p->hardware = decoder.hardware;
    pd_decoder_finish(&decoder);
    pd_demux_finish(&demux);
    pd_input_finish(&input);
}

static bool fails_once(int packet, const struct pd_decoder *decoder)
{
    return packet == 2 * GOP + 3;
}

static void after_an_error_of_the_gpu_nothing_is_shown_before_a_keyframe(void **state)
{
    struct playback p = {.fails = fails_once};
    play(&p);
    for (int i = 0; i < FRAMES; i++)
        assert_int_equal(p.shown[i], i < 2 * GOP + 3 || i >= 3 * GOP);
    assert_int_equal(p.corrupt, GOP - 3);
    assert_true(p.hardware);
}

static bool always_fails(int packet, const struct pd_decoder *decoder)
{
    return decoder->hardware;
}

static void a_gpu_that_never_decodes_is_replaced_at_a_keyframe_which_is_shown(void **state)
{
    struct playback p = {.fails = always_fails};
    play(&p);
    assert_false(p.hardware);
    for (int i = 0; i < FRAMES; i++)
        assert_int_equal(p.shown[i], i >= 3 * GOP);
    assert_int_equal(p.corrupt, 3 * GOP + 1);
}

static bool fails_behind_keyframes(int packet, const struct pd_decoder *decoder)
{
    return decoder->hardware && packet % GOP == 1;
}

static void a_gpu_that_decodes_keyframes_alone_is_replaced(void **state)
{
    struct playback p = {.fails = fails_behind_keyframes};
    play(&p);
    assert_false(p.hardware);
    for (int i = 0; i < FRAMES; i++)
        assert_int_equal(p.shown[i], i % GOP == 0 || i >= 5 * GOP);
}

static bool fails_now_and_then(int packet, const struct pd_decoder *decoder)
{
    return packet % (2 * GOP) == GOP + 1;
}

static void a_gpu_that_fails_now_and_then_stays(void **state)
{
    struct playback p = {.fails = fails_now_and_then};
    play(&p);
    assert_true(p.hardware);
    for (int i = 0; i < FRAMES; i++)
        assert_int_equal(p.shown[i], i % (2 * GOP) <= GOP);
}

/* ---- keyframes that are far apart ---- */

/* Of a clip with a keyframe each @gop packets, which are shown when something was lost before packet @lost. */
static void lose_one(int gop, int frames, int lost, bool *shown)
{
    struct clip c = sample(clip_path("rare.avi"), gop, frames);
    struct pd_input input;
    struct pd_demux demux = {0};
    struct pd_decoder decoder;
    AVFrame *frame;
    struct pd_arrival arrival;
    c.texture = false;
    assert_int_equal(clip_write(&c), 0);
    assert_int_equal(pd_input_parse(c.path, &input, NULL), 0);
    assert_int_equal(pd_demux_open(&demux, &(struct pd_reader_params){.input = c.path}, &input, NULL), 0);
    const struct pd_decoder_params params = {.par = demux.stream->codecpar, .live = true, .threads = 1};
    assert_int_equal(pd_decoder_open(&decoder, &params, "rare", NULL), 0);
    for (int i = 0; pd_demux_read(&demux, NULL) == 0; i++) {
        if (i == lost)
            pd_decoder_lost(&decoder);
        assert_int_equal(pd_decoder_send(&decoder, demux.packet, &(struct pd_arrival){.arrived_ns = i}), 0);
        while (pd_decoder_receive(&decoder, &frame, &arrival) == 0)
            shown[arrival.arrived_ns] = true;
    }
    pd_decoder_finish(&decoder);
    pd_demux_finish(&demux);
    pd_input_finish(&input);
}

static void behind_a_loss_the_next_keyframe_may_be_far(void **state)
{
    enum { N = 1000, EACH = 400, LOST = EACH + 10 };
    bool shown[N] = {false};
    lose_one(EACH, N, LOST, shown);
    for (int i = 0; i < N; i++)
        assert_int_equal(shown[i], i < LOST || i >= 2 * EACH);
}

static void a_stream_without_keyframes_is_shown_in_the_end(void **state)
{
    enum { N = 600, LOST = 10, WAIT = 300 };
    bool shown[N] = {false};
    lose_one(N, N, LOST, shown);
    for (int i = 0; i < N; i++)
        assert_int_equal(shown[i], i < LOST || i >= LOST + WAIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_an_error_of_the_gpu_nothing_is_shown_before_a_keyframe),
        cmocka_unit_test(a_gpu_that_never_decodes_is_replaced_at_a_keyframe_which_is_shown),
        cmocka_unit_test(a_gpu_that_decodes_keyframes_alone_is_replaced),
        cmocka_unit_test(a_gpu_that_fails_now_and_then_stays),
        cmocka_unit_test(behind_a_loss_the_next_keyframe_may_be_far),
        cmocka_unit_test(a_stream_without_keyframes_is_shown_in_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
