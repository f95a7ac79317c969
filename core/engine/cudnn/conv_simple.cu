// SPDX-License-Identifier: Apache-2.0
//
// Convolutions that are not the tensor cores' bulk work: a direct one that does any shape (and the transposed one),
// depthwise, and the first layer of three channels.
#include <string.h>

#include "core/engine/cudnn/device.cuh"

namespace {

/* A thread for each output value; neighbouring threads share pixels and read neighbouring channels' weights. */
template <typename T>
__global__ void conv_direct(pd_conv_shape s, pd_view in, const float *weight, pd_conv_epilogue e, pd_view out)
{
    const int ci_group = s.ci / s.groups, co_group = s.co / s.groups;
    FOR_EACH (i, (size_t)out.n * out.h * out.w * s.co) {
        const int co = (int)(i % s.co);
        const size_t pixel = i / s.co;
        const int x = (int)(pixel % out.w), y = (int)(pixel / out.w % out.h), n = (int)(pixel / out.w / out.h);
        const int first = co / co_group * ci_group;
        float sum = 0.0f;
        for (int r = 0; r < s.kh; r++) {
            const int yy = y * s.stride_y - s.pad_top + r * s.dilation_y;
            if (yy < 0 || yy >= in.h)
                continue;
            for (int q = 0; q < s.kw; q++) {
                const int xx = x * s.stride_x - s.pad_left + q * s.dilation_x;
                if (xx < 0 || xx >= in.w)
                    continue;
                const T *p = (const T *)in.data + (((size_t)n * in.h + yy) * in.w + xx) * in.stride + first;
                const float *w = weight + (size_t)co * ci_group * s.kh * s.kw + r * s.kw + q;
                for (int c = 0; c < ci_group; c++)
                    sum += load(p + c) * w[(size_t)c * s.kh * s.kw];
            }
        }
        store((T *)out.data + pixel * out.stride + co, finish_value<T>(e, sum, pixel, co));
    }
}

template <typename T>
__global__ void deconv(pd_conv_shape s, pd_view in, const float *weight, pd_conv_epilogue e, pd_view out)
{
    const int ci_group = s.ci / s.groups, co_group = s.co / s.groups;
    FOR_EACH (i, (size_t)out.n * out.h * out.w * s.co) {
        const int co = (int)(i % s.co);
        const size_t pixel = i / s.co;
        const int x = (int)(pixel % out.w), y = (int)(pixel / out.w % out.h), n = (int)(pixel / out.w / out.h);
        const int first = co / co_group * ci_group;
        float sum = 0.0f;
        for (int r = 0; r < s.kh; r++) {
            const int top = y + s.pad_top - r * s.dilation_y;
            if (top < 0 || top % s.stride_y || top / s.stride_y >= in.h)
                continue;
            for (int q = 0; q < s.kw; q++) {
                const int left = x + s.pad_left - q * s.dilation_x;
                if (left < 0 || left % s.stride_x || left / s.stride_x >= in.w)
                    continue;
                const T *p = (const T *)in.data +
                             (((size_t)n * in.h + top / s.stride_y) * in.w + left / s.stride_x) * in.stride + first;
                for (int c = 0; c < ci_group; c++)
                    sum += load(p + c) *
                           weight[(((size_t)(first + c) * co_group + co % co_group) * s.kh + r) * s.kw + q];
            }
        }
        store((T *)out.data + pixel * out.stride + co, finish_value<T>(e, sum, pixel, co));
    }
}

/* V channels a thread: 16 bytes a load where the layout allows it. */
template <typename T, int V>
__global__ void depthwise(pd_conv_shape s, pd_view in, const float *weight, pd_conv_epilogue e, pd_view out)
{
    const int groups = (s.co + V - 1) / V;
    FOR_EACH (i, (size_t)out.n * out.h * out.w * groups) {
        const int c = (int)(i % groups) * V;
        const size_t pixel = i / groups;
        const int x = (int)(pixel % out.w), y = (int)(pixel / out.w % out.h), n = (int)(pixel / out.w / out.h);
        float sum[V] = {0};
        for (int r = 0; r < s.kh; r++) {
            const int yy = y * s.stride_y - s.pad_top + r * s.dilation_y;
            if (yy < 0 || yy >= in.h)
                continue;
            for (int q = 0; q < s.kw; q++) {
                const int xx = x * s.stride_x - s.pad_left + q * s.dilation_x;
                if (xx < 0 || xx >= in.w)
                    continue;
                alignas(16) T v[V];
                const T *p = (const T *)in.data + (((size_t)n * in.h + yy) * in.w + xx) * in.stride + c;
                if (V * sizeof(T) == 16)
                    *(uint4 *)v = *(const uint4 *)p;
                else
                    v[0] = *p;
                const float *w = weight + (size_t)(r * s.kw + q) * s.co + c;
                for (int k = 0; k < V; k++)
                    sum[k] += load(v + k) * w[k];
            }
        }
        alignas(16) T v[V];
        for (int k = 0; k < V; k++)
            store(v + k, finish_value<T>(e, sum[k], pixel, c + k));
        T *o = (T *)out.data + pixel * out.stride + c;
        if (V * sizeof(T) == 16)
            *(uint4 *)o = *(uint4 *)v;
        else
            *o = v[0];
    }
}

/* ---- the first layer ----
 * im2col of 4-channel pixels in registers: K index = tap * 4 + channel, padded to a multiple of 16, one m16n8k16 for
 * each 16 pixels, 8 output channels and 4 taps. A warp does 16 neighbouring pixels of a row and all output channels;
 * the layer is bound by writing its output, so inputs come straight from global memory through the caches. */
constexpr int kStemWarps = 8;

template <int STEPS>
__global__ void __launch_bounds__(kStemWarps * 32) stem(pd_conv_shape s, pd_view in, const uint32_t *packed,
                                                       pd_conv_epilogue e, pd_view out)
{
#if __CUDA_ARCH__ >= 800
    extern __shared__ uint4 shared[];
    uint32_t *const weights = (uint32_t *)shared;
    const int blocks = s.co / 8, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    for (int i = threadIdx.x; i < STEPS * blocks * 64; i += blockDim.x)
        weights[i] = packed[i];
    /* results of 16 pixels, so that they leave in whole lines */
    __half *const tile = (__half *)(weights + STEPS * blocks * 64) + warp * 16 * s.co;
    __syncthreads();
    /* this lane's taps: of the low and the high half of each step's K */
    int dy[2 * STEPS], dx[2 * STEPS];
#pragma unroll
    for (int k = 0; k < 2 * STEPS; k++) {
        const int tap = k / 2 * 4 + (lane % 4) / 2 + k % 2 * 2;
        dy[k] = tap < s.kh * s.kw ? tap / s.kw * s.dilation_y - s.pad_top : -(1 << 24);
        dx[k] = tap % s.kw * s.dilation_x - s.pad_left;
    }
    const int runs = (out.w + 15) / 16;
    const size_t total = (size_t)out.n * out.h * runs;
    for (size_t t = (size_t)blockIdx.x * kStemWarps + warp; t < total; t += (size_t)gridDim.x * kStemWarps) {
        const int x0 = (int)(t % runs) * 16, y = (int)(t / runs % out.h), n = (int)(t / runs / out.h);
        const __half *image = (const __half *)in.data + (size_t)n * in.h * in.w * 4 + lane % 2 * 2;
        uint32_t a[STEPS][4];
#pragma unroll
        for (int k = 0; k < STEPS; k++) {
#pragma unroll
            for (int j = 0; j < 4; j++) { /* rows lane / 4 and 8 more; low and high half of K */
                const int yy = y * s.stride_y + dy[2 * k + j / 2];
                const int xx = (x0 + lane / 4 + j % 2 * 8) * s.stride_x + dx[2 * k + j / 2];
                a[k][j] = 0;
                if (yy >= 0 && yy < in.h && xx >= 0 && xx < in.w)
                    a[k][j] = *(const uint32_t *)(image + ((size_t)yy * in.w + xx) * 4);
            }
        }
        const size_t pixel0 = ((size_t)n * out.h + y) * out.w + x0;
        for (int b = 0; b < blocks; b++) {
            float d[4] = {0, 0, 0, 0};
#pragma unroll
            for (int k = 0; k < STEPS; k++) {
                const uint32_t *w = weights + (k * blocks + b) * 64;
                asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
                             "{%8, %9}, {%0, %1, %2, %3};"
                             : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                             : "r"(a[k][0]), "r"(a[k][1]), "r"(a[k][2]), "r"(a[k][3]), "r"(w[lane]), "r"(w[32 + lane]));
            }
            const int co = b * 8 + (lane % 4) * 2;
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const int row = lane / 4 + half * 8;
                const size_t pixel = pixel0 + (x0 + row < out.w ? row : 0);
                *(__half2 *)(tile + row * s.co + co) =
                    __floats2half2_rn(finish_value<__half>(e, d[2 * half], pixel, co),
                                      finish_value<__half>(e, d[2 * half + 1], pixel, co + 1));
            }
        }
        __syncwarp();
        const int per_pixel = s.co / 8, wanted = min(16, out.w - x0) * per_pixel;
        for (int i = lane; i < wanted; i += 32)
            *(uint4 *)((__half *)out.data + (pixel0 + i / per_pixel) * out.stride + i % per_pixel * 8) =
                ((const uint4 *)tile)[i];
        __syncwarp();
    }
#endif
}

size_t stem_shared_bytes(const pd_conv_shape *s)
{
    return pd_cuda_stem_weight_elements(s) * 2 + (size_t)kStemWarps * 16 * s->co * 2;
}

/* Steps of four taps that there are kernels for. */
int stem_steps(const pd_conv_shape *s)
{
    const int steps = (s->kh * s->kw + 3) / 4;
    return steps <= 1 ? 1 : steps <= 3 ? 3 : steps <= 7 ? 7 : steps <= 13 ? 13 : 0;
}

template <int STEPS>
void stem_start(const pd_conv_shape *s, const pd_view *in, const void *packed, const pd_conv_epilogue *e,
                const pd_view *out, cudaStream_t stream)
{
    const size_t runs = (size_t)out->n * out->h * ((out->w + 15) / 16), blocks = (runs + kStemWarps - 1) / kStemWarps;
    stem<STEPS><<<(unsigned)(blocks < 4096 ? blocks : 4096), kStemWarps * 32, stem_shared_bytes(s), stream>>>(
        *s, *in, (const uint32_t *)packed, *e, *out);
}

} // namespace

int pd_cuda_conv_direct(enum pd_elem elem, const pd_conv_shape *s, const pd_view *in, const float *weight,
                        const pd_conv_epilogue *e, const pd_view *out, cudaStream_t stream)
{
    const size_t total = (size_t)out->n * out->h * out->w * s->co;
    BY_ELEMENT(elem, (conv_direct<T><<<grid_for(total), 256, 0, stream>>>(*s, *in, weight, *e, *out)));
    return cudaGetLastError();
}

int pd_cuda_deconv(enum pd_elem elem, const pd_conv_shape *s, const pd_view *in, const float *weight,
                   const pd_conv_epilogue *e, const pd_view *out, cudaStream_t stream)
{
    const size_t total = (size_t)out->n * out->h * out->w * s->co;
    BY_ELEMENT(elem, (deconv<T><<<grid_for(total), 256, 0, stream>>>(*s, *in, weight, *e, *out)));
    return cudaGetLastError();
}

int pd_cuda_depthwise(enum pd_elem elem, const pd_conv_shape *s, const pd_view *in, const float *weight,
                      const pd_conv_epilogue *e, const pd_view *out, cudaStream_t stream)
{
    const int v = elem == PD_ELEM_F16 ? 8 : 4;
    const bool wide = ((uintptr_t)in->data | (uintptr_t)out->data) % 16 == 0 && in->stride % v == 0 &&
                      out->stride % v == 0 && s->co % v == 0;
    const size_t total = (size_t)out->n * out->h * out->w * (wide ? s->co / v : s->co);
    if (!wide)
        BY_ELEMENT(elem, (depthwise<T, 1><<<grid_for(total), 256, 0, stream>>>(*s, *in, weight, *e, *out)));
    else
        BY_ELEMENT(elem,
                   (depthwise<T, 16 / sizeof(T)><<<grid_for(total), 256, 0, stream>>>(*s, *in, weight, *e, *out)));
    return cudaGetLastError();
}

bool pd_cuda_stem_supports(const pd_conv_shape *s)
{
    return s->groups == 1 && s->ci <= 4 && stem_steps(s) > 0 && s->co % 8 == 0 && s->co <= 128 &&
           stem_shared_bytes(s) <= 48 * 1024;
}

size_t pd_cuda_stem_weight_elements(const pd_conv_shape *s)
{
    return (size_t)stem_steps(s) * (s->co / 8) * 128;
}

/* In the order of the mma's B fragment: for each step of 4 taps and 8 channels, register 0 of 32 lanes, then register
 * 1. A lane holds k = 2 * (lane % 4) and the next (+ 8 in register 1), n = lane / 4. */
void pd_cuda_stem_pack(const pd_conv_shape *s, const float *weight, uint16_t *packed)
{
    const int taps = s->kh * s->kw, steps = stem_steps(s), blocks = s->co / 8;
    for (int k = 0; k < steps; k++)
        for (int b = 0; b < blocks; b++)
            for (int reg = 0; reg < 2; reg++)
                for (int lane = 0; lane < 32; lane++)
                    for (int e = 0; e < 2; e++) {
                        const int ki = 2 * (lane % 4) + e + 8 * reg, tap = k * 4 + ki / 4, c = ki % 4;
                        const int co = b * 8 + lane / 4;
                        const float w = tap < taps && c < s->ci ? weight[((size_t)co * s->ci + c) * taps + tap] : 0.0f;
                        const __half h = __float2half_rn(w);
                        memcpy(packed + ((((size_t)k * blocks + b) * 2 + reg) * 32 + lane) * 2 + e, &h, sizeof(h));
                    }
}

int pd_cuda_stem(const pd_conv_shape *s, const pd_view *in, const void *packed, const pd_conv_epilogue *e,
                 const pd_view *out, cudaStream_t stream)
{
    switch (stem_steps(s)) {
    case 1:
        stem_start<1>(s, in, packed, e, out, stream);
        break;
    case 3:
        stem_start<3>(s, in, packed, e, out, stream);
        break;
    case 7:
        stem_start<7>(s, in, packed, e, out, stream);
        break;
    case 13:
        stem_start<13>(s, in, packed, e, out, stream);
        break;
    default:
        return cudaErrorNotSupported;
    }
    return cudaGetLastError();
}
