/* SPDX-License-Identifier: Apache-2.0
 *
 * From a pose to joints. Segment lengths follow anthropometric tables (fractions of the height); the walk is the
 * textbook cycle of 60 % stance and 40 % swing with a heel strike in front and a toe-off behind.
 */
#include "figure.h"

#define UPPER_ARM 0.285f
#define FOREARM 0.250f
#define THIGH 0.425f
#define SHIN 0.415f
#define STEP_REACH 0.30f /* from under the hip to the heel strike; 1 m a double step */
#define STANCE 0.6f

/* Two-bone limb from @root to *target: the joint between, bent towards @pole. A target out of reach is pulled in. */
static vec3 bend_limb(vec3 root, vec3 *target, float upper, float lower, vec3 pole)
{
    vec3 axis = v_sub(*target, root);
    float d = v_len(axis), longest = (upper + lower) * 0.995f;

    axis = v_norm(axis);
    if (d > longest) {
        d = longest;
        *target = v_mad(root, axis, d);
    }
    float along = (upper * upper - lower * lower + d * d) / (2 * d);
    float out = sqrtf(f_max(upper * upper - along * along, 0));
    return v_add(v_mad(root, axis, along), v_scale(v_ortho(pole, axis), out));
}

/* A foot of the walk at @phase of its own cycle: offset left/up/forward of the ground point, and the foot's pitch. */
static vec3 walking_foot(float phase, float sign, float *ret_pitch)
{
    float y = 0, z;
    if (phase < STANCE) {
        z = STEP_REACH - 2 * STEP_REACH * phase / STANCE;
        y = 0.075f * f_smooth(0.38f, STANCE, phase);
        *ret_pitch = phase < 0.12f ? -0.25f * (1 - phase / 0.12f) : 0.65f * f_smooth(0.36f, STANCE, phase);
    } else {
        float u = (phase - STANCE) / (1 - STANCE);
        z = -STEP_REACH + 2 * STEP_REACH * (u * u * (3 - 2 * u));
        y = 0.075f * (1 - u) + 0.09f * sinf(PI_F * u);
        *ret_pitch = 0.65f * (1 - f_smooth(0, 0.5f, u)) - 0.25f * f_smooth(0.6f, 1, u);
    }
    return v3(sign * 0.065f, 0.085f + y, z);
}

static void solve_trunk(struct figure *f, const struct pose *pose)
{
    float s = f->scale, w = pose->walk, cycle = TAU_F * pose->gait;
    float height = f_mix(0.912f, 0.893f + 0.012f * cosf(2 * cycle + 1.5f), w) - pose->crouch;
    float roll = 0.035f * sinf(cycle) * w + 0.5f * pose->sway * (1 - w);
    float back = 0.16f * f_max(pose->lean - 0.15f, 0); /* hips go back when the chest goes forward */

    f->base = m_turn(m_identity(), AXIS_Y, pose->yaw);
    f->twist = -0.15f * cosf(cycle) * w;
    f->pelvis = v_add(pose->ground, m_to_world(&f->base, v3(pose->sway * s, height * s, -back * s)));
    f->hips = m_turn(m_turn(f->base, AXIS_Z, roll), AXIS_Y, 0.10f * cosf(cycle) * w);
    f->trunk = m_turn(m_turn(f->base, AXIS_Z, -roll * 0.5f), AXIS_X, pose->lean);
    f->chest = m_turn(f->trunk, AXIS_Y, -f->twist);
    f->neck = v_mad(f->pelvis, f->trunk.y, 0.555f * s);
}

static void solve_legs(struct figure *f, const struct pose *pose)
{
    float s = f->scale, half_width = 0.088f + 0.008f * f->look->female;

    for (int i = 0; i < 2; i++) {
        float sign = side_sign(i), pitch;
        vec3 step = walking_foot(f_fract(pose->gait + 0.5f * (float)i), sign, &pitch);
        vec3 stand = v3(sign * 0.095f - pose->sway * 0.2f, 0.085f, 0.035f * sign);
        vec3 foot = v_mix(stand, step, pose->walk);
        pitch *= pose->walk;
        f->foot[i] = m_turn(m_turn(f->base, AXIS_Y, sign * 0.14f), AXIS_X, pitch);
        f->hip[i] = v_add(f->pelvis, m_to_world(&f->hips, v3(sign * half_width * s, 0, 0)));
        f->ankle[i] = v_add(pose->ground, m_to_world(&f->base, v_scale(foot, s)));
        vec3 pole = m_to_world(&f->base, v3(sign * 0.12f, 0, 1));
        f->knee[i] = bend_limb(f->hip[i], &f->ankle[i], THIGH * s, SHIN * s, pole);
    }
}

static void solve_arms(struct figure *f, const struct pose *pose)
{
    float s = f->scale, half_width = (0.178f - 0.022f * f->look->female) * (1 + (f->look->girth - 1) * 0.5f);

    for (int i = 0; i < 2; i++) {
        float sign = side_sign(i), swing = cosf(TAU_F * (pose->gait + 0.5f * (float)i));
        float raised = f_smooth(1.35f, 1.75f, pose->hand[i].y) * pose->hand_grip[i];
        vec3 shoulder = v3(sign * half_width, -0.062f + 0.035f * raised, -0.012f);
        f->shoulder[i] = v_add(f->neck, m_to_world(&f->chest, v_scale(shoulder, s)));
        vec3 stand = v3(sign * 0.055f, -0.512f, 0.06f + 0.005f * pose->breath);
        vec3 walk =
            v3(sign * 0.045f, -0.535f + 0.025f * swing * swing + 0.055f * f_max(-swing, 0), 0.02f - 0.19f * swing);
        vec3 hang = v_scale(v_mix(stand, walk, pose->walk), s);
        hang = v_add(f->shoulder[i], m_to_world(&f->base, hang));
        vec3 held = v_add(pose->ground, m_to_world(&f->base, v_scale(pose->hand[i], s)));
        f->wrist[i] = v_mix(hang, held, pose->hand_grip[i]);
        vec3 pole = m_to_world(&f->base, v3(sign * 0.45f, -0.55f, -0.8f));
        f->elbow[i] = bend_limb(f->shoulder[i], &f->wrist[i], UPPER_ARM * s, FOREARM * s, pole);
    }
}

static vec3 head_point(const struct figure *f, float x, float y, float z)
{
    return v_add(f->head_centre, m_to_world(&f->head, v_scale(v3(x, y, z), f->scale)));
}

static void solve_head(struct figure *f, const struct pose *pose)
{
    f->head = m_turn(f->base, AXIS_Y, pose->head_yaw - 0.4f * f->twist);
    f->head = m_turn(m_turn(f->head, AXIS_X, pose->lean * 0.35f + pose->head_pitch), AXIS_Z, 0.03f);
    vec3 nape = v_mad(f->neck, f->trunk.y, 0.045f * f->scale);
    f->head_centre = v_add(nape, m_to_world(&f->head, v_scale(v3(0, 0.125f, 0.028f), f->scale)));
}

static void name_joints(struct figure *f)
{
    f->joints[NOSE] = head_point(f, 0, -0.034f, 0.107f);
    f->joints[NECK] = v_mix(f->shoulder[RIGHT], f->shoulder[LEFT], 0.5f);
    for (int i = 0; i < 2; i++) {
        int arm = i == LEFT ? L_SHOULDER : R_SHOULDER, leg = i == LEFT ? L_HIP : R_HIP;
        float sign = side_sign(i);
        f->joints[arm] = f->shoulder[i];
        f->joints[arm + 1] = f->elbow[i];
        f->joints[arm + 2] = f->wrist[i];
        f->joints[leg] = f->hip[i];
        f->joints[leg + 1] = f->knee[i];
        f->joints[leg + 2] = f->ankle[i];
        f->joints[i == LEFT ? L_EYE : R_EYE] = head_point(f, sign * 0.031f, 0.004f, 0.084f);
        f->joints[i == LEFT ? L_EAR : R_EAR] = head_point(f, sign * 0.080f, -0.010f, -0.006f);
    }
}

void figure_pose(struct figure *figure, const struct look *look, const struct pose *pose)
{
    figure->look = look;
    figure->scale = look->height / 1.75f;
    solve_trunk(figure, pose);
    solve_legs(figure, pose);
    solve_arms(figure, pose);
    solve_head(figure, pose);
    name_joints(figure);
}
