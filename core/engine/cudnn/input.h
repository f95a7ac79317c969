#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames into the network's input on the device: the same geometry, filter and colours as core/letterbox.h.
 */
#include "core/engine/cudnn/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A frame in device memory and where it goes. Coefficients as core/letterbox.c derives them. */
struct pd_gpu_frame {
    const uint8_t *plane[3];
    int stride[3];
    int format;              /* enum pd_pix */
    int shift_x, shift_y;    /* chroma subsampling */
    int x, y, w, h;          /* source rectangle */
    int dst_w, dst_h, in_w, in_h;
    const uint8_t *mask;     /* dst_w x dst_h, device; NULL: none */
    float yk, rv, gu, gv, bu, r0, g0, b0;
    float mean[3], scale[3]; /* by network channel */
    bool bgr;
};

/* Fill image @index of @out (4 channels a pixel, the last one zero). */
int pd_cuda_letterbox(enum pd_elem elem, const struct pd_gpu_frame *frame, const struct pd_view *out, int index,
                      cudaStream_t stream);

#ifdef __cplusplus
}
#endif
