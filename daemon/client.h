#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * One connection of the server's: client.c accepts, writes and closes, client_requests.c reads and answers. Private to
 * these and server.c. Loop thread.
 */
#include "core/clock.h"
#include "daemon/server.h"

/* Requests are not read while this much of earlier answers has not been taken. */
#define PD_CLIENT_REPLIES_MAX (64 * 1024)

struct pd_client {
    struct pd_subscriber sub; /* first: the hub's list is also the server's */
    struct pd_server *server;
    uv_pipe_t pipe;
    uv_write_t write;
    bool writing;    /* the outbox's current line is with libuv */
    bool finishing;  /* close as soon as the outbox is empty */
    const char *bye_reason; /* finishing: a bye is still to be queued */
    bool closing;
    bool paused;     /* answers wait: requests are not read */
    bool half_closed;
    bool asked;      /* made a valid request */
    int64_t since_ns;
    int64_t progress_ns; /* when the kernel last took something, or there was nothing to take */
    size_t n_in;
    char in[PD_REQUEST_LINE_MAX];
    struct pd_client *prev, *next;
};

struct pd_server {
    struct pd_server_params params;
    int fd;              /* the socket; the listener has a duplicate of it */
    uv_pipe_t listener;
    bool accepting;
    bool listening;      /* the listener is open */
    uv_timer_t flush_timer, second_timer, close_timer;
    uv_timer_t rest_timer; /* until the listener is opened again */
    int64_t complained_ns;
    int64_t flushed_ns, pause_ns;
    int n_handles; /* open handles of the server's own */
    int n_clients;
    struct pd_client *clients;
    struct pd_server_stats totals;
    void (*closed)(void *user);
    struct pd_request request; /* scratch: too big for a stack */
};

/* Accept the connection that is waiting, or turn it away. False: no memory for either; libuv tells of no other one
 * before this one is taken. */
bool pd_client_accept(struct pd_server *server);
/* Write as much as the socket takes. May begin to close the client; memory is freed by a later callback. */
void pd_client_flush(struct pd_client *client);
/* The second's look: slow, idle, gone. */
void pd_client_check(struct pd_client *client, int64_t now_ns);
/* Queue a bye with @reason (a constant) behind what waits, and close when it is out. */
void pd_client_finish(struct pd_client *client, const char *reason);
void pd_client_close(struct pd_client *client);
/* The other side has closed both ways, not only its sending one. */
bool pd_client_peer_is_gone(const struct pd_client *client);
/* Queue @line, which is taken. Without memory for an answer the client is better off without the connection. */
void pd_client_reply(struct pd_client *client, struct pd_line *line);

/* ---- client_requests.c ---- */
/* Answer what has been read, as long as the client takes the answers, and read on. */
void pd_client_read(struct pd_client *client);

/* ---- server.c ---- */
/* The last callback of a client; the server may be waiting for it. */
void pd_server_client_gone(struct pd_server *server);
/* A warning about clients that could not be taken, once a minute at most. */
void pd_server_complain(struct pd_server *server, const char *fmt, ...) PD_PRINTF(2, 3);
