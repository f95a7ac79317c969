/* SPDX-License-Identifier: Apache-2.0 */
#include "decode/tls.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include <libavformat/avformat.h>
#include <libavutil/opt.h>

#include "decode/diagnose.h"

static int set_options(const struct pd_tls *tls, AVDictionary **opts)
{
    int r = av_dict_set(opts, "tls_verify", "1", 0);
    if (r >= 0)
        r = av_dict_set(opts, "ca_file", tls->ca_file, 0);
    if (r >= 0 && tls->name)
        r = av_dict_set(opts, "verifyhost", tls->name, 0);
    return PD_MIN(r, 0);
}

/* A server may answer with another address, and that one has no certificate. */
static bool led_elsewhere(AVIOContext *pb)
{
    uint8_t *location = NULL;
    bool other = av_opt_get(pb, "location", AV_OPT_SEARCH_CHILDREN, &location) >= 0 && location && *location &&
                 strncasecmp((const char *)location, "https:", 6) != 0;
    av_free(location);
    return other;
}

/* In place of libav's own opening, for the address itself and what a playlist behind it names: libav hands options of
 * TLS on to the first alone. */
static int open_checked(AVFormatContext *fmt, AVIOContext **pb, const char *url, int flags, AVDictionary **opts)
{
    const struct pd_tls *tls = fmt->opaque;
    AVDictionary *own = NULL;
    AVDictionary **all = opts ? opts : &own;
    if (strncasecmp(url, "http:", 5) == 0 || strstr(url, "+http:"))
        return AVERROR(EPERM);
    int r = set_options(tls, all);
    if (r >= 0)
        r = tls->open(fmt, pb, url, flags, all);
    if (r >= 0 && led_elsewhere(*pb)) {
        avio_closep(pb);
        r = AVERROR(EPERM);
    }
    /* What "data:" has no use for is no mistake. */
    av_dict_set(all, "tls_verify", NULL, 0);
    av_dict_set(all, "ca_file", NULL, 0);
    av_dict_set(all, "verifyhost", NULL, 0);
    av_dict_free(&own);
    return r;
}

int pd_tls_prepare(struct pd_tls *tls, const struct pd_input *input, const struct pd_reader_params *params,
                   AVFormatContext *fmt, AVDictionary **opts, struct pd_err *err)
{
    *tls = (struct pd_tls){.ca_file = params->ca_file, .name = params->tls_name};
    bool rtsps = !strncasecmp(input->address, "rtsps:", 6);
    if (!tls->ca_file || (!rtsps && strncasecmp(input->address, "https:", 6)))
        return 0;
    int r = pd_diagnose_access(tls->ca_file, err);
    if (r < 0)
        return pd_err_prefix(err, r, "%s: its ca_file", input->name);
    if (!rtsps) {
        tls->open = fmt->io_open;
        fmt->io_open = open_checked;
        fmt->opaque = tls;
        /* On a connection that is kept a playlist's next part may lead elsewhere without being opened by io_open. */
        return av_dict_set(opts, PD_TLS_PLAYLIST_OPTION, "0", 0) < 0
                   ? pd_err_set(err, -ENOMEM, "%s: out of memory", input->name) : 0;
    }
    /* RTSP opens its connections by itself, and only newer libav passes options of TLS on to them. */
    const AVInputFormat *rtsp = av_find_input_format("rtsp");
    if (!rtsp || !av_opt_find((void *)&rtsp->priv_class, "tls_verify", NULL, 0, AV_OPT_SEARCH_FAKE_OBJ))
        return pd_err_set(err, -ENOTSUP, "%s: this FFmpeg cannot check the certificate of an rtsps:// camera: take its "
                          "ca_file out to go without, or use https://", input->name);
    return set_options(tls, opts) < 0 ? pd_err_set(err, -ENOMEM, "%s: out of memory", input->name) : 0;
}
