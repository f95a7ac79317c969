/* SPDX-License-Identifier: Apache-2.0 - when a batch leaves the queue and which frames are in it; camera indices. */
#include "tests/core/queue_world.h"

#include <errno.h>

/* ---- when a batch leaves ---- */

static void one_camera_never_waits(void **state)
{
    struct pd_queue *q = queue(32, 50 * MS);
    int a = live(q);
    assert_int_equal(take(q), 0);
    assert_true(due == INT64_MAX);
    for (uint64_t seq = 1; seq < 5; seq++) {
        push(q, a, seq);
        assert_int_equal(take(q), 1);
        assert_int_equal(took_seq[0], seq);
    }
    finish_clean(q);
}

static void a_batch_waits_for_live_cameras_until_its_deadline(void **state)
{
    struct pd_queue *q = queue(32, 50 * MS);
    int a = live(q), b = live(q);
    push(q, a, 1);
    assert_int_equal(take(q), 0);
    assert_true(due == fake_now + 50 * MS);
    fake_now += 50 * MS - 1;
    assert_int_equal(take(q), 0);
    fake_now += 1; /* the very nanosecond */
    assert_int_equal(take(q), 1);
    push(q, b, 1);
    push(q, a, 2);
    assert_int_equal(take(q), 2); /* complete: at once */
    finish_clean(q);
}

static void the_deadline_is_the_oldest_frames(void **state)
{
    struct pd_queue *q = queue(32, 50 * MS);
    int a = live(q), b = live(q);
    live(q);
    push(q, a, 1);
    fake_now += 30 * MS;
    push(q, b, 1);
    assert_int_equal(take(q), 0);
    assert_true(due == fake_now + 20 * MS);
    fake_now += 20 * MS;
    assert_int_equal(take(q), 2);
    finish_clean(q);
}

static void a_camera_faster_than_the_wait_cannot_push_its_deadline_away(void **state)
{
    struct pd_queue *q = queue(32, 50 * MS);
    int fast = live(q);
    live(q);
    int64_t first = fake_now;
    push(q, fast, 1);
    for (uint64_t seq = 2; seq < 5; seq++) {
        fake_now += 16 * MS;
        assert_int_equal(pd_queue_push(q, fast, number(fast, seq)), PD_QUEUE_E_DROPPED);
        assert_int_equal(dropped_seq, seq - 1);
        assert_int_equal(take(q), 0);
        assert_true(due == first + 50 * MS);
    }
    fake_now = first + 50 * MS;
    assert_int_equal(take(q), 1);
    assert_int_equal(took_seq[0], 4); /* the newest */
    finish_clean(q);
}

static void no_wait_means_no_wait(void **state)
{
    struct pd_queue *q = queue(32, 0);
    int a = live(q);
    live(q);
    push(q, a, 1);
    assert_int_equal(take(q), 1);
    pd_queue_set_wait(q, 10 * MS);
    push(q, a, 2);
    assert_int_equal(take(q), 0);
    pd_queue_set_wait(q, 0);
    assert_int_equal(take(q), 1);
    finish_clean(q);
}

static void a_camera_that_is_not_up_is_not_waited_for(void **state)
{
    struct pd_queue *q = queue(32, 50 * MS);
    int a = live(q), b = live(q);
    int c = pd_queue_add(q, PD_QUEUE_NEWEST, 0); /* new: down */
    push(q, a, 1);
    push(q, b, 1);
    assert_int_equal(take(q), 2);
    push(q, a, 2);
    assert_int_equal(take(q), 0);
    pd_queue_set_up(q, b, false);
    assert_int_equal(take(q), 1);
    push(q, c, 1); /* down, but what it has is welcome */
    push(q, a, 3);
    assert_int_equal(take(q), 2);
    finish_clean(q);
}

static void removing_the_missing_camera_completes_the_batch(void **state)
{
    struct pd_queue *q = queue(32, 50 * MS);
    int a = live(q), b = live(q);
    push(q, a, 1);
    assert_int_equal(take(q), 0);
    pd_queue_remove(q, b);
    assert_int_equal(take(q), 1);
    finish_clean(q);
}

static void all_dead_is_quiet_and_drains(void **state)
{
    struct pd_queue *q = queue(32, 50 * MS);
    int camera[4];
    for (int i = 0; i < 4; i++)
        camera[i] = live(q);
    push(q, camera[2], 7);
    for (int i = 0; i < 4; i++)
        pd_queue_set_up(q, camera[i], false);
    assert_int_equal(take(q), 1); /* nobody is left to wait for */
    assert_int_equal(take(q), 0);
    assert_true(due == INT64_MAX);
    finish_clean(q);
}

static void finish_makes_an_incomplete_batch_due(void **state)
{
    struct pd_queue *q = queue(32, 50 * MS);
    int a = live(q);
    live(q);
    push(q, a, 1);
    assert_int_equal(take(q), 0);
    pd_queue_finish(q);
    assert_int_equal(take(q), 1);
    finish_clean(q);
}

/* ---- fairness ---- */

static void of_33_cameras_the_one_left_out_is_first_next(void **state)
{
    struct pd_queue *q = queue(32, 50 * MS);
    int camera[33], served[33] = {0};
    for (int i = 0; i < 33; i++)
        camera[i] = live(q);
    for (uint64_t round = 1; round <= 33; round++) {
        for (int i = 0; i < 33; i++)
            assert_in_range(pd_queue_push(q, camera[i], number(camera[i], round)), 0, 1);
        assert_int_equal(take(q), 32);
        for (int i = 0; i < 32; i++)
            served[took_camera[i]]++;
    }
    for (int i = 0; i < 33; i++)
        assert_int_equal(served[i], 32); /* each sat out exactly once in 33 rounds */
    finish_clean(q);
}

/* An engine that takes 20 ms a batch, cameras at their own pace: one at 60 FPS, thirty at 5. */
static void a_fast_camera_costs_slow_ones_nothing(void **state)
{
    struct pd_queue *q = queue(32, 10 * MS);
    int fast = live(q), slow[30];
    uint64_t seq[31] = {0}, taken_fast = 0;
    for (int i = 0; i < 30; i++)
        slow[i] = live(q);
    int64_t start = fake_now, engine_free = start;
    for (; fake_now < start + 10 * PD_NS_PER_S; fake_now += MS) {
        int64_t t = (fake_now - start) / MS;
        if (t * 60 / 1000 != (t - 1) * 60 / 1000)
            assert_in_range(pd_queue_push(q, fast, number(fast, ++seq[30])), 0, 1);
        for (int i = 0; i < 30; i++)
            if (t % 200 == i * 6)
                push(q, slow[i], ++seq[i]); /* push() fails the test on any drop */
        if (fake_now < engine_free)
            continue;
        int n = take(q);
        for (int k = 0; k < n; k++)
            taken_fast += took_camera[k] == fast;
        if (n)
            engine_free = fake_now + 20 * MS;
    }
    for (int i = 0; i < 30; i++) {
        struct pd_queue_stats s = pd_queue_stats(q, slow[i]);
        assert_int_equal(s.dropped, 0);
        assert_int_equal(s.pushed, s.taken + (uint64_t)s.depth);
        assert_int_equal(s.pushed, 50);
    }
    struct pd_queue_stats s = pd_queue_stats(q, fast);
    assert_int_equal(s.taken, taken_fast);
    assert_true(s.taken > 250); /* it has what is left: about one frame a batch of 20..30 ms */
    assert_int_equal(s.pushed, s.taken + s.dropped + (uint64_t)s.depth);
    finish_clean(q);
}

/* ---- indices ---- */

static void indices_run_out_and_come_back(void **state)
{
    struct pd_queue *q = queue(32, 0);
    for (int i = 0; i < PD_CAMERAS_MAX; i++)
        assert_int_equal(pd_queue_add(q, PD_QUEUE_NEWEST, 0), i);
    assert_int_equal(pd_queue_add(q, PD_QUEUE_NEWEST, 0), -ENOSPC);
    push(q, 17, 1);
    pd_queue_remove(q, 17);
    pd_queue_remove(q, 17);
    assert_int_equal(drops, 1);
    assert_int_equal(pd_queue_stats(q, 17).dropped, 1);
    struct pd_frame *f = number(17, 2);
    assert_int_equal(pd_queue_push(q, 17, f), PD_QUEUE_E_FINISHED);
    pd_frame_unref(&f);
    assert_int_equal(pd_queue_add(q, PD_QUEUE_LOSSLESS, 2), 17);
    assert_int_equal(pd_queue_stats(q, 17).pushed, 0);
    push(q, 17, 1);
    assert_int_equal(take(q), 1);
    finish_clean(q);
}

static void a_freed_index_rests_while_there_are_others(void **state)
{
    struct pd_queue *q = queue(32, 0);
    int a = live(q);
    pd_queue_remove(q, a);
    assert_int_not_equal(live(q), a);
    finish_clean(q);
}

static void indices_that_never_were_are_harmless(void **state)
{
    struct pd_queue *q = queue(32, 0);
    static const int wrong[] = {-1, 0, PD_CAMERAS_MAX, INT32_MAX};
    for (size_t i = 0; i < PD_ARRAY_SIZE(wrong); i++) {
        struct pd_frame *f = number(0, 1);
        assert_int_equal(pd_queue_push(q, wrong[i], f), PD_QUEUE_E_FINISHED);
        pd_frame_unref(&f);
        pd_queue_set_up(q, wrong[i], true);
        pd_queue_remove(q, wrong[i]);
        assert_int_equal(pd_queue_stats(q, wrong[i]).pushed, 0);
    }
    pd_queue_destroy(NULL);
    finish_clean(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_camera_never_waits),
        cmocka_unit_test(a_batch_waits_for_live_cameras_until_its_deadline),
        cmocka_unit_test(the_deadline_is_the_oldest_frames),
        cmocka_unit_test(a_camera_faster_than_the_wait_cannot_push_its_deadline_away),
        cmocka_unit_test(no_wait_means_no_wait),
        cmocka_unit_test(a_camera_that_is_not_up_is_not_waited_for),
        cmocka_unit_test(removing_the_missing_camera_completes_the_batch),
        cmocka_unit_test(all_dead_is_quiet_and_drains),
        cmocka_unit_test(finish_makes_an_incomplete_batch_due),
        cmocka_unit_test(of_33_cameras_the_one_left_out_is_first_next),
        cmocka_unit_test(a_fast_camera_costs_slow_ones_nothing),
        cmocka_unit_test(indices_run_out_and_come_back),
        cmocka_unit_test(a_freed_index_rests_while_there_are_others),
        cmocka_unit_test(indices_that_never_were_are_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
