#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Draws people onto an RGB picture: limbs and joints in a colour for each limb, ids and scores as text, antialiased.
 * Pure functions on memory; any size, people partly or wholly outside the picture included.
 */
#include "core/pose.h"

struct pd_canvas {
    uint8_t *rgb; /* width x height x 3 */
    int width, height, stride; /* bytes */
};

struct pd_draw_params {
    float line_width;  /* pixels; 0: chosen from the picture's height */
    bool labels;       /* id (when tracked) and score beside each person */
};

void pd_draw_people(const struct pd_canvas *canvas, const struct pd_skeleton *skeleton, const struct pd_people *people,
                    const struct pd_draw_params *params);
