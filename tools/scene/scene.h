#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Everything there is at one moment: the store and the people in it.
 */
#include "camera.h"
#include "figure.h"
#include "world.h"

#define SCENE_PEOPLE_MAX 24

struct scene {
    struct world world;
    struct look looks[SCENE_PEOPLE_MAX];
    struct figure figures[SCENE_PEOPLE_MAX];
    int n_people;
};

/* The demo's store with its first @people actors (0: all), looks by @seed. */
void scene_demo(struct scene *scene, uint32_t seed, int people);
/* Its people at a moment. */
void scene_at(struct scene *scene, float time);

/* Another store, camera and crowd for every seed: pictures for training. @people 0: some. */
void scene_variety(struct scene *scene, struct camera *camera, uint32_t seed, int people, int width, int height);
