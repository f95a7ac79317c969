#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Launchers of the simple kernels: everything of a network that is not a dense convolution, and a direct convolution
 * that can do any shape. Tensors are NHWC views of device memory in fp16 or fp32; arithmetic is fp32. Each call queues
 * work on @stream and returns a cudaError_t.
 */
#include <cuda_runtime.h>
#include <stdbool.h>

#include "core/engine/cudnn/conv_sm90.h"

#ifdef __cplusplus
extern "C" {
#endif

enum pd_elem { PD_ELEM_F16, PD_ELEM_F32 };

/* n x h x w pixels of c channels; `stride` channels from a pixel to the next (a slice of a wider tensor has c <
 * stride). */
struct pd_view {
    void *data;
    int n, h, w, c, stride;
};

struct pd_pool_shape {
    int kh, kw, stride_y, stride_x, dilation_y, dilation_x;
    int pad_top, pad_left, pad_bottom, pad_right;
    bool average, count_include_pad;
};

/* Any convolution, weights (co, ci/groups, kh, kw) fp32. Slow. */
int pd_cuda_conv_direct(enum pd_elem elem, const struct pd_conv_shape *shape, const struct pd_view *in,
                        const float *weight, const struct pd_conv_epilogue *epilogue, const struct pd_view *out,
                        cudaStream_t stream);
/* Transposed convolution, weights (ci, co/groups, kh, kw) fp32. */
int pd_cuda_deconv(enum pd_elem elem, const struct pd_conv_shape *shape, const struct pd_view *in, const float *weight,
                   const struct pd_conv_epilogue *epilogue, const struct pd_view *out, cudaStream_t stream);
/* groups == ci == co; weights (kh, kw, co) fp32: channels together, as the loads want them. */
int pd_cuda_depthwise(enum pd_elem elem, const struct pd_conv_shape *shape, const struct pd_view *in,
                      const float *weight, const struct pd_conv_epilogue *epilogue, const struct pd_view *out,
                      cudaStream_t stream);
/* First layer on the tensor cores (sm_80 and later): fp16, ci <= 4 with in->stride == 4, kh * kw <= 52, co a multiple
 * of 8 up to 128, out aligned to 16 bytes; weights packed by pd_cuda_stem_pack. Activations as pd_sm90_fuses(). */
bool pd_cuda_stem_supports(const struct pd_conv_shape *shape);
size_t pd_cuda_stem_weight_elements(const struct pd_conv_shape *shape);
void pd_cuda_stem_pack(const struct pd_conv_shape *shape, const float *weight, uint16_t *packed);
int pd_cuda_stem(const struct pd_conv_shape *shape, const struct pd_view *in, const void *packed,
                 const struct pd_conv_epilogue *epilogue, const struct pd_view *out, cudaStream_t stream);

int pd_cuda_pool(enum pd_elem elem, const struct pd_pool_shape *shape, const struct pd_view *in,
                 const struct pd_view *out, cudaStream_t stream);
int pd_cuda_global_average(enum pd_elem elem, const struct pd_view *in, const struct pd_view *out, cudaStream_t stream);
/* out = act(a + b), act(a * b); b may have h = w = 1. */
int pd_cuda_binary(enum pd_elem elem, bool multiply, const struct pd_view *a, const struct pd_view *b,
                   const struct pd_conv_epilogue *act, const struct pd_view *out, cudaStream_t stream);
/* out = act(in * scale[c] + bias[c]); scale and bias may be NULL (1 and 0): also plain copies and activations. */
int pd_cuda_affine(enum pd_elem elem, const struct pd_view *in, const float *scale,
                   const struct pd_conv_epilogue *bias_act, const struct pd_view *out, cudaStream_t stream);
/* To (h * scale_y, w * scale_x), as PD_LAYER_RESIZE says. */
int pd_cuda_resize(enum pd_elem elem, const struct pd_view *in, bool bilinear, const struct pd_view *out,
                   cudaStream_t stream);
/* NHWC of @elem <-> dense NCHW fp32. From there also the channels up to the stride are written: with zeros. */
int pd_cuda_to_nchw(enum pd_elem elem, const struct pd_view *in, float *out, cudaStream_t stream);
int pd_cuda_from_nchw(enum pd_elem elem, const float *in, const struct pd_view *out, cudaStream_t stream);
/* The same with what ends a convolution on the way. Nothing beside the view's own channels is written. */
int pd_cuda_finish_nchw(enum pd_elem elem, const float *in, const struct pd_conv_epilogue *epilogue,
                        const struct pd_view *out, cudaStream_t stream);

/* Small reproducible random values, for timing on realistic data: constants draw less power and run faster. */
int pd_cuda_fill_random(enum pd_elem elem, void *data, size_t n, uint32_t seed, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
