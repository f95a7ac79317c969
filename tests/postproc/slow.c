/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/test.h"

#include "tests/postproc/slow.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double at(const float *map, const struct pd_maps *m, int x, int y)
{
    x = x < 0 ? 0 : x > m->w - 1 ? m->w - 1 : x;
    y = y < 0 ? 0 : y > m->h - 1 ? m->h - 1 : y;
    return map[y * m->w + x];
}

/* ---- peaks ---- */

/* Of two samples the higher is above; of equals the one read first. */
static bool above(const float *map, int i, int j)
{
    return map[i] > map[j] || (map[i] == map[j] && i < j);
}

static const float *order_map;

static int compare_samples(const void *pa, const void *pb)
{
    int a = *(const int *)pa, b = *(const int *)pb;
    return a == b ? 0 : above(order_map, a, b) ? -1 : 1;
}

/* The top, within half a sample, of the parabola with the values p(-1), p(0), p(1): by looking. One without a top says
 * nothing. */
static double top_by_looking(const double p[3])
{
    double best = -INFINITY, where = 0;
    if (p[0] + p[2] - 2 * p[1] >= -2.5e-7)
        return 0;
    for (int i = -1000; i <= 1000; i++) {
        double t = i / 2000.0, v = p[0] * t * (t - 1) / 2 + p[1] * (1 - t * t) + p[2] * t * (t + 1) / 2;
        if (v > best) {
            best = v;
            where = t;
        }
    }
    return where;
}

static struct pd_peak slow_refine(const float *map, const struct pd_maps *m, int x, int y)
{
    double tx = 0, ty = 0, p[3];
    if (x > 0 && x + 1 < m->w) {
        for (int i = 0; i < 3; i++)
            p[i] = at(map, m, x + i - 1, y - 1) / 4 + at(map, m, x + i - 1, y) / 2 + at(map, m, x + i - 1, y + 1) / 4;
        tx = top_by_looking(p);
    }
    if (y > 0 && y + 1 < m->h) {
        for (int i = 0; i < 3; i++)
            p[i] = at(map, m, x - 1, y + i - 1) / 4 + at(map, m, x, y + i - 1) / 2 + at(map, m, x + 1, y + i - 1) / 4;
        ty = top_by_looking(p);
    }
    return (struct pd_peak){(float)((x + tx) * m->stride + m->offset), (float)((y + ty) * m->stride + m->offset),
                            map[y * m->w + x]};
}

int slow_find_peaks(const struct pd_maps *m, int keypoint, double threshold, struct pd_peak *ret_peaks)
{
    const float *map = m->heat + keypoint * m->w * m->h;
    int *found = malloc(sizeof(*found) * (size_t)(m->w * m->h)), n = 0;
    assert_non_null(found);
    for (int i = 0; i < m->w * m->h; i++) {
        bool top = map[i] >= (float)threshold;
        for (int j = 0; top && j < m->w * m->h; j++) {
            if (i != j && abs(i % m->w - j % m->w) <= 1 && abs(i / m->w - j / m->w) <= 1 && above(map, j, i))
                top = false;
        }
        if (top)
            found[n++] = i;
    }
    order_map = map;
    qsort(found, (size_t)n, sizeof(*found), compare_samples);
    n = n < PD_PEAKS_MAX ? n : PD_PEAKS_MAX;
    for (int i = 0; i < n; i++)
        ret_peaks[i] = slow_refine(map, m, found[i] % m->w, found[i] / m->w);
    free(found);
    return n;
}

/* ---- limbs ---- */

static double field(const float *map, const struct pd_maps *m, double x, double y)
{
    double v = 0;
    x = fmin(fmax(x, 0), m->w - 1);
    y = fmin(fmax(y, 0), m->h - 1);
    for (int j = (int)y; j < m->h && j < y + 1; j++) { /* every sample is a tent: those that reach (x, y) */
        for (int i = (int)x; i < m->w && i < x + 1; i++)
            v += (1 - fabs(x - i)) * (1 - fabs(y - j)) * map[j * m->w + i];
    }
    return v;
}

double slow_line(const struct pd_maps *m, const struct pd_limb *limb, const struct pd_peak *a, const struct pd_peak *b,
                 double threshold, double fraction, double *margin)
{
    const float *fx = m->paf + limb->paf_x * m->w * m->h, *fy = m->paf + limb->paf_y * m->w * m->h;
    double dx = (double)b->x - a->x, dy = (double)b->y - a->y, len = hypot(dx, dy), sum = 0;
    int n = 10, good = 0;
    if (len / m->stride < 1e-3)
        return -1;
    for (int i = 0; i < n; i++) {
        double x = (a->x + dx * i / (n - 1) - m->offset) / m->stride,
               y = (a->y + dy * i / (n - 1) - m->offset) / m->stride;
        double dot = (field(fx, m, x, y) * dx + field(fy, m, x, y) * dy) / len;
        good += dot >= threshold;
        *margin = fmin(*margin, fabs(dot - threshold));
        sum += dot;
    }
    double score = sum / n + fmin(m->h * m->stride / 2 / len - 1, 0);
    *margin = fmin(*margin, fabs(score));
    return good >= fraction * n - 1e-3 && score > 0 ? score : -1;
}

int slow_match(const struct pd_maps *m, const struct pd_limb *limb, const struct pd_candidates *cand,
               const struct pd_post_params *params, struct pd_connection *ret_connections, double *margin)
{
    int na = cand->n_peaks[limb->a], nb = cand->n_peaks[limb->b], n = 0;
    double *score = malloc(sizeof(double) * (size_t)(na * nb + 1)),
           *rank = malloc(sizeof(double) * (size_t)(na * nb + 1));
    assert_true(score && rank);
    for (int i = 0; i < na * nb; i++) {
        const struct pd_peak *a = &cand->peaks[limb->a][i / nb], *b = &cand->peaks[limb->b][i % nb];
        score[i] = slow_line(m, limb, a, b, params->limb_threshold, params->limb_fraction, margin);
        rank[i] = score[i] > 0 ? score[i] + ((double)a->score + b->score) / 4 : -1;
    }
    for (;;) {
        int best = -1;
        for (int i = 0; i < na * nb; i++) {
            if (rank[i] > 0 && (best < 0 || rank[i] > rank[best]))
                best = i;
        }
        if (best < 0)
            break;
        ret_connections[n++] = (struct pd_connection){(uint16_t)(best / nb), (uint16_t)(best % nb), (float)score[best]};
        for (int i = 0; i < na * nb; i++) {
            if (i == best || (i / nb != best / nb && i % nb != best % nb))
                continue;
            if (rank[i] > 0)
                *margin = fmin(*margin, rank[best] - rank[i]);
            rank[i] = -1;
        }
        rank[best] = -1;
    }
    free(score);
    free(rank);
    return n;
}

/* ---- people ---- */

/* label[k][i]: which person peak i of keypoint k belongs to; 0: none yet. */
typedef int labels[PD_KEYPOINTS_MAX][PD_PEAKS_MAX];

/* A person may hold one peak of each keypoint. */
static bool would_hold_two(const struct pd_skeleton *s, const struct pd_candidates *cand, const labels label, int one,
                           int other)
{
    for (int k = 0; k < s->n_keypoints; k++) {
        int n = 0;
        for (int i = 0; i < cand->n_peaks[k]; i++)
            n += label[k][i] == one || label[k][i] == other;
        if (n > 1)
            return true;
    }
    return false;
}

/* Every peak starts as a person of its own and connections unite them: the components of the graph, refusing those
 * that would give a person two of a kind. A limb whose keypoints others join already unites only people of two or more
 * peaks and theirs. */
static void unite(const struct pd_skeleton *s, const struct pd_candidates *cand, labels label, double *limb_sum)
{
    int next = 1;
    bool joined[PD_KEYPOINTS_MAX][PD_KEYPOINTS_MAX] = {{false}};
    for (int l = 0; l < s->n_limbs; l++) {
        int a = s->limbs[l].a, b = s->limbs[l].b;
        bool closes_circle = joined[a][b];
        for (int i = 0; i < cand->n_connections[l]; i++) {
            const struct pd_connection *c = &cand->connections[l][i];
            int *la = &label[a][c->a], *lb = &label[b][c->b];
            if (!*la && !*lb && closes_circle)
                continue;
            bool new_a = !*la, new_b = !*lb;
            *la = new_a ? next++ : *la;
            *lb = new_b ? next++ : *lb;
            int keep = *la, drop = *lb;
            if (keep != drop && would_hold_two(s, cand, label, keep, drop)) {
                *la = new_a ? 0 : *la;
                *lb = new_b ? 0 : *lb;
                continue;
            }
            limb_sum[keep] += c->score + (keep != drop ? limb_sum[drop] : 0);
            for (int k = 0; k < s->n_keypoints; k++) {
                for (int j = 0; j < cand->n_peaks[k]; j++)
                    label[k][j] = label[k][j] == drop ? keep : label[k][j];
            }
        }
        for (int p = 0; p < s->n_keypoints; p++) { /* transitive closure of what limbs join so far */
            for (int q = 0; q < s->n_keypoints; q++) {
                bool pa = p == a || joined[p][a], pb = p == b || joined[p][b];
                bool qa = q == a || joined[q][a], qb = q == b || joined[q][b];
                if ((pa && qb) || (pb && qa))
                    joined[p][q] = joined[q][p] = true;
            }
        }
    }
}

void slow_assemble(const struct pd_skeleton *s, const struct pd_candidates *cand, const struct pd_post_params *params,
                   struct pd_people *ret_people, double *margin)
{
    static labels label;
    static double limb_sum[2 * PD_LIMBS_MAX * PD_CONNECTIONS_MAX];
    memset(label, 0, sizeof(label));
    memset(limb_sum, 0, sizeof(limb_sum));
    memset(ret_people, 0, sizeof(*ret_people));
    ret_people->n_keypoints = s->n_keypoints;
    unite(s, cand, label, limb_sum);
    for (int id = 1; id < 2 * PD_LIMBS_MAX * PD_CONNECTIONS_MAX; id++) {
        struct pd_person p = {0};
        double sum = 0, x0 = INFINITY, x1 = -INFINITY, y0 = INFINITY, y1 = -INFINITY;
        for (int k = 0; k < s->n_keypoints; k++) {
            for (int i = 0; i < cand->n_peaks[k]; i++) {
                const struct pd_peak *peak = &cand->peaks[k][i];
                if (label[k][i] != id)
                    continue;
                p.keypoints[k] = (struct pd_keypoint){peak->x, peak->y, fminf(peak->score, 1.0f)};
                p.n_found++;
                sum += p.keypoints[k].score;
                x0 = fmin(x0, peak->x);
                x1 = fmax(x1, peak->x);
                y0 = fmin(y0, peak->y);
                y1 = fmax(y1, peak->y);
            }
        }
        if (p.n_found == 0 || p.n_found < params->min_keypoints)
            continue;
        double size = fmax(x1 - x0, y1 - y0), score = (sum + limb_sum[id]) / 2 / p.n_found * size / (size + 64);
        *margin = fmin(*margin, fabs(score - params->min_score));
        if (score < params->min_score)
            continue;
        assert_true(ret_people->n < PD_PEOPLE_MAX);
        p.score = (float)fmin(score, 1);
        ret_people->person[ret_people->n++] = p;
    }
}
