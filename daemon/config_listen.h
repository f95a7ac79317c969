#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * The value of metrics_listen: a numeric address and a port. Pure functions, any thread.
 */
#include <stdbool.h>
#include <sys/socket.h>

struct pd_listen_address {
    struct sockaddr_storage address;
    socklen_t len;
    bool loopback; /* nobody outside this machine can reach it */
};

/* "127.0.0.1:9464" or "[::1]:9464"; names are not looked up; port 0 is any free one. False when @text is neither. */
bool pd_config_listen_address(const char *text, struct pd_listen_address *ret_address);
/* Why posed.json may not have @text (NULL: no endpoint) as metrics_listen: "found ..., expected ...", or NULL. */
const char *pd_config_listen_fault(const char *text, bool metrics_remote);
