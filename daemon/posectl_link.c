/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/posectl_link.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define QUIET_MS 5000

static int connect_to(const char *path, struct pd_err *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(addr.sun_path))
        return pd_err_set(err, -ENAMETOOLONG, "%s: the path is too long for a socket", path);
    strcpy(addr.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return pd_err_set(err, -errno, "socket: %s", strerror(errno));
    if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0)
        return fd;
    int r = -errno;
    close(fd);
    if (r == -ENOENT || r == -ECONNREFUSED)
        return pd_err_set(err, r, "%s: no daemon answers there; is posed running? (--socket names another)", path);
    if (r == -EACCES)
        return pd_err_set(err, r, "%s: permission denied; its group decides who may connect", path);
    return pd_err_set(err, r, "%s: %s", path, strerror(-r));
}

/* A socket of the service manager, or of a daemon that opens its engine, takes connections long before they are
 * answered, and so does one that hangs: to wait is right, without a word it is not. */
static void wait_for_hello(int fd, const char *path)
{
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    if (poll(&poller, 1, QUIET_MS) == 0)
        fprintf(stderr, "posectl: %s: no answer yet: the daemon starts or hangs (journalctl -u posed); waiting\n",
                path);
}

int pd_link_open(struct pd_link *link, const char *path, json_t **ret_hello, struct pd_err *err)
{
    const char *text;
    json_t *hello;
    link->at = link->len = 0;
    link->fd = connect_to(path, err);
    if (link->fd < 0)
        return link->fd;
    wait_for_hello(link->fd, path);
    int r = pd_link_next(link, &text, &hello, err);
    if (r < 0) {
        pd_link_close(link);
        return r;
    }
    const char *type = json_string_value(json_object_get(hello, "type"));
    json_int_t protocol = json_integer_value(json_object_get(hello, "protocol"));
    if (!type || strcmp(type, "hello") || protocol != 1) {
        const char *reason = json_string_value(json_object_get(hello, "reason"));
        if (type && !strcmp(type, "bye") && reason)
            r = pd_err_set(err, -EPROTO, "%s: the daemon says: %s", path, reason);
        else
            r = pd_err_set(err, -EPROTO, "%s: what answers there does not speak protocol 1 of posed", path);
        json_decref(hello);
        pd_link_close(link);
        return r;
    }
    *ret_hello = hello;
    return 0;
}

int pd_link_send(struct pd_link *link, const char *line, struct pd_err *err)
{
    size_t len = strlen(line);
    while (len) {
        ssize_t n = send(link->fd, line, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return pd_err_set(err, -errno, "cannot send: %s", strerror(errno));
        line += n;
        len -= (size_t)n;
    }
    return 0;
}

int pd_link_next(struct pd_link *link, const char **ret_text, json_t **ret_line, struct pd_err *err)
{
    char *end;
    while (!(end = memchr(link->buf + link->at, '\n', link->len - link->at))) {
        memmove(link->buf, link->buf + link->at, link->len - link->at);
        link->len -= link->at;
        link->at = 0;
        if (link->len == sizeof(link->buf))
            return pd_err_set(err, -EPROTO, "a line of over %zu bytes: this is no posed", sizeof(link->buf));
        ssize_t n = read(link->fd, link->buf + link->len, sizeof(link->buf) - link->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return pd_err_set(err, -errno, "cannot read: %s", strerror(errno));
        if (n == 0)
            return pd_err_set(err, -EPIPE, "the daemon has ended the connection");
        link->len += (size_t)n;
    }
    *end = 0;
    *ret_text = link->buf + link->at;
    link->at = (size_t)(end - link->buf) + 1;
    json_error_t error;
    *ret_line = json_loads(*ret_text, 0, &error);
    return *ret_line ? 0 : pd_err_set(err, -EPROTO, "a line that is no JSON: %s", error.text);
}

void pd_link_close(struct pd_link *link)
{
    close(link->fd);
    link->fd = -1;
}
