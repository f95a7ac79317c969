// SPDX-License-Identifier: Apache-2.0
#include "core/engine/cudnn/input.h"

#include "core/engine/cudnn/device.cuh"

namespace {

/* enum pd_pix; a test holds the two together by comparing every format with the CPU */
enum { YUV, NV12, P010, RGB24, BGR24, GRAY8 };

/* The triangle over one axis for one output sample: samples lo..hi, weight 1 - |s - centre| / half. */
struct taps {
    int lo, hi;
    float centre, half, sum;
};

__device__ __forceinline__ taps make_taps(int from, int length, int shift, int n_out, int i)
{
    const float unit = 1 << shift;
    const int first = from >> shift, last = (from + length - 1) >> shift;
    taps t;
    t.half = fmaxf((float)length / n_out / unit, 1.0f);
    /* relative to `first`, so that precision does not depend on where the rectangle lies */
    t.centre = ((from - first * unit) + (i + 0.5f) * (float)length / n_out) / unit - 0.5f;
    t.lo = max((int)floorf(t.centre - t.half) + 1, 0);
    t.hi = min((int)ceilf(t.centre + t.half) - 1, last - first);
    t.sum = 0.0f;
    for (int s = t.lo; s <= t.hi; s++)
        t.sum += 1.0f - fabsf(s - t.centre) / t.half;
    t.lo += first;
    t.hi += first;
    t.centre += first;
    return t;
}

/* Weighted mean of component @c of interleaved samples. */
template <typename S>
__device__ __forceinline__ float sample(const uint8_t *plane, int stride, const taps &tx, const taps &ty, int step,
                                        int c)
{
    float sum = 0.0f;
    for (int y = ty.lo; y <= ty.hi; y++) {
        const S *row = (const S *)(plane + (size_t)y * stride);
        float line = 0.0f;
        for (int x = tx.lo; x <= tx.hi; x++)
            line += row[x * step + c] * (1.0f - fabsf(x - tx.centre) / tx.half);
        sum += line * (1.0f - fabsf(y - ty.centre) / ty.half);
    }
    return sum / (tx.sum * ty.sum);
}

__device__ __forceinline__ void from_yuv(const pd_gpu_frame &f, float y, float u, float v, float *rgb)
{
    rgb[0] = f.yk * y + f.rv * v + f.r0;
    rgb[1] = f.yk * y + f.gu * u + f.gv * v + f.g0;
    rgb[2] = f.yk * y + f.bu * u + f.b0;
}

__device__ __forceinline__ void read_rgb(const pd_gpu_frame &f, int x, int y, float *rgb)
{
    const taps tx = make_taps(f.x, f.w, 0, f.in_w, x), ty = make_taps(f.y, f.h, 0, f.in_h, y);
    if (f.format == RGB24 || f.format == BGR24) {
        for (int c = 0; c < 3; c++)
            rgb[f.format == BGR24 ? 2 - c : c] = sample<uint8_t>(f.plane[0], f.stride[0], tx, ty, 3, c);
        return;
    }
    if (f.format == GRAY8) {
        from_yuv(f, sample<uint8_t>(f.plane[0], f.stride[0], tx, ty, 1, 0), 0, 0, rgb);
        return;
    }
    const taps cx = make_taps(f.x, f.w, f.shift_x, f.in_w, x), cy = make_taps(f.y, f.h, f.shift_y, f.in_h, y);
    float luma, u, v;
    if (f.format == P010) {
        luma = sample<uint16_t>(f.plane[0], f.stride[0], tx, ty, 1, 0);
        u = sample<uint16_t>(f.plane[1], f.stride[1], cx, cy, 2, 0);
        v = sample<uint16_t>(f.plane[1], f.stride[1], cx, cy, 2, 1);
    } else {
        const bool planar = f.format == YUV;
        luma = sample<uint8_t>(f.plane[0], f.stride[0], tx, ty, 1, 0);
        u = sample<uint8_t>(f.plane[1], f.stride[1], cx, cy, planar ? 1 : 2, 0);
        v = planar ? sample<uint8_t>(f.plane[2], f.stride[2], cx, cy, 1, 0)
                   : sample<uint8_t>(f.plane[1], f.stride[1], cx, cy, 2, 1);
    }
    from_yuv(f, luma, u, v, rgb);
}

template <typename T> __global__ void letterbox(pd_gpu_frame f, T *out)
{
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= f.dst_w || y >= f.dst_h)
        return;
    float v[4] = {0, 0, 0, 0};
    if (x < f.in_w && y < f.in_h && !(f.mask && f.mask[(size_t)y * f.dst_w + x])) {
        float rgb[3];
        read_rgb(f, x, y, rgb);
        for (int c = 0; c < 3; c++) /* the picture has 8 bits: clamp as a decoder would */
            v[c] = (fminf(fmaxf(rgb[f.bgr ? 2 - c : c], 0.0f), 255.0f) - f.mean[c]) * f.scale[c];
    }
    T *o = out + ((size_t)y * f.dst_w + x) * 4;
    for (int c = 0; c < 4; c++)
        store(o + c, v[c]);
}

} // namespace

int pd_cuda_letterbox(enum pd_elem elem, const pd_gpu_frame *frame, const pd_view *out, int index, cudaStream_t stream)
{
    const dim3 block(32, 8), grid((frame->dst_w + 31) / 32, (frame->dst_h + 7) / 8);
    const size_t at = (size_t)index * out->h * out->w * out->stride;
    BY_ELEMENT(elem, (letterbox<T><<<grid, block, 0, stream>>>(*frame, (T *)out->data + at)));
    return cudaGetLastError();
}
