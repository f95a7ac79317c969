/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <math.h>

#include "core/util.h"
#include "postproc/post_internal.h"


/* A sample as something that can be compared: NaN is below everything. */
static inline float sane(float v)
{
    return v > -PD_VALUE_MAX ? PD_MIN(v, PD_VALUE_MAX) : -PD_VALUE_MAX;
}

static inline float at(const float *map, int w, int h, int x, int y)
{
    return x < 0 || y < 0 || x >= w || y >= h ? -PD_VALUE_MAX : sane(map[y * w + x]);
}

/* Strictly above the neighbours that come earlier in reading order and not below the later ones: of a flat top exactly
 * its first sample is left, whatever its value. */
static bool is_local_maximum(const float *map, int w, int h, int x, int y)
{
    float v = sane(map[y * w + x]);
    if (!(v > at(map, w, h, x - 1, y) && v > at(map, w, h, x, y - 1) && v >= at(map, w, h, x + 1, y) &&
             v >= at(map, w, h, x, y + 1)))
        return false;
    return v > at(map, w, h, x - 1, y - 1) && v > at(map, w, h, x + 1, y - 1) && v >= at(map, w, h, x - 1, y + 1) &&
           v >= at(map, w, h, x + 1, y + 1);
}

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
            if (is_local_maximum(map, w, h, x, y))
                cells[n++] = (struct pd_cell){sane(row[x]), y * w + x};
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

/* Where the parabola through three samples has its top, from the middle one. */
static float parabola_top(float before, float middle, float after)
{
    float slope = 0.5f * (after - before), bend = 2.0f * middle - before - after;
    return bend > 1e-6f ? PD_CLAMP(slope / bend, -0.5f, 0.5f) : 0.0f;
}

/* Sub-pixel place of the maximum at (x, y): on each axis the top of a parabola through the three columns (rows) of the
 * 3x3 neighbourhood, summed with weights 1, 2, 1, which is worth 0.7 points of AP over the middle row alone where maps
 * are noisy. Upsampling eightfold with a cubic, as the paper does, measured no better and costs ten times as much. An
 * axis without neighbours on both sides stays at the sample. */
static struct pd_peak refine(const struct pd_maps *maps, const float *map, struct pd_cell cell)
{
    int w = maps->w, h = maps->h, x = cell.at % w, y = cell.at / w;
    float column[3] = {0}, row[3] = {0}, dx = 0.0f, dy = 0.0f;
    for (int j = -1; j <= 1; j++) {
        int ny = PD_CLAMP(y + j, 0, h - 1);
        for (int i = -1; i <= 1; i++) {
            float v = sane(map[ny * w + PD_CLAMP(x + i, 0, w - 1)]);
            column[i + 1] += j == 0 ? 2.0f * v : v;
            row[j + 1] += i == 0 ? 2.0f * v : v;
        }
    }
    if (x > 0 && x < w - 1)
        dx = parabola_top(column[0], column[1], column[2]);
    if (y > 0 && y < h - 1)
        dy = parabola_top(row[0], row[1], row[2]);
    return (struct pd_peak){((float)x + dx) * maps->stride + maps->offset,
                            ((float)y + dy) * maps->stride + maps->offset, cell.value};
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
            cand->peaks[k][i] = refine(maps, map, post->cells[i]);
    }
    return 0;
}
