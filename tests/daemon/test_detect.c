/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/test.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "daemon/detect.h"
#include "daemon/progress.h"

static struct pd_err err;

/* ---- values of options ---- */

static void numbers_are_taken_whole_or_not_at_all(void **state)
{
    int i = 7;
    float f = 7.0f;
    assert_int_equal(pd_cli_int("--batch", "32", 1, 32, &i, &err), 0);
    assert_int_equal(i, 32);
    static const char *const bad_int[] = {"", "x", "3x", "0", "33", "99999999999999999999", "1.5"};
    for (size_t k = 0; k < PD_ARRAY_SIZE(bad_int); k++)
        assert_int_equal(pd_cli_int("--batch", bad_int[k], 1, 32, &i, &err), -EINVAL);
    assert_int_equal(i, 32);
    assert_non_null(strstr(err.text, "--batch is '1.5'"));
    assert_int_equal(pd_cli_float("--min-score", "0.25", 0.0, 1.0, &f, &err), 0);
    assert_true(f == 0.25f);
    static const char *const bad_float[] = {"", "nan", "inf", "1.01", "-0.1", "0.5 "};
    for (size_t k = 0; k < PD_ARRAY_SIZE(bad_float); k++)
        assert_int_equal(pd_cli_float("--min-score", bad_float[k], 0.0, 1.0, &f, &err), -EINVAL);
}

static void the_environment_names_the_network(void **state)
{
    char path[64];
    setenv("POSED_NETWORK", "/some/net.onnx", 1);
    assert_int_equal(pd_cli_default_network(path, sizeof(path), &err), 0);
    assert_string_equal(path, "/some/net.onnx");
    assert_int_equal(pd_cli_default_network(path, 8, &err), -ENAMETOOLONG);
    unsetenv("POSED_NETWORK");
}

/* ---- sizes ---- */

static void size_of(const struct pd_detect_options *o, bool picture, int w, int h, int want_w, int want_h)
{
    const struct pd_net net = {.meta.stride = 8};
    int width, height;
    pd_detect_size(o, &net, picture, w, h, &width, &height);
    assert_int_equal(width, want_w);
    assert_int_equal(height, want_h);
}

static void the_width_follows_the_picture(void **state)
{
    struct pd_detect_options o = {0};
    size_of(&o, false, 1280, 720, 456, 256);
    size_of(&o, true, 640, 480, 496, 368); /* 490.7, up to the stride */
    size_of(&o, true, 480, 640, 280, 368);
    o.cli.height = 250; /* not a multiple */
    size_of(&o, true, 640, 480, 344, 256);
    o.cli.width = 100;
    size_of(&o, true, 640, 480, 104, 256);
    o.cli.height = 0;
    size_of(&o, true, 640, 480, 104, 80);
}

static void panoramas_do_not_make_endless_inputs(void **state)
{
    struct pd_detect_options o = {0};
    size_of(&o, false, 16384, 16, 1024, 256);
    size_of(&o, false, 16, 16384, 64, 256);
}

/* ---- names and numbers of pictures ---- */

static void stems_are_file_names(void **state)
{
    static const char *const known[][2] = {
        {"a/b/photo.jpg", "photo"}, {"photo", "photo"},     {"dir.d/", "dir"},     {".hidden", ".hidden"},
        {"a.tar.gz", "a.tar"},      {"/", ""},              {"rtsp://h/s?x=1", "s_x_1"},
    };
    char stem[64];
    for (size_t i = 0; i < PD_ARRAY_SIZE(known); i++) {
        pd_detect_stem(known[i][0], stem, sizeof(stem));
        assert_string_equal(stem, known[i][1]);
    }
    pd_detect_stem("abcdefgh.png", stem, 4);
    assert_string_equal(stem, "abc");
}

static void image_ids_come_from_the_last_digits(void **state)
{
    int64_t id = 0;
    assert_int_equal(pd_coco_ids_find(NULL, "x/000000000110.jpg", &id, &err), 0);
    assert_int_equal(id, 110);
    assert_int_equal(pd_coco_ids_find(NULL, "COCO_val2014_000000000139.jpg", &id, &err), 0);
    assert_int_equal(id, 139);
    assert_int_equal(pd_coco_ids_find(NULL, "7/photo.jpg", &id, &err), -ENOENT);
    assert_non_null(strstr(err.text, "--annotations"));
    assert_int_equal(pd_coco_ids_find(NULL, "99999999999999999999.jpg", &id, &err), -ENOENT);
}

static int load_ids(const char *text, struct pd_coco_ids **ids)
{
    char path[] = "/tmp/posed-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    int rc = pd_coco_ids_load(path, ids, &err);
    unlink(path);
    return rc;
}

static void image_ids_come_from_annotations(void **state)
{
    struct pd_coco_ids *ids;
    int64_t id;
    assert_int_equal(load_ids("{\"images\":[{\"id\":42,\"file_name\":\"d/a.jpg\"}]}", &ids), 0);
    assert_int_equal(pd_coco_ids_find(ids, "other/a.jpg", &id, &err), 0);
    assert_int_equal(id, 42);
    assert_int_equal(pd_coco_ids_find(ids, "000000000110.jpg", &id, &err), -ENOENT);
    pd_coco_ids_destroy(ids);
    static const char *const bad[] = {"", "[", "[]", "{}", "{\"images\":{}}", "{\"images\":[{\"id\":\"4\"}]}",
                                      "{\"images\":[{\"file_name\":3,\"id\":4}]}"};
    for (size_t i = 0; i < PD_ARRAY_SIZE(bad); i++)
        assert_int_equal(load_ids(bad[i], &ids), -EINVAL);
    assert_int_equal(pd_coco_ids_load("/nonexistent", &ids, &err), -EINVAL);
    pd_coco_ids_destroy(NULL);
}

/* ---- formats ---- */

static struct pd_person person_of(const struct pd_skeleton *s)
{
    struct pd_person p = {.score = 0.123456f, .n_found = s->n_keypoints};
    for (int k = 0; k < s->n_keypoints; k++)
        p.keypoints[k] = (struct pd_keypoint){(float)k + 0.25f, 100.0f * (float)k, 0.5f};
    return p;
}

static void coco_results_have_17_points_in_cocos_order(void **state)
{
    const struct pd_skeleton *s;
    for (int i = 0; (s = pd_skeleton_at(i)); i++) {
        struct pd_person p = person_of(s);
        int lost = s->coco17[10]; /* right wrist */
        p.keypoints[lost].score = 0.0f;
        p.keypoints[s->coco17[9]].x = NAN; /* not a number in, a number out */
        char text[4096] = "";
        FILE *file = fmemopen(text, sizeof(text), "w");
        assert_int_equal(pd_coco_write(file, 110, s, &p), 0);
        fclose(file);
        json_t *root = json_loads(text, 0, NULL);
        assert_non_null(root);
        assert_int_equal(json_integer_value(json_object_get(root, "image_id")), 110);
        assert_int_equal(json_integer_value(json_object_get(root, "category_id")), 1);
        assert_true(fabs(json_real_value(json_object_get(root, "score")) - 0.12346) < 1e-9);
        const json_t *k = json_object_get(root, "keypoints");
        assert_int_equal(json_array_size(k), 51);
        for (size_t c = 0; c < 17; c++) {
            double want = s->coco17[c] < 0 || c == 10 ? 0.0 : 100.0 * s->coco17[c];
            assert_true(json_number_value(json_array_get(k, 3 * c + 1)) == want);
        }
        json_decref(root);
    }
}

static char folder[] = "/tmp/posed-test-XXXXXX";

static json_t *openpose_file(const struct pd_detect_item *item, const struct pd_people *people, const char *name)
{
    const struct pd_detect_options o = {.format = PD_DETECT_OPENPOSE, .output = folder};
    struct pd_detect_out *out;
    assert_int_equal(pd_detect_out_open(&o, pd_skeleton_by_name("coco18"), &out, &err), 0);
    assert_int_equal(pd_detect_out_write(out, item, people, &err), 0);
    assert_int_equal(pd_detect_out_close(out, &err), 0);
    char path[200];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    json_t *root = json_load_file(path, 0, NULL);
    unlink(path);
    assert_non_null(root);
    return root;
}

static void openpose_files_have_openposes_fields(void **state)
{
    assert_non_null(mkdtemp(folder));
    struct pd_frame frame = {.seq = 3, .width = 64, .height = 64};
    char name[] = "a/clip.mp4";
    struct pd_detect_item item = {.frame = &frame, .name = name};
    struct pd_people *people = calloc(1, sizeof(*people));
    people->n = 1;
    people->n_keypoints = 18;
    people->person[0] = person_of(pd_skeleton_by_name("coco18"));
    people->person[0].keypoints[1].score = 0.0f;
    json_t *root = openpose_file(&item, people, "clip_000000000002_keypoints.json");
    assert_true(json_number_value(json_object_get(root, "version")) == 1.3);
    const json_t *person = json_array_get(json_object_get(root, "people"), 0);
    assert_int_equal(json_integer_value(json_array_get(json_object_get(person, "person_id"), 0)), -1);
    assert_int_equal(json_array_size(json_object_get(person, "face_keypoints_2d")), 0);
    const json_t *points = json_object_get(person, "pose_keypoints_2d");
    assert_int_equal(json_array_size(points), 54);
    assert_true(json_number_value(json_array_get(points, 3)) == 0.0);
    assert_true(json_number_value(json_array_get(points, 7)) == 200.0);
    assert_true(json_number_value(json_array_get(points, 8)) == 0.5);
    json_decref(root);

    item.picture = true;
    people->n = 0;
    root = openpose_file(&item, people, "clip_keypoints.json");
    assert_int_equal(json_array_size(json_object_get(root, "people")), 0);
    json_decref(root);
    free(people);
    rmdir(folder);
}

static void outputs_that_cannot_be_opened_say_so(void **state)
{
    struct pd_detect_options o = {.format = PD_DETECT_JSONL, .output = "/nonexistent/x.jsonl"};
    struct pd_detect_out *out;
    assert_int_equal(pd_detect_out_open(&o, pd_skeleton_at(0), &out, &err), -ENOENT);
    assert_string_equal(err.text, "/nonexistent/x.jsonl: No such file or directory");
    o.format = PD_DETECT_OPENPOSE;
    assert_int_equal(pd_detect_out_open(&o, pd_skeleton_at(0), &out, &err), -ENOENT);
    o.output = NULL;
    assert_int_equal(pd_detect_out_open(&o, pd_skeleton_at(0), &out, &err), -EINVAL);
    assert_int_equal(pd_detect_out_close(NULL, &err), 0);
}

static void a_full_disk_is_told(void **state)
{
    const struct pd_detect_options o = {.format = PD_DETECT_COCO, .output = "/dev/full"};
    struct pd_detect_out *out;
    assert_int_equal(pd_detect_out_open(&o, pd_skeleton_at(0), &out, &err), 0);
    assert_int_equal(pd_detect_out_close(out, &err), -ENOSPC);
    assert_string_equal(err.text, "/dev/full: No space left on device");
}

/* ---- progress ---- */

static void progress_tells_rate_and_time_left(void **state)
{
    struct pd_progress p = {.width = 80, .started_ns = 0, .done = 100};
    char text[200];
    pd_progress_input(&p, "dir/clip.mp4", 400);
    pd_progress_text(&p, 10 * PD_NS_PER_S, text, sizeof(text));
    assert_string_equal(text, "clip.mp4  [##........] 100/400  10.0/s  0:30 left");
    p.done = 400;
    pd_progress_text(&p, 40 * PD_NS_PER_S, text, sizeof(text));
    assert_string_equal(text, "clip.mp4  [##########] 400/400  10.0/s  0:00 left");
    p.done = 401; /* more than was expected */
    pd_progress_text(&p, 40 * PD_NS_PER_S, text, sizeof(text));
    assert_string_equal(text, "clip.mp4  401 frames  10.0/s");
    p.done = 0;
    pd_progress_text(&p, 0, text, sizeof(text));
    assert_string_equal(text, "clip.mp4  [..........] 0/400  0.0/s  ? left");
    p.done = 1;
    p.total = 100000;
    pd_progress_text(&p, PD_NS_PER_S, text, sizeof(text));
    assert_non_null(strstr(text, "27:46:39 left"));
    pd_progress_input(&p, "bad\x1bname", 0);
    assert_string_equal(p.name, "bad?name");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_taken_whole_or_not_at_all),
        cmocka_unit_test(the_environment_names_the_network),
        cmocka_unit_test(the_width_follows_the_picture),
        cmocka_unit_test(panoramas_do_not_make_endless_inputs),
        cmocka_unit_test(stems_are_file_names),
        cmocka_unit_test(image_ids_come_from_the_last_digits),
        cmocka_unit_test(image_ids_come_from_annotations),
        cmocka_unit_test(coco_results_have_17_points_in_cocos_order),
        cmocka_unit_test(openpose_files_have_openposes_fields),
        cmocka_unit_test(outputs_that_cannot_be_opened_say_so),
        cmocka_unit_test(a_full_disk_is_told),
        cmocka_unit_test(progress_tells_rate_and_time_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
