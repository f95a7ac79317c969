#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * The path of the socket: taken, left behind by a dead daemon, too long, with the right mode and group. Loop thread.
 */
#include <sys/types.h>

#include "core/err.h"

struct pd_listen {
    int fd;
    char *path;  /* NULL: the socket came from outside and its path is not ours to remove */
    dev_t device;
    ino_t inode; /* of the socket as it was bound */
};

/* Bind a stream socket at @path, replacing one that a dead daemon left; listening is left to the caller. @group may be
 * NULL. -EADDRINUSE when a living daemon holds it. */
int pd_listen_bind(const char *path, int mode, const char *group, struct pd_listen *ret_listen, struct pd_err *err);
/* Remove the path if it is still our socket. The fd is the caller's to close. */
void pd_listen_remove(struct pd_listen *listen);
