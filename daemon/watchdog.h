#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether the pipeline moves: what the service manager's watchdog is fed by. Progress is a frame that came out, as a
 * line or as a failure. A frame that a newer one replaced in the queue is none: that is all that still happens to a
 * live camera's frames when the engine hangs.
 *
 * Pure data, no clock of its own. One thread.
 */
#include <stdbool.h>
#include <stdint.h>

struct pd_watchdog {
    int64_t limit_ns;    /* without progress for this long while frames wait: stuck */
    uint64_t came_out;   /* when last looked at */
    int64_t progress_ns; /* when it last changed, or nothing waited */
};

void pd_watchdog_start(struct pd_watchdog *w, int64_t limit_ns, int64_t now_ns);
/* @came_out: frames published or failed, any total that changes with each. @waiting: frames that wait or are under way;
 * with none of them nothing is expected, so cameras that are down are no fault. @longest_ns: the longest batch so far,
 * ten times which is always allowed. Returns whether the pipeline is healthy. */
bool pd_watchdog_look(struct pd_watchdog *w, uint64_t came_out, int waiting, int64_t longest_ns, int64_t now_ns);
/* One of several engines: whether its batch of @age_ns may still take that long, when its longest took @longest_ns.
 * Frames may come out of the other engines all the while. */
bool pd_watchdog_allows(const struct pd_watchdog *w, int64_t age_ns, int64_t longest_ns);
