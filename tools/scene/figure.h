#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * One person at one moment: a pose is solved to joints (skeleton.c), the joints get flesh and clothes made of simple
 * solids (flesh.c), and their signed distance is what rays march through (shape.c). Lengths in a pose are those of a
 * body 1.75 m tall and are scaled to the person's height.
 */
#include "look.h"

enum joint {
    NOSE,
    NECK,
    R_SHOULDER,
    R_ELBOW,
    R_WRIST,
    L_SHOULDER,
    L_ELBOW,
    L_WRIST,
    R_HIP,
    R_KNEE,
    R_ANKLE,
    L_HIP,
    L_KNEE,
    L_ANKLE,
    R_EYE,
    L_EYE,
    R_EAR,
    L_EAR,
    N_JOINTS
};
enum side { RIGHT, LEFT };
enum item { ITEM_NONE, ITEM_PHONE, ITEM_BOX, ITEM_PRODUCT, ITEM_BASKET };

struct pose {
    vec3 ground; /* between the feet */
    float yaw;   /* 0 looks along +z, pi/2 along +x */
    float gait;  /* 0..1 of a double step; the right heel strikes at 0 */
    float walk;  /* 0 stands, 1 walks */
    float lean, crouch, sway;
    float head_yaw, head_pitch;
    float breath;       /* -1..1 */
    vec3 hand[2];       /* where each hand wants to be: left, up, forward of @ground */
    float hand_grip[2]; /* 0 hangs and swings, 1 at @hand */
    enum item item;
    enum side item_side;
};

/* Solids of one part flow into each other; parts meet in a seam, except sleeves with the torso and legs with the hips.
 */
enum part {
    PART_SKIN,
    PART_ARM_R,
    PART_ARM_L,
    PART_TORSO,
    PART_SLEEVE_R,
    PART_SLEEVE_L,
    PART_HIPS,
    PART_LEG_R,
    PART_LEG_L,
    PART_SHOE,
    PART_HAIR,
    PART_ITEM,
    N_PARTS
};
enum solid { SOLID_CONE, SOLID_ELLIPSOID, SOLID_TRUNK, SOLID_CAP, SOLID_SOCKET, SOLID_BOX };

struct prim {
    enum solid solid;
    enum part part;
    vec3 a;                      /* cone: first end; others: centre. Trunk: lowest and highest level in x and y */
    vec3 b;                      /* cone: axis; cap: normal of the plane that cuts it */
    float ra, rb;                /* cone: radii of the ends; cap: the plane's distance; trunk: thickness of the cloth */
    float length, slope, cosine; /* cone: derived */
    vec3 half;                   /* half axes or half edges */
    mat3 frame;
    vec3 centre; /* bounding sphere */
    float bound;
};

struct capsule {
    vec3 a, b;
    float radius;
};

#define FIGURE_PRIMS_MAX 88
#define FIGURE_PROXIES 13

struct figure {
    const struct look *look;
    int id;
    float scale; /* of lengths: 1 for 1.75 m */
    float twist; /* of the chest against the hips */
    mat3 base, trunk, chest, hips, head, foot[2];
    vec3 pelvis, neck, head_centre;
    vec3 shoulder[2], elbow[2], wrist[2], hip[2], knee[2], ankle[2];
    vec3 joints[N_JOINTS];
    struct prim prims[FIGURE_PRIMS_MAX];
    int n_prims;
    struct capsule proxies[FIGURE_PROXIES]; /* coarse body that throws shadows on others */
    int n_proxies;
    vec3 centre; /* bounding sphere of everything */
    float bound;
};

/* -1 on the right, +1 on the left: left is +x of every body frame. */
static inline float side_sign(int side)
{
    return side == LEFT ? 1.0f : -1.0f;
}

/* skeleton.c: fills all but the solids. @look must outlive @figure. */
void figure_pose(struct figure *figure, const struct look *look, const struct pose *pose);
/* flesh.c: the solids, their bounds and the shadow proxies, from the joints. */
void figure_dress(struct figure *figure, const struct pose *pose);

/* shape.c. The list names the solids worth looking at (NULL: all); solids farther than @reach count as a lower bound
 * only.
 * @ret_part: the part that is nearest, may be NULL. */
float figure_distance(const struct figure *figure, vec3 p, const uint8_t *list, int n, float reach,
                      enum part *ret_part);
float prim_distance(const struct figure *figure, const struct prim *prim, vec3 p);
/* @p in the trunk's own coordinates (scaled to 1.75 m, height above the ground, the twist undone): where cloth is
 * printed. */
vec3 figure_trunk_local(const struct figure *figure, vec3 p);
