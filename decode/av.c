/* SPDX-License-Identifier: Apache-2.0 */
#include "decode/av.h"

#include <errno.h>
#include <pthread.h>

#include <libavdevice/avdevice.h>
#include <libavformat/avformat.h>
#include <libavutil/mem.h>

#include "decode/avlog.h"

static void init_once(void)
{
    av_max_alloc(PD_AV_ALLOC_MAX);
    pd_avlog_install();
    avdevice_register_all();
    avformat_network_init();
}

void pd_av_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_once);
}

void pd_av_init_network(void)
{
    pd_av_init();
    av_max_alloc(PD_AV_NETWORK_ALLOC_MAX);
}

int pd_av_errno(int averror)
{
    switch (averror) {
    case AVERROR_EXIT:
        return -ECANCELED;
    case AVERROR_EOF:
        return -EPIPE;
    case AVERROR_INVALIDDATA:
        return -EBADMSG;
    case AVERROR_HTTP_UNAUTHORIZED:
    case AVERROR_HTTP_FORBIDDEN:
        return -EACCES;
    case AVERROR_HTTP_NOT_FOUND:
        return -ENOENT;
    case AVERROR_HTTP_OTHER_4XX: /* RTSP 453, "not enough bandwidth": no more viewers */
        return -EBUSY;
    case AVERROR_DECODER_NOT_FOUND:
    case AVERROR_DEMUXER_NOT_FOUND:
    case AVERROR_PROTOCOL_NOT_FOUND:
    case AVERROR_PATCHWELCOME:
        return -ENOTSUP;
    }
    /* libav's own codes are four-letter tags, far below any errno. */
    return averror < 0 && averror > -4096 ? averror : -EIO;
}

int pd_av_err(struct pd_err *err, int averror, const char *name, const char *what)
{
    char text[AV_ERROR_MAX_STRING_SIZE] = "";
    av_strerror(averror, text, sizeof(text));
    return pd_err_set(err, pd_av_errno(averror), "%s: %s: %s", name, what, text);
}
