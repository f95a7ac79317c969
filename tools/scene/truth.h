#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * What there is to find in a frame, exact, as one JSON line:
 *   {"frame":n,"time":seconds,"people":[{"id":i,"bbox":[x,y,w,h],"height":h,"area":a,"visible":share,
 *    "keypoints":[[x,y,v] x 18]}]}
 * Coordinates are pixels, the centre of the top left one at 0,0; keypoints in COCO-18 order with v as COCO has it: 0
 * not in the picture, 1 hidden, 2 visible. bbox and area are the figure's within the picture, what hides it included;
 * height is the whole figure's; visible is the share of the whole figure that is seen. Nobody is listed of whom nothing
 * is seen.
 */
#include <stdio.h>

#include "render.h"

/* After render_frame(). Returns 0, or -EIO when @file takes no more. */
int truth_write(FILE *file, const struct render *render, const struct scene *scene, const struct camera *camera,
                int frame, double time);
