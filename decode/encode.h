#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * RGB pictures into one encoded file: the two kinds that a writer is made of. One thread.
 */
#include "core/err.h"
#include "core/frame.h"

/* @rgb as PNG or JPEG, by the suffix of @path. */
int pd_encode_picture(const char *path, const struct pd_frame *rgb, struct pd_err *err);

/* A video file; its size is that of @first, which is not yet written. */
struct pd_video;
int pd_video_open(const char *path, double fps, const struct pd_frame *first, struct pd_video **ret_video,
                  struct pd_err *err);
int pd_video_write(struct pd_video *video, const struct pd_frame *rgb, struct pd_err *err);
/* Writes the index and frees @video in any case. */
int pd_video_close(struct pd_video *video, struct pd_err *err);
