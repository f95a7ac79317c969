#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Time. Every wait and every age is on the monotonic clock in nanoseconds; wall time (UTC, microseconds) is only ever
 * published. Logic that waits takes a struct pd_clock, so that tests step it by hand. Any thread.
 */
#include <stdint.h>

#define PD_NS_PER_MS INT64_C(1000000)
#define PD_NS_PER_S INT64_C(1000000000)

int64_t pd_now_ns(void);  /* CLOCK_MONOTONIC */
int64_t pd_wall_us(void); /* CLOCK_REALTIME, microseconds since 1970 */

struct pd_clock {
    int64_t (*now_ns)(void *user);
    void *user;
};

/* The machine's own clock. */
extern const struct pd_clock pd_clock_system;

static inline int64_t pd_clock_now(const struct pd_clock *clock)
{
    return clock->now_ns(clock->user);
}
