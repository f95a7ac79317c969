/* SPDX-License-Identifier: Apache-2.0 */
#include "decode/source_impl.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "core/clock.h"
#include "core/log.h"
#include "decode/held.h"
#include "decode/hwaccel.h"
#include "decode/reader_impl.h"

#define OPEN_TIMEOUT_S 8.0
#define READ_TIMEOUT_S 3.0
/* For the goodbye, which is one write: a camera to which nobody says it keeps a place for us for a minute, and over UDP
 * goes on sending. It waits only where every buffer on the way is full, and at a stop no longer than the daemon can. */
#define CLOSE_TIMEOUT_S 1.0
#define STOP_TIMEOUT_S 0.2
/* Packets come but no whole picture does: after this the connection is worth no more. Longer than any sane distance of
 * keyframes. Once that is known, two of it are enough. */
#define PICTURE_TIMEOUT_S 30.0

static int64_t seconds_ns(double s)
{
    return (int64_t)(s * (double)PD_NS_PER_S);
}

/* ---- deadlines: one a source, set by phase, latched by the reader once it has passed ------------------------ */

static void arm(struct pd_source *s, double seconds)
{
    atomic_store(&s->deadline_ns, pd_now_ns() + seconds_ns(seconds));
}

static void disarm(struct pd_source *s)
{
    atomic_store(&s->deadline_ns, 0);
}

/* A stop leaves the goodbye that is under way some time, once. */
static void hurry(struct pd_source *s)
{
    if (s->hurried)
        return;
    s->hurried = true;
    int64_t latest = pd_now_ns() + seconds_ns(STOP_TIMEOUT_S);
    atomic_store(&s->deadline_ns, PD_MIN(latest, atomic_load(&s->deadline_ns)));
}

static int interrupt(void *user)
{
    struct pd_source *s = user;
    if (atomic_load(&s->stop)) {
        if (!s->closing)
            return -ECANCELED;
        hurry(s);
    }
    int64_t deadline = atomic_load(&s->deadline_ns);
    return deadline && pd_now_ns() > deadline ? -ETIMEDOUT : 0;
}

/* A camera of one picture a second is not dead after 3. The rate is the camera's own word: a wrong one must not keep a
 * frozen picture from being noticed for an hour. */
static double read_timeout(const struct pd_source *s)
{
    double t = s->config.read_timeout_s > 0 ? s->config.read_timeout_s : READ_TIMEOUT_S;
    double fps = s->reader ? pd_reader_info(s->reader)->fps : 0;
    return fps > 0 ? PD_MAX(t, PD_MIN(3 / fps, PICTURE_TIMEOUT_S)) : t;
}

static double picture_timeout(const struct pd_source *s)
{
    double t = s->config.picture_timeout_s > 0 ? s->config.picture_timeout_s : PICTURE_TIMEOUT_S;
    double key_interval = (double)pd_reader_key_interval_us(s->reader) * 1e-6;
    if (s->up && key_interval > 0)
        t = PD_MIN(t, 2 * key_interval);
    return PD_MAX(t, read_timeout(s));
}

/* A packet is progress, so that a long wait for the first keyframe is not taken for a dead camera; but not for ever. */
static void on_packet(void *user)
{
    struct pd_source *s = user;
    s->silent_ns = pd_now_ns() + seconds_ns(read_timeout(s));
    atomic_store(&s->deadline_ns, PD_MIN(s->silent_ns, s->picture_deadline_ns));
}

/* Whether packets came up to the end of the wait for a picture. That may be as short as the one for a packet, and some
 * packets come after the last picture that a decoder gives. */
static bool sends(const struct pd_source *s)
{
    return s->silent_ns - s->picture_deadline_ns > seconds_ns(read_timeout(s) / 2);
}

/* ---- opening and leaving the input -------------------------------------------------------------------------- */

static int open_reader(struct pd_source *s, struct pd_err *err)
{
    const struct pd_source_config *c = &s->config;
    const struct pd_reader_params params = {
        .input = c->url,
        .username = c->username,
        .password = c->password,
        .ca_file = c->ca_file,
        .tls_name = c->tls_name,
        .transport = c->transport,
        .live = s->live,
        .hwaccel = c->hwaccel,
        .cuda_device = c->cuda_device,
        .interrupt = interrupt,
        .user = s,
    };
    arm(s, c->open_timeout_s > 0 ? c->open_timeout_s : OPEN_TIMEOUT_S);
    int r = pd_reader_open(&params, &s->reader, err);
    disarm(s);
    if (r < 0)
        return r;
    pd_reader_set_progress(s->reader, on_packet, s);
    const struct pd_reader_info *info = pd_reader_info(s->reader);
    pd_pace_init(&s->pace, info->parts || (c->realtime && !info->live), c->max_fps, info->fps);
    pthread_mutex_lock(&s->lock);
    s->stats.connects++;
    memcpy(s->stats.codec, info->codec, sizeof(s->stats.codec));
    pthread_mutex_unlock(&s->lock);
    s->generation++;
    s->up = false;
    /* Whoever writes a playlist and stops in good order ends it: until there is another one, its last parts look like a
     * clip, which was shown already. */
    if (s->was_live && !info->live)
        return pd_err_set(err, -EPIPE, "%s: the live stream has ended and left a recording",
                          pd_reader_current(s->reader));
    s->was_live = info->live;
    return 0;
}

static void close_reader(struct pd_source *s)
{
    if (!s->reader)
        return;
    s->corrupt_before += pd_reader_corrupt(s->reader);
    pthread_mutex_lock(&s->lock);
    s->stats.corrupt = s->corrupt_before;
    pthread_mutex_unlock(&s->lock);
    s->closing = true;
    arm(s, CLOSE_TIMEOUT_S);
    pd_reader_close(s->reader);
    disarm(s);
    s->closing = false;
    s->reader = NULL;
}

/* ---- frames ------------------------------------------------------------------------------------------------- */

static void count_frame(struct pd_source *s, const struct pd_frame *frame)
{
    int64_t now = pd_now_ns();
    pthread_mutex_lock(&s->lock);
    s->stats.decoded++;
    s->stats.corrupt = s->corrupt_before + pd_reader_corrupt(s->reader);
    s->stats.skipped = s->pace.skipped;
    s->stats.width = frame->width;
    s->stats.height = frame->height;
    s->stats.hardware = pd_reader_hardware(s->reader);
    s->stats.last_frame_ns = now;
    s->stats.fps = pd_rate_add(&s->rate, now);
    pthread_mutex_unlock(&s->lock);
}

/* Told once, until it is right again: skeletons of two cameras are matched by these times. */
static void check_clock(struct pd_source *s)
{
    int64_t error = pd_reader_clock_error_us(s->reader);
    double seconds = fabs((double)error * 1e-6);
    if (error && !s->clock_told)
        pd_log_warn(s->log_context, "its clock is %.1f %s %s this machine's; times are those of arrival meanwhile",
                    seconds < 86400 ? seconds : seconds / 86400, seconds < 86400 ? "seconds" : "days",
                    error > 0 ? "ahead of" : "behind");
    s->clock_told = error != 0;
}

/* Hand one frame over, or skip it. False: stopped meanwhile. */
static bool deliver(struct pd_source *s, struct pd_frame *frame)
{
    check_clock(s);
    if (pd_reader_info(s->reader)->live)
        pd_reader_set_discard(s->reader, pd_pace_discard(&s->pace, pd_reader_key_interval_us(s->reader)));
    if (!pd_pace_keep(&s->pace, frame)) {
        pd_frame_unref(&frame);
        return true;
    }
    int64_t due = pd_pace_due_ns(&s->pace, frame, pd_now_ns());
    if (due && !pd_source_sleep_until(s, due)) {
        pd_frame_unref(&frame);
        return false;
    }
    if (s->pace.realtime) { /* it plays the camera: the picture was taken now */
        frame->arrived_ns = pd_now_ns();
        frame->captured_us = pd_wall_us();
        frame->time_source = PD_TIME_ARRIVAL;
    }
    frame->camera = s->camera;
    frame->generation = s->generation;
    frame->seq = ++s->seq;
    count_frame(s, frame);
    s->sink.frame(frame, s->sink.user);
    return !atomic_load(&s->stop);
}

/* One of a folder, which goes on behind it. */
static bool is_bad_picture(const struct pd_source *s, int r)
{
    const struct pd_reader_info *info = pd_reader_info(s->reader);
    return r < 0 && r != -ECANCELED && r != -ETIMEDOUT && info->pictures && info->frames > 1;
}

/* Reads until something ends it. PD_READER_E_END (after one frame at least), PD_READER_E_CUT or a negative errno. */
static int read_all(struct pd_source *s, struct pd_err *err)
{
    bool any = false;
    for (;;) {
        struct pd_frame *frame;
        if (s->held && !pd_held_wait(s->held, PD_HWACCEL_FRAMES))
            return -ECANCELED;
        int64_t since_ns = pd_now_ns();
        s->picture_deadline_ns = since_ns + seconds_ns(picture_timeout(s));
        s->silent_ns = since_ns + seconds_ns(read_timeout(s));
        atomic_store(&s->deadline_ns, s->silent_ns);
        int r = pd_reader_next(s->reader, &frame, err);
        disarm(s);
        if (is_bad_picture(s, r) && !atomic_load(&s->stop)) {
            pd_log_warn(s->log_context, "%s; the folder's next picture follows", err->text);
            continue;
        }
        if (r == PD_READER_E_END && !any) /* a loop would go round and round */
            return pd_err_prefix(err, -EBADMSG, "no picture of the folder can be read, the last one");
        if (r == -ETIMEDOUT && sends(s))
            return pd_err_set(err, r, "%s: sends, but no whole picture for %.1f s", pd_reader_current(s->reader),
                              (double)(pd_now_ns() - since_ns) / (double)PD_NS_PER_S);
        if (r != 0)
            return r;
        any = true;
        if (s->held)
            pd_held_add(s->held, frame);
        if (!s->up) {
            s->up = true;
            s->failures = 0;
            pd_source_set_state(s, PD_SOURCE_UP, "", 0);
        }
        if (!deliver(s, frame))
            return -ECANCELED;
    }
}

int pd_source_run_once(struct pd_source *s, struct pd_err *err)
{
    pd_source_set_state(s, PD_SOURCE_CONNECTING, "", 0);
    int r = open_reader(s, err);
    while (r == 0) {
        r = read_all(s, err);
        if (r == PD_READER_E_END && s->config.loop && !pd_reader_info(s->reader)->live) {
            s->generation++;
            arm(s, read_timeout(s));
            r = pd_reader_rewind(s->reader, err);
            disarm(s);
            pd_pace_restart(&s->pace);
        }
    }
    close_reader(s);
    return r;
}
