/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "core/log.h"
#include "daemon/client.h"

#define BACKLOG 1024
#define REST_MS 250                  /* after accept() failed, the listener is left alone for so long */
#define COMPLAIN_NS (60 * PD_NS_PER_S) /* between two log lines about the same */
/* Lines wait for as long as the last ones took to write, so that writing takes at most half of the loop's time, and
 * fewer, larger writes come by themselves as clients become many; but no longer than this, which nobody notices. */
#define PAUSE_MAX_NS (8 * PD_NS_PER_MS)

static void flush_one(struct pd_subscriber *sub)
{
    struct pd_client *client = PD_CONTAINER_OF(sub, struct pd_client, sub);
    if (sub->outbox.first && !client->writing)
        pd_client_flush(client);
}

static void flush_all(struct pd_server *server)
{
    int64_t begin = pd_now_ns();
    pd_hub_spread(server->params.hub, flush_one);
    server->flushed_ns = pd_now_ns();
    server->pause_ns = PD_MIN(server->flushed_ns - begin, PAUSE_MAX_NS);
}

static void on_flush_timer(uv_timer_t *timer)
{
    flush_all(timer->data);
}

void pd_server_flush(struct pd_server *server)
{
    if (server->closed || uv_is_active((uv_handle_t *)&server->flush_timer))
        return;
    int64_t wait = server->flushed_ns + server->pause_ns - pd_now_ns();
    if (wait < PD_NS_PER_MS) { /* less than the timer can tell */
        flush_all(server);
        return;
    }
    uv_update_time(server->params.loop);
    uv_timer_start(&server->flush_timer, on_flush_timer, (uint64_t)(wait / PD_NS_PER_MS), 0);
}

static void on_second(uv_timer_t *timer)
{
    struct pd_server *server = timer->data;
    int64_t now = pd_now_ns();
    for (struct pd_client *client = server->clients, *next; client; client = next) {
        next = client->next;
        pd_client_check(client, now);
    }
}

/* ---- the listener ---- */

static void on_handle_closed(uv_handle_t *handle)
{
    struct pd_server *server = handle->data;
    server->n_handles--;
    pd_server_client_gone(server);
}

static void close_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, on_handle_closed);
}

static int start_listening(struct pd_server *server);

static void on_rest_over(uv_timer_t *timer)
{
    struct pd_server *server = timer->data;
    if (server->accepting && !server->listening && start_listening(server) < 0)
        uv_timer_start(&server->rest_timer, on_rest_over, REST_MS, 0);
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct pd_server *server = handle->data;
    server->listening = false;
    if (server->accepting)
        uv_timer_start(&server->rest_timer, on_rest_over, REST_MS, 0);
    on_handle_closed(handle);
}

static void close_listener(struct pd_server *server)
{
    if (server->listening && !uv_is_closing((uv_handle_t *)&server->listener))
        uv_close((uv_handle_t *)&server->listener, on_listener_closed);
}

/* When accept() fails for want of descriptors or memory, libuv tries again at once and for ever: only a listener that
 * is closed lets the loop go on. Clients wait in the socket's backlog meanwhile, which server->fd keeps. */
static void on_connection(uv_stream_t *listener, int status)
{
    struct pd_server *server = listener->data;
    if (status == 0 && pd_client_accept(server))
        return;
    if (status == 0)
        status = UV_ENOMEM;
    pd_server_complain(server, "clients have to wait: %s", uv_strerror(status));
    close_listener(server);
}

static int start_listening(struct pd_server *server)
{
    int fd = fcntl(server->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    uv_pipe_init(server->params.loop, &server->listener, 0);
    server->listener.data = server;
    server->listening = true;
    server->n_handles++;
    int r = uv_pipe_open(&server->listener, fd);
    if (r < 0)
        close(fd);
    if (r == 0)
        r = uv_listen((uv_stream_t *)&server->listener, BACKLOG, on_connection);
    if (r < 0)
        close_listener(server);
    return r;
}

void pd_server_complain(struct pd_server *server, const char *fmt, ...)
{
    int64_t now = pd_now_ns();
    if (server->complained_ns && now - server->complained_ns < COMPLAIN_NS)
        return;
    server->complained_ns = now;
    char text[128];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    pd_log_warn("socket", "%s", text);
}

static void init_timer(struct pd_server *server, uv_timer_t *timer)
{
    uv_timer_init(server->params.loop, timer);
    timer->data = server;
    server->n_handles++;
}

int pd_server_start(const struct pd_server_params *params, struct pd_server **ret_server, struct pd_err *err)
{
    struct pd_server *server = calloc(1, sizeof(*server));
    if (!server) {
        close(params->fd);
        return pd_err_set(err, -ENOMEM, "out of memory");
    }
    server->params = *params;
    server->fd = params->fd;
    init_timer(server, &server->flush_timer);
    init_timer(server, &server->rest_timer);
    init_timer(server, &server->second_timer);
    init_timer(server, &server->close_timer);
    server->accepting = true;
    int r = start_listening(server);
    *ret_server = server;
    if (r < 0)
        return pd_err_set(err, r, "cannot listen: %s", uv_strerror(r));
    uv_timer_start(&server->second_timer, on_second, 1000, 1000);
    return 0;
}

void pd_server_get_stats(const struct pd_server *server, struct pd_server_stats *ret_stats)
{
    *ret_stats = server->totals;
    ret_stats->clients = server->n_clients;
    for (const struct pd_client *client = server->clients; client; client = client->next) {
        ret_stats->subscribed += client->sub.subscribed;
        ret_stats->queued_bytes += client->sub.outbox.bytes;
    }
}

void pd_server_set_limits(struct pd_server *server, int max_clients, int fd_reserve)
{
    server->params.max_clients = max_clients;
    server->params.fd_reserve = fd_reserve;
}

void pd_server_stop_accepting(struct pd_server *server)
{
    if (!server->accepting)
        return;
    server->accepting = false;
    close_listener(server);
    close(server->fd);
}

static void on_close_timer(uv_timer_t *timer)
{
    struct pd_server *server = timer->data;
    for (struct pd_client *client = server->clients, *next; client; client = next) {
        next = client->next;
        pd_client_close(client);
    }
}

void pd_server_client_gone(struct pd_server *server)
{
    if (!server->closed || server->clients)
        return;
    /* The last client has left: now the server's own handles, and after the last of these the server. */
    pd_server_stop_accepting(server);
    close_handle((uv_handle_t *)&server->flush_timer);
    close_handle((uv_handle_t *)&server->rest_timer);
    close_handle((uv_handle_t *)&server->second_timer);
    close_handle((uv_handle_t *)&server->close_timer);
    if (server->n_handles)
        return;
    void (*closed)(void *user) = server->closed;
    void *user = server->params.user;
    free(server);
    closed(user);
}

void pd_server_close(struct pd_server *server, const char *reason, int grace_ms, void (*closed)(void *user))
{
    pd_server_stop_accepting(server);
    server->closed = closed;
    for (struct pd_client *client = server->clients, *next; client; client = next) {
        next = client->next;
        pd_client_finish(client, reason);
    }
    uv_update_time(server->params.loop);
    if (!server->clients)
        pd_server_client_gone(server);
    else
        uv_timer_start(&server->close_timer, on_close_timer, (uint64_t)grace_ms, 0);
}

void pd_server_hurry(struct pd_server *server)
{
    on_close_timer(&server->close_timer);
}
