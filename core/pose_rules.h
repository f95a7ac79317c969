#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * The arithmetic of the first two steps from maps to people, written once for postproc/ and for the kernels that do the
 * same on a GPU: what a peak is and where it lies, what a limb scores, and in which order both are taken. Valid as C
 * and as CUDA C++. Built without contraction of a*b+c (meson.build) all of it rounds alike everywhere, so that the same
 * maps give the same bits. No state, any thread.
 */
#include <math.h>
#include <string.h>

#include "core/pose.h"
#include "core/util.h"

#ifdef __CUDACC__
#define PD_RULE static __host__ __device__ __forceinline__
#else
#define PD_RULE static inline
#endif

/* Confidences and PAF projections are about 0..1; a network gone wrong may say anything. Above this everything is
 * equal, so that sums stay finite. */
#define PD_VALUE_MAX 4.0f

#define PD_LINE_SAMPLES 10       /* ends included; a number that grows with the limb measured no better */
#define PD_LINE_LENGTH_MIN 1e-3f /* map samples: below, a limb has no direction */
#define PD_LINE_LENGTH_MAX 1e6f  /* peaks that a device handed over may be anywhere */
#define PD_PEAK_WEIGHT 0.25f     /* of a peak's confidence in the order of matching: half of the two peaks' mean */

/* Order-preserving integer of a float that is not NaN. */
PD_RULE uint32_t pd_sort_key(float v)
{
    uint32_t u;
    memcpy(&u, &v, sizeof(u));
    return u & 0x80000000u ? ~u : u | 0x80000000u;
}

/* ---- peaks ---- */

/* A sample as something that can be compared: NaN is below everything. */
PD_RULE float pd_sane(float v)
{
    return v > -PD_VALUE_MAX ? PD_MIN(v, PD_VALUE_MAX) : -PD_VALUE_MAX;
}

PD_RULE float pd_sample(const float *map, int w, int h, int x, int y)
{
    return x < 0 || y < 0 || x >= w || y >= h ? -PD_VALUE_MAX : pd_sane(map[y * w + x]);
}

/* Strictly above the neighbours that come earlier in reading order and not below the later ones: of a flat top exactly
 * its first sample is left, whatever its value. Two neighbours are never both maxima. */
PD_RULE bool pd_is_maximum(const float *map, int w, int h, int x, int y)
{
    const float v = pd_sane(map[y * w + x]);
    if (!(v > pd_sample(map, w, h, x - 1, y) && v > pd_sample(map, w, h, x, y - 1) &&
          v >= pd_sample(map, w, h, x + 1, y) && v >= pd_sample(map, w, h, x, y + 1)))
        return false;
    return v > pd_sample(map, w, h, x - 1, y - 1) && v > pd_sample(map, w, h, x + 1, y - 1) &&
           v >= pd_sample(map, w, h, x - 1, y + 1) && v >= pd_sample(map, w, h, x + 1, y + 1);
}

/* How many maxima a map can have: no two neighbours are both one, so at most one in each 2x2 square. */
PD_RULE size_t pd_maxima_max(int w, int h)
{
    return (size_t)((w + 1) / 2) * (size_t)((h + 1) / 2);
}

/* Where the parabola through three samples has its top, from the middle one. */
PD_RULE float pd_parabola_top(float before, float middle, float after)
{
    const float slope = 0.5f * (after - before), bend = 2.0f * middle - before - after;
    return bend > 1e-6f ? PD_CLAMP(slope / bend, -0.5f, 0.5f) : 0.0f;
}

/* Sub-pixel place of the maximum at sample @at (y * w + x): on each axis the top of a parabola through the three
 * columns (rows) of the 3x3 neighbourhood, summed with weights 1, 2, 1, which is worth 0.7 points of AP over the middle
 * row alone where maps are noisy. Upsampling eightfold with a cubic, as the paper does, measured no better and costs
 * ten times as much. An axis without neighbours on both sides stays at the sample. */
PD_RULE struct pd_peak pd_refine_peak(const float *map, int w, int h, float stride, float offset, int at)
{
    const int x = at % w, y = at / w;
    float column[3] = {0.0f, 0.0f, 0.0f}, row[3] = {0.0f, 0.0f, 0.0f}, dx = 0.0f, dy = 0.0f;
    for (int j = -1; j <= 1; j++) {
        const int ny = PD_CLAMP(y + j, 0, h - 1);
        for (int i = -1; i <= 1; i++) {
            const float v = pd_sane(map[ny * w + PD_CLAMP(x + i, 0, w - 1)]);
            column[i + 1] += j == 0 ? 2.0f * v : v;
            row[j + 1] += i == 0 ? 2.0f * v : v;
        }
    }
    if (x > 0 && x < w - 1)
        dx = pd_parabola_top(column[0], column[1], column[2]);
    if (y > 0 && y < h - 1)
        dy = pd_parabola_top(row[0], row[1], row[2]);
    struct pd_peak peak;
    peak.x = ((float)x + dx) * stride + offset;
    peak.y = ((float)y + dy) * stride + offset;
    peak.score = pd_sane(map[at]);
    return peak;
}

/* ---- limbs ---- */

struct pd_field { /* the PAF of one limb */
    const float *x, *y;
    int w, h;
};

struct pd_line_rule {
    float threshold;    /* what a sample's projection must reach */
    float half_height;  /* of the map, samples: longer limbs pay for it (the paper's distance prior) */
    int misses_allowed; /* samples that may stay below */
};

/* The least whole number of samples that is the share @fraction of them; the small term takes back what rounding of a
 * fraction like 0.7 adds. */
PD_RULE int pd_hits_needed(float fraction)
{
    fraction = fraction >= 0.0f ? PD_MIN(fraction, 1.0f) : 0.0f;
    return (int)ceilf(fraction * PD_LINE_SAMPLES - 1e-3f);
}

PD_RULE struct pd_line_rule pd_line_rule(float limb_threshold, float limb_fraction, int map_height)
{
    struct pd_line_rule rule;
    rule.threshold = limb_threshold;
    rule.half_height = 0.5f * (float)map_height;
    rule.misses_allowed = PD_LINE_SAMPLES - pd_hits_needed(limb_fraction);
    return rule;
}

/* Bilinear, edges held. @x and @y in map samples. */
PD_RULE void pd_field_at(const struct pd_field *f, float x, float y, float *ret_x, float *ret_y)
{
    x = PD_CLAMP(x, 0.0f, (float)(f->w - 1));
    y = PD_CLAMP(y, 0.0f, (float)(f->h - 1));
    const int x0 = (int)x, y0 = (int)y;
    const int right = x0 + 1 < f->w, down = y0 + 1 < f->h ? f->w : 0, at = y0 * f->w + x0;
    const float tx = x - (float)x0, ty = y - (float)y0;
    const float w00 = (1.0f - tx) * (1.0f - ty), w10 = tx * (1.0f - ty), w01 = (1.0f - tx) * ty, w11 = tx * ty;
    *ret_x = w00 * f->x[at] + w10 * f->x[at + right] + w01 * f->x[at + down] + w11 * f->x[at + down + right];
    *ret_y = w00 * f->y[at] + w10 * f->y[at + right] + w01 * f->y[at + down] + w11 * f->y[at + down + right];
}

/* The line integral of eq. 11 between two peaks in map samples; false when the pair is no limb. A pair that misses too
 * often is given up at once: most pairs of a crowd are of two different people, and end here after a few samples. */
PD_RULE bool pd_score_line(const struct pd_field *f, float ax, float ay, float bx, float by,
                           const struct pd_line_rule *rule, float *ret_score)
{
    const float dx = bx - ax, dy = by - ay, len = sqrtf(dx * dx + dy * dy);
    float sum = 0.0f;
    if (!(len >= PD_LINE_LENGTH_MIN && len <= PD_LINE_LENGTH_MAX))
        return false;
    const float ux = dx / len, uy = dy / len;
    for (int i = 0, misses = 0; i < PD_LINE_SAMPLES; i++) {
        float t = (float)i * (1.0f / (PD_LINE_SAMPLES - 1)), px, py;
        pd_field_at(f, ax + t * dx, ay + t * dy, &px, &py);
        const float along = px * ux + py * uy;
        if (!(along >= rule->threshold) && ++misses > rule->misses_allowed)
            return false;
        sum += along > -PD_VALUE_MAX ? PD_MIN(along, PD_VALUE_MAX) : -PD_VALUE_MAX; /* NaN is the lowest */
    }
    *ret_score = sum * (1.0f / PD_LINE_SAMPLES) + PD_MIN(rule->half_height / len - 1.0f, 0.0f);
    return *ret_score > 0.0f;
}

/* The same between two peaks in network input pixels. */
PD_RULE bool pd_score_limb(const struct pd_field *f, struct pd_peak a, struct pd_peak b, float stride, float offset,
                           const struct pd_line_rule *rule, float *ret_score)
{
    const float scale = 1.0f / stride;
    return pd_score_line(f, (a.x - offset) * scale, (a.y - offset) * scale, (b.x - offset) * scale,
                         (b.y - offset) * scale, rule, ret_score);
}

/* Pairs are matched in the order of this, equal ones in the order of their peaks. */
PD_RULE float pd_pair_rank(float score, struct pd_peak a, struct pd_peak b)
{
    return score + PD_PEAK_WEIGHT * (a.score + b.score);
}
