/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/test.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/util.h"
#include "daemon/json_pose.h"

static char buf[PD_LINE_MAX];
static struct pd_people people;

static struct pd_pose_line plain(void)
{
    memset(&people, 0, sizeof(people));
    people.n_keypoints = 18;
    return (struct pd_pose_line){.camera = "till-1", .seq = 1201, .timed = true, .time_us = 1795411992345678,
                                 .time_source = PD_TIME_ARRIVAL, .pts_us = 48040000, .width = 1920, .height = 1080,
                                 .latency_ms = 41.73, .people = &people};
}

static json_t *encode(const struct pd_pose_line *pose)
{
    size_t len = pd_json_pose(pose, buf);
    assert_in_range(len, 2, PD_LINE_MAX);
    assert_int_equal(buf[len - 1], '\n');
    assert_null(memchr(buf, '\n', len - 1));
    json_error_t error;
    json_t *line = json_loadb(buf, len - 1, JSON_REJECT_DUPLICATES, &error);
    if (!line)
        fail_msg("%s at %d: %.200s", error.text, error.position, buf);
    return line;
}

static void a_line_says_what_was_put_in(void **state)
{
    struct pd_pose_line pose = plain();
    people.n = 1;
    people.person[0].id = 7;
    people.person[0].score = 0.8304f;
    people.person[0].keypoints[0] = (struct pd_keypoint){812.44f, -301.96f, 0.5f};
    size_t len = pd_json_pose(&pose, buf);
    const char *want = "{\"type\":\"pose\",\"camera\":\"till-1\",\"seq\":1201,\"time\":\"2026-11-23T05:33:12.345678Z\","
                       "\"clock\":\"arrival\",\"pts\":48.04,\"width\":1920,\"height\":1080,\"latency_ms\":41.7,"
                       "\"people\":[{\"id\":7,\"score\":0.83,\"keypoints\":[[812.4,-302,0.5],null,";
    assert_memory_equal(buf, want, strlen(want));
    assert_memory_equal(buf + len - 10, ",null]}]}\n", 10);
}

static void what_is_unknown_is_left_out(void **state)
{
    struct pd_pose_line pose = plain();
    pose.camera = NULL;
    pose.file = "a/b.jpg";
    pose.timed = false;
    pose.pts_us = PD_PTS_NONE;
    pose.latency_ms = -1;
    json_t *line = encode(&pose);
    assert_null(json_object_get(line, "camera"));
    assert_null(json_object_get(line, "time"));
    assert_null(json_object_get(line, "clock"));
    assert_null(json_object_get(line, "latency_ms"));
    assert_null(json_object_get(line, "omitted"));
    assert_true(json_is_null(json_object_get(line, "pts")));
    assert_string_equal(json_string_value(json_object_get(line, "file")), "a/b.jpg");
    json_decref(line);
}

static void untracked_people_have_no_id(void **state)
{
    struct pd_pose_line pose = plain();
    people.n = 1;
    json_t *line = encode(&pose);
    assert_null(json_object_get(json_array_get(json_object_get(line, "people"), 0), "id"));
    json_decref(line);
}

static void hostile_names_stay_json(void **state)
{
    static const char *const names[] = {"\"\\\n\t\x01", "\xff\xfe", "caf\xc3\xa9", "\xed\xa0\x80", "\xe2\x82",
                                        "\xf4\x90\x80\x80", "\xc0\xaf", "\xf0\x9f\x98\x80", ""};
    struct pd_pose_line pose = plain();
    for (size_t i = 0; i < PD_ARRAY_SIZE(names); i++) {
        pose.camera = names[i];
        json_decref(encode(&pose));
    }
    pose.camera = "caf\xc3\xa9 \xf0\x9f\x98\x80 \"";
    json_t *line = encode(&pose);
    assert_string_equal(json_string_value(json_object_get(line, "camera")), pose.camera);
    json_decref(line);
}

static void values_that_are_no_numbers_never_get_out(void **state)
{
    struct pd_pose_line pose = plain();
    pose.latency_ms = INFINITY;
    people.n = 1;
    struct pd_person *person = &people.person[0];
    person->score = NAN;
    person->keypoints[0] = (struct pd_keypoint){NAN, 1, 1};
    person->keypoints[1] = (struct pd_keypoint){1, -INFINITY, 1};
    person->keypoints[2] = (struct pd_keypoint){1, 1, NAN};
    person->keypoints[3] = (struct pd_keypoint){3e38f, -3e38f, 3e38f};
    json_t *line = encode(&pose);
    json_t *p = json_array_get(json_object_get(line, "people"), 0);
    assert_true(json_number_value(json_object_get(p, "score")) == 0);
    json_t *kps = json_object_get(p, "keypoints");
    for (size_t i = 0; i < 3; i++)
        assert_true(json_is_null(json_array_get(kps, i)));
    assert_true(json_number_value(json_array_get(json_array_get(kps, 3), 0)) == 1e6);
    assert_true(json_number_value(json_array_get(json_array_get(kps, 3), 1)) == -1e6);
    json_decref(line);
}

static void the_largest_crowd_fits_and_the_rest_is_counted(void **state)
{
    static char name[8192];
    memset(name, '\x01', sizeof(name) - 1);
    struct pd_pose_line pose = plain();
    pose.camera = pose.file = name;
    people.n = PD_PEOPLE_MAX;
    people.n_keypoints = PD_KEYPOINTS_MAX;
    people.capped_people = 5;
    for (int i = 0; i < PD_PEOPLE_MAX; i++) {
        people.person[i].id = INT64_MAX;
        people.person[i].score = -0.123f;
        for (int k = 0; k < PD_KEYPOINTS_MAX; k++)
            people.person[i].keypoints[k] = (struct pd_keypoint){-999999.9f, -999999.9f, 998.123f};
    }
    json_t *line = encode(&pose);
    size_t in = json_array_size(json_object_get(line, "people"));
    assert_in_range(in, 1, PD_PEOPLE_MAX - 1);
    assert_int_equal(json_integer_value(json_object_get(line, "omitted")), PD_PEOPLE_MAX - (int)in + 5);
    json_decref(line);
}

static float random_float(unsigned *seed)
{
    if (rand_r(seed) % 2)
        return (float)(rand_r(seed) % 20000) / 7.0f;
    uint32_t bits = (uint32_t)rand_r(seed) ^ (uint32_t)rand_r(seed) << 16;
    float f;
    memcpy(&f, &bits, sizeof(f));
    return f;
}

static void random_people_survive_the_round_trip(void **state)
{
    unsigned seed = (unsigned)pd_now_ns();
    const char *given = getenv("POSED_SEED");
    if (given)
        seed = (unsigned)strtoul(given, NULL, 10);
    print_message("# seed %u\n", seed);
    for (int round = 0; round < 300; round++) {
        struct pd_pose_line pose = plain();
        people.n = rand_r(&seed) % 20;
        people.n_keypoints = 1 + rand_r(&seed) % PD_KEYPOINTS_MAX;
        for (int i = 0; i < people.n; i++)
            for (int k = 0; k < people.n_keypoints; k++)
                people.person[i].keypoints[k] =
                    (struct pd_keypoint){random_float(&seed), random_float(&seed), random_float(&seed)};
        json_t *line = encode(&pose);
        json_t *list = json_object_get(line, "people");
        assert_int_equal(json_array_size(list), people.n);
        for (int i = 0; i < people.n; i++) {
            json_t *kps = json_object_get(json_array_get(list, (size_t)i), "keypoints");
            assert_int_equal(json_array_size(kps), people.n_keypoints);
            for (int k = 0; k < people.n_keypoints; k++) {
                const struct pd_keypoint *in = &people.person[i].keypoints[k];
                json_t *out = json_array_get(kps, (size_t)k);
                if (!isfinite(in->x) || !isfinite(in->y) || !isfinite(in->score) || !(in->score > 0)) {
                    assert_true(json_is_null(out));
                    continue;
                }
                if (fabsf(in->x) < 1e6f)
                    assert_true(fabs(json_number_value(json_array_get(out, 0)) - (double)in->x) <= 0.0501);
                if (in->score < 999)
                    assert_true(fabs(json_number_value(json_array_get(out, 2)) - (double)in->score) <= 0.000501);
            }
        }
        json_decref(line);
    }
}

static void times_are_clamped_to_what_can_be_written(void **state)
{
    char text[PD_TIME_TEXT];
    pd_time_text(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999999Z");
    pd_time_text(-5, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000000Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_says_what_was_put_in),
        cmocka_unit_test(what_is_unknown_is_left_out),
        cmocka_unit_test(untracked_people_have_no_id),
        cmocka_unit_test(hostile_names_stay_json),
        cmocka_unit_test(values_that_are_no_numbers_never_get_out),
        cmocka_unit_test(the_largest_crowd_fits_and_the_rest_is_counted),
        cmocka_unit_test(random_people_survive_the_round_trip),
        cmocka_unit_test(times_are_clamped_to_what_can_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
