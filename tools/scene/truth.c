/* SPDX-License-Identifier: Apache-2.0 */
#include "truth.h"

#include <errno.h>

/* How far a joint lies below the skin at most, metres: more than that before it is something else's surface. */
#define BODY_DEPTH 0.14f
#define FACE_DEPTH 0.035f
/* Outlines are sampled: fine enough for the box of a small figure, and bounded for one that fills the picture. */
#define OUTLINE_SAMPLES 4000

struct outline {
    float x0, y0, x1, y1;             /* of the whole figure */
    float in_x0, in_y0, in_x1, in_y1; /* of what lies in the picture */
    int whole, inside, seen;          /* samples */
    float area;                       /* of one sample, pixels */
};

static bool screen_range(const struct figure *f, const struct camera *c, float *x0, float *y0, float *x1, float *y1)
{
    float x, y, depth;
    *x0 = *y0 = 1e9f;
    *x1 = *y1 = -1e9f;
    for (int i = 0; i < f->n_prims; i++) {
        if (!camera_project(c, f->prims[i].centre, &x, &y, &depth))
            return false;
        float r = f->prims[i].solid == SOLID_TRUNK ? 0.25f : f->prims[i].bound;
        r = 1.15f * r * c->focal / f_max(depth - r, 0.1f) + 1;
        *x0 = f_min(*x0, x - r);
        *y0 = f_min(*y0, y - r);
        *x1 = f_max(*x1, x + r);
        *y1 = f_max(*y1, y + r);
    }
    return *x1 > 0 && *y1 > 0 && *x0 < (float)c->width && *y0 < (float)c->height;
}

static void measure(const struct render *r, const struct scene *scene, const struct camera *c, int who, float x0,
                    float y0, float x1, float y1, struct outline *o)
{
    float step = f_max(1, floorf(sqrtf((x1 - x0) * (y1 - y0) / OUTLINE_SAMPLES)));
    *o = (struct outline){.x0 = 1e9f,
                          .y0 = 1e9f,
                          .x1 = -1e9f,
                          .y1 = -1e9f,
                          .in_x0 = 1e9f,
                          .in_y0 = 1e9f,
                          .in_x1 = -1e9f,
                          .in_y1 = -1e9f,
                          .area = step * step};
    for (float y = floorf(y0); y <= y1; y += step) {
        for (float x = floorf(x0); x <= x1; x += step) {
            if (!render_meets(r, scene, who, x, y))
                continue;
            o->whole++;
            o->x0 = f_min(o->x0, x);
            o->y0 = f_min(o->y0, y);
            o->x1 = f_max(o->x1, x);
            o->y1 = f_max(o->y1, y);
            if (x < 0 || y < 0 || x > (float)(c->width - 1) || y > (float)(c->height - 1))
                continue;
            o->inside++;
            o->in_x0 = f_min(o->in_x0, x);
            o->in_y0 = f_min(o->in_y0, y);
            o->in_x1 = f_max(o->in_x1, x);
            o->in_y1 = f_max(o->in_y1, y);
            o->seen += render_id(r, (int)x, (int)y) == who;
        }
    }
}

static int visibility(const struct render *r, const struct camera *c, int who, int joint, float x, float y, float depth)
{
    int px = (int)floorf(x + 0.5f), py = (int)floorf(y + 0.5f);
    if (px < 0 || py < 0 || px >= c->width || py >= c->height)
        return 0;
    bool face = joint == NOSE || joint >= R_EYE;
    bool own = render_id(r, px, py) == who;
    return own && render_depth(r, px, py) > depth - (face ? FACE_DEPTH : BODY_DEPTH) ? 2 : 1;
}

static void write_keypoints(FILE *file, const struct render *r, const struct figure *f, const struct camera *c)
{
    fputs("\"keypoints\":[", file);
    for (int j = 0; j < N_JOINTS; j++) {
        float x = 0, y = 0, depth;
        int v = 0;
        if (camera_project(c, f->joints[j], &x, &y, &depth))
            v = visibility(r, c, f->id, j, x, y, depth);
        fprintf(file, "%s[%.1f,%.1f,%d]", j ? "," : "", v ? (double)x : 0.0, v ? (double)y : 0.0, v);
    }
    fputs("]}", file);
}

int truth_write(FILE *file, const struct render *r, const struct scene *scene, const struct camera *c, int frame,
                double time)
{
    bool any = false;
    fprintf(file, "{\"frame\":%d,\"time\":%.3f,\"people\":[", frame, time);
    for (int i = 0; i < scene->n_people; i++) {
        float x0, y0, x1, y1;
        struct outline o;
        if (!screen_range(&scene->figures[i], c, &x0, &y0, &x1, &y1))
            continue;
        measure(r, scene, c, i, x0, y0, x1, y1, &o);
        if (!o.seen)
            continue;
        fprintf(file, "%s{\"id\":%d,\"bbox\":[%.0f,%.0f,%.0f,%.0f],\"height\":%.0f,\"area\":%.0f,\"visible\":%.3f,",
                any ? "," : "", i + 1, (double)o.in_x0, (double)o.in_y0, (double)(o.in_x1 - o.in_x0 + 1),
                (double)(o.in_y1 - o.in_y0 + 1), (double)(o.y1 - o.y0 + 1), (double)(o.area * (float)o.inside),
                (double)o.seen / o.whole);
        write_keypoints(file, r, &scene->figures[i], c);
        any = true;
    }
    fputs("]}\n", file);
    return ferror(file) ? -EIO : 0;
}
