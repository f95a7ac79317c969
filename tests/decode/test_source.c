/* SPDX-License-Identifier: Apache-2.0
 *
 * The camera thread: its states in order, its deadlines, its loops, its end. Servers are sockets of this process.
 */
#include "tests/core/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "decode/source.h"
#include "tests/decode/clip.h"
#include "tests/decode/record.h"

static const char *clip(void)
{
    static char path[256];
    if (!path[0]) {
        snprintf(path, sizeof(path), "%s", clip_path("source.avi"));
        struct clip c = {.path = path, .codec = "mpeg4", .pix_fmt = "yuv420p", .width = 96, .height = 64, .fps = 25,
                         .frames = 50};
        assert_int_equal(clip_write(&c), 0);
    }
    return path;
}

static void a_file_connects_comes_up_and_ends(void **state)
{
    struct record r;
    struct pd_source *source =
        record_start(&r, &(struct pd_source_config){.name = "door", .url = clip()});
    assert_int_equal(record_wait_state(&r, PD_SOURCE_ENDED, 1), 2);
    assert_int_equal(r.states[0], PD_SOURCE_CONNECTING);
    assert_int_equal(r.states[1], PD_SOURCE_UP);
    assert_int_equal(r.frames, 50);
    assert_true(r.in_order);
    struct pd_source_stats stats;
    pd_source_get_stats(source, &stats);
    assert_int_equal(stats.decoded, 50);
    assert_int_equal(stats.connects, 1);
    assert_int_equal(stats.width, 96);
    assert_string_equal(stats.codec, "mpeg4");
    assert_int_equal(stats.state, PD_SOURCE_ENDED);
    assert_int_equal(stats.deadline_ns, 0);
    assert_true(record_destroy(source) < record_bound(0.5));
}

static void a_loop_goes_on_with_new_generations(void **state)
{
    struct record r;
    struct pd_source *source =
        record_start(&r, &(struct pd_source_config){.name = "door", .url = clip(), .loop = true});
    record_wait_frames(&r, 230);
    assert_true(record_destroy(source) < record_bound(0.5));
    assert_true(r.in_order);
    assert_true(r.last_generation >= 5);
    assert_int_equal(r.states[r.n_states - 1], PD_SOURCE_STOPPED);
    assert_int_equal(r.n_states, 3); /* connecting, up, stopped: a loop is no new connection */
}

static void a_missing_file_is_down_and_tried_again(void **state)
{
    struct record r;
    struct pd_source *source =
        record_start(&r, &(struct pd_source_config){.name = "door", .url = "/nonexistent/x.mp4"});
    int down = record_wait_state(&r, PD_SOURCE_DOWN, 1);
    assert_int_equal(down, 1);
    assert_string_equal(r.reasons[down], "/nonexistent/x.mp4: no such file or folder");
    assert_true(r.retry_s[down] >= 0.8 && r.retry_s[down] <= 1.2);
    assert_int_equal(record_wait_state(&r, PD_SOURCE_CONNECTING, 2), 2);
    int second = record_wait_state(&r, PD_SOURCE_DOWN, 2);
    assert_true(r.retry_s[second] >= 1.6 && r.retry_s[second] <= 2.4);
    double waited = (double)(r.state_ns[2] - r.state_ns[1]) / (double)PD_NS_PER_S;
    assert_true(waited > 0.75 && waited < record_bound(2));
    assert_true(record_destroy(source) < record_bound(0.5)); /* in the middle of its wait */
}

static void a_looped_folder_without_a_good_picture_is_down_not_busy(void **state)
{
    static const char text[] = "this is no picture";
    char folder[256], path[300];
    snprintf(folder, sizeof(folder), "%s", clip_path("bad-pictures"));
    assert_int_equal(mkdir(folder, 0700), 0);
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%s/%d.png", folder, i);
        clip_save(path, text, sizeof(text) - 1);
    }
    struct record r;
    struct pd_source *source =
        record_start(&r, &(struct pd_source_config){.name = "door", .url = folder, .loop = true});
    int down = record_wait_state(&r, PD_SOURCE_DOWN, 1);
    if (!strstr(r.reasons[down], "no picture of the folder can be read"))
        fail_msg("%s", r.reasons[down]);
    assert_non_null(strstr(r.reasons[down], "2.png"));
    assert_true(r.retry_s[down] > 0.5);
    assert_int_equal(r.frames, 0);
    assert_true(record_destroy(source) < record_bound(0.5));
}

static void a_file_played_as_a_camera_keeps_its_rate(void **state)
{
    struct record r;
    clip();
    int64_t from = pd_now_ns();
    struct pd_source *source =
        record_start(&r, &(struct pd_source_config){.name = "door", .url = clip(), .realtime = true});
    record_wait_state(&r, PD_SOURCE_ENDED, 1);
    /* Not from the first frame on: had that come late and the last one in time, it would seem too short. */
    double took = (double)(r.last_ns - from) / (double)PD_NS_PER_S;
    assert_true(took >= 1.96 && took < record_bound(3)); /* 49 intervals of 40 ms; a busy machine may be late */
    assert_int_equal(r.frames, 50);
    record_destroy(source);
}

static void max_fps_skips_and_counts(void **state)
{
    struct record r;
    struct pd_source *source =
        record_start(&r, &(struct pd_source_config){.name = "door", .url = clip(), .max_fps = 5});
    record_wait_state(&r, PD_SOURCE_ENDED, 1);
    struct pd_source_stats stats;
    pd_source_get_stats(source, &stats);
    assert_int_equal(r.frames, 10);
    assert_int_equal(stats.decoded, 10);
    assert_true(r.in_order);
    record_destroy(source);
}

/* ---- servers ------------------------------------------------------------------------------------------------ */

struct server {
    int fd, port;
    const char *answer; /* to each connection, then silence; NULL: silence at once */
    pthread_t thread;
    _Atomic bool stop;
    _Atomic int connections;
    char seen[4096]; /* what the last one asked */
};

static void *serve(void *arg)
{
    struct server *s = arg;
    int open[16], n = 0;
    while (!atomic_load(&s->stop)) {
        int fd = accept(s->fd, NULL, NULL);
        if (fd < 0)
            break;
        atomic_fetch_add(&s->connections, 1);
        if (s->answer) {
            /* answers every request of the connection alike, until the other side goes */
            ssize_t got;
            while ((got = recv(fd, s->seen, sizeof(s->seen) - 1, 0)) > 0) {
                s->seen[got] = 0;
                if (send(fd, s->answer, strlen(s->answer), MSG_NOSIGNAL) < 0)
                    break;
            }
            close(fd);
        } else if (n < 16) {
            open[n++] = fd;
        }
    }
    while (n > 0)
        close(open[--n]);
    return NULL;
}

/* A socket with a port of its own, *@ret_port. */
static int bound_socket(int *ret_port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static void server_start(struct server *s, const char *answer)
{
    memset(s, 0, sizeof(*s));
    s->answer = answer;
    s->fd = bound_socket(&s->port);
    assert_int_equal(listen(s->fd, 8), 0);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_stop(struct server *s)
{
    atomic_store(&s->stop, true);
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
}

static void a_refused_connection_is_down_at_once(void **state)
{
    int port, fd = bound_socket(&port); /* nobody listens there, and nobody else can */
    char url[64];
    snprintf(url, sizeof(url), "rtsp://127.0.0.1:%d/x", port);
    struct record r;
    struct pd_source *source =
        record_start(&r, &(struct pd_source_config){.name = "door", .url = url});
    int down = record_wait_state(&r, PD_SOURCE_DOWN, 1);
    assert_non_null(strstr(r.reasons[down], "Connection refused"));
    assert_true((double)(r.state_ns[down] - r.state_ns[0]) / (double)PD_NS_PER_S < record_bound(1));
    assert_true(record_destroy(source) < record_bound(0.5));
    close(fd);
}

static void a_mute_server_is_given_up_at_the_deadline(void **state)
{
    static const char *const forms[] = {"rtsp://127.0.0.1:%d/x", "http://127.0.0.1:%d/x.m3u8"};
    for (size_t i = 0; i < PD_ARRAY_SIZE(forms); i++) {
        struct server s;
        server_start(&s, NULL);
        char url[64];
        snprintf(url, sizeof(url), i == 0 ? "rtsp://127.0.0.1:%d/x" : "http://127.0.0.1:%d/x.m3u8", s.port);
        struct record r;
        struct pd_source *source =
            record_start(&r, &(struct pd_source_config){.name = "door", .url = url, .open_timeout_s = 0.5});
        int down = record_wait_state(&r, PD_SOURCE_DOWN, 1);
        double took = (double)(r.state_ns[down] - r.state_ns[0]) / (double)PD_NS_PER_S, told = 0;
        const char *after = strstr(r.reasons[down], "timed out after ");
        if (!after || sscanf(after, "timed out after %lf", &told) != 1 || !strstr(after, " s in connecting") ||
            told <= 0 || told > took + 0.1 || took < 0.45 || took > record_bound(2))
            fail_msg("%s: %.2f s, '%s'", forms[i], took, r.reasons[down]);
        assert_true(record_destroy(source) < record_bound(0.5));
        server_stop(&s);
    }
}

static void a_pipe_that_gives_nothing_is_given_up_at_the_deadline(void **state)
{
    struct clip c = {.path = clip_path("piped.ts"), .codec = "mpeg4", .pix_fmt = "yuv420p", .width = 96, .height = 64,
                     .fps = 25, .frames = 50};
    assert_int_equal(clip_write(&c), 0);
    long size;
    uint8_t *bytes = clip_load(c.path, &size);
    const char *path = clip_path("camera.pipe");
    assert_int_equal(mkfifo(path, 0600), 0);
    struct record r;
    struct pd_source *source =
        record_start(&r, &(struct pd_source_config){.name = "door", .url = path, .open_timeout_s = 2,
                                                    .retry_scale = 0.01});
    int down = record_wait_state(&r, PD_SOURCE_DOWN, 1);
    assert_non_null(strstr(r.reasons[down], "camera.pipe: timed out after "));
    int fd = open(path, O_RDWR | O_CLOEXEC); /* waits for nobody, and is there before the source looks again */
    assert_true(fd >= 0 && size < 65536 && write(fd, bytes, (size_t)size) == size);
    record_wait_frames(&r, 20);
    int up = record_wait_state(&r, PD_SOURCE_UP, 1);
    assert_true(record_destroy(source) < record_bound(0.5)); /* while it waits for more */
    assert_true(r.in_order && r.states[up - 1] == PD_SOURCE_CONNECTING);
    free(bytes);
    close(fd);
}

static void stopping_interrupts_a_connection_under_way(void **state)
{
    struct server s;
    server_start(&s, NULL);
    char url[64];
    snprintf(url, sizeof(url), "rtsp://127.0.0.1:%d/x", s.port);
    struct record r;
    struct pd_source *source =
        record_start(&r, &(struct pd_source_config){.name = "door", .url = url});
    while (!atomic_load(&s.connections))
        usleep(1000);
    struct pd_source_stats stats;
    pd_source_get_stats(source, &stats);
    assert_true(stats.deadline_ns > pd_now_ns());
    double took = record_destroy(source);
    print_message("# stopped in %.0f ms\n", took * 1000);
    assert_true(took < record_bound(0.5));
    assert_int_equal(r.states[r.n_states - 1], PD_SOURCE_STOPPED);
    server_stop(&s);
}

static void a_wrong_password_waits_long_and_is_never_told(void **state)
{
    static const char *const answers[] = {
        "RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\nWWW-Authenticate: Basic realm=\"cam\"\r\n\r\n",
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"cam\"\r\nContent-Length: 0\r\n"
        "Connection: close\r\n\r\n",
    };
    /* Everything written to stderr at the most talkative level, too. */
    const char *log = clip_path("stderr");
    fflush(stderr);
    int saved = dup(STDERR_FILENO);
    assert_non_null(freopen(log, "w", stderr));
    pd_log_set_level(PD_LOG_DEBUG);
    struct record r;
    char reasons[2][512];
    double retry[2];
    for (int i = 0; i < 2; i++) {
        struct server s;
        server_start(&s, answers[i]);
        char url[96];
        snprintf(url, sizeof(url), "%s://inurl:hidden%%40pw@127.0.0.1:%d/x", i ? "http" : "rtsp", s.port);
        struct pd_source_config config = {.name = "door", .url = url};
        if (i == 0) {
            config.username = "admin";
            config.password = "s3cr3t/pw";
        }
        struct pd_source *source = record_start(&r, &config);
        int down = record_wait_state(&r, PD_SOURCE_DOWN, 1);
        snprintf(reasons[i], sizeof(reasons[i]), "%s", r.reasons[down]);
        retry[i] = r.retry_s[down];
        record_destroy(source);
        server_stop(&s);
    }
    pd_log_set_level(PD_LOG_INFO);
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    long size;
    char *text = (char *)clip_load(log, &size);
    text[size] = 0;
    static const char *const secrets[] = {"s3cr3t", "hidden", "czNjcjN0", "YWRtaW46", "aW51cmw6"};
    for (size_t k = 0; k < PD_ARRAY_SIZE(secrets); k++)
        if (strstr(reasons[0], secrets[k]) || strstr(reasons[1], secrets[k]) || strstr(text, secrets[k]))
            fail_msg("%s was told: %s | %s | %s", secrets[k], reasons[0], reasons[1], text);
    free(text);
    for (int i = 0; i < 2; i++) {
        if (!strstr(reasons[i], "user name or password refused"))
            fail_msg("%s", reasons[i]);
        assert_true(retry[i] >= 24 && retry[i] <= 36);
    }
}

static void a_full_queue_does_not_keep_a_source_from_stopping(void **state)
{
    struct record r;
    struct pd_source *source =
        record_start(&r, &(struct pd_source_config){.name = "door", .url = clip(), .loop = true});
    record_wait_frames(&r, 3);
    atomic_store(&r.block, true);
    usleep(20000);
    pd_source_stop(source);
    atomic_store(&r.block, false); /* the manager lets go of the queue first */
    assert_true(record_destroy(source) < record_bound(0.5));
}

#define SURFACES 8 /* that source.h promises to be enough */

struct hoard {
    struct pd_frame *frame[64];
    _Atomic int n;
};

static void keep(struct record *r, const struct pd_frame *frame)
{
    struct hoard *hoard = r->look_user;
    hoard->frame[hoard->n++] = pd_frame_ref((struct pd_frame *)frame);
}

/* Without a device software decodes; the bound is the same. */
static void a_source_on_the_gpu_waits_for_its_frames_and_loses_none(void **state)
{
    struct record r;
    struct hoard hoard = {.n = 0};
    struct pd_source *source = record_start_looking(
        &r, &(struct pd_source_config){.name = "door", .url = clip(), .hwaccel = "cuda"}, keep, &hoard);
    record_wait_frames(&r, SURFACES);
    for (int released = 0; released < 50 - SURFACES; released++) {
        usleep(released < 3 ? 50000 : 0);
        assert_int_equal(hoard.n, SURFACES + released);
        pd_frame_unref(&hoard.frame[released]);
        record_wait_frames(&r, SURFACES + released + 1);
    }
    pd_frame_unref(&hoard.frame[50 - SURFACES]); /* the end is looked for like another frame */
    record_wait_state(&r, PD_SOURCE_ENDED, 1);
    assert_int_equal(r.frames, 50);
    assert_true(r.in_order);
    assert_true(record_destroy(source) < record_bound(0.5));
    for (int i = 0; i < hoard.n; i++)
        pd_frame_unref(&hoard.frame[i]); /* they may outlive it */
}

static void a_source_that_waits_for_its_frames_stops_at_once(void **state)
{
    struct record r;
    struct hoard hoard = {.n = 0};
    struct pd_source *source = record_start_looking(
        &r, &(struct pd_source_config){.name = "door", .url = clip(), .hwaccel = "cuda", .loop = true}, keep, &hoard);
    record_wait_frames(&r, SURFACES);
    usleep(20000);
    assert_true(record_destroy(source) < record_bound(0.5));
    assert_int_equal(hoard.n, SURFACES);
    for (int i = 0; i < hoard.n; i++)
        pd_frame_unref(&hoard.frame[i]);
}

static void kinds_of_input_differ_in_what_may_be_dropped(void **state)
{
    static const struct {
        const char *url;
        bool realtime, live;
    } cases[] = {{"rtsp://h/x", false, true}, {"v4l2:/dev/video0", false, true}, {"http://h/x", false, true},
                 {"/x.mp4", false, false},    {"/x.mp4", true, true},            {"test:people", false, false}};
    for (size_t i = 0; i < PD_ARRAY_SIZE(cases); i++)
        assert_int_equal(pd_source_is_live(&(struct pd_source_config){.url = cases[i].url,
                                                                      .realtime = cases[i].realtime}),
                         cases[i].live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_connects_comes_up_and_ends),
        cmocka_unit_test(a_loop_goes_on_with_new_generations),
        cmocka_unit_test(a_missing_file_is_down_and_tried_again),
        cmocka_unit_test(a_looped_folder_without_a_good_picture_is_down_not_busy),
        cmocka_unit_test(a_file_played_as_a_camera_keeps_its_rate),
        cmocka_unit_test(max_fps_skips_and_counts),
        cmocka_unit_test(a_refused_connection_is_down_at_once),
        cmocka_unit_test(a_mute_server_is_given_up_at_the_deadline),
        cmocka_unit_test(a_pipe_that_gives_nothing_is_given_up_at_the_deadline),
        cmocka_unit_test(stopping_interrupts_a_connection_under_way),
        cmocka_unit_test(a_wrong_password_waits_long_and_is_never_told),
        cmocka_unit_test(a_full_queue_does_not_keep_a_source_from_stopping),
        cmocka_unit_test(a_source_on_the_gpu_waits_for_its_frames_and_loses_none),
        cmocka_unit_test(a_source_that_waits_for_its_frames_stops_at_once),
        cmocka_unit_test(kinds_of_input_differ_in_what_may_be_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
