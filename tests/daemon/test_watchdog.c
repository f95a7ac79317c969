/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/test.h"

#include "core/clock.h"
#include "daemon/watchdog.h"

#define LIMIT (30 * PD_NS_PER_S)
#define BATCH (100 * PD_NS_PER_MS)
#define BOOT (1000 * PD_NS_PER_S) /* the monotonic clock does not begin with the daemon */

static struct pd_watchdog started(void)
{
    struct pd_watchdog w;
    pd_watchdog_start(&w, LIMIT, BOOT);
    return w;
}

static void the_first_look_is_healthy_whatever_waits(void **state)
{
    struct pd_watchdog w = started();
    assert_true(pd_watchdog_look(&w, 0, 8, BATCH, BOOT));
}

static void frames_that_wait_and_do_not_come_out_are_a_fault(void **state)
{
    struct pd_watchdog w = started();
    assert_true(pd_watchdog_look(&w, 5, 1, BATCH, BOOT + PD_NS_PER_S));
    assert_true(pd_watchdog_look(&w, 5, 1, BATCH, BOOT + PD_NS_PER_S + LIMIT - 1));
    assert_false(pd_watchdog_look(&w, 5, 1, BATCH, BOOT + PD_NS_PER_S + LIMIT));
    assert_true(pd_watchdog_look(&w, 6, 1, BATCH, BOOT + 3 * LIMIT)); /* it moves again */
}

static void nothing_waiting_is_healthy_for_ever(void **state)
{
    struct pd_watchdog w = started();
    for (int hour = 0; hour < 48; hour++)
        assert_true(pd_watchdog_look(&w, 5, 0, BATCH, BOOT + hour * 3600 * PD_NS_PER_S));
    /* The first frame after that has its whole time. */
    int64_t now = BOOT + 47 * 3600 * PD_NS_PER_S;
    assert_true(pd_watchdog_look(&w, 5, 1, BATCH, now + LIMIT - 1));
    assert_false(pd_watchdog_look(&w, 5, 1, BATCH, now + LIMIT));
}

static void a_slow_engine_has_ten_times_its_longest_batch(void **state)
{
    struct pd_watchdog w = started();
    assert_true(pd_watchdog_look(&w, 0, 4, 20 * PD_NS_PER_S, BOOT + 200 * PD_NS_PER_S - 1));
    assert_false(pd_watchdog_look(&w, 0, 4, 20 * PD_NS_PER_S, BOOT + 200 * PD_NS_PER_S));
}

static void a_camera_that_goes_with_its_frames_is_no_fault(void **state)
{
    struct pd_watchdog w = started();
    assert_true(pd_watchdog_look(&w, 1000, 4, BATCH, BOOT + PD_NS_PER_S));
    assert_true(pd_watchdog_look(&w, 10, 4, BATCH, BOOT + 2 * LIMIT)); /* the total has shrunk: it changed */
}

static void each_engine_has_its_own_patience(void **state)
{
    struct pd_watchdog w = started();
    assert_true(pd_watchdog_allows(&w, 0, BATCH));
    assert_true(pd_watchdog_allows(&w, LIMIT - 1, BATCH));
    assert_false(pd_watchdog_allows(&w, LIMIT, BATCH)); /* though the others' frames come out */
    assert_true(pd_watchdog_allows(&w, LIMIT, LIMIT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_look_is_healthy_whatever_waits),
        cmocka_unit_test(frames_that_wait_and_do_not_come_out_are_a_fault),
        cmocka_unit_test(nothing_waiting_is_healthy_for_ever),
        cmocka_unit_test(a_slow_engine_has_ten_times_its_longest_batch),
        cmocka_unit_test(a_camera_that_goes_with_its_frames_is_no_fault),
        cmocka_unit_test(each_engine_has_its_own_patience),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
