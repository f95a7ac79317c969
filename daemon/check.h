#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * The steps of `posed check`. Each looks at one part of the world that the configuration names and tells what it found,
 * one finding a line; nothing is changed. Main thread.
 */
#include "core/net/net.h"
#include "daemon/config.h"

enum pd_check_level {
    PD_CHECK_OK,
    PD_CHECK_NOTE, /* neither good nor bad */
    PD_CHECK_WARN, /* works, or may work later */
    PD_CHECK_FAIL, /* `posed run` would not start, or a part of it would not work */
};

struct pd_check;

/* @part: what the finding is about, one word: "config", "socket", "camera". */
void pd_check_tell(struct pd_check *check, enum pd_check_level level, const char *part, const char *fmt, ...)
    PD_PRINTF(4, 5);

/* Socket path, group, cache directory, threads. */
void pd_check_site(struct pd_check *check, const struct pd_config *config);
/* That the files which enabled cameras play are there. */
void pd_check_inputs(struct pd_check *check, const struct pd_config *config);
/* The network file and the engines; opens the engine that the daemon would use. */
void pd_check_engine(struct pd_check *check, const struct pd_config *config);
/* Open each enabled camera once, several at a time, and tell size, codec and rate or the reason. */
void pd_check_cameras(struct pd_check *check, const struct pd_config *config);
