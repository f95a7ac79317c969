/* SPDX-License-Identifier: Apache-2.0
 *
 * Inputs that are no video file: folders, patterns; and what the text of an input means.
 */
#include "tests/core/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <libavutil/dict.h>

#include "decode/input.h"
#include "decode/reader.h"
#include "tests/decode/clip.h"

static struct pd_reader *open_input(const char *input)
{
    struct pd_reader *reader;
    struct pd_err err = {""};
    if (pd_reader_open(&(struct pd_reader_params){.input = input}, &reader, &err) < 0)
        fail_msg("%s", err.text);
    return reader;
}

static void write_picture(const char *path, int number)
{
    struct clip c = {.path = path, .codec = "png", .pix_fmt = "rgb24", .width = 32, .height = 32, .fps = 25,
                     .frames = 1, .first = number};
    assert_int_equal(clip_write(&c), 0);
}

static void a_folder_is_read_in_the_natural_order_of_names(void **state)
{
    /* In the order in which they must come; written in another one. */
    static const char *const names[] = {"a2.png", "a09.png", "a10.png", "a010b.png", "b.PNG", "img1-2.png",
                                        "img1-10.png", "img2-1.png", "img12345678901234567890.png"};
    int n = (int)PD_ARRAY_SIZE(names);
    char dir[256];
    snprintf(dir, sizeof(dir), "%s", clip_path("folder"));
    assert_int_equal(mkdir(dir, 0700), 0);
    for (int i = 0; i < n; i++) {
        int k = (i * 4 + 3) % n;
        char path[400];
        snprintf(path, sizeof(path), "%s/%s", dir, names[k]);
        write_picture(path, k);
    }
    clip_save(clip_path("folder/readme.txt"), "not a picture", 13);
    clip_save(clip_path("folder/.hidden.png"), "", 0);
    assert_int_equal(mkfifo(clip_path("folder/pipe.png"), 0600), 0);
    assert_int_equal(mkdir(clip_path("folder/below.png"), 0700), 0);
    struct pd_reader *reader = open_input(dir);
    const struct pd_reader_info *info = pd_reader_info(reader);
    assert_int_equal(info->frames, n);
    assert_true(info->pictures);
    assert_int_equal(info->width, 32);
    for (int round = 0; round < 2; round++) {
        struct pd_frame *f;
        struct pd_err err = {""};
        for (int i = 0; i < n; i++) {
            assert_int_equal(pd_reader_next(reader, &f, &err), 0);
            if (clip_number(f) != i || !strstr(pd_reader_current(reader), names[i]))
                fail_msg("place %d: picture %d, %s, expected %s", i, clip_number(f), pd_reader_current(reader),
                         names[i]);
            assert_int_equal(f->seq, round * n + i + 1);
            pd_frame_unref(&f);
        }
        assert_int_equal(pd_reader_next(reader, &f, &err), PD_READER_E_END);
        assert_int_equal(pd_reader_rewind(reader, &err), 0);
    }
    pd_reader_close(reader);
}

static void a_bad_picture_in_a_folder_is_told_and_the_rest_goes_on(void **state)
{
    char dir[256];
    snprintf(dir, sizeof(dir), "%s", clip_path("mixed"));
    assert_int_equal(mkdir(dir, 0700), 0);
    clip_save(clip_path("mixed/0.jpg"), "hello, I am text\n", 17);
    write_picture(clip_path("mixed/1.png"), 1);
    clip_save(clip_path("mixed/2.png"), "", 0);
    write_picture(clip_path("mixed/3.png"), 3);
    struct pd_reader *reader = open_input(dir);
    struct pd_frame *f;
    struct pd_err err = {""};
    assert_int_equal(pd_reader_next(reader, &f, &err), -EBADMSG);
    assert_non_null(strstr(err.text, "0.jpg: this is text"));
    assert_int_equal(pd_reader_next(reader, &f, &err), 0);
    assert_int_equal(clip_number(f), 1);
    pd_frame_unref(&f);
    assert_int_equal(pd_reader_next(reader, &f, &err), -EBADMSG);
    assert_non_null(strstr(err.text, "2.png: the file is empty"));
    assert_int_equal(pd_reader_next(reader, &f, &err), 0);
    assert_int_equal(clip_number(f), 3);
    pd_frame_unref(&f);
    assert_int_equal(pd_reader_next(reader, &f, &err), PD_READER_E_END);
    pd_reader_close(reader);
}

static int stop_at_tenth(void *user)
{
    return ++*(int *)user < 10 ? 0 : -ECANCELED;
}

static void a_folder_of_bad_pictures_can_be_left(void **state)
{
    char dir[256], path[400];
    snprintf(dir, sizeof(dir), "%s", clip_path("many"));
    assert_int_equal(mkdir(dir, 0700), 0);
    for (int i = 0; i < 300; i++) {
        snprintf(path, sizeof(path), "%s/%d.png", dir, i);
        clip_save(path, "", 0);
    }
    struct pd_reader *reader;
    struct pd_err err = {""};
    int polls = 0;
    const struct pd_reader_params params = {.input = dir, .interrupt = stop_at_tenth, .user = &polls};
    assert_int_equal(pd_reader_open(&params, &reader, &err), -ECANCELED);
    assert_in_range(polls, 10, 20);
    assert_non_null(strstr(err.text, "many: stopped"));
}

static void a_folder_without_pictures_is_refused(void **state)
{
    const char *dir = clip_path("none");
    assert_int_equal(mkdir(dir, 0700), 0);
    struct pd_reader *reader;
    struct pd_err err;
    assert_int_equal(pd_reader_open(&(struct pd_reader_params){.input = dir}, &reader, &err), -ENOENT);
    assert_non_null(strstr(err.text, "no pictures in this folder"));
}

static uint64_t checksum(const struct pd_frame *f)
{
    uint64_t h = 1469598103934665603u;
    for (int p = 0; p < pd_frame_planes(f->format); p++)
        for (int y = 0; y < pd_frame_plane_rows(f, p); y++)
            for (int x = 0; x < pd_frame_plane_row_bytes(f, p); x++)
                h = (h ^ f->plane[p][(ptrdiff_t)y * f->stride[p] + x]) * 1099511628211u;
    return h;
}

/* Appends a JPEG of number @n to @file; its index says that it leads @parts pictures, 0: it has none. */
static void append_jpeg(FILE *file, int n, int parts, bool big)
{
    static const uint8_t indices[2][32] = {
        {0xff, 0xe2, 0, 30, 'M', 'P', 'F', 0, 'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x01, 0xb0, 4, 0, 1, 0, 0, 0},
        {0xff, 0xe2, 0, 30, 'M', 'P', 'F', 0, 'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 0xb0, 0x01, 0, 4, 0, 0, 0, 1},
    };
    static const uint8_t jfif[] = {0xff, 0xe0, 0, 16, 'J', 'F', 'I', 'F', 0, 1, 1, 0, 0, 1, 0, 1, 0, 0};
    struct clip c = {.path = clip_path("part.jpg"), .codec = "mjpeg", .pix_fmt = "yuvj420p", .width = 64, .height = 48,
                     .fps = 25, .frames = 1, .first = n};
    assert_int_equal(clip_write(&c), 0);
    long size;
    uint8_t *jpeg = clip_load(c.path, &size), index[32];
    memcpy(index, indices[big], sizeof(index));
    index[big ? 29 : 26] = (uint8_t)parts;
    fwrite(jpeg, 1, 2, file);
    fwrite(jfif, 1, sizeof(jfif), file);
    if (parts)
        fwrite(index, 1, sizeof(index), file);
    fwrite(jpeg + 2, 1, (size_t)size - 2, file);
    free(jpeg);
}

/* Phones write how bright HDR is behind a photo, as a second JPEG that the first one's index counts, and a video, in
 * which anything may look like a JPEG. */
static void the_parts_of_a_photo_are_no_frames(void **state)
{
    static const char video[] = "\0\0\0\x14" "ftypmp42\0\0\0\0mp42\0\0\x10\0mdat";
    char path[256];
    snprintf(path, sizeof(path), "%s", clip_path("photos.jpg"));
    for (int big = 0; big <= 1; big++) {
        FILE *file = fopen(path, "wb");
        assert_non_null(file);
        append_jpeg(file, 3, 0, big);
        append_jpeg(file, 4, 3, big);
        append_jpeg(file, 9, 0, big);
        append_jpeg(file, 10, 0, big);
        append_jpeg(file, 5, 0, big);
        append_jpeg(file, 6, 2, big);
        append_jpeg(file, 11, 0, big);
        fwrite(video, 1, sizeof(video), file);
        append_jpeg(file, 12, 0, big);
        assert_int_equal(fclose(file), 0);
        struct pd_reader *reader = open_input(path);
        struct pd_err err = {""};
        for (int n = 3; n <= 6; n++) {
            struct pd_frame *f;
            assert_int_equal(pd_reader_next(reader, &f, &err), 0);
            assert_int_equal(clip_number(f), n);
            pd_frame_unref(&f);
        }
        assert_int_equal(pd_reader_next(reader, &(struct pd_frame *){NULL}, &err), PD_READER_E_END);
        assert_int_equal(pd_reader_rewind(reader, &err), 0);
        struct pd_frame *again;
        assert_int_equal(pd_reader_next(reader, &again, &err), 0);
        assert_int_equal(clip_number(again), 3);
        pd_frame_unref(&again);
        assert_int_equal(pd_reader_corrupt(reader), 0);
        pd_reader_close(reader);
    }
}

static void patterns_are_the_same_every_time_and_move(void **state)
{
    static const char *const inputs[] = {"test:people?size=161x91&rate=10&frames=5", "test:bars?frames=5"};
    for (size_t i = 0; i < PD_ARRAY_SIZE(inputs); i++) {
        uint64_t sums[5] = {0};
        for (int round = 0; round < 2; round++) {
            struct pd_reader *reader = open_input(inputs[i]);
            assert_int_equal(pd_reader_info(reader)->frames, 5);
            assert_int_equal(pd_reader_info(reader)->width, i == 0 ? 161 : 640);
            struct pd_frame *f;
            for (int n = 0; n < 5; n++) {
                assert_int_equal(pd_reader_next(reader, &f, NULL), 0);
                assert_int_equal(f->pts_us, n * (i == 0 ? 100000 : 40000));
                if (round)
                    assert_true(sums[n] == checksum(f));
                sums[n] = checksum(f);
                assert_true(n == 0 || sums[n] != sums[n - 1]);
                pd_frame_unref(&f);
            }
            assert_int_equal(pd_reader_next(reader, &f, NULL), PD_READER_E_END);
            assert_int_equal(pd_reader_rewind(reader, NULL), 0);
            assert_int_equal(pd_reader_next(reader, &f, NULL), 0);
            assert_true(checksum(f) == sums[0]);
            pd_frame_unref(&f);
            pd_reader_close(reader);
        }
    }
}

static void bad_patterns_say_what_is_expected(void **state)
{
    static const char *const inputs[] = {"test:fish", "test:people?size=0x5", "test:people?rate=-1",
                                         "test:people?rate=1e-300", "test:people?rate=nan",
                                         "test:bars?size=99999x2", "test:bars?frames=x", "test:bars?colour=red"};
    for (size_t i = 0; i < PD_ARRAY_SIZE(inputs); i++) {
        struct pd_reader *reader;
        struct pd_err err = {""};
        assert_int_equal(pd_reader_open(&(struct pd_reader_params){.input = inputs[i]}, &reader, &err), -EINVAL);
        assert_non_null(strstr(err.text, i == 0 ? "test:people" : "expected size=WxH"));
    }
}

static void names_for_people_hold_no_secret(void **state)
{
    static const struct {
        const char *text, *name, *user;
        enum pd_input_kind kind;
    } cases[] = {
        {"rtsp://admin:se%40cret@10.0.0.5:554/ch/1?token=abc", "rtsp://10.0.0.5:554/ch/1", "admin:se%40cret",
         PD_INPUT_RTSP},
        {"RTSP://u@h/X", "rtsp://h/X", "u", PD_INPUT_RTSP}, /* FFmpeg knows its schemes in small letters alone */
        {"Https://h/X", "https://h/X", NULL, PD_INPUT_HTTP},
        {"https://a:b@c@host/p", "https://host/p", "a:b@c", PD_INPUT_HTTP},
        {"http://host/p@q", "http://host/p@q", NULL, PD_INPUT_HTTP},
        {"http://host?u=a@b", "http://host", NULL, PD_INPUT_HTTP},
        {"file:/x/a:b.mp4", "/x/a:b.mp4", NULL, PD_INPUT_FILE},
        {"a:b.mp4", "a:b.mp4", NULL, PD_INPUT_FILE},
        {"v4l2:/dev/video0", "v4l2:/dev/video0", NULL, PD_INPUT_V4L2},
    };
    for (size_t i = 0; i < PD_ARRAY_SIZE(cases); i++) {
        struct pd_input in;
        assert_int_equal(pd_input_parse(cases[i].text, &in, NULL), 0);
        assert_string_equal(in.name, cases[i].name);
        assert_int_equal(in.kind, cases[i].kind);
        if (cases[i].user)
            assert_string_equal(in.user, cases[i].user);
        else
            assert_null(in.user);
        enum pd_input_kind kind;
        assert_int_equal(pd_input_kind_of(cases[i].text, &kind), 0);
        assert_int_equal(kind, cases[i].kind);
        pd_input_finish(&in);
    }
}

static void user_and_password_go_into_the_url_encoded(void **state)
{
    struct pd_input in;
    assert_int_equal(pd_input_parse("rtsp://old:older@host/x?a=1", &in, NULL), 0);
    char *url = pd_input_url(&in, "ad min", "p@ss:w/rd%");
    assert_string_equal(url, "rtsp://ad%20min:p%40ss%3Aw%2Frd%25@host/x?a=1");
    pd_input_wipe(&url);
    assert_null(url);
    url = pd_input_url(&in, NULL, NULL);
    assert_string_equal(url, "rtsp://old:older@host/x?a=1");
    pd_input_wipe(&url);
    pd_input_finish(&in);
}

static void each_kind_may_use_its_own_protocols_only(void **state)
{
    static const char *const inputs[] = {"x.mp4", "rtsp://h/", "http://h/"};
    for (size_t i = 0; i < PD_ARRAY_SIZE(inputs); i++) {
        struct pd_input in;
        AVDictionary *opts = NULL;
        assert_int_equal(pd_input_parse(inputs[i], &in, NULL), 0);
        assert_int_equal(pd_input_options(&in, &(struct pd_reader_params){.input = inputs[i]}, &opts), 0);
        const AVDictionaryEntry *list = av_dict_get(opts, "protocol_whitelist", NULL, 0);
        assert_non_null(list);
        assert_int_equal(strncmp(list->value, "file", 4) == 0, i == 0);
        assert_int_equal(strstr(list->value, "tcp") != NULL, i > 0);
        av_dict_free(&opts);
        pd_input_finish(&in);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_is_read_in_the_natural_order_of_names),
        cmocka_unit_test(a_bad_picture_in_a_folder_is_told_and_the_rest_goes_on),
        cmocka_unit_test(a_folder_of_bad_pictures_can_be_left),
        cmocka_unit_test(a_folder_without_pictures_is_refused),
        cmocka_unit_test(the_parts_of_a_photo_are_no_frames),
        cmocka_unit_test(patterns_are_the_same_every_time_and_move),
        cmocka_unit_test(bad_patterns_say_what_is_expected),
        cmocka_unit_test(names_for_people_hold_no_secret),
        cmocka_unit_test(user_and_password_go_into_the_url_encoded),
        cmocka_unit_test(each_kind_may_use_its_own_protocols_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
