#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Rays through people: where they meet one, and what colour they see there.
 */
#include "scene.h"

#define FAR_AWAY 1e9f

/* What the rays of one tile of the picture can meet of one person. */
struct tile {
    float near, far; /* where along its rays the solids lie */
    uint8_t n, list[FIGURE_PRIMS_MAX];
};

/* Marches a ray through a person: distance of the surface, or FAR_AWAY. @tile NULL: rays of no tile, looking at all of
 * the person. @ret_part is set when something was met. */
float march(const struct figure *f, const struct tile *tile, vec3 origin, vec3 d, float limit, enum part *ret_part);
/* Light that comes from point @p of person @who towards the camera; @view: direction of the ray that found it. */
vec3 shade_person(const struct scene *scene, int who, const struct tile *tile, enum part part, vec3 p, vec3 view);
