#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * What every file here needs of FFmpeg: one-time set-up, and its error codes turned into ours.
 */
#include "core/err.h"

/* Frames above this are refused by the decoder. 8192 x 8192 RGBA is exactly PD_AV_ALLOC_MAX. */
#define PD_AV_PIXELS_MAX (INT64_C(8192) * 8192)
/* Bounds one allocation of libav*: a camera may claim any size for what it sends. */
#define PD_AV_ALLOC_MAX ((size_t)256 << 20)
/* The same for a process that has opened a network stream: what a stranger can make us hold is this much a camera, and
 * 8K video, the largest there is, needs little less (8192 x 4352 luma). */
#define PD_AV_NETWORK_PIXELS_MAX (INT64_C(8192) * 4352)
#define PD_AV_NETWORK_ALLOC_MAX ((size_t)40 << 20)

/* Process-wide settings (allocation bound, log callback, devices). Any thread, any number of times. */
void pd_av_init(void);
/* From now on PD_AV_NETWORK_ALLOC_MAX holds, for the whole process: libav has one bound. */
void pd_av_init_network(void);

/* @averror as a negative errno: 401/403 are -EACCES, 404 is -ENOENT, 4xx otherwise -EBUSY, bad data -EBADMSG. */
int pd_av_errno(int averror);
/* Returns pd_av_errno(@averror) after "NAME: WHAT: reason" is in @err. */
int pd_av_err(struct pd_err *err, int averror, const char *name, const char *what);

/* What libav tells of in its log alone, as seen on the calling thread since the last call. */
unsigned pd_av_log_take_lost(void); /* RTP packets missed, in gaps of one or more */
bool pd_av_log_take_ended(void);    /* whether an HTTP stream ended of which nobody had told the length */
unsigned pd_av_log_take_parts(void); /* parts of a playlist that could not be opened and were passed over */
int pd_av_log_take_status(void);    /* the last RTSP or HTTP status that was an error, 0: none */
bool pd_av_log_take_tls(char *text, size_t cap); /* the first complaint of TLS */
void pd_av_log_forget(void);                     /* all of them */

/* libav's log lines carry this name while the calling thread works for a camera. NULL: none. Not copied. */
void pd_av_log_context(const char *name);
