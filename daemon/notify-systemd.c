/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syslog.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "core/log.h"

#define CAMERA "camera "
#define PATIENCE_S 1 /* with a service manager that must hear something and has no room for it */

/* In place of sd_notify(), which waits for ever: a manager that does not get to read has room for some 10 datagrams. */
static void tell_manager(const char *path, const char *state)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    const size_t n = strlen(path);
    const bool must_be_heard = strstr(state, "READY=1") || strstr(state, "RELOADING=1");
    if ((path[0] != '/' && path[0] != '@') || n >= sizeof(to.sun_path))
        return;
    memcpy(to.sun_path, path, n);
    if (path[0] == '@') /* an abstract address */
        to.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL | (must_be_heard ? 0 : MSG_DONTWAIT), (struct sockaddr *)&to,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
    close(fd);
}

void pd_notify(const char *fmt, ...)
{
    const char *path = getenv("NOTIFY_SOCKET");
    if (!path)
        return;
    char state[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(state, sizeof(state), fmt, ap);
    va_end(ap);
    /* Without a service manager, or with one that does not answer, the daemon does its work all the same. */
    tell_manager(path, state);
}

static bool to_journal(enum pd_log_level level, const char *context, const char *message)
{
    static const int priority[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
    const char *camera = context && !strncmp(context, CAMERA, strlen(CAMERA)) ? context + strlen(CAMERA) : NULL;
    char field[128];
    snprintf(field, sizeof(field), "POSED_CAMERA=%s", camera ? camera : "");
    /* an argument of NULL ends the list */
    return sd_journal_send("PRIORITY=%i", priority[level], "MESSAGE=%s%s%s", context ? context : "",
                           context ? ": " : "", message, camera ? "%s" : NULL, field, NULL) >= 0;
}

/* JOURNAL_STREAM is inherited by whatever a service starts; it speaks of stderr only while that is this very file. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat st;
    return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
           st.st_dev == device && st.st_ino == inode;
}

void pd_notify_take_log(void)
{
    if (stderr_is_journal())
        pd_log_set_sink(to_journal);
}

int64_t pd_notify_watchdog_ns(void)
{
    uint64_t us = 0;
    return sd_watchdog_enabled(0, &us) > 0 ? (int64_t)us * 1000 : 0;
}

int pd_notify_listen_fd(void)
{
    int n = sd_listen_fds(1);
    if (n <= 0)
        return -1;
    if (n > 1 || sd_is_socket_unix(SD_LISTEN_FDS_START, SOCK_STREAM, 1, NULL, 0) <= 0)
        return -EINVAL;
    return SD_LISTEN_FDS_START;
}
