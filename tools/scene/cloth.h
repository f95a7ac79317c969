#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * The surface of a person: colours of skin, face, hair and cloth, and the folds that bend a normal.
 */
#include "figure.h"

struct surface {
    vec3 albedo;
    float gloss, shine; /* strength and exponent of the highlight */
    vec3 normal;
};

/* What lies at @p, a point on @prim of part @part; @surface->normal comes in geometric and leaves with folds. */
void cloth_surface(const struct figure *figure, const struct prim *prim, enum part part, vec3 p,
                   struct surface *surface);
