/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "decode/reader.h"
#include "tests/decode/clip.h"

static struct pd_reader *open_input(const char *input, int threads)
{
    const struct pd_reader_params params = {.input = input, .threads = threads};
    struct pd_reader *reader = NULL;
    struct pd_err err = {""};
    if (pd_reader_open(&params, &reader, &err) < 0)
        fail_msg("%s", err.text);
    return reader;
}

/* The error line of an input that must be refused. */
static const char *refusal(const char *input, int expected)
{
    static struct pd_err err;
    const struct pd_reader_params params = {.input = input};
    struct pd_reader *reader = NULL;
    err.text[0] = 0;
    int r = pd_reader_open(&params, &reader, &err);
    assert_null(reader);
    if (r != expected)
        fail_msg("%s: %d, expected %d (%s)", input, r, expected, err.text);
    return err.text;
}

/* Reads all frames, which must be first, first + 1, ... Returns how many; *ret_end is how it ended. */
static int read_numbers(struct pd_reader *reader, int first, int *ret_end, struct pd_err *err)
{
    struct pd_frame *f;
    int n = 0, r;
    int64_t last_pts = INT64_MIN;
    while ((r = pd_reader_next(reader, &f, err)) == 0) {
        if (clip_number(f) != (first + n) % 24 || f->pts_us <= last_pts)
            fail_msg("%s: frame %d looks like %d, pts %lld after %lld", pd_reader_current(reader), n, clip_number(f),
                     (long long)f->pts_us, (long long)last_pts);
        last_pts = f->pts_us;
        n++;
        pd_frame_unref(&f);
    }
    *ret_end = r;
    return n;
}

static void read_twice(const char *path, int threads)
{
    struct pd_reader *reader = open_input(path, threads);
    const struct pd_reader_info *info = pd_reader_info(reader);
    assert_int_equal(info->width, 96);
    assert_int_equal(info->height, 64);
    assert_false(info->live);
    assert_false(info->pictures);
    for (int round = 1; round <= 2; round++) {
        int end;
        struct pd_err err = {""};
        int n = read_numbers(reader, 0, &end, &err);
        if (n != 60 || end != PD_READER_E_END)
            fail_msg("%s, %d threads, round %d: %d frames, end %d, %s", path, threads, round, n, end,
                     err.text);
        assert_int_equal(pd_reader_rewind(reader, &err), 0);
    }
    assert_int_equal(pd_reader_corrupt(reader), 0);
    pd_reader_close(reader);
}

static void every_frame_is_read_once_and_in_order(void **state)
{
    static const struct clip clips[] = {
        {.path = "h264.mp4", .codec = "libx264", .pix_fmt = "yuv420p"}, /* with B-frames */
        {.path = "h264.mkv", .codec = "libx264", .pix_fmt = "yuv420p"},
        {.path = "h264.ts", .codec = "libx264", .pix_fmt = "yuv420p"},
        {.path = "mpeg2.ts", .codec = "mpeg2video", .pix_fmt = "yuv420p"},
        {.path = "mpeg1.mpg", .codec = "mpeg1video", .pix_fmt = "yuv420p"},
        {.path = "raw.h264", .codec = "libx264", .pix_fmt = "yuv420p"},
        {.path = "h264.avi", .codec = "libx264", .pix_fmt = "yuv420p"}, /* the last two have no time of their own */
        {.path = "raw.m2v", .codec = "mpeg2video", .pix_fmt = "yuv420p", .options = "bf=2"},
        {.path = "hevc.mp4", .codec = "libx265", .pix_fmt = "yuv420p", .options = "x265-params=log-level=none"},
        {.path = "mpeg4.avi", .codec = "mpeg4", .pix_fmt = "yuv420p"},
        {.path = "mpeg4.mp4", .codec = "mpeg4", .pix_fmt = "yuv420p"},
        {.path = "mjpeg.avi", .codec = "mjpeg", .pix_fmt = "yuvj420p"},
        {.path = "ffv1.mkv", .codec = "ffv1", .pix_fmt = "yuv420p"},
        {.path = "raw.y4m", .codec = "wrapped_avframe", .pix_fmt = "yuv420p"},
    };
    for (size_t i = 0; i < PD_ARRAY_SIZE(clips); i++) {
        struct clip c = clips[i];
        c.path = clip_path(c.path);
        c.width = 96;
        c.height = 64;
        c.fps = 25;
        c.frames = 60;
        c.gop = 20;
        int w = clip_write(&c);
        if (w == -ENOTSUP) {
            print_message("# no encoder %s, its clip is skipped\n", c.codec);
            continue;
        }
        assert_int_equal(w, 0);
        for (int threads = 1; threads <= 4; threads += 3)
            read_twice(c.path, threads);
    }
}

static void what_cannot_be_read_is_refused_in_one_clear_line(void **state)
{
    assert_non_null(strstr(refusal("/nonexistent/x.mp4", -ENOENT), "/nonexistent/x.mp4: no such file"));
    const char *text = clip_path("photo.jpg");
    clip_save(text, "dear diary, this is no photo\n", 29);
    assert_non_null(strstr(refusal(text, -EBADMSG), "this is text, not a picture"));
    const char *empty = clip_path("empty.mp4");
    clip_save(empty, "", 0);
    assert_non_null(strstr(refusal(empty, -EBADMSG), "is empty"));
    const char *noise = clip_path("noise.png");
    uint8_t bytes[4096];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 2654435761u >> 13);
    clip_save(noise, bytes, sizeof(bytes));
    assert_non_null(strstr(refusal(noise, -EBADMSG), "not a picture or a video"));
    struct clip c = {.path = clip_path("large.png"), .codec = "png", .pix_fmt = "rgb24", .width = 64, .height = 64,
                     .fps = 25, .frames = 1};
    assert_int_equal(clip_write(&c), 0);
    long size;
    uint8_t *png = clip_load(c.path, &size);
    memcpy(png + 16, (const uint8_t[]){0, 0, 10000 >> 8, 10000 & 255, 0, 0, 10000 >> 8, 10000 & 255}, 8);
    clip_save(c.path, png, size);
    free(png);
    assert_non_null(strstr(refusal(c.path, -E2BIG), "a picture of 10000x10000; at most 67 million pixels"));
    assert_non_null(strstr(refusal("concat:/etc/passwd|/etc/passwd", -ENOENT), "no such file"));
    assert_non_null(strstr(refusal("gopher://host/x", -EINVAL), "unknown kind of input"));
    assert_non_null(strstr(refusal("", -EINVAL), "empty"));
}

/* "Turn it by a quarter", in front of every keyframe of a stream of H.264 (display orientation SEI, D.1.27). */
static void insert_orientations(const char *path)
{
    static const uint8_t sei[] = {0, 0, 0, 1, 6, 47, 3, 0x08, 0x00, 0x09, 0x80};
    long size;
    uint8_t *from = clip_load(path, &size), *all = malloc((size_t)size + 16 * sizeof(sei)), *to = all;
    int keys = 0;
    for (long i = 0; i < size; i++) {
        if (size - i > 3 && !from[i] && !from[i + 1] && from[i + 2] == 1 && (from[i + 3] & 31) == 5 && keys < 16) {
            memcpy(to, sei, sizeof(sei));
            to += sizeof(sei);
            keys++;
        }
        *to++ = from[i];
    }
    assert_true(keys > 2);
    clip_save(path, all, to - all);
    free(all);
    free(from);
}

static void what_is_told_with_a_keyframe_is_true_of_the_frames_behind_it(void **state)
{
    const struct clip c = {.path = clip_path("turned.h264"), .codec = "libx264", .pix_fmt = "yuv420p", .width = 96,
                           .height = 64, .fps = 25, .frames = 24, .gop = 6, .options = "bf=2"};
    if (clip_write(&c) == -ENOTSUP)
        SKIP("this FFmpeg lacks libx264");
    insert_orientations(c.path);
    struct pd_reader *reader = open_input(c.path, 1);
    for (int round = 0; round < 2; round++) {
        struct pd_frame *f;
        int n = 0;
        for (; pd_reader_next(reader, &f, NULL) == 0; n++) {
            if (f->width != 64 || f->height != 96)
                fail_msg("frame %d of round %d: %dx%d", n, round, f->width, f->height);
            pd_frame_unref(&f);
        }
        assert_int_equal(n, c.frames);
        assert_int_equal(pd_reader_rewind(reader, NULL), 0);
    }
    pd_reader_close(reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_frame_is_read_once_and_in_order),
        cmocka_unit_test(what_is_told_with_a_keyframe_is_true_of_the_frames_behind_it),
        cmocka_unit_test(what_cannot_be_read_is_refused_in_one_clear_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
