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
 * each 16 pixels, 8 output channels and 4 taps. A warp does neighbouring pixels of a row and all output channels; the
 * layer is bound by writing its output, so inputs come straight from global memory through the caches, and everything
 * that a pixel does not need for itself (divisions, bounds, weights) is shared by as many pixels as registers allow. */
constexpr int kStemWarps = 8;
constexpr size_t kStemSharedBytes = 48 * 1024;

/* Channels of a row of results: 16 bytes more than there are, so that eight rows lie in different banks. */
__host__ __device__ inline int stem_row(int co)
{
    return co + 8;
}

/* Where this lane's taps are, for the low and the high half of each step's K. */
template <int STEPS> struct stem_taps {
    int dy[2 * STEPS], dx[2 * STEPS], offset[2 * STEPS];
};

/* The A fragments of one tile of 16 pixels. @inside: no tap of the whole run leaves the image. */
template <int STEPS>
__device__ __forceinline__ void stem_load(uint32_t (&a)[STEPS][4], const stem_taps<STEPS> &taps, const pd_view &in,
                                          const __half *image, int y, int x, int stride_x, bool inside)
{
#pragma unroll
    for (int k = 0; k < STEPS; k++) {
#pragma unroll
        for (int j = 0; j < 4; j++) { /* rows lane / 4 and 8 more; low and high half of K */
            const int tap = 2 * k + j / 2, left = x + j % 2 * 8 * stride_x;
            if (inside) {
                a[k][j] = *(const uint32_t *)(image + ((ptrdiff_t)y * in.w + left + taps.offset[tap]) * 4);
                continue;
            }
            const int yy = y + taps.dy[tap], xx = left + taps.dx[tap];
            a[k][j] = 0;
            if (yy >= 0 && yy < in.h && xx >= 0 && xx < in.w)
                a[k][j] = *(const uint32_t *)(image + ((ptrdiff_t)yy * in.w + xx) * 4);
        }
    }
}

__device__ __forceinline__ void stem_mma(float (&d)[4], const uint32_t (&a)[4], uint2 w)
{
#if __CUDA_ARCH__ >= 800
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(w.x), "r"(w.y));
#endif
}

template <int STEPS, int kTiles>
__global__ void __launch_bounds__(kStemWarps * 32, STEPS <= 3 ? 2 : 1)
    stem(pd_conv_shape s, pd_view in, const uint32_t *packed, pd_conv_epilogue e, pd_view out)
{
    constexpr int kPixels = kTiles * 16;
    extern __shared__ uint4 shared[];
    uint32_t *const weights = (uint32_t *)shared;
    const int blocks = s.co / 8, lane = threadIdx.x % 32, warp = threadIdx.x / 32, row_length = stem_row(s.co);
    for (int i = threadIdx.x; i < STEPS * blocks * 64; i += blockDim.x)
        weights[i] = packed[i];
    /* results of the warp's pixels, so that they leave in whole lines */
    __half *const tile = (__half *)(weights + STEPS * blocks * 64) + (size_t)warp * kPixels * row_length;
    __syncthreads();
    stem_taps<STEPS> taps;
#pragma unroll
    for (int k = 0; k < 2 * STEPS; k++) {
        const int tap = k / 2 * 4 + (lane % 4) / 2 + k % 2 * 2;
        const bool real = tap < s.kh * s.kw; /* the others meet weights of zero */
        taps.dy[k] = real ? tap / s.kw * s.dilation_y - s.pad_top : -(1 << 24);
        taps.dx[k] = tap % s.kw * s.dilation_x - s.pad_left;
        /* of no tap: the first one's, which lies in the image wherever it is read without a look */
        taps.offset[k] = real ? taps.dy[k] * in.w + taps.dx[k] : -s.pad_top * in.w - s.pad_left;
    }
    const bool plain = e.act == PD_ACT_RELU && !e.residual;
    const uint32_t runs = (uint32_t)(out.w + kPixels - 1) / kPixels, total = (uint32_t)out.n * out.h * runs;
    const int last_y = in.h - 1 - (s.kh - 1) * s.dilation_y, last_x = in.w - 1 - (s.kw - 1) * s.dilation_x;
    const int per_pixel = s.co / 8, row_step = 32 / per_pixel, chunk_step = 32 % per_pixel;
    const int first_row = lane / per_pixel, first_chunk = lane % per_pixel;
    for (uint32_t t = blockIdx.x * kStemWarps + warp; t < total; t += gridDim.x * kStemWarps) {
        const uint32_t line = t / runs;
        const int x0 = (int)(t - line * runs) * kPixels, n = (int)(line / out.h), y = (int)(line - n * out.h);
        const __half *image = (const __half *)in.data + (size_t)n * in.h * in.w * 4 + lane % 2 * 2;
        const int top = y * s.stride_y, left = x0 * s.stride_x;
        const bool inside = top >= s.pad_top && top - s.pad_top <= last_y && left >= s.pad_left &&
                            left + (kPixels - 1) * s.stride_x - s.pad_left <= last_x;
        uint32_t a[kTiles][STEPS][4];
#pragma unroll
        for (int i = 0; i < kTiles; i++)
            stem_load<STEPS>(a[i], taps, in, image, top, left + (i * 16 + lane / 4) * s.stride_x, s.stride_x, inside);
        const size_t pixel0 = (size_t)line * out.w + x0;
        for (int b = 0; b < blocks; b++) {
            float d[kTiles][4] = {};
#pragma unroll
            for (int k = 0; k < STEPS; k++) {
                const uint2 w = *(const uint2 *)(weights + ((k * blocks + b) * 32 + lane) * 2);
#pragma unroll
                for (int i = 0; i < kTiles; i++)
                    stem_mma(d[i], a[i][k], w);
            }
            const int co = b * 8 + (lane % 4) * 2;
            const float bias[2] = {e.bias ? e.bias[co] : 0.0f, e.bias ? e.bias[co + 1] : 0.0f};
#pragma unroll
            for (int j = 0; j < 2 * kTiles; j++) {
                const int row = lane / 4 + j * 8;
                float v[2];
#pragma unroll
                for (int c = 0; c < 2; c++) {
                    v[c] = d[j / 2][j % 2 * 2 + c] + bias[c];
                    if (plain) {
                        v[c] = fmaxf(v[c], 0.0f);
                        continue;
                    }
                    if (e.residual && x0 + row < out.w)
                        v[c] += load((const __half *)e.residual + (pixel0 + row) * e.residual_stride + co + c);
                    v[c] = activate(e, v[c], co + c);
                }
                *(__half2 *)(tile + row * row_length + co) = __floats2half2_rn(v[0], v[1]);
            }
        }
        __syncwarp();
        __half *const to = (__half *)out.data + pixel0 * out.stride;
        const int rows = min(kPixels, out.w - x0);
        for (int row = first_row, chunk = first_chunk; row < rows; row += row_step, chunk += chunk_step) {
            if (chunk >= per_pixel) {
                chunk -= per_pixel;
                if (++row >= rows)
                    break;
            }
            *(uint4 *)(to + (size_t)row * out.stride + chunk * 8) =
                *(const uint4 *)(tile + row * row_length + chunk * 8);
        }
        __syncwarp();
    }
}

/* Steps of four taps that there are kernels for. */
int stem_steps(const pd_conv_shape *s)
{
    const int steps = (s->kh * s->kw + 3) / 4;
    return steps <= 1 ? 1 : steps <= 3 ? 3 : steps <= 7 ? 7 : steps <= 13 ? 13 : 0;
}

size_t stem_shared_bytes(const pd_conv_shape *s, int tiles)
{
    return pd_cuda_stem_weight_elements(s) * 2 + (size_t)kStemWarps * tiles * 16 * stem_row(s->co) * 2;
}

/* Tiles of 16 pixels a warp does at once: as many as registers and shared memory have room for. */
int stem_tiles(const pd_conv_shape *s)
{
    return stem_steps(s) <= 3 && stem_shared_bytes(s, 2) <= kStemSharedBytes ? 2 : 1;
}

template <int STEPS, int kTiles>
int stem_start(const pd_conv_shape *s, const pd_view *in, const void *packed, const pd_conv_epilogue *e,
               const pd_view *out, cudaStream_t stream)
{
    constexpr int kPixels = kTiles * 16;
    const size_t runs = (size_t)out->n * out->h * ((out->w + kPixels - 1) / kPixels);
    const size_t blocks = (runs + kStemWarps - 1) / kStemWarps;
    if (runs > INT32_MAX) /* the kernel counts in 32 bits: 64-bit divisions would cost more than the arithmetic */
        return cudaErrorInvalidValue;
    stem<STEPS, kTiles><<<(unsigned)(blocks < 4096 ? blocks : 4096), kStemWarps * 32, stem_shared_bytes(s, kTiles),
                          stream>>>(*s, *in, (const uint32_t *)packed, *e, *out);
    return cudaGetLastError();
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
           stem_shared_bytes(s, 1) <= kStemSharedBytes;
}

size_t pd_cuda_stem_weight_elements(const pd_conv_shape *s)
{
    return (size_t)stem_steps(s) * (s->co / 8) * 128;
}

/* In the order of the mma's B fragment: for each step of 4 taps and 8 channels, registers 0 and 1 of each of 32 lanes.
 * A lane holds k = 2 * (lane % 4) and the next (+ 8 in register 1), n = lane / 4. */
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
                        memcpy(packed + ((((size_t)k * blocks + b) * 32 + lane) * 2 + reg) * 2 + e, &h, sizeof(h));
                    }
}

int pd_cuda_stem(const pd_conv_shape *s, const pd_view *in, const void *packed, const pd_conv_epilogue *e,
                 const pd_view *out, cudaStream_t stream)
{
    switch (stem_steps(s)) {
    case 1:
        return stem_tiles(s) == 2 ? stem_start<1, 2>(s, in, packed, e, out, stream)
                                  : stem_start<1, 1>(s, in, packed, e, out, stream);
    case 3:
        return stem_tiles(s) == 2 ? stem_start<3, 2>(s, in, packed, e, out, stream)
                                  : stem_start<3, 1>(s, in, packed, e, out, stream);
    case 7:
        return stem_start<7, 1>(s, in, packed, e, out, stream);
    case 13:
        return stem_start<13, 1>(s, in, packed, e, out, stream);
    default:
        return cudaErrorNotSupported;
    }
}
