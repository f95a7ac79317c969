#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * How a picture has to be turned to stand upright, and turning it. Quarter turns and mirrorings only: a phone or a
 * camera knows no others. Any thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/frame.h"

/* Transpose first, then mirror the result. */
struct pd_orientation {
    bool transpose, flip_x, flip_y;
};

static inline bool pd_orientation_upright(struct pd_orientation o)
{
    return !o.transpose && !o.flip_x && !o.flip_y;
}

/* From EXIF's orientation 1..8 (TIFF 6.0, tag 274); anything else is upright. */
struct pd_orientation pd_orientation_exif(int value);
/* From a container's 3x3 display matrix, rows of 16.16 numbers (ISO/IEC 14496-12, 8.3.2). */
struct pd_orientation pd_orientation_matrix(const int32_t matrix[9]);

/* A turned copy with the same who-and-when, range and matrix; NV12 becomes planar YUV. NULL: out of memory, or a
 * format or memory that cannot be turned (P010, CUDA). */
struct pd_frame *pd_frame_turn(const struct pd_frame *frame, struct pd_orientation orientation);
