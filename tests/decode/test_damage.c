/* SPDX-License-Identifier: Apache-2.0
 *
 * Files that are not whole: what could be read is read, what is missing is said, nothing damaged is handed on.
 */
#include "tests/core/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static void an_mp4_without_its_index_is_refused_in_words(void **state)
{
    struct clip c = sample(clip_path("whole.mp4"), "mpeg4");
    assert_int_equal(clip_write(&c), 0);
    const char *half = clip_path("half.mp4");
    cut(c.path, half, 50);
    struct outcome o = read_file(half);
    assert_int_equal(o.opened, -EBADMSG);
    assert_non_null(strstr(o.err.text, "half.mp4: the video is cut off: its index (moov) is missing"));
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
        cmocka_unit_test(an_mp4_without_its_index_is_refused_in_words),
        cmocka_unit_test(a_picture_cut_short_is_refused),
        cmocka_unit_test(damaged_frames_are_counted_and_never_delivered),
        cmocka_unit_test(any_bytes_at_all_end_in_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
