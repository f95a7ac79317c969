/* SPDX-License-Identifier: Apache-2.0
 *
 * The solids of a person: head, hair, trunk, limbs, hands, shoes and what he carries. Which features matter to a
 * network trained on photographs was measured: proportions, colours, then face and hair; hands and folds hardly.
 */
#include <assert.h>

#include "figure.h"

static struct prim *add(struct figure *f, enum solid solid, enum part part)
{
    assert(f->n_prims < FIGURE_PRIMS_MAX);
    struct prim *prim = &f->prims[f->n_prims++];
    *prim = (struct prim){.solid = solid, .part = part};
    return prim;
}

/* A tapered limb from @a to @b (world); radii of a 1.75 m body. Its frame has the limb as y and the front as x. */
static struct prim *add_cone(struct figure *f, enum part part, vec3 a, vec3 b, float ra, float rb)
{
    struct prim *prim = add(f, SOLID_CONE, part);
    prim->a = a;
    prim->ra = ra * f->scale;
    prim->rb = rb * f->scale;
    prim->length = f_max(v_len(v_sub(b, a)), 1e-4f);
    prim->b = v_scale(v_sub(b, a), 1 / prim->length);
    prim->slope = f_clamp((prim->ra - prim->rb) / prim->length, -0.99f, 0.99f);
    prim->cosine = sqrtf(1 - prim->slope * prim->slope);
    prim->frame.y = prim->b;
    prim->frame.x = v_ortho(fabsf(v_dot(f->base.z, prim->b)) > 0.98f ? f->base.y : f->base.z, prim->b);
    prim->frame.z = v_cross(prim->frame.x, prim->frame.y);
    prim->centre = v_mix(a, b, 0.5f);
    prim->bound = prim->length * 0.5f + f_max(prim->ra, prim->rb);
    return prim;
}

static struct prim *add_solid(struct figure *f, enum solid solid, enum part part, mat3 frame, vec3 centre, vec3 half)
{
    struct prim *prim = add(f, solid, part);
    prim->a = prim->centre = centre;
    prim->half = v_scale(half, f->scale);
    prim->frame = frame;
    prim->bound =
        solid == SOLID_BOX ? v_len(prim->half) + 0.01f : f_max(prim->half.x, f_max(prim->half.y, prim->half.z));
    return prim;
}

static struct prim *add_blob(struct figure *f, enum part part, mat3 frame, vec3 centre, vec3 half)
{
    return add_solid(f, SOLID_ELLIPSOID, part, frame, centre, half);
}

static vec3 in_frame(const struct figure *f, vec3 origin, const mat3 *frame, float x, float y, float z)
{
    return v_add(origin, m_to_world(frame, v_scale(v3(x, y, z), f->scale)));
}

static vec3 in_head(const struct figure *f, float x, float y, float z)
{
    return in_frame(f, f->head_centre, &f->head, x, y, z);
}

/* ---- head ---------------------------------------------------------------------------------------------------------
 */

static void add_skull(struct figure *f)
{
    float fem = f->look->female;
    add_blob(f, PART_SKIN, f->head, in_head(f, 0, 0.028f, -0.012f), v3(0.074f, 0.090f, 0.094f));
    add_blob(f, PART_SKIN, f->head, in_head(f, 0, -0.040f, 0.024f), v3(0.058f - 0.005f * fem, 0.070f, 0.064f));
    add_blob(f, PART_SKIN, f->head, in_head(f, 0, -0.088f, 0.058f), v3(0.024f, 0.022f, 0.022f)); /* chin */
    add_cone(f, PART_SKIN, v_mad(f->neck, f->chest.y, -0.02f * f->scale), in_head(f, 0, -0.06f, -0.022f),
             0.062f - 0.010f * fem, 0.052f - 0.006f * fem);
}

static void add_face(struct figure *f)
{
    add_cone(f, PART_SKIN, in_head(f, 0, 0.006f, 0.082f), in_head(f, 0, -0.034f, 0.096f), 0.007f, 0.0125f); /* nose */
    add_blob(f, PART_SKIN, f->head, in_head(f, 0, 0.030f, 0.070f), v3(0.048f, 0.010f, 0.015f));             /* brow */
    add_blob(f, PART_SKIN, f->head, in_head(f, 0, -0.066f, 0.080f), v3(0.022f, 0.010f, 0.008f));            /* lips */
    for (int i = 0; i < 2; i++) {
        float sign = side_sign(i);
        add_blob(f, PART_SKIN, m_turn(f->head, AXIS_Y, sign * 0.35f), in_head(f, sign * 0.076f, -0.010f, -0.006f),
                 v3(0.009f, 0.030f, 0.019f)); /* ear */
        add_solid(f, SOLID_SOCKET, PART_SKIN, f->head, in_head(f, sign * 0.031f, 0.004f, 0.098f),
                  v3(0.017f, 0.011f, 0.014f));
        add_blob(f, PART_SKIN, f->head, in_head(f, sign * 0.030f, 0.004f, 0.070f),
                 v3(0.012f, 0.010f, 0.012f)); /* eye */
        add_blob(f, PART_SKIN, f->head, in_head(f, sign * 0.036f, -0.030f, 0.062f), v3(0.022f, 0.022f, 0.020f));
    }
}

/* Everything that covers the skull: an ellipsoid a little larger than it, cut open towards the face. */
static void add_scalp(struct figure *f, float thickness, float hairline)
{
    struct prim *cap = add_solid(f, SOLID_CAP, PART_HAIR, f->head, in_head(f, 0, 0.034f, -0.018f),
                                 v3(0.076f + thickness, 0.090f + thickness, 0.096f + thickness));
    cap->b = v_norm(v3(0, -0.62f, 0.78f));
    cap->ra = hairline * f->scale;
    cap->rb = 1 + (float)(f->look->seed % 16) / 16;
}

static void add_hair(struct figure *f)
{
    enum hair style = f->look->hair_style;
    if (style == HAIR_BALD)
        return;
    add_scalp(f,
              style == HAIR_CURLY   ? 0.026f
              : style == HAIR_SHORT ? 0.009f
                                    : 0.012f,
              style == HAIR_CAP ? 0.050f : 0.045f);
    switch (style) {
    case HAIR_LONG:
        add_blob(f, PART_HAIR, f->head, in_head(f, 0, -0.060f, -0.056f), v3(0.084f, 0.150f, 0.050f));
        for (int i = 0; i < 2; i++) {
            float sign = side_sign(i);
            add_cone(f, PART_HAIR, in_head(f, sign * 0.072f, 0.02f, -0.012f),
                     in_head(f, sign * 0.074f, -0.15f, -0.006f), 0.021f, 0.020f);
        }
        break;
    case HAIR_BOB:
        add_blob(f, PART_HAIR, f->head, in_head(f, 0, -0.030f, -0.050f), v3(0.088f, 0.090f, 0.058f));
        for (int i = 0; i < 2; i++) {
            float sign = side_sign(i);
            add_cone(f, PART_HAIR, in_head(f, sign * 0.074f, 0.03f, -0.006f), in_head(f, sign * 0.078f, -0.065f, 0.0f),
                     0.021f, 0.026f);
        }
        break;
    case HAIR_BUN:
        add_blob(f, PART_HAIR, f->head, in_head(f, 0, 0.075f, -0.110f), v3(0.040f, 0.040f, 0.038f));
        break;
    case HAIR_PONYTAIL:
        add_cone(f, PART_HAIR, in_head(f, 0, 0.060f, -0.110f), in_head(f, 0, -0.02f, -0.150f), 0.024f, 0.032f);
        add_cone(f, PART_HAIR, in_head(f, 0, -0.02f, -0.150f), in_head(f, 0, -0.15f, -0.135f), 0.032f, 0.012f);
        break;
    case HAIR_CAP: /* its peak */
        add_blob(f, PART_HAIR, m_turn(f->head, AXIS_X, 0.15f), in_head(f, 0, 0.052f, 0.088f),
                 v3(0.066f, 0.008f, 0.058f));
        break;
    case HAIR_CURLY:
        add_blob(f, PART_HAIR, f->head, in_head(f, 0, 0.050f, -0.040f), v3(0.104f, 0.100f, 0.100f));
        break;
    default:
        break;
    }
}

/* ---- trunk --------------------------------------------------------------------------------------------------------
 */

static const float hem_level[N_HEMS] = {
    [HEM_TUCKED] = 0.985f, [HEM_OVER] = 0.89f, [HEM_LONG] = 0.85f, [HEM_COAT] = 0.70f};

static void add_trunk(struct figure *f, enum part part, float lo, float hi, float thickness)
{
    struct prim *prim = add(f, SOLID_TRUNK, part);
    prim->a = v3(lo, hi, 0);
    prim->ra = thickness;
    prim->centre = v_mad(f->pelvis, f->trunk.y, ((lo + hi) * 0.5f - 0.92f) * f->scale);
    prim->bound = ((hi - lo) * 0.5f + 0.19f) * f->scale * f_max(1, f->look->girth);
    prim->frame = f->trunk;
}

static void add_chest(struct figure *f, int side)
{
    float sign = side_sign(side), fem = f->look->female;
    add_cone(f, PART_TORSO, in_frame(f, f->neck, &f->chest, sign * 0.050f, -0.034f, -0.02f),
             v_mad(f->shoulder[side], f->chest.y, -0.004f * f->scale), 0.032f, 0.050f - 0.006f * fem);
    if (fem > 0.5f)
        add_blob(f, PART_TORSO, f->chest, in_frame(f, f->neck, &f->chest, sign * 0.070f, -0.215f, 0.078f),
                 v3(0.062f, 0.062f, 0.058f));
    else
        add_blob(f, PART_TORSO, f->chest, in_frame(f, f->neck, &f->chest, sign * 0.075f, -0.165f, 0.070f),
                 v3(0.075f, 0.055f, 0.045f));
    add_blob(f, PART_HIPS, f->hips, in_frame(f, f->pelvis, &f->hips, sign * 0.070f, -0.045f, -0.050f),
             v3(0.080f, 0.090f, 0.068f));
}

static void add_body(struct figure *f)
{
    const struct look *look = f->look;
    add_trunk(f, PART_TORSO, hem_level[look->hem], 1.49f, look->collar == COLLAR_THICK ? 0.022f : 0.010f);
    if (look->legwear == LEGS_SKIRT)
        add_trunk(f, PART_HIPS, 0.51f, 1.04f, 0.004f);
    else
        add_trunk(f, PART_HIPS, 0.83f, 1.04f, 0.0f);
    for (int i = 0; i < 2; i++)
        add_chest(f, i);
    if (look->backpack) {
        vec3 middle = in_frame(f, f->neck, &f->chest, 0, -0.22f, -0.165f);
        add_blob(f, PART_ITEM, f->chest, middle, v3(0.150f, 0.215f, 0.085f));
    }
}

/* ---- limbs --------------------------------------------------------------------------------------------------------
 */

static void add_arm(struct figure *f, int side)
{
    const struct look *look = f->look;
    enum part skin = PART_ARM_R + side, sleeve = PART_SLEEVE_R + side;
    float g = 1 + (look->girth - 1) * 0.7f - 0.10f * look->female,
          loose = look->collar == COLLAR_THICK ? 0.012f : 0.004f;
    vec3 shoulder = f->shoulder[side], elbow = f->elbow[side], wrist = f->wrist[side];

    add_cone(f, skin, shoulder, elbow, 0.044f * g, 0.038f * g);
    struct prim *forearm = add_cone(f, skin, elbow, wrist, 0.039f * g, 0.026f * g);
    mat3 frame = forearm->frame;
    add_blob(f, skin, frame, v_mix(elbow, wrist, 0.28f), v3(0.038f * g, 0.075f, 0.042f * g));
    if (look->sleeve == SLEEVE_SHORT) {
        add_cone(f, sleeve, shoulder, v_mix(shoulder, elbow, 0.62f), 0.051f * g, 0.050f * g + loose);
        return;
    }
    add_cone(f, sleeve, shoulder, elbow, 0.051f * g + loose * 0.4f, 0.046f * g + loose);
    add_cone(f, sleeve, elbow, v_mix(elbow, wrist, look->sleeve == SLEEVE_LONG ? 0.93f : 0.35f), 0.046f * g + loose,
             0.036f * g + loose * 0.6f);
}

/* Palm, fingers as one mitten with a bend, thumb: at the sizes a camera sees, single fingers are below a pixel. */
static void add_hand(struct figure *f, int side)
{
    enum part part = PART_ARM_R + side;
    float s = f->scale;
    mat3 frame;
    frame.y = v_norm(v_sub(f->wrist[side], f->elbow[side]));
    frame.x = v_ortho(fabsf(v_dot(f->base.z, frame.y)) > 0.98f ? f->base.y : f->base.z, frame.y);
    frame.z = v_cross(frame.x, frame.y);
    float inward = side_sign(side) * v_dot(frame.z, f->base.x) > 0 ? -1.0f : 1.0f;
    vec3 in = v_scale(frame.z, inward), wrist = f->wrist[side];

    add_blob(f, part, frame, v_mad(wrist, frame.y, 0.050f * s), v3(0.040f, 0.052f, 0.018f));
    vec3 knuckles = v_mad(wrist, frame.y, 0.088f * s),
         bend = v_mad(v_mad(knuckles, frame.y, 0.036f * s), in, 0.010f * s);
    for (int i = -1; i <= 1; i += 2) {
        vec3 off = v_scale(frame.x, (float)i * 0.016f * s);
        add_cone(f, part, v_add(knuckles, off), v_add(bend, off), 0.014f, 0.012f);
        add_cone(f, part, v_add(bend, off), v_add(v_mad(v_mad(bend, frame.y, 0.02f * s), in, 0.022f * s), off), 0.012f,
                 0.010f);
    }
    vec3 thumb = v_mad(v_mad(wrist, frame.y, 0.028f * s), frame.x, 0.026f * s);
    add_cone(f, part, thumb, v_mad(v_mad(v_mad(wrist, frame.y, 0.085f * s), frame.x, 0.050f * s), in, 0.018f * s),
             0.0125f, 0.010f);
}

static void add_leg(struct figure *f, int side)
{
    const struct look *look = f->look;
    enum part part = PART_LEG_R + side;
    float g = 1 + (look->girth - 1) * 0.8f + 0.06f * look->female, s = f->scale;
    bool bare = look->legwear == LEGS_SKIRT;
    vec3 hip = f->hip[side], knee = f->knee[side], ankle = f->ankle[side];

    if (bare) /* what the skirt hides stays away: a lifted thigh would come through its front */
        add_cone(f, part, v_mix(hip, knee, 0.66f), knee, 0.052f * g, 0.048f * g);
    else
        add_cone(f, part, hip, knee, 0.082f * g, 0.057f * g);
    vec3 cuff = v_mad(ankle, v_norm(v_sub(knee, ankle)), 0.03f * s);
    struct prim *shin = add_cone(f, part, knee, cuff, (bare ? 0.048f : 0.056f) * g,
                                 bare                  ? 0.032f
                                 : look->female > 0.5f ? 0.042f
                                                       : 0.053f);
    mat3 frame = shin->frame;
    vec3 down = v_norm(v_sub(ankle, knee)), front = v_ortho(f->base.z, down);
    add_blob(f, part, frame, v_mad(v_mix(knee, ankle, 0.3f), front, -0.018f * s), v3(0.048f * g, 0.11f, 0.048f * g));
}

static void add_shoe(struct figure *f, int side)
{
    const mat3 *foot = &f->foot[side];
    vec3 ankle = f->ankle[side];
    add_cone(f, PART_SHOE, in_frame(f, ankle, foot, 0, -0.040f, -0.035f), in_frame(f, ankle, foot, 0, -0.052f, 0.09f),
             0.039f, 0.031f);
    add_blob(f, PART_SHOE, *foot, in_frame(f, ankle, foot, 0, -0.056f, 0.115f), v3(0.045f, 0.028f, 0.068f));
    add_blob(f, PART_SHOE, *foot, in_frame(f, ankle, foot, 0, -0.012f, 0.008f), v3(0.042f, 0.052f, 0.055f));
    add_blob(f, PART_SHOE, *foot, in_frame(f, ankle, foot, 0, -0.076f, 0.048f), v3(0.042f, 0.012f, 0.128f)); /* sole */
}

/* ---- what is carried ------------------------------------------------------------------------------------------------
 */

static void add_item(struct figure *f, const struct pose *pose)
{
    int side = pose->item_side;
    vec3 wrist = f->wrist[side], along = v_norm(v_sub(wrist, f->elbow[side]));
    vec3 grip = v_mad(wrist, along, 0.085f * f->scale);

    switch (pose->item) {
    case ITEM_NONE:
        return;
    case ITEM_PHONE:
        add_solid(f, SOLID_BOX, PART_ITEM, m_turn(f->base, AXIS_X, -0.5f), v_mad(grip, f->base.y, 0.02f),
                  v3(0.036f, 0.072f, 0.004f));
        return;
    case ITEM_PRODUCT:
        add_solid(f, SOLID_BOX, PART_ITEM, f->base, v_mad(grip, f->base.z, 0.02f), v3(0.055f, 0.080f, 0.030f));
        return;
    case ITEM_BOX: {
        vec3 middle = v_mix(f->wrist[RIGHT], f->wrist[LEFT], 0.5f);
        middle = v_add(middle, m_to_world(&f->base, v3(0, 0.03f * f->scale, 0.07f * f->scale)));
        add_solid(f, SOLID_BOX, PART_ITEM, f->base, middle, v3(0.130f, 0.11f, 0.09f));
        return;
    }
    case ITEM_BASKET: {
        vec3 middle = v_mad(grip, f->base.y, -0.19f * f->scale);
        add_solid(f, SOLID_BOX, PART_ITEM, f->base, middle, v3(0.125f, 0.085f, 0.190f));
        for (int i = -1; i <= 1; i += 2)
            add_cone(f, PART_ITEM, v_add(middle, m_to_world(&f->base, v3(0, 0.08f, 0.15f * (float)i))), grip, 0.007f,
                     0.007f);
        return;
    }
    }
}

/* ---- bounds -------------------------------------------------------------------------------------------------------
 */

static void add_proxy(struct figure *f, vec3 a, vec3 b, float radius)
{
    assert(f->n_proxies < FIGURE_PROXIES);
    f->proxies[f->n_proxies++] = (struct capsule){a, b, radius * f->scale};
}

static void add_proxies(struct figure *f)
{
    float g = f->look->girth, s = f->scale;
    bool wide = f->look->legwear == LEGS_SKIRT || f->look->hem == HEM_COAT;
    add_proxy(f, v_mad(f->pelvis, f->trunk.y, -0.02f * s), v_mad(f->neck, f->trunk.y, -0.14f * s), 0.135f * g);
    add_proxy(f, v_mix(f->shoulder[0], f->shoulder[1], 0.15f), v_mix(f->shoulder[0], f->shoulder[1], 0.85f), 0.075f);
    add_proxy(f, v_mad(f->head_centre, f->head.y, -0.03f * s), v_mad(f->head_centre, f->head.y, 0.03f * s), 0.095f);
    for (int i = 0; i < 2; i++) {
        add_proxy(f, f->shoulder[i], f->elbow[i], 0.050f);
        add_proxy(f, f->elbow[i], v_mad(f->wrist[i], v_norm(v_sub(f->wrist[i], f->elbow[i])), 0.09f * s), 0.038f);
        add_proxy(f, f->hip[i], f->knee[i], wide ? 0.100f : 0.072f);
        add_proxy(f, f->knee[i], f->ankle[i], 0.050f);
        add_proxy(f, in_frame(f, f->ankle[i], &f->foot[i], 0, -0.045f, -0.03f),
                  in_frame(f, f->ankle[i], &f->foot[i], 0, -0.05f, 0.14f), 0.036f);
    }
}

static void bound_everything(struct figure *f)
{
    vec3 lo = v3(1e9f, 1e9f, 1e9f), hi = v3(-1e9f, -1e9f, -1e9f);
    for (int i = 0; i < f->n_prims; i++) {
        vec3 c = f->prims[i].centre;
        float r = f->prims[i].bound;
        lo = v3(f_min(lo.x, c.x - r), f_min(lo.y, c.y - r), f_min(lo.z, c.z - r));
        hi = v3(f_max(hi.x, c.x + r), f_max(hi.y, c.y + r), f_max(hi.z, c.z + r));
    }
    f->centre = v_mix(lo, hi, 0.5f);
    f->bound = 0;
    for (int i = 0; i < f->n_prims; i++)
        f->bound = f_max(f->bound, v_len(v_sub(f->prims[i].centre, f->centre)) + f->prims[i].bound);
}

void figure_dress(struct figure *figure, const struct pose *pose)
{
    figure->n_prims = figure->n_proxies = 0;
    add_skull(figure);
    add_face(figure);
    add_hair(figure);
    add_body(figure);
    for (int i = 0; i < 2; i++) {
        add_arm(figure, i);
        add_hand(figure, i);
        add_leg(figure, i);
        add_shoe(figure, i);
    }
    add_item(figure, pose);
    add_proxies(figure);
    bound_everything(figure);
}
