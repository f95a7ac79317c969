/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "core/util.h"
#include "postproc/post_internal.h"


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

/* Best first; equal ones stay in their order. Radix sort, because this must neither allocate nor go quadratic. */
static struct pd_pair *sort_pairs(struct pd_pair *pairs, struct pd_pair *spare, int n)
{
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
    float threshold, fraction, half_height;
};

/* The line integral of eq. 11 between two peaks in map samples; false when the pair is no limb. */
static bool score_pair(const struct field *f, float ax, float ay, float bx, float by, const struct line_params *lp,
                       float *ret_score)
{
    float dx = bx - ax, dy = by - ay, len = sqrtf(dx * dx + dy * dy);
    if (!(len < 1e6f))
        return false;
    if (len < 1e-3f)
        return false;
    int n = 10;
    float ux = dx / len, uy = dy / len, sum = 0.0f;
    int hits = 0, misses = 0, misses_allowed = n - (int)ceilf(lp->fraction * (float)n - 1e-4f);
    float hsum = 0;
    for (int i = 0; i < n; i++) {
        float t = n > 1 ? (float)i / (float)(n - 1) : 0.5f, px, py;
        field_at(f, ax + t * dx, ay + t * dy, &px, &py);
        float along = px * ux + py * uy;
        if (along >= lp->threshold && along <= PD_VALUE_MAX) {
            hits++; hsum += along;
        } else if (along > PD_VALUE_MAX) {
            along = PD_VALUE_MAX; hits++;
        } else if (++misses > misses_allowed) {
            return false;
        }
        sum += along > -PD_VALUE_MAX ? along : -PD_VALUE_MAX;
    }
    float score = sum / (float)n;
    score += PD_MIN(lp->half_height / len - 1.0f, 0.0f);
    *ret_score = score;
    return score > 0.0f;
}

static int collect_pairs(const struct pd_maps *maps, const struct field *f, const struct pd_candidates *cand,
                         const struct pd_limb *limb, const struct line_params *lp, struct pd_pair *pairs)
{
    const struct pd_peak *pa = cand->peaks[limb->a], *pb = cand->peaks[limb->b];
    float scale = 1.0f / maps->stride, off = maps->offset;
    int n = 0;
    for (int a = 0; a < cand->n_peaks[limb->a]; a++) {
        for (int b = 0; b < cand->n_peaks[limb->b]; b++) {
            float score;
            if (!score_pair(f, (pa[a].x - off) * scale, (pa[a].y - off) * scale, (pb[b].x - off) * scale,
                            (pb[b].y - off) * scale, lp, &score))
                continue;
            float rank = score;
            pairs[n++] = (struct pd_pair){sort_key(rank), (uint16_t)a, (uint16_t)b, score};
        }
    }
    return n;
}

/* Greedy bipartite matching: the best pair whose peaks are both free, again and again. */
static void match_pairs(const struct pd_pair *pairs, int n, struct pd_connection *connections, int *ret_n,
                        uint32_t *capped)
{
    bool a_taken[PD_PEAKS_MAX] = {false}, b_taken[PD_PEAKS_MAX] = {false};
    int found = 0;
    for (int i = 0; i < n; i++) {
        if (a_taken[pairs[i].a] || b_taken[pairs[i].b])
            continue;
        a_taken[pairs[i].a] = b_taken[pairs[i].b] = true;
        if (found == PD_CONNECTIONS_MAX)
            (*capped)++;
        else
            connections[found++] = (struct pd_connection){pairs[i].a, pairs[i].b, pairs[i].score};
    }
    *ret_n = found;
}

int pd_post_score_limbs(struct pd_post *post, const struct pd_maps *maps, const struct pd_post_params *params,
                        struct pd_candidates *cand)
{
    int r = pd_post_check(post, maps);
    if (r < 0)
        return r;
    size_t plane = (size_t)maps->w * (size_t)maps->h;
    struct line_params lp = {params->limb_threshold, params->limb_fraction, 0.5f * (float)maps->h};
    cand->capped_connections = 0;
    for (int l = 0; l < post->skeleton->n_limbs; l++) {
        const struct pd_limb *limb = &post->limbs[l];
        struct field f = {maps->paf + limb->paf_x * plane, maps->paf + limb->paf_y * plane, maps->w, maps->h};
        int n = collect_pairs(maps, &f, cand, limb, &lp, post->pairs);
        struct pd_pair *sorted = sort_pairs(post->pairs, post->pairs_spare, n);
        match_pairs(sorted, n, cand->connections[l], &cand->n_connections[l], &cand->capped_connections);
    }
    return 0;
}
