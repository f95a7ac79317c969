#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * A camera's url, as far as the configuration has to know it. Pure functions, any thread.
 */
#include <stdbool.h>

/* Why @url cannot be a camera's input: "found ..., expected ..." without a piece of it, or NULL. */
const char *pd_config_url_fault(const char *url);
/* A network stream: rtsp, rtsps, http, https. */
bool pd_config_url_is_stream(const char *url);
/* One that is encrypted: rtsps, https. */
bool pd_config_url_is_tls(const char *url);
/* Where in @url the path of a file begins; NULL: it is a stream, a capture device or a test pattern. */
const char *pd_config_url_path(const char *url);
