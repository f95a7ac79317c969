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
/* If stderr is the journal's, log lines go there with fields of their own from now on, POSED_CAMERA among them; else,
 * and when it does not take one, they stay lines of stderr. */
void pd_notify_take_log(void);
/* How often WATCHDOG=1 has to come, 0: nobody waits for it. */
int64_t pd_notify_watchdog_ns(void);
/* A listening socket that came with the start (socket activation), -1: none; -EINVAL: more than one, or of a wrong
 * kind. */
int pd_notify_listen_fd(void);
