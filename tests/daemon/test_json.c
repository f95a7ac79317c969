/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "core/clock.h"
#include "core/util.h"
#include "daemon/json.h"
#include "daemon/outbox.h"

static struct pd_request request;

static int parse(const char *text)
{
    struct pd_err err;
    return pd_json_parse_request(text, strlen(text), &request, &err);
}

static void a_subscription_has_defaults(void **state)
{
    assert_int_equal(parse("{\"subscribe\":{}}"), 0);
    assert_int_equal(request.kind, PD_REQUEST_SUBSCRIBE);
    assert_true(request.all);
    assert_int_equal(request.types, PD_TYPE_POSE | PD_TYPE_STATUS);
    assert_true(request.max_fps == 0);
}

static void a_subscription_is_read_whole(void **state)
{
    assert_int_equal(parse("{\"later\":[1],\"subscribe\":{\"cameras\":[\"a\",\"b\"],\"types\":[\"pose\"],"
                           "\"max_fps\":2.5,\"unheard\":{}}}"), 0);
    assert_false(request.all);
    assert_int_equal(request.n_cameras, 2);
    assert_string_equal(request.cameras[1], "b");
    assert_int_equal(request.types, PD_TYPE_POSE);
    assert_true(request.max_fps == 2.5);
}

static void an_empty_list_is_no_camera(void **state)
{
    assert_int_equal(parse("{\"subscribe\":{\"cameras\":[]}}"), 0);
    assert_false(request.all);
    assert_int_equal(request.n_cameras, 0);
}

static void what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *text, *word;
    } cases[] = {
        {"", "JSON"}, {"[]", "object"}, {"{}", "expected"}, {"{\"subscribe\":[]}", "object"},
        {"{\"subscribe\":{\"cameras\":[1]}}", "cameras[0]"}, {"{\"subscribe\":{\"cameras\":[\"\"]}}", "cameras[0]"},
        {"{\"subscribe\":{\"types\":\"pose\"}}", "types"},
        {"{\"subscribe\":{\"types\":[\"pose\",\"heat\"]}}", "types[1]"},
        {"{\"subscribe\":{\"max_fps\":\"2\"}}", "max_fps"}, {"{\"subscribe\":{\"max_fps\":1e9}}", "max_fps"},
        {"{\"request\":\"stat\"}", "stat"}, {"{\"request\":7}", "expected"},
        {"{\"request\":\"ping\",\"n\":1.5}", "integer"},
    };
    for (size_t i = 0; i < PD_ARRAY_SIZE(cases); i++) {
        struct pd_err err = {""};
        assert_int_equal(pd_json_parse_request(cases[i].text, strlen(cases[i].text), &request, &err), -EINVAL);
        if (!strstr(err.text, cases[i].word))
            fail_msg("%s: %s", cases[i].text, err.text);
    }
}

static void any_bytes_get_an_answer(void **state)
{
    unsigned seed = (unsigned)pd_now_ns();
    print_message("# seed %u\n", seed);
    static const char *const parts[] = {"{", "}", "[", "]", "\"subscribe\"", ":", ",", "\"cameras\"", "\"*\"", "1e999",
                                        "\"request\"", "\"ping\"", "\"n\"", "null", "\xff", "\"\\u0000\"", "-0", "\""};
    for (int i = 0; i < 20000; i++) {
        char text[256];
        size_t len = 0;
        for (int k = rand_r(&seed) % 20; k > 0; k--) {
            const char *part = parts[(size_t)rand_r(&seed) % PD_ARRAY_SIZE(parts)];
            memcpy(text + len, part, strlen(part));
            len += strlen(part);
        }
        struct pd_err err = {""};
        if (pd_json_parse_request(text, len, &request, &err) == 0)
            continue;
        struct pd_line *line = pd_json_error(err.text);
        assert_non_null(line);
        json_t *json = json_loadb(line->text, line->len, 0, NULL);
        assert_non_null(json);
        json_decref(json);
        pd_line_unref(line);
    }
}

static void text_that_is_no_utf8_is_still_told(void **state)
{
    struct pd_line *line = pd_json_error("caf\xe9 \xe2\x82");
    assert_non_null(line);
    assert_non_null(strstr(line->text, "caf? ??"));
    pd_line_unref(line);
}

static void numbers_are_as_short_as_people_write_them(void **state)
{
    const struct pd_camera_numbers numbers = {.fps = 24.97, .age_s = 0.1 + 0.2, .latency_ms = 41.7, .codec = "h264"};
    const struct pd_camera_status status = {.camera = "a", .state = "down", .reason = "", .retry_s = 2.2000000001,
                                            .numbers = &numbers};
    struct pd_line *line = pd_json_status(&status);
    assert_non_null(line);
    assert_non_null(strstr(line->text, "\"retry_s\":2.2,"));
    assert_non_null(strstr(line->text, "\"fps\":24.97,\"age_s\":0.3,\"latency_ms\":41.7,"));
    pd_line_unref(line);
}

static void metrics_are_cut_at_line_ends(void **state)
{
    size_t size = 200000, len = 0;
    char *text = malloc(size);
    assert_non_null(text);
    for (int i = 0; len + 64 < size; i++)
        len += (size_t)sprintf(text + len, "posed_x{camera=\"%d\\\\\"} 1\n", i);
    struct pd_line **lines;
    assert_int_equal(pd_json_metrics(text, &lines), 0);
    char *whole = calloc(1, size);
    assert_non_null(whole);
    int parts = 0;
    for (; lines[parts]; parts++) {
        assert_in_range(lines[parts]->len, 1, PD_LINE_MAX);
        json_t *json = json_loadb(lines[parts]->text, lines[parts]->len, 0, NULL);
        assert_int_equal(json_integer_value(json_object_get(json, "part")), parts + 1);
        const char *part = json_string_value(json_object_get(json, "text"));
        assert_int_equal(part[strlen(part) - 1], '\n');
        strcat(whole, part);
        json_decref(json);
        pd_line_unref(lines[parts]);
    }
    assert_in_range(parts, 4, 20);
    assert_string_equal(whole, text);
    free(lines);
    free(whole);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_subscription_has_defaults),
        cmocka_unit_test(a_subscription_is_read_whole),
        cmocka_unit_test(an_empty_list_is_no_camera),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(any_bytes_get_an_answer),
        cmocka_unit_test(text_that_is_no_utf8_is_still_told),
        cmocka_unit_test(numbers_are_as_short_as_people_write_them),
        cmocka_unit_test(metrics_are_cut_at_line_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
