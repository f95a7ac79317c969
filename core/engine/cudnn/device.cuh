#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * What the simple kernels share: element access, activations, launch sizes.
 */
#include <cuda_fp16.h>
#include <math.h>
#include <stdint.h>

#include "core/engine/cudnn/kernels.h"
#include "core/net/act.h"

template <typename T> __device__ __forceinline__ float load(const T *p);
template <> __device__ __forceinline__ float load(const __half *p)
{
    return __half2float(*p);
}
template <> __device__ __forceinline__ float load(const float *p)
{
    return *p;
}

static __device__ __forceinline__ void store(__half *p, float v)
{
    *p = __float2half_rn(v);
}
static __device__ __forceinline__ void store(float *p, float v)
{
    *p = v;
}

static __device__ __forceinline__ float activate(const pd_conv_epilogue &e, float x, int channel)
{
    switch (e.act) {
    case PD_ACT_RELU:
        return fmaxf(x, 0.0f);
    case PD_ACT_CLIP:
        return fminf(fmaxf(x, e.alpha), e.beta);
    case PD_ACT_PRELU:
        return x > 0.0f ? x : x * e.slope[e.n_slopes > 1 ? channel : 0];
    case PD_ACT_ELU:
        return x > 0.0f ? x : e.alpha * expm1f(x);
    case PD_ACT_SIGMOID:
        return 1.0f / (1.0f + expf(-x));
    case PD_ACT_TANH:
        return tanhf(x);
    case PD_ACT_SWISH:
        return x / (1.0f + expf(-x));
    case PD_ACT_HARDSWISH:
        return x * fminf(fmaxf(x / 6.0f + 0.5f, 0.0f), 1.0f);
    default:
        return x;
    }
}

/* Bias, residual and activation of one value; @pixel counts output pixels over the whole batch. */
template <typename T>
static __device__ __forceinline__ float finish_value(const pd_conv_epilogue &e, float x, size_t pixel, int channel)
{
    if (e.bias)
        x += e.bias[channel];
    if (e.residual)
        x += load((const T *)e.residual + pixel * e.residual_stride + channel);
    return activate(e, x, channel);
}

/* One thread for each of @total items, 256 a block; a grid-stride loop takes what a grid cannot. */
static inline dim3 grid_for(size_t total)
{
    const size_t blocks = (total + 255) / 256;
    return dim3((unsigned)(blocks < 1 ? 1 : blocks > 1048576 ? 1048576 : blocks));
}

#define FOR_EACH(i, total) \
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < (total); i += (size_t)gridDim.x * blockDim.x)

/* Run @call with T bound to the element type. */
#define BY_ELEMENT(elem, call) \
    do { \
        if ((elem) == PD_ELEM_F16) { \
            typedef __half T; \
            call; \
        } else { \
            typedef float T; \
            call; \
        } \
    } while (0)
