/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config_diff.h"

#include <string.h>

#include "daemon/config_table.h"

static void diff_cameras(const struct pd_config *before, const struct pd_config *after,
                         const struct pd_config_diff *diff)
{
    /* both are sorted by name: a merge */
    int i = 0, j = 0;
    while (i < before->n_cameras || j < after->n_cameras) {
        const struct pd_camera_config *old = i < before->n_cameras ? &before->cameras[i] : NULL;
        const struct pd_camera_config *new = j < after->n_cameras ? &after->cameras[j] : NULL;
        int order = !old ? 1 : !new ? -1 : strcmp(old->name, new->name);
        if (order < 0)
            new = NULL;
        if (order > 0)
            old = NULL;
        i += old != NULL;
        j += new != NULL;
        if (!old || !new || !pd_camera_config_equal(old, new))
            diff->camera(old, new, diff->user);
    }
}

void pd_config_diff(const struct pd_config *start, const struct pd_config *before, const struct pd_config *after,
                    const struct pd_config_diff *diff)
{
    const struct pd_option *opt;
    for (int i = 0; (opt = pd_option_at(PD_SCOPE_DAEMON, i)); i++)
        if (!pd_option_equal(opt, start, after))
            diff->key(opt->key, opt->on_change == PD_CHANGE_LIVE, diff->user);
    diff_cameras(before, after, diff);
}
