#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * posectl's side of the socket: connect, send a request, read line by line. Blocking; one thread.
 */
#include <jansson.h>

#include "core/err.h"
#include "daemon/json_pose.h"

struct pd_link {
    int fd;
    size_t at, len;
    char buf[2 * PD_LINE_MAX];
};

/* Connect and read the hello; its object is the caller's. */
int pd_link_open(struct pd_link *link, const char *path, json_t **ret_hello, struct pd_err *err);
int pd_link_send(struct pd_link *link, const char *line, struct pd_err *err);
/* The next line (newline gone), valid until the next call, and parsed. -EPIPE when the daemon has hung up. */
int pd_link_next(struct pd_link *link, const char **ret_text, json_t **ret_line, struct pd_err *err);
void pd_link_close(struct pd_link *link);
