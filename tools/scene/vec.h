#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Vectors, frames and scalar helpers of the renderer. Metres and radians; the world is right-handed with y up. A
 * frame's axes are x = left, y = up, z = forward of whoever it belongs to.
 */
#include <math.h>

#define PI_F 3.14159265f
#define TAU_F 6.28318531f

typedef struct {
    float x, y, z;
} vec3;

typedef struct {
    vec3 x, y, z;
} mat3;

enum axis { AXIS_X, AXIS_Y, AXIS_Z };

static inline vec3 v3(float x, float y, float z)
{
    return (vec3){x, y, z};
}

static inline vec3 v_add(vec3 a, vec3 b)
{
    return v3(a.x + b.x, a.y + b.y, a.z + b.z);
}

static inline vec3 v_sub(vec3 a, vec3 b)
{
    return v3(a.x - b.x, a.y - b.y, a.z - b.z);
}

static inline vec3 v_scale(vec3 a, float s)
{
    return v3(a.x * s, a.y * s, a.z * s);
}

static inline vec3 v_mul(vec3 a, vec3 b)
{
    return v3(a.x * b.x, a.y * b.y, a.z * b.z);
}

/* a + b * s */
static inline vec3 v_mad(vec3 a, vec3 b, float s)
{
    return v3(a.x + b.x * s, a.y + b.y * s, a.z + b.z * s);
}

static inline vec3 v_mix(vec3 a, vec3 b, float t)
{
    return v_mad(v_scale(a, 1 - t), b, t);
}

static inline float v_dot(vec3 a, vec3 b)
{
    return a.x * b.x + a.y * b.y + a.z * b.z;
}

static inline vec3 v_cross(vec3 a, vec3 b)
{
    return v3(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x);
}

static inline float v_len(vec3 a)
{
    return sqrtf(v_dot(a, a));
}

static inline vec3 v_norm(vec3 a)
{
    return v_scale(a, 1 / (v_len(a) + 1e-12f));
}

/* The part of @a that is at right angles to the unit vector @n, as a unit vector. */
static inline vec3 v_ortho(vec3 a, vec3 n)
{
    return v_norm(v_mad(a, n, -v_dot(a, n)));
}

static inline float f_min(float a, float b)
{
    return a < b ? a : b;
}

static inline float f_max(float a, float b)
{
    return a > b ? a : b;
}

static inline float f_clamp(float x, float lo, float hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

static inline float f_mix(float a, float b, float t)
{
    return a + (b - a) * t;
}

static inline float f_smooth(float lo, float hi, float x)
{
    x = f_clamp((x - lo) / (hi - lo), 0, 1);
    return x * x * (3 - 2 * x);
}

/* floorf() is a library call without SSE4.1, and noise asks for it three times a sample. */
static inline int f_floor(float x)
{
    int i = (int)x;
    return i - (x < (float)i);
}

static inline float f_fract(float x)
{
    return x - (float)f_floor(x);
}

/* Minimum with a rounded seam of width @k: two bodies that flow into each other. */
static inline float f_smin(float a, float b, float k)
{
    float h = f_max(k - fabsf(a - b), 0) / k;
    return f_min(a, b) - h * h * k * 0.25f;
}

static inline mat3 m_identity(void)
{
    return (mat3){{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
}

static inline vec3 m_to_world(const mat3 *m, vec3 p)
{
    return v3(m->x.x * p.x + m->y.x * p.y + m->z.x * p.z, m->x.y * p.x + m->y.y * p.y + m->z.y * p.z,
              m->x.z * p.x + m->y.z * p.y + m->z.z * p.z);
}

static inline vec3 m_to_local(const mat3 *m, vec3 p)
{
    return v3(v_dot(m->x, p), v_dot(m->y, p), v_dot(m->z, p));
}

/* The frame turned about one of its own axes. About y a positive angle turns z towards x (to the left), about x it
 * pitches z down (a bow), about z it lowers the left side's opposite (leans to the right). */
static inline mat3 m_turn(mat3 m, enum axis axis, float angle)
{
    float c = cosf(angle), s = sinf(angle);
    mat3 r = m;
    switch (axis) {
    case AXIS_X:
        r.y = v_mad(v_scale(m.y, c), m.z, s);
        r.z = v_mad(v_scale(m.z, c), m.y, -s);
        break;
    case AXIS_Y:
        r.x = v_mad(v_scale(m.x, c), m.z, -s);
        r.z = v_mad(v_scale(m.z, c), m.x, s);
        break;
    case AXIS_Z:
        r.x = v_mad(v_scale(m.x, c), m.y, s);
        r.y = v_mad(v_scale(m.y, c), m.x, -s);
        break;
    }
    return r;
}

/* sRGB hex to linear light. */
static inline vec3 rgb(unsigned hex)
{
    return v3(powf((float)(hex >> 16 & 255) / 255.0f, 2.2f), powf((float)(hex >> 8 & 255) / 255.0f, 2.2f),
              powf((float)(hex & 255) / 255.0f, 2.2f));
}
