/* SPDX-License-Identifier: Apache-2.0
 *
 * Against a real RTSP server (rtsp_server.py, gst-rtsp-server): it plays, freezes, dies, comes back, asks for a
 * password. Skipped where the server is not installed.
 */
#include "tests/core/test.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "tests/decode/camera.h"
#include "tests/decode/record.h"

/* @...: what rtsp_server.py is told, port first. */
#define NEED_SERVER(s, ...)                                                                                            \
    do {                                                                                                               \
        if (!camera_start(s, "rtsp_server.py", (const char *const[]){__VA_ARGS__, NULL}))                              \
            SKIP("gst-rtsp-server is not installed (see scripts/packages)");                                           \
    } while (0)

static double seconds(int64_t from, int64_t to)
{
    return (double)(to - from) / (double)PD_NS_PER_S;
}

static void cameras_play_over_tcp_and_udp(void **state)
{
    static const char *const paths[] = {"cam", "jpeg"};
    struct camera s;
    NEED_SERVER(&s, "0");
    for (int i = 0; i < 4; i++) {
        struct record r;
        const struct pd_source_config config = {.name = "till", .url = camera_url(&s, paths[i & 1]),
                                                .transport = i & 2 ? PD_TRANSPORT_UDP : PD_TRANSPORT_TCP};
        int64_t from = pd_now_ns();
        struct pd_source *source = record_start(&r, &config);
        record_wait_frames(&r, 1);
        double first = seconds(from, r.first_ns);
        record_wait_frames(&r, 30);
        struct pd_source_stats stats;
        pd_source_get_stats(source, &stats);
        print_message("# %s over %s: first frame after %.2f s, %s, %.1f fps, stopped in", paths[i & 1],
                      i & 2 ? "UDP" : "TCP", first, stats.codec, stats.fps);
        double took = record_destroy(source);
        print_message(" %.0f ms\n", took * 1000);
        assert_int_equal(r.width, 320);
        assert_true(r.in_order);
        assert_true(r.time_source != PD_TIME_FILE);
        assert_true(llabs(r.captured_us - pd_wall_us()) < 5000000);
        assert_true(took < record_bound(1));
        assert_true(stats.fps > 15);
    }
    camera_kill(&s);
}

static void a_frozen_camera_is_noticed_in_its_read_timeout(void **state)
{
    struct camera s;
    NEED_SERVER(&s, "0");
    for (int udp = 0; udp < 2; udp++) {
        struct record r;
        /* Of JPEG every picture is a keyframe: the wait for a whole picture is as short as the one for a packet. */
        const struct pd_source_config config = {.name = "till", .url = camera_url(&s, udp ? "jpeg" : "cam"),
                                                .read_timeout_s = 1,
                                                .transport = udp ? PD_TRANSPORT_UDP : PD_TRANSPORT_TCP};
        struct pd_source *source = record_start(&r, &config);
        record_wait_frames(&r, 10);
        kill(s.pid, SIGSTOP);
        int64_t from = pd_now_ns();
        int down = record_wait_state(&r, PD_SOURCE_DOWN, 1);
        /* The second begins with the last frame, which a busy machine may have sent long before it was stopped. */
        double noticed = seconds(from, r.state_ns[down]), silent = seconds(r.last_ns, r.state_ns[down]);
        kill(s.pid, SIGCONT);
        from = pd_now_ns();
        int up = record_wait_state(&r, PD_SOURCE_UP, 2);
        print_message("# %s: frozen noticed after %.2f s of 1 s (\"%s\"), back %.2f s after it returned\n",
                      udp ? "UDP" : "TCP", noticed, r.reasons[down], seconds(from, r.state_ns[up]));
        assert_true(silent >= 1 && noticed < record_bound(1.5));
        const char *told = strstr(r.reasons[down], "timed out after ");
        double after = 0;
        assert_true(told && sscanf(told, "timed out after %lf s in read", &after) == 1);
        assert_true(after > 0.5 && after < silent + 0.1);
        assert_true(record_destroy(source) < record_bound(2));
        assert_true(r.in_order);
        assert_true(r.last_generation >= 2);
    }
    camera_kill(&s);
}

static void a_camera_that_dies_is_down_and_up_again_when_it_is_back(void **state)
{
    struct camera s;
    NEED_SERVER(&s, "0");
    struct record r;
    struct pd_source *source =
        record_start(&r, &(struct pd_source_config){.name = "till", .url = camera_url(&s, "cam")});
    record_wait_frames(&r, 10);
    int64_t from = pd_now_ns();
    camera_kill(&s);
    int down = record_wait_state(&r, PD_SOURCE_DOWN, 1);
    double noticed = seconds(from, r.state_ns[down]);
    char port[16];
    snprintf(port, sizeof(port), "%d", s.port);
    NEED_SERVER(&s, port);
    from = pd_now_ns();
    int up = record_wait_state(&r, PD_SOURCE_UP, 2);
    print_message("# death noticed after %.2f s (\"%s\"), back %.2f s after the server\n", noticed, r.reasons[down],
                  seconds(from, r.state_ns[up]));
    assert_true(noticed < record_bound(1));
    record_wait_more(&r, 10);
    record_destroy(source);
    assert_true(r.in_order);
    camera_kill(&s);
}

static void a_long_wait_for_the_first_keyframe_is_no_failure(void **state)
{
    struct camera s;
    NEED_SERVER(&s, "0");
    struct record first, r;
    /* The second viewer joins in the middle of a group of pictures that lasts 5 s. */
    struct pd_source *one = record_start(&first, &(struct pd_source_config){.name = "a", .url = camera_url(&s, "gop")});
    record_wait_frames(&first, 30);
    struct pd_source *two = record_start(&r, &(struct pd_source_config){.name = "b", .url = camera_url(&s, "gop"),
                                                                        .read_timeout_s = 1});
    record_wait_frames(&r, 5);
    struct pd_source_stats stats;
    pd_source_get_stats(two, &stats);
    assert_int_equal(stats.connects, 1);
    assert_int_equal(stats.corrupt, 0);
    record_destroy(two);
    record_destroy(one);
    camera_kill(&s);
}

static void basic_and_digest_passwords_with_odd_characters_open_the_camera(void **state)
{
    static const char *const ways[] = {"basic", "digest"};
    for (int i = 0; i < 4; i++) {
        struct camera s;
        NEED_SERVER(&s, "0", ways[i & 1], "ad min", "p@ss:w/rd%41?");
        struct record r;
        struct pd_source_config config = {
            .name = "till", .url = camera_url(&s, "cam"), .username = "ad min", .password = "p@ss:w/rd%41?",
            .transport = i & 2 ? PD_TRANSPORT_UDP : PD_TRANSPORT_TCP,
        };
        struct pd_source *source = record_start(&r, &config);
        record_wait_frames(&r, 3);
        record_destroy(source);
        config.password = "wrong";
        source = record_start(&r, &config);
        int down = record_wait_state(&r, PD_SOURCE_DOWN, 1);
        assert_non_null(strstr(r.reasons[down], "user name or password refused"));
        record_destroy(source);
        camera_kill(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cameras_play_over_tcp_and_udp),
        cmocka_unit_test(a_frozen_camera_is_noticed_in_its_read_timeout),
        cmocka_unit_test(a_camera_that_dies_is_down_and_up_again_when_it_is_back),
        cmocka_unit_test(a_long_wait_for_the_first_keyframe_is_no_failure),
        cmocka_unit_test(basic_and_digest_passwords_with_odd_characters_open_the_camera),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
