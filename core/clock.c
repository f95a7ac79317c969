/* SPDX-License-Identifier: Apache-2.0 */
#include "core/clock.h"

#include <stddef.h>
#include <time.h>

int64_t pd_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * PD_NS_PER_S + ts.tv_nsec;
}

int64_t pd_wall_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static int64_t system_now(void *user)
{
    (void)user;
    return pd_now_ns();
}

const struct pd_clock pd_clock_system = {system_now, NULL};
