/* SPDX-License-Identifier: Apache-2.0 - `posed check`: socket, group, metrics, cache, threads. */
#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/check.h"
#include "daemon/config_url.h"
#include "daemon/http.h"

/* The part of @path before its last slash, "/" at least, in @dir. */
static void parent_of(const char *path, char *dir, size_t cap)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash && slash > path ? (size_t)(slash - path) : 1;
    len = PD_MIN(len, cap - 1);
    memcpy(dir, path, len);
    dir[len] = 0;
}

/* Whether somebody accepts connections at @path. */
static bool is_answered(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, PD_MIN(strlen(path), sizeof(address.sun_path) - 1));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    /* EAGAIN: it lives, its queue of new clients is full */
    bool alive = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 || errno == EAGAIN;
    close(fd);
    return alive;
}

static void check_socket(struct pd_check *check, const struct pd_config *config)
{
    char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
    struct stat st;
    parent_of(config->socket, dir, sizeof(dir));
    if (stat(dir, &st) < 0) {
        if (errno == ENOENT)
            pd_check_tell(check, PD_CHECK_WARN, "socket", "%s: the folder %s is not there yet; the unit makes "
                          "/run/posed, any other has to be made before the start", config->socket, dir);
        else
            pd_check_tell(check, PD_CHECK_FAIL, "socket", "%s: %s", dir, strerror(errno));
    } else if (!S_ISDIR(st.st_mode)) {
        pd_check_tell(check, PD_CHECK_FAIL, "socket", "%s is no folder", dir);
    } else if (lstat(config->socket, &st) < 0) {
        if (access(dir, W_OK | X_OK) < 0)
            pd_check_tell(check, PD_CHECK_WARN, "socket", "%s: this user may not make files in %s; the daemon's "
                          "user must", config->socket, dir);
        else
            pd_check_tell(check, PD_CHECK_OK, "socket", "%s", config->socket);
    } else if (!S_ISSOCK(st.st_mode)) {
        pd_check_tell(check, PD_CHECK_FAIL, "socket", "%s is there and is no socket: move it away, or choose another "
                      "path", config->socket);
    } else if (is_answered(config->socket)) {
        pd_check_tell(check, PD_CHECK_NOTE, "socket", "%s: a daemon answers there; a second one would not start",
                      config->socket);
    } else {
        pd_check_tell(check, PD_CHECK_OK, "socket", "%s: left over from a daemon that is gone, will be replaced",
                      config->socket);
    }
}

static bool is_member(gid_t gid)
{
    if (geteuid() == 0 || getegid() == gid)
        return true;
    gid_t groups[256];
    int n = getgroups((int)PD_ARRAY_SIZE(groups), groups);
    for (int i = 0; i < n; i++)
        if (groups[i] == gid)
            return true;
    return false;
}

static void check_group(struct pd_check *check, const struct pd_config *config)
{
    if (!config->socket_group)
        return;
    errno = 0;
    const struct group *group = getgrnam(config->socket_group);
    if (!group)
        pd_check_tell(check, PD_CHECK_FAIL, "group", "%s: no such group%s%s; make it with groupadd, or take "
                      "socket_group out", config->socket_group, errno ? ": " : "", errno ? strerror(errno) : "");
    else if (!is_member(group->gr_gid))
        pd_check_tell(check, PD_CHECK_WARN, "group", "%s: this user is no member; the daemon's user must be, or it "
                      "cannot give the socket to the group", config->socket_group);
    else
        pd_check_tell(check, PD_CHECK_OK, "group", "%s", config->socket_group);
}

/* A port that is taken keeps the daemon from starting, unless it is the daemon that runs who has it. */
static void check_metrics(struct pd_check *check, const struct pd_config *config)
{
    struct pd_err err;
    const char *listen_to = config->metrics_listen;
    if (!listen_to)
        return;
    int r = pd_http_probe(listen_to, &err);
    if (r == 0)
        pd_check_tell(check, PD_CHECK_OK, "metrics", "%s", listen_to);
    else if (r == -EADDRINUSE && is_answered(config->socket))
        pd_check_tell(check, PD_CHECK_NOTE, "metrics", "%s: taken, as it should be by the daemon that runs",
                      listen_to);
    else if (r == -EACCES)
        pd_check_tell(check, PD_CHECK_WARN, "metrics", "%s: this user may not listen there; the daemon's user must",
                      listen_to);
    else
        pd_check_tell(check, PD_CHECK_FAIL, "metrics", "%s", err.text);
}

static void check_cache(struct pd_check *check, const struct pd_config *config)
{
    if (access(config->cache_dir, W_OK | X_OK) == 0)
        pd_check_tell(check, PD_CHECK_OK, "cache", "%s", config->cache_dir);
    else
        pd_check_tell(check, PD_CHECK_NOTE, "cache", "%s: %s; without it some engines measure anew at each start (the "
                      "unit makes /var/cache/posed)", config->cache_dir, strerror(errno));
}

static void check_threads(struct pd_check *check, const struct pd_config *config)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) < 0)
        return;
    int cores = CPU_COUNT(&set);
    if (config->threads > cores)
        pd_check_tell(check, PD_CHECK_WARN, "threads", "threads is %d and this process may use %d cores: more threads "
                      "than cores make a CPU engine slower", config->threads, cores);
    else
        pd_check_tell(check, PD_CHECK_OK, "threads", "%d of %d cores for a CPU engine",
                      config->threads ? config->threads : cores, cores);
}

void pd_check_site(struct pd_check *check, const struct pd_config *config)
{
    check_socket(check, config);
    check_group(check, config);
    check_metrics(check, config);
    check_cache(check, config);
    check_threads(check, config);
}

void pd_check_inputs(struct pd_check *check, const struct pd_config *config)
{
    for (int i = 0; i < config->n_cameras; i++) {
        const struct pd_camera_config *camera = &config->cameras[i];
        if (camera->enabled && pd_config_url_path(camera->url) && access(camera->url, R_OK) < 0)
            pd_check_tell(check, PD_CHECK_WARN, "camera", "%s: %s: %s", camera->name, camera->url, strerror(errno));
    }
}
