#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * The two kernels of candidates.h. Written in what C and CUDA C++ have in common, for any number of threads a block:
 * tests/engine/test_candidates.c runs this very text with threads of the CPU.
 *
 * Threads append to lists in any order. What comes out does not depend on it: every entry is a 64-bit key that no other
 * entry has, and results are placed by the rank of their key.
 */
#include "core/engine/cudnn/candidates.h"
#include "core/pose_rules.h"

#define KEY_BYTES 8
#define BYTE_VALUES 256

/* ---- keys ---- */

/* Greater for the stronger maximum, then for the one that comes first. Adding 0 makes -0 the 0 that it is equal to. */
static __device__ __forceinline__ pd_key maximum_key(float value, int at)
{
    return (pd_key)pd_sort_key(value + 0.0f) << 32 | (0xffffffffu - (uint32_t)at);
}

static __device__ __forceinline__ int maximum_at(pd_key key)
{
    return (int)(0xffffffffu - (uint32_t)key);
}

/* Greater for the better pair, then for the one that comes first; never 0, as no rank is NaN. */
static __device__ __forceinline__ pd_key pair_key(float rank, int a, int b)
{
    return (pd_key)pd_sort_key(rank) << 32 | (0xffffu - (uint32_t)(a * PD_PEAKS_MAX + b));
}

static __device__ __forceinline__ int pair_a(pd_key key)
{
    return (int)(0xffffu - (uint32_t)key) / PD_PEAKS_MAX;
}

static __device__ __forceinline__ int pair_b(pd_key key)
{
    return (int)(0xffffu - (uint32_t)key) % PD_PEAKS_MAX;
}

/* How many of @n distinct keys are greater than @key: its place when they are sorted. */
static __device__ __forceinline__ int rank_of(const pd_key *keys, int n, pd_key key)
{
    int rank = 0;
    for (int i = 0; i < n; i++)
        rank += keys[i] > key;
    return rank;
}

/* ---- peaks ---- */

struct selection { /* of the nth largest key, byte by byte from the top */
    int bins[BYTE_VALUES];
    pd_key prefix; /* the bytes that are known */
    int left;      /* it is the left-th largest of those that begin with prefix */
};

/* The @nth largest of @n distinct keys, n >= nth. All threads of the block; every one gets it. */
static __device__ __forceinline__ pd_key nth_largest(const pd_key *keys, int n, int nth, struct selection *s)
{
    if (threadIdx.x == 0) {
        s->prefix = 0;
        s->left = nth;
    }
    for (int shift = 8 * (KEY_BYTES - 1); shift >= 0; shift -= 8) {
        for (int i = (int)threadIdx.x; i < BYTE_VALUES; i += (int)blockDim.x)
            s->bins[i] = 0;
        __syncthreads();
        for (int i = (int)threadIdx.x; i < n; i += (int)blockDim.x)
            if ((keys[i] ^ s->prefix) >> shift >> 8 == 0)
                atomicAdd(&s->bins[keys[i] >> shift & 255], 1);
        __syncthreads();
        if (threadIdx.x == 0) {
            int b = BYTE_VALUES - 1;
            for (; s->bins[b] < s->left; b--)
                s->left -= s->bins[b];
            s->prefix |= (pd_key)b << shift;
        }
        __syncthreads();
    }
    return s->prefix;
}

/* One block for each confidence map: blockIdx.x is the keypoint, blockIdx.y the frame. */
static __global__ void find_peaks(struct pd_finder f)
{
    __shared__ struct selection selection;
    __shared__ pd_key kept[PD_PEAKS_MAX];
    __shared__ int n_maxima, n_kept;
    const int k = (int)blockIdx.x, frame = (int)blockIdx.y, samples = f.w * f.h;
    const float *map = f.heat + ((size_t)frame * (size_t)f.n_heat + (size_t)k) * (size_t)samples;
    const float threshold = f.params[frame].peak_threshold;
    pd_key *maxima = f.maxima + ((size_t)frame * (size_t)f.n_keypoints + (size_t)k) * pd_maxima_max(f.w, f.h);

    if (threadIdx.x == 0)
        n_maxima = n_kept = 0;
    __syncthreads();
    for (int i = (int)threadIdx.x; i < samples; i += (int)blockDim.x)
        if (map[i] >= threshold && pd_is_maximum(map, f.w, f.h, i % f.w, i / f.w))
            maxima[atomicAdd(&n_maxima, 1)] = maximum_key(pd_sane(map[i]), i);
    __syncthreads();
    const int n = n_maxima;
    const pd_key least = n > PD_PEAKS_MAX ? nth_largest(maxima, n, PD_PEAKS_MAX, &selection) : 0;
    for (int i = (int)threadIdx.x; i < n; i += (int)blockDim.x)
        if (maxima[i] >= least)
            kept[atomicAdd(&n_kept, 1)] = maxima[i];
    __syncthreads();
    struct pd_candidates *work = f.work + frame, *out = f.out + frame;
    for (int i = (int)threadIdx.x; i < n_kept; i += (int)blockDim.x) {
        const int rank = rank_of(kept, n_kept, kept[i]);
        work->peaks[k][rank] = pd_refine_peak(map, f.w, f.h, f.stride, f.offset, maximum_at(kept[i]));
        out->peaks[k][rank] = work->peaks[k][rank];
    }
    if (threadIdx.x == 0) {
        work->n_peaks[k] = out->n_peaks[k] = n_kept;
        f.capped[frame * PD_KEYPOINTS_MAX + k] = n - n_kept;
    }
}

/* ---- limbs ---- */

/* Matching from the best pair down, without sorting: a pair that is the best of both its peaks is taken by that rule
 * too, whatever else there is. So all such pairs are taken at once, then those that are it among what is left. */
struct matching {
    pd_key best_a[PD_PEAKS_MAX], best_b[PD_PEAKS_MAX]; /* of the pairs that are left, by peak */
    unsigned char a_taken[PD_PEAKS_MAX], b_taken[PD_PEAKS_MAX];
    pd_key taken[PD_PEAKS_MAX];
    int n_pairs, n_taken;
};

static __device__ __forceinline__ void collect_pairs(const struct pd_field *field, const struct pd_peak *pa, int na,
                                                     const struct pd_peak *pb, int nb, float stride, float offset,
                                                     const struct pd_line_rule *rule, pd_key *pairs, int *n_pairs)
{
    for (int i = (int)threadIdx.x; i < na * nb; i += (int)blockDim.x) {
        const int a = i / nb, b = i % nb;
        float score;
        if (pd_score_limb(field, pa[a], pb[b], stride, offset, rule, &score))
            pairs[atomicAdd(n_pairs, 1)] = pair_key(pd_pair_rank(score, pa[a], pb[b]), a, b);
    }
}

/* Ends after at most PD_PEAKS_MAX rounds that take something, and one that does not. */
static __device__ __forceinline__ void match_pairs(struct matching *m, pd_key *pairs)
{
    const int n = m->n_pairs;
    for (int before = -1; before != m->n_taken;) {
        before = m->n_taken;
        for (int i = (int)threadIdx.x; i < PD_PEAKS_MAX; i += (int)blockDim.x)
            m->best_a[i] = m->best_b[i] = 0;
        __syncthreads();
        for (int i = (int)threadIdx.x; i < n; i += (int)blockDim.x) {
            const pd_key key = pairs[i];
            if (key == 0)
                continue;
            if (m->a_taken[pair_a(key)] || m->b_taken[pair_b(key)]) {
                pairs[i] = 0;
                continue;
            }
            atomicMax(&m->best_a[pair_a(key)], key);
            atomicMax(&m->best_b[pair_b(key)], key);
        }
        __syncthreads();
        for (int i = (int)threadIdx.x; i < n; i += (int)blockDim.x) {
            const pd_key key = pairs[i];
            if (key == 0 || m->best_a[pair_a(key)] != key || m->best_b[pair_b(key)] != key)
                continue;
            m->a_taken[pair_a(key)] = m->b_taken[pair_b(key)] = 1;
            m->taken[atomicAdd(&m->n_taken, 1)] = key;
            pairs[i] = 0;
        }
        __syncthreads();
    }
}

/* A block takes one limb of one frame after the other: the memory for all pairs of a crowd is there only so often. */
static __global__ void match_limbs(struct pd_finder f)
{
    __shared__ struct matching m;
    pd_key *pairs = f.pairs + (size_t)blockIdx.x * PD_PAIRS_MAX;
    const size_t plane = (size_t)f.w * (size_t)f.h;
    for (int item = (int)blockIdx.x; item < f.n * f.n_limbs; item += (int)gridDim.x) {
        const int frame = item / f.n_limbs, l = item % f.n_limbs;
        const struct pd_limb limb = f.limbs[l];
        const struct pd_candidates *work = f.work + frame;
        struct pd_candidates *out = f.out + frame;
        const struct pd_peak *pa = work->peaks[limb.a], *pb = work->peaks[limb.b];
        const float *paf = f.paf + (size_t)frame * (size_t)f.n_paf * plane;
        struct pd_field field;
        field.x = paf + limb.paf_x * plane;
        field.y = paf + limb.paf_y * plane;
        field.w = f.w;
        field.h = f.h;
        const struct pd_line_rule rule =
            pd_line_rule(f.params[frame].limb_threshold, f.params[frame].limb_fraction, f.h);

        for (int i = (int)threadIdx.x; i < PD_PEAKS_MAX; i += (int)blockDim.x)
            m.a_taken[i] = m.b_taken[i] = 0;
        if (threadIdx.x == 0)
            m.n_pairs = m.n_taken = 0;
        __syncthreads();
        collect_pairs(&field, pa, work->n_peaks[limb.a], pb, work->n_peaks[limb.b], f.stride, f.offset, &rule, pairs,
                      &m.n_pairs);
        __syncthreads();
        match_pairs(&m, pairs);
        for (int i = (int)threadIdx.x; i < m.n_taken; i += (int)blockDim.x) {
            struct pd_connection c;
            c.a = (uint16_t)pair_a(m.taken[i]);
            c.b = (uint16_t)pair_b(m.taken[i]);
            pd_score_limb(&field, pa[c.a], pb[c.b], f.stride, f.offset, &rule, &c.score);
            out->connections[l][rank_of(m.taken, m.n_taken, m.taken[i])] = c;
        }
        if (threadIdx.x == 0) {
            out->n_connections[l] = m.n_taken;
            if (l == 0) {
                uint32_t capped = 0;
                for (int k = 0; k < f.n_keypoints; k++)
                    capped += (uint32_t)f.capped[frame * PD_KEYPOINTS_MAX + k];
                out->capped_peaks = capped;
                out->capped_connections = 0;
            }
        }
        __syncthreads(); /* the next item begins by resetting m */
    }
}
