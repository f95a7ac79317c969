#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * What the service manager is told, and what it hands over. Two files implement it: notify-systemd.c and, for builds
 * without libsystemd, notify-fallback.c, where nobody listens. Loop thread.
 */
#include <stdint.h>

#include "core/util.h"

/* A state assignment as in sd_notify(3), "READY=1" and so on. */
void pd_notify(const char *fmt, ...) PD_PRINTF(1, 2);
/* How often WATCHDOG=1 has to come, 0: nobody waits for it. */
int64_t pd_notify_watchdog_ns(void);
/* A listening socket that came with the start (socket activation), -1: none; -EINVAL: more than one, or of a wrong
 * kind. */
int pd_notify_listen_fd(void);
