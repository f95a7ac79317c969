/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/watchdog.h"

#include "core/clock.h"
#include "core/util.h"

#define LONGEST_TIMES 10
#define LOOK_NS (2 * PD_NS_PER_S) /* a look every second is the rule; what is longer between two counts as this */

void pd_watchdog_start(struct pd_watchdog *w, int64_t limit_ns, int64_t now_ns)
{
    *w = (struct pd_watchdog){.limit_ns = limit_ns, .looked_ns = now_ns};
}

bool pd_watchdog_look(struct pd_watchdog *w, uint64_t came_out, int waiting, int64_t longest_ns, int64_t now_ns)
{
    w->awake_ns += PD_MIN(now_ns - w->looked_ns, LOOK_NS);
    w->looked_ns = now_ns;
    if (came_out != w->came_out || waiting <= 0) {
        w->came_out = came_out;
        w->progress_ns = w->awake_ns;
    }
    return pd_watchdog_allows(w, w->awake_ns - w->progress_ns, longest_ns);
}

int64_t pd_watchdog_age(const struct pd_watchdog *w, struct pd_watchdog_call *call, int64_t since_ns)
{
    if (!since_ns || call->since_ns != since_ns) {
        if (call->since_ns && call->seen_ns > call->awake_ns) /* it ended since the last look */
            call->longest_ns = PD_MAX(call->longest_ns, w->awake_ns - call->awake_ns);
        call->since_ns = since_ns;
        call->awake_ns = w->awake_ns;
    }
    call->seen_ns = w->awake_ns;
    return w->awake_ns - call->awake_ns;
}

bool pd_watchdog_allows(const struct pd_watchdog *w, int64_t age_ns, int64_t longest_ns)
{
    return age_ns < PD_MAX(w->limit_ns, LONGEST_TIMES * longest_ns);
}
