/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/listen.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/util.h"

/* Somebody may answer, the path may be free, or it may be what a daemon that died left behind. */
static int clear_path(const struct sockaddr_un *addr, struct pd_err *err)
{
    struct stat st;
    if (lstat(addr->sun_path, &st) < 0) {
        if (errno == ENOENT)
            return 0;
        return pd_err_set(err, -errno, "socket %s: %s", addr->sun_path, strerror(errno));
    }
    if (!S_ISSOCK(st.st_mode))
        return pd_err_set(err, -EEXIST, "socket %s: there is a file of that name that is no socket; remove it or set "
                                        "another path", addr->sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return pd_err_set(err, -errno, "socket: %s", strerror(errno));
    /* EAGAIN: its backlog is full, so somebody lives there as well. */
    int r = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 ? -errno : 0;
    close(fd);
    if (r == 0 || r == -EAGAIN)
        return pd_err_set(err, -EADDRINUSE, "socket %s: a running daemon answers there; stop it or set another path",
                          addr->sun_path);
    if (r != -ECONNREFUSED && r != -ENOENT)
        return pd_err_set(err, r, "socket %s: %s", addr->sun_path, strerror(-r));
    if (unlink(addr->sun_path) < 0 && errno != ENOENT)
        return pd_err_set(err, -errno, "socket %s: cannot remove the one a dead daemon left: %s", addr->sun_path,
                          strerror(errno));
    return 0;
}

static int set_access(const char *path, int mode, const char *group, struct pd_err *err)
{
    if (group) {
        errno = 0;
        const struct group *entry = getgrnam(group);
        if (!entry)
            return pd_err_set(err, -EINVAL, "socket_group: there is no group '%s'", group);
        if (chown(path, (uid_t)-1, entry->gr_gid) < 0)
            return pd_err_set(err, -errno, "socket %s: cannot give it to group '%s': %s", path, group,
                              strerror(errno));
    }
    if (chmod(path, (mode_t)mode) < 0)
        return pd_err_set(err, -errno, "socket %s: chmod: %s", path, strerror(errno));
    return 0;
}

int pd_listen_bind(const char *path, int mode, const char *group, struct pd_listen *ret_listen, struct pd_err *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(addr.sun_path))
        return pd_err_set(err, -ENAMETOOLONG, "socket %s: the path has %zu bytes, %zu are possible; set a shorter one",
                          path, strlen(path), sizeof(addr.sun_path) - 1);
    strcpy(addr.sun_path, path);
    int r = clear_path(&addr, err);
    if (r < 0)
        return r;
    struct pd_listen listen = {.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (listen.fd < 0)
        return pd_err_set(err, -errno, "socket: %s", strerror(errno));
    /* Nobody may connect between bind and chmod who may not later. */
    fchmod(listen.fd, 0600);
    if (bind(listen.fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0) {
        r = pd_err_set(err, -errno, "socket %s: %s%s", path, strerror(errno),
                       errno == ENOENT ? "; create its folder first" : "");
        close(listen.fd);
        return r;
    }
    struct stat st;
    r = set_access(path, mode, group, err);
    if (r == 0 && lstat(path, &st) < 0)
        r = pd_err_set(err, -errno, "socket %s: %s", path, strerror(errno));
    listen.path = r == 0 ? strdup(path) : NULL;
    if (r == 0 && !listen.path)
        r = pd_err_set(err, -ENOMEM, "out of memory");
    if (r < 0) {
        unlink(path);
        close(listen.fd);
        return r;
    }
    listen.device = st.st_dev;
    listen.inode = st.st_ino;
    *ret_listen = listen;
    return 0;
}

void pd_listen_remove(struct pd_listen *listen)
{
    struct stat st;
    if (!listen->path)
        return;
    if (lstat(listen->path, &st) == 0 && st.st_dev == listen->device && st.st_ino == listen->inode)
        unlink(listen->path);
    free(listen->path);
    listen->path = NULL;
}
