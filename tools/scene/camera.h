#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * A pinhole camera. The centre of the top left pixel is at (0, 0), as in everything that posed reports.
 */
#include <stdbool.h>
#include <stdint.h>

#include "vec.h"

#define DEMO_CAMERAS 4

struct camera {
    vec3 position;
    mat3 axes;   /* x to the right of the picture, y up, z into it */
    float focal; /* pixels */
    int width, height;
};

/* @fov: vertical opening, radians. */
void camera_look(struct camera *camera, vec3 position, vec3 target, float fov, int width, int height);
/* Camera 1..DEMO_CAMERAS of the demo store. */
void camera_demo(struct camera *camera, int index, int width, int height);
vec3 camera_ray(const struct camera *camera, float x, float y);
/* Pixel of a point; false when it lies behind the camera. @ret_depth: distance from the camera. */
bool camera_project(const struct camera *camera, vec3 p, float *ret_x, float *ret_y, float *ret_depth);
