/* SPDX-License-Identifier: Apache-2.0
 *
 * Compiled with -mavx2 -mfma; reached only through pd_resample_best(). Sums stay in registers over all taps, so nothing
 * but the result is written.
 */
#include <immintrin.h>

#include "core/resample_loops.h"

static inline __m256 load_u8(const uint8_t *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}

static inline __m256 load_u16(const uint16_t *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)));
}

#define DEFINE_ROWS(name, type, load)                                                                                  \
    static void name(float *dst, const type *src, ptrdiff_t stride, const float *weight, int taps, int n)              \
    {                                                                                                                  \
        int x = 0;                                                                                                     \
        for (; x + 32 <= n; x += 32) {                                                                                 \
            __m256 a = _mm256_setzero_ps(), b = a, c = a, d = a;                                                       \
            const type *p = src + x;                                                                                   \
            for (int t = 0; t < taps; t++, p += stride) {                                                              \
                __m256 w = _mm256_broadcast_ss(weight + t);                                                            \
                a = _mm256_fmadd_ps(w, load(p), a);                                                                    \
                b = _mm256_fmadd_ps(w, load(p + 8), b);                                                                \
                c = _mm256_fmadd_ps(w, load(p + 16), c);                                                               \
                d = _mm256_fmadd_ps(w, load(p + 24), d);                                                               \
            }                                                                                                          \
            _mm256_storeu_ps(dst + x, a);                                                                              \
            _mm256_storeu_ps(dst + x + 8, b);                                                                          \
            _mm256_storeu_ps(dst + x + 16, c);                                                                         \
            _mm256_storeu_ps(dst + x + 24, d);                                                                         \
        }                                                                                                              \
        for (; x + 8 <= n; x += 8) {                                                                                   \
            __m256 a = _mm256_setzero_ps();                                                                            \
            for (int t = 0; t < taps; t++)                                                                             \
                a = _mm256_fmadd_ps(_mm256_broadcast_ss(weight + t), load(src + x + t * stride), a);                   \
            _mm256_storeu_ps(dst + x, a);                                                                              \
        }                                                                                                              \
        for (; x < n; x++) {                                                                                           \
            float a = 0.0f;                                                                                            \
            for (int t = 0; t < taps; t++)                                                                             \
                a += weight[t] * (float)src[x + t * stride];                                                           \
            dst[x] = a;                                                                                                \
        }                                                                                                              \
    }

DEFINE_ROWS(rows_u8, uint8_t, load_u8)
DEFINE_ROWS(rows_u16, uint16_t, load_u16)

static inline __m256 dot_lanes(const float *src, const float *weight, int taps)
{
    __m256 sum = _mm256_mul_ps(_mm256_loadu_ps(weight), _mm256_loadu_ps(src));
    for (int t = 8; t < taps; t += 8)
        sum = _mm256_fmadd_ps(_mm256_loadu_ps(weight + t), _mm256_loadu_ps(src + t), sum);
    return sum;
}

/* Eight outputs at a time: eight vectors of partial sums are added across by three levels of pairwise adds. */
static void columns(float *dst, const float *src, const struct pd_resample_axis *axis)
{
    const int taps = axis->taps;
    const float *weight = axis->weight;
    for (int i = 0; i < axis->n_out; i += PD_RESAMPLE_LANES) {
        const int *start = axis->start + i;
        __m256 v[PD_RESAMPLE_LANES];
        for (int k = 0; k < PD_RESAMPLE_LANES; k++, weight += taps)
            v[k] = dot_lanes(src + start[k], weight, taps);
        __m256 a = _mm256_hadd_ps(_mm256_hadd_ps(v[0], v[1]), _mm256_hadd_ps(v[2], v[3]));
        __m256 b = _mm256_hadd_ps(_mm256_hadd_ps(v[4], v[5]), _mm256_hadd_ps(v[6], v[7]));
        _mm256_storeu_ps(dst + i,
                         _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31)));
    }
}

const struct pd_resample_ops pd_resample_avx2 = {
    .name = "avx2",
    .rows_u8 = rows_u8,
    .rows_u16 = rows_u16,
    .columns = columns,
    .split2 = split2,
    .split3 = split3,
    .yuv = yuv,
    .grey = grey,
    .normalise = normalise,
};
