#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Pictures of a scene. What stands still is drawn once a camera (four samples a pixel, with depth) and kept; a frame
 * then marches rays through people only, and darkens the kept picture where they throw shadows.
 */
#include "scene.h"

struct render;

/* Scratch for pictures of one size. NULL: out of memory. */
struct render *render_create(int width, int height, int threads);
void render_destroy(struct render *render);

/* Draws the store without people. Again whenever the store or the camera changes. */
void render_background(struct render *render, const struct scene *scene, const struct camera *camera);
/* One frame into @rgb, width x height x 3. @grain: seed of the sensor's noise. */
void render_frame(struct render *render, const struct scene *scene, int grain, uint8_t *rgb);

/* After render_frame(): who is seen at a pixel (-1: nobody) and how far away what is seen there lies. */
int render_id(const struct render *render, int x, int y);
float render_depth(const struct render *render, int x, int y);
/* Whether the ray through a point of the picture (or beside it) meets figure @i, whatever may stand before it. */
bool render_meets(const struct render *render, const struct scene *scene, int i, float x, float y);
