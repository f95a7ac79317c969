/* SPDX-License-Identifier: Apache-2.0
 *
 * Cameras that misbehave (bad_camera.py), many at once beside good ones: each is noticed in its time with a reason that
 * names the cause, comes back in its time, costs little memory, and the good ones lose nothing. Every frame that is
 * handed on is compared with the one that the camera sent at that time.
 *
 * With POSED_REAL_DEADLINES=1 the cameras have the deadlines of posed run, and the lines tell what a store would see.
 */
#include "tests/core/test.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "tests/decode/camera.h"
#include "tests/decode/clip.h"
#include "tests/decode/record.h"

#define FPS 25

struct viewer {
    struct record r;
    struct pd_source *source;
    uint32_t generation; /* of the last frame */
    long begin;          /* where in its clip the camera begins */
    long last;           /* the last frame's place in the stream */
    long missing;        /* places left out within connections */
    int wrong;           /* frames that do not show what the camera sent */
    int wrong_times;     /* frames whose time of capture is not the camera's */
    int ntp;             /* frames with the camera's own time */
    int64_t first_lost_ns; /* the last frame of the first connection came */
};

static struct camera bad, good;
static bool real_deadlines, sanitized;

static double seconds(int64_t from, int64_t to)
{
    return (double)(to - from) / (double)PD_NS_PER_S;
}

static void look(struct record *r, const struct pd_frame *f)
{
    struct viewer *v = r->look_user;
    long at = f->pts_us == PD_PTS_NONE ? 0 : (long)((f->pts_us * FPS + 500000) / 1000000);
    at += v->begin;
    if (f->generation == v->generation)
        v->missing += at - v->last - 1;
    v->generation = f->generation;
    v->last = at;
    v->wrong += clip_number(f) != at % 24;
    if (f->time_source == PD_TIME_NTP) {
        int64_t due = at % FPS * (1000000 / FPS), off = llabs(f->captured_us % 1000000 - due);
        v->ntp++;
        v->wrong_times += off > 1000 && off < 999000;
    }
    if (f->generation == 1)
        v->first_lost_ns = f->arrived_ns;
}

static const struct pd_source_config impatient = {
    .name = "bad", .open_timeout_s = 1, .read_timeout_s = 1, .picture_timeout_s = 5, .retry_scale = 0.1,
};

static struct viewer *watch(const struct camera *camera, const char *path, bool udp)
{
    struct viewer *v = calloc(1, sizeof(*v));
    assert_non_null(v);
    struct pd_source_config config = {.name = camera == &bad ? "bad" : "good"};
    if (camera == &bad && !real_deadlines)
        config = impatient;
    if (sanitized)
        config.open_timeout_s *= 3, config.read_timeout_s *= 3;
    config.url = camera_url(camera, path);
    config.transport = udp ? PD_TRANSPORT_UDP : PD_TRANSPORT_TCP;
    if (strstr(path, "middle:"))
        v->begin = atol(strstr(path, "middle:") + 7);
    v->source = record_start_looking(&v->r, &config, look, v);
    return v;
}

static void leave(struct viewer *v)
{
    record_destroy(v->source);
    free(v);
}

static void clip_of(const char *path, const char *codec, int width, int height)
{
    const struct clip c = {.path = path, .codec = codec, .pix_fmt = "yuv420p", .width = width, .height = height,
                           .fps = FPS, .frames = 48, .gop = 24,
                           .options = strcmp(codec, "libx265") ? "preset=ultrafast:tune=zerolatency"
                                                               : "preset=ultrafast:tune=zerolatency:"
                                                                 "x265-params=log-level=none"};
    if (clip_write(&c) < 0)
        print_message("# this FFmpeg has no %s\n", codec);
}

static int start_cameras(void **state)
{
    real_deadlines = getenv("POSED_REAL_DEADLINES");
    sanitized = getenv("POSED_SANITIZED");
    const char *args[] = {clip_path("a.h264"), clip_path("b.h264"), clip_path("c.hevc"), NULL};
    clip_of(args[0], "libx264", 320, 240);
    clip_of(args[1], "libx264", 640, 480);
    clip_of(args[2], "libx265", 320, 240);
    return camera_start(&bad, "bad_camera.py", args) && camera_start(&good, "bad_camera.py", args) ? 0 : -1;
}

static int stop_cameras(void **state)
{
    camera_kill(&bad);
    camera_kill(&good);
    return 0;
}

/* ---- memory: kB of this process, now and at its peak since the last reset ------------------------------------ */

static long memory(const char *field)
{
    char line[256];
    long kb = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof(line), f))
        if (!strncmp(line, field, strlen(field)))
            kb = atol(line + strlen(field) + 1);
    if (f)
        fclose(f);
    return kb;
}

static long reset_peak(void)
{
    FILE *f = fopen("/proc/self/clear_refs", "w");
    if (f) {
        fputs("5", f);
        fclose(f);
    }
    return memory("VmRSS:");
}

/* ---- cameras that fail and come back ------------------------------------------------------------------------- */

struct failure {
    const char *path;
    const char *reason;      /* a part of it */
    enum { OPENING, PLAYING } when;
    double in_s, real_in_s;  /* until it is noticed, with the test's deadlines and the real ones */
    double wait_s;           /* before it is tried again, with the real deadlines; a tenth of it here */
    const char *then_reason; /* of the failure after that */
};

/* @r: the source's; the numbers are those of its record. */
static void check_failure(const struct failure *f, struct viewer *v)
{
    double slack = sanitized ? 8 : 2, scale = real_deadlines ? 1 : 0.1;
    int down = record_wait_state(&v->r, PD_SOURCE_DOWN, 1), last = down;
    if (f->then_reason) {
        last = record_wait_state(&v->r, PD_SOURCE_DOWN, 2);
        if (!strstr(v->r.reasons[last], f->then_reason))
            fail_msg("%s: then \"%s\"", f->path, v->r.reasons[last]);
    }
    int up = record_wait_state(&v->r, PD_SOURCE_UP, f->when == OPENING ? 1 : 2);
    double noticed = seconds(f->when == OPENING ? v->r.state_ns[down - 1] : v->first_lost_ns, v->r.state_ns[down]);
    double back = seconds(v->r.state_ns[up - 1], v->r.state_ns[up]);
    print_message("# %-34s noticed %5.2f s, tried again %5.2f s later, up in %.2f s: %s\n", f->path, noticed,
                  v->r.retry_s[last], back, strchr(v->r.reasons[down], ' ') + 1);
    if (!strstr(v->r.reasons[down], f->reason) || strstr(v->r.reasons[down], "Invalid argument"))
        fail_msg("%s: \"%s\"", f->path, v->r.reasons[down]);
    if (noticed > (real_deadlines ? f->real_in_s : f->in_s) + slack)
        fail_msg("%s: noticed after %.2f s", f->path, noticed);
    if (v->r.retry_s[last] < 0.79 * scale * f->wait_s || v->r.retry_s[last] > 1.21 * scale * f->wait_s)
        fail_msg("%s: tried again after %.2f s", f->path, v->r.retry_s[last]);
    if (back > slack)
        fail_msg("%s: up in %.2f s", f->path, back);
    record_wait_more(&v->r, 3);
}

/* All at once, beside two good cameras. */
static void check_failures(const struct failure *failures, size_t n)
{
    long before = reset_peak();
    struct viewer *tcp = watch(&good, "good/tcp", false), *udp = watch(&good, "good/udp", true), *v[32];
    record_wait_frames(&tcp->r, 5);
    record_wait_frames(&udp->r, 5);
    for (size_t i = 0; i < n; i++)
        v[i] = watch(&bad, failures[i].path, false);
    for (size_t i = 0; i < n; i++)
        check_failure(&failures[i], v[i]);
    for (size_t i = 0; i < n; i++) {
        pd_source_destroy(v[i]->source);
        if (v[i]->wrong || !v[i]->r.in_order)
            fail_msg("%s: %d wrong pictures", failures[i].path, v[i]->wrong);
        free(v[i]);
    }
    pd_source_destroy(tcp->source);
    pd_source_destroy(udp->source);
    long grown = memory("VmHWM:") - before;
    print_message("# %ld KiB for %zu bad cameras and 2 good ones; of these %d frames by TCP, %ld missing; "
                  "%d by UDP, %ld missing\n",
                  grown, n, tcp->r.frames, tcp->missing, udp->r.frames, udp->missing);
    assert_int_equal(tcp->missing, 0);
    assert_int_equal(tcp->wrong + udp->wrong, 0);
    assert_int_equal(tcp->generation, 1);
    assert_int_equal(udp->generation, 1);
    if (!sanitized)
        assert_true(grown < (long)(n + 2) * 8192);
    free(tcp);
    free(udp);
}

static void cameras_that_do_not_open_cost_their_deadline_and_nobody_else_anything(void **state)
{
    static const struct failure failures[] = {
        {"mute+good", "timed out after", OPENING, 1, 8, 1, NULL},
        {"drip+good", "timed out after", OPENING, 1, 8, 1, NULL},
        {"headers+good", "timed out after", OPENING, 1, 8, 1, NULL},
        {"line+good", "timed out after", OPENING, 1, 8, 1, NULL},
        {"garbage+good", "timed out after", OPENING, 1, 8, 1, NULL},
        {"length:2000000000+good", "timed out after", OPENING, 1, 8, 1, NULL},
        {"sdp:0+good", "cannot be opened", OPENING, 1, 8, 1, NULL},
        {"sdp:1+good", "there is no picture in it", OPENING, 1, 8, 1, NULL},
        {"sdp:2+good", "", OPENING, 1, 8, 1, NULL},
        {"sdp:3+good", "there is no picture in it", OPENING, 1, 8, 1, NULL},
        {"sdp:4+good", "", OPENING, 1, 8, 1, NULL},
        {"sdp:5+good", "", OPENING, 1, 8, 1, NULL},
        {"sdp:6+good", "", OPENING, 1, 8, 1, NULL},
        {"sdp:7+good", "", OPENING, 1, 8, 1, NULL},
        {"status:401+good", "wants a user name and a password, and has none (401)", OPENING, 0, 0, 30, NULL},
        {"status:403+good", "access denied (403)", OPENING, 0, 0, 30, NULL},
        {"status:453+good", "serves no more viewers (453)", OPENING, 0, 0, 30, NULL},
        {"status:404+good", "there is no such stream (404)", OPENING, 0, 0, 1, NULL},
        {"status:461+good", "does not serve over this transport (461)", OPENING, 0, 0, 1, NULL},
        {"status:503+good", "it cannot serve now (503)", OPENING, 0, 0, 1, NULL},
    };
    check_failures(failures, PD_ARRAY_SIZE(failures));
}

static void cameras_that_fail_while_they_play_are_noticed_and_come_back(void **state)
{
    static const struct failure failures[] = {
        {"freeze:10+good", "timed out after", PLAYING, 1, 3, 1, NULL},
        {"deaf:10+good", "timed out after", PLAYING, 1, 3, 1, NULL},
        {"eof:10+good", "the other side ended the stream", PLAYING, 0, 0, 1, NULL},
        {"eof:10+hevc", "the other side ended the stream", PLAYING, 0, 0, 1, NULL},
        {"bye:10+good", "timed out after", PLAYING, 1, 3, 1, NULL},
        {"type:10+good", "timed out after", PLAYING, 1, 3, 1, NULL},
        {"codec:50+good", "sends, but no whole picture", PLAYING, 2, 3, 1, NULL},
        {"junk:10+good", "timed out after", PLAYING, 1, 3, 1, NULL},
        {"expire:10+status:401+good", "the other side ended the stream", PLAYING, 0, 0, 30,
         "wants a user name and a password, and has none (401)"},
    };
    check_failures(failures, PD_ARRAY_SIZE(failures));
}

static void one_allocation_after_a_camera_s_word_stays_small(void **state)
{
    /* 200 MB: a size that libav itself would believe. 40 MB: one that it does, since pictures may take as much. */
    static const struct failure failures[] = {
        {"length:200000000+good", "timed out after", OPENING, 1, 8, 1, NULL},
        {"sdp:5+good", "", OPENING, 1, 8, 1, NULL},
        {"endless:10+good", "a picture of over 6 MiB that does not end", PLAYING, 1, 3, 1, NULL},
        {"length:40000000+good", "timed out after", OPENING, 1, 8, 1, NULL},
    };
    static const long bounds[] = {16384, 16384, 16384, 49152};
    for (size_t i = 0; i < PD_ARRAY_SIZE(failures); i++) {
        struct viewer *warm = watch(&good, "good", false);
        record_wait_frames(&warm->r, 2);
        leave(warm);
        long before = reset_peak();
        char path[64];
        snprintf(path, sizeof(path), "%s/alone", failures[i].path);
        struct viewer *v = watch(&bad, path, false);
        check_failure(&failures[i], v);
        leave(v);
        long grown = memory("VmHWM:") - before;
        print_message("# %s alone: %ld KiB\n", failures[i].path, grown);
        if (!sanitized)
            assert_true(grown < bounds[i]);
    }
}

/* ---- streams with faults in them: the connection stays ------------------------------------------------------- */

struct fault {
    const char *path;
    bool udp;
    int frames;
    long missing_min, missing_max; /* of these frames */
    enum { OWN_CLOCK, OUR_CLOCK, EITHER } clock;
    bool times_jump; /* so that frames cannot be told by their times */
    int width;
};

static void check_fault(const struct fault *f, struct viewer *v)
{
    record_wait_frames(&v->r, f->frames);
    struct pd_source_stats stats;
    pd_source_get_stats(v->source, &stats);
    pd_source_destroy(v->source);
    print_message("# %-16s %s: %3d frames, %3ld missing, %d damaged, %d with the camera's time; first after %.2f s\n",
                  f->path, f->udp ? "UDP" : "TCP", v->r.frames, f->times_jump ? 0 : v->missing, (int)stats.corrupt,
                  v->ntp, seconds(v->r.state_ns[0], v->r.first_ns));
    if (stats.connects != 1 || !v->r.in_order || v->r.width != f->width)
        fail_msg("%s: %u connections, width %d", f->path, stats.connects, v->r.width);
    if (!f->times_jump && (v->wrong || v->wrong_times))
        fail_msg("%s: %d wrong pictures, %d wrong times", f->path, v->wrong, v->wrong_times);
    if (!f->times_jump && (v->missing < f->missing_min || v->missing > f->missing_max))
        fail_msg("%s: %ld frames are missing", f->path, v->missing);
    bool own = v->r.time_source == PD_TIME_NTP;
    if (f->clock != EITHER && own != (f->clock == OWN_CLOCK))
        fail_msg("%s: time source %d", f->path, v->r.time_source);
    assert_true(llabs(v->r.captured_us - pd_wall_us()) < 10000000);
    free(v);
}

static void faults_in_a_stream_cost_the_damaged_pictures_and_no_more(void **state)
{
    static const struct fault faults[] = {
        {"good", false, 75, 0, 0, OWN_CLOCK, false, 320},
        {"good", true, 75, 0, 75, OWN_CLOCK, false, 320},
        {"hevc", false, 75, 0, 0, OWN_CLOCK, false, 320},
        {"silent", false, 30, 0, 0, OUR_CLOCK, false, 320},
        {"clock:2", false, 30, 0, 0, OWN_CLOCK, false, 320},
        {"clock:315576000", false, 30, 0, 0, OUR_CLOCK, false, 320},
        {"clock:-315576000", false, 30, 0, 0, OUR_CLOCK, false, 320},
        {"step:30", false, 60, 0, 0, OUR_CLOCK, false, 320},
        {"drop:30", false, 60, 16, 19, OWN_CLOCK, false, 320}, /* frames 30 to 47, or 29 */
        {"drop:30", true, 60, 16, 75, OWN_CLOCK, false, 320},
        {"lose:20", true, 60, 1, 1000, OWN_CLOCK, false, 320},
        {"lose:20", false, 60, 1, 1000, OWN_CLOCK, false, 320},
        {"reorder", true, 75, 0, 75, OWN_CLOCK, false, 320},
        {"middle:10", false, 30, 0, 0, OWN_CLOCK, false, 320},
        {"resize:30", false, 75, 0, 24, OWN_CLOCK, false, 640},
        {"jump:30", false, 60, 0, 0, EITHER, true, 320},
        {"back:30", false, 60, 0, 0, EITHER, true, 320},
    };
    struct viewer *v[PD_ARRAY_SIZE(faults)];
    for (size_t i = 0; i < PD_ARRAY_SIZE(faults); i++) {
        char path[64];
        snprintf(path, sizeof(path), "%s/%zu", faults[i].path, i);
        v[i] = watch(&bad, path, faults[i].udp);
    }
    for (size_t i = 0; i < PD_ARRAY_SIZE(faults); i++)
        check_fault(&faults[i], v[i]);
}

static int descriptors(void)
{
    int n = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}

static void a_goodbye_that_nobody_hears_holds_nothing_up(void **state)
{
    struct viewer *tcp = watch(&good, "good/bye", false);
    record_wait_frames(&tcp->r, 5);
    int before = descriptors();
    struct viewer *down = watch(&bad, "deaf:10/down", false), *udp = watch(&bad, "deaf:10/udp", true);
    struct viewer *stopped = watch(&bad, "deaf:10/stopped", false);
    record_wait_frames(&stopped->r, 10);
    double stop = record_destroy(stopped->source);
    int failed = record_wait_state(&down->r, PD_SOURCE_DOWN, 1);
    record_wait_state(&udp->r, PD_SOURCE_DOWN, 1);
    double noticed = seconds(down->first_lost_ns, down->r.state_ns[failed]);
    print_message("# stopped in %.2f s; noticed and left in %.2f s\n", stop, noticed);
    assert_true(stop < (sanitized ? 8 : 1.5));
    assert_true(noticed < (real_deadlines ? 3 : 1) * (sanitized ? 3 : 1) + (sanitized ? 8 : 2));
    free(stopped);
    leave(down);
    leave(udp);
    assert_int_equal(descriptors(), before);
    leave(tcp);
}

static void the_first_frame_is_there_at_once(void **state)
{
    double best = 1e9, worst = 0;
    for (int i = 0; i < 10; i++) {
        struct viewer *v = watch(&good, i & 1 ? "hevc" : "good", i & 2);
        record_wait_frames(&v->r, 1);
        double first = seconds(v->r.state_ns[0], v->r.first_ns);
        best = PD_MIN(best, first);
        worst = PD_MAX(worst, first);
        leave(v);
    }
    print_message("# first frame %.2f to %.2f s after the start of connecting\n", best, worst);
    assert_true(best < (sanitized ? 3 : 0.3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_allocation_after_a_camera_s_word_stays_small),
        cmocka_unit_test(cameras_that_do_not_open_cost_their_deadline_and_nobody_else_anything),
        cmocka_unit_test(cameras_that_fail_while_they_play_are_noticed_and_come_back),
        cmocka_unit_test(a_goodbye_that_nobody_hears_holds_nothing_up),
        cmocka_unit_test(faults_in_a_stream_cost_the_damaged_pictures_and_no_more),
        cmocka_unit_test(the_first_frame_is_there_at_once),
    };
    return cmocka_run_group_tests(tests, start_cameras, stop_cameras);
}
