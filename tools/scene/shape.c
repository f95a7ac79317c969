/* SPDX-License-Identifier: Apache-2.0
 *
 * Signed distances of the solids and of a whole person. They are bounds rather than exact distances (ellipsoids,
 * trunk), so rays take 88 % of each step.
 */
#include "figure.h"

/* Cross-sections of the trunk by height above the ground: half width, half depth, how far forward the middle lies. The
 * lowest ones are those of coats and skirts. */
struct section {
    float y, width, depth, forward;
};
#define N_SECTIONS 10
static const struct section male[N_SECTIONS] = {{0.50f, 0.185f, 0.165f, 0.004f},   {0.66f, 0.175f, 0.150f, 0.002f},
                                                {0.78f, 0.155f, 0.118f, -0.006f},  {0.88f, 0.168f, 0.120f, -0.012f},
                                                {0.99f, 0.156f, 0.110f, -0.006f},  {1.10f, 0.140f, 0.100f, 0.004f},
                                                {1.22f, 0.150f, 0.107f, 0.006f},   {1.33f, 0.166f, 0.116f, 0.006f},
                                                {1.415f, 0.130f, 0.096f, -0.010f}, {1.49f, 0.060f, 0.060f, -0.018f}};
static const struct section female[N_SECTIONS] = {{0.50f, 0.210f, 0.225f, 0.010f},   {0.66f, 0.192f, 0.185f, 0.006f},
                                                  {0.78f, 0.165f, 0.125f, -0.006f},  {0.88f, 0.176f, 0.126f, -0.012f},
                                                  {0.99f, 0.160f, 0.108f, -0.006f},  {1.10f, 0.125f, 0.090f, 0.004f},
                                                  {1.22f, 0.132f, 0.096f, 0.006f},   {1.33f, 0.146f, 0.108f, 0.006f},
                                                  {1.415f, 0.114f, 0.086f, -0.010f}, {1.49f, 0.052f, 0.052f, -0.018f}};

vec3 figure_trunk_local(const struct figure *f, vec3 p)
{
    vec3 d = v_scale(v_sub(p, f->pelvis), 1 / f->scale);
    float x = v_dot(d, f->trunk.x), y = v_dot(d, f->trunk.y), z = v_dot(d, f->trunk.z);
    float a = f->twist * f_clamp(y / 0.5f, 0, 1), s = a, c = 1 - 0.5f * a * a; /* twists stay under 0.3 */
    return v3(x * c - z * s, y + 0.92f, x * s + z * c);
}

static struct section section_at(const struct look *look, float y, float inflate)
{
    int i = 0;
    while (i < N_SECTIONS - 2 && y > male[i + 1].y)
        i++;
    float t = (y - male[i].y) / (male[i + 1].y - male[i].y), fem = look->female;
    t = t * t * (3 - 2 * t);
    float width =
        f_mix(f_mix(male[i].width, male[i + 1].width, t), f_mix(female[i].width, female[i + 1].width, t), fem);
    float depth =
        f_mix(f_mix(male[i].depth, male[i + 1].depth, t), f_mix(female[i].depth, female[i + 1].depth, t), fem);
    float grow = 1 + (look->girth - 1) * (y < 1.3f ? 1.3f : 0.6f);
    float forward = f_mix(male[i].forward, male[i + 1].forward, t);
    if (look->girth > 1.05f) /* a belly */
        forward += (look->girth - 1) * 0.25f * f_smooth(0.9f, 1.1f, y) * (1 - f_smooth(1.15f, 1.35f, y));
    return (struct section){y, width * grow + inflate, depth * grow + inflate, forward};
}

static float trunk_distance(const struct figure *f, const struct prim *prim, vec3 p)
{
    vec3 l = figure_trunk_local(f, p);
    float lo = prim->a.x, hi = prim->a.y;
    float y = f_clamp(l.y, 0.50f, 1.49f), inflate = prim->ra;
    if (prim->part == PART_TORSO && f->look->hem != HEM_TUCKED)
        inflate += 0.020f * (1 - f_smooth(0.88f, 1.08f, y)); /* cloth that hangs over the waist stands off */
    else if (prim->part == PART_HIPS && f->look->legwear != LEGS_SKIRT)
        inflate -= 0.065f * (1 - f_smooth(0.82f, 0.97f, y)); /* trousers narrow into the legs */
    struct section c = section_at(f->look, y, inflate);

    float u = l.x / c.width, w = (l.z - c.forward) / c.depth, k = sqrtf(u * u + w * w) + 1e-6f;
    float gradient = sqrtf(u * u / (c.width * c.width) + w * w / (c.depth * c.depth) + 1e-9f);
    float across = k < 0.3f ? (k - 1) * c.depth : k * (k - 1) / gradient;
    float along = f_max(lo - l.y, l.y - hi);
    float out_a = f_max(across, 0), out_b = f_max(along, 0);
    float d = sqrtf(out_a * out_a + out_b * out_b) + f_min(f_max(across, along), 0);
    return d * f->scale * 0.9f;
}

static float ellipsoid_distance(vec3 l, vec3 half)
{
    vec3 a = v3(l.x / half.x, l.y / half.y, l.z / half.z), b = v3(a.x / half.x, a.y / half.y, a.z / half.z);
    float k = v_len(a);
    return k < 0.05f ? -f_min(half.x, f_min(half.y, half.z)) : k * (k - 1) / v_len(b);
}

/* Two spheres and the cone that touches both, in the plane through the axis and the point. */
static float cone_distance(const struct prim *prim, vec3 p)
{
    vec3 d = v_sub(p, prim->a);
    float y = v_dot(d, prim->b), x = sqrtf(f_max(v_dot(d, d) - y * y, 0));
    float along = y * prim->cosine - x * prim->slope;
    if (along <= 0)
        return sqrtf(x * x + y * y) - prim->ra;
    if (along >= prim->length * prim->cosine) {
        y -= prim->length;
        return sqrtf(x * x + y * y) - prim->rb;
    }
    return x * prim->cosine + y * prim->slope - prim->ra;
}

static float box_distance(vec3 l, vec3 half, float rounding)
{
    vec3 d = v3(fabsf(l.x) - half.x, fabsf(l.y) - half.y, fabsf(l.z) - half.z);
    vec3 out = v3(f_max(d.x, 0), f_max(d.y, 0), f_max(d.z, 0));
    return v_len(out) + f_min(f_max(d.x, f_max(d.y, d.z)), 0) - rounding;
}

float prim_distance(const struct figure *f, const struct prim *prim, vec3 p)
{
    switch (prim->solid) {
    case SOLID_CONE:
        return cone_distance(prim, p);
    case SOLID_TRUNK:
        return trunk_distance(f, prim, p);
    case SOLID_BOX:
        return box_distance(m_to_local(&prim->frame, v_sub(p, prim->a)), prim->half, 0.006f);
    case SOLID_CAP: {
        vec3 l = m_to_local(&prim->frame, v_sub(p, prim->a));
        float edge = v_dot(l, prim->b) - prim->ra * (1 + 0.10f * sinf(l.x * prim->rb * 60)); /* an uneven hair line */
        return -f_smin(-ellipsoid_distance(l, prim->half), -edge, 0.012f);
    }
    case SOLID_ELLIPSOID:
    case SOLID_SOCKET:
        break;
    }
    return ellipsoid_distance(m_to_local(&prim->frame, v_sub(p, prim->a)), prim->half);
}

/* How softly the solids of a part flow into each other, metres. */
static const float part_blend[N_PARTS] = {
    [PART_SKIN] = 0.012f,     [PART_ARM_R] = 0.018f,    [PART_ARM_L] = 0.018f, [PART_TORSO] = 0.05f,
    [PART_SLEEVE_R] = 0.018f, [PART_SLEEVE_L] = 0.018f, [PART_HIPS] = 0.018f,  [PART_LEG_R] = 0.018f,
    [PART_LEG_L] = 0.018f,    [PART_SHOE] = 0.02f,      [PART_HAIR] = 0.03f,   [PART_ITEM] = 0.001f};

/* The seam of two parts is rounded without moving the border between their colours. */
static void join_parts(float *a, float *b, float blend)
{
    float d = f_smin(*a, *b, blend);
    if (*b < *a)
        *b = d;
    else
        *a = d;
}

static void join_body(const struct figure *f, vec3 p, float *part)
{
    for (int i = 0; i < 2; i++) {
        float near = 0.045f * f_clamp(1.4f - v_len(v_sub(p, f->shoulder[i])) / 0.15f, 0, 1);
        if (near > 0.001f)
            join_parts(&part[PART_TORSO], &part[PART_SLEEVE_R + i], near);
        join_parts(&part[PART_HIPS], &part[PART_LEG_R + i], 0.06f);
    }
}

float figure_distance(const struct figure *f, vec3 p, const uint8_t *list, int n, float reach, enum part *ret_part)
{
    float part[N_PARTS], bound = 9, socket = 9;
    for (int i = 0; i < N_PARTS; i++)
        part[i] = 9;
    for (int i = 0; i < n; i++) {
        const struct prim *prim = &f->prims[list ? list[i] : i];
        vec3 to = v_sub(p, prim->centre);
        float far = reach + prim->bound, d2 = v_dot(to, to);
        if (d2 > far * far) {
            bound = f_min(bound, sqrtf(d2) - prim->bound);
            continue;
        }
        float d = prim_distance(f, prim, p);
        if (prim->solid == SOLID_SOCKET)
            socket = f_min(socket, d);
        else
            part[prim->part] = f_smin(part[prim->part], d, part_blend[prim->part]);
    }
    if (socket < 9) /* eye sockets are cut out of the head */
        part[PART_SKIN] = -f_smin(-part[PART_SKIN], socket, 0.014f);
    join_body(f, p, part);

    float nearest = 9;
    int which = 0;
    for (int i = 0; i < N_PARTS; i++) {
        if (part[i] < nearest) {
            nearest = part[i];
            which = i;
        }
    }
    if (ret_part)
        *ret_part = (enum part)which;
    return f_min(nearest, bound);
}
