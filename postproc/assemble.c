/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "core/util.h"
#include "postproc/post_internal.h"


#define SMALL_PERSON 64.0f /* network input pixels; a person of this extent is worth half of a very large one */

/* Move everything of @from into @to. */
static void merge(struct pd_post *post, int to, int from)
{
    struct pd_making *t = &post->making[to], *f = &post->making[from];
    for (int k = 0; k < post->skeleton->n_keypoints; k++) {
        if (f->peak[k] < 0)
            continue;
        t->peak[k] = f->peak[k];
        post->owner[k][f->peak[k]] = (int16_t)to;
    }
    t->n_found += f->n_found;
    t->limb_sum += f->limb_sum;
    t->n_limbs += f->n_limbs;
    f->n_found = 0;
}

static bool share_a_keypoint(const struct pd_making *a, const struct pd_making *b, int n_keypoints)
{
    for (int k = 0; k < n_keypoints; k++) {
        if (a->peak[k] >= 0 && b->peak[k] >= 0)
            return true;
    }
    return false;
}

static void attach(struct pd_post *post, int person, int keypoint, int peak)
{
    post->making[person].peak[keypoint] = (int16_t)peak;
    post->making[person].n_found++;
    post->owner[keypoint][peak] = (int16_t)person;
}

static void add_connection(struct pd_post *post, int l, const struct pd_connection *c, int *n_making)
{
    int ka = post->limbs[l].a, kb = post->limbs[l].b;
    int pa = post->owner[ka][c->a], pb = post->owner[kb][c->b], into;
    if (pa < 0 && pb < 0) {
        if (post->bridge[l])
            return;
        into = (*n_making)++;
        memset(&post->making[into], 0, sizeof(post->making[into]));
        memset(post->making[into].peak, 0xff, sizeof(post->making[into].peak));
        attach(post, into, ka, c->a);
        attach(post, into, kb, c->b);
    } else if (pa >= 0 && pb >= 0) {
        into = pa;
        if (pa != pb) {
            if (share_a_keypoint(&post->making[pa], &post->making[pb], post->skeleton->n_keypoints))
                return;
            merge(post, pa, pb);
        }
    } else if (pa >= 0) {
        into = pa;
        if (post->making[into].peak[kb] >= 0)
            return;
        attach(post, into, kb, c->b);
    } else {
        into = pb;
        if (post->making[into].peak[ka] >= 0)
            return;
        attach(post, into, ka, c->a);
    }
    post->making[into].limb_sum += c->score;
    post->making[into].n_limbs++;
}

static float unit(float v)
{
    return v > 0.0f ? PD_MIN(v, 1.0f) : 0.0f;
}

/* @p's keypoints and score from what @m holds. The score is how much of the person is certain, the mean of its peaks
 * and limbs, times how well a person of this size can be placed: a keypoint's error is a share of a map sample,
 * whatever the size, so a small person's keypoints are off by more of that person. */
static void finish_person(const struct pd_post *post, const struct pd_candidates *cand, const struct pd_making *m,
                          struct pd_person *p)
{
    float sum = 0.0f, x0 = INFINITY, y0 = INFINITY, x1 = -INFINITY, y1 = -INFINITY;
    memset(p, 0, sizeof(*p));
    for (int k = 0; k < post->skeleton->n_keypoints; k++) {
        if (m->peak[k] < 0)
            continue;
        const struct pd_peak *peak = &cand->peaks[k][m->peak[k]];
        struct pd_keypoint kp = {peak->x, peak->y, unit(peak->score)};
        if (!(kp.score > 0.0f) || !isfinite(kp.x) || !isfinite(kp.y))
            continue;
        p->keypoints[k] = kp;
        p->n_found++;
        sum += kp.score;
        x0 = fminf(x0, kp.x);
        y0 = fminf(y0, kp.y);
        x1 = fmaxf(x1, kp.x);
        y1 = fmaxf(y1, kp.y);
    }
    if (p->n_found == 0)
        return;
    float size = fmaxf(x1 - x0, y1 - y0);
    p->score = unit(0.5f * (sum + m->limb_sum) / (float)p->n_found * (size / (size + SMALL_PERSON)));
}

/* Put @p in its place, best score first, equal ones in the order they came. */
static void report(struct pd_people *people, const struct pd_person *p, int max_people)
{
    if (people->n == max_people) {
        people->capped_people++;
        if (!(p->score > people->person[people->n - 1].score))
            return;
        people->n--;
    }
    int i = people->n++;
    for (; i > 0 && people->person[i - 1].score < p->score; i--)
        people->person[i] = people->person[i - 1];
    people->person[i] = *p;
}

int pd_post_assemble(struct pd_post *post, const struct pd_candidates *cand, const struct pd_post_params *params,
                     struct pd_people *ret_people)
{
    int n_keypoints = post->skeleton->n_keypoints, n_making = 0;
    int max_people = PD_CLAMP(params->max_people, 1, PD_PEOPLE_MAX);
    for (int k = 0; k < n_keypoints; k++) {
        if (cand->n_peaks[k] < 0 || cand->n_peaks[k] > PD_PEAKS_MAX)
            return -EINVAL;
    }
    memset(post->owner, 0xff, sizeof(*post->owner) * (size_t)n_keypoints);
    for (int l = 0; l < post->skeleton->n_limbs; l++) {
        if (cand->n_connections[l] < 0 || cand->n_connections[l] > PD_CONNECTIONS_MAX)
            return -EINVAL;
        for (int i = 0; i < cand->n_connections[l]; i++) {
            const struct pd_connection *c = &cand->connections[l][i];
            if (c->a >= cand->n_peaks[post->limbs[l].a] || c->b >= cand->n_peaks[post->limbs[l].b])
                return -EINVAL;
            add_connection(post, l, c, &n_making);
        }
    }
    ret_people->n = 0;
    ret_people->n_keypoints = n_keypoints;
    ret_people->capped_peaks = cand->capped_peaks;
    ret_people->capped_connections = cand->capped_connections;
    ret_people->capped_people = 0;
    for (int i = 0; i < n_making; i++) {
        struct pd_person p;
        if (post->making[i].n_found == 0)
            continue;
        finish_person(post, cand, &post->making[i], &p);
        if (p.n_found >= PD_MAX(params->min_keypoints, 1) && p.score >= params->min_score)
            report(ret_people, &p, max_people);
    }
    return 0;
}
