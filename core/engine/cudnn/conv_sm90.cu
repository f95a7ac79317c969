// SPDX-License-Identifier: Apache-2.0
//
// See conv_sm90.h. One producer warpgroup (a single thread issues copies) and two consumer warpgroups a block; blocks
// are persistent and walk tiles. Two rings in shared memory: pixel runs (one for each filter row and 64 channels) and
// weight blocks (one for each tap and 64 channels), each slot with a "full" and an "empty" mbarrier.
//
// A tile is 128 output channels x TN pixels (each consumer has 64 of the channels), or, for up to 64 output channels,
// 64 x 2*TN (each consumer has half of the pixels). The accumulator is transposed against memory: its rows are output
// channels, so that the larger operand (pixels) is the one of N = TN.
#include "core/engine/cudnn/conv_sm90.h"

#include <atomic>
#include <cuda.h>
#include <cuda_fp16.h>
#include <math.h>
#include <string.h>

#include "core/net/act.h"
#include "wgmma.inc"

namespace {

constexpr int kThreads = 384;
constexpr int kSmemBudget = 226 * 1024;
constexpr int kRow = 128; // bytes of 64 fp16 channels: one row of the 128-byte swizzle

enum { BELOW_FLOOR, BELOW_SLOPE, BELOW_ELU };

struct problem {
    void *out;
    const float *bias;
    const __half *residual;
    const float *slope;
    int out_stride, co, blocks, residual_stride, below, n_slopes;
    float floor, ceiling; // BELOW_ELU: floor is alpha
};

struct args {
    CUtensorMap in[PD_SM90_PROBLEMS], weights[PD_SM90_PROBLEMS];
    problem p[PD_SM90_PROBLEMS];
    int images, ho, wo, kh, kw, dilation_y, dilation_x, pad_top, pad_left;
    int chunks;            // of 64 input channels
    int walk;              // pixels of a walked row: wo + (kw - 1) * dilation_x
    int blocks, tiles;     // channel blocks of all problems; tiles in all
    int pixel_rows;        // rows of a pixel slot that are loaded
    int pixel_slot;        // its bytes, a multiple of 1024
    int n_pixel, n_weight; // ring lengths
};

struct launch {
    args a;
    int choice, grid, smem;
};
static_assert(sizeof(launch) <= sizeof(pd_sm90_launch), "pd_sm90_launch is too small");

__device__ __forceinline__ uint32_t shared_address(const void *p)
{
    return (uint32_t)__cvta_generic_to_shared(p);
}

__device__ __forceinline__ void barrier_init(uint32_t bar, int count)
{
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(bar), "r"(count));
}

__device__ __forceinline__ void barrier_expect(uint32_t bar, int bytes)
{
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(bar), "r"(bytes) : "memory");
}

__device__ __forceinline__ void barrier_arrive(uint32_t bar)
{
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(bar) : "memory");
}

__device__ __forceinline__ void barrier_wait(uint32_t bar, uint32_t phase)
{
    asm volatile("{\n.reg .pred p;\nAGAIN:\nmbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n"
                 "@p bra DONE;\nbra AGAIN;\nDONE:\n}" ::"r"(bar), "r"(phase) : "memory");
}

__device__ __forceinline__ void load_weights(uint32_t dst, const CUtensorMap *map, uint32_t bar, int k, int co)
{
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%3, %4}], [%2];" ::"r"(dst), "l"(map), "r"(bar), "r"(k), "r"(co) : "memory");
}

__device__ __forceinline__ void load_pixels(uint32_t dst, const CUtensorMap *map, uint32_t bar, int c, int w, int h,
                                            int n, int row_offset)
{
    asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%3, %4, %5, %6}], [%2], {%7, %8};" ::"r"(dst), "l"(map), "r"(bar), "r"(c), "r"(w), "r"(h),
                 "r"(n), "h"((uint16_t)0), "h"((uint16_t)row_offset) : "memory");
}

// Descriptor of a K-major operand in 128-byte swizzle: atoms of 8 rows are 1024 bytes apart. A start that is not on an
// atom's first row needs no base offset: the swizzle is a function of the address, and the data was written by it.
__device__ __forceinline__ uint64_t operand(uint32_t address)
{
    return (uint64_t)((address & 0x3ffff) >> 4) | ((uint64_t)1 << 16) | ((uint64_t)64 << 32) | ((uint64_t)1 << 62);
}

__device__ __forceinline__ uint32_t transpose8x8(uint32_t x)
{
    uint32_t y;
    asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(y) : "r"(x));
    return y;
}

__device__ __forceinline__ uint32_t pack(float a, float b)
{
    __half2 h = __floats2half2_rn(a, b);
    return *reinterpret_cast<uint32_t *>(&h);
}

__device__ __forceinline__ float2 unpack(uint32_t x)
{
    return __half22float2(*reinterpret_cast<__half2 *>(&x));
}

// Two neighbouring channels of a pixel, either of which may lie beyond the last.
__device__ __forceinline__ void store_pair(__half *out, int channel, int co, uint32_t pair)
{
    if (channel + 1 < co && ((uintptr_t)(out + channel) & 3) == 0) {
        *reinterpret_cast<uint32_t *>(out + channel) = pair;
        return;
    }
    __half2 h = *reinterpret_cast<__half2 *>(&pair);
    if (channel < co)
        out[channel] = __low2half(h);
    if (channel + 1 < co)
        out[channel + 1] = __high2half(h);
}

__device__ __forceinline__ uint32_t load_pair(const __half *in, int channel, int co)
{
    __half a = channel < co ? in[channel] : __half(0.0f), b = channel + 1 < co ? in[channel + 1] : __half(0.0f);
    __half2 h = __halves2half2(a, b);
    return *reinterpret_cast<uint32_t *>(&h);
}

struct tile {
    int problem, block, pixel; // channel block within the problem; first walked pixel
};

// Channel blocks go fastest, so that blocks of one pixel run are in flight together and share it in the L2.
__device__ __forceinline__ tile locate(const args &a, int t, int tile_pixels)
{
    tile r;
    r.block = t % a.blocks;
    r.pixel = t / a.blocks * tile_pixels;
    r.problem = r.block >= a.p[0].blocks;
    if (r.problem)
        r.block -= a.p[0].blocks;
    return r;
}

template <int TN, bool SPLIT>
__device__ __forceinline__ void produce(const args &a, uint32_t pixels, uint32_t weights, uint32_t bars)
{
    constexpr int kChannels = SPLIT ? 64 : 128, kPixels = SPLIT ? 2 * TN : TN;
    const uint32_t p_full = bars, p_empty = p_full + 8 * a.n_pixel, w_full = p_empty + 8 * a.n_pixel,
                   w_empty = w_full + 8 * a.n_weight;
    int ip = 0, iw = 0;
    uint32_t phase_p = 1, phase_w = 1;
    for (int t = blockIdx.x; t < a.tiles; t += gridDim.x) {
        const tile at = locate(a, t, kPixels);
        const int row = at.pixel / a.walk, q = at.pixel % a.walk, n = row / a.ho, p = row % a.ho;
        for (int c = 0; c < a.chunks; c++) {
            for (int r = 0; r < a.kh; r++) {
                barrier_wait(p_empty + 8 * ip, phase_p);
                barrier_expect(p_full + 8 * ip, a.pixel_rows * kRow);
                load_pixels(pixels + ip * a.pixel_slot, &a.in[at.problem], p_full + 8 * ip, c * 64, q - a.pad_left,
                            p - a.pad_top, n, r * a.dilation_y);
                if (++ip == a.n_pixel) {
                    ip = 0;
                    phase_p ^= 1;
                }
                for (int s = 0; s < a.kw; s++) {
                    barrier_wait(w_empty + 8 * iw, phase_w);
                    barrier_expect(w_full + 8 * iw, kChannels * kRow);
                    load_weights(weights + iw * kChannels * kRow, &a.weights[at.problem], w_full + 8 * iw,
                                 ((r * a.kw + s) * a.chunks + c) * 64, at.block * kChannels);
                    if (++iw == a.n_weight) {
                        iw = 0;
                        phase_w ^= 1;
                    }
                }
            }
        }
    }
}

// All activations that a convolution fuses are one of three shapes below zero; above it, at most a ceiling.
__device__ __forceinline__ float activate(const problem &p, float x, int channel)
{
    if (p.below == BELOW_FLOOR)
        return fminf(fmaxf(x, p.floor), p.ceiling);
    if (x > 0.0f)
        return x;
    if (p.below == BELOW_SLOPE)
        return x * p.slope[p.n_slopes > 1 ? min(channel, p.co - 1) : 0];
    return p.floor * (__expf(x) - 1.0f);
}

// One 8-pixel column of the accumulator: rows channel, channel + 8 of pixels m, m + 1 in v[0..3].
__device__ __forceinline__ void finish(const args &a, const problem &p, float *v, int m, int channel0, int lane,
                                       float bias0, float bias1)
{
    const int c0 = channel0 + lane / 4, c1 = c0 + 8;
    const int mt = m + lane / 4, row_t = mt / a.walk, q_t = mt - row_t * a.walk; // the pixel this lane stores
    const bool inside = q_t < a.wo && row_t < a.images * a.ho;
    const size_t at = (size_t)row_t * a.wo + q_t;
    const int pair = channel0 + 2 * (lane % 4);
    v[0] += bias0;
    v[1] += bias0;
    v[2] += bias1;
    v[3] += bias1;
    if (p.residual) {
        const __half *res = p.residual + at * p.residual_stride;
        const float2 x = unpack(transpose8x8(inside ? load_pair(res, pair, p.co) : 0));
        const float2 y = unpack(transpose8x8(inside ? load_pair(res, pair + 8, p.co) : 0));
        v[0] += x.x;
        v[1] += x.y;
        v[2] += y.x;
        v[3] += y.y;
    }
    for (int i = 0; i < 4; i++)
        v[i] = activate(p, v[i], i < 2 ? c0 : c1);
    const uint32_t lo = transpose8x8(pack(v[0], v[1])), hi = transpose8x8(pack(v[2], v[3]));
    if (inside) {
        __half *out = (__half *)p.out + at * p.out_stride;
        store_pair(out, pair, p.co, lo);
        store_pair(out, pair + 8, p.co, hi);
    }
}

template <int TN, bool SPLIT>
__device__ __forceinline__ void consume(const args &a, uint32_t pixels, uint32_t weights, uint32_t bars)
{
    constexpr int kChannels = SPLIT ? 64 : 128, kPixels = SPLIT ? 2 * TN : TN;
    const uint32_t p_full = bars, p_empty = p_full + 8 * a.n_pixel, w_full = p_empty + 8 * a.n_pixel,
                   w_empty = w_full + 8 * a.n_weight;
    const int group = threadIdx.x / 128 - 1, thread = threadIdx.x % 128, lane = thread % 32, warp = thread / 32;
    const uint32_t weight_offset = SPLIT ? 0 : group * 64 * kRow, pixel_offset = SPLIT ? group * TN * kRow : 0;
    int ip = 0, iw = 0;
    uint32_t phase_p = 0, phase_w = 0;
    for (int t = blockIdx.x; t < a.tiles; t += gridDim.x) {
        const tile at = locate(a, t, kPixels);
        float d[TN / 2];
        int accumulate = 0, held_w = -1, held_p = -1; // slots whose multiplication may still be running
        for (int i = 0; i < a.chunks * a.kh; i++) {
            barrier_wait(p_full + 8 * ip, phase_p);
#pragma unroll 1
            for (int s = 0; s < a.kw; s++) {
                barrier_wait(w_full + 8 * iw, phase_w);
                asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
                const uint32_t wa = weights + iw * kChannels * kRow + weight_offset;
                const uint32_t pa = pixels + ip * a.pixel_slot + pixel_offset + s * a.dilation_x * kRow;
#pragma unroll
                for (int k = 0; k < 4; k++) {
                    wgmma<TN>::run(d, operand(wa + k * 32), operand(pa + k * 32), accumulate);
                    accumulate = 1;
                }
                asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
                asm volatile("wgmma.wait_group.sync.aligned 1;" ::: "memory");
                if (thread == 0 && held_w >= 0)
                    barrier_arrive(w_empty + 8 * held_w);
                held_w = iw;
                if (s == 0 && held_p >= 0) {
                    if (thread == 0)
                        barrier_arrive(p_empty + 8 * held_p);
                    held_p = -1;
                }
                if (++iw == a.n_weight) {
                    iw = 0;
                    phase_w ^= 1;
                }
            }
            held_p = ip;
            if (++ip == a.n_pixel) {
                ip = 0;
                phase_p ^= 1;
            }
        }
        asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
        if (thread == 0) {
            barrier_arrive(w_empty + 8 * held_w);
            barrier_arrive(p_empty + 8 * held_p);
        }
        const problem &p = a.p[at.problem];
        const int channel0 = at.block * kChannels + (SPLIT ? 0 : group * 64) + warp * 16;
        if (channel0 >= p.co)
            continue;
        const int c0 = channel0 + lane / 4;
        const float bias0 = p.bias && c0 < p.co ? p.bias[c0] : 0.0f;
        const float bias1 = p.bias && c0 + 8 < p.co ? p.bias[c0 + 8] : 0.0f;
        const int first = at.pixel + (SPLIT ? group * TN : 0);
#pragma unroll
        for (int j = 0; j < TN / 8; j++)
            finish(a, p, d + 4 * j, first + 8 * j, channel0, lane, bias0, bias1);
    }
}

template <int TN, bool SPLIT>
__global__ void __launch_bounds__(kThreads, 1) conv_sm90(const __grid_constant__ args a)
{
    extern __shared__ uint8_t memory[];
    constexpr int kChannels = SPLIT ? 64 : 128;
    const uint32_t pixels = (shared_address(memory) + 1023) & ~1023u;
    const uint32_t weights = pixels + a.n_pixel * a.pixel_slot, bars = weights + a.n_weight * kChannels * kRow;
    if (threadIdx.x == 0) {
        for (int i = 0; i < a.n_pixel; i++) {
            barrier_init(bars + 8 * i, 1);
            barrier_init(bars + 8 * (a.n_pixel + i), 2);
        }
        for (int i = 0; i < a.n_weight; i++) {
            barrier_init(bars + 8 * (2 * a.n_pixel + i), 1);
            barrier_init(bars + 8 * (2 * a.n_pixel + a.n_weight + i), 2);
        }
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
        asm volatile("fence.proxy.async;" ::: "memory");
    }
    __syncthreads();
    if (threadIdx.x < 128) {
        asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
        if (threadIdx.x == 0)
            produce<TN, SPLIT>(a, pixels, weights, bars);
    } else {
        asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
        consume<TN, SPLIT>(a, pixels, weights, bars);
    }
}

typedef CUresult (*encode_im2col_fn)(CUtensorMap *, CUtensorMapDataType, cuuint32_t, void *, const cuuint64_t *,
                                     const cuuint64_t *, const int *, const int *, cuuint32_t, cuuint32_t,
                                     const cuuint32_t *, CUtensorMapInterleave, CUtensorMapSwizzle,
                                     CUtensorMapL2promotion, CUtensorMapFloatOOBfill);
typedef CUresult (*encode_tiled_fn)(CUtensorMap *, CUtensorMapDataType, cuuint32_t, void *, const cuuint64_t *,
                                    const cuuint64_t *, const cuuint32_t *, const cuuint32_t *, CUtensorMapInterleave,
                                    CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill);

// Driver entries by name, so that nothing links libcuda.
void *driver_entry(const char *name)
{
    void *entry = nullptr;
    cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
#if CUDART_VERSION >= 12050
    const cudaError_t e = cudaGetDriverEntryPointByVersion(name, &entry, 12000, cudaEnableDefault, &found);
#else // which later ones deprecate
    const cudaError_t e = cudaGetDriverEntryPoint(name, &entry, cudaEnableDefault, &found);
#endif
    return e == cudaSuccess && found == cudaDriverEntryPointSuccess ? entry : nullptr;
}

int walked(const pd_conv_shape *s)
{
    return s->wo + (s->kw - 1) * s->dilation_x;
}

cudaError_t map_pixels(const pd_conv_shape *s, const pd_sm90_problem *p, int rows, CUtensorMap *map)
{
    static encode_im2col_fn encode = (encode_im2col_fn)driver_entry("cuTensorMapEncodeIm2col");
    if (!encode)
        return cudaErrorNotSupported;
    const cuuint64_t stride = (cuuint64_t)p->in_stride * 2;
    const cuuint64_t dims[4] = {(cuuint64_t)s->ci, (cuuint64_t)s->w, (cuuint64_t)s->h, (cuuint64_t)s->n};
    const cuuint64_t strides[3] = {stride, stride * s->w, stride * s->w * s->h};
    // The walked box: columns from -pad_left for `walk` pixels, rows for the ho output rows.
    const int lower[2] = {-s->pad_left, -s->pad_top};
    const int upper[2] = {walked(s) - s->pad_left - s->w, s->ho - s->pad_top - s->h};
    const cuuint32_t step[4] = {1, 1, 1, 1};
    CUresult r = encode(map, CU_TENSOR_MAP_DATA_TYPE_FLOAT16, 4, (void *)p->in, dims, strides, lower, upper, 64, rows,
                        step, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                        CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    return r == CUDA_SUCCESS ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t map_weights(const pd_conv_shape *s, const pd_sm90_problem *p, int channels, CUtensorMap *map)
{
    static encode_tiled_fn encode = (encode_tiled_fn)driver_entry("cuTensorMapEncodeTiled");
    if (!encode)
        return cudaErrorNotSupported;
    const cuuint64_t k = (cuuint64_t)s->kh * s->kw * ((s->ci + 63) / 64 * 64);
    const cuuint64_t dims[2] = {k, (cuuint64_t)p->co}, strides[1] = {k * 2};
    const cuuint32_t box[2] = {64, (cuuint32_t)channels}, step[2] = {1, 1};
    CUresult r = encode(map, CU_TENSOR_MAP_DATA_TYPE_FLOAT16, 2, (void *)p->weights, dims, strides, box, step,
                        CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                        CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    return r == CUDA_SUCCESS ? cudaSuccess : cudaErrorInvalidValue;
}

constexpr int kSizes[] = {64, 128, 192, 224, 232, 248, 256};

template <int TN, bool SPLIT> cudaError_t start(const launch *l, cudaStream_t stream)
{
    // The attribute is the device's own: each GPU of the process wants it set. Setting it twice does no harm.
    static std::atomic<uint64_t> ready{0};
    int device = 0;
    cudaError_t e = cudaGetDevice(&device);
    if (e == cudaSuccess && !(device < 64 && ready.load() >> device & 1))
        e = cudaFuncSetAttribute((const void *)conv_sm90<TN, SPLIT>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 kSmemBudget + 1024);
    if (e != cudaSuccess)
        return e;
    if (device < 64)
        ready.fetch_or(UINT64_C(1) << device);
    conv_sm90<TN, SPLIT><<<l->grid, kThreads, l->smem, stream>>>(l->a);
    return cudaGetLastError();
}

template <int TN> cudaError_t start_either(const launch *l, bool split, cudaStream_t stream)
{
    return split ? start<TN, true>(l, stream) : start<TN, false>(l, stream);
}

void set_activation(problem *p, const pd_conv_epilogue &e)
{
    p->below = e.act == PD_ACT_PRELU ? BELOW_SLOPE : e.act == PD_ACT_ELU ? BELOW_ELU : BELOW_FLOOR;
    p->floor = e.act == PD_ACT_RELU ? 0.0f : e.act == PD_ACT_CLIP || e.act == PD_ACT_ELU ? e.alpha : -INFINITY;
    p->ceiling = e.act == PD_ACT_CLIP ? e.beta : INFINITY;
}

// Rows of a pixel slot: the tile's pixels and the halo of its last taps.
int slot_rows(const pd_conv_shape *s, int tn, bool split)
{
    return (split ? 2 : 1) * tn + ((s->kw - 1) * s->dilation_x + 7) / 8 * 8;
}

// Ring lengths for a tile, or false when not even two slots of each fit.
bool rings(const pd_conv_shape *s, int tn, bool split, int *ret_pixel, int *ret_weight)
{
    const int pixel = (slot_rows(s, tn, split) * kRow + 1023) / 1024 * 1024, weight = (split ? 64 : 128) * kRow;
    const int budget = kSmemBudget - 512;
    if (s->kw == 1) {
        const int both = budget / (pixel + weight);
        *ret_pixel = *ret_weight = both > 8 ? 8 : both;
        return both >= 2;
    }
    const int n = pixel > 40 * 1024 ? 2 : 3, left = budget - n * pixel;
    *ret_pixel = n;
    *ret_weight = left / weight > 12 ? 12 : left / weight;
    return left >= 2 * weight;
}

// Cycles a launch should take: multiplication or shared memory, whichever binds, times the waves over the chip.
double predicted(const pd_conv_shape *s, int problems, int sms, int tn, bool split)
{
    const long pixels = (long)s->n * s->ho * walked(s), tile = split ? 2 * tn : tn;
    const long blocks = (long)problems * ((s->co + (split ? 63 : 127)) / (split ? 64 : 128));
    const long waves = ((pixels + tile - 1) / tile * blocks + sms - 1) / sms;
    const double steps = (double)s->kh * s->kw * ((s->ci + 63) / 64) * 4;
    const double shared = 32 + tn * 0.5 + (split ? 16 : 32) + tile * 0.25 / s->kw;
    return waves * (steps * (tn > shared ? tn : shared) + 2000 + 12 * tn);
}

} // namespace

// The walked box may begin and end at most 128 pixels beside the image; cuTensorMapEncodeIm2col() refuses others.
bool pd_sm90_supports(const pd_conv_shape *s)
{
    return s->groups == 1 && s->stride_x == 1 && s->stride_y == 1 && s->kh <= 15 && s->kw <= 15 &&
           (s->kw - 1) * s->dilation_x <= 64 && (s->kh - 1) * s->dilation_y <= 64 && s->pad_left <= 64 &&
           s->pad_top <= 64 && walked(s) - s->pad_left - s->w <= 64 && s->ho - s->pad_top - s->h <= 64 && s->ci >= 16;
}

bool pd_sm90_fuses(int act)
{
    return act == PD_ACT_NONE || act == PD_ACT_RELU || act == PD_ACT_CLIP || act == PD_ACT_PRELU || act == PD_ACT_ELU;
}

size_t pd_sm90_weight_elements(const pd_conv_shape *s)
{
    return (size_t)s->co * s->kh * s->kw * ((s->ci + 63) / 64 * 64);
}

void pd_sm90_pack_weights(const pd_conv_shape *s, const float *weight, uint16_t *packed)
{
    const int padded = (s->ci + 63) / 64 * 64, taps = s->kh * s->kw;
    memset(packed, 0, pd_sm90_weight_elements(s) * sizeof(*packed));
    for (int co = 0; co < s->co; co++)
        for (int ci = 0; ci < s->ci; ci++)
            for (int t = 0; t < taps; t++) {
                const __half h = __float2half_rn(weight[((size_t)co * s->ci + ci) * taps + t]);
                memcpy(packed + ((size_t)co * taps + t) * padded + ci, &h, sizeof(h));
            }
}

int pd_sm90_choices(const pd_conv_shape *s, int problems, int sms, int *choices)
{
    double cost[2 * sizeof(kSizes) / sizeof(kSizes[0])];
    int all[2 * sizeof(kSizes) / sizeof(kSizes[0])], n = 0;
    for (int split = 0; split < 2; split++)
        for (int tn : kSizes) {
            int pixel, weight;
            if ((split && (s->co % 128 == 0 || tn % 64 != 0)) || !rings(s, tn, split, &pixel, &weight))
                continue;
            const double c = predicted(s, problems, sms, tn, split);
            int at = n++;
            for (; at > 0 && cost[at - 1] > c; at--) {
                cost[at] = cost[at - 1];
                all[at] = all[at - 1];
            }
            cost[at] = c;
            all[at] = tn | split << 16;
        }
    if (n > PD_SM90_CHOICES)
        n = PD_SM90_CHOICES;
    memcpy(choices, all, n * sizeof(*choices));
    return n;
}

int pd_sm90_prepare(const pd_conv_shape *s, const pd_sm90_problem *problems, int n_problems, int choice, int sms,
                    pd_sm90_launch *ret_launch)
{
    const int tn = choice & 0xffff;
    const bool split = choice >> 16;
    launch l;
    memset(&l, 0, sizeof(l));
    args &a = l.a;
    if (n_problems < 1 || n_problems > PD_SM90_PROBLEMS || !rings(s, tn, split, &a.n_pixel, &a.n_weight))
        return cudaErrorInvalidValue;
    a.images = s->n;
    a.ho = s->ho;
    a.wo = s->wo;
    a.kh = s->kh;
    a.kw = s->kw;
    a.dilation_y = s->dilation_y;
    a.dilation_x = s->dilation_x;
    a.pad_top = s->pad_top;
    a.pad_left = s->pad_left;
    a.chunks = (s->ci + 63) / 64;
    a.walk = walked(s);
    a.pixel_rows = slot_rows(s, tn, split);
    a.pixel_slot = (a.pixel_rows * kRow + 1023) / 1024 * 1024;
    const int channels = split ? 64 : 128, tile_pixels = split ? 2 * tn : tn;
    for (int i = 0; i < n_problems; i++) {
        const pd_sm90_problem *from = &problems[i];
        problem &p = a.p[i];
        p.out = from->out;
        p.out_stride = from->out_stride;
        p.co = from->co;
        p.blocks = (from->co + channels - 1) / channels;
        p.bias = from->epilogue.bias;
        p.residual = (const __half *)from->epilogue.residual;
        p.residual_stride = from->epilogue.residual_stride;
        set_activation(&p, from->epilogue);
        p.slope = from->epilogue.slope;
        p.n_slopes = from->epilogue.n_slopes;
        a.blocks += p.blocks;
        cudaError_t e = map_pixels(s, from, a.pixel_rows, &a.in[i]);
        if (e == cudaSuccess)
            e = map_weights(s, from, channels, &a.weights[i]);
        if (e != cudaSuccess)
            return e;
    }
    const long pixels = (long)s->n * s->ho * a.walk;
    a.tiles = (int)((pixels + tile_pixels - 1) / tile_pixels) * a.blocks;
    l.choice = choice;
    l.grid = a.tiles < sms ? a.tiles : sms;
    l.smem = 1024 + a.n_pixel * a.pixel_slot + a.n_weight * channels * kRow + 16 * (a.n_pixel + a.n_weight);
    memcpy(ret_launch->bytes, &l, sizeof(l));
    return cudaSuccess;
}

int pd_sm90_run(const pd_sm90_launch *opaque, cudaStream_t stream)
{
    const launch *l = (const launch *)opaque->bytes;
    const bool split = l->choice >> 16;
    switch (l->choice & 0xffff) {
    case 64:
        return start_either<64>(l, split, stream);
    case 128:
        return start_either<128>(l, split, stream);
    case 192:
        return start_either<192>(l, split, stream);
    case 224:
        return start<224, false>(l, stream);
    case 232:
        return start<232, false>(l, stream);
    case 248:
        return start<248, false>(l, stream);
    case 256:
        return start_either<256>(l, split, stream);
    default:
        return cudaErrorInvalidValue;
    }
}
