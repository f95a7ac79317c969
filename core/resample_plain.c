/* SPDX-License-Identifier: Apache-2.0 */
#include "core/resample_loops.h"

static void rows_u8(float *dst, const uint8_t *src, ptrdiff_t stride, const float *weight, int taps, int n)
{
    for (int x = 0; x < n; x++)
        dst[x] = weight[0] * (float)src[x];
    for (int t = 1; t < taps; t++)
        for (int x = 0; x < n; x++)
            dst[x] += weight[t] * (float)src[t * stride + x];
}

static void rows_u16(float *dst, const uint16_t *src, ptrdiff_t stride, const float *weight, int taps, int n)
{
    for (int x = 0; x < n; x++)
        dst[x] = weight[0] * (float)src[x];
    for (int t = 1; t < taps; t++)
        for (int x = 0; x < n; x++)
            dst[x] += weight[t] * (float)src[t * stride + x];
}

static void columns(float *dst, const float *src, const struct pd_resample_axis *axis)
{
    for (int i = 0; i < axis->n_out; i++) {
        const float *in = src + axis->start[i], *weight = axis->weight + (size_t)i * (size_t)axis->taps;
        float sum = weight[0] * in[0];
        for (int t = 1; t < axis->count[i]; t++)
            sum += weight[t] * in[t];
        dst[i] = sum;
    }
}

const struct pd_resample_ops pd_resample_plain = {
    .name = "plain",
    .rows_u8 = rows_u8,
    .rows_u16 = rows_u16,
    .columns = columns,
    .split2 = split2,
    .split3 = split3,
    .yuv = yuv,
    .grey = grey,
    .normalise = normalise,
};

const struct pd_resample_ops *pd_resample_best(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &pd_resample_avx2;
#endif
    return &pd_resample_plain;
}
