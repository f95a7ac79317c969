/* SPDX-License-Identifier: Apache-2.0 */
#include "postproc/average.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "core/util.h"

#define SIDE_MAX 8192 /* of the mean; the letterboxes of a command line stay far below */
#define TAPS 4

/* Where the samples of the mean lie along one axis of a look. */
struct axis {
    int n;
    int *at;       /* n x TAPS indices of the look's samples, edges held */
    float *weight; /* n x TAPS */
};

/* A PAF channel and where its counterpart is in a mirrored look. */
struct channel {
    int mine, other;
    float sign;
};

struct pd_average {
    const struct pd_skeleton *skeleton;
    struct channel channels[2 * PD_LIMBS_MAX];
    int n_channels, n_paf; /* n_paf: planes, so that every channel that limbs use has one */

    /* of the picture at hand */
    struct pd_letterbox lb;
    float stride, offset;
    int w, h, n_looks;
    float *heat, *paf; /* sums, then means */
    size_t n_floats;   /* in heat and paf together */
    float *rows;       /* one look's map at the mean's width */
    size_t n_rows;
    struct axis x, y;
};

/* ---- create ---- */

/* The limb on the other side of the body; @ret_turned: it runs the other way. -1: there is none. */
static int counterpart(const struct pd_skeleton *s, int l, bool *ret_turned)
{
    int a = s->mirror[s->limbs[l].a], b = s->mirror[s->limbs[l].b];
    for (int m = 0; m < s->n_limbs; m++) {
        *ret_turned = s->limbs[m].a == b && s->limbs[m].b == a;
        if (*ret_turned || (s->limbs[m].a == a && s->limbs[m].b == b))
            return m;
    }
    return -1;
}

static void set_channel(struct pd_average *avg, int mine, int other, float sign)
{
    avg->channels[avg->n_channels++] = (struct channel){mine, other, sign};
    avg->n_paf = PD_MAX(avg->n_paf, PD_MAX(mine, other) + 1);
}

int pd_average_create(const struct pd_skeleton *skeleton, const struct pd_limb *limbs, struct pd_average **ret_average)
{
    struct pd_average *avg = calloc(1, sizeof(*avg));
    if (!avg)
        return -ENOMEM;
    avg->skeleton = skeleton;
    for (int l = 0; l < skeleton->n_limbs; l++) {
        bool turned;
        int m = counterpart(skeleton, l, &turned);
        if (m < 0) {
            free(avg);
            return -EINVAL;
        }
        set_channel(avg, limbs[l].paf_x, limbs[m].paf_x, turned ? 1.0f : -1.0f);
        set_channel(avg, limbs[l].paf_y, limbs[m].paf_y, turned ? -1.0f : 1.0f);
    }
    *ret_average = avg;
    return 0;
}

static void axis_finish(struct axis *axis)
{
    free(axis->at);
    free(axis->weight);
    *axis = (struct axis){0};
}

void pd_average_destroy(struct pd_average *avg)
{
    if (!avg)
        return;
    axis_finish(&avg->x);
    axis_finish(&avg->y);
    free(avg->heat);
    free(avg->rows);
    free(avg);
}

/* ---- one picture ---- */

int pd_average_begin(struct pd_average *avg, const struct pd_letterbox *lb, float stride)
{
    if (lb->dst_w < 1 || lb->dst_h < 1 || lb->in_w < 1 || lb->in_h < 1 || !(stride > 0.0f) || !isfinite(stride) ||
        (float)lb->dst_w / stride > SIDE_MAX || (float)lb->dst_h / stride > SIDE_MAX)
        return -EINVAL;
    avg->lb = *lb;
    avg->stride = stride;
    avg->offset = (stride - 1.0f) / 2.0f; /* the sample's square begins at the input's edge, as a network's does */
    avg->w = (int)ceilf((float)lb->dst_w / stride - 1e-3f);
    avg->h = (int)ceilf((float)lb->dst_h / stride - 1e-3f);
    avg->n_looks = 0;
    size_t plane = (size_t)avg->w * (size_t)avg->h;
    size_t floats = plane * (size_t)(avg->skeleton->n_keypoints + avg->n_paf);
    if (floats > avg->n_floats) {
        free(avg->heat);
        avg->n_floats = 0;
        avg->heat = calloc(floats, sizeof(*avg->heat));
        if (!avg->heat)
            return -ENOMEM;
        avg->n_floats = floats;
    }
    memset(avg->heat, 0, floats * sizeof(*avg->heat));
    avg->paf = avg->heat + plane * (size_t)avg->skeleton->n_keypoints;
    return 0;
}

/* Weights of the cubic convolution with a = -1/2 (Keys 1981): it passes through the samples and reproduces parabolas,
 * which is what peaks are refined with. */
static void cubic(float t, float *weight)
{
    weight[0] = ((-0.5f * t + 1.0f) * t - 0.5f) * t;
    weight[1] = (1.5f * t - 2.5f) * t * t + 1.0f;
    weight[2] = ((-1.5f * t + 2.0f) * t + 0.5f) * t;
    weight[3] = (0.5f * t - 0.5f) * t * t;
}

/* Sample i of @n lies at first + i * step of a look's @samples. */
static int axis_set(struct axis *axis, int n, int samples, double first, double step)
{
    axis_finish(axis);
    axis->at = calloc((size_t)n * TAPS, sizeof(*axis->at));
    axis->weight = calloc((size_t)n * TAPS, sizeof(*axis->weight));
    if (!axis->at || !axis->weight)
        return -ENOMEM;
    axis->n = n;
    for (int i = 0; i < n; i++) {
        double p = PD_CLAMP(first + i * step, 0.0, samples - 1.0);
        int before = (int)p;
        cubic((float)(p - before), axis->weight + i * TAPS);
        for (int k = 0; k < TAPS; k++)
            axis->at[i * TAPS + k] = PD_CLAMP(before + k - 1, 0, samples - 1);
    }
    return 0;
}

/* Of one axis: the mean's sample i is the input pixel @stride * i + @offset of a letterbox with @scale (input pixels
 * per source pixel); the source pixel there is, in the look, at its input pixel, mirrored if so, and then at its
 * sample. */
struct place {
    double first, step;
};

static struct place place_of(double stride, double offset, double scale, double look_scale, int look_in, bool mirrored,
                             double map_stride, double map_offset)
{
    double ratio = look_scale / scale;
    double at = (offset + 0.5) * ratio - 0.5, step = stride * ratio;
    if (mirrored) {
        at = look_in - 1 - at;
        step = -step;
    }
    return (struct place){(at - map_offset) / map_stride, step / map_stride};
}

/* Add @sign times the look's plane @src to the mean's plane @dst. */
static void add_plane(const struct pd_average *avg, float *restrict dst, const float *restrict src, int src_w,
                      int src_h, float sign)
{
    int w = avg->w;
    for (int y = 0; y < src_h; y++) {
        const float *in = src + (size_t)y * (size_t)src_w;
        float *out = avg->rows + (size_t)y * (size_t)w;
        for (int x = 0; x < w; x++) {
            const int *at = avg->x.at + x * TAPS;
            const float *k = avg->x.weight + x * TAPS;
            out[x] = k[0] * in[at[0]] + k[1] * in[at[1]] + k[2] * in[at[2]] + k[3] * in[at[3]];
        }
    }
    for (int y = 0; y < avg->h; y++) {
        const int *at = avg->y.at + y * TAPS;
        const float *row[TAPS];
        float k[TAPS];
        for (int i = 0; i < TAPS; i++) {
            row[i] = avg->rows + (size_t)at[i] * (size_t)w;
            k[i] = sign * avg->y.weight[y * TAPS + i];
        }
        for (int x = 0; x < w; x++)
            dst[(size_t)y * (size_t)w + (size_t)x] +=
                k[0] * row[0][x] + k[1] * row[1][x] + k[2] * row[2][x] + k[3] * row[3][x];
    }
}

static bool fits(const struct pd_average *avg, const struct pd_maps *maps, const struct pd_letterbox *lb)
{
    const struct pd_rect *a = &avg->lb.roi, *b = &lb->roi;
    return maps->w > 0 && maps->h > 0 && maps->w <= SIDE_MAX && maps->h <= SIDE_MAX && maps->heat && maps->paf &&
           maps->n_heat >= avg->skeleton->n_keypoints && maps->n_paf >= avg->n_paf && maps->stride > 0.0f &&
           lb->in_w > 0 && lb->in_h > 0 && a->x == b->x && a->y == b->y && a->w == b->w && a->h == b->h;
}

int pd_average_add(struct pd_average *avg, const struct pd_maps *maps, const struct pd_letterbox *lb, bool mirrored)
{
    if (!fits(avg, maps, lb))
        return -EINVAL;
    struct place px = place_of((double)avg->stride, (double)avg->offset, (double)avg->lb.sx, (double)lb->sx, lb->in_w,
                               mirrored, (double)maps->stride, (double)maps->offset);
    struct place py = place_of((double)avg->stride, (double)avg->offset, (double)avg->lb.sy, (double)lb->sy, lb->in_h,
                               false, (double)maps->stride, (double)maps->offset);
    size_t rows = (size_t)avg->w * (size_t)maps->h;
    if (rows > avg->n_rows) {
        free(avg->rows);
        avg->rows = calloc(rows, sizeof(*avg->rows));
        avg->n_rows = avg->rows ? rows : 0;
    }
    if (!avg->rows || axis_set(&avg->x, avg->w, maps->w, px.first, px.step) ||
        axis_set(&avg->y, avg->h, maps->h, py.first, py.step))
        return -ENOMEM;
    size_t mean = (size_t)avg->w * (size_t)avg->h, look = (size_t)maps->w * (size_t)maps->h;
    for (int k = 0; k < avg->skeleton->n_keypoints; k++) {
        int from = mirrored ? avg->skeleton->mirror[k] : k;
        add_plane(avg, avg->heat + (size_t)k * mean, maps->heat + (size_t)from * look, maps->w, maps->h, 1.0f);
    }
    for (int i = 0; i < avg->n_channels; i++) {
        const struct channel *c = &avg->channels[i];
        add_plane(avg, avg->paf + (size_t)c->mine * mean, maps->paf + (size_t)(mirrored ? c->other : c->mine) * look,
                  maps->w, maps->h, mirrored ? c->sign : 1.0f);
    }
    avg->n_looks++;
    return 0;
}

struct pd_maps pd_average_result(struct pd_average *avg)
{
    int n_keypoints = avg->skeleton->n_keypoints;
    size_t floats = (size_t)avg->w * (size_t)avg->h * (size_t)(n_keypoints + avg->n_paf);
    if (avg->n_looks > 1) {
        float share = 1.0f / (float)avg->n_looks;
        for (size_t i = 0; i < floats; i++)
            avg->heat[i] *= share;
        avg->n_looks = 1;
    }
    return (struct pd_maps){
        .w = avg->w,
        .h = avg->h,
        .n_heat = n_keypoints,
        .n_paf = avg->n_paf,
        .heat = avg->heat,
        .paf = avg->paf,
        .stride = avg->stride,
        .offset = avg->offset,
    };
}
