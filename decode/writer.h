#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes RGB pictures to an MP4 (H.264, or MPEG-4 where no H.264 encoder is there), PNG or JPEG file, chosen by the
 * path's suffix; and turns frames of any format into RGB for drawing on. One thread at a time.
 */
#include "core/err.h"
#include "core/frame.h"

struct pd_writer;

/* @fps is for MP4. A picture path writes its first frame; "%d" style or folder outputs number them: out/%05d.png. */
int pd_writer_open(const char *path, double fps, struct pd_writer **ret_writer, struct pd_err *err);
/* @rgb: PD_PIX_RGB24. All frames of an MP4 have the first one's size: others are scaled to fit it. -EEXIST, once: a
 * picture path has its frame already. */
int pd_writer_write(struct pd_writer *writer, const struct pd_frame *rgb, struct pd_err *err);
/* Finish the file. An MP4 without this call is not playable. Frees the writer in any case. */
int pd_writer_close(struct pd_writer *writer, struct pd_err *err);

/* A PD_PIX_RGB24 copy of @frame (host memory), full size, caller owns it. NULL: out of memory or bad format. */
struct pd_frame *pd_frame_to_rgb(const struct pd_frame *frame);
