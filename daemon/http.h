#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * GET /metrics over HTTP, for a Prometheus that scrapes. libmicrohttpd speaks the protocol, driven by our loop: no
 * thread of its own, so that the text can be made where the numbers are. What a flood of requests can cost is bounded:
 * a page is made at most once a second, connections are few, and the loop looks after them at most 200 times a second.
 * Loop thread.
 */
#include <uv.h>

#include "core/err.h"

struct pd_http;

struct pd_http_params {
    uv_loop_t *loop;
    const char *listen;           /* as metrics_listen, valid */
    char *(*metrics)(void *user); /* the page's text, freed by pd_http; NULL: out of memory */
    void *user;
};

/* Negative errno with the reason in @err: the address is taken, or -ENOTSUP: built without libmicrohttpd. */
int pd_http_start(const struct pd_http_params *params, struct pd_http **ret_http, struct pd_err *err);
/* Whether it would start at @listen_to now: 0, or what it would fail with. Any thread. */
int pd_http_probe(const char *listen_to, struct pd_err *err);
/* "http://127.0.0.1:9464/metrics", with the port that was taken. */
const char *pd_http_url(const struct pd_http *http);
/* Close everything; metrics() is not called again; memory is freed by a later turn of the loop. NULL is fine. */
void pd_http_close(struct pd_http *http);
