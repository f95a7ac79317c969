/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/test.h"

#include "core/clock.h"
#include "core/util.h"
#include "daemon/watchdog.h"

#define LIMIT (30 * PD_NS_PER_S)
#define BATCH (100 * PD_NS_PER_MS)
#define BOOT (1000 * PD_NS_PER_S) /* the monotonic clock does not begin with the daemon */

struct rig {
    struct pd_watchdog w;
    struct pd_watchdog_call call;
    int64_t now;
};

static struct rig started(void)
{
    struct rig r = {.now = BOOT};
    pd_watchdog_start(&r.w, LIMIT, r.now);
    return r;
}

/* Looks once a second for @duration; the last answer. */
static bool look_for(struct rig *r, int64_t duration, uint64_t came_out, int waiting, int64_t longest)
{
    bool healthy = true;
    for (int64_t end = r->now + duration; r->now < end;) {
        r->now = PD_MIN(end, r->now + PD_NS_PER_S);
        healthy = pd_watchdog_look(&r->w, came_out, waiting, longest, r->now);
    }
    return healthy;
}

static void the_first_look_is_healthy_whatever_waits(void **state)
{
    struct rig r = started();
    assert_true(pd_watchdog_look(&r.w, 0, 8, BATCH, r.now));
}

static void frames_that_wait_and_do_not_come_out_are_a_fault(void **state)
{
    struct rig r = started();
    assert_true(look_for(&r, PD_NS_PER_S, 5, 1, BATCH));
    assert_true(look_for(&r, LIMIT - 1, 5, 1, BATCH));
    assert_false(look_for(&r, 1, 5, 1, BATCH));
    assert_false(look_for(&r, 3 * LIMIT, 5, 1, BATCH));
    assert_true(look_for(&r, 1, 6, 1, BATCH)); /* it moves again */
}

static void nothing_waiting_is_healthy_for_ever(void **state)
{
    struct rig r = started();
    assert_true(look_for(&r, 48 * 3600 * PD_NS_PER_S, 5, 0, BATCH));
    /* The first frame after that has its whole time. */
    assert_true(look_for(&r, LIMIT - 1, 5, 1, BATCH));
    assert_false(look_for(&r, 1, 5, 1, BATCH));
}

static void a_slow_engine_has_ten_times_its_longest_batch(void **state)
{
    struct rig r = started();
    assert_true(look_for(&r, 200 * PD_NS_PER_S - 1, 0, 4, 20 * PD_NS_PER_S));
    assert_false(look_for(&r, 1, 0, 4, 20 * PD_NS_PER_S));
}

static void a_camera_that_goes_with_its_frames_is_no_fault(void **state)
{
    struct rig r = started();
    assert_true(look_for(&r, LIMIT - PD_NS_PER_S, 1000, 4, BATCH));
    assert_true(look_for(&r, LIMIT - PD_NS_PER_S, 10, 4, BATCH)); /* the total has shrunk: it changed */
}

static void time_without_a_look_is_nobodys_fault(void **state)
{
    struct rig r = started();
    look_for(&r, PD_NS_PER_S, 5, 1, BATCH);
    r.now += 3600 * PD_NS_PER_S; /* the process was stopped */
    assert_true(pd_watchdog_look(&r.w, 5, 1, BATCH, r.now));
    assert_true(look_for(&r, LIMIT - 3 * PD_NS_PER_S, 5, 1, BATCH));
    assert_false(look_for(&r, LIMIT, 5, 1, BATCH)); /* a loop that seldom runs still finds out */
}

static void a_call_has_its_age_in_time_that_counts(void **state)
{
    struct rig r = started();
    int64_t since = r.now;
    look_for(&r, PD_NS_PER_S, 5, 0, BATCH);
    assert_int_equal(pd_watchdog_age(&r.w, &r.call, since), 0); /* counts from when it was first seen */
    look_for(&r, 5 * PD_NS_PER_S, 5, 0, BATCH);
    assert_int_equal(pd_watchdog_age(&r.w, &r.call, since), 5 * PD_NS_PER_S);
    r.now += 3600 * PD_NS_PER_S;
    pd_watchdog_look(&r.w, 5, 0, BATCH, r.now);
    assert_true(pd_watchdog_allows(&r.w, pd_watchdog_age(&r.w, &r.call, since), BATCH));
    look_for(&r, LIMIT, 5, 0, BATCH);
    assert_false(pd_watchdog_allows(&r.w, pd_watchdog_age(&r.w, &r.call, since), BATCH));
    assert_int_equal(pd_watchdog_age(&r.w, &r.call, since + 1), 0); /* the next one */
    look_for(&r, LIMIT, 5, 0, BATCH);
    assert_int_equal(pd_watchdog_age(&r.w, &r.call, 0), 0); /* none */
}

/* A batch that takes @duration, looked at once a second, and the look that no longer finds it. */
static void take_a_batch(struct rig *r, int64_t duration, int64_t stopped)
{
    int64_t since = r->now;
    for (int64_t end = r->now + duration; r->now < end;) {
        look_for(r, PD_NS_PER_S, 5, 0, 0);
        pd_watchdog_age(&r->w, &r->call, since);
    }
    r->now += stopped;
    look_for(r, PD_NS_PER_S, 5, 0, 0);
    pd_watchdog_age(&r->w, &r->call, 0);
}

static void the_longest_call_is_known_in_time_that_counts(void **state)
{
    struct rig r = started();
    take_a_batch(&r, PD_NS_PER_S, 0); /* seen once: it may have taken no time at all */
    assert_int_equal(r.call.longest_ns, 0);
    take_a_batch(&r, 6 * PD_NS_PER_S, 0);
    assert_int_equal(r.call.longest_ns, 6 * PD_NS_PER_S);
    take_a_batch(&r, 4 * PD_NS_PER_S, 0);
    assert_int_equal(r.call.longest_ns, 6 * PD_NS_PER_S);
    take_a_batch(&r, 6 * PD_NS_PER_S, 3600 * PD_NS_PER_S); /* stopped within it */
    assert_in_range(r.call.longest_ns, 6 * PD_NS_PER_S, 8 * PD_NS_PER_S);
    pd_watchdog_age(&r.w, &r.call, r.now); /* one at the heels of the other */
    look_for(&r, 9 * PD_NS_PER_S, 5, 0, 0);
    pd_watchdog_age(&r.w, &r.call, r.now - 9 * PD_NS_PER_S);
    look_for(&r, PD_NS_PER_S, 5, 0, 0);
    pd_watchdog_age(&r.w, &r.call, r.now);
    assert_int_equal(r.call.longest_ns, 10 * PD_NS_PER_S);
}

static void each_engine_has_its_own_patience(void **state)
{
    struct rig r = started();
    assert_true(pd_watchdog_allows(&r.w, 0, BATCH));
    assert_true(pd_watchdog_allows(&r.w, LIMIT - 1, BATCH));
    assert_false(pd_watchdog_allows(&r.w, LIMIT, BATCH)); /* though the others' frames come out */
    assert_true(pd_watchdog_allows(&r.w, LIMIT, LIMIT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_look_is_healthy_whatever_waits),
        cmocka_unit_test(frames_that_wait_and_do_not_come_out_are_a_fault),
        cmocka_unit_test(nothing_waiting_is_healthy_for_ever),
        cmocka_unit_test(a_slow_engine_has_ten_times_its_longest_batch),
        cmocka_unit_test(a_camera_that_goes_with_its_frames_is_no_fault),
        cmocka_unit_test(time_without_a_look_is_nobodys_fault),
        cmocka_unit_test(a_call_has_its_age_in_time_that_counts),
        cmocka_unit_test(the_longest_call_is_known_in_time_that_counts),
        cmocka_unit_test(each_engine_has_its_own_patience),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
