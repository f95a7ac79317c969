/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <assert.h>

/* ---- stores -------------------------------------------------------------------------------------------------------
 */

static void put(struct world *w, enum block_kind kind, vec3 lo, vec3 hi)
{
    assert(w->n_blocks < WORLD_BLOCKS_MAX);
    w->blocks[w->n_blocks++] = (struct block){lo, hi, kind};
}

static void put_door_frame(struct world *w)
{
    float h = w->door_height;
    put(w, BLOCK_FRAME, v3(w->door0 - 0.08f, 0, w->z0 - 0.1f), v3(w->door0, h + 0.08f, w->z0 + 0.1f));
    put(w, BLOCK_FRAME, v3(w->door1, 0, w->z0 - 0.1f), v3(w->door1 + 0.08f, h + 0.08f, w->z0 + 0.1f));
    put(w, BLOCK_FRAME, v3(w->door0, h, w->z0 - 0.1f), v3(w->door1, h + 0.22f, w->z0 + 0.12f));
}

void world_demo(struct world *w)
{
    *w = (struct world){.x0 = -5.6f,
                        .x1 = 5.6f,
                        .z0 = 0,
                        .z1 = 12,
                        .ceiling = 3.1f,
                        .door0 = -4.3f,
                        .door1 = -2.3f,
                        .door_height = 2.2f,
                        .window0 = -1.7f,
                        .window1 = 1.9f,
                        .brightness = 1,
                        .seed = 3};
    w->floor_colour = rgb(0xcfc8bb);
    w->wall_colour = rgb(0xcdc8bc);
    w->band[0] = rgb(0x2c6e63);
    w->band[1] = rgb(0x24566e);
    w->key_colour = v3(1.0f, 0.975f, 0.93f);
    for (int i = 0; i < 3; i++)
        w->strips[w->n_strips++] = (struct strip){-3.8f + 3.8f * (float)i, 0.8f, 11.4f};

    put(w, BLOCK_SHELF_X, v3(-2.5f, 0, 3.2f), v3(-1.65f, 1.57f, 8.6f)); /* the two gondolas */
    put(w, BLOCK_SHELF_X, v3(1.65f, 0, 3.2f), v3(2.5f, 1.57f, 8.6f));
    put(w, BLOCK_SHELF_X, v3(-5.6f, 0, 2.4f), v3(-5.15f, 2.27f, 11.2f)); /* along the walls */
    put(w, BLOCK_SHELF_X, v3(5.15f, 0, 2.8f), v3(5.6f, 2.27f, 11.2f));
    put(w, BLOCK_SHELF_Z, v3(-4.7f, 0, 11.55f), v3(4.7f, 2.27f, 12));
    put(w, BLOCK_COUNTER, v3(2.5f, 0, 1.15f), v3(4.5f, 0.92f, 1.75f));
    put(w, BLOCK_STEEL, v3(3.95f, 0.92f, 1.25f), v3(4.30f, 1.18f, 1.60f)); /* the till itself */
    for (int i = -1; i <= 1; i += 2) {                                     /* promotions at the gondola ends */
        float x = 2.075f * (float)i;
        put(w, BLOCK_SHELF_Z, v3(x - 0.41f, 0, 2.78f), v3(x + 0.41f, 1.45f, 3.2f));
        if (i > 0) /* the left one's back end stays open to the camera at the back wall */
            put(w, BLOCK_SHELF_Z, v3(x - 0.41f, 0, 8.6f), v3(x + 0.41f, 1.45f, 9.02f));
    }
    put(w, BLOCK_CARTON, v3(-5.5f, 0, 1.2f), v3(-4.9f, 0.74f, 1.9f));
    put(w, BLOCK_CARTON, v3(0.2f, 0, 0.12f), v3(0.8f, 0.5f, 0.6f));
    put(w, BLOCK_SIGN, v3(-2.6f, 2.42f, 5.86f), v3(-1.5f, 2.74f, 5.90f));
    put(w, BLOCK_SIGN, v3(1.5f, 2.42f, 5.86f), v3(2.6f, 2.74f, 5.90f));
    put_door_frame(w);
}

void world_random(struct world *w, uint32_t seed)
{
    static const unsigned floors[] = {0xcfc8bb, 0xb8b8b4, 0xd6cdb8, 0x9c9a96, 0xb59a78, 0x8d8f92};
    static const unsigned bands[] = {0x9c2f2a, 0x255a88, 0x2c6e63, 0xd8902a, 0x4a4a52, 0x6a3a72};
    struct rng r = {hash32(seed * 40503U + 99)};
    *w = (struct world){.x0 = -5.6f,
                        .x1 = 5.6f,
                        .z0 = 0,
                        .z1 = rng_range(&r, 10, 13),
                        .ceiling = rng_range(&r, 2.9f, 3.5f),
                        .door0 = -4.3f,
                        .door1 = -2.3f,
                        .door_height = 2.2f,
                        .seed = (int)(seed % 100000)};
    w->brightness = rng_range(&r, 0.65f, 1.2f);
    w->floor_colour = v_scale(rgb(floors[rng_pick(&r, 6)]), rng_range(&r, 0.8f, 1.1f));
    w->wall_colour = v_scale(rgb(0xcdc8bc), rng_range(&r, 0.6f, 1.1f));
    w->band[0] = rgb(bands[rng_pick(&r, 6)]);
    w->band[1] = rgb(bands[rng_pick(&r, 6)]);
    float warm = rng_range(&r, -0.12f, 0.14f);
    w->key_colour = v3(1 + 0.5f * warm, 1, 0.95f - warm);
    for (int i = 0; i < 3; i++)
        w->strips[w->n_strips++] = (struct strip){rng_range(&r, -4.4f, -3.2f) + 3.8f * (float)i, 0.8f, w->z1 - 0.6f};

    float half = rng_range(&r, 1.4f, 2.1f), h = rng_range(&r, 1.3f, 1.95f), z = rng_range(&r, 2.8f, 4.2f),
          end = w->z1 - 3.2f;
    put(w, BLOCK_SHELF_X, v3(-half - 0.85f, 0, z), v3(-half, h, end));
    put(w, BLOCK_SHELF_X, v3(half, 0, z), v3(half + 0.85f, h, end));
    put(w, BLOCK_SHELF_X, v3(-5.6f, 0, 2.4f), v3(-5.15f, 2.27f, w->z1 - 0.8f));
    for (int i = -1; i <= 1; i += 2) {
        float x = (half + 0.425f) * (float)i;
        if (rng_unit(&r) < 0.6f)
            put(w, BLOCK_SHELF_Z, v3(x - 0.41f, 0, z - 0.42f), v3(x + 0.41f, h - 0.1f, z));
        if (rng_unit(&r) < 0.6f)
            put(w, BLOCK_SHELF_Z, v3(x - 0.41f, 0, end), v3(x + 0.41f, h - 0.1f, end + 0.42f));
    }
    if (rng_unit(&r) < 0.5f) {
        w->window0 = rng_range(&r, -1.8f, 0);
        w->window1 = w->window0 + 1.2f * (float)(1 + rng_pick(&r, 3));
    }
    if (rng_unit(&r) < 0.7f)
        put(w, BLOCK_SHELF_X, v3(5.15f, 0, 2.8f), v3(5.6f, 2.27f, w->z1 - 0.8f));
    put(w, BLOCK_SHELF_Z, v3(-4.7f, 0, w->z1 - 0.45f), v3(4.7f, 2.27f, w->z1));
    put(w, BLOCK_COUNTER, v3(2.5f, 0, 1.15f), v3(4.5f, 0.92f, 1.75f));
    for (int i = rng_pick(&r, 4); i > 0; i--) {
        float x = rng_range(&r, -1.2f, 0.8f), cz = rng_range(&r, 2.5f, end), high = rng_range(&r, 0.4f, 0.95f);
        put(w, BLOCK_CARTON, v3(x, 0, cz), v3(x + rng_range(&r, 0.4f, 0.8f), high, cz + rng_range(&r, 0.4f, 0.6f)));
    }
    put_door_frame(w);
}

/* ---- rays ---------------------------------------------------------------------------------------------------------
 */

static bool block_entry(const struct block *b, vec3 o, vec3 inv, float *ret_t, vec3 *ret_normal)
{
    float enter = -1e9f, leave = 1e9f, org[3] = {o.x, o.y, o.z}, in[3] = {inv.x, inv.y, inv.z};
    float lo[3] = {b->lo.x, b->lo.y, b->lo.z}, hi[3] = {b->hi.x, b->hi.y, b->hi.z};
    int axis = 0;
    for (int k = 0; k < 3; k++) {
        float a = (lo[k] - org[k]) * in[k], c = (hi[k] - org[k]) * in[k];
        float first = f_min(a, c);
        if (first > enter) {
            enter = first;
            axis = k;
        }
        leave = f_min(leave, f_max(a, c));
    }
    if (enter > leave || enter < 0.01f)
        return false;
    float sign = in[axis] > 0 ? -1.0f : 1.0f;
    *ret_t = enter;
    *ret_normal = v3(axis == 0 ? sign : 0, axis == 1 ? sign : 0, axis == 2 ? sign : 0);
    return true;
}

static void meet(struct world_hit *hit, float t, vec3 normal, enum material material)
{
    if (t > 0.001f && t < hit->t) {
        hit->t = t;
        hit->normal = normal;
        hit->material = material;
        hit->block = -1;
    }
}

/* Does the front wall have a hole there: the door, or a pane between the window's posts? */
static bool is_opening(const struct world *w, float x, float y)
{
    if (x > w->door0 && x < w->door1)
        return y < w->door_height;
    return x > w->window0 && x < w->window1 && y > 0.75f && y < 2.15f && f_fract((x - w->window0) / 1.2f) > 0.05f;
}

static void trace_room(const struct world *w, vec3 o, vec3 d, struct world_hit *hit)
{
    if (d.y < -1e-6f)
        meet(hit, -o.y / d.y, v3(0, 1, 0), MAT_FLOOR);
    if (d.y > 1e-6f)
        meet(hit, (w->ceiling - o.y) / d.y, v3(0, -1, 0), MAT_CEILING);
    if (d.z > 1e-6f)
        meet(hit, (w->z1 - o.z) / d.z, v3(0, 0, -1), MAT_WALL);
    if (d.x > 1e-6f)
        meet(hit, (w->x1 - o.x) / d.x, v3(-1, 0, 0), MAT_WALL);
    if (d.x < -1e-6f)
        meet(hit, (w->x0 - o.x) / d.x, v3(1, 0, 0), MAT_WALL);
    if (d.z < -1e-6f) {
        float t = (w->z0 - o.z) / d.z, x = o.x + d.x * t, y = o.y + d.y * t;
        if (is_opening(w, x, y) && t < hit->t) {
            hit->t = 1e9f; /* out into the street: pavement, and the sky at its end */
            if (d.y < -1e-6f)
                meet(hit, -o.y / d.y, v3(0, 1, 0), MAT_STREET);
            meet(hit, (w->z0 - 9 - o.z) / d.z, v3(0, 0, 1), MAT_SKY);
        } else {
            meet(hit, t, v3(0, 0, 1), MAT_WALL);
        }
    }
}

static enum material block_material(const struct block *b)
{
    switch (b->kind) {
    case BLOCK_COUNTER:
        return MAT_WOOD;
    case BLOCK_CARTON:
        return MAT_CARTON;
    case BLOCK_SIGN:
        return MAT_SIGN;
    case BLOCK_FRAME:
        return MAT_FRAME;
    case BLOCK_STEEL:
        return MAT_STEEL;
    default:
        return MAT_BOARD;
    }
}

void world_trace(const struct world *w, vec3 o, vec3 d, struct world_hit *hit)
{
    vec3 inv = v3(1 / (d.x + 1e-9f), 1 / (d.y + 1e-9f), 1 / (d.z + 1e-9f)), n;
    float t;
    *hit = (struct world_hit){.t = 1e9f, .block = -1, .shade = 1, .material = MAT_SKY};
    trace_room(w, o, d, hit);
    for (int i = 0; i < w->n_blocks; i++) {
        if (block_entry(&w->blocks[i], o, inv, &t, &n) && t < hit->t) {
            hit->t = t;
            hit->normal = n;
            hit->block = i;
            hit->material = block_material(&w->blocks[i]);
        }
    }
    hit->p = v_mad(o, d, hit->t);
    if (hit->block >= 0) {
        enum block_kind kind = w->blocks[hit->block].kind;
        if ((kind == BLOCK_SHELF_X && fabsf(hit->normal.x) > 0.5f) ||
            (kind == BLOCK_SHELF_Z && fabsf(hit->normal.z) > 0.5f))
            shelf_trace(w, hit->block, d, hit);
    }
}

/* ---- surfaces -----------------------------------------------------------------------------------------------------
 */

static vec3 floor_albedo(const struct world *w, vec3 p)
{
    float u = p.x / 0.45f, v = p.z / 0.45f, a = f_fract(u), b = f_fract(v);
    float edge = f_min(f_min(a, 1 - a), f_min(b, 1 - b)) * 0.45f;
    vec3 c = v_scale(w->floor_colour, 0.92f + 0.09f * hash_unit(f_floor(u), f_floor(v), 3));
    c = v_scale(c, 0.93f + 0.1f * noise3(v3(p.x * 7, 0, p.z * 7)) + 0.05f * (noise3(v3(p.x * 50, 1, p.z * 50)) - 0.5f));
    return v_scale(c, 0.68f + 0.32f * f_smooth(0.002f, 0.006f, edge));
}

/* A framed poster every few metres: a coloured ground, a round thing to buy, two lines of print. */
static bool poster_albedo(const struct world *w, vec3 p, float u, vec3 *ret)
{
    static const unsigned grounds[] = {0xd9a441, 0x3f7f8c, 0xb8483c, 0x6d8c4a, 0xe0d6c0};
    int which = f_floor(u / 1.75f);
    float x = (f_fract(u / 1.75f) - 0.5f) * 1.75f, y = p.y - 1.5f;
    if (fabsf(x) > 0.36f || fabsf(y) > 0.5f)
        return false;
    vec3 ground = rgb(grounds[(int)(hash_unit(which, w->seed, 12) * 5)]);
    *ret = v_scale(ground, 0.95f + 0.1f * y);
    float ry = (y - 0.12f) / 0.21f, rx = x / 0.21f;
    if (rx * rx + ry * ry < 1)
        *ret = v_scale(rgb(grounds[(int)(hash_unit(which, w->seed, 13) * 5)]), 0.75f + 0.35f * ry - 0.2f * rx);
    if ((fabsf(y + 0.24f) < 0.035f || fabsf(y + 0.35f) < 0.02f) && fabsf(x) < 0.27f &&
        hash_unit(f_floor(x * 30), which, y > -0.3f) < 0.75f)
        *ret = rgb(0xf4f2ea);
    if (fabsf(x) > 0.335f || fabsf(y) > 0.475f)
        *ret = rgb(0x3a3a3c);
    return true;
}

static vec3 wall_albedo(const struct world *w, vec3 p)
{
    if (p.y < 2.35f || p.y > 2.75f) {
        float skirting = p.y < 0.12f ? 0.5f : 1;
        bool front = p.z < w->z0 + 0.01f;
        vec3 poster;
        if (front && w->window0 < w->window1 && p.x > w->window0 - 0.06f && p.x < w->window1 + 0.06f && p.y > 0.69f &&
            p.y < 2.21f)
            return rgb(0x3a3e42);
        if ((!front || p.x > w->window1 + 0.1f) && poster_albedo(w, p, front ? p.x + 0.2f : p.z + 1.3f, &poster))
            return poster;
        return v_scale(w->wall_colour, skirting * (0.96f + 0.06f * noise3(v_scale(p, 2))));
    }
    float u = p.x + p.z * 0.7f; /* a coloured band with words nobody can read */
    int panel = f_floor(u / 1.9f);
    float a = f_fract(u / 1.9f);
    bool letters = a > 0.14f && a < 0.80f && p.y > 2.48f && p.y < 2.62f && f_fract(a * 22) < 0.72f;
    if (letters && hash_unit((int)(a * 22), panel, 5) < 0.78f)
        return rgb(0xeeeee6);
    return w->band[panel & 1];
}

static vec3 ceiling_albedo(const struct world *w, vec3 p, bool *ret_glow)
{
    for (int i = 0; i < w->n_strips; i++) {
        const struct strip *s = &w->strips[i];
        if (fabsf(p.x - s->x) < 0.16f && p.z > s->z0 && p.z < s->z1 && f_fract((p.z - s->z0) / 1.2f) < 0.9f) {
            *ret_glow = true;
            return v3(1.55f, 1.55f, 1.5f);
        }
    }
    float a = f_fract(p.x / 0.6f), b = f_fract(p.z / 0.6f);
    bool rail = f_min(f_min(a, 1 - a), f_min(b, 1 - b)) < 0.018f;
    return v_scale(rgb(0xf4f3ef), rail ? 0.7f : 0.97f + 0.05f * noise3(v3(p.x * 30, 0, p.z * 30)));
}

static vec3 block_albedo(const struct world *w, const struct world_hit *hit)
{
    const struct block *b = &w->blocks[hit->block];
    vec3 p = hit->p;
    float u = fabsf(hit->normal.x) > 0.5f ? p.z : p.x;
    switch (hit->material) {
    case MAT_GOODS:
        return hit->albedo;
    case MAT_PRICE_STRIP: {
        int tag = f_floor(u / 0.21f);
        float in = u - (float)tag * 0.21f, up = f_fract((p.y - 0.13f) / 0.355f) * 0.355f;
        if (in > 0.03f && in < 0.095f && up > 0.006f && up < 0.036f)
            return hash_unit(tag, (int)(p.y * 3), hit->block) < 0.3f ? rgb(0xf2d838) : rgb(0xf4f4f0);
        return rgb(0xb4b7bb);
    }
    case MAT_PANEL:
        return rgb(0x8a8c90);
    case MAT_WOOD: {
        float plank = f_fract(u / 0.30f);
        vec3 c = v_scale(rgb(0xa9835a), 0.82f + 0.3f * noise3(v3(u * 3, p.y * 30, p.z * 3)));
        if (hit->normal.y > 0.5f)
            return v_scale(rgb(0x5d6064), 0.95f + 0.1f * noise3(v_scale(p, 40))); /* the belt */
        return plank < 0.02f || p.y > b->hi.y - 0.04f ? v_scale(c, 0.55f) : c;
    }
    case MAT_CARTON: {
        float row = f_fract(p.y / 0.25f), column = f_fract(u / 0.29f);
        vec3 c = v_scale(rgb(0xb98f5e), 0.92f + 0.12f * noise3(v3(u * 9, p.y * 9, 2)));
        if (row < 0.05f || column < 0.03f)
            c = v_scale(c, 0.55f);
        return hit->normal.y < 0.5f && row > 0.4f && row < 0.7f && column > 0.25f && column < 0.75f ? w->band[0] : c;
    }
    case MAT_SIGN:
        if (p.y < b->hi.y - 0.08f && p.y > b->lo.y + 0.08f && f_fract(u * 9) < 0.7f && fabsf(u) > 0.1f &&
            hash_unit(f_floor(u * 9), hit->block, 8) < 0.8f)
            return rgb(0xf2f2ea);
        return w->band[1];
    case MAT_FRAME:
        return rgb(0x3a3e42);
    case MAT_STEEL:
        return v_scale(rgb(0x2e3134), 1);
    default: /* boards and gondola ends */
        return v_scale(rgb(0x9a9c9e), 0.96f + 0.06f * noise3(v_scale(p, 6)));
    }
}

/* Houses across the street in the haze of a bright day. */
static vec3 street_colour(vec3 p)
{
    static const unsigned facades[] = {0xb9a58c, 0xa7826c, 0xc7c0b2, 0x9aa3a6};
    int house = f_floor(p.x / 3.1f);
    float roof = 3.4f + 1.8f * hash_unit(house, 4, 2), wx = f_fract(p.x / 1.03f), wy = f_fract((p.y + 0.2f) / 1.4f);
    if (p.y > roof)
        return v3(0.92f, 0.98f, 1.05f);
    vec3 c = rgb(facades[(int)(hash_unit(house, 1, 9) * 4)]);
    if (wx > 0.3f && wx < 0.75f && wy > 0.3f && wy < 0.8f)
        c = v_scale(rgb(0x54616b), 0.8f + 0.5f * wy);
    return v_mix(c, v3(0.75f, 0.78f, 0.80f), 0.35f);
}

vec3 world_albedo(const struct world *w, const struct world_hit *hit, bool *ret_glow)
{
    *ret_glow = false;
    if (hit->block >= 0)
        return block_albedo(w, hit);
    switch (hit->material) {
    case MAT_FLOOR:
        return floor_albedo(w, hit->p);
    case MAT_CEILING:
        return ceiling_albedo(w, hit->p, ret_glow);
    case MAT_STREET:
        *ret_glow = true;
        if (hit->p.z < w->z0 - 3.2f) /* the road beyond the pavement */
            return v_scale(rgb(hit->p.z > w->z0 - 3.4f ? 0xd6d4cc : 0x8c8d90),
                           0.95f + 0.1f * noise3(v_scale(hit->p, 9)));
        return v_scale(rgb(0xc4c1ba), f_fract(hit->p.x / 0.6f) < 0.03f || f_fract(hit->p.z / 0.6f) < 0.03f ? 0.8f : 1);
    case MAT_SKY:
        *ret_glow = true;
        return street_colour(hit->p);
    default:
        return wall_albedo(w, hit->p);
    }
}

float world_occlusion(const struct world *w, const struct world_hit *hit)
{
    float open = hit->shade;
    vec3 p = hit->p;
    if (hit->material == MAT_FLOOR) {
        for (int i = 0; i < w->n_blocks; i++) {
            const struct block *b = &w->blocks[i];
            if (b->lo.y > 0.3f)
                continue;
            float dx = f_max(f_max(b->lo.x - p.x, p.x - b->hi.x), 0),
                  dz = f_max(f_max(b->lo.z - p.z, p.z - b->hi.z), 0);
            open *= 1 - 0.5f * expf(-sqrtf(dx * dx + dz * dz) * 4);
        }
    } else if (hit->normal.y < 0.5f && p.y < 0.6f) {
        open *= 0.6f + 0.4f * f_smooth(0, 0.6f, p.y);
    }
    if (hit->material == MAT_WALL)
        open *= 1 - 0.3f * expf(-(w->ceiling - p.y) * 4);
    return open;
}
