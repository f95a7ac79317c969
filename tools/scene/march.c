/* SPDX-License-Identifier: Apache-2.0 */
#include "march.h"

#include <stddef.h>

#include "cloth.h"
#include "light.h"

float march(const struct figure *f, const struct tile *tile, vec3 origin, vec3 d, float limit, enum part *ret_part)
{
    vec3 to = v_sub(f->centre, origin);
    float middle = v_dot(to, d), inside = middle * middle - v_dot(to, to) + f->bound * f->bound;
    if (inside < 0)
        return FAR_AWAY;
    inside = sqrtf(inside);
    float t = f_max(middle - inside, 0.05f), end = f_min(middle + inside, limit);
    const uint8_t *list = tile ? tile->list : NULL;
    int n = tile ? tile->n : f->n_prims;
    if (tile) {
        t = f_max(t, tile->near);
        end = f_min(end, tile->far);
    }

    for (int i = 0; i < 90 && t < end; i++) {
        float distance = figure_distance(f, v_mad(origin, d, t), list, n, 0.12f, ret_part);
        if (distance < 0.0006f * t)
            return t;
        t += distance * 0.88f;
    }
    return FAR_AWAY;
}

static vec3 surface_normal(const struct figure *f, const struct tile *tile, vec3 p)
{
    static const vec3 corner[4] = {{1, -1, -1}, {-1, -1, 1}, {-1, 1, -1}, {1, 1, 1}};
    const float e = 0.0012f;
    vec3 n = v3(0, 0, 0);
    for (int i = 0; i < 4; i++)
        n = v_mad(n, corner[i], figure_distance(f, v_mad(p, corner[i], e), tile->list, tile->n, 0.12f, NULL));
    return v_norm(n);
}

static const struct prim *nearest_prim(const struct figure *f, const struct tile *tile, enum part part, vec3 p)
{
    const struct prim *best = &f->prims[0];
    float nearest = 9;
    for (int i = 0; i < tile->n; i++) {
        const struct prim *prim = &f->prims[tile->list[i]];
        if (prim->part != part || prim->solid == SOLID_SOCKET)
            continue;
        float d = prim_distance(f, prim, p);
        if (d < nearest) {
            nearest = d;
            best = prim;
        }
    }
    return best;
}

/* The solids that come within @reach of the segment from @p to p + length * d. */
static int near_segment(const struct figure *f, vec3 p, vec3 d, float length, float reach, uint8_t *list)
{
    int n = 0;
    for (int i = 0; i < f->n_prims; i++) {
        vec3 to = v_sub(f->prims[i].centre, p);
        vec3 off = v_mad(to, d, -f_clamp(v_dot(to, d), 0, length));
        float far = reach + f->prims[i].bound;
        if (v_dot(off, off) < far * far)
            list[n++] = (uint8_t)i;
    }
    return n;
}

static float own_occlusion(const struct figure *f, vec3 p, vec3 n)
{
    static const float far[3] = {0.016f, 0.045f, 0.11f}, weight[3] = {1, 0.7f, 0.55f};
    uint8_t list[FIGURE_PRIMS_MAX];
    int count = near_segment(f, p, n, far[2], far[2], list);
    float sum = 0;
    for (int i = 0; i < 3; i++) {
        float d = figure_distance(f, v_mad(p, n, far[i]), list, count, far[i] + 0.03f, NULL);
        sum += weight[i] * f_max(far[i] - d, 0) / far[i];
    }
    return f_clamp(1 - sum * 0.5f, 0, 1);
}

static float own_shadow(const struct figure *f, vec3 p, vec3 n, vec3 direction)
{
    uint8_t list[FIGURE_PRIMS_MAX];
    int count = near_segment(f, p, direction, 0.9f, 0.2f, list);
    float left = 1, t = 0.03f;
    p = v_mad(p, n, 0.01f);
    for (int i = 0; i < 9 && t < 0.9f; i++) {
        float d = figure_distance(f, v_mad(p, direction, t), list, count, 0.2f * t + 0.06f, NULL);
        left = f_min(left, 5 * d / t);
        if (left < 0.02f)
            return 0;
        t += f_clamp(d, 0.04f, 0.3f);
    }
    return f_clamp(left, 0, 1);
}

vec3 shade_person(const struct scene *scene, int who, const struct tile *tile, enum part part, vec3 p, vec3 view)
{
    const struct figure *f = &scene->figures[who];
    struct surface s = {.normal = surface_normal(f, tile, p)};
    vec3 geometric = s.normal, key = light_key_direction(&scene->world, p);
    cloth_surface(f, nearest_prim(f, tile, part, p), part, p, &s);

    bool skin = part == PART_SKIN || part == PART_ARM_R || part == PART_ARM_L;
    struct light_point at = {
        .p = p, .normal = s.normal, .view = view, .wrap = skin ? 0.3f : 0.1f, .skip = who, .people = true};
    at.open = own_occlusion(f, p, geometric);
    at.self_shadow = v_dot(geometric, key) > -0.2f ? 0.25f + 0.75f * own_shadow(f, p, geometric, key) : 1;
    vec3 colour = v_mul(s.albedo, light_gather(scene, &at));
    vec3 half = v_norm(v_sub(key, view));
    float shine = s.gloss * powf(f_max(v_dot(s.normal, half), 0), s.shine) * at.self_shadow * scene->world.brightness;
    return v_add(colour, v3(shine, shine, shine));
}
