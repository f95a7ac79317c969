#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * What a reload has to do: the difference of two loaded configurations, told call by call. Loop thread.
 */
#include "daemon/config.h"

struct pd_config_diff {
    /* A camera that is only in one of them (the other pointer is NULL), or that is not the same in both, in order of
     * names; those that did not change are left out. enabled is a key as any other. */
    void (*camera)(const struct pd_camera_config *before, const struct pd_camera_config *after, void *user);
    /* A key of posed.json whose value is not that of the start. @live: can be applied while running; else a restart is
     * needed. */
    void (*key)(const char *key, bool live, void *user);
    void *user;
};

/* @start: the configuration that the daemon was started with; @before: the one that was taken over last. */
void pd_config_diff(const struct pd_config *start, const struct pd_config *before, const struct pd_config *after,
                    const struct pd_config_diff *diff);
