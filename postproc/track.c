/* SPDX-License-Identifier: Apache-2.0
 *
 * Every known person is predicted to the new frame's time at constant velocity and compared with every detected one by
 * a measure like COCO's object keypoint similarity; the assignment that is best as a whole decides (Hungarian method),
 * so that two people who cross do not swap because one pair happened to be looked at first.
 */
#include "postproc/track.h"

#include <math.h>
#include <string.h>

#include "core/util.h"

#define TRACKS_MAX (2 * PD_PEOPLE_MAX)
#define FORGET_US UINT64_C(2000000) /* longest time without a sight; also the gap that begins afresh */

/* Standard deviation of a keypoint's place about its prediction, in units of the person's size: detection noise, and
 * what a person may do within a second that the velocity does not know. */
#define SIGMA 0.12
#define SIGMA_PER_S 0.25
#define SIGMA_MAX 0.5
#define NOWHERE_NEAR 12.0 /* exponent past which a keypoint adds nothing: most pairs of a crowd */
#define MIN_SIMILARITY 0.15
#define MIN_SIZE 8.0         /* pixels: a person of one keypoint still has a neighbourhood */
#define VELOCITY_WINDOW 0.25 /* seconds: time constant of the velocity's average */
#define SHARED_SURE 3        /* with fewer keypoints in common a likeness counts for less */

struct track {
    int64_t id, seen_us;
    double size;
    double vx, vy; /* pixels per second */
    bool known[PD_KEYPOINTS_MAX];
    double x[PD_KEYPOINTS_MAX], y[PD_KEYPOINTS_MAX]; /* at seen_us; those not seen then moved along with the others */
};

struct pd_tracker {
    const struct pd_skeleton *skeleton;
    _Atomic int64_t *next_id;
    int64_t last_us;
    int n;
    struct track tracks[TRACKS_MAX];

    /* scratch of the assignment; rows are people, columns tracks, index 0 is the method's own */
    double likeness[PD_PEOPLE_MAX][TRACKS_MAX];
    double row_price[PD_PEOPLE_MAX + 1], column_price[TRACKS_MAX + PD_PEOPLE_MAX + 1];
    double slack[TRACKS_MAX + PD_PEOPLE_MAX + 1];
    int row_of[TRACKS_MAX + PD_PEOPLE_MAX + 1], way[TRACKS_MAX + PD_PEOPLE_MAX + 1];
    bool used[TRACKS_MAX + PD_PEOPLE_MAX + 1];
};

struct pd_tracker *pd_tracker_create(const struct pd_skeleton *skeleton, _Atomic int64_t *next_id)
{
    struct pd_tracker *tracker = calloc(1, sizeof(*tracker));
    if (!tracker)
        return NULL;
    tracker->skeleton = skeleton;
    tracker->next_id = next_id;
    return tracker;
}

void pd_tracker_destroy(struct pd_tracker *tracker)
{
    free(tracker);
}

static bool usable(const struct pd_keypoint *kp)
{
    return kp->score > 0.0f && fabsf(kp->x) < 1e6f && fabsf(kp->y) < 1e6f;
}

/* Root of the box around the known keypoints: close to the square root of COCO's segment area, up to a factor that
 * SIGMA takes in. */
static double size_of(const struct track *t, int n_keypoints)
{
    double x0 = INFINITY, y0 = INFINITY, x1 = -INFINITY, y1 = -INFINITY;
    for (int k = 0; k < n_keypoints; k++) {
        if (!t->known[k])
            continue;
        x0 = fmin(x0, t->x[k]);
        x1 = fmax(x1, t->x[k]);
        y0 = fmin(y0, t->y[k]);
        y1 = fmax(y1, t->y[k]);
    }
    return x1 < x0 ? MIN_SIZE : fmax(MIN_SIZE, hypot(x1 - x0, y1 - y0));
}

/* 0..1: how well @p fits where @t should be after @dt seconds. */
static double likeness(const struct track *t, const struct pd_person *p, int n_keypoints, double dt)
{
    double sigma = fmin(SIGMA + SIGMA_PER_S * dt, SIGMA_MAX) * t->size, sum = 0.0;
    int shared = 0;
    for (int k = 0; k < n_keypoints; k++) {
        if (!t->known[k] || !usable(&p->keypoints[k]))
            continue;
        double dx = p->keypoints[k].x - (t->x[k] + t->vx * dt), dy = p->keypoints[k].y - (t->y[k] + t->vy * dt);
        double off = 0.5 * (dx * dx + dy * dy) / (sigma * sigma);
        if (off < NOWHERE_NEAR)
            sum += exp(-off);
        shared++;
    }
    return shared == 0 ? 0.0 : sum / shared * fmin(1.0, (double)shared / SHARED_SURE);
}

/* What giving track @column (from 1) to person @row (from 1) costs. Past the tracks every person has a column of its
 * own that means "new", so that an unlikely match is never forced. */
static double cost(const struct pd_tracker *tr, int row, int column)
{
    return column <= tr->n ? 1.0 - tr->likeness[row - 1][column - 1] : 1.0 - MIN_SIMILARITY;
}

/* Add @row to the assignment along the cheapest alternating path (Kuhn, Munkres; prices after Jonker and Volgenant). */
static void assign_row(struct pd_tracker *tr, int row, int n_columns)
{
    int column = 0;
    tr->row_of[0] = row;
    for (int j = 0; j <= n_columns; j++) {
        tr->slack[j] = INFINITY;
        tr->used[j] = false;
    }
    do {
        int from = tr->row_of[column], next = 0;
        double least = INFINITY;
        tr->used[column] = true;
        for (int j = 1; j <= n_columns; j++) {
            if (tr->used[j])
                continue;
            double reduced = cost(tr, from, j) - tr->row_price[from] - tr->column_price[j];
            if (reduced < tr->slack[j]) {
                tr->slack[j] = reduced;
                tr->way[j] = column;
            }
            if (tr->slack[j] < least) {
                least = tr->slack[j];
                next = j;
            }
        }
        for (int j = 0; j <= n_columns; j++) {
            if (tr->used[j]) {
                tr->row_price[tr->row_of[j]] += least;
                tr->column_price[j] -= least;
            } else {
                tr->slack[j] -= least;
            }
        }
        column = next;
    } while (tr->row_of[column] != 0);
    while (column != 0) {
        int previous = tr->way[column];
        tr->row_of[column] = tr->row_of[previous];
        column = previous;
    }
}

/* Microseconds from @from to a @to that is not before it; the caller's clock may be anything. */
static uint64_t gap_us(int64_t from, int64_t to)
{
    return (uint64_t)to - (uint64_t)from;
}

/* Fill @ret_track with each person's track, -1 for a new one. */
static void assign(struct pd_tracker *tr, const struct pd_people *people, int64_t t_us, int *ret_track)
{
    int n_columns = tr->n + people->n;
    for (int i = 0; i < people->n; i++) {
        ret_track[i] = -1;
        for (int j = 0; j < tr->n; j++)
            tr->likeness[i][j] = likeness(&tr->tracks[j], &people->person[i], tr->skeleton->n_keypoints,
                                          (double)gap_us(tr->tracks[j].seen_us, t_us) * 1e-6);
    }
    memset(tr->row_price, 0, sizeof(tr->row_price));
    memset(tr->column_price, 0, sizeof(tr->column_price));
    memset(tr->row_of, 0, sizeof(tr->row_of));
    for (int i = 1; i <= people->n; i++)
        assign_row(tr, i, n_columns);
    for (int j = 1; j <= tr->n; j++) {
        int row = tr->row_of[j];
        if (row > 0 && tr->likeness[row - 1][j - 1] >= MIN_SIMILARITY)
            ret_track[row - 1] = j - 1;
    }
}

static void see(struct track *t, const struct pd_person *p, int n_keypoints, int64_t t_us)
{
    double dt = (double)gap_us(t->seen_us, t_us) * 1e-6, mx = 0.0, my = 0.0;
    int shared = 0;
    for (int k = 0; k < n_keypoints; k++) {
        if (!t->known[k] || !usable(&p->keypoints[k]))
            continue;
        mx += p->keypoints[k].x - t->x[k];
        my += p->keypoints[k].y - t->y[k];
        shared++;
    }
    if (shared > 0 && dt > 0.0) {
        double share = 1.0 - exp(-dt / VELOCITY_WINDOW);
        t->vx += share * (mx / shared / dt - t->vx);
        t->vy += share * (my / shared / dt - t->vy);
    }
    for (int k = 0; k < n_keypoints; k++) {
        if (usable(&p->keypoints[k])) {
            t->known[k] = true;
            t->x[k] = p->keypoints[k].x;
            t->y[k] = p->keypoints[k].y;
        } else if (t->known[k] && shared > 0) {
            t->x[k] += mx / shared;
            t->y[k] += my / shared;
        }
    }
    t->size = size_of(t, n_keypoints);
    t->seen_us = t_us;
}

/* Room for one more: the one unseen for longest has to go when all places are taken. */
static struct track *new_track(struct pd_tracker *tr, int64_t t_us)
{
    int at = tr->n;
    if (at == TRACKS_MAX) {
        at = 0;
        for (int j = 1; j < tr->n; j++) {
            if (tr->tracks[j].seen_us < tr->tracks[at].seen_us)
                at = j;
        }
    } else {
        tr->n++;
    }
    tr->tracks[at] = (struct track){.id = atomic_fetch_add(tr->next_id, 1), .seen_us = t_us};
    return &tr->tracks[at];
}

static void forget_old(struct pd_tracker *tr, int64_t t_us)
{
    int kept = 0;
    for (int j = 0; j < tr->n; j++) {
        if (gap_us(tr->tracks[j].seen_us, t_us) <= FORGET_US)
            tr->tracks[kept++] = tr->tracks[j];
    }
    tr->n = kept;
}

void pd_tracker_update(struct pd_tracker *tracker, struct pd_people *people, int64_t t_us)
{
    int track_of[PD_PEOPLE_MAX], n_keypoints = tracker->skeleton->n_keypoints;
    if (t_us < tracker->last_us || gap_us(tracker->last_us, t_us) > FORGET_US)
        tracker->n = 0;
    tracker->last_us = t_us;
    forget_old(tracker, t_us);
    assign(tracker, people, t_us, track_of);
    /* New tracks come after the matched are seen: making room must never take the place of one that is in the frame. */
    for (int i = 0; i < people->n; i++) {
        if (track_of[i] < 0)
            continue;
        see(&tracker->tracks[track_of[i]], &people->person[i], n_keypoints, t_us);
        people->person[i].id = tracker->tracks[track_of[i]].id;
    }
    for (int i = 0; i < people->n; i++) {
        if (track_of[i] >= 0)
            continue;
        struct track *t = new_track(tracker, t_us);
        see(t, &people->person[i], n_keypoints, t_us);
        people->person[i].id = t->id;
    }
}
