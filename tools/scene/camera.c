/* SPDX-License-Identifier: Apache-2.0 */
#include "camera.h"

void camera_look(struct camera *c, vec3 position, vec3 target, float fov, int width, int height)
{
    c->position = position;
    c->axes.z = v_norm(v_sub(target, position));
    c->axes.x = v_norm(v_cross(c->axes.z, v3(0, 1, 0)));
    c->axes.y = v_cross(c->axes.x, c->axes.z);
    c->focal = 0.5f * (float)height / tanf(0.5f * fov);
    c->width = width;
    c->height = height;
}

void camera_demo(struct camera *c, int index, int width, int height)
{
    /* Under the ceiling and 15 to 20 degrees down: steeper views hide what a network knows of people. */
    static const struct {
        vec3 position, target;
        float fov;
    } views[DEMO_CAMERAS] = {
        {{1.5f, 2.7f, 5.1f}, {-2.4f, 0.95f, 0.8f}, 0.80f},   /* the door */
        {{0.2f, 2.7f, 1.3f}, {0.0f, 0.95f, 6.4f}, 0.82f},    /* the middle aisle */
        {{-4.95f, 2.7f, 11.0f}, {1.2f, 0.85f, 8.9f}, 0.80f}, /* the back wall */
        {{4.6f, 2.7f, 8.6f}, {3.4f, 0.95f, 2.6f}, 0.80f},    /* the right aisle and the till */
    };
    int i = index < 1 ? 0 : index > DEMO_CAMERAS ? DEMO_CAMERAS - 1 : index - 1;
    camera_look(c, views[i].position, views[i].target, views[i].fov, width, height);
}

vec3 camera_ray(const struct camera *c, float x, float y)
{
    float cx = 0.5f * (float)(c->width - 1), cy = 0.5f * (float)(c->height - 1);
    return v_norm(m_to_world(&c->axes, v3((x - cx) / c->focal, (cy - y) / c->focal, 1)));
}

bool camera_project(const struct camera *c, vec3 p, float *ret_x, float *ret_y, float *ret_depth)
{
    vec3 d = v_sub(p, c->position), l = m_to_local(&c->axes, d);
    *ret_depth = v_len(d);
    if (l.z < 0.1f)
        return false;
    *ret_x = l.x / l.z * c->focal + 0.5f * (float)(c->width - 1);
    *ret_y = 0.5f * (float)(c->height - 1) - l.y / l.z * c->focal;
    return true;
}
