/* SPDX-License-Identifier: Apache-2.0
 *
 * What is written must not be what is read: a clip that is drawn onto itself is lost before its second frame, and a
 * folder of pictures that is drawn into itself keeps no original.
 */
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "core/util.h"
#include "daemon/config_url.h"
#include "daemon/detect.h"

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* A device may be both: a terminal, /dev/null. */
static bool stat_stored(const char *path, struct stat *st)
{
    return !stat(path, st) && (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode));
}

static bool stat_parent(const char *path, struct stat *st)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return !stat(".", st);
    char folder[4096];
    size_t n = (size_t)(slash - path) + 1;
    if (n >= sizeof(folder))
        return false;
    memcpy(folder, path, n);
    folder[n] = 0;
    return !stat(folder, st);
}

/* A folder that is drawn into gets NAME.png of each picture NAME.*, and 000001.png and so on of a video. */
static bool may_be_drawn_over(const char *input, const struct stat *in, const struct stat *folder)
{
    const char *dot = strrchr(input, '.');
    struct stat parent;
    return is_same(in, folder) || (S_ISREG(in->st_mode) && dot && !strcasecmp(dot, ".png") &&
                                   stat_parent(input, &parent) && is_same(&parent, folder));
}

static int check_pair(const char *target, bool drawn, const char *input, struct pd_err *err)
{
    struct stat in, out, parent;
    if (!input || !stat_stored(input, &in) || !stat_stored(target, &out))
        return 0;
    if (S_ISREG(out.st_mode) && is_same(&in, &out))
        return pd_err_set(err, -EINVAL, "%s: is what is read; write to another file", target);
    if (drawn && S_ISDIR(out.st_mode) && may_be_drawn_over(input, &in, &out))
        return pd_err_set(err, -EINVAL, "%s: has pictures that are read; draw into another folder", target);
    if (drawn && S_ISREG(out.st_mode) && S_ISDIR(in.st_mode) && stat_parent(target, &parent) && is_same(&in, &parent))
        return pd_err_set(err, -EINVAL, "%s: is in a folder that is read; draw into another one", target);
    return 0;
}

int pd_detect_targets_check(const struct pd_detect_options *options, char **inputs, struct pd_err *err)
{
    const char *const targets[] = {options->output, options->draw};
    int rc = 0;
    for (size_t t = 0; t < PD_ARRAY_SIZE(targets); t++) {
        if (!targets[t])
            continue;
        rc = check_pair(targets[t], false, options->annotations, err);
        if (!rc)
            rc = check_pair(targets[t], false, options->cli.network, err);
        for (char **input = inputs; *input && !rc; input++)
            rc = check_pair(targets[t], t == 1, pd_config_url_path(*input), err);
        if (rc)
            return rc;
    }
    return 0;
}
