#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * From a source frame to the network's input, and back with the keypoints.
 *
 * The source rectangle (the whole frame, or the camera's region of interest) is scaled by one factor to fit the network
 * input, and placed at the top left; what remains on the right or at the bottom is filled with the value that is zero
 * after normalisation. Geometry uses pixel centres: centre of pixel (0,0) is (0,0), so with scale s (input pixels per
 * source pixel)
 *     x_net = (x_src - roi.x + 0.5) * s_x - 0.5
 * s_x and s_y differ only by the rounding of the scaled size to whole pixels.
 *
 * Filter: separable triangle (bilinear), widened by the shrink factor when shrinking so that nothing aliases; each
 * plane is resampled on its own at the network's size, then converted to RGB by the frame's matrix and range.
 */
#include <stdbool.h>

#include "core/frame.h"

struct pd_rect {
    int x, y, w, h;
};

struct pd_letterbox {
    struct pd_rect roi;  /* source rectangle, within the frame */
    int dst_w, dst_h;    /* network input */
    int in_w, in_h;      /* the part of it that shows the picture: 1..dst_w, 1..dst_h */
    float sx, sy;        /* input pixels per source pixel: in_w / roi.w, in_h / roi.h */
};

/* How pixel values become network input: channel c is (v - mean[c]) * scale[c] for v in 0..255. */
struct pd_normalise {
    float mean[3], scale[3]; /* in the network's channel order */
    bool bgr;                /* network channel 0 is blue */
};

/* @roi is clipped to the frame; NULL or an empty one means the whole frame. Returns 0 or -EINVAL (sizes < 1). */
int pd_letterbox_fit(int src_w, int src_h, const struct pd_rect *roi, int dst_w, int dst_h,
                     struct pd_letterbox *ret_lb);

static inline void pd_letterbox_to_source(const struct pd_letterbox *lb, float x_net, float y_net, float *ret_x,
                                          float *ret_y)
{
    *ret_x = (x_net + 0.5f) / lb->sx - 0.5f + (float)lb->roi.x;
    *ret_y = (y_net + 0.5f) / lb->sy - 0.5f + (float)lb->roi.y;
}

/* Filter tables and row buffers, kept between frames: a steady camera allocates nothing. One thread at a time. */
struct pd_resampler;
struct pd_resampler *pd_resampler_create(void); /* NULL: out of memory */
void pd_resampler_destroy(struct pd_resampler *rs);

/* Fill @dst (3 x dst_h x dst_w fp32, channel-major, dense) with @frame (host memory) under @lb and @norm.
 * @mask: NULL, or dst_w x dst_h bytes; where it is non-zero the input is the fill value (the camera's masked area).
 * Returns 0, -EINVAL (frame on a device, or lb does not belong to it), -ENOMEM. */
int pd_letterbox_run(struct pd_resampler *rs, const struct pd_letterbox *lb, const struct pd_frame *frame,
                     const struct pd_normalise *norm, const uint8_t *mask, float *dst);
