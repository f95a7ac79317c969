/* SPDX-License-Identifier: Apache-2.0
 *
 * Clips over HTTP, and servers that mean harm: they may cost their own camera its deadline and nobody any memory.
 */
#include "tests/core/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"
#include "decode/reader.h"
#include "tests/decode/clip.h"
#include "tests/decode/record.h"

enum behaviour {
    FILE_SERVER, STREAM, STREAM_IN_PART, STALL, DRIP, ENDLESS_HEADERS, ENDLESS_LINE, HUGE_LENGTH, REDIRECT_TO_FILE
};

#define URL_MAX 96

struct server {
    int fd, port;
    enum behaviour behaviour;
    const uint8_t *body;
    long size;
    pthread_t thread;
    _Atomic bool stop;
};

static bool put(int fd, const void *bytes, size_t n)
{
    const char *at = bytes;
    while (n > 0) {
        ssize_t sent = send(fd, at, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        at += sent;
        n -= (size_t)sent;
    }
    return true;
}

static void answer(struct server *s, int fd)
{
    char request[2048], head[256];
    ssize_t got = recv(fd, request, sizeof(request) - 1, 0);
    request[got > 0 ? got : 0] = 0;
    static char zeros[1 << 16];
    switch (s->behaviour) {
    case FILE_SERVER:
        if (!strstr(request, "clip"))
            snprintf(head, sizeof(head), "HTTP/1.0 404 Not Found\r\n\r\n");
        else
            snprintf(head, sizeof(head), "HTTP/1.0 200 OK\r\nContent-Length: %ld\r\n\r\n", s->size);
        if (put(fd, head, strlen(head)) && strstr(request, "clip"))
            put(fd, s->body, (size_t)s->size);
        break;
    case STREAM:
    case STREAM_IN_PART:
        if (put(fd, "HTTP/1.0 200 OK\r\n\r\n", 19))
            put(fd, s->body, (size_t)(s->behaviour == STREAM ? s->size : s->size * 2 / 3));
        break;
    case STALL:
        if (put(fd, "HTTP/1.0 200 OK\r\n\r\n", 19) && put(fd, s->body, (size_t)s->size))
            while (!atomic_load(&s->stop))
                usleep(10000);
        break;
    case DRIP:
        while (!atomic_load(&s->stop) && put(fd, "R", 1))
            usleep(50000);
        break;
    case ENDLESS_HEADERS:
        put(fd, "RTSP/1.0 200 OK\r\n", 17);
        while (!atomic_load(&s->stop) && put(fd, "X-More: of this\r\n", 17))
            ;
        break;
    case ENDLESS_LINE:
        while (!atomic_load(&s->stop) && put(fd, "AAAAAAAAAAAAAAAA", 16))
            ;
        break;
    case HUGE_LENGTH:
        put(fd, "RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 2000000000\r\n\r\n", 57);
        while (!atomic_load(&s->stop) && put(fd, zeros, sizeof(zeros)))
            ;
        break;
    case REDIRECT_TO_FILE:
        put(fd, "HTTP/1.1 302 Found\r\nLocation: file:///etc/hostname\r\nContent-Length: 0\r\n\r\n", 73);
        break;
    }
    close(fd);
}

static void *serve(void *arg)
{
    struct server *s = arg;
    int fd;
    while (!atomic_load(&s->stop) && (fd = accept(s->fd, NULL, NULL)) >= 0)
        answer(s, fd);
    return NULL;
}

static void server_start(struct server *s, enum behaviour behaviour)
{
    atomic_store(&s->stop, false);
    s->behaviour = behaviour;
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(s->fd, 8), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&address, &len), 0);
    s->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_stop(struct server *s)
{
    atomic_store(&s->stop, true);
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
}

static int past_deadline(void *user)
{
    return pd_now_ns() > *(int64_t *)user ? -ETIMEDOUT : 0;
}

/* Serve @c at "/NAME?token=secret"; @ret_url has room for URL_MAX. */
static void serve_clip(struct server *s, enum behaviour behaviour, const struct clip *c, char *ret_url)
{
    *s = (struct server){0};
    assert_int_equal(clip_write(c), 0);
    s->body = clip_load(c->path, &s->size);
    server_start(s, behaviour);
    snprintf(ret_url, URL_MAX, "http://127.0.0.1:%d%s?token=secret", s->port, strrchr(c->path, '/'));
}

static void stop_serving(struct server *s)
{
    server_stop(s);
    free((void *)s->body);
}

static struct pd_reader *open_served(const struct pd_reader_params *params)
{
    struct pd_reader *reader;
    struct pd_err err = {""};
    if (pd_reader_open(params, &reader, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(pd_reader_info(reader)->live, params->live);
    assert_null(strstr(pd_reader_current(reader), "secret"));
    return reader;
}

static struct clip mp4(void)
{
    return (struct clip){.path = clip_path("clip.mp4"), .codec = "mpeg4", .pix_fmt = "yuv420p", .width = 96,
                         .height = 64, .fps = 25, .frames = 40, .faststart = true};
}

static void a_clip_over_http_is_read_to_its_end(void **state)
{
    const struct clip c = mp4();
    struct server s;
    char url[URL_MAX];
    serve_clip(&s, FILE_SERVER, &c, url);
    struct pd_reader *reader = open_served(&(struct pd_reader_params){.input = url});
    struct pd_frame *f;
    struct pd_err err = {""};
    int n = 0, r;
    while ((r = pd_reader_next(reader, &f, &err)) == 0) {
        assert_int_equal(clip_number(f), n++ % 24);
        pd_frame_unref(&f);
    }
    assert_int_equal(r, PD_READER_E_END);
    assert_int_equal(n, c.frames);
    pd_reader_close(reader);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/missing?token=secret", s.port);
    assert_int_equal(pd_reader_open(&(struct pd_reader_params){.input = url}, &reader, &err), -ENOENT);
    assert_non_null(strstr(err.text, "404"));
    assert_null(strstr(err.text, "secret"));
    stop_serving(&s);
}

/* From a server that does not say how long it is, whole and not. */
static void a_clip_of_untold_length_is_a_clip(void **state)
{
    for (int cut = 0; cut <= 1; cut++) {
        const struct clip c = mp4();
        struct server s;
        char url[URL_MAX];
        serve_clip(&s, cut ? STREAM_IN_PART : STREAM, &c, url);
        struct pd_reader *reader = open_served(&(struct pd_reader_params){.input = url});
        struct pd_frame *f;
        struct pd_err err = {""};
        int n = 0, r;
        for (; (r = pd_reader_next(reader, &f, &err)) == 0; n++)
            pd_frame_unref(&f);
        print_message("# %d frames, %d: %s\n", n, r, err.text);
        assert_int_equal(r, cut ? PD_READER_E_CUT : PD_READER_E_END);
        assert_true(cut ? n < c.frames : n == c.frames);
        pd_reader_close(reader);
        stop_serving(&s);
    }
}

/* Frames are shown in another order than they are sent in, and the decoder keeps some back when the connection goes. */
static void frames_that_are_sent_out_of_order_have_times_in_order_and_all_come(void **state)
{
    const struct clip c = {.path = clip_path("b.ts"), .codec = "libx264", .pix_fmt = "yuv420p", .width = 160,
                           .height = 120, .fps = 25, .frames = 96, .gop = 48, .texture = true,
                           .options = "preset=veryfast:bf=3"};
    struct server s;
    char url[URL_MAX];
    serve_clip(&s, STREAM, &c, url);
    struct pd_reader *reader = open_served(&(struct pd_reader_params){.input = url, .live = true, .threads = 1});
    struct pd_frame *f;
    struct pd_err err = {""};
    int64_t last_us = 0;
    int n = 0, r;
    for (; (r = pd_reader_next(reader, &f, &err)) == 0; n++) {
        assert_int_equal(f->time_source, PD_TIME_ARRIVAL);
        if (f->captured_us < last_us)
            fail_msg("frame %d was taken %lld us before the one in front of it", n,
                     (long long)(last_us - f->captured_us));
        last_us = f->captured_us;
        pd_frame_unref(&f);
    }
    assert_int_equal(n, c.frames);
    assert_int_equal(r, -EPIPE);
    assert_non_null(strstr(err.text, "the other side ended the stream"));
    pd_reader_close(reader);
    stop_serving(&s);
}

/* Of a stream of two pictures a second no more than 6 s come: opening it must need less, for it has 8 s in all. */
static void a_slow_stream_is_open_after_a_few_pictures(void **state)
{
    const struct clip c = {.path = clip_path("slow.ts"), .codec = "libx264", .pix_fmt = "yuv420p", .width = 160,
                           .height = 120, .fps = 2, .frames = 12, .gop = 4, .texture = true,
                           .options = "tune=zerolatency"};
    struct server s;
    char url[URL_MAX];
    serve_clip(&s, STALL, &c, url);
    int64_t deadline = pd_now_ns() + (int64_t)(record_bound(4) * (double)PD_NS_PER_S);
    struct pd_reader *reader = open_served(&(struct pd_reader_params){
        .input = url, .live = true, .interrupt = past_deadline, .user = &deadline});
    struct pd_frame *f;
    struct pd_err err = {""};
    if (pd_reader_next(reader, &f, &err) < 0)
        fail_msg("%s", err.text);
    pd_frame_unref(&f);
    pd_reader_close(reader);
    stop_serving(&s);
}

static void a_redirection_does_not_reach_local_files(void **state)
{
    struct server s = {0};
    server_start(&s, REDIRECT_TO_FILE);
    char url[96];
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/x", s.port);
    struct pd_reader *reader;
    struct pd_err err = {""};
    int64_t deadline = pd_now_ns() + 5 * PD_NS_PER_S;
    const struct pd_reader_params params = {.input = url, .interrupt = past_deadline, .user = &deadline};
    int r = pd_reader_open(&params, &reader, &err);
    print_message("# %s\n", err.text);
    assert_true(r < 0 && r != -ETIMEDOUT && r != -EBADMSG);
    server_stop(&s);
}

static void hostile_cameras_cost_their_deadline_and_no_memory(void **state)
{
    static const char *const names[] = {[DRIP] = "drip", [ENDLESS_HEADERS] = "endless headers",
                                        [ENDLESS_LINE] = "endless line", [HUGE_LENGTH] = "huge length"};
    for (enum behaviour b = DRIP; b <= HUGE_LENGTH; b++) {
        struct server s = {0};
        server_start(&s, b);
        char url[64];
        snprintf(url, sizeof(url), "rtsp://127.0.0.1:%d/x", s.port);
        struct rusage before, after;
        getrusage(RUSAGE_SELF, &before);
        int64_t from = pd_now_ns(), deadline = from + PD_NS_PER_S;
        struct pd_reader *reader;
        struct pd_err err = {""};
        const struct pd_reader_params params = {.input = url, .live = true, .interrupt = past_deadline,
                                                .user = &deadline};
        int r = pd_reader_open(&params, &reader, &err);
        double took = (double)(pd_now_ns() - from) / (double)PD_NS_PER_S;
        getrusage(RUSAGE_SELF, &after);
        long grown = after.ru_maxrss - before.ru_maxrss;
        print_message("# %s: %.2f s, %ld KiB more, %s\n", names[b], took, grown, err.text);
        assert_true(r < 0);
        assert_true(took < record_bound(1.6));
        assert_true(grown < 16384);
        server_stop(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_cameras_cost_their_deadline_and_no_memory), /* first: it watches the peak of memory */
        cmocka_unit_test(a_clip_over_http_is_read_to_its_end),
        cmocka_unit_test(a_clip_of_untold_length_is_a_clip),
        cmocka_unit_test(frames_that_are_sent_out_of_order_have_times_in_order_and_all_come),
        cmocka_unit_test(a_slow_stream_is_open_after_a_few_pictures),
        cmocka_unit_test(a_redirection_does_not_reach_local_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
