/* SPDX-License-Identifier: Apache-2.0 */
#include "cloth.h"

/* ---- face ---------------------------------------------------------------------------------------------------------
 */

static float ellipse(float x, float y, float rx, float ry)
{
    x /= rx;
    y /= ry;
    return x * x + y * y;
}

static void paint_eyes(const struct look *look, vec3 h, struct surface *s)
{
    float ax = fabsf(h.x), d = ellipse(ax - 0.031f, h.y - 0.004f, 0.0165f, 0.0078f), up = (h.y - 0.004f) / 0.0078f;
    s->albedo = v_scale(s->albedo, 1 - 0.28f * f_smooth(2.8f, 1, d));
    if (d < 1) {
        bool iris = ellipse(ax - 0.031f, h.y - 0.004f, 0.0064f, 0.0064f) < 1;
        s->albedo = up > 0.55f ? rgb(0x30241e) : iris ? rgb(0x2a1c14) : rgb(0xb8aea4);
        s->gloss = 0.25f;
        s->shine = 60;
    } else if (d < 1.5f && up > 0.4f) {
        s->albedo = v_scale(s->albedo, 0.35f); /* lashes */
    }
    float bx = (ax - 0.034f) / 0.021f, by = (h.y - 0.026f - 0.004f * (1 - bx * bx)) / 0.005f;
    if (bx * bx + by * by < 1)
        s->albedo = v_mix(s->albedo, v_scale(look->hair, 0.7f), 0.85f);
    if (look->glasses) {
        float ring = ellipse(ax - 0.033f, h.y - 0.001f, 0.026f, 0.019f);
        if ((ring > 0.78f && ring < 1.15f) || (ax < 0.009f && fabsf(h.y - 0.006f) < 0.003f))
            s->albedo = rgb(0x181614);
    }
}

static void paint_mouth(const struct look *look, vec3 h, struct surface *s)
{
    float ax = fabsf(h.x), up = (h.y + 0.067f) / 0.0095f;
    if (h.z > 0.05f && ellipse(h.x, h.y + 0.067f, 0.026f, 0.0095f) < 1) {
        s->albedo = v_mul(s->albedo, look->female > 0.5f ? v3(0.88f, 0.42f, 0.44f) : v3(0.86f, 0.55f, 0.54f));
        if (fabsf(up) < 0.16f)
            s->albedo = v_scale(s->albedo, 0.35f);
    }
    if (ellipse(ax - 0.007f, h.y + 0.045f, 0.005f, 0.0035f) < 1) /* nostrils */
        s->albedo = v_scale(s->albedo, 0.4f);
}

static void paint_head(const struct figure *f, vec3 p, struct surface *s)
{
    const struct look *look = f->look;
    vec3 h = v_scale(m_to_local(&f->head, v_sub(p, f->head_centre)), 1 / f->scale);
    float ax = fabsf(h.x);

    if (h.z > 0.02f) {
        float cheek = f_smooth(0.03f, 0, fabsf(h.y + 0.03f)) * f_smooth(0.03f, 0, fabsf(ax - 0.036f));
        s->albedo = v_mul(s->albedo, v_mix(v3(1, 1, 1), v3(1.03f, 0.84f, 0.82f), cheek));
        paint_eyes(look, h, s);
        paint_mouth(look, h, s);
    }
    if (look->glasses && fabsf(h.y - 0.004f) < 0.003f && h.z > -0.01f && h.z < 0.07f && ax > 0.05f)
        s->albedo = rgb(0x181614); /* temples of the glasses */
    if (look->beard && h.y < -0.040f && h.z > -0.02f && h.z > -0.045f - h.y * 0.6f) {
        float cover = f_smooth(-0.040f, -0.062f, h.y);
        if (ellipse(h.x, h.y + 0.067f, 0.024f, 0.009f) > 1)
            s->albedo = v_mix(s->albedo, v_scale(look->hair, 0.9f), cover * (look->beard == BEARD_FULL ? 0.85f : 0.4f));
    }
}

static void paint_hair(const struct figure *f, vec3 p, struct surface *s)
{
    vec3 h = v_scale(m_to_local(&f->head, v_sub(p, f->head_centre)), 1 / f->scale);
    s->gloss = 0.10f;
    s->shine = 12;
    if (f->look->hair_style == HAIR_CAP) {
        s->albedo = f->look->shirt2;
        if (fabsf(f_fract(atan2f(h.x, h.z) * 6 / TAU_F) - 0.5f) > 0.47f)
            s->albedo = v_scale(s->albedo, 0.8f); /* seams */
        return;
    }
    vec3 strands = f->look->hair_style == HAIR_CURLY ? v3(90, 90, 90) : v3(150, 25, 60);
    s->albedo = v_scale(f->look->hair, 0.55f + 0.8f * noise3(v_mul(h, strands)));
}

/* ---- cloth --------------------------------------------------------------------------------------------------------
 */

/* @l: across, up (height above the ground), forward of the trunk; for sleeves the same with the shoulder at the top. */
static vec3 pattern_colour(const struct look *look, vec3 l, bool front)
{
    vec3 c = look->shirt;
    switch (look->pattern) {
    case PATTERN_STRIPES:
        return f_fract(l.y / 0.055f) < 0.45f ? look->shirt2 : c;
    case PATTERN_CHECK: {
        int lines = (f_fract(l.y / 0.05f) < 0.4f) + (f_fract(l.x / 0.05f) < 0.4f);
        return v_mix(c, look->shirt2, (float)lines * 0.45f);
    }
    case PATTERN_PRINT:
        if (front && l.y > 1.20f && l.y < 1.34f && fabsf(l.x) < 0.085f)
            return hash_unit((int)((l.x + 1) * 70), (int)(l.y * 60), look->seed) < 0.55f ? look->shirt2 : c;
        return c;
    case PATTERN_OPEN_JACKET: {
        float open = 0.025f + 0.025f * (1.48f - l.y);
        if (front && fabsf(l.x) < open)
            return look->shirt2;
        return front && fabsf(l.x) < open + 0.006f ? v_scale(c, 0.5f) : c;
    }
    case PATTERN_BUTTONS:
        if (front && fabsf(l.x) < 0.006f && f_fract(l.y / 0.085f) < 0.12f)
            return rgb(0xe0e0d8);
        return front && fabsf(l.x) < 0.007f ? v_scale(c, 0.75f) : c;
    case PATTERN_APRON:
        if (front && l.y < 1.36f && fabsf(l.x) < 0.15f)
            return look->shirt2;
        return c;
    default:
        return c;
    }
}

static void paint_shirt(const struct figure *f, const struct prim *prim, enum part part, vec3 p, struct surface *s)
{
    const struct look *look = f->look;
    bool torso = part == PART_TORSO;
    vec3 l = torso ? figure_trunk_local(f, p) : m_to_local(&prim->frame, v_sub(p, prim->a));
    if (!torso)
        l.y = 1.4f - l.y;
    vec3 c = pattern_colour(look, l, torso && l.z > 0);

    if (torso) {
        if (l.y > 1.462f)
            c = look->collar == COLLAR_SHIRT ? v_scale(look->shirt2, 0.9f) : v_scale(c, 0.72f);
        if (look->collar == COLLAR_SHIRT && l.z > 0 && l.y > 1.435f && fabsf(l.x) > 0.012f && fabsf(l.x) < 0.05f)
            c = v_scale(c, 1.18f);
        float hem = look->hem == HEM_COAT ? 0.70f : look->hem == HEM_LONG ? 0.85f : 0.89f;
        if (look->hem != HEM_TUCKED && l.y < hem + 0.016f)
            c = v_scale(c, 0.8f);
        if (look->backpack && l.z > 0 && fabsf(fabsf(l.x) - 0.095f) < 0.02f && l.y > 1.15f)
            c = v_scale(look->shirt2, 0.4f); /* its straps */
    }
    s->albedo = v_scale(c, 0.92f + 0.14f * noise3(v_scale(l, 70)));
}

static void paint_legs(const struct figure *f, const struct prim *prim, enum part part, vec3 p, struct surface *s)
{
    const struct look *look = f->look;
    vec3 t = figure_trunk_local(f, p);

    if (part != PART_HIPS && look->legwear != LEGS_TROUSERS) {
        float border = look->legwear == LEGS_SKIRT ? 9 : f->knee[part - PART_LEG_R].y + 0.03f;
        if (p.y < border) {
            s->albedo = look->legwear == LEGS_SKIRT && (look->seed & 1) ? v_scale(look->trousers, 0.6f) : look->skin;
            s->gloss = 0.05f;
            s->shine = 14;
            return;
        }
    }
    if (look->hem == HEM_TUCKED && t.y > 0.975f) { /* belt and buckle */
        s->albedo = fabsf(t.x) < 0.02f && t.z > 0 ? rgb(0xb0a080) : rgb(0x2a1d14);
        s->gloss = 0.1f;
        return;
    }
    vec3 l = m_to_local(&prim->frame, v_sub(p, prim->a)),
         c = v_scale(look->trousers, 0.85f + 0.25f * noise3(v_scale(l, 60)));
    if (part != PART_HIPS && prim->solid == SOLID_CONE && l.x > 0)
        c = v_scale(c, 1 + 0.22f * f_smooth(0.06f, 0.01f, fabsf(l.z))); /* worn lighter in front */
    if (part == PART_HIPS && t.z < 0 && look->legwear == LEGS_TROUSERS) {
        float off = fabsf(fabsf(t.x) - 0.075f);
        if (off < 0.045f && t.y > 0.84f && t.y < 0.93f && (off > 0.04f || t.y > 0.924f || t.y < 0.846f))
            c = v_scale(c, 0.7f); /* pockets */
    }
    s->albedo = c;
}

static void paint_item(const struct figure *f, const struct prim *prim, vec3 p, struct surface *s)
{
    static const unsigned wrappers[] = {0xc8322b, 0xe0a126, 0x2f6fb2, 0x2f8a4e, 0xf0ead8, 0xd96a2b};
    vec3 l = m_to_local(&prim->frame, v_sub(p, prim->a));
    s->gloss = 0.08f;
    s->shine = 20;
    if (prim->solid == SOLID_ELLIPSOID) { /* backpack */
        s->albedo = v_scale(f->look->shirt2, l.y > 0.05f ? 0.55f : 0.42f);
    } else if (prim->solid == SOLID_CONE) {
        s->albedo = rgb(0x404448);
    } else if (prim->half.z < 0.006f) { /* phone: a lit screen towards the face */
        s->albedo = l.z < 0 ? rgb(0x9fb4c8) : rgb(0x141414);
    } else if (prim->half.z > 0.15f) { /* basket */
        bool hole = f_fract(l.y / 0.03f) < 0.45f && f_fract((l.x + l.z) / 0.03f) < 0.6f && fabsf(l.y) < 0.065f;
        s->albedo = v_scale(rgb(0xb02a2a), hole ? 0.35f : 1);
    } else if (prim->half.x > 0.1f) {
        s->albedo = v_scale(rgb(0xc79a5b), fabsf(l.x) < 0.02f ? 0.85f : 1);
    } else {
        s->albedo = rgb(wrappers[f->look->seed % 6]);
        if (fabsf(l.y) < 0.03f)
            s->albedo = rgb(0xf0ead8);
    }
}

/* ---- folds --------------------------------------------------------------------------------------------------------
 */

static float fold_height(const struct look *look, vec3 l)
{
    float offset = (float)(look->seed % 97);
    float wide = 1 - fabsf(2 * noise3(v3(l.x * 11 + offset, l.y * 17 + l.x * 9, l.z * 11)) - 1);
    float fine = 1 - fabsf(2 * noise3(v3(l.x * 27, l.y * 34 + l.z * 15, l.z * 27 + offset)) - 1);
    return wide * wide * 0.013f + fine * 0.005f;
}

static vec3 folded_normal(const struct figure *f, const struct prim *prim, vec3 p, vec3 n)
{
    const float step = 0.004f;
    const mat3 *frame = prim->solid == SOLID_TRUNK ? &f->trunk : &prim->frame;
    vec3 l = m_to_local(frame, v_sub(p, prim->solid == SOLID_TRUNK ? f->pelvis : prim->a));
    float h = fold_height(f->look, l);
    vec3 g = v3(fold_height(f->look, v3(l.x + step, l.y, l.z)) - h, fold_height(f->look, v3(l.x, l.y + step, l.z)) - h,
                fold_height(f->look, v3(l.x, l.y, l.z + step)) - h);
    g = m_to_world(frame, v_scale(g, 1 / step));
    g = v_mad(g, n, -v_dot(g, n));
    return v_norm(v_mad(n, g, -0.9f));
}

void cloth_surface(const struct figure *f, const struct prim *prim, enum part part, vec3 p, struct surface *s)
{
    const struct look *look = f->look;
    s->gloss = 0.02f;
    s->shine = 20;
    switch (part) {
    case PART_SKIN:
    case PART_ARM_R:
    case PART_ARM_L:
        s->gloss = 0.06f;
        s->shine = 14;
        s->albedo =
            v_scale(look->skin, 0.94f + 0.1f * noise3(v_scale(m_to_local(&prim->frame, v_sub(p, prim->a)), 45)));
        if (part == PART_SKIN)
            paint_head(f, p, s);
        return;
    case PART_TORSO:
    case PART_SLEEVE_R:
    case PART_SLEEVE_L:
        paint_shirt(f, prim, part, p, s);
        s->normal = folded_normal(f, prim, p, s->normal);
        return;
    case PART_HIPS:
    case PART_LEG_R:
    case PART_LEG_L:
        paint_legs(f, prim, part, p, s);
        if (look->legwear == LEGS_TROUSERS || part == PART_HIPS)
            s->normal = folded_normal(f, prim, p, s->normal);
        return;
    case PART_SHOE:
        s->gloss = 0.08f;
        s->albedo = prim->half.y > 0 && prim->half.y < 0.015f ? look->sole : look->shoe;
        return;
    case PART_HAIR:
        paint_hair(f, p, s);
        return;
    case PART_ITEM:
    case N_PARTS:
        paint_item(f, prim, p, s);
        return;
    }
}
