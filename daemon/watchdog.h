#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether the pipeline moves: what the service manager's watchdog is fed by. Progress is a frame that came out, as a
 * line or as a failure. A frame that a newer one replaced in the queue is none: that is all that still happens to a
 * live camera's frames when the engine hangs.
 *
 * Engines are watched by their batches as well, decoders by the deadlines of their blocking calls, which they keep as
 * long as they can: a call that is still under way long after its deadline will never return.
 *
 * Only time in which the loop looks once a second counts. A process that was stopped, or a machine too busy to run the
 * loop, keeps everything from moving and is no fault of the pipeline.
 *
 * Pure data, no clock of its own. One thread.
 */
#include <stdbool.h>
#include <stdint.h>

struct pd_watchdog {
    int64_t limit_ns;    /* without progress for this long while frames wait: stuck */
    uint64_t came_out;   /* when last looked at */
    int64_t looked_ns;   /* when that was */
    int64_t awake_ns;    /* time that counts, so far */
    int64_t progress_ns; /* its value when came_out last changed, or nothing waited */
};

/* Something that may be under way, one after the other. All zero at first. */
struct pd_watchdog_call {
    int64_t since_ns;   /* which one it was, when last looked at; 0: none */
    int64_t awake_ns;   /* when it was first seen */
    int64_t seen_ns;    /* when it was last */
    int64_t longest_ns; /* of those before it that were seen more than once, in time that counts */
};

void pd_watchdog_start(struct pd_watchdog *w, int64_t limit_ns, int64_t now_ns);
/* To be called once a second. @came_out: frames published or failed, any total that changes with each. @waiting: frames
 * that wait or are under way; with none of them nothing is expected, so cameras that are down are no fault.
 * @longest_ns: what a batch takes at most, ten times which is always allowed. Returns whether the pipeline moves. */
bool pd_watchdog_look(struct pd_watchdog *w, uint64_t came_out, int waiting, int64_t longest_ns, int64_t now_ns);
/* After pd_watchdog_look(). @since_ns tells one call from the next: when an engine began with its batch, when a
 * decoder's deadline was; 0: nothing is under way. Returns for how long it has been, in time that counts. */
int64_t pd_watchdog_age(const struct pd_watchdog *w, struct pd_watchdog_call *call, int64_t since_ns);
/* Whether what has taken @age_ns may take longer, when the longest takes @longest_ns. */
bool pd_watchdog_allows(const struct pd_watchdog *w, int64_t age_ns, int64_t longest_ns);
