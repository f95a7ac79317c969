/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/test.h"

#include "core/util.h"
#include "daemon/motion.h"

#define FRAME_US 40000
#define DAY_US (INT64_C(86400) * 1000000)

static struct pd_motion motion;

static void begin(void)
{
    motion = (struct pd_motion){0};
}

static int64_t at(enum pd_time_source source, int64_t captured_us, int64_t pts_us)
{
    struct pd_frame frame = {.time_source = source, .captured_us = captured_us, .pts_us = pts_us, .generation = 1};
    return pd_motion_time(&motion, &frame);
}

static void a_file_goes_by_its_own_time(void **state)
{
    begin();
    assert_int_equal(at(PD_TIME_FILE, DAY_US, 0), 0);
    assert_int_equal(at(PD_TIME_FILE, DAY_US + 5, FRAME_US), FRAME_US);
    assert_int_equal(at(PD_TIME_FILE, DAY_US + 6, 0), 0); /* it begins again */
    assert_int_equal(at(PD_TIME_FILE, DAY_US + 7, PD_PTS_NONE), DAY_US + 7);
}

static void a_camera_goes_by_the_time_of_capture(void **state)
{
    const int64_t times[] = {DAY_US, DAY_US + 41000, DAY_US + 79000, DAY_US + 5000000};
    begin();
    for (size_t i = 0; i < PD_ARRAY_SIZE(times); i++) /* the stream's clock may run as it likes */
        assert_int_equal(at(PD_TIME_NTP, times[i], (int64_t)i * 7), times[i]);
}

static void frames_sent_out_of_order_are_as_far_apart_as_they_are_shown(void **state)
{
    /* in the order of showing: when the packet came in, counted in frames */
    const int arrived[] = {0, 4, 5, 3, 7, 8, 6, 10, 11, 9};
    int64_t last = 0;
    begin();
    for (size_t i = 0; i < PD_ARRAY_SIZE(arrived); i++) {
        int64_t t = at(PD_TIME_ARRIVAL, DAY_US + arrived[i] * FRAME_US, (int64_t)i * FRAME_US);
        if (i > 1)
            assert_int_equal(t - last, FRAME_US);
        last = t;
    }
}

static void a_clock_put_back_changes_nothing_while_the_stream_goes_on(void **state)
{
    begin();
    assert_int_equal(at(PD_TIME_ARRIVAL, DAY_US, 0), DAY_US);
    for (int i = 1; i < 100; i++)
        assert_int_equal(at(PD_TIME_ARRIVAL, i * FRAME_US, i * FRAME_US), DAY_US + i * FRAME_US);
    assert_int_equal(at(PD_TIME_ARRIVAL, 2 * DAY_US, 100 * FRAME_US), 2 * DAY_US);
}

static void a_step_back_that_the_stream_does_not_explain_stays(void **state)
{
    struct pd_frame other = {.time_source = PD_TIME_ARRIVAL, .captured_us = 5, .pts_us = 2 * FRAME_US, .generation = 2};
    const int64_t none[] = {PD_PTS_NONE, 0, -FRAME_US, INT64_MAX, 3 * FRAME_US + 2000001};
    begin();
    assert_int_equal(at(PD_TIME_ARRIVAL, DAY_US, FRAME_US), DAY_US);
    assert_int_equal(pd_motion_time(&motion, &other), 5); /* connected anew */
    for (size_t i = 0; i < PD_ARRAY_SIZE(none); i++) {
        begin();
        assert_int_equal(at(PD_TIME_ARRIVAL, DAY_US, 3 * FRAME_US), DAY_US);
        assert_int_equal(at(PD_TIME_ARRIVAL, DAY_US - 1, none[i]), DAY_US - 1);
    }
    begin();
    assert_int_equal(at(PD_TIME_ARRIVAL, DAY_US, INT64_MIN + 1), DAY_US);
    assert_int_equal(at(PD_TIME_ARRIVAL, 1, INT64_MAX), 1);
    assert_int_equal(at(PD_TIME_ARRIVAL, 0, PD_PTS_NONE), 0);
    assert_int_equal(at(PD_TIME_ARRIVAL, -1, 0), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_goes_by_its_own_time),
        cmocka_unit_test(a_camera_goes_by_the_time_of_capture),
        cmocka_unit_test(frames_sent_out_of_order_are_as_far_apart_as_they_are_shown),
        cmocka_unit_test(a_clock_put_back_changes_nothing_while_the_stream_goes_on),
        cmocka_unit_test(a_step_back_that_the_stream_does_not_explain_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
