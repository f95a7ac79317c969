/* SPDX-License-Identifier: Apache-2.0
 *
 * Shelves: boards with price strips and rows of boxes and bottles between them. Goods are not stored: each place on a
 * board hashes to a product, and a ray walks inward in small steps until it is inside one.
 */
#include "world.h"

#define ROW_HEIGHT 0.355f
#define BASE_HEIGHT 0.13f
#define BOARD 0.028f
#define DEPTH 0.36f
#define STEP 0.010f
#define BAY 0.9f

struct product {
    float left, width, height, recess;
    bool bottle, empty;
    int bay, row, kind, seed;
};

struct walk { /* coordinates of an open face: along it, up, inward */
    float u, v, w;
    float du, dv, dw;
};

static const unsigned palette[16] = {0xc8322b, 0xe0a126, 0x2f6fb2, 0x2f8a4e, 0xf0ead8, 0x7a3d8c, 0xd96a2b, 0x1f3f66,
                                     0xe8d36a, 0xa7c4d8, 0x7b4a2a, 0xd9568a, 0xf7f7f2, 0x3c9aa8, 0x9cb83c, 0x4a4a4a};

static struct product product_at(int seed, int row, float u)
{
    float along = u + hash_unit(row, seed, 7) * 3;
    int bay = f_floor(along / BAY);
    int places = 4 + (int)(hash_unit(bay, row, seed + 1) * 6);
    float width = BAY / (float)places, inside = along - (float)bay * BAY;
    int place = (int)(inside / width);
    bool assorted = hash_unit(bay, row, seed + 3) > 0.75f;
    struct product p = {
        .left = u - inside + (float)place * width, .width = width, .bay = bay, .row = row, .seed = seed};
    p.kind = row * 5 + (assorted ? place : place * 2 / places);
    p.height = 0.15f + 0.14f * hash_unit(bay, p.kind, seed + 2);
    p.recess = 0.015f + 0.05f * hash_unit(bay * 31 + place, row, seed + 9);
    p.bottle = hash_unit(bay, row, seed + 8) < 0.35f;
    p.empty = hash_unit(bay * 9 + place, row, seed + 11) < 0.06f;
    return p;
}

/* Half width of a bottle at relative height @y, as a share of half its place. */
static float bottle_profile(float y)
{
    return y < 0.62f ? 0.86f : f_mix(0.86f, 0.30f, f_smooth(0.62f, 0.80f, y));
}

static bool inside_product(const struct product *p, const struct walk *at, float above)
{
    if (p->empty || above > p->height || at->w < p->recess)
        return false;
    float half = p->width * 0.5f, off = at->u - p->left - half;
    if (!p->bottle)
        return fabsf(off) < half - 0.004f;
    float r = half * bottle_profile(above / p->height), deep = at->w - p->recess - half;
    return deep > 0 ? fabsf(off) < r : off * off + deep * deep < r * r;
}

/* Print on the front: a coloured label with lines that look like text from afar. */
static vec3 product_colour(const struct product *p, float across, float y)
{
    vec3 base = rgb(palette[(int)(hash_unit(p->bay, p->kind, p->seed + 4) * 16)]);
    vec3 second = rgb(palette[(int)(hash_unit(p->bay, p->kind, p->seed + 5) * 16)]), c = base;
    float label = 0.2f + 0.3f * hash_unit(p->bay, p->kind, p->seed + 6);

    if (p->bottle && y > 0.84f)
        return second; /* the cap */
    if (y > label && y < label + 0.32f && fabsf(across) < 0.78f) {
        c = second;
        if (hash_unit((int)((across + 1) * 7), (int)(y * 22), p->seed + p->row * 31 + p->kind) < 0.35f)
            c = v_mix(second, base, 0.7f);
    } else if (y > 0.8f && y < 0.88f && fabsf(across) < 0.6f) {
        c = v_mix(base, rgb(0xf7f7f2), 0.8f);
    }
    float luminance = 0.3f * c.x + 0.59f * c.y + 0.11f * c.z;
    c = v_scale(v_mix(c, v3(luminance, luminance, luminance), 0.34f), 0.9f);
    return p->bottle ? v_scale(c, 1.05f - 0.5f * across * across) : c;
}

static void face_walk(const struct block *block, const struct world_hit *hit, vec3 d, struct walk *at)
{
    bool along_z = block->kind == BLOCK_SHELF_X;
    at->u = along_z ? hit->p.z : hit->p.x;
    at->v = hit->p.y;
    at->w = 0;
    at->du = along_z ? d.z : d.x;
    at->dv = d.y;
    at->dw = -v_dot(d, hit->normal);
}

static vec3 along_face(const struct block *block, float sign)
{
    return block->kind == BLOCK_SHELF_X ? v3(0, 0, sign) : v3(sign, 0, 0);
}

static void found(struct world_hit *hit, enum material material, vec3 normal, float walked, float depth, vec3 direction)
{
    hit->material = material;
    hit->normal = normal;
    hit->t += walked;
    hit->p = v_mad(hit->p, direction, walked);
    hit->shade = f_clamp(1.0f - 2.1f * depth, 0.12f, 1);
}

/* Inside @p after a step of STEP: through which side? The one that the step before was still outside of. */
static vec3 product_normal(const struct block *block, const struct product *p, const struct walk *at, float above,
                           vec3 out)
{
    float before_w = at->w - at->dw * STEP, before_v = above - at->dv * STEP;
    float off = at->u - p->left - p->width * 0.5f;
    if (p->bottle) {
        float across = f_clamp(off / (p->width * 0.5f * bottle_profile(above / p->height)), -1, 1);
        return v_norm(v_add(v_scale(out, sqrtf(f_max(1 - across * across, 0.02f))), along_face(block, across)));
    }
    if (before_w < p->recess)
        return out;
    if (before_v > p->height)
        return v3(0, 1, 0);
    return along_face(block, off > 0 ? 1.0f : -1.0f);
}

void shelf_trace(const struct world *world, int index, vec3 direction, struct world_hit *hit)
{
    const struct block *block = &world->blocks[index];
    vec3 out = hit->normal;
    int seed = world->seed + index * 17 + (out.x + out.z > 0 ? 5 : 0);
    struct walk at;
    face_walk(block, hit, direction, &at);

    int row = f_floor((at.v - BASE_HEIGHT) / ROW_HEIGHT);
    float floor_of_row = BASE_HEIGHT + (float)row * ROW_HEIGHT, top = block->hi.y - 0.02f;
    if (at.v < BASE_HEIGHT || at.v > top) {
        found(hit, MAT_BOARD, out, 0, 0, direction);
        return;
    }
    if (at.v - floor_of_row < 0.042f) {
        found(hit, MAT_PRICE_STRIP, out, 0, 0, direction);
        return;
    }
    float ceiling = f_min(floor_of_row + ROW_HEIGHT - BOARD, top);
    float last =
        f_min(DEPTH, 0.48f * (block->kind == BLOCK_SHELF_X ? block->hi.x - block->lo.x : block->hi.z - block->lo.z));
    for (int i = 1; i < 160; i++) {
        at.u += at.du * STEP;
        at.v += at.dv * STEP;
        at.w += at.dw * STEP;
        float above = at.v - floor_of_row, walked = (float)i * STEP;
        if (above < 0 || at.v > ceiling) {
            found(hit, MAT_BOARD, v3(0, above < 0 ? 1.0f : -1.0f, 0), walked, at.w, direction);
            return;
        }
        if (at.w > last)
            break;
        struct product p = product_at(seed, row, at.u);
        if (!inside_product(&p, &at, above))
            continue;
        float across = (at.u - p.left) / p.width * 2 - 1;
        vec3 normal = product_normal(block, &p, &at, above, out);
        hit->albedo = product_colour(&p, across, above / p.height);
        if (normal.y > 0.5f || (!p.bottle && v_dot(normal, out) < 0.5f))
            hit->albedo = v_scale(hit->albedo, 0.8f);
        float edge = f_min(1 - fabsf(across), 0.08f) / 0.08f;
        hit->albedo = v_scale(hit->albedo, (0.7f + 0.3f * edge) * f_mix(0.72f, 1.0f, f_smooth(0.3f, 0.0f, above)));
        found(hit, MAT_GOODS, normal, walked, f_max(at.w - p.recess, 0) + 0.02f + 0.25f * f_max(above - 0.12f, 0),
              direction);
        return;
    }
    found(hit, MAT_PANEL, out, at.dw > 0.01f ? last / at.dw : 1.5f, DEPTH, direction);
}
