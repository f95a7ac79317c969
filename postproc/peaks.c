/* SPDX-License-Identifier: Apache-2.0 */
#include "core/pose_rules.h"
#include "core/util.h"
#include "postproc/post_internal.h"

/* Most rows hold nothing above the threshold; counting vectorises, looking for a maximum does not. */
static int count_above(const float *row, int w, float threshold)
{
    int n = 0;
    for (int x = 0; x < w; x++)
        n += row[x] >= threshold;
    return n;
}

static int find_maxima(const float *map, int w, int h, float threshold, struct pd_cell *cells)
{
    int n = 0;
    for (int y = 0; y < h; y++) {
        const float *row = map + (size_t)y * (size_t)w;
        int left = count_above(row, w, threshold);
        for (int x = 0; left > 0; x++) {
            if (!(row[x] >= threshold))
                continue;
            left--;
            if (pd_is_maximum(map, w, h, x, y))
                cells[n++] = (struct pd_cell){pd_sane(row[x]), y * w + x};
        }
    }
    return n;
}

/* True when a is to be let go before b. */
static bool weaker(struct pd_cell a, struct pd_cell b)
{
    return a.value < b.value || (a.value == b.value && a.at > b.at);
}

static void sift_down(struct pd_cell *heap, int n, int i)
{
    for (;;) {
        int least = i, l = 2 * i + 1, r = l + 1;
        if (l < n && weaker(heap[l], heap[least]))
            least = l;
        if (r < n && weaker(heap[r], heap[least]))
            least = r;
        if (least == i)
            return;
        struct pd_cell t = heap[i];
        heap[i] = heap[least];
        heap[least] = t;
        i = least;
    }
}

/* Leave the strongest @keep of @n cells in front, strongest first. */
static int keep_strongest(struct pd_cell *cells, int n, int keep)
{
    int kept = PD_MIN(n, keep);
    for (int i = kept / 2 - 1; i >= 0; i--)
        sift_down(cells, kept, i);
    for (int i = kept; i < n; i++) {
        if (weaker(cells[0], cells[i])) {
            cells[0] = cells[i];
            sift_down(cells, kept, 0);
        }
    }
    for (int left = kept - 1; left > 0; left--) { /* heap sort: the weakest goes to the end */
        struct pd_cell t = cells[0];
        cells[0] = cells[left];
        cells[left] = t;
        sift_down(cells, left, 0);
    }
    return kept;
}

int pd_post_find_peaks(struct pd_post *post, const struct pd_maps *maps, const struct pd_post_params *params,
                       struct pd_candidates *cand)
{
    int r = pd_post_check(post, maps);
    if (r < 0)
        return r;
    cand->capped_peaks = 0;
    for (int k = 0; k < post->skeleton->n_keypoints; k++) {
        const float *map = maps->heat + (size_t)k * (size_t)maps->w * (size_t)maps->h;
        int n = find_maxima(map, maps->w, maps->h, params->peak_threshold, post->cells);
        int kept = keep_strongest(post->cells, n, PD_PEAKS_MAX);
        cand->capped_peaks += (uint32_t)(n - kept);
        cand->n_peaks[k] = kept;
        for (int i = 0; i < kept; i++)
            cand->peaks[k][i] =
                pd_refine_peak(map, maps->w, maps->h, maps->stride, maps->offset, post->cells[i].at);
    }
    return 0;
}
