/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "core/util.h"
#include "postproc/track.h"

#define STATES_MAX (2 * PD_PEOPLE_MAX)
#define FORGET_US UINT64_C(2000000)
#define SPEED_CUTOFF_HZ 1.0 /* the paper's d_cutoff */

struct point {
    int64_t at_us;
    bool known;
    double x, y;   /* smoothed */
    double vx, vy; /* smoothed, pixels per second */
};

struct state {
    int64_t id, seen_us;
    struct point points[PD_KEYPOINTS_MAX];
};

struct pd_smoother {
    double min_cutoff, beta;
    int64_t last_us;
    int n;
    struct state states[STATES_MAX];
};

struct pd_smoother *pd_smoother_create(double min_cutoff_hz, double beta)
{
    struct pd_smoother *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->min_cutoff = min_cutoff_hz;
    s->beta = beta;
    return s;
}

void pd_smoother_destroy(struct pd_smoother *smoother)
{
    free(smoother);
}

/* Microseconds from @from to a @to that is not before it; the caller's clock may be anything. */
static uint64_t gap_us(int64_t from, int64_t to)
{
    return (uint64_t)to - (uint64_t)from;
}

/* Share of the new value in a first-order low pass of @cutoff_hz after @dt seconds. */
static double low_pass_share(double cutoff_hz, double dt)
{
    double tau = 1.0 / (2.0 * 3.14159265358979323846 * cutoff_hz);
    return dt / (dt + tau);
}

static void smooth_point(const struct pd_smoother *s, struct point *p, struct pd_keypoint *kp, int64_t t_us)
{
    uint64_t gap = gap_us(p->at_us, t_us);
    double dt = (double)gap * 1e-6;
    if (!isfinite(kp->x) || !isfinite(kp->y))
        return;
    if (!p->known || gap > FORGET_US) {
        *p = (struct point){.at_us = t_us, .known = true, .x = kp->x, .y = kp->y};
        return;
    }
    if (dt > 0.0) {
        double share = low_pass_share(SPEED_CUTOFF_HZ, dt);
        p->vx += share * ((kp->x - p->x) / dt - p->vx);
        p->vy += share * ((kp->y - p->y) / dt - p->vy);
        /* One cutoff for both axes, from the speed as a whole: the picture's axes mean nothing to a person. */
        share = low_pass_share(s->min_cutoff + s->beta * hypot(p->vx, p->vy), dt);
        p->x += share * (kp->x - p->x);
        p->y += share * (kp->y - p->y);
        p->at_us = t_us;
    }
    kp->x = (float)p->x;
    kp->y = (float)p->y;
}

static struct state *state_of(struct pd_smoother *s, int64_t id, int64_t t_us)
{
    int at = s->n, oldest = 0;
    for (int i = 0; i < s->n; i++) {
        if (s->states[i].id == id) {
            s->states[i].seen_us = t_us;
            return &s->states[i];
        }
        if (s->states[i].seen_us < s->states[oldest].seen_us)
            oldest = i;
    }
    if (at == STATES_MAX)
        at = oldest;
    else
        s->n++;
    memset(&s->states[at], 0, sizeof(s->states[at]));
    s->states[at].id = id;
    s->states[at].seen_us = t_us;
    return &s->states[at];
}

static void forget_old(struct pd_smoother *s, int64_t t_us)
{
    int kept = 0;
    for (int i = 0; i < s->n; i++) {
        if (gap_us(s->states[i].seen_us, t_us) > FORGET_US)
            continue;
        if (kept != i)
            s->states[kept] = s->states[i];
        kept++;
    }
    s->n = kept;
}

void pd_smoother_update(struct pd_smoother *smoother, struct pd_people *people, int64_t t_us)
{
    if (t_us < smoother->last_us)
        smoother->n = 0;
    smoother->last_us = t_us;
    forget_old(smoother, t_us);
    for (int i = 0; i < people->n; i++) {
        struct pd_person *person = &people->person[i];
        if (person->id <= 0)
            continue;
        struct state *state = state_of(smoother, person->id, t_us);
        for (int k = 0; k < people->n_keypoints; k++) {
            if (person->keypoints[k].score > 0.0f)
                smooth_point(smoother, &state->points[k], &person->keypoints[k], t_us);
        }
    }
}
