/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "decode/reader.h"
#include "decode/writer.h"
#include "tests/decode/clip.h"

/* Left half one colour, right half another. */
static struct pd_frame *two_colours(int w, int h, int shade)
{
    const uint8_t left[3] = {220, 30, (uint8_t)shade}, right[3] = {20, 90, 200};
    struct pd_frame *f = pd_frame_alloc(PD_PIX_RGB24, w, h, 0, 0);
    assert_non_null(f);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            memcpy((uint8_t *)f->plane[0] + y * f->stride[0] + 3 * x, x < w / 2 ? left : right, 3);
    return f;
}

static void check_pixel(const struct pd_frame *rgb, int x, int y, int r, int g, int b, int tolerance)
{
    const uint8_t *p = rgb->plane[0] + y * rgb->stride[0] + 3 * x;
    if (abs(p[0] - r) > tolerance || abs(p[1] - g) > tolerance || abs(p[2] - b) > tolerance)
        fail_msg("pixel %d,%d is %d %d %d, expected %d %d %d +-%d", x, y, p[0], p[1], p[2], r, g, b, tolerance);
}

static struct pd_frame *read_rgb(struct pd_reader *reader)
{
    struct pd_err err = {""};
    struct pd_frame *f;
    int r = pd_reader_next(reader, &f, &err);
    if (r != 0)
        fail_msg("%d %s", r, err.text);
    struct pd_frame *rgb = pd_frame_to_rgb(f);
    assert_non_null(rgb);
    assert_int_equal(rgb->seq, f->seq);
    pd_frame_unref(&f);
    return rgb;
}

static struct pd_reader *open_input(const char *path)
{
    struct pd_reader *reader;
    struct pd_err err;
    if (pd_reader_open(&(struct pd_reader_params){.input = path}, &reader, &err) < 0)
        fail_msg("%s", err.text);
    return reader;
}

/* @one: the path has room for one picture, which is told of the second, once. */
static void write_frames(const char *path, int n, int w, int h, bool one)
{
    struct pd_writer *writer;
    struct pd_err err = {""};
    if (pd_writer_open(path, 12.5, &writer, &err) < 0)
        fail_msg("%s", err.text);
    for (int i = 0; i < n; i++) {
        struct pd_frame *f = two_colours(w, h, 10 * i);
        int r = pd_writer_write(writer, f, &err);
        if (r != (one && i == 1 ? -EEXIST : 0))
            fail_msg("frame %d: %d, %s", i, r, err.text);
        pd_frame_unref(&f);
    }
    assert_int_equal(pd_writer_close(writer, &err), 0);
}

static void pictures_come_back_as_they_were(void **state)
{
    static const struct {
        const char *name;
        int tolerance;
    } cases[] = {{"a.png", 0}, {"a.jpg", 6}, {"b.JPEG", 6}};
    for (size_t i = 0; i < PD_ARRAY_SIZE(cases); i++) {
        const char *path = clip_path(cases[i].name);
        write_frames(path, 3, 101, 67, true); /* the second and third are not written */
        struct pd_reader *reader = open_input(path);
        assert_true(pd_reader_info(reader)->pictures);
        assert_int_equal(pd_reader_info(reader)->frames, 1);
        struct pd_frame *rgb = read_rgb(reader);
        assert_int_equal(rgb->width, 101);
        assert_int_equal(rgb->height, 67);
        check_pixel(rgb, 10, 30, 220, 30, 0, cases[i].tolerance);
        check_pixel(rgb, 90, 60, 20, 90, 200, cases[i].tolerance);
        pd_frame_unref(&rgb);
        assert_int_equal(pd_reader_next(reader, &rgb, NULL), PD_READER_E_END);
        pd_reader_close(reader);
    }
}

static void a_video_holds_every_frame_at_its_rate(void **state)
{
    const char *path = clip_path("v.mp4");
    write_frames(path, 20, 641, 363, false); /* odd: scaled to even */
    struct pd_reader *reader = open_input(path);
    assert_int_equal(pd_reader_info(reader)->width, 642);
    assert_int_equal(pd_reader_info(reader)->frames, 20);
    assert_true(pd_reader_info(reader)->fps > 12.49 && pd_reader_info(reader)->fps < 12.51);
    for (int i = 0; i < 20; i++) {
        struct pd_frame *rgb = read_rgb(reader);
        check_pixel(rgb, 100, 100, 220, 30, 10 * i, 8);
        check_pixel(rgb, 600, 300, 20, 90, 200, 8);
        pd_frame_unref(&rgb);
    }
    pd_reader_close(reader);
}

static void frames_of_another_size_are_scaled_into_the_video(void **state)
{
    const char *path = clip_path("mixed.mp4");
    struct pd_writer *writer;
    struct pd_err err = {""};
    assert_int_equal(pd_writer_open(path, 25, &writer, &err), 0);
    const int sizes[][2] = {{320, 240}, {1280, 720}, {64, 64}};
    for (size_t i = 0; i < PD_ARRAY_SIZE(sizes); i++) {
        struct pd_frame *f = two_colours(sizes[i][0], sizes[i][1], 0);
        assert_int_equal(pd_writer_write(writer, f, &err), 0);
        pd_frame_unref(&f);
    }
    assert_int_equal(pd_writer_close(writer, &err), 0);
    struct pd_reader *reader = open_input(path);
    for (size_t i = 0; i < PD_ARRAY_SIZE(sizes); i++) {
        struct pd_frame *rgb = read_rgb(reader);
        assert_int_equal(rgb->width, 320);
        check_pixel(rgb, 40, 120, 220, 30, 0, 10);
        pd_frame_unref(&rgb);
    }
    pd_reader_close(reader);
}

static void numbered_and_folder_outputs_count_from_one(void **state)
{
    write_frames(clip_path("out-%03d-x.png"), 3, 16, 16, false);
    assert_int_equal(access(clip_path("out-001-x.png"), F_OK), 0);
    assert_int_equal(access(clip_path("out-003-x.png"), F_OK), 0);
    assert_int_not_equal(access(clip_path("out-004-x.png"), F_OK), 0);
    write_frames(clip_path("folder/"), 2, 16, 16, false);
    assert_int_equal(access(clip_path("folder/000002.png"), F_OK), 0);
    write_frames(clip_path("folder"), 3, 16, 16, false); /* exists now */
    assert_int_equal(access(clip_path("folder/000003.png"), F_OK), 0);
    write_frames(clip_path("100%s%n.png"), 2, 16, 16, true); /* no number: a name like any other */
    assert_int_equal(access(clip_path("100%s%n.png"), F_OK), 0);
}

static void outputs_that_cannot_be_written_say_why(void **state)
{
    struct pd_writer *writer;
    struct pd_err err = {""};
    assert_int_equal(pd_writer_open("out.txt", 25, &writer, &err), -EINVAL);
    assert_non_null(strstr(err.text, "out.txt: expected a name ending in"));
    const char *const nowhere[] = {"/nonexistent/x.png", "/nonexistent/x.mp4"};
    for (size_t i = 0; i < PD_ARRAY_SIZE(nowhere); i++) {
        assert_int_equal(pd_writer_open(nowhere[i], 25, &writer, &err), 0);
        struct pd_frame *f = two_colours(32, 32, 0);
        assert_int_equal(pd_writer_write(writer, f, &err), -ENOENT);
        assert_non_null(strstr(err.text, "No such file"));
        pd_frame_unref(&f);
        assert_int_equal(pd_writer_close(writer, &err), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures_come_back_as_they_were),
        cmocka_unit_test(a_video_holds_every_frame_at_its_rate),
        cmocka_unit_test(frames_of_another_size_are_scaled_into_the_video),
        cmocka_unit_test(numbered_and_folder_outputs_count_from_one),
        cmocka_unit_test(outputs_that_cannot_be_written_say_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
