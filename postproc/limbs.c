/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "core/util.h"
#include "postproc/post_internal.h"


#define LINE_SAMPLES 10    /* ends included; a number that grows with the limb measured no better */
#define MIN_LENGTH 1e-3f   /* map samples: below, a limb has no direction */
#define MAX_LENGTH 1e6f    /* peaks that a device handed over may be anywhere */
#define PEAK_WEIGHT 0.25f  /* of a peak's confidence in the order of matching: half of the two peaks' mean */

struct field { /* the PAF of one limb */
    const float *x, *y;
    int w, h;
};

/* Bilinear, edges held. @x and @y in map samples. */
static inline void field_at(const struct field *f, float x, float y, float *ret_x, float *ret_y)
{
    x = PD_CLAMP(x, 0.0f, (float)(f->w - 1));
    y = PD_CLAMP(y, 0.0f, (float)(f->h - 1));
    int x0 = (int)x, y0 = (int)y;
    int right = x0 + 1 < f->w, down = y0 + 1 < f->h ? f->w : 0, at = y0 * f->w + x0;
    float tx = x - (float)x0, ty = y - (float)y0;
    float w00 = (1.0f - tx) * (1.0f - ty), w10 = tx * (1.0f - ty), w01 = (1.0f - tx) * ty, w11 = tx * ty;
    *ret_x = w00 * f->x[at] + w10 * f->x[at + right] + w01 * f->x[at + down] + w11 * f->x[at + down + right];
    *ret_y = w00 * f->y[at] + w10 * f->y[at + right] + w01 * f->y[at + down] + w11 * f->y[at + down + right];
}

/* Order-preserving integer of a float that is not NaN. */
static inline uint32_t sort_key(float v)
{
    uint32_t u;
    memcpy(&u, &v, sizeof(u));
    return u & 0x80000000u ? ~u : u | 0x80000000u;
}

static void insertion_sort(struct pd_pair *pairs, int n)
{
    for (int i = 1; i < n; i++) {
        struct pd_pair p = pairs[i];
        int j = i;
        for (; j > 0 && pairs[j - 1].key < p.key; j--)
            pairs[j] = pairs[j - 1];
        pairs[j] = p;
    }
}

/* Best first; equal ones stay in their order. Many are radix sorted, because this must neither allocate nor go
 * quadratic. Returns where they are: @pairs or @spare. */
static struct pd_pair *sort_pairs(struct pd_pair *pairs, struct pd_pair *spare, int n)
{
    if (n <= 64) {
        insertion_sort(pairs, n);
        return pairs;
    }
    for (int shift = 0; shift < 32; shift += 8) {
        int start[256] = {0}, sum = 0;
        for (int i = 0; i < n; i++)
            start[pairs[i].key >> shift & 255]++;
        for (int b = 255; b >= 0; b--) {
            int count = start[b];
            start[b] = sum;
            sum += count;
        }
        for (int i = 0; i < n; i++)
            spare[start[pairs[i].key >> shift & 255]++] = pairs[i];
        struct pd_pair *t = pairs;
        pairs = spare;
        spare = t;
    }
    return pairs;
}

struct line_params {
    float threshold, half_height;
    int misses_allowed;
};

/* The line integral of eq. 11 between two peaks in map samples; false when the pair is no limb. A pair that misses too
 * often is given up at once: most pairs of a crowd are of two different people, and end here after a few samples. */
static bool score_pair(const struct field *f, float ax, float ay, float bx, float by, const struct line_params *lp,
                       float *ret_score)
{
    float dx = bx - ax, dy = by - ay, len = sqrtf(dx * dx + dy * dy), sum = 0.0f;
    if (!(len >= MIN_LENGTH && len <= MAX_LENGTH))
        return false;
    float ux = dx / len, uy = dy / len;
    for (int i = 0, misses = 0; i < LINE_SAMPLES; i++) {
        float t = (float)i * (1.0f / (LINE_SAMPLES - 1)), px, py;
        field_at(f, ax + t * dx, ay + t * dy, &px, &py);
        float along = px * ux + py * uy;
        if (!(along >= lp->threshold) && ++misses > lp->misses_allowed)
            return false;
        sum += along > -PD_VALUE_MAX ? PD_MIN(along, PD_VALUE_MAX) : -PD_VALUE_MAX; /* NaN is the lowest */
    }
    *ret_score = sum * (1.0f / LINE_SAMPLES) + PD_MIN(lp->half_height / len - 1.0f, 0.0f);
    return *ret_score > 0.0f;
}

static int collect_pairs(const struct pd_maps *maps, const struct field *f, const struct pd_candidates *cand,
                         const struct pd_limb *limb, const struct line_params *lp, struct pd_pair *pairs)
{
    const struct pd_peak *pa = cand->peaks[limb->a], *pb = cand->peaks[limb->b];
    float scale = 1.0f / maps->stride, off = maps->offset;
    int n = 0;
    for (int a = 0; a < cand->n_peaks[limb->a]; a++) {
        float ax = (pa[a].x - off) * scale, ay = (pa[a].y - off) * scale;
        for (int b = 0; b < cand->n_peaks[limb->b]; b++) {
            float score;
            if (!score_pair(f, ax, ay, (pb[b].x - off) * scale, (pb[b].y - off) * scale, lp, &score))
                continue;
            float rank = score + PEAK_WEIGHT * (pa[a].score + pb[b].score);
            pairs[n++] = (struct pd_pair){sort_key(rank), (uint16_t)a, (uint16_t)b, score};
        }
    }
    return n;
}

/* Connections of one limb share no peak, so there is always room; what a cap lets go are peaks. */
_Static_assert(PD_CONNECTIONS_MAX >= PD_PEAKS_MAX, "every peak of a limb may be connected");

/* Greedy bipartite matching: the best pair whose peaks are both free, again and again. Returns how many. */
static int match_pairs(const struct pd_pair *pairs, int n, struct pd_connection *connections)
{
    bool a_taken[PD_PEAKS_MAX] = {false}, b_taken[PD_PEAKS_MAX] = {false};
    int found = 0;
    for (int i = 0; i < n; i++) {
        if (a_taken[pairs[i].a] || b_taken[pairs[i].b])
            continue;
        a_taken[pairs[i].a] = b_taken[pairs[i].b] = true;
        connections[found++] = (struct pd_connection){pairs[i].a, pairs[i].b, pairs[i].score};
    }
    return found;
}

/* The least whole number of samples that is the share @fraction of them; the small term takes back what rounding of a
 * fraction like 0.7 adds. */
static int hits_needed(float fraction)
{
    fraction = fraction >= 0.0f ? PD_MIN(fraction, 1.0f) : 0.0f;
    return (int)ceilf(fraction * LINE_SAMPLES - 1e-3f);
}

int pd_post_score_limbs(struct pd_post *post, const struct pd_maps *maps, const struct pd_post_params *params,
                        struct pd_candidates *cand)
{
    int r = pd_post_check(post, maps);
    if (r < 0)
        return r;
    for (int k = 0; k < post->skeleton->n_keypoints; k++) {
        if (cand->n_peaks[k] < 0 || cand->n_peaks[k] > PD_PEAKS_MAX)
            return -EINVAL;
    }
    size_t plane = (size_t)maps->w * (size_t)maps->h;
    struct line_params lp = {
        .threshold = params->limb_threshold,
        .half_height = 0.5f * (float)maps->h,
        .misses_allowed = LINE_SAMPLES - hits_needed(params->limb_fraction),
    };
    cand->capped_connections = 0;
    for (int l = 0; l < post->skeleton->n_limbs; l++) {
        const struct pd_limb *limb = &post->limbs[l];
        struct field f = {maps->paf + limb->paf_x * plane, maps->paf + limb->paf_y * plane, maps->w, maps->h};
        int n = collect_pairs(maps, &f, cand, limb, &lp, post->pairs);
        struct pd_pair *sorted = sort_pairs(post->pairs, post->pairs_spare, n);
        cand->n_connections[l] = match_pairs(sorted, n, cand->connections[l]);
    }
    return 0;
}
