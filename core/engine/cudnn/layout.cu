// SPDX-License-Identifier: Apache-2.0
//
// Between NHWC and NCHW. An image is a matrix of pixels and channels, and goes through shared memory in square tiles:
// whole lines are read along one side and written along the other, where a thread for each value would touch a line of
// memory for every 4 bytes of it.
#include <limits.h>

#include "core/engine/cudnn/device.cuh"

namespace {

constexpr int TILE = 32, ROWS = 8; /* a block is TILE x ROWS threads */

/* One more column than it has: a walk down a column then meets every bank once. */
typedef float tile_t[TILE][TILE + 1];

/* The first pixel and channel of this block's tile; the image is blockIdx.y. Channels go first, so that blocks that run
 * together read the same pixels. */
struct corner {
    size_t pixel;
    int channel;
};

__device__ __forceinline__ corner find_corner(int channels)
{
    const unsigned across = (unsigned)(channels + TILE - 1) / TILE;
    return {(size_t)(blockIdx.x / across) * TILE, (int)(blockIdx.x % across) * TILE};
}

template <typename T> __global__ void __launch_bounds__(TILE * ROWS) to_nchw(pd_view in, float *out)
{
    __shared__ tile_t tile;
    const corner at = find_corner(in.c);
    const size_t pixels = (size_t)in.h * in.w, image = blockIdx.y;
    for (int i = threadIdx.y; i < TILE; i += ROWS) {
        const size_t pixel = at.pixel + i;
        const int channel = at.channel + threadIdx.x;
        if (pixel < pixels && channel < in.c)
            tile[i][threadIdx.x] = load((const T *)in.data + (image * pixels + pixel) * in.stride + channel);
    }
    __syncthreads();
    for (int i = threadIdx.y; i < TILE; i += ROWS) {
        const size_t pixel = at.pixel + threadIdx.x;
        const int channel = at.channel + i;
        if (pixel < pixels && channel < in.c)
            out[(image * in.c + channel) * pixels + pixel] = tile[threadIdx.x][i];
    }
}

template <typename T>
__global__ void __launch_bounds__(TILE * ROWS) finish_nchw(const float *in, pd_conv_epilogue e, pd_view out)
{
    __shared__ tile_t tile;
    const corner at = find_corner(out.c);
    const size_t pixels = (size_t)out.h * out.w, image = blockIdx.y;
    for (int i = threadIdx.y; i < TILE; i += ROWS) {
        const size_t pixel = at.pixel + threadIdx.x;
        const int channel = at.channel + i;
        if (pixel < pixels && channel < out.c)
            tile[i][threadIdx.x] = in[(image * out.c + channel) * pixels + pixel];
    }
    __syncthreads();
    for (int i = threadIdx.y; i < TILE; i += ROWS) {
        const size_t pixel = at.pixel + i, among_all = image * pixels + pixel;
        const int channel = at.channel + threadIdx.x;
        if (pixel < pixels && channel < out.c)
            store((T *)out.data + among_all * out.stride + channel,
                  finish_value<T>(e, tile[threadIdx.x][i], among_all, channel));
    }
}

/* Channels beyond the tensor's own are zeroed, up to the stride. */
template <typename T> __global__ void from_nchw(const float *in, pd_view out)
{
    FOR_EACH (i, (size_t)out.n * out.h * out.w * out.stride) {
        const int c = (int)(i % out.stride);
        const size_t pixel = i / out.stride, per = (size_t)out.h * out.w;
        const size_t n = pixel / per;
        store((T *)out.data + i, c < out.c ? in[(n * out.c + c) * per + pixel % per] : 0.0f);
    }
}

/* A block for each tile of @v; false when a grid cannot be that large. */
bool grid_of_tiles(const pd_view *v, dim3 *ret_grid)
{
    const size_t pixels = (size_t)v->h * v->w, across = ((size_t)v->c + TILE - 1) / TILE;
    const size_t tiles = (pixels + TILE - 1) / TILE * across;
    if (tiles < 1 || tiles > INT_MAX || v->n < 1 || v->n > 65535)
        return false;
    *ret_grid = dim3((unsigned)tiles, (unsigned)v->n);
    return true;
}

} // namespace

int pd_cuda_to_nchw(enum pd_elem elem, const pd_view *in, float *out, cudaStream_t stream)
{
    dim3 grid;
    if (!grid_of_tiles(in, &grid))
        return cudaErrorInvalidConfiguration;
    BY_ELEMENT(elem, (to_nchw<T><<<grid, dim3(TILE, ROWS), 0, stream>>>(*in, out)));
    return cudaGetLastError();
}

int pd_cuda_finish_nchw(enum pd_elem elem, const float *in, const pd_conv_epilogue *epilogue, const pd_view *out,
                        cudaStream_t stream)
{
    dim3 grid;
    if (!grid_of_tiles(out, &grid))
        return cudaErrorInvalidConfiguration;
    BY_ELEMENT(elem, (finish_nchw<T><<<grid, dim3(TILE, ROWS), 0, stream>>>(in, *epilogue, *out)));
    return cudaGetLastError();
}

int pd_cuda_from_nchw(enum pd_elem elem, const float *in, const pd_view *out, cudaStream_t stream)
{
    const size_t total = (size_t)out->n * out->h * out->w * out->stride;
    BY_ELEMENT(elem, (from_nchw<T><<<grid_for(total), 256, 0, stream>>>(in, *out)));
    return cudaGetLastError();
}
