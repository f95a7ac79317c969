/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/client.h"

#include <poll.h>
#include <sys/resource.h>

#include "core/log.h"

static void on_closed(uv_handle_t *handle)
{
    struct pd_client *client = handle->data;
    struct pd_server *server = client->server;
    pd_hub_leave(server->params.hub, &client->sub);
    *(client->prev ? &client->prev->next : &server->clients) = client->next;
    if (client->next)
        client->next->prev = client->prev;
    server->n_clients--;
    free(client);
    pd_server_client_gone(server);
}

void pd_client_close(struct pd_client *client)
{
    if (client->closing)
        return;
    client->closing = true;
    uv_close((uv_handle_t *)&client->pipe, on_closed);
}

bool pd_client_peer_is_gone(const struct pd_client *client)
{
    struct pollfd p = {.fd = -1};
    uv_fileno((const uv_handle_t *)&client->pipe, &p.fd);
    return poll(&p, 1, 0) != 0 && (p.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

void pd_client_reply(struct pd_client *client, struct pd_line *line)
{
    if (!line || pd_outbox_reply(&client->sub.outbox, line) < 0)
        pd_client_close(client);
    pd_line_unref(line);
}

static struct pd_line *bye_line(const struct pd_client *client, const char *reason)
{
    struct pd_client_numbers numbers = pd_subscriber_numbers(&client->sub);
    return pd_json_bye(reason, &numbers);
}

void pd_client_finish(struct pd_client *client, const char *reason)
{
    if (client->closing || client->finishing)
        return;
    pd_hub_end(client->server->params.hub, &client->sub); /* else the last line of a slow reader would never come */
    client->finishing = true;
    client->bye_reason = reason;
    uv_read_stop((uv_stream_t *)&client->pipe);
    pd_client_flush(client);
}

/* ---- writing ---- */

static void on_written(uv_write_t *req, int status)
{
    struct pd_client *client = req->data;
    client->writing = false;
    if (status < 0) {
        pd_client_close(client);
        return;
    }
    pd_outbox_current_done(&client->sub.outbox);
    client->progress_ns = pd_now_ns();
    pd_client_flush(client);
}

/* The socket is full: let libuv own the next line and say when it has gone. */
static void write_async(struct pd_client *client)
{
    struct pd_outbox *ob = &client->sub.outbox;
    if (!pd_outbox_start(ob, pd_hub_gaps(client->server->params.hub)))
        return;
    uv_buf_t buf = uv_buf_init(ob->current->text + ob->current_offset,
                               (unsigned)(ob->current->len - ob->current_offset));
    client->write.data = client;
    client->writing = true;
    if (uv_write(&client->write, (uv_stream_t *)&client->pipe, &buf, 1, on_written) < 0) {
        client->writing = false;
        pd_client_close(client);
    }
}

/* One gathered write. Returns whether the socket may take more. */
static bool write_some(struct pd_client *client)
{
    struct pd_gather g;
    uv_buf_t bufs[PD_OUTBOX_GATHER_MAX];
    struct pd_outbox *ob = &client->sub.outbox;
    pd_outbox_gather(ob, pd_hub_gaps(client->server->params.hub), PD_OUTBOX_GATHER_MAX, &g);
    for (int i = 0; i < g.n; i++)
        bufs[i] = uv_buf_init(g.iov[i].iov_base, (unsigned)g.iov[i].iov_len);
    size_t want = g.bytes;
    bool nothing = g.n == 0;
    int n = want ? uv_try_write((uv_stream_t *)&client->pipe, bufs, (unsigned)g.n) : 0;
    pd_outbox_commit(ob, &g, n > 0 ? (size_t)n : 0);
    if (n < 0 && n != UV_EAGAIN) {
        pd_client_close(client);
        return false;
    }
    if (n > 0)
        client->progress_ns = pd_now_ns();
    if (want && (n < 0 || (size_t)n < want)) {
        write_async(client);
        return false;
    }
    return !nothing;
}

void pd_client_flush(struct pd_client *client)
{
    struct pd_outbox *ob = &client->sub.outbox;
    if (client->sub.evicted)
        pd_client_close(client);
    while (!client->closing && !client->writing && ob->first)
        if (!write_some(client))
            break;
    if (client->closing || client->writing)
        return;
    if (client->finishing && pd_outbox_empty(ob)) {
        const char *reason = client->bye_reason;
        client->bye_reason = NULL;
        if (reason) /* everything else is out, so its numbers are final */
            pd_client_reply(client, bye_line(client, reason));
        if (reason && !client->closing)
            pd_client_flush(client);
        else
            pd_client_close(client);
        return;
    }
    if (client->paused && ob->reply_bytes < PD_CLIENT_REPLIES_MAX / 2) {
        client->paused = false;
        pd_client_read(client);
    }
}

/* ---- coming and going ---- */

void pd_client_check(struct pd_client *client, int64_t now_ns)
{
    if (client->closing)
        return;
    if (client->sub.evicted || (client->half_closed && pd_client_peer_is_gone(client))) {
        pd_client_close(client);
        return;
    }
    if (pd_outbox_empty(&client->sub.outbox)) {
        client->progress_ns = now_ns;
        if (!client->asked && now_ns - client->since_ns > PD_IDLE_NS)
            pd_client_finish(client, "idle: no request in 30 s");
        return;
    }
    if (now_ns - client->progress_ns <= PD_STALL_NS)
        return;
    client->server->totals.closed_slow++;
    pd_log_info(NULL, "a client took nothing for 10 s and is closed; %zu bytes waited", client->sub.outbox.bytes);
    struct pd_line *bye = client->sub.outbox.current ? NULL : bye_line(client, "slow");
    if (bye) { /* at a line's end: worth a try, the socket may have room by chance */
        uv_buf_t buf = uv_buf_init(bye->text, (unsigned)bye->len);
        uv_try_write((uv_stream_t *)&client->pipe, &buf, 1);
    }
    pd_line_unref(bye);
    pd_client_close(client);
}

static void on_refused(uv_handle_t *handle)
{
    free(handle);
}

/* The connection has to be taken to be turned away: with a word when the socket takes it. */
static bool refuse(struct pd_server *server)
{
    uv_pipe_t *pipe = malloc(sizeof(*pipe));
    if (!pipe)
        return false;
    server->totals.refused++;
    uv_pipe_init(server->params.loop, pipe, 0);
    if (uv_accept((uv_stream_t *)&server->listener, (uv_stream_t *)pipe) == 0) {
        struct pd_line *bye = pd_json_bye("too many clients", &(struct pd_client_numbers){0});
        if (bye) {
            uv_buf_t buf = uv_buf_init(bye->text, (unsigned)bye->len);
            uv_try_write((uv_stream_t *)pipe, &buf, 1);
        }
        pd_line_unref(bye);
    }
    uv_close((uv_handle_t *)pipe, on_refused);
    return true;
}

/* New descriptors have the lowest free number, so the number tells how many are left. */
static bool leaves_reserve(const struct pd_client *client)
{
    struct rlimit limit;
    int fd = -1;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || uv_fileno((const uv_handle_t *)&client->pipe, &fd) < 0)
        return true;
    rlim_t reserve = PD_MIN((rlim_t)client->server->params.fd_reserve, limit.rlim_cur / 2);
    return (rlim_t)fd < limit.rlim_cur - reserve;
}

bool pd_client_accept(struct pd_server *server)
{
    if (server->n_clients >= server->params.max_clients)
        return refuse(server);
    struct pd_client *client = calloc(1, sizeof(*client));
    if (!client || pd_hub_join(server->params.hub, &client->sub) < 0) {
        free(client);
        return refuse(server);
    }
    client->server = server;
    client->since_ns = client->progress_ns = pd_now_ns();
    client->next = server->clients;
    if (server->clients)
        server->clients->prev = client;
    server->clients = client;
    server->n_clients++;
    server->totals.accepted++;
    uv_pipe_init(server->params.loop, &client->pipe, 0);
    client->pipe.data = client;
    if (uv_accept((uv_stream_t *)&server->listener, (uv_stream_t *)&client->pipe) < 0) {
        pd_client_close(client);
        return true;
    }
    if (!leaves_reserve(client)) {
        server->totals.refused++;
        pd_server_complain(server, "a client is turned away: the last free file descriptors are kept for cameras");
        pd_client_finish(client, "too many open files");
        return true;
    }
    pd_client_reply(client, server->params.ops->hello(server->params.user));
    if (!client->closing)
        pd_client_read(client);
    pd_client_flush(client);
    return true;
}
