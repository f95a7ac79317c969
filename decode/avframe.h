#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * AVFrame to struct pd_frame: a view of the same memory where the pixel format is one of ours, else a converted copy
 * with the same chroma subsampling, 8 bits, and transparency blended over black (as RGB). One converter a thread.
 */
#include "core/err.h"
#include "core/frame.h"

struct AVFrame;
struct SwsContext;

struct pd_converter {
    struct SwsContext *sws; /* for the last size and formats */
};

void pd_converter_finish(struct pd_converter *converter);

/* @codec_id: decides what an unmarked frame means. Sets the "what" fields of the frame; who-and-when is left to the
 * caller. The view holds its own reference to @av's buffers; @av stays the caller's. */
int pd_avframe_to_frame(struct pd_converter *converter, const struct AVFrame *av, int codec_id,
                        struct pd_frame **ret_frame, struct pd_err *err);

/* The AVFrame that @frame views, NULL when it views none. */
const struct AVFrame *pd_frame_avframe(const struct pd_frame *frame);
