#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether the certificate of a camera behind TLS is checked: libav takes any, unless it is told otherwise for each
 * connection that it opens. The thread that reads.
 */
#include "core/err.h"
#include "decode/input.h"

struct AVFormatContext;
struct AVIOContext;

#define PD_TLS_PLAYLIST_OPTION "http_persistent" /* may be left in @opts: only playlists know it */

struct pd_tls {
    const char *ca_file; /* NULL: nothing is checked */
    const char *name;    /* what the certificate must bear; NULL: the host of the URL */
    int (*open)(struct AVFormatContext *fmt, struct AVIOContext **pb, const char *url, int flags,
                struct AVDictionary **opts); /* libav's own */
};

/* Before avformat_open_input(): sees to it that every connection of @fmt is checked, or says why it cannot be. @opts:
 * of the opening; @tls lives as long as @fmt, which holds it as its opaque. Returns 0 or a negative errno. */
int pd_tls_prepare(struct pd_tls *tls, const struct pd_input *input, const struct pd_reader_params *params,
                   struct AVFormatContext *fmt, struct AVDictionary **opts, struct pd_err *err);
