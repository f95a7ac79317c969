/* SPDX-License-Identifier: Apache-2.0
 *
 * The wall clock is set forward and back by years while cameras play, fail and wait: nothing but the published times
 * may follow it. The test puts itself between the program, libav included, and the clock.
 */
#include "tests/core/test.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "tests/decode/camera.h"
#include "tests/decode/clip.h"
#include "tests/decode/record.h"

#define YEAR_S (INT64_C(31557600))

static _Atomic int64_t step_s;

int clock_gettime(clockid_t id, struct timespec *ts)
{
    long r = syscall(SYS_clock_gettime, id, ts);
    if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)
        ts->tv_sec += atomic_load(&step_s);
    return (int)r;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    (void)zone;
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    tv->tv_sec = ts.tv_sec;
    tv->tv_usec = ts.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *ret)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    if (ret)
        *ret = ts.tv_sec;
    return ts.tv_sec;
}

static const int64_t steps_s[] = {10 * YEAR_S, -20 * YEAR_S, 0};

static struct camera camera;

static int start_camera(void **state)
{
    const char *args[] = {clip_path("a.h264"), NULL};
    const struct clip c = {.path = args[0], .codec = "libx264", .pix_fmt = "yuv420p", .width = 320, .height = 240,
                           .fps = 25, .frames = 48, .gop = 24, .options = "preset=ultrafast:tune=zerolatency"};
    return clip_write(&c) == 0 && camera_start(&camera, "bad_camera.py", args) ? 0 : -1;
}

static int stop_camera(void **state)
{
    camera_kill(&camera);
    return 0;
}

static double patience(void)
{
    return getenv("POSED_SANITIZED") ? 6 : 1.5;
}

static struct pd_source *play(struct record *r, const char *path)
{
    return record_start(r, &(struct pd_source_config){.name = "door", .url = camera_url(&camera, path)});
}

static void playing_goes_on_and_times_are_those_of_arrival(void **state)
{
    struct record r;
    struct pd_source *source = play(&r, "good");
    record_wait_frames(&r, 30);
    for (size_t i = 0; i < PD_ARRAY_SIZE(steps_s); i++) {
        int64_t from = pd_now_ns();
        atomic_store(&step_s, steps_s[i]);
        record_wait_more(&r, 20);
        double took = (double)(pd_now_ns() - from) / (double)PD_NS_PER_S;
        pthread_mutex_lock(&r.lock);
        int64_t off_us = pd_wall_us() - r.captured_us;
        enum pd_time_source time_source = r.time_source;
        pthread_mutex_unlock(&r.lock);
        print_message("# %+lld s: 20 frames in %.2f s, the last one is of %.1f s ago\n", (long long)steps_s[i], took,
                      (double)off_us * 1e-6);
        assert_true(took < 0.8 + patience());
        assert_true(llabs(off_us) < 5000000);
        assert_int_equal(time_source, steps_s[i] ? PD_TIME_ARRIVAL : PD_TIME_NTP);
    }
    struct pd_source_stats stats;
    pd_source_get_stats(source, &stats);
    assert_int_equal(stats.connects, 1);
    assert_true(stats.fps > 10 && stats.fps < 40);
    assert_true(r.in_order);
    record_destroy(source);
}

/* When the last frame of the first connection came: its deadline is not under way before. */
static void note(struct record *r, const struct pd_frame *frame)
{
    int64_t *last_ns = r->look_user;
    if (frame->generation == 1)
        *last_ns = pd_now_ns();
}

/* Each deadline is under way when the clock is set. */
static void deadlines_and_waits_pass_in_their_own_time(void **state)
{
    static const struct {
        const char *path;
        double open_s, read_s;
    } cases[] = {{"mute", 0.5, 0}, {"freeze:8", 0, 0.5}};
    for (size_t i = 0; i < PD_ARRAY_SIZE(cases); i++) {
        for (size_t k = 0; k < PD_ARRAY_SIZE(steps_s); k++) {
            struct record r;
            int64_t last_ns = 0;
            const struct pd_source_config config = {.name = "door", .url = camera_url(&camera, cases[i].path),
                                                    .open_timeout_s = cases[i].open_s,
                                                    .read_timeout_s = cases[i].read_s, .retry_scale = 0.3};
            struct pd_source *source = record_start_looking(&r, &config, note, &last_ns);
            if (cases[i].read_s)
                record_wait_frames(&r, 5);
            int64_t from = pd_now_ns();
            atomic_store(&step_s, steps_s[k]);
            int down = record_wait_state(&r, PD_SOURCE_DOWN, 1);
            double noticed = (double)(r.state_ns[down] - from) / (double)PD_NS_PER_S;
            int64_t since_ns = cases[i].read_s ? last_ns : r.state_ns[0];
            double silent = (double)(r.state_ns[down] - since_ns) / (double)PD_NS_PER_S;
            atomic_store(&step_s, steps_s[(k + 1) % PD_ARRAY_SIZE(steps_s)]);
            int again = record_wait_state(&r, PD_SOURCE_CONNECTING, 2);
            double waited = (double)(r.state_ns[again] - r.state_ns[down]) / (double)PD_NS_PER_S;
            print_message("# %s, %+lld s: noticed after %.2f s, tried again after %.2f s of %.2f s\n", cases[i].path,
                          (long long)steps_s[k], noticed, waited, r.retry_s[down]);
            assert_true(silent >= 0.5 && noticed < 0.5 + patience());
            assert_true(waited > r.retry_s[down] - 0.05 && waited < r.retry_s[down] + patience());
            assert_true(record_destroy(source) < patience());
        }
    }
}

static void a_file_played_as_a_camera_keeps_its_rate(void **state)
{
    struct record r;
    int64_t start = pd_now_ns();
    struct pd_source *source = record_start(
        &r, &(struct pd_source_config){.name = "door", .url = "test:people?size=64x64&rate=50", .realtime = true});
    int frames = 5; /* at least */
    record_wait_frames(&r, frames);
    for (size_t i = 0; i < PD_ARRAY_SIZE(steps_s); i++) {
        int64_t from = pd_now_ns();
        atomic_store(&step_s, steps_s[i]);
        record_wait_more(&r, 20);
        int64_t now = pd_now_ns();
        assert_true((double)(now - from) / (double)PD_NS_PER_S < 0.4 + patience());
        frames += 20;
        /* since the start, as a file that is late catches up: never too many */
        assert_true(now - start >= (frames - 1) * 20 * PD_NS_PER_MS);
    }
    record_destroy(source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(playing_goes_on_and_times_are_those_of_arrival),
        cmocka_unit_test(deadlines_and_waits_pass_in_their_own_time),
        cmocka_unit_test(a_file_played_as_a_camera_keeps_its_rate),
    };
    return cmocka_run_group_tests(tests, start_camera, stop_camera);
}
