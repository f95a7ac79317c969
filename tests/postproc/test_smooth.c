/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/test.h"

#include <math.h>
#include <string.h>

#include "postproc/track.h"

static struct pd_people people;

/* One person with one keypoint; returns where it came out. */
static struct pd_keypoint step(struct pd_smoother *s, int64_t id, float x, float y, int64_t t_us)
{
    memset(&people, 0, sizeof(people));
    people.n = 1;
    people.n_keypoints = 1;
    people.person[0].id = id;
    people.person[0].keypoints[0] = (struct pd_keypoint){x, y, 0.5f};
    pd_smoother_update(s, &people, t_us);
    return people.person[0].keypoints[0];
}

/* The published algorithm, one coordinate at a time along y = 0, in the plainest way. */
struct plain {
    double x, v, t;
};

static double plain_step(struct plain *p, double min_cutoff, double beta, double x, double t)
{
    double te = t - p->t, r = 2 * M_PI * 1.0 * te, a = r / (r + 1);
    p->v = a * (x - p->x) / te + (1 - a) * p->v;
    r = 2 * M_PI * (min_cutoff + beta * fabs(p->v)) * te;
    a = r / (r + 1);
    p->x = a * x + (1 - a) * p->x;
    p->t = t;
    return p->x;
}

static void it_is_the_published_filter_at_any_frame_spacing(void **state)
{
    struct pd_smoother *s = pd_smoother_create(1.2, 0.01);
    assert_non_null(s);
    int64_t now = 0;
    uint32_t random = 12345;
    struct plain plain = {0};
    step(s, 1, 0, 0, 0);
    for (int i = 1; i < 500; i++) {
        random = random * 1664525u + 1013904223u;
        now += 10000 + random % 90000;
        double x = 100 * sin(i * 0.1) + (random >> 16) % 7;
        double want = plain_step(&plain, 1.2, 0.01, (float)x, (double)now * 1e-6);
        assert_float_equal(step(s, 1, (float)x, 0, now).x, want, 1e-3);
    }
    pd_smoother_destroy(s);
}

static void jitter_of_one_who_stands_shrinks_and_a_walk_is_followed(void **state)
{
    struct pd_smoother *s = pd_smoother_create(1.0, 0.05);
    float most = 0;
    for (int i = 0; i < 100; i++) {
        struct pd_keypoint kp = step(s, 1, 200.0f + (i % 2 ? 1.0f : -1.0f), 100.0f, 40000 * (int64_t)i);
        if (i > 50)
            most = fmaxf(most, fabsf(kp.x - 200.0f));
    }
    assert_true(most < 0.5f);
    struct pd_keypoint kp = {0};
    for (int i = 0; i < 50; i++)
        kp = step(s, 2, 100.0f + 12.0f * (float)i, 100.0f, 40000 * (int64_t)(100 + i));
    assert_true(fabsf(kp.x - (100.0f + 12.0f * 49)) < 15.0f); /* 300 pixels a second, 50 ms behind at most */
    pd_smoother_destroy(s);
}

static void directions_are_treated_alike(void **state)
{
    struct pd_smoother *s = pd_smoother_create(1.0, 0.05);
    for (int i = 0; i < 30; i++) {
        float along = 5.0f * (float)i + (float)(i * i % 7);
        struct pd_keypoint a = step(s, 1, along, 0, 40000 * (int64_t)i);
        struct pd_keypoint b = step(s, 2, 0.6f * along, 0.8f * along, 40000 * (int64_t)i);
        assert_float_equal(a.x, hypotf(b.x, b.y), 1e-3);
    }
    pd_smoother_destroy(s);
}

static void each_id_has_its_own_past(void **state)
{
    struct pd_smoother *s = pd_smoother_create(1.0, 0.0);
    step(s, 1, 0, 0, 0);
    step(s, 2, 500, 0, 0);
    assert_true(step(s, 1, 10, 0, 40000).x < 10);
    assert_true(step(s, 2, 510, 0, 40000).x > 500);
    assert_float_equal(step(s, 3, 77, 0, 40000).x, 77, 0);
    assert_float_equal(step(s, 0, 31, 0, 40000).x, 31, 0); /* not tracked: left alone */
    assert_float_equal(step(s, 0, 33, 0, 80000).x, 33, 0);
    pd_smoother_destroy(s);
}

static void a_past_older_than_two_seconds_is_gone(void **state)
{
    struct pd_smoother *s = pd_smoother_create(0.01, 0.0);
    step(s, 1, 0, 0, 0);
    assert_true(step(s, 1, 100, 0, 2000000).x < 100);
    assert_float_equal(step(s, 1, 300, 0, 4000001).x, 300, 0);
    pd_smoother_destroy(s);
}

static void time_that_stands_or_goes_back_is_survived(void **state)
{
    struct pd_smoother *s = pd_smoother_create(1.0, 1.0);
    int64_t times[] = {1000000, 1000000, 999999, INT64_MIN, INT64_MAX, 0, 40000};
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        struct pd_keypoint kp = step(s, 1, 50.0f + (float)i, 60.0f, times[i]);
        assert_true(kp.x >= 50.0f && kp.x <= 60.0f && kp.y == 60.0f);
    }
    pd_smoother_destroy(s);
}

static void nonsense_passes_by_and_leaves_no_trace(void **state)
{
    struct pd_smoother *s = pd_smoother_create(1.0, 0.1);
    step(s, 1, 10, 10, 0);
    assert_true(isnan(step(s, 1, NAN, 10, 40000).x));
    assert_true(isinf(step(s, 1, INFINITY, 10, 80000).x));
    struct pd_keypoint kp = step(s, 1, 10, 10, 120000);
    assert_float_equal(kp.x, 10, 0);
    assert_float_equal(kp.y, 10, 0);
    step(s, 1, 3e38f, -3e38f, 160000);
    kp = step(s, 1, 10, 10, 200000);
    assert_true(isfinite(kp.x) && isfinite(kp.y));
    pd_smoother_destroy(s);
}

static void more_ids_than_places_drop_the_longest_unseen(void **state)
{
    struct pd_smoother *s = pd_smoother_create(0.1, 0.0);
    for (int64_t id = 1; id <= 2000; id++) {
        step(s, id, 0, 0, id * 100);
        assert_true(step(s, id, 10, 0, id * 100 + 50).x < 10); /* its own past is there */
    }
    assert_float_equal(step(s, 1, 10, 0, 200100).x, 10, 0); /* let go */
    assert_true(step(s, 1999, 10, 0, 200100).x < 10);
    pd_smoother_destroy(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_the_published_filter_at_any_frame_spacing),
        cmocka_unit_test(jitter_of_one_who_stands_shrinks_and_a_walk_is_followed),
        cmocka_unit_test(directions_are_treated_alike),
        cmocka_unit_test(each_id_has_its_own_past),
        cmocka_unit_test(a_past_older_than_two_seconds_is_gone),
        cmocka_unit_test(time_that_stands_or_goes_back_is_survived),
        cmocka_unit_test(nonsense_passes_by_and_leaves_no_trace),
        cmocka_unit_test(more_ids_than_places_drop_the_longest_unseen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
