/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/test.h"

#include "tests/postproc/scene.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

uint64_t scene_random(uint64_t *state) /* splitmix64 */
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

double scene_uniform(uint64_t *state, double lo, double hi)
{
    return lo + (hi - lo) * (double)(scene_random(state) >> 11) * 0x1p-53;
}

/* Where a joint is in a figure one unit tall, its head's top at (0, 0). */
static void joint_place(const char *name, double *x, double *y)
{
    static const struct {
        const char *name;
        double x, y;
    } places[] = {
        {"head", 0, .01},     {"nose", 0, .07},       {"neck", 0, .18},        {"chest", 0, .32},
        {"mid_hip", 0, .50},  {"eye", .025, .05},     {"ear", .055, .065},     {"shoulder", .11, .19},
        {"elbow", .15, .34},  {"wrist", .17, .48},    {"hip", .07, .51},       {"knee", .08, .73},
        {"ankle", .085, .94}, {"big_toe", .12, .985}, {"small_toe", .15, .96}, {"heel", .07, .98},
    };
    double side = !strncmp(name, "right_", 6) ? -1 : 1;
    const char *part = !strncmp(name, "right_", 6) ? name + 6 : !strncmp(name, "left_", 5) ? name + 5 : name;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (!strcmp(part, places[i].name)) {
            *x = side * places[i].x;
            *y = places[i].y;
            return;
        }
    }
    fail_msg("no place for joint %s", name);
}

struct scene *scene_create(const struct pd_skeleton *skeleton, int w, int h)
{
    struct scene *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    int n_paf = 0;
    for (int l = 0; l < skeleton->n_limbs; l++) {
        n_paf = skeleton->limbs[l].paf_x >= n_paf ? skeleton->limbs[l].paf_x + 1 : n_paf;
        n_paf = skeleton->limbs[l].paf_y >= n_paf ? skeleton->limbs[l].paf_y + 1 : n_paf;
    }
    s->skeleton = skeleton;
    s->maps = (struct pd_maps){
        .w = w, .h = h, .n_heat = skeleton->n_keypoints + 1, .n_paf = n_paf, .stride = 8, .offset = 3.5f};
    s->heat = calloc((size_t)(w * h * s->maps.n_heat), sizeof(float));
    s->paf = calloc((size_t)(w * h * n_paf), sizeof(float));
    s->truth = calloc(PD_PEOPLE_MAX, sizeof(*s->truth));
    assert_true(s->heat && s->paf && s->truth);
    s->maps.heat = s->heat;
    s->maps.paf = s->paf;
    return s;
}

void scene_destroy(struct scene *s)
{
    free(s->heat);
    free(s->paf);
    free(s->truth);
    free(s);
}

void scene_add_person(struct scene *s, double x, double y, double height, double missing, uint64_t *random)
{
    assert_true(s->n_people < PD_PEOPLE_MAX);
    struct pd_keypoint *kp = s->truth[s->n_people++];
    for (int k = 0; k < s->skeleton->n_keypoints; k++) {
        double px = 0, py = 0;
        joint_place(s->skeleton->keypoints[k], &px, &py);
        px += scene_uniform(random, -.02, .02);
        py += scene_uniform(random, -.01, .01);
        bool gone = scene_uniform(random, 0, 1) < missing;
        kp[k] = (struct pd_keypoint){(float)(x + px * height), (float)(y + py * height), gone ? 0.0f : 1.0f};
    }
}

static void render_heat(struct scene *s, int k, double sigma)
{
    float *map = s->heat + (size_t)k * (size_t)(s->maps.w * s->maps.h);
    for (int i = 0; i < s->maps.w * s->maps.h; i++) {
        double x = i % s->maps.w * 8 + 3.5, y = i / s->maps.w * 8 + 3.5, best = 0;
        for (int p = 0; p < s->n_people; p++) {
            const struct pd_keypoint *kp = &s->truth[p][k];
            double d2 = (x - kp->x) * (x - kp->x) + (y - kp->y) * (y - kp->y);
            if (kp->score > 0)
                best = fmax(best, exp(-d2 / (2 * sigma * sigma)));
        }
        map[i] = (float)best;
    }
}

static void render_limb(struct scene *s, const struct pd_limb *limb, double width)
{
    size_t plane = (size_t)(s->maps.w * s->maps.h);
    for (int i = 0; i < (int)plane; i++) {
        double x = i % s->maps.w * 8 + 3.5, y = i / s->maps.w * 8 + 3.5, vx = 0, vy = 0;
        int n = 0;
        for (int p = 0; p < s->n_people; p++) {
            const struct pd_keypoint *a = &s->truth[p][limb->a], *b = &s->truth[p][limb->b];
            double dx = b->x - a->x, dy = b->y - a->y, len = hypot(dx, dy);
            if (!(a->score > 0) || !(b->score > 0) || len < 1e-6)
                continue;
            double along = ((x - a->x) * dx + (y - a->y) * dy) / len, off = ((x - a->x) * dy - (y - a->y) * dx) / len;
            if (along < -width || along > len + width || fabs(off) > width)
                continue;
            vx += dx / len;
            vy += dy / len;
            n++;
        }
        s->paf[limb->paf_x * plane + (size_t)i] = n ? (float)(vx / n) : 0.0f;
        s->paf[limb->paf_y * plane + (size_t)i] = n ? (float)(vy / n) : 0.0f;
    }
}

void scene_render(struct scene *s, double sigma, double width)
{
    for (int k = 0; k < s->skeleton->n_keypoints; k++)
        render_heat(s, k, sigma);
    for (int l = 0; l < s->skeleton->n_limbs; l++)
        render_limb(s, &s->skeleton->limbs[l], width);
}

void scene_add_noise(struct scene *s, double amplitude, uint64_t *random)
{
    for (int i = 0; i < s->maps.w * s->maps.h * s->maps.n_heat; i++)
        s->heat[i] += (float)scene_uniform(random, -amplitude, amplitude);
    for (int i = 0; i < s->maps.w * s->maps.h * s->maps.n_paf; i++)
        s->paf[i] += (float)scene_uniform(random, -amplitude, amplitude);
}
