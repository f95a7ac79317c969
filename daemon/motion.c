/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/motion.h"

#define STEP_MAX_US 2000000 /* after such a gap nobody is known any more, whatever the time */

/* How far @frame is from the one before by the stream's own time; 0: that does not tell. */
static int64_t step_us(const struct pd_motion *m, const struct pd_frame *frame)
{
    int64_t step;
    if (!m->any || frame->generation != m->generation || frame->pts_us == PD_PTS_NONE || m->pts_us == PD_PTS_NONE ||
        __builtin_sub_overflow(frame->pts_us, m->pts_us, &step))
        return 0;
    return step > 0 && step <= STEP_MAX_US ? step : 0;
}

int64_t pd_motion_time(struct pd_motion *m, const struct pd_frame *frame)
{
    if (frame->time_source == PD_TIME_FILE && frame->pts_us != PD_PTS_NONE)
        return frame->pts_us;
    int64_t step = step_us(m, frame), at = frame->captured_us;
    if (step > 0 && at <= m->at_us)
        at = m->at_us + step;
    *m = (struct pd_motion){true, frame->generation, frame->pts_us, at};
    return at;
}
