#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * The inner loops of letterbox.c, as a table: plain C, which is always there and is what the tests compare with, and
 * faster ones for processors that have more. Private to core/ and its tests. Pure functions, any thread.
 */
#include <stddef.h>
#include <stdint.h>

/* One axis of a plane: output i is the sum over t of weight[i * taps + t] * in[start[i] + t]. Positions count from
 * `first`, the plane's first sample that the source rectangle touches. */
struct pd_resample_axis {
    int first, n_in;  /* samples first .. first + n_in - 1 of the plane are read */
    int n_out;        /* start and weight have PD_RESAMPLE_LANES - 1 further entries of weight 0 */
    int taps;         /* a multiple of PD_RESAMPLE_LANES, padded with weight 0 */
    const int *start; /* start + taps may pass n_in: input rows are padded with PD_RESAMPLE_PAD(taps) zeros */
    const int *count; /* taps in use, >= 1 */
    const float *weight;
};

#define PD_RESAMPLE_LANES 8

/* Luma and chroma sums to colours: red = y * yk + v * rv + r0 and so on, clamped to 0..255, then normalised. */
struct pd_resample_colour {
    float yk, rv, gu, gv, bu;
    float r0, g0, b0;
    float mean[3], scale[3]; /* of red, green, blue */
};

struct pd_resample_ops {
    const char *name;
    /* dst[x] = sum over t < taps of weight[t] * src[t * stride + x], x < n. @stride in elements. */
    void (*rows_u8)(float *dst, const uint8_t *src, ptrdiff_t stride, const float *weight, int taps, int n);
    void (*rows_u16)(float *dst, const uint16_t *src, ptrdiff_t stride, const float *weight, int taps, int n);
    /* One row along @axis; writes n_out rounded up to PD_RESAMPLE_LANES. */
    void (*columns)(float *dst, const float *src, const struct pd_resample_axis *axis);
    void (*split2)(float *a, float *b, const float *src, int n);
    void (*split3)(float *a, float *b, float *c, const float *src, int n);
    void (*yuv)(float *r, float *g, float *b, const float *y, const float *u, const float *v, int n,
                const struct pd_resample_colour *colour);
    /* Greys: @colour's terms of y alone. */
    void (*grey)(float *r, float *g, float *b, const float *y, int n, const struct pd_resample_colour *colour);
    void (*normalise)(float *dst, const float *src, int n, float mean, float scale);
};

extern const struct pd_resample_ops pd_resample_plain;
#if defined(__x86_64__)
extern const struct pd_resample_ops pd_resample_avx2;
#endif
/* The fastest that this processor runs. */
const struct pd_resample_ops *pd_resample_best(void);

struct pd_resampler;
/* For tests: use @ops from now on. */
void pd_resampler_set_ops(struct pd_resampler *rs, const struct pd_resample_ops *ops);
