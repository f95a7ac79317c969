/* SPDX-License-Identifier: Apache-2.0 */
#include "render.h"

#include <stdlib.h>

#include "light.h"
#include "march.h"
#include "parallel.h"

#define TILE 16
#define GRID 4 /* pixels between points at which shadows on the store are worked out */
#define SAMPLES 4

static const float jitter[SAMPLES][2] = {{-0.125f, -0.375f}, {0.375f, -0.125f}, {-0.375f, 0.125f}, {0.125f, 0.375f}};

struct sample {
    vec3 colour;
    float depth;
};

struct grid_point {
    vec3 p, normal, view;
    float open;
    bool glow;
};

struct render {
    int width, height, threads;
    int tiles_x, tiles_y, grid_x, grid_y;
    struct camera camera;
    struct sample *background; /* SAMPLES a pixel */
    struct grid_point *grid;
    float *shadow;        /* grid: light left by people, 0..1 */
    struct tile *tiles;   /* for each person, tiles_x x tiles_y */
    struct sample *first; /* a pixel's first sample */
    int8_t *ids;
    vec3 *picture;
};

struct frame_job {
    struct render *r;
    const struct scene *scene;
    int grain;
    uint8_t *rgb;
};

struct render *render_create(int width, int height, int threads)
{
    struct render *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    size_t pixels = (size_t)width * (size_t)height;
    r->width = width;
    r->height = height;
    r->threads = threads;
    r->tiles_x = (width + TILE - 1) / TILE;
    r->tiles_y = (height + TILE - 1) / TILE;
    r->grid_x = width / GRID + 2;
    r->grid_y = height / GRID + 2;
    r->background = calloc(pixels * SAMPLES, sizeof(*r->background));
    r->grid = calloc((size_t)r->grid_x * (size_t)r->grid_y, sizeof(*r->grid));
    r->shadow = calloc((size_t)r->grid_x * (size_t)r->grid_y, sizeof(*r->shadow));
    r->tiles = calloc((size_t)r->tiles_x * (size_t)r->tiles_y * SCENE_PEOPLE_MAX, sizeof(*r->tiles));
    r->first = calloc(pixels, sizeof(*r->first));
    r->ids = calloc(pixels, sizeof(*r->ids));
    r->picture = calloc(pixels, sizeof(*r->picture));
    if (!r->background || !r->grid || !r->shadow || !r->tiles || !r->first || !r->ids || !r->picture) {
        render_destroy(r);
        return NULL;
    }
    return r;
}

void render_destroy(struct render *r)
{
    if (!r)
        return;
    free(r->background);
    free(r->grid);
    free(r->shadow);
    free(r->tiles);
    free(r->first);
    free(r->ids);
    free(r->picture);
    free(r);
}

/* ---- the store ----------------------------------------------------------------------------------------------------
 */

static vec3 shade_world(const struct scene *scene, const struct world_hit *hit, vec3 view, bool *ret_glow)
{
    vec3 albedo = world_albedo(&scene->world, hit, ret_glow);
    if (*ret_glow)
        return albedo;
    struct light_point at = {.p = hit->p,
                             .normal = hit->normal,
                             .view = view,
                             .self_shadow = f_mix(hit->shade, 1, 0.15f),
                             .open = world_occlusion(&scene->world, hit),
                             .skip = -1};
    return v_mul(albedo, light_gather(scene, &at));
}

/* Polished tiles mirror a little of what stands on them, more at flat angles. */
static vec3 add_mirror(const struct scene *scene, const struct world_hit *hit, vec3 view, vec3 colour)
{
    struct world_hit seen;
    bool glow;
    vec3 up = v3(view.x, -view.y, view.z);
    world_trace(&scene->world, v_mad(hit->p, hit->normal, 0.01f), up, &seen);
    vec3 mirrored = shade_world(scene, &seen, up, &glow);
    float flat = 1 + view.y;
    return v_mix(colour, v_scale(mirrored, 0.8f), f_clamp(0.04f + 0.24f * flat * flat * flat * flat, 0, 0.35f));
}

static void background_row(void *context, int y)
{
    struct frame_job *job = context;
    struct render *r = job->r;
    for (int x = 0; x < r->width; x++) {
        for (int k = 0; k < SAMPLES; k++) {
            vec3 d = camera_ray(&r->camera, (float)x + jitter[k][0], (float)y + jitter[k][1]);
            struct world_hit hit;
            bool glow;
            world_trace(&job->scene->world, r->camera.position, d, &hit);
            vec3 colour = shade_world(job->scene, &hit, d, &glow);
            if (hit.material == MAT_FLOOR)
                colour = add_mirror(job->scene, &hit, d, colour);
            r->background[((size_t)y * (size_t)r->width + (size_t)x) * SAMPLES + (size_t)k] =
                (struct sample){colour, hit.t};
        }
    }
}

static void grid_row(void *context, int gy)
{
    struct frame_job *job = context;
    struct render *r = job->r;
    for (int gx = 0; gx < r->grid_x; gx++) {
        vec3 d = camera_ray(&r->camera, (float)(gx * GRID), (float)(gy * GRID));
        struct world_hit hit;
        struct grid_point *point = &r->grid[gy * r->grid_x + gx];
        world_trace(&job->scene->world, r->camera.position, d, &hit);
        world_albedo(&job->scene->world, &hit, &point->glow);
        point->p = hit.p;
        point->normal = hit.normal;
        point->view = d;
        point->open = world_occlusion(&job->scene->world, &hit);
    }
}

void render_background(struct render *r, const struct scene *scene, const struct camera *camera)
{
    struct frame_job job = {.r = r, .scene = scene};
    r->camera = *camera;
    parallel_for(r->threads, r->height, background_row, &job);
    parallel_for(r->threads, r->grid_y, grid_row, &job);
}

static void shadow_row(void *context, int gy)
{
    struct frame_job *job = context;
    struct render *r = job->r;
    for (int gx = 0; gx < r->grid_x; gx++) {
        const struct grid_point *point = &r->grid[gy * r->grid_x + gx];
        float *shadow = &r->shadow[gy * r->grid_x + gx];
        *shadow = 1;
        if (point->glow)
            continue;
        struct light_point at = {.p = point->p,
                                 .normal = point->normal,
                                 .view = point->view,
                                 .open = point->open,
                                 .self_shadow = 1,
                                 .skip = -1};
        float without = light_gather(job->scene, &at).y;
        at.people = true;
        *shadow = light_gather(job->scene, &at).y / f_max(without, 1e-4f);
    }
}

static float shadow_at(const struct render *r, int x, int y)
{
    int gx = x / GRID, gy = y / GRID;
    float u = (float)(x % GRID) / GRID, v = (float)(y % GRID) / GRID;
    const float *s = &r->shadow[gy * r->grid_x + gx];
    return f_mix(f_mix(s[0], s[1], u), f_mix(s[r->grid_x], s[r->grid_x + 1], u), v);
}

/* ---- people -------------------------------------------------------------------------------------------------------
 */

static struct tile *tile_of(const struct render *r, int person, int tx, int ty)
{
    return &r->tiles[((size_t)person * (size_t)r->tiles_y + (size_t)ty) * (size_t)r->tiles_x + (size_t)tx];
}

/* The solids of a person that a tile's rays can come near: those whose sphere meets the tile's cone. */
static void tile_row(void *context, int index)
{
    struct frame_job *job = context;
    struct render *r = job->r;
    int person = index / r->tiles_y, ty = index % r->tiles_y;
    const struct figure *f = &job->scene->figures[person];
    float spread = 1.4143f * (TILE / 2 + 1) / r->camera.focal;

    for (int tx = 0; tx < r->tiles_x; tx++) {
        struct tile *tile = tile_of(r, person, tx, ty);
        vec3 axis = camera_ray(&r->camera, (float)(tx * TILE + TILE / 2), (float)(ty * TILE + TILE / 2));
        tile->n = 0;
        tile->near = FAR_AWAY;
        tile->far = 0;
        for (int i = -1; i < f->n_prims; i++) { /* -1: the whole person */
            vec3 to = v_sub(i < 0 ? f->centre : f->prims[i].centre, r->camera.position);
            float reach = (i < 0 ? f->bound : f->prims[i].bound) + 0.035f, along = v_dot(to, axis);
            float off = sqrtf(f_max(v_dot(to, to) - along * along, 0));
            bool touches = along > -reach && off < reach * 1.1f + spread * f_max(along, 0);
            if (i < 0 && !touches)
                break;
            if (i < 0 || !touches)
                continue;
            tile->list[tile->n++] = (uint8_t)i;
            tile->near = f_min(tile->near, v_len(to) - reach);
            tile->far = f_max(tile->far, v_len(to) + reach);
        }
    }
}

/* What sample @k of a pixel sees: the nearest person before the store, or the store. */
static struct sample see(const struct render *r, const struct scene *scene, int x, int y, int k, int8_t *ret_id)
{
    struct sample best = r->background[((size_t)y * (size_t)r->width + (size_t)x) * SAMPLES + (size_t)k];
    vec3 d = camera_ray(&r->camera, (float)x + jitter[k][0], (float)y + jitter[k][1]), origin = r->camera.position;
    enum part part = PART_SKIN;
    int who = -1;

    for (int i = 0; i < scene->n_people; i++) {
        enum part hit;
        const struct tile *tile = tile_of(r, i, x / TILE, y / TILE);
        if (!tile->n)
            continue;
        float t = march(&scene->figures[i], tile, origin, d, best.depth, &hit);
        if (t < best.depth) {
            best.depth = t;
            who = i;
            part = hit;
        }
    }
    if (who >= 0)
        best.colour =
            shade_person(scene, who, tile_of(r, who, x / TILE, y / TILE), part, v_mad(origin, d, best.depth), d);
    else
        best.colour = v_scale(best.colour, shadow_at(r, x, y));
    *ret_id = (int8_t)who;
    return best;
}

static void first_row(void *context, int y)
{
    struct frame_job *job = context;
    struct render *r = job->r;
    for (int x = 0; x < r->width; x++) {
        size_t i = (size_t)y * (size_t)r->width + (size_t)x;
        r->first[i] = see(r, job->scene, x, y, 0, &r->ids[i]);
    }
}

/* Does a pixel need all its samples? Yes where somebody's outline passes, or the colour on him changes quickly. */
static bool is_edge(const struct render *r, int x, int y)
{
    static const int step[4][2] = {{1, 0}, {-1, 0}, {0, 1}, {0, -1}};
    size_t at = (size_t)y * (size_t)r->width + (size_t)x;
    for (int k = 0; k < 4; k++) {
        int nx = x + step[k][0], ny = y + step[k][1];
        if (nx < 0 || ny < 0 || nx >= r->width || ny >= r->height)
            continue;
        size_t other = (size_t)ny * (size_t)r->width + (size_t)nx;
        if (r->ids[at] != r->ids[other])
            return true;
        if (r->ids[at] < 0)
            continue;
        vec3 a = r->first[at].colour, b = r->first[other].colour;
        float contrast =
            fabsf(sqrtf(a.x) - sqrtf(b.x)) + fabsf(sqrtf(a.y) - sqrtf(b.y)) + fabsf(sqrtf(a.z) - sqrtf(b.z));
        if (contrast > 0.25f)
            return true;
    }
    return false;
}

static vec3 limit_light(vec3 c)
{
    return v3(f_min(c.x, 1.4f), f_min(c.y, 1.4f), f_min(c.z, 1.4f));
}

static void picture_row(void *context, int y)
{
    struct frame_job *job = context;
    struct render *r = job->r;
    for (int x = 0; x < r->width; x++) {
        size_t i = (size_t)y * (size_t)r->width + (size_t)x;
        bool edge = is_edge(r, x, y);
        vec3 sum = limit_light(r->first[i].colour);
        if (r->ids[i] >= 0 && !edge) {
            r->picture[i] = sum;
            continue;
        }
        float shadow = shadow_at(r, x, y);
        for (int k = 1; k < SAMPLES; k++) {
            int8_t id;
            vec3 c = edge ? see(r, job->scene, x, y, k, &id).colour
                          : v_scale(r->background[i * SAMPLES + (size_t)k].colour, shadow);
            sum = v_add(sum, limit_light(c));
        }
        r->picture[i] = v_scale(sum, 1.0f / SAMPLES);
    }
}

/* ---- the camera's electronics -------------------------------------------------------------------------------------
 */

/* A soft lens, a curve that saves the highlights, darker corners, grain. */
static void develop_row(void *context, int y)
{
    struct frame_job *job = context;
    struct render *r = job->r;
    float half = 0.5f * (float)r->width;
    for (int x = 0; x < r->width; x++) {
        vec3 sum = v3(0, 0, 0);
        float weight = 0;
        for (int j = -1; j <= 1; j++) {
            for (int i = -1; i <= 1; i++) {
                int nx = x + i, ny = y + j;
                if (nx < 0 || ny < 0 || nx >= r->width || ny >= r->height)
                    continue;
                float w = (i ? 0.10f : 0.80f) * (j ? 0.10f : 0.80f);
                sum = v_mad(sum, r->picture[(size_t)ny * (size_t)r->width + (size_t)nx], w);
                weight += w;
            }
        }
        float dx = ((float)x - half) / half, dy = ((float)y - 0.5f * (float)r->height) / half;
        float vignette = 1 - 0.09f * (dx * dx + dy * dy), light[3] = {sum.x, sum.y, sum.z};
        for (int c = 0; c < 3; c++) {
            float v = f_max(light[c] / weight, 0) * 0.95f;
            v = v < 0.6f ? v : 0.6f + 0.5f * (1 - expf(-(v - 0.6f) / 0.5f));
            v = powf(f_min(v, 1), 1 / 2.2f) * 255 * vignette;
            v += 3.0f * (hash_unit(x * 3 + c, y, job->grain) + hash_unit(x * 3 + c, y + 7919, job->grain) - 1);
            job->rgb[((size_t)y * (size_t)r->width + (size_t)x) * 3 + (size_t)c] = (uint8_t)f_clamp(v + 0.5f, 0, 255);
        }
    }
}

void render_frame(struct render *r, const struct scene *scene, int grain, uint8_t *rgb)
{
    struct frame_job job = {.r = r, .scene = scene, .grain = grain, .rgb = rgb};
    parallel_for(r->threads, r->tiles_y * scene->n_people, tile_row, &job);
    parallel_for(r->threads, r->grid_y, shadow_row, &job);
    parallel_for(r->threads, r->height, first_row, &job);
    parallel_for(r->threads, r->height, picture_row, &job);
    parallel_for(r->threads, r->height, develop_row, &job);
}

int render_id(const struct render *r, int x, int y)
{
    return r->ids[(size_t)y * (size_t)r->width + (size_t)x];
}

float render_depth(const struct render *r, int x, int y)
{
    return r->first[(size_t)y * (size_t)r->width + (size_t)x].depth;
}

bool render_meets(const struct render *r, const struct scene *scene, int i, float x, float y)
{
    enum part part;
    const struct tile *tile = NULL;
    if (x >= 0 && y >= 0 && x < (float)r->width && y < (float)r->height) {
        tile = tile_of(r, i, (int)x / TILE, (int)y / TILE);
        if (!tile->n)
            return false;
    }
    return march(&scene->figures[i], tile, r->camera.position, camera_ray(&r->camera, x, y), FAR_AWAY, &part) <
           FAR_AWAY;
}
