#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Stick figures rendered to confidence maps and part affinity fields as the paper defines them, for the tests of
 * postproc. All randomness comes from the caller's state.
 */
#include "core/pose.h"

struct scene {
    const struct pd_skeleton *skeleton;
    struct pd_maps maps;
    float *heat, *paf; /* what maps points to */
    int n_people;
    struct pd_keypoint (*truth)[PD_KEYPOINTS_MAX]; /* network input pixels; score 0: missing */
};

uint64_t scene_random(uint64_t *state);
double scene_uniform(uint64_t *state, double lo, double hi);

/* Empty maps of @w x @h samples, stride 8, room for PD_PEOPLE_MAX figures. Fails the test when out of memory. */
struct scene *scene_create(const struct pd_skeleton *skeleton, int w, int h);
void scene_destroy(struct scene *s);
/* A standing figure of @height pixels with the top of its head at (x, y), limbs swinging; each joint is missing with
 * chance @missing. */
void scene_add_person(struct scene *s, double x, double y, double height, double missing, uint64_t *random);
/* Maps of all people: Gaussians of @sigma pixels joined by their maximum; unit vectors within @width pixels of a limb,
 * averaged where limbs overlap (eq. 7-9). */
void scene_render(struct scene *s, double sigma, double width);
void scene_add_noise(struct scene *s, double amplitude, uint64_t *random);
