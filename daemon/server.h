#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * The socket: accepts clients, greets them, reads their requests, and writes what the hub put into their outboxes.
 * Nothing here blocks. Loop thread.
 */
#include <uv.h>

#include "core/err.h"
#include "daemon/hub.h"

#define PD_STALL_NS (10 * PD_NS_PER_S) /* a client that takes nothing for this long is closed */
#define PD_IDLE_NS (30 * PD_NS_PER_S)  /* so is one that never asked for anything */

/* What only the pipeline's owner knows. Lines come with one reference; NULL: out of memory. */
struct pd_server_ops {
    struct pd_line *(*hello)(void *user);
    /* The answer to a status request: queue its lines with pd_outbox_reply(). -ENOMEM closes the client. */
    int (*status)(struct pd_subscriber *sub, void *user);
    /* Prometheus text, the server frees it. */
    char *(*metrics)(void *user);
};

struct pd_server_params {
    uv_loop_t *loop;
    struct pd_hub *hub;
    int fd;          /* bound stream socket; taken */
    int max_clients;
    int fd_reserve;  /* file descriptors that clients must leave free: a camera that comes back needs some */
    const struct pd_server_ops *ops;
    void *user;
};

struct pd_server_stats {
    int clients, subscribed;
    uint64_t accepted, refused, closed_slow, bad_requests;
    size_t queued_bytes; /* over all outboxes; shared lines count in each */
};

struct pd_server;

int pd_server_start(const struct pd_server_params *params, struct pd_server **ret_server, struct pd_err *err);
/* Outboxes have new lines. Writes at once, or after a pause as long as the last round took, at most 8 ms: a thousand
 * subscribers get many lines with one write each, a few get each line at once. */
void pd_server_flush(struct pd_server *server);
void pd_server_get_stats(const struct pd_server *server, struct pd_server_stats *ret_stats);
void pd_server_set_limits(struct pd_server *server, int max_clients, int fd_reserve);
/* No new clients from now on. */
void pd_server_stop_accepting(struct pd_server *server);
/* Say bye to everyone, give the lines that wait @grace_ms to leave, close, then call @closed; the server is gone after
 * it. */
void pd_server_close(struct pd_server *server, const char *reason, int grace_ms, void (*closed)(void *user));
/* After pd_server_close: end the grace now. */
void pd_server_hurry(struct pd_server *server);
