/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "core/pose_rules.h"
#include "core/util.h"
#include "postproc/post_internal.h"

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

static int collect_pairs(const struct pd_maps *maps, const struct pd_field *f, const struct pd_candidates *cand,
                         const struct pd_limb *limb, const struct pd_line_rule *rule, struct pd_pair *pairs)
{
    const struct pd_peak *pa = cand->peaks[limb->a], *pb = cand->peaks[limb->b];
    int n = 0;
    for (int a = 0; a < cand->n_peaks[limb->a]; a++) {
        for (int b = 0; b < cand->n_peaks[limb->b]; b++) {
            float score;
            if (!pd_score_limb(f, pa[a], pb[b], maps->stride, maps->offset, rule, &score))
                continue;
            uint32_t key = pd_sort_key(pd_pair_rank(score, pa[a], pb[b]));
            pairs[n++] = (struct pd_pair){key, (uint16_t)a, (uint16_t)b, score};
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
    struct pd_line_rule rule = pd_line_rule(params->limb_threshold, params->limb_fraction, maps->h);
    cand->capped_connections = 0;
    for (int l = 0; l < post->skeleton->n_limbs; l++) {
        const struct pd_limb *limb = &post->limbs[l];
        struct pd_field f = {maps->paf + limb->paf_x * plane, maps->paf + limb->paf_y * plane, maps->w, maps->h};
        int n = collect_pairs(maps, &f, cand, limb, &rule, post->pairs);
        struct pd_pair *sorted = sort_pairs(post->pairs, post->pairs_spare, n);
        cand->n_connections[l] = match_pairs(sorted, n, cand->connections[l]);
    }
    return 0;
}
