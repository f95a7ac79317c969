/* SPDX-License-Identifier: Apache-2.0 */
#include "decode/pace.h"

#include "core/clock.h"
#include "core/util.h"

#define US_PER_S 1000000.0
/* A picture without any rate (a folder played as a camera): one a second. */
#define PICTURE_INTERVAL_US 1000000
/* A jump of the stream's clock above this is a new start of the clock, not a gap in the pictures. */
#define JUMP_US 10000000
/* Behind by more than this, a file played in real time starts its clock anew rather than rushing to catch up. */
#define LATE_NS PD_NS_PER_S

void pd_pace_init(struct pd_pace *pace, bool realtime, double max_fps, double fps)
{
    uint64_t skipped = pace->skipped;
    *pace = (struct pd_pace){.realtime = realtime, .max_fps = max_fps, .fps = fps, .skipped = skipped};
}

static int64_t interval_us(const struct pd_pace *pace)
{
    return pace->fps > 0 ? (int64_t)(US_PER_S / pace->fps) : PICTURE_INTERVAL_US;
}

void pd_pace_restart(struct pd_pace *pace)
{
    /* The next round's time 0 comes one interval after this round's last frame. */
    if (pace->origin_ns && __builtin_add_overflow(pace->origin_ns, (pace->last_us + interval_us(pace)) * 1000,
                                                  &pace->origin_ns))
        pace->origin_ns = 0;
    pace->any = false;
    pace->count = 0;
}

/* The stream's time of a frame: its own, else arrival for live ones, else by counting. When a frame of a playlist
 * arrived says when the part was fetched that holds it. */
static int64_t stream_us(const struct pd_pace *pace, const struct pd_frame *frame)
{
    const bool live = frame->time_source != PD_TIME_FILE, timed = frame->pts_us != PD_PTS_NONE;
    if (live && !(pace->realtime && timed))
        return frame->arrived_ns / 1000;
    if (timed && (live || pace->fps > 0))
        return frame->pts_us;
    return (int64_t)pace->count * interval_us(pace);
}

bool pd_pace_keep(struct pd_pace *pace, const struct pd_frame *frame)
{
    int64_t us = stream_us(pace, frame);
    pace->last_us = us;
    pace->count++;
    if (pace->max_fps <= 0)
        return true;
    int64_t step = (int64_t)(US_PER_S / pace->max_fps);
    /* Half of a frame's own interval early is on time: else 25 fps at "max 25" loses every second frame to jitter. */
    int64_t slack = pace->fps > 0 ? PD_MIN((int64_t)(US_PER_S / pace->fps / 2), step / 2) : step / 8;
    if (!pace->any || us < pace->next_us - step - JUMP_US || us > pace->next_us + JUMP_US) {
        pace->any = true;
        pace->next_us = us + step;
        return true;
    }
    if (us < pace->next_us - slack) {
        pace->skipped++;
        return false;
    }
    /* Keeps the average: the next is due a step after this one was, unless this one came much later. */
    pace->next_us = PD_MAX(pace->next_us + step, us + step - slack);
    return true;
}

int64_t pd_pace_due_ns(struct pd_pace *pace, const struct pd_frame *frame, int64_t now_ns)
{
    if (!pace->realtime)
        return 0;
    int64_t us = pace->last_us;
    if (!pace->origin_ns)
        pace->origin_ns = now_ns - us * 1000;
    int64_t due;
    if (__builtin_add_overflow(pace->origin_ns, us * 1000, &due))
        due = INT64_MAX;
    /* A clock that jumps ahead must not keep the camera asleep until it gets there. */
    if (now_ns - due > LATE_NS || due - now_ns > (JUMP_US + 2 * interval_us(pace)) * 1000) {
        pace->origin_ns = now_ns - us * 1000;
        return 0;
    }
    return due > now_ns ? due : 0;
}

enum pd_discard pd_pace_discard(const struct pd_pace *pace, int64_t key_interval_us)
{
    if (pace->max_fps <= 0)
        return PD_DISCARD_NONE;
    if (key_interval_us > 0 && (double)key_interval_us <= 1.02 * US_PER_S / pace->max_fps)
        return PD_DISCARD_NONKEY;
    return pace->fps > 0 && pace->max_fps <= pace->fps / 2 ? PD_DISCARD_NONREF : PD_DISCARD_NONE;
}

double pd_rate_get(const struct pd_rate *rate, int64_t now_ns)
{
    uint64_t kept = PD_MIN(rate->n, PD_RATE_FRAMES);
    /* Only the last seconds count, so that a slowing camera shows. */
    const int64_t window_ns = 5 * PD_NS_PER_S;
    int64_t newest = 0, oldest = 0;
    unsigned used = 0;
    for (uint64_t i = 0; i < kept; i++) {
        int64_t at = rate->at_ns[(rate->n - 1 - i) % PD_RATE_FRAMES];
        if (now_ns - at > window_ns)
            break;
        newest = i == 0 ? at : newest;
        oldest = at;
        used++;
    }
    if (used < 2 || newest == oldest)
        return 0;
    return (double)(used - 1) * (double)PD_NS_PER_S / (double)(newest - oldest);
}

double pd_rate_add(struct pd_rate *rate, int64_t now_ns)
{
    rate->at_ns[rate->n++ % PD_RATE_FRAMES] = now_ns;
    return pd_rate_get(rate, now_ns);
}
