// SPDX-License-Identifier: Apache-2.0
//
// Pooling, element-wise layers and resizing: all bound by memory, so one thread for one value (or a channel of one
// pixel), neighbouring threads on neighbouring channels.
#include "core/engine/cudnn/device.cuh"

namespace {

struct place {
    int n, y, x, c;
    size_t pixel;
};

__device__ __forceinline__ place locate(size_t i, const pd_view &v)
{
    place p;
    p.c = (int)(i % v.c);
    p.pixel = i / v.c;
    p.x = (int)(p.pixel % v.w);
    p.y = (int)(p.pixel / v.w % v.h);
    p.n = (int)(p.pixel / v.w / v.h);
    return p;
}

template <typename T> __device__ __forceinline__ T *at(const pd_view &v, int n, int y, int x, int c)
{
    return (T *)v.data + (((size_t)n * v.h + y) * v.w + x) * v.stride + c;
}

size_t values(const pd_view *v)
{
    return (size_t)v->n * v->h * v->w * v->c;
}

template <typename T> __global__ void pool(pd_pool_shape s, pd_view in, pd_view out)
{
    FOR_EACH (i, (size_t)out.n * out.h * out.w * out.c) {
        const place p = locate(i, out);
        const int y0 = p.y * s.stride_y - s.pad_top, x0 = p.x * s.stride_x - s.pad_left;
        float sum = 0.0f, most = -INFINITY;
        int inside = 0, window = 0;
        for (int r = 0; r < s.kh; r++)
            for (int q = 0; q < s.kw; q++) {
                const int y = y0 + r * s.dilation_y, x = x0 + q * s.dilation_x;
                /* rounded up, the last window may reach beyond the padding; what lies there is not counted at all */
                window += y < in.h + s.pad_bottom && x < in.w + s.pad_right;
                if (y < 0 || y >= in.h || x < 0 || x >= in.w)
                    continue;
                const float v = load(at<T>(in, p.n, y, x, p.c));
                sum += v;
                most = fmaxf(most, v);
                inside++;
            }
        store(at<T>(out, p.n, p.y, p.x, p.c),
              s.average ? sum / (s.count_include_pad ? window : max(inside, 1)) : most);
    }
}

/* The common case, 2x2 by 2 in fp16, eight channels a thread. */
__global__ void maxpool2(pd_view in, pd_view out)
{
    const int groups = out.c / 8;
    FOR_EACH (i, (size_t)out.n * out.h * out.w * groups) {
        const int c = (int)(i % groups) * 8;
        const size_t pixel = i / groups;
        const int x = (int)(pixel % out.w), y = (int)(pixel / out.w % out.h), n = (int)(pixel / out.w / out.h);
        uint4 v[4];
        for (int k = 0; k < 4; k++)
            v[k] = *(const uint4 *)at<__half>(in, n, 2 * y + k / 2, 2 * x + k % 2, c);
        uint4 r;
        for (int j = 0; j < 4; j++) {
            const __half2 *a = (const __half2 *)&v[0] + j, *b = (const __half2 *)&v[1] + j;
            const __half2 *d = (const __half2 *)&v[2] + j, *e = (const __half2 *)&v[3] + j;
            ((__half2 *)&r)[j] = __hmax2(__hmax2(*a, *b), __hmax2(*d, *e));
        }
        *(uint4 *)at<__half>(out, n, y, x, c) = r;
    }
}

/* A block for each image and channel. */
template <typename T> __global__ void global_average(pd_view in, pd_view out)
{
    const int n = blockIdx.x / in.c, c = blockIdx.x % in.c, pixels = in.h * in.w;
    __shared__ float part[256];
    float sum = 0.0f;
    for (int i = threadIdx.x; i < pixels; i += blockDim.x)
        sum += load((const T *)in.data + ((size_t)n * pixels + i) * in.stride + c);
    part[threadIdx.x] = sum;
    __syncthreads();
    for (int step = 128; step; step /= 2) {
        if ((int)threadIdx.x < step)
            part[threadIdx.x] += part[threadIdx.x + step];
        __syncthreads();
    }
    if (threadIdx.x == 0)
        store(at<T>(out, n, 0, 0, c), part[0] / pixels);
}

template <typename T>
__global__ void binary(bool multiply, pd_view a, pd_view b, pd_conv_epilogue e, pd_view out)
{
    const bool broadcast = b.h == 1 && b.w == 1;
    FOR_EACH (i, (size_t)out.n * out.h * out.w * out.c) {
        const place p = locate(i, out);
        const float x = load(at<T>(a, p.n, p.y, p.x, p.c));
        const float y = load(broadcast ? at<T>(b, p.n, 0, 0, p.c) : at<T>(b, p.n, p.y, p.x, p.c));
        store(at<T>(out, p.n, p.y, p.x, p.c), finish_value<T>(e, multiply ? x * y : x + y, p.pixel, p.c));
    }
}

template <typename T> __global__ void affine(pd_view in, const float *scale, pd_conv_epilogue e, pd_view out)
{
    FOR_EACH (i, (size_t)out.n * out.h * out.w * out.c) {
        const place p = locate(i, out);
        float v = load((const T *)in.data + p.pixel * in.stride + p.c);
        if (scale)
            v *= scale[p.c];
        store((T *)out.data + p.pixel * out.stride + p.c, finish_value<T>(e, v, p.pixel, p.c));
    }
}

template <typename T> __global__ void resize(pd_view in, bool bilinear, pd_view out)
{
    const float ry = (float)in.h / out.h, rx = (float)in.w / out.w;
    FOR_EACH (i, (size_t)out.n * out.h * out.w * out.c) {
        const place p = locate(i, out);
        float v;
        if (bilinear) {
            const float fy = fminf(fmaxf((p.y + 0.5f) * ry - 0.5f, 0.0f), in.h - 1.0f);
            const float fx = fminf(fmaxf((p.x + 0.5f) * rx - 0.5f, 0.0f), in.w - 1.0f);
            const int y0 = (int)fy, x0 = (int)fx, y1 = min(y0 + 1, in.h - 1), x1 = min(x0 + 1, in.w - 1);
            const float wy = fy - y0, wx = fx - x0;
            const float top = load(at<T>(in, p.n, y0, x0, p.c)) * (1 - wx) + load(at<T>(in, p.n, y0, x1, p.c)) * wx;
            const float low = load(at<T>(in, p.n, y1, x0, p.c)) * (1 - wx) + load(at<T>(in, p.n, y1, x1, p.c)) * wx;
            v = top * (1 - wy) + low * wy;
        } else {
            v = load(at<T>(in, p.n, (int)((long)p.y * in.h / out.h), (int)((long)p.x * in.w / out.w), p.c));
        }
        store(at<T>(out, p.n, p.y, p.x, p.c), v);
    }
}

template <typename T> __global__ void fill_random(T *data, size_t n, uint32_t seed)
{
    FOR_EACH (i, n) {
        uint32_t x = (uint32_t)i * 2654435761u ^ seed;
        x = (x ^ x >> 16) * 0x7feb352du;
        x = (x ^ x >> 15) * 0x846ca68bu;
        store(data + i, (float)((x ^ x >> 16) >> 8) / (1 << 24) - 0.5f);
    }
}

} // namespace

int pd_cuda_pool(enum pd_elem elem, const pd_pool_shape *s, const pd_view *in, const pd_view *out, cudaStream_t stream)
{
    const bool aligned = ((uintptr_t)in->data | (uintptr_t)out->data) % 16 == 0 && in->stride % 8 == 0 &&
                         out->stride % 8 == 0 && in->c % 8 == 0;
    if (elem == PD_ELEM_F16 && aligned && !s->average && s->kh == 2 && s->kw == 2 && s->stride_y == 2 &&
        s->stride_x == 2 && s->dilation_y == 1 && s->dilation_x == 1 && !s->pad_top && !s->pad_left &&
        2 * out->h <= in->h && 2 * out->w <= in->w)
        maxpool2<<<grid_for(values(out) / 8), 256, 0, stream>>>(*in, *out);
    else
        BY_ELEMENT(elem, (pool<T><<<grid_for(values(out)), 256, 0, stream>>>(*s, *in, *out)));
    return cudaGetLastError();
}

int pd_cuda_global_average(enum pd_elem elem, const pd_view *in, const pd_view *out, cudaStream_t stream)
{
    BY_ELEMENT(elem, (global_average<T><<<in->n * in->c, 256, 0, stream>>>(*in, *out)));
    return cudaGetLastError();
}

int pd_cuda_binary(enum pd_elem elem, bool multiply, const pd_view *a, const pd_view *b, const pd_conv_epilogue *act,
                   const pd_view *out, cudaStream_t stream)
{
    BY_ELEMENT(elem, (binary<T><<<grid_for(values(out)), 256, 0, stream>>>(multiply, *a, *b, *act, *out)));
    return cudaGetLastError();
}

int pd_cuda_affine(enum pd_elem elem, const pd_view *in, const float *scale, const pd_conv_epilogue *bias_act,
                   const pd_view *out, cudaStream_t stream)
{
    BY_ELEMENT(elem, (affine<T><<<grid_for(values(out)), 256, 0, stream>>>(*in, scale, *bias_act, *out)));
    return cudaGetLastError();
}

int pd_cuda_resize(enum pd_elem elem, const pd_view *in, bool bilinear, const pd_view *out, cudaStream_t stream)
{
    BY_ELEMENT(elem, (resize<T><<<grid_for(values(out)), 256, 0, stream>>>(*in, bilinear, *out)));
    return cudaGetLastError();
}

int pd_cuda_fill_random(enum pd_elem elem, void *data, size_t n, uint32_t seed, cudaStream_t stream)
{
    BY_ELEMENT(elem, (fill_random<T><<<grid_for(n), 256, 0, stream>>>((T *)data, n, seed)));
    return cudaGetLastError();
}
