/* SPDX-License-Identifier: Apache-2.0
 *
 * Files that are not whole: what could be read is read, what is missing is said, nothing damaged is handed on.
 */
#include "tests/core/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libavformat/avformat.h>

#include "decode/reader.h"
#include "tests/decode/clip.h"

#define FRAMES 100

static struct clip sample(const char *path, const char *codec)
{
    return (struct clip){.path = path, .codec = codec, .pix_fmt = strcmp(codec, "mjpeg") ? "yuv420p" : "yuvj420p",
                         .width = 160, .height = 128, .fps = 25, .frames = FRAMES, .texture = true};
}

struct outcome {
    int opened, frames, end;
    uint64_t corrupt;
    struct pd_err err;
};

static struct outcome read_file(const char *path)
{
    struct outcome o = {.err = {""}};
    struct pd_reader *reader;
    struct pd_frame *f;
    o.opened = pd_reader_open(&(struct pd_reader_params){.input = path}, &reader, &o.err);
    if (o.opened < 0)
        return o;
    while ((o.end = pd_reader_next(reader, &f, &o.err)) == 0) {
        o.frames++;
        pd_frame_unref(&f);
    }
    o.corrupt = pd_reader_corrupt(reader);
    pd_reader_close(reader);
    return o;
}

/* Keep the first @percent of the file. */
static void cut(const char *from, const char *to, int percent)
{
    long size;
    uint8_t *bytes = clip_load(from, &size);
    assert_non_null(bytes);
    clip_save(to, bytes, size * percent / 100);
    free(bytes);
}

static void a_clip_cut_in_half_gives_its_half_and_says_so(void **state)
{
    static const struct {
        const char *name, *codec;
    } cases[] = {{"c.mkv", "libx264"}, {"c.avi", "mpeg4"}, {"f.mp4", "libx264"}, {"m.avi", "mjpeg"}};
    for (size_t i = 0; i < PD_ARRAY_SIZE(cases); i++) {
        struct clip c = sample(clip_path(cases[i].name), cases[i].codec);
        c.faststart = true;
        if (clip_write(&c) == -ENOTSUP)
            continue;
        char half[300];
        snprintf(half, sizeof(half), "%s", clip_path("half-"));
        strcat(half, cases[i].name);
        cut(c.path, half, 50);
        struct outcome o = read_file(half);
        if (o.opened != 0 || o.end != PD_READER_E_CUT || o.frames < 20 || o.frames > 90 || !strstr(o.err.text, half))
            fail_msg("%s: open %d, %d frames, end %d, '%s'", half, o.opened, o.frames, o.end, o.err.text);
        print_message("# %s\n", o.err.text);
    }
}

/* Copy a clip with every @step-th packet alone, each at its own time and @later seconds. */
static void copy(const char *from, const char *to, int step, int later)
{
    AVFormatContext *in = NULL, *out = NULL;
    AVPacket *packet = av_packet_alloc();
    assert_int_equal(avformat_open_input(&in, from, NULL, NULL), 0);
    assert_int_equal(avformat_alloc_output_context2(&out, NULL, NULL, to), 0);
    AVStream *stream = avformat_new_stream(out, NULL);
    assert_int_equal(avcodec_parameters_copy(stream->codecpar, in->streams[0]->codecpar), 0);
    stream->time_base = in->streams[0]->time_base;
    assert_int_equal(avio_open(&out->pb, to, AVIO_FLAG_WRITE), 0);
    assert_true(avformat_write_header(out, NULL) >= 0);
    for (int i = 0; av_read_frame(in, packet) == 0; i++, av_packet_unref(packet)) {
        packet->pts += av_rescale_q(later, (AVRational){1, 1}, in->streams[0]->time_base);
        packet->dts = packet->pts;
        av_packet_rescale_ts(packet, in->streams[0]->time_base, stream->time_base);
        if (i % step == 0)
            assert_int_equal(av_write_frame(out, packet), 0);
    }
    assert_int_equal(av_write_trailer(out), 0);
    avio_closep(&out->pb);
    avformat_free_context(out);
    avformat_close_input(&in);
    av_packet_free(&packet);
}

static void places_without_a_picture_are_no_cut(void **state)
{
    struct clip c = sample(clip_path("all.avi"), "mjpeg");
    assert_int_equal(clip_write(&c), 0);
    const char *thin = clip_path("thin.avi");
    copy(c.path, thin, 3, 0);
    struct outcome o = read_file(thin);
    if (o.opened != 0 || o.frames != (FRAMES + 2) / 3 || o.end != PD_READER_E_END)
        fail_msg("open %d, %d frames, end %d, '%s'", o.opened, o.frames, o.end, o.err.text);
    cut(thin, thin, 80);
    assert_int_equal(read_file(thin).end, PD_READER_E_CUT);
}

static void a_recording_that_begins_late_is_no_cut(void **state)
{
    static const char *const kinds[] = {"mkv", "asf"};
    for (size_t i = 0; i < PD_ARRAY_SIZE(kinds); i++) {
        char name[32];
        struct clip c = sample(clip_path("first.mkv"), i ? "msmpeg4" : "mjpeg");
        assert_int_equal(clip_write(&c), 0);
        snprintf(name, sizeof(name), "later.%s", kinds[i]);
        const char *later = clip_path(name);
        copy(c.path, later, 1, 3600);
        struct outcome o = read_file(later);
        if (o.opened != 0 || o.frames != FRAMES || o.end != PD_READER_E_END)
            fail_msg("%s: open %d, %d frames, end %d, '%s'", name, o.opened, o.frames, o.end, o.err.text);
        cut(later, later, 50);
        assert_int_equal(read_file(later).end, i ? PD_READER_E_END : PD_READER_E_CUT); /* of an ASF libav cannot tell */
    }
}

/* Some containers give one length for all that is in them. */
static void sound_that_outlasts_the_picture_is_no_cut(void **state)
{
    static const struct {
        const char *name, *codec;
    } kinds[] = {{"sound.mkv", "mjpeg"}, {"sound.flv", "flv"}, {"sound.asf", "msmpeg4"}, {"sound.avi", "mjpeg"},
                 {"sound.mov", "mjpeg"}};
    for (size_t i = 0; i < PD_ARRAY_SIZE(kinds); i++) {
        struct clip c = sample(clip_path(kinds[i].name), kinds[i].codec);
        c.sound_s = FRAMES / c.fps + 5;
        assert_int_equal(clip_write(&c), 0);
        const bool tells = strcmp(kinds[i].name, "sound.asf") != 0;
        for (int percent = 100; percent > (tells ? 0 : 99); percent -= 60) {
            cut(c.path, c.path, percent);
            struct outcome o = read_file(c.path);
            const bool whole = o.opened == 0 && o.frames == FRAMES && o.end == PD_READER_E_END;
            if (percent == 100 ? !whole : o.opened == 0 && o.end != PD_READER_E_CUT)
                fail_msg("%s, %d %%: open %d, %d frames, end %d, '%s'", kinds[i].name, percent, o.opened, o.frames,
                         o.end, o.err.text);
        }
    }
}

static void frames_that_an_edit_list_leaves_out_are_no_cut(void **state)
{
    struct clip c = sample(clip_path("edit.mp4"), "mpeg4");
    c.gop = 10;
    assert_int_equal(clip_write(&c), 0);
    long size;
    uint8_t *bytes = clip_load(c.path, &size), *list = memmem(bytes, (size_t)size, "elst", 4);
    assert_non_null(list);
    list[14] /= 2; /* of its one entry's duration in ms */
    clip_save(c.path, bytes, size);
    free(bytes);
    struct outcome o = read_file(c.path);
    if (o.opened != 0 || o.frames < FRAMES / 3 || o.frames > 2 * FRAMES / 3 || o.end != PD_READER_E_END)
        fail_msg("open %d, %d frames, end %d, '%s'", o.opened, o.frames, o.end, o.err.text);
}

static void an_mp4_without_its_index_is_refused_in_words(void **state)
{
    struct clip c = sample(clip_path("whole.mp4"), "mpeg4");
    assert_int_equal(clip_write(&c), 0);
    const char *half = clip_path("half.mp4");
    cut(c.path, half, 50);
    struct outcome o = read_file(half);
    assert_int_equal(o.opened, -EBADMSG);
    assert_non_null(strstr(o.err.text, "half.mp4: the video is cut off: its index (moov) is missing or not whole"));
    /* Inside the index libav may find anything: no picture, a codec without a name, the end of the file. */
    long size;
    uint8_t *bytes = clip_load(c.path, &size), *moov = memmem(bytes, (size_t)size, "moov", 4);
    assert_non_null(moov);
    const long begin = moov + 4 - bytes;
    for (int i = 0; i < 32; i++) {
        clip_save(half, bytes, begin + (size - begin) * i / 32);
        o = read_file(half);
        if (o.opened < 0 && !strstr(o.err.text, "cut off"))
            fail_msg("%d/32 of the index: %s", i, o.err.text);
    }
    free(bytes);
}

/* As recorders write them that were started again in between. */
static void parts_of_a_playlist_may_begin_their_clock_anew(void **state)
{
    static const char list[] = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nown.ts\n#EXT-X-DISCONTINUITY\n"
                               "#EXTINF:2,\nown.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:2,\nown.ts\n#EXT-X-ENDLIST\n";
    struct clip c = sample(clip_path("own.ts"), "mpeg2video");
    assert_int_equal(clip_write(&c), 0);
    clip_save(clip_path("anew.m3u8"), list, (long)strlen(list));
    struct outcome o = read_file(clip_path("anew.m3u8"));
    if (o.frames != 3 * FRAMES || o.end != PD_READER_E_END)
        fail_msg("%d frames, end %d, %s", o.frames, o.end, o.err.text);
}

static void a_missing_part_of_a_playlist_is_told(void **state)
{
    static const char *const names[] = {"part0.ts", "part1.ts", "part2.ts"};
    struct clip c = sample(clip_path("parts.ts"), "mpeg2video");
    assert_int_equal(clip_write(&c), 0);
    long size, packets;
    uint8_t *bytes = clip_load(c.path, &size);
    packets = size / 188;
    for (int i = 0; i < 3; i++)
        clip_save(clip_path(names[i]), bytes + packets * i / 3 * 188,
                  (packets * (i + 1) / 3 - packets * i / 3) * 188);
    free(bytes);
    char list[256], path[300];
    snprintf(list, sizeof(list), "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:.66,\n%s\n#EXTINF:.66,\n%s\n"
             "#EXTINF:.66,\n%s\n#EXT-X-ENDLIST\n", names[0], names[1], names[2]);
    snprintf(path, sizeof(path), "%s", clip_path("list.m3u8"));
    clip_save(path, list, (long)strlen(list));
    struct outcome whole = read_file(path);
    if (whole.frames != FRAMES || whole.end != PD_READER_E_END)
        fail_msg("%d frames, end %d, %s", whole.frames, whole.end, whole.err.text);
    assert_int_equal(remove(clip_path(names[1])), 0);
    struct outcome o = read_file(path);
    if (o.frames < 2 || o.frames >= FRAMES || o.end != PD_READER_E_CUT ||
        !strstr(o.err.text, "1 parts of the playlist"))
        fail_msg("%d frames, end %d, %s", o.frames, o.end, o.err.text);
}

static void a_picture_cut_short_is_refused(void **state)
{
    static const struct {
        const char *name, *codec, *pix_fmt;
    } cases[] = {{"p.png", "png", "rgb24"}, {"p.jpg", "mjpeg", "yuvj420p"}, {"p.bmp", "bmp", "bgr24"},
                 {"p.webp", "libwebp", "yuv420p"}, {"p.tiff", "tiff", "rgb24"}};
    for (size_t i = 0; i < PD_ARRAY_SIZE(cases); i++) {
        struct clip c = {.path = clip_path(cases[i].name), .codec = cases[i].codec, .pix_fmt = cases[i].pix_fmt,
                         .width = 320, .height = 240, .fps = 25, .frames = 1, .texture = true};
        if (clip_write(&c) == -ENOTSUP)
            continue;
        struct outcome whole = read_file(c.path);
        if (whole.opened != 0 || whole.frames != 1 || whole.end != PD_READER_E_END)
            fail_msg("%s: %d %d %d %s", c.path, whole.opened, whole.frames, whole.end, whole.err.text);
        char half[300];
        snprintf(half, sizeof(half), "%s", clip_path("half-"));
        strcat(half, cases[i].name);
        cut(c.path, half, 50);
        struct outcome o = read_file(half);
        if (o.opened >= 0)
            fail_msg("%s: %d frames, end %d, '%s'", half, o.frames, o.end, o.err.text);
        print_message("# %s\n", o.err.text);
    }
}

static void damaged_frames_are_counted_and_never_delivered(void **state)
{
    struct clip c = sample(clip_path("d.ts"), "libx264");
    if (clip_write(&c) == -ENOTSUP)
        SKIP("this FFmpeg has no libx264");
    long size;
    uint8_t *bytes = clip_load(c.path, &size);
    uint32_t seed = 1;
    for (int i = 0; i < 60; i++) {
        seed = seed * 1664525u + 1013904223u;
        bytes[size / 10 + (long)(seed >> 8) % (size * 8 / 10)] ^= 0x55;
    }
    const char *damaged = clip_path("damaged.ts");
    clip_save(damaged, bytes, size);
    free(bytes);
    struct outcome o = read_file(damaged);
    assert_int_equal(o.opened, 0);
    print_message("# seed 1: %d good, %d damaged\n", o.frames, (int)o.corrupt);
    assert_true(o.corrupt > 0);
    assert_true(o.frames > 0 && o.frames < FRAMES);
}

/* Overwrite packet @n of the file with @byte. */
static void overwrite(const char *path, int n, int byte)
{
    AVFormatContext *fmt = NULL;
    AVPacket *packet = av_packet_alloc();
    long size;
    uint8_t *bytes = clip_load(path, &size);
    assert_int_equal(avformat_open_input(&fmt, path, NULL, NULL), 0);
    do {
        av_packet_unref(packet);
        assert_int_equal(av_read_frame(fmt, packet), 0);
    } while (n-- > 0);
    assert_true(packet->pos > 0 && packet->pos + packet->size <= size);
    memset(bytes + packet->pos, byte, (size_t)packet->size);
    clip_save(path, bytes, size);
    free(bytes);
    av_packet_free(&packet);
    avformat_close_input(&fmt);
}

/* The decoder says that the stream has ended, in its middle. */
static void a_packet_that_says_it_is_the_end_does_not_end_the_clip(void **state)
{
    struct clip c = {.path = clip_path("e.mov"), .codec = "gif", .pix_fmt = "bgr8", .width = 64, .height = 48,
                     .fps = 25, .frames = 20};
    assert_int_equal(clip_write(&c), 0);
    overwrite(c.path, 5, ';');
    struct outcome o = read_file(c.path);
    assert_int_equal(o.opened, 0);
    assert_in_range(o.frames, 18, 19); /* libav has swallowed the next packet by the time it tells */
    assert_in_range(o.corrupt, 1, 2);
    assert_int_equal(o.end, PD_READER_E_END);
}

/* The frames behind a damaged one refer to it, and look whole to the decoder. */
static void behind_damage_a_clip_goes_on_at_a_keyframe(void **state)
{
    struct clip c = sample(clip_path("behind.avi"), "mpeg4");
    struct pd_reader *reader;
    struct pd_frame *f;
    c.gop = 10;
    c.options = "sc_threshold=1000000000"; /* no other keyframes */
    assert_int_equal(clip_write(&c), 0);
    overwrite(c.path, 23, 0);
    assert_int_equal(pd_reader_open(&(struct pd_reader_params){.input = c.path}, &reader, NULL), 0);
    for (int round = 0; round < 2; round++) {
        bool shown[FRAMES] = {false};
        while (pd_reader_next(reader, &f, NULL) == 0) {
            assert_in_range(f->pts_us, 0, (FRAMES - 1) * 40000);
            shown[f->pts_us / 40000] = true;
            pd_frame_unref(&f);
        }
        for (int i = 0; i < FRAMES; i++)
            assert_int_equal(shown[i], i < 23 || i >= 30);
        assert_int_equal(pd_reader_corrupt(reader), 7 * (round + 1));
        assert_int_equal(pd_reader_rewind(reader, NULL), 0);
    }
    pd_reader_close(reader);
}

static void any_bytes_at_all_end_in_an_answer(void **state)
{
    struct clip c = sample(clip_path("r.mkv"), "mpeg4");
    c.frames = 20;
    assert_int_equal(clip_write(&c), 0);
    long size;
    uint8_t *whole = clip_load(c.path, &size), *bytes = malloc((size_t)size);
    uint32_t seed = 7;
    const char *path = clip_path("random.mkv");
    for (int round = 0; round < 60; round++) {
        memcpy(bytes, whole, (size_t)size);
        for (int i = 0; i < 1 + round; i++) {
            seed = seed * 1664525u + 1013904223u;
            bytes[(seed >> 8) % (unsigned long)size] = (uint8_t)seed;
        }
        clip_save(path, bytes, size);
        struct outcome o = read_file(path);
        if (o.opened == 0 && o.end != PD_READER_E_END && !o.err.text[0])
            fail_msg("seed 7, round %d: %d without a word", round, o.end);
    }
    free(whole);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clip_cut_in_half_gives_its_half_and_says_so),
        cmocka_unit_test(places_without_a_picture_are_no_cut),
        cmocka_unit_test(a_recording_that_begins_late_is_no_cut),
        cmocka_unit_test(sound_that_outlasts_the_picture_is_no_cut),
        cmocka_unit_test(frames_that_an_edit_list_leaves_out_are_no_cut),
        cmocka_unit_test(an_mp4_without_its_index_is_refused_in_words),
        cmocka_unit_test(parts_of_a_playlist_may_begin_their_clock_anew),
        cmocka_unit_test(a_missing_part_of_a_playlist_is_told),
        cmocka_unit_test(a_picture_cut_short_is_refused),
        cmocka_unit_test(damaged_frames_are_counted_and_never_delivered),
        cmocka_unit_test(a_packet_that_says_it_is_the_end_does_not_end_the_clip),
        cmocka_unit_test(behind_damage_a_clip_goes_on_at_a_keyframe),
        cmocka_unit_test(any_bytes_at_all_end_in_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
