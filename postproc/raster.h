#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Antialiased shapes and small text on a canvas. Everything is clipped; coordinates may be anything, NaN included.
 * Private to postproc/.
 */
#include "postproc/draw.h"

struct pd_colour {
    uint8_t r, g, b;
};

/* The segment from (ax, ay) to (bx, by) with round ends; a disc when both are the same. @opacity 0..1. */
void pd_raster_capsule(const struct pd_canvas *canvas, float ax, float ay, float bx, float by, float radius,
                       struct pd_colour colour, float opacity);
void pd_raster_box(const struct pd_canvas *canvas, int x, int y, int w, int h, struct pd_colour colour, float opacity);

/* Text of digits and "#.% -"; other characters are blank. Every character is a cell of PD_GLYPH_W x PD_GLYPH_H dots of
 * @dot x @dot pixels, a column and no row of it left free. */
#define PD_GLYPH_W 6
#define PD_GLYPH_H 7
void pd_raster_text(const struct pd_canvas *canvas, int x, int y, int dot, const char *text, struct pd_colour colour);
