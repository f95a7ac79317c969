/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/util.h"
#include "daemon/config_listen.h"

#define BACKLOG 64
#define CONNECTIONS 16
#define CONNECTION_S 10                /* a connection that says nothing for so long is closed */
#define CONNECTION_MEMORY (16 * 1024)
#define REST_MS 5                      /* between two looks at the connections */
#define BEAT_MS 250                    /* a look is taken at least this often */
#define PAGE_NS PD_NS_PER_S            /* how long a page is good for */
#define CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct pd_http {
    struct pd_http_params params;
    struct MHD_Daemon *mhd;
    struct MHD_Response *page; /* NULL before the first request */
    int64_t page_ns;           /* when it was made */
    uv_poll_t poll;            /* of libmicrohttpd's epoll descriptor */
    uv_timer_t timer;
    int n_handles;
    char url[96];
};

/* ---- answers ---- */

static struct MHD_Response *response_of(char *text, enum MHD_ResponseMemoryMode mode, const char *type)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(strlen(text), text, mode);
    if (!response) {
        if (mode == MHD_RESPMEM_MUST_FREE)
            free(text);
        return NULL;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    return response;
}

static struct MHD_Response *page_of(struct pd_http *http)
{
    int64_t now = pd_now_ns();
    if (http->page && now - http->page_ns < PAGE_NS)
        return http->page;
    char *text = http->params.metrics(http->params.user);
    struct MHD_Response *page = text ? response_of(text, MHD_RESPMEM_MUST_FREE, CONTENT_TYPE) : NULL;
    if (!page)
        return NULL;
    if (http->page)
        MHD_destroy_response(http->page); /* connections that still send it have their own references */
    http->page = page;
    http->page_ns = now;
    return page;
}

static enum MHD_Result answer_with(struct MHD_Connection *connection, unsigned status, const char *text)
{
    union {
        const char *in;
        char *out;
    } constant = {text}; /* libmicrohttpd only reads it */
    struct MHD_Response *response = response_of(constant.out, MHD_RESPMEM_PERSISTENT, "text/plain");
    if (!response)
        return MHD_NO;
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result on_request(void *user, struct MHD_Connection *connection, const char *path, const char *method,
                                  const char *version, const char *body, size_t *body_size, void **state)
{
    struct pd_http *http = user;
    static char asked; /* its address says that the headers have been seen */
    if (!*state) {
        *state = &asked;
        return MHD_YES; /* an answer now would close the connection */
    }
    if (*body_size) { /* of no use to anybody here */
        *body_size = 0;
        return MHD_YES;
    }
    if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD))
        return answer_with(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    if (strcmp(path, "/metrics"))
        return answer_with(connection, MHD_HTTP_NOT_FOUND, "see /metrics\n");
    struct MHD_Response *page = page_of(http);
    if (!page)
        return answer_with(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory\n");
    return MHD_queue_response(connection, MHD_HTTP_OK, page);
}

/* ---- the loop ---- */

static void run(struct pd_http *http);

static void on_ready(uv_poll_t *poll, int status, int events)
{
    run(poll->data);
}

static void on_due(uv_timer_t *timer)
{
    run(timer->data);
}

static void on_rested(uv_timer_t *timer)
{
    struct pd_http *http = timer->data;
    MHD_UNSIGNED_LONG_LONG wait_ms = 0;
    if (MHD_get_timeout(http->mhd, &wait_ms) != MHD_YES)
        wait_ms = BEAT_MS;
    if (wait_ms == 0) {
        run(http);
        return;
    }
    uv_poll_start(&http->poll, UV_READABLE, on_ready);
    /* libmicrohttpd takes its listening socket out of the epoll set while it has too many connections, and puts it back
     * when it is run next, which nothing else might make happen. */
    uv_timer_start(&http->timer, on_due, PD_MIN(wait_ms, (MHD_UNSIGNED_LONG_LONG)BEAT_MS), 0);
}

/* Whatever there is to do, then a rest: neither a flood of requests nor an accept() that keeps failing gets more of the
 * loop than that. */
static void run(struct pd_http *http)
{
    uv_poll_stop(&http->poll);
    MHD_run(http->mhd);
    uv_update_time(http->params.loop);
    uv_timer_start(&http->timer, on_rested, REST_MS, 0);
}

/* ---- start, close ---- */

static void log_line(void *user, const char *fmt, va_list ap) PD_PRINTF(2, 0);

static void log_line(void *user, const char *fmt, va_list ap)
{
    char text[256];
    vsnprintf(text, sizeof(text), fmt, ap);
    text[strcspn(text, "\n")] = 0;
    pd_log_debug("metrics", "%s", text);
}

/* A socket that listens at @listen_to; @ret_address: where that is, with the port that was taken. */
static int bind_to(const char *listen_to, struct pd_listen_address *ret_address, struct pd_err *err)
{
    struct pd_listen_address *a = ret_address;
    if (!pd_config_listen_address(listen_to, a))
        return pd_err_set(err, -EINVAL, "metrics_listen %s: not an address and a port", listen_to);
    int fd = socket(a->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1; /* a restart must not wait for connections of the run before */
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(fd, (struct sockaddr *)&a->address, a->len) < 0 || listen(fd, BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&a->address, &a->len) < 0) {
        int r = pd_err_set(err, -errno, "metrics_listen %s: %s", listen_to, strerror(errno));
        if (fd >= 0)
            close(fd);
        return r;
    }
    return fd;
}

static void set_url(struct pd_http *http, const struct pd_listen_address *a)
{
    char host[64] = "?", port[16] = "?";
    getnameinfo((const struct sockaddr *)&a->address, a->len, host, sizeof(host), port, sizeof(port),
                NI_NUMERICHOST | NI_NUMERICSERV);
    bool v6 = a->address.ss_family == AF_INET6;
    snprintf(http->url, sizeof(http->url), "http://%s%s%s:%s/metrics", v6 ? "[" : "", host, v6 ? "]" : "", port);
}

int pd_http_probe(const char *listen_to, struct pd_err *err)
{
    struct pd_listen_address address;
    int fd = bind_to(listen_to, &address, err);
    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct pd_http *http = handle->data;
    if (--http->n_handles > 0)
        return;
    MHD_stop_daemon(http->mhd);
    if (http->page)
        MHD_destroy_response(http->page);
    free(http);
}

int pd_http_start(const struct pd_http_params *params, struct pd_http **ret_http, struct pd_err *err)
{
    struct pd_http *http = calloc(1, sizeof(*http));
    if (!http)
        return pd_err_set(err, -ENOMEM, "out of memory");
    http->params = *params;
    struct pd_listen_address address;
    int fd = bind_to(params->listen, &address, err);
    if (fd < 0) {
        free(http);
        return fd;
    }
    set_url(http, &address);
    http->mhd = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, http, MHD_OPTION_EXTERNAL_LOGGER, log_line, NULL,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)CONNECTION_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY, MHD_OPTION_END);
    const union MHD_DaemonInfo *info = http->mhd ? MHD_get_daemon_info(http->mhd, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    int r = info ? uv_poll_init(params->loop, &http->poll, info->epoll_fd) : -ENOMEM;
    if (r < 0) {
        pd_err_set(err, r, "metrics_listen %s: libmicrohttpd cannot start", params->listen);
        if (http->mhd)
            MHD_stop_daemon(http->mhd); /* closes fd */
        else
            close(fd);
        free(http);
        return r;
    }
    uv_timer_init(params->loop, &http->timer);
    http->poll.data = http->timer.data = http;
    http->n_handles = 2;
    run(http);
    *ret_http = http;
    return 0;
}

const char *pd_http_url(const struct pd_http *http)
{
    return http->url;
}

void pd_http_close(struct pd_http *http)
{
    if (!http)
        return;
    uv_close((uv_handle_t *)&http->poll, on_closed);
    uv_close((uv_handle_t *)&http->timer, on_closed);
}
