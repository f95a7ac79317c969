/* SPDX-License-Identifier: Apache-2.0
 *
 * Arbitrary poses and strings through the encoder, and back through jansson. Promises: every line is one line of valid
 * JSON that ends in a newline and keeps to PD_LINE_MAX; what is read back is what was put in, to the decimals that the
 * protocol has; what cannot be told (not finite, no score) is null, and never a number.
 */
#include "tests/fuzz/fuzz.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "core/util.h"
#include "daemon/json.h"

/* Fields are taken from the input's front; past its end everything is 0. */
struct input {
    const uint8_t *at, *end;
};

static void take(struct input *in, void *to, size_t size)
{
    size_t n = PD_MIN(size, (size_t)(in->end - in->at));
    memset(to, 0, size);
    memcpy(to, in->at, n);
    in->at += n;
}

#define TAKE(in, type)                                                                                                 \
    ({                                                                                                                 \
        type v_;                                                                                                       \
        take(in, &v_, sizeof(v_));                                                                                     \
        v_;                                                                                                            \
    })

static char *take_string(struct input *in)
{
    size_t wanted = TAKE(in, uint16_t) % 5000, n = PD_MIN(wanted, (size_t)(in->end - in->at));
    char *s = strndup((const char *)in->at, n);
    in->at += n;
    FUZZ_CHECK(s);
    return s;
}

static json_t *parse(const char *text, size_t len)
{
    FUZZ_CHECK(len >= 2 && len <= PD_LINE_MAX && text[len - 1] == '\n' && !memchr(text, '\n', len - 1));
    json_t *line = json_loadb(text, len - 1, JSON_REJECT_DUPLICATES, NULL);
    FUZZ_CHECK(json_is_object(line));
    return line;
}

static double number(const json_t *value)
{
    FUZZ_CHECK(json_is_number(value));
    return json_number_value(value);
}

static bool near(double a, double b, double step)
{
    return fabs(a - b) <= step / 2 + 1e-9 * fabs(b);
}

static void check_keypoint(const json_t *value, const struct pd_keypoint *kp)
{
    bool known = kp->score > 0 && isfinite(kp->score) && isfinite(kp->x) && isfinite(kp->y);
    FUZZ_CHECK(json_is_null(value) == !known);
    if (!known)
        return;
    FUZZ_CHECK(json_array_size(value) == 3);
    FUZZ_CHECK(near(number(json_array_get(value, 0)), PD_CLAMP((double)kp->x, -1e6, 1e6), 0.1));
    FUZZ_CHECK(near(number(json_array_get(value, 1)), PD_CLAMP((double)kp->y, -1e6, 1e6), 0.1));
    FUZZ_CHECK(near(number(json_array_get(value, 2)), PD_MIN((double)kp->score, 999.0), 0.001));
}

static void check_people(const json_t *line, const struct pd_people *people)
{
    const json_t *list = json_object_get(line, "people");
    size_t told = json_array_size(list);
    FUZZ_CHECK(json_is_array(list) && told <= (size_t)people->n);
    uint64_t omitted = (uint64_t)people->n - told + people->capped_people;
    FUZZ_CHECK((uint64_t)json_integer_value(json_object_get(line, "omitted")) == omitted);
    for (size_t i = 0; i < told; i++) {
        const struct pd_person *person = &people->person[i];
        const json_t *value = json_array_get(list, i), *keypoints = json_object_get(value, "keypoints");
        double score = isfinite(person->score) ? PD_CLAMP((double)person->score, -999.0, 999.0) : 0;
        FUZZ_CHECK(near(number(json_object_get(value, "score")), score, 0.001));
        FUZZ_CHECK(json_integer_value(json_object_get(value, "id")) == PD_MAX(person->id, 0));
        FUZZ_CHECK(json_array_size(keypoints) == (size_t)people->n_keypoints);
        for (int k = 0; k < people->n_keypoints; k++)
            check_keypoint(json_array_get(keypoints, (size_t)k), &person->keypoints[k]);
    }
}

/* Valid UTF-8 comes back as it was; anything else at least as a string of which jansson has no complaint. */
static void check_string(const json_t *line, const char *key, const char *text)
{
    const char *told = json_string_value(json_object_get(line, key));
    FUZZ_CHECK(told);
    json_t *valid = strlen(text) <= 4096 ? json_string(text) : NULL;
    FUZZ_CHECK(!valid || !strcmp(told, text));
    json_decref(valid);
}

static void check_pose(struct input *in)
{
    static struct pd_people people;
    static char buf[PD_LINE_MAX];
    char *camera = take_string(in), *file = take_string(in);
    struct pd_pose_line pose = {
        .camera = camera, .file = *file ? file : NULL, .seq = TAKE(in, uint64_t) >> 1, .timed = true,
        .time_us = TAKE(in, int64_t), .time_source = (enum pd_time_source)(TAKE(in, uint8_t) % 3),
        .pts_us = TAKE(in, int64_t), .width = TAKE(in, int), .height = TAKE(in, int), .latency_ms = TAKE(in, float),
        .people = &people,
    };
    memset(&people, 0, sizeof(people));
    people.n = TAKE(in, uint8_t) % (PD_PEOPLE_MAX + 1);
    people.n_keypoints = TAKE(in, uint8_t) % (PD_KEYPOINTS_MAX + 1);
    people.capped_people = TAKE(in, uint32_t);
    for (int i = 0; i < people.n; i++) {
        struct pd_person *person = &people.person[i];
        person->id = TAKE(in, int64_t);
        person->score = TAKE(in, float);
        take(in, person->keypoints, sizeof(person->keypoints));
    }
    json_t *line = parse(buf, pd_json_pose(&pose, buf));
    check_string(line, "camera", camera);
    if (pose.file)
        check_string(line, "file", file);
    FUZZ_CHECK((uint64_t)json_integer_value(json_object_get(line, "seq")) == pose.seq);
    FUZZ_CHECK(json_integer_value(json_object_get(line, "width")) == pose.width);
    FUZZ_CHECK(strlen(json_string_value(json_object_get(line, "time"))) == PD_TIME_TEXT - 1);
    const json_t *pts = json_object_get(line, "pts"), *latency = json_object_get(line, "latency_ms");
    FUZZ_CHECK(pose.pts_us == PD_PTS_NONE ? json_is_null(pts)
                                          : near(number(pts), PD_CLAMP((double)pose.pts_us * 1e-6, -9e12, 9e12), 1e-6));
    FUZZ_CHECK(pose.latency_ms >= 0 ? near(number(latency), PD_MIN(pose.latency_ms, 1e9), 0.1) : !latency);
    check_people(line, &people);
    json_decref(line);
    free(camera);
    free(file);
}

static void check_line(struct pd_line *line)
{
    FUZZ_CHECK(line);
    json_decref(parse(line->text, line->len));
    pd_line_unref(line);
}

/* The lines that jansson writes: whatever a camera, a driver or an error says must not make one fail. */
static void check_others(struct input *in)
{
    char *text = take_string(in);
    struct pd_client_numbers client = {TAKE(in, uint64_t), TAKE(in, uint64_t), TAKE(in, uint64_t), TAKE(in, uint64_t)};
    struct pd_camera_numbers numbers = {.decoded = TAKE(in, uint64_t), .fps = TAKE(in, double),
                                        .age_s = TAKE(in, double), .latency_ms = TAKE(in, double), .codec = text};
    struct pd_camera_status status = {.camera = "a", .state = "down", .reason = text, .since_us = TAKE(in, int64_t),
                                      .retry_s = TAKE(in, double), .numbers = &numbers};
    check_line(pd_json_status(&status));
    check_line(pd_json_error(text));
    check_line(pd_json_bye("slow", &client));
    const struct pd_hello hello = {.boot = "0", .skeleton = pd_skeleton_at(0), .engine = "null", .network = text};
    check_line(pd_json_hello(&hello));
    const struct pd_daemon_status whole = {.engine = "null", .device = text, .precision = "fp32", .network = text,
                                           .uptime_s = numbers.fps, .batch_mean = numbers.age_s, .client = client};
    check_line(pd_json_daemon(&whole));
    check_line(pd_json_gap("a", client.delivered, client.lost, client.thinned));
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};
    check_pose(&in);
    check_others(&in);
    FUZZ_CHECK(pd_line_live_bytes() == 0);
    return 0;
}
