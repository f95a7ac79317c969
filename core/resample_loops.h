#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Loops that a compiler vectorises well by itself: compiled once a table, with that table's instruction set. Private to
 * resample_*.c.
 */
#include "core/resample.h"

static inline float clamp255(float v)
{
    v = v > 0.0f ? v : 0.0f;
    return v < 255.0f ? v : 255.0f;
}

static void split2(float *restrict a, float *restrict b, const float *restrict src, int n)
{
    for (int i = 0; i < n; i++) {
        a[i] = src[2 * i];
        b[i] = src[2 * i + 1];
    }
}

static void split3(float *restrict a, float *restrict b, float *restrict c, const float *restrict src, int n)
{
    for (int i = 0; i < n; i++) {
        a[i] = src[3 * i];
        b[i] = src[3 * i + 1];
        c[i] = src[3 * i + 2];
    }
}

static void yuv(float *restrict r, float *restrict g, float *restrict b, const float *restrict y,
                const float *restrict u, const float *restrict v, int n, const struct pd_resample_colour *colour)
{
    const struct pd_resample_colour k = *colour;
    for (int i = 0; i < n; i++) {
        float luma = y[i] * k.yk;
        r[i] = (clamp255(luma + v[i] * k.rv + k.r0) - k.mean[0]) * k.scale[0];
        g[i] = (clamp255(luma + u[i] * k.gu + v[i] * k.gv + k.g0) - k.mean[1]) * k.scale[1];
        b[i] = (clamp255(luma + u[i] * k.bu + k.b0) - k.mean[2]) * k.scale[2];
    }
}

static void grey(float *restrict r, float *restrict g, float *restrict b, const float *restrict y, int n,
                 const struct pd_resample_colour *colour)
{
    const struct pd_resample_colour k = *colour;
    for (int i = 0; i < n; i++) {
        float luma = clamp255(y[i] * k.yk + k.r0);
        r[i] = (luma - k.mean[0]) * k.scale[0];
        g[i] = (luma - k.mean[1]) * k.scale[1];
        b[i] = (luma - k.mean[2]) * k.scale[2];
    }
}

static void normalise(float *restrict dst, const float *restrict src, int n, float mean, float scale)
{
    for (int i = 0; i < n; i++)
        dst[i] = (clamp255(src[i]) - mean) * scale;
}
