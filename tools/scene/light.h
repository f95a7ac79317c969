#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Light of the ceiling's lamp rows and what bounces about, with soft shadows that people throw. For shadows a person is
 * a few capsules: blurred by the width of the lamps, nobody sees the difference.
 */
#include "scene.h"

struct light_point {
    vec3 p, normal, view; /* view: direction of the ray that came here */
    float wrap;           /* light that creeps round an edge: skin */
    float open;           /* ambient light that reaches the point, 0..1 */
    float self_shadow;    /* lamp light left by the person's own body, 0..1 */
    int skip;             /* figure whose shadow is not wanted, -1: none */
    bool people;          /* false: as if nobody were there */
};

vec3 light_gather(const struct scene *scene, const struct light_point *point);
/* Towards the lamp that matters most at @p. */
vec3 light_key_direction(const struct world *world, vec3 p);
