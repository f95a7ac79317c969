/* SPDX-License-Identifier: Apache-2.0 */
#include "scene.h"

#include "motion.h"

static void place(struct scene *scene, int i, const struct pose *pose)
{
    struct figure *figure = &scene->figures[i];
    figure->id = i;
    figure_pose(figure, &scene->looks[i], pose);
    figure_dress(figure, pose);
}

void scene_demo(struct scene *scene, uint32_t seed, int people)
{
    world_demo(&scene->world);
    scene->n_people = people > 0 && people < motion_actors() ? people : motion_actors();
    for (int i = 0; i < scene->n_people; i++)
        motion_look(i, seed, &scene->looks[i]);
}

void scene_at(struct scene *scene, float time)
{
    for (int i = 0; i < scene->n_people; i++) {
        struct pose pose;
        motion_pose(i, &scene->looks[i], time, &pose);
        place(scene, i, &pose);
    }
}

/* ---- variety ------------------------------------------------------------------------------------------------------
 */

static bool blocked(const struct scene *scene, const vec3 *taken, int n, vec3 p, float apart)
{
    const struct world *w = &scene->world;
    for (int i = 0; i < n; i++) {
        float dx = taken[i].x - p.x, dz = taken[i].z - p.z;
        if (dx * dx + dz * dz < apart * apart)
            return true;
    }
    for (int i = 0; i < w->n_blocks; i++) {
        const struct block *b = &w->blocks[i];
        if (b->lo.y < 1 && p.x > b->lo.x - 0.3f && p.x < b->hi.x + 0.3f && p.z > b->lo.z - 0.3f && p.z < b->hi.z + 0.3f)
            return true;
    }
    return p.x < w->x0 + 0.4f || p.x > w->x1 - 0.4f || p.z < w->z0 + 0.4f || p.z > w->z1 - 0.4f;
}

static void random_pose(struct rng *rng, const struct camera *camera, vec3 ground, struct pose *pose)
{
    static const enum item items[] = {ITEM_NONE, ITEM_NONE, ITEM_NONE, ITEM_BASKET, ITEM_BOX};
    float toward = atan2f(camera->position.x - ground.x, camera->position.z - ground.z),
          time = rng_range(rng, 0, MOTION_PERIOD);
    enum side side = (enum side)rng_pick(rng, 2);

    *pose = (struct pose){.ground = ground, .yaw = toward + rng_range(rng, -PI_F, PI_F)};
    if (rng_unit(rng) < 0.45f) /* cameras hang where they see faces */
        pose->yaw = toward + rng_range(rng, -0.9f, 0.9f);
    motion_idle(rng_unit(rng), time, pose);
    pose->head_yaw *= 2.2f;
    pose->head_pitch += rng_range(rng, -0.1f, 0.2f);
    pose->gait = rng_unit(rng);
    pose->walk = rng_unit(rng) < 0.45f ? rng_range(rng, 0.7f, 1.05f) : 0;
    if (rng_unit(rng) < 0.3f) {
        pose->item = items[rng_pick(rng, 5)];
        pose->item_side = side;
        if (pose->item == ITEM_BASKET) {
            pose->hand[side] = v3(side_sign(side) * 0.29f, 0.87f, 0.05f);
            pose->hand_grip[side] = 1;
        } else if (pose->item == ITEM_BOX) {
            pose->hand[RIGHT] = v3(-0.15f, 1.06f, 0.30f);
            pose->hand[LEFT] = v3(0.15f, 1.06f, 0.30f);
            pose->hand_grip[RIGHT] = pose->hand_grip[LEFT] = 1;
        }
    } else if (pose->walk == 0) {
        float hold = 5;
        motion_act((enum act)(1 + rng_pick(rng, N_ACTS - 1)), rng_range(rng, 0, hold), hold, side, time, pose);
    }
    for (int i = 0; i < 2; i++) { /* arms anywhere: what scripts do not think of */
        if (pose->hand_grip[i] == 0 && rng_unit(rng) < 0.2f) {
            pose->hand[i] =
                v3(side_sign(i) * rng_range(rng, -0.05f, 0.5f), rng_range(rng, 0.75f, 1.95f), rng_range(rng, 0, 0.5f));
            pose->hand_grip[i] = 1;
        }
    }
}

/* A spot in the camera's view, beside or behind somebody else when @near says so. */
static vec3 find_spot(struct rng *rng, const struct scene *scene, const struct camera *camera, const vec3 *taken, int n)
{
    vec3 p = v3(0, 0, 5);
    bool close = n > 0 && rng_unit(rng) < 0.4f;
    for (int attempt = 0; attempt < 60; attempt++) {
        if (close) {
            vec3 friend = taken[rng_pick(rng, n)];
            p = v3(friend.x + rng_range(rng, -0.9f, 0.9f), 0, friend.z + rng_range(rng, -0.9f, 0.9f));
        } else {
            float x = rng_range(rng, 0.04f, 0.96f) * (float)camera->width, far = rng_range(rng, 2.2f, 8.5f);
            vec3 d = camera_ray(camera, x, 0.5f * (float)camera->height);
            d.y = 0;
            p = v_mad(camera->position, v_norm(d), far);
            p.y = 0;
        }
        if (!blocked(scene, taken, n, p, 0.45f))
            break;
    }
    return p;
}

void scene_variety(struct scene *scene, struct camera *camera, uint32_t seed, int people, int width, int height)
{
    struct rng rng = {hash32(seed * 2246822519U + 1)};
    vec3 taken[SCENE_PEOPLE_MAX];

    world_random(&scene->world, hash32(seed));
    float z = rng_range(&rng, 0.3f, 1.2f), to = rng_range(&rng, 5, 8), high = rng_range(&rng, 2.1f, 3.0f);
    bool from_back = rng_unit(&rng) < 0.4f;
    float depth = scene->world.z1;
    vec3 position = v3(rng_range(&rng, -4.8f, 4.8f), high, from_back ? depth - z : z);
    vec3 target =
        v3(position.x + rng_range(&rng, -2.5f, 2.5f), rng_range(&rng, 0.4f, 1.2f), from_back ? depth - to : to);
    camera_look(camera, position, target, rng_range(&rng, 0.65f, 1.05f), width, height);

    int crowd = rng_unit(&rng) < 0.25f ? 6 + rng_pick(&rng, 8) : 1 + rng_pick(&rng, 5);
    scene->n_people = people > 0 ? people : crowd;
    if (scene->n_people > SCENE_PEOPLE_MAX)
        scene->n_people = SCENE_PEOPLE_MAX;
    for (int i = 0; i < scene->n_people; i++) {
        struct pose pose;
        look_random(&scene->looks[i], hash32(seed * 97 + (uint32_t)i));
        taken[i] = find_spot(&rng, scene, camera, taken, i);
        random_pose(&rng, camera, taken[i], &pose);
        if (pose.lean > 0.3f) { /* the trunk leans as one piece: nothing may hang from it */
            scene->looks[i].legwear = LEGS_TROUSERS;
            scene->looks[i].hem = HEM_OVER;
        }
        place(scene, i, &pose);
    }
}
