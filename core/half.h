#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * A file that could not be written whole is no file: what a full disk left of it must not be taken for a result.
 */
#include <sys/stat.h>
#include <unistd.h>

/* Remove what was just being written at @path. A pipe, a device or a link that somebody put there stays. */
static inline void pd_remove_half(const char *path)
{
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISREG(st.st_mode))
        unlink(path);
}
