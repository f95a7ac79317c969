/* SPDX-License-Identifier: Apache-2.0 - built without libmicrohttpd. */
#include <errno.h>

#include "daemon/http.h"

int pd_http_probe(const char *listen_to, struct pd_err *err)
{
    return pd_err_set(err, -ENOTSUP, "metrics_listen %s: this posed was built without libmicrohttpd; 'posectl metrics' "
                      "tells the same", listen_to);
}

int pd_http_start(const struct pd_http_params *params, struct pd_http **ret_http, struct pd_err *err)
{
    return pd_http_probe(params->listen, err);
}

const char *pd_http_url(const struct pd_http *http)
{
    return "";
}

void pd_http_close(struct pd_http *http)
{
}
