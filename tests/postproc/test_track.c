/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "postproc/track.h"

static _Atomic int64_t next_id;
static struct pd_people people;

static struct pd_tracker *fresh(void)
{
    atomic_store(&next_id, 1);
    struct pd_tracker *t = pd_tracker_create(pd_skeleton_by_name("coco18"), &next_id);
    assert_non_null(t);
    return t;
}

static void begin(void)
{
    memset(&people, 0, sizeof(people));
    people.n_keypoints = 18;
}

/* A person 100 pixels tall about (x, y), keypoints in a fixed pattern. */
static struct pd_person *put(double x, double y)
{
    struct pd_person *p = &people.person[people.n++];
    for (int k = 0; k < 18; k++) {
        p->keypoints[k].x = (float)(x + (k % 3 - 1) * 15.0);
        p->keypoints[k].y = (float)(y + (k / 3 - 2.5) * 20.0);
        p->keypoints[k].score = 0.8f;
    }
    p->n_found = 18;
    p->score = 0.8f;
    return p;
}

static void a_person_who_stays_keeps_the_id(void **state)
{
    struct pd_tracker *t = fresh();
    for (int f = 0; f < 50; f++) {
        begin();
        put(100 + f % 3, 100 - f % 2);
        pd_tracker_update(t, &people, 40000 * f);
        assert_int_equal(people.person[0].id, 1);
    }
    pd_tracker_destroy(t);
}

static void two_people_who_cross_keep_their_ids(void **state)
{
    struct pd_tracker *t = fresh();
    for (int f = 0; f <= 40; f++) {
        begin();
        bool swap = f % 2; /* the order in which they are found says nothing */
        double a = 50 + 8 * f, b = 370 - 8 * f;
        put(swap ? b : a, swap ? 104 : 100);
        put(swap ? a : b, swap ? 100 : 104);
        pd_tracker_update(t, &people, 66667 * (int64_t)f);
        assert_int_equal(people.person[swap ? 1 : 0].id, 1);
        assert_int_equal(people.person[swap ? 0 : 1].id, 2);
    }
    pd_tracker_destroy(t);
}

static void one_hidden_behind_the_other_while_crossing_keeps_the_id(void **state)
{
    struct pd_tracker *t = fresh();
    for (int f = 0; f <= 40; f++) {
        begin();
        bool hidden = f >= 18 && f <= 22;
        put(50 + 8 * f, 100);
        if (!hidden)
            put(370 - 8 * f, 104);
        pd_tracker_update(t, &people, 66667 * (int64_t)f);
        assert_int_equal(people.person[0].id, 1);
        if (!hidden)
            assert_int_equal(people.person[1].id, 2);
    }
    pd_tracker_destroy(t);
}

static void a_person_missed_for_a_second_keeps_the_id(void **state)
{
    struct pd_tracker *t = fresh();
    for (int f = 0; f < 60; f++) {
        begin();
        bool missed = f >= 20 && f < 45; /* 1 s at 25 a second */
        if (!missed)
            put(100 + 2 * f, 100);
        pd_tracker_update(t, &people, 40000 * (int64_t)f);
        if (!missed)
            assert_int_equal(people.person[0].id, 1);
    }
    pd_tracker_destroy(t);
}

static void a_gap_of_over_two_seconds_starts_afresh(void **state)
{
    struct pd_tracker *t = fresh();
    begin();
    put(100, 100);
    pd_tracker_update(t, &people, 0);
    assert_int_equal(people.person[0].id, 1);
    pd_tracker_update(t, &people, 2000000);
    assert_int_equal(people.person[0].id, 1);
    pd_tracker_update(t, &people, 4000001);
    assert_int_equal(people.person[0].id, 2);
    pd_tracker_destroy(t);
}

static void a_person_away_for_over_two_seconds_is_new(void **state)
{
    struct pd_tracker *t = fresh();
    int64_t now = 0;
    begin();
    put(100, 100);
    pd_tracker_update(t, &people, now);
    begin();
    for (int f = 0; f < 60; f++)
        pd_tracker_update(t, &people, now += 40000);
    begin();
    put(100, 100);
    pd_tracker_update(t, &people, now += 40000);
    assert_int_equal(people.person[0].id, 2);
    pd_tracker_destroy(t);
}

static void time_going_back_starts_afresh_and_no_id_comes_twice(void **state)
{
    struct pd_tracker *t = fresh();
    int64_t times[] = {5000000, 4999999, INT64_MIN, INT64_MAX, 0, -1, INT64_MIN + 1};
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        begin();
        put(100, 100);
        pd_tracker_update(t, &people, times[i]);
        assert_int_equal(people.person[0].id, i + 1);
    }
    pd_tracker_update(t, &people, times[6]); /* the same time again is not a step back */
    assert_int_equal(people.person[0].id, 7);
    pd_tracker_destroy(t);
}

static void a_jump_across_the_picture_is_someone_else(void **state)
{
    struct pd_tracker *t = fresh();
    begin();
    put(100, 100);
    pd_tracker_update(t, &people, 0);
    begin();
    put(900, 100);
    pd_tracker_update(t, &people, 40000);
    assert_int_equal(people.person[0].id, 2);
    pd_tracker_destroy(t);
}

static void upper_and_lower_half_are_one_person(void **state)
{
    struct pd_tracker *t = fresh();
    for (int f = 0; f < 30; f++) {
        begin();
        struct pd_person *p = put(100 + f, 100);
        for (int k = 0; f > 0 && k < 18; k++) {
            if (f % 2 ? k < 8 : k > 10)
                p->keypoints[k].score = 0;
        }
        pd_tracker_update(t, &people, 40000 * (int64_t)f);
        assert_int_equal(people.person[0].id, 1);
    }
    pd_tracker_destroy(t);
}

static void cameras_share_the_ids(void **state)
{
    struct pd_tracker *a = fresh(), *b = pd_tracker_create(pd_skeleton_by_name("coco18"), &next_id);
    begin();
    put(100, 100);
    pd_tracker_update(a, &people, 0);
    assert_int_equal(people.person[0].id, 1);
    pd_tracker_update(b, &people, 0);
    assert_int_equal(people.person[0].id, 2);
    pd_tracker_destroy(a);
    pd_tracker_destroy(b);
}

static void nonsense_coordinates_get_ids_and_harm_nobody(void **state)
{
    struct pd_tracker *t = fresh();
    float odd[] = {NAN, INFINITY, -INFINITY, 3e38f, -3e38f};
    for (int f = 0; f < 20; f++) {
        begin();
        put(100, 100);
        struct pd_person *p = put(300, 100);
        for (int k = 0; k < 18; k++)
            p->keypoints[k].x = odd[(k + f) % 5];
        pd_tracker_update(t, &people, 40000 * (int64_t)f);
        assert_int_equal(people.person[0].id, 1);
        assert_true(people.person[1].id > 1);
    }
    pd_tracker_destroy(t);
}

/* A full house that jumps about: every frame gives new ids, each once, and the tracker's memory is what it was. */
static void ids_stay_distinct_in_a_crowd_that_never_stands_still(void **state)
{
    struct pd_tracker *t = fresh();
    int64_t highest = 0;
    for (int f = 0; f < 40; f++) {
        begin();
        for (int i = 0; i < PD_PEOPLE_MAX; i++)
            put((f * 977 + i * 401) % 20000, (i * 709 + f * 331) % 20000);
        pd_tracker_update(t, &people, 40000 * (int64_t)f);
        for (int i = 0; i < people.n; i++) {
            for (int j = 0; j < i; j++)
                assert_int_not_equal(people.person[i].id, people.person[j].id);
            if (people.person[i].id > highest)
                highest = people.person[i].id;
        }
    }
    assert_int_equal(atomic_load(&next_id), highest + 1);
    assert_true(highest > 1000);
    pd_tracker_destroy(t);
}

/* People of a row have the same shape and walk through each other's places. */
static void a_row_that_walks_is_followed_as_a_whole(void **state)
{
    struct pd_tracker *t = fresh();
    for (int f = 0; f < 30; f++) {
        begin();
        for (int i = 0; i < 6; i++)
            put(60 * i + f * 9, 100);
        pd_tracker_update(t, &people, 66667 * (int64_t)f);
        for (int i = 0; i < 6; i++)
            assert_int_equal(people.person[i].id, i + 1);
    }
    pd_tracker_destroy(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_person_who_stays_keeps_the_id),
        cmocka_unit_test(two_people_who_cross_keep_their_ids),
        cmocka_unit_test(one_hidden_behind_the_other_while_crossing_keeps_the_id),
        cmocka_unit_test(a_person_missed_for_a_second_keeps_the_id),
        cmocka_unit_test(a_gap_of_over_two_seconds_starts_afresh),
        cmocka_unit_test(a_person_away_for_over_two_seconds_is_new),
        cmocka_unit_test(time_going_back_starts_afresh_and_no_id_comes_twice),
        cmocka_unit_test(a_jump_across_the_picture_is_someone_else),
        cmocka_unit_test(upper_and_lower_half_are_one_person),
        cmocka_unit_test(cameras_share_the_ids),
        cmocka_unit_test(nonsense_coordinates_get_ids_and_harm_nobody),
        cmocka_unit_test(ids_stay_distinct_in_a_crowd_that_never_stands_still),
        cmocka_unit_test(a_row_that_walks_is_followed_as_a_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
