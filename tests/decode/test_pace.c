/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/test.h"

#include <errno.h>
#include <stdlib.h>

#include <libavformat/avformat.h>

#include "core/util.h"
#include "decode/backoff.h"
#include "decode/demux.h"
#include "decode/pace.h"

#define MS PD_NS_PER_MS

static void waits_double_from_one_second_to_eight(void **state)
{
    static const int seconds[] = {1, 2, 4, 8, 8, 8};
    for (unsigned i = 0; i < PD_ARRAY_SIZE(seconds); i++) {
        int64_t mid = pd_backoff_ns(i + 1, -ETIMEDOUT, 1, UINT32_MAX / 2);
        assert_true(llabs(mid - seconds[i] * PD_NS_PER_S) < MS);
        assert_true(llabs(pd_backoff_ns(i + 1, -EIO, 1, 0) - seconds[i] * 800 * MS) < MS);
        assert_true(llabs(pd_backoff_ns(i + 1, -EIO, 1, UINT32_MAX) - seconds[i] * 1200 * MS) < MS);
    }
    assert_true(pd_backoff_ns(4000000000u, -EIO, 1, UINT32_MAX) < 10 * PD_NS_PER_S);
}

static void a_refusal_waits_half_a_minute_at_once(void **state)
{
    assert_true(llabs(pd_backoff_ns(1, -EACCES, 1, UINT32_MAX / 2) - 30 * PD_NS_PER_S) < MS);
    assert_true(llabs(pd_backoff_ns(9, -EBUSY, 1, UINT32_MAX / 2) - 30 * PD_NS_PER_S) < MS);
}

static int kept(double fps, double max_fps, int frames, int64_t jitter_us)
{
    struct pd_pace pace = {0};
    pd_pace_init(&pace, false, max_fps, fps);
    int n = 0;
    uint32_t seed = 5;
    for (int i = 0; i < frames; i++) {
        seed = seed * 1664525u + 1013904223u;
        int64_t noise = jitter_us ? (int64_t)(seed >> 8) % (2 * jitter_us) - jitter_us : 0;
        struct pd_frame f = {.time_source = PD_TIME_FILE, .pts_us = (int64_t)(i * 1e6 / fps) + noise};
        n += pd_pace_keep(&pace, &f);
    }
    assert_int_equal(pace.skipped, frames - n);
    return n;
}

static void max_fps_keeps_the_rate_that_was_asked_for(void **state)
{
    assert_int_equal(kept(25, 0, 1000, 0), 1000);
    assert_int_equal(kept(25, 25, 1000, 0), 1000);
    assert_int_equal(kept(25, 25, 1000, 5000), 1000);
    assert_int_equal(kept(25, 100, 1000, 5000), 1000);
    assert_int_equal(kept(30, 15, 900, 3000), 450);
    static const double rates[] = {1, 3, 7, 10, 12.5, 24};
    for (size_t i = 0; i < PD_ARRAY_SIZE(rates); i++) {
        int n = kept(25, rates[i], 2500, 3000), want = (int)(rates[i] * 100);
        if (abs(n - want) > 1 + want / 50)
            fail_msg("25 fps at most %.1f: %d of 2500 frames, expected about %d", rates[i], n, want);
    }
}

static void a_jump_of_the_stream_clock_stops_nothing(void **state)
{
    struct pd_pace pace = {0};
    pd_pace_init(&pace, false, 10, 25);
    int n = 0;
    int64_t us = 0;
    for (int i = 0; i < 1000; i++) {
        us += 40000;
        if (i == 300)
            us = 5; /* back to the start */
        if (i == 600)
            us += INT64_C(3600000000);
        struct pd_frame f = {.time_source = PD_TIME_FILE, .pts_us = us};
        n += pd_pace_keep(&pace, &f);
    }
    assert_in_range(n, 395, 410);
}

static void only_what_max_fps_needs_is_decoded(void **state)
{
    struct pd_pace pace = {0};
    pd_pace_init(&pace, false, 0, 25);
    assert_int_equal(pd_pace_discard(&pace, 40000), PD_DISCARD_NONE);
    pd_pace_init(&pace, false, 1, 25);
    assert_int_equal(pd_pace_discard(&pace, 1000000), PD_DISCARD_NONKEY);
    assert_int_equal(pd_pace_discard(&pace, 2000000), PD_DISCARD_NONREF);
    assert_int_equal(pd_pace_discard(&pace, 0), PD_DISCARD_NONREF);
    pd_pace_init(&pace, false, 20, 25);
    assert_int_equal(pd_pace_discard(&pace, 1000000), PD_DISCARD_NONE);
    pd_pace_init(&pace, false, 5, 0);
    assert_int_equal(pd_pace_discard(&pace, 0), PD_DISCARD_NONE);
}

/* Plays @frames on a fake clock whose work takes @work_ns a frame; returns when the last is handed on. */
static int64_t play(struct pd_pace *pace, int frames, int64_t now, int64_t work_ns, int stall_at, int64_t stall_ns)
{
    for (int i = 0; i < frames; i++) {
        struct pd_frame f = {.time_source = PD_TIME_FILE, .pts_us = i * 40000};
        assert_true(pd_pace_keep(pace, &f));
        int64_t due = pd_pace_due_ns(pace, &f, now);
        now = due ? PD_MAX(due, now) : now;
        if (i == frames - 1)
            break;
        now += work_ns + (i == stall_at ? stall_ns : 0);
    }
    return now;
}

static void a_file_played_in_real_time_does_not_drift(void **state)
{
    struct pd_pace pace = {0};
    pd_pace_init(&pace, true, 0, 25);
    int64_t start = 1000 * PD_NS_PER_S;
    assert_int_equal(play(&pace, 2501, start, 7 * MS, -1, 0) - start, 100 * PD_NS_PER_S);
    /* a short stall is made up for */
    pd_pace_init(&pace, true, 0, 25);
    assert_int_equal(play(&pace, 2501, start, 7 * MS, 100, 900 * MS) - start, 100 * PD_NS_PER_S);
    /* a long one moves the rest */
    pd_pace_init(&pace, true, 0, 25);
    int64_t end = play(&pace, 2501, start, 7 * MS, 100, 10 * PD_NS_PER_S) - start;
    assert_in_range(end, 109900 * MS, 110100 * MS);
}

static void a_clock_that_jumps_ahead_does_not_put_a_played_file_to_sleep(void **state)
{
    static const int64_t times[] = {0, 40000, INT64_C(3000000000000000), INT64_C(-3000000000000000), 80000};
    struct pd_pace pace = {0};
    pd_pace_init(&pace, true, 0, 25);
    int64_t now = 1000 * PD_NS_PER_S;
    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < PD_ARRAY_SIZE(times); i++) {
            struct pd_frame f = {.time_source = PD_TIME_FILE, .pts_us = times[(i + (size_t)round) % 5]};
            assert_true(pd_pace_keep(&pace, &f));
            int64_t due = pd_pace_due_ns(&pace, &f, now);
            assert_true(due == 0 || due - now <= 11 * PD_NS_PER_S);
        }
        pd_pace_restart(&pace);
    }
}

/* A part of a playlist arrives as a whole. */
static void a_live_stream_in_parts_is_played_by_its_own_times(void **state)
{
    struct pd_pace pace = {0};
    pd_pace_init(&pace, true, 5, 0);
    int64_t now = 1000 * PD_NS_PER_S, last = 0;
    int kept = 0;
    for (int i = 0; i < 250; i++) {
        struct pd_frame f = {.time_source = PD_TIME_ARRIVAL, .arrived_ns = now, .pts_us = INT64_C(7000000) + i * 40000};
        if (!pd_pace_keep(&pace, &f))
            continue;
        last = pd_pace_due_ns(&pace, &f, now);
        kept++;
    }
    assert_int_equal(kept, 50);
    assert_int_equal(last - now, 9800 * MS);
    struct pd_frame untimed = {.time_source = PD_TIME_ARRIVAL, .arrived_ns = now, .pts_us = PD_PTS_NONE};
    assert_true(pd_pace_keep(&pace, &untimed));
    assert_int_equal(pd_pace_due_ns(&pace, &untimed, now), 0);
}

static void times_of_a_lying_stream_are_no_times(void **state)
{
    struct AVStream stream = {.time_base = {1, 90000}};
    const struct pd_demux d = {.stream = &stream};
    assert_int_equal(pd_demux_us(&d, 90000, 45000), 500000);
    assert_int_equal(pd_demux_us(&d, AV_NOPTS_VALUE, 0), PD_PTS_NONE);
    assert_int_equal(pd_demux_us(&d, INT64_MAX, -1), PD_PTS_NONE);
    assert_int_equal(pd_demux_us(&d, INT64_MAX, 0), PD_PTS_NONE);
    stream.time_base = (AVRational){INT32_MAX, 1};
    assert_int_equal(pd_demux_us(&d, INT64_MIN + 1, 0), PD_PTS_NONE);
    assert_int_equal(pd_demux_us(&d, 1, 0), INT64_C(2147483647000000));
}

static void loops_go_on_in_the_same_rhythm(void **state)
{
    struct pd_pace pace = {0};
    pd_pace_init(&pace, true, 0, 25);
    int64_t start = 1000 * PD_NS_PER_S, now = start;
    for (int round = 0; round < 10; round++) {
        now = play(&pace, 100, now, 5 * MS, -1, 0);
        assert_int_equal(now - start, (round * 100 + 99) * 40 * MS);
        pd_pace_restart(&pace);
    }
}

static void the_rate_is_that_of_the_last_seconds(void **state)
{
    struct pd_rate rate = {0};
    int64_t now = 5 * PD_NS_PER_S;
    assert_true(pd_rate_get(&rate, now) == 0);
    for (int i = 0; i < 500; i++)
        pd_rate_add(&rate, now += 40 * MS);
    assert_true(pd_rate_get(&rate, now) > 24.99 && pd_rate_get(&rate, now) < 25.01);
    for (int i = 0; i < 30; i++)
        pd_rate_add(&rate, now += 1000 * MS);
    assert_true(pd_rate_get(&rate, now) > 0.99 && pd_rate_get(&rate, now) < 1.01);
    assert_true(pd_rate_get(&rate, now + 20 * PD_NS_PER_S) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_double_from_one_second_to_eight),
        cmocka_unit_test(a_refusal_waits_half_a_minute_at_once),
        cmocka_unit_test(max_fps_keeps_the_rate_that_was_asked_for),
        cmocka_unit_test(only_what_max_fps_needs_is_decoded),
        cmocka_unit_test(a_jump_of_the_stream_clock_stops_nothing),
        cmocka_unit_test(a_file_played_in_real_time_does_not_drift),
        cmocka_unit_test(a_clock_that_jumps_ahead_does_not_put_a_played_file_to_sleep),
        cmocka_unit_test(a_live_stream_in_parts_is_played_by_its_own_times),
        cmocka_unit_test(times_of_a_lying_stream_are_no_times),
        cmocka_unit_test(loops_go_on_in_the_same_rhythm),
        cmocka_unit_test(the_rate_is_that_of_the_last_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
