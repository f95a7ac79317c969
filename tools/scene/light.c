/* SPDX-License-Identifier: Apache-2.0 */
#include "light.h"

#define LAMP_POWER 1.22f
#define LAMP_APART 1.5f /* each row is sampled this far to both sides of the point */
#define SOFTNESS 7.0f   /* larger: harder shadows */

static vec3 lamp_sample(const struct world *w, const struct strip *s, vec3 p, float side)
{
    return v3(s->x, w->ceiling - 0.05f, f_clamp(p.z + side * LAMP_APART, s->z0, s->z1));
}

/* Share of a lamp that a capsule leaves visible: by how far the ray passes from its axis, in terms of the way there. */
static float capsule_shadow(vec3 p, vec3 direction, const struct capsule *c)
{
    vec3 axis = v_sub(c->b, c->a), to = v_sub(c->a, p);
    float aa = v_dot(axis, axis) + 1e-8f, ad = v_dot(axis, direction), ta = v_dot(to, axis), td = v_dot(to, direction);
    float det = aa - ad * ad;
    float h = det > 1e-6f ? f_clamp((td * ad - ta) / det, 0, 1) : 0.5f; /* along the capsule */
    float t = td + h * ad;                                              /* along the ray */
    if (t < 0.01f)
        return 1;
    vec3 gap = v_sub(v_mad(to, axis, h), v_scale(direction, t));
    float s = f_clamp(SOFTNESS * (v_len(gap) - c->radius) / t + 0.5f, 0, 1);
    return s * s * (3 - 2 * s);
}

/* Who stands between @p and a lamp at @distance? */
static float people_shadow(const struct scene *scene, vec3 p, vec3 direction, float distance, int skip)
{
    float left = 1;
    for (int i = 0; i < scene->n_people && left > 0.02f; i++) {
        const struct figure *f = &scene->figures[i];
        vec3 to = v_sub(f->centre, p);
        float along = v_dot(to, direction), off2 = v_dot(to, to) - along * along, reach = f->bound + 0.35f;
        if (i == skip || along < -f->bound || along > distance + f->bound || off2 > reach * reach)
            continue;
        float least = 1;
        for (int k = 0; k < f->n_proxies; k++)
            least = f_min(least, capsule_shadow(p, direction, &f->proxies[k]));
        left *= least;
    }
    return left;
}

/* Ambient light that nearby people keep away. */
static float people_occlusion(const struct scene *scene, vec3 p, vec3 n, int skip)
{
    float open = 1;
    for (int i = 0; i < scene->n_people; i++) {
        const struct figure *f = &scene->figures[i];
        vec3 to = v_sub(f->centre, p);
        float reach = f->bound + 0.8f;
        if (i == skip || v_dot(to, to) > reach * reach)
            continue;
        for (int k = 0; k < f->n_proxies; k++) {
            const struct capsule *c = &f->proxies[k];
            vec3 axis = v_sub(c->b, c->a), from = v_sub(p, c->a);
            float h = f_clamp(v_dot(from, axis) / (v_dot(axis, axis) + 1e-8f), 0, 1);
            vec3 d = v_sub(v_mad(c->a, axis, h), p);
            float l2 = f_max(v_dot(d, d), c->radius * c->radius), cosine = v_dot(d, n) / sqrtf(l2);
            open *= 1 - f_clamp(0.5f + 0.5f * cosine, 0, 1) * f_min(2.2f * c->radius * c->radius / l2, 0.75f);
        }
    }
    return open;
}

vec3 light_key_direction(const struct world *w, vec3 p)
{
    vec3 best = v3(0, 1, 0);
    float nearest = 1e9f;
    for (int i = 0; i < w->n_strips; i++) {
        vec3 d = v_sub(lamp_sample(w, &w->strips[i], p, -0.4f), p);
        if (v_dot(d, d) < nearest) {
            nearest = v_dot(d, d);
            best = d;
        }
    }
    return v_norm(best);
}

vec3 light_gather(const struct scene *scene, const struct light_point *at)
{
    const struct world *w = &scene->world;
    float lamps = 0, open = at->open;

    for (int i = 0; i < w->n_strips; i++) {
        for (int side = -1; side <= 1; side += 2) {
            vec3 d = v_sub(lamp_sample(w, &w->strips[i], at->p, (float)side), at->p);
            float distance = v_len(d);
            d = v_scale(d, 1 / (distance + 1e-6f));
            float facing = (v_dot(at->normal, d) + at->wrap) / (1 + at->wrap);
            if (facing <= 0)
                continue;
            float left = at->people ? people_shadow(scene, v_mad(at->p, at->normal, 0.01f), d, distance, at->skip) : 1;
            lamps += LAMP_POWER * facing * left / (distance + 0.4f);
        }
    }
    if (at->people)
        open *= people_occlusion(scene, at->p, at->normal, at->skip);
    float up = at->normal.y * 0.5f + 0.5f, front = 0.20f * f_max(-v_dot(at->normal, at->view), 0);
    vec3 sky = v3(0.38f, 0.39f, 0.41f), bounce = v3(0.27f, 0.255f, 0.235f);
    vec3 ambient = v_scale(v_mix(bounce, sky, up), open);
    vec3 sum = v_add(v_scale(w->key_colour, lamps * at->self_shadow), v_add(ambient, v3(front, front, front)));
    return v_scale(sum, w->brightness * (0.45f + 0.55f * open));
}
