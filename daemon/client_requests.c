/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/client.h"

#include <string.h>

/* ---- requests ---- */

static void answer_metrics(struct pd_client *client)
{
    const struct pd_server_params *params = &client->server->params;
    struct pd_line **lines = NULL;
    char *text = params->ops->metrics(params->user);
    if (!text || pd_json_metrics(text, &lines) < 0)
        pd_client_reply(client, NULL);
    for (int i = 0; lines && lines[i]; i++)
        pd_client_reply(client, lines[i]);
    free(lines);
    free(text);
}

static void handle_request(struct pd_client *client, const char *text, size_t len)
{
    struct pd_server *server = client->server;
    struct pd_request *request = &server->request;
    struct pd_err err;
    if (pd_json_parse_request(text, len, request, &err) < 0) {
        server->totals.bad_requests++;
        pd_client_reply(client, pd_json_error(err.text));
        return;
    }
    client->asked = true;
    switch (request->kind) {
    case PD_REQUEST_SUBSCRIBE:
        if (pd_hub_subscribe(server->params.hub, &client->sub, request) < 0)
            pd_client_reply(client, NULL);
        break;
    case PD_REQUEST_STATUS:
        if (server->params.ops->status(&client->sub, server->params.user) < 0)
            pd_client_reply(client, NULL);
        break;
    case PD_REQUEST_METRICS:
        answer_metrics(client);
        break;
    case PD_REQUEST_PING:
        pd_client_reply(client, pd_json_pong(request));
        break;
    }
}

/* ---- lines ---- */

static void handle_line(struct pd_client *client, const char *text, size_t len)
{
    if (len && text[len - 1] == '\r')
        len--;
    if (len)
        handle_request(client, text, len);
}

/* Work through whole lines in the buffer, as long as the client takes the answers. */
static void take_lines(struct pd_client *client)
{
    size_t at = 0;
    while (!client->closing && !client->finishing) {
        const char *end = memchr(client->in + at, '\n', client->n_in - at);
        if (!end)
            break;
        if (client->sub.outbox.reply_bytes > PD_CLIENT_REPLIES_MAX) {
            client->paused = true;
            uv_read_stop((uv_stream_t *)&client->pipe);
            break;
        }
        handle_line(client, client->in + at, (size_t)(end - client->in) - at);
        at = (size_t)(end - client->in) + 1;
    }
    memmove(client->in, client->in + at, client->n_in - at);
    client->n_in -= at;
    if (client->n_in == sizeof(client->in) && !client->paused && !client->closing && !client->finishing) {
        client->server->totals.bad_requests++;
        pd_client_reply(client, pd_json_error("a line may have at most 4096 bytes"));
        pd_client_finish(client, "line too long");
    }
}

/* A client that only closed its sending side (`echo ... | nc -U -N`) is still served. */
static void on_end(struct pd_client *client)
{
    if (client->n_in)
        handle_line(client, client->in, client->n_in);
    client->n_in = 0;
    client->half_closed = true;
    if (pd_client_peer_is_gone(client))
        pd_client_close(client);
    else if (!client->sub.subscribed)
        client->finishing = true;
    if (!client->closing)
        pd_client_flush(client);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct pd_client *client = handle->data;
    *buf = uv_buf_init(client->in + client->n_in, (unsigned)(sizeof(client->in) - client->n_in));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct pd_client *client = stream->data;
    if (client->closing || n == 0)
        return;
    if (n == UV_EOF) {
        uv_read_stop(stream);
        on_end(client);
        return;
    }
    if (n < 0) {
        pd_client_close(client);
        return;
    }
    client->n_in += (size_t)n;
    take_lines(client);
    pd_client_flush(client);
}

void pd_client_read(struct pd_client *client)
{
    take_lines(client);
    if (client->closing || client->finishing || client->paused || client->half_closed)
        return;
    if (uv_read_start((uv_stream_t *)&client->pipe, on_alloc, on_read) < 0)
        pd_client_close(client);
}
