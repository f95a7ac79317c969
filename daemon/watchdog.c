/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/watchdog.h"

#include "core/util.h"

#define LONGEST_TIMES 10

void pd_watchdog_start(struct pd_watchdog *w, int64_t limit_ns, int64_t now_ns)
{
    *w = (struct pd_watchdog){.limit_ns = limit_ns, .progress_ns = now_ns};
}

bool pd_watchdog_look(struct pd_watchdog *w, uint64_t came_out, int waiting, int64_t longest_ns, int64_t now_ns)
{
    if (came_out != w->came_out || waiting <= 0) {
        w->came_out = came_out;
        w->progress_ns = now_ns;
    }
    return pd_watchdog_allows(w, now_ns - w->progress_ns, longest_ns);
}

bool pd_watchdog_allows(const struct pd_watchdog *w, int64_t age_ns, int64_t longest_ns)
{
    return age_ns < PD_MAX(w->limit_ns, LONGEST_TIMES * longest_ns);
}
