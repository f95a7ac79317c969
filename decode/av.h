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

/* Process-wide settings (allocation bound, log callback, devices). Any thread, any number of times. */
void pd_av_init(void);

/* @averror as a negative errno: 401/403 are -EACCES, 404 is -ENOENT, 4xx otherwise -EBUSY, bad data -EBADMSG. */
int pd_av_errno(int averror);
/* Returns pd_av_errno(@averror) after "NAME: WHAT: reason" is in @err. */
int pd_av_err(struct pd_err *err, int averror, const char *name, const char *what);

/* libav's log lines carry this name while the calling thread works for a camera. NULL: none. Not copied. */
void pd_av_log_context(const char *name);
