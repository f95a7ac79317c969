/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine that computes nothing: every frame gets canned maps with three people who sway to and fro, so that
 * everything around an engine can be loaded and tested without one. The maps depend only on the frame's camera and seq
 * and on the input size; they are drawn once for each step of the movement and then only pointed at.
 *
 * The environment makes it behave like a device, for tests:
 *   POSED_NULL_OPEN_MS=X     opening it takes X ms
 *   POSED_NULL_BATCH_MS=X    a batch takes X ms
 *   POSED_NULL_FRAME_MS=X    and X ms more for each frame
 *   POSED_NULL_FAIL_EVERY=N  every Nth batch fails: -EIO
 *   POSED_NULL_LOST_AFTER=N  the device is lost after N batches: -ENODEV from then on
 *   POSED_NULL_HANG_AFTER=N  the batch after N others never ends
 *   POSED_NULL_SHAPE_AFTER=N after N batches the maps say that they are larger than they are
 * Where it poses as several devices, "30,,5" says 30 for device 0, nothing for device 1 and 5 for the next; a single
 * number is for all.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/engine/engine.h"

#define N_STEPS 32        /* one sway; at 30 frames/s about a second */
#define CAMERA_PHASE 11   /* steps by which one camera is ahead of the one before it; coprime to N_STEPS */
#define N_PEOPLE 3
#define PEAK 0.92f
#define SIGMA 1.1f        /* of a confidence blob, in map samples */
#define LIMB_RADIUS 1.0f  /* half width of a part affinity field, in map samples */
#define SECONDS_MAX 60.0

struct null_engine {
    const struct pd_net *net;
    int64_t batch_ns, frame_ns;
    long fail_every, lost_after, hang_after, shape_after; /* batches; -1: never */
    int device;
    long n_batches;
    struct canned *canned; /* of the size that was asked for last */
};

/* The maps of one input size. Held by the engine and by every batch whose slots may point into them. */
struct canned {
    int refs;
    int width, height;
    struct pd_shape heat, paf;
    float *maps[N_STEPS]; /* heat then paf; NULL until first used */
};

/* Where keypoints are on an upright body seen from the front: x to the picture's right, y down, feet at 1. */
static const struct joint {
    const char *name;
    float x, y;
} joints[] = {
    {"nose", 0.00f, 0.08f},           {"neck", 0.00f, 0.18f},          {"head_top", 0.00f, 0.00f},
    {"head", 0.00f, 0.04f},           {"chest", 0.00f, 0.33f},         {"mid_hip", 0.00f, 0.52f},
    {"right_shoulder", -0.10f, .19f}, {"right_elbow", -0.14f, 0.35f},  {"right_wrist", -0.16f, 0.50f},
    {"left_shoulder", 0.10f, 0.19f},  {"left_elbow", 0.14f, 0.35f},    {"left_wrist", 0.16f, 0.50f},
    {"right_hip", -0.07f, 0.53f},     {"right_knee", -0.08f, 0.74f},   {"right_ankle", -0.08f, 0.95f},
    {"left_hip", 0.07f, 0.53f},       {"left_knee", 0.08f, 0.74f},     {"left_ankle", 0.08f, 0.95f},
    {"right_eye", -0.03f, 0.05f},     {"left_eye", 0.03f, 0.05f},      {"right_ear", -0.06f, 0.07f},
    {"left_ear", 0.06f, 0.07f},       {"right_heel", -0.07f, 0.97f},   {"left_heel", 0.07f, 0.97f},
    {"right_big_toe", -0.11f, 1.00f}, {"left_big_toe", 0.11f, 1.00f},  {"right_small_toe", -0.14f, 0.98f},
    {"left_small_toe", 0.14f, 0.98f},
};

/* Centre, sway and height of each person as shares of the input. They keep to the left two thirds: what is right of
 * that may be the letterbox's empty part. */
static const struct person {
    float x, sway, top, height;
} people[N_PEOPLE] = {
    {0.14f, 0.05f, 0.15f, 0.70f},
    {0.36f, 0.06f, 0.25f, 0.65f},
    {0.58f, 0.04f, 0.10f, 0.80f},
};

struct point {
    float x, y; /* map samples */
};

static struct point place(const struct pd_net_meta *meta, const struct canned *c, const struct person *p, int step,
                          int keypoint)
{
    const struct pd_skeleton *sk = meta->skeleton;
    /* a keypoint that the table does not know still has a place of its own */
    float angle = 6.2831853f * (float)keypoint / (float)sk->n_keypoints;
    float jx = 0.12f * cosf(angle), jy = 0.4f + 0.15f * sinf(angle);
    for (size_t i = 0; i < PD_ARRAY_SIZE(joints); i++) {
        if (!strcmp(joints[i].name, sk->keypoints[keypoint])) {
            jx = joints[i].x;
            jy = joints[i].y;
        }
    }
    float sway = p->sway * sinf(6.2831853f * (float)step / N_STEPS);
    float x = (p->x + sway) * (float)c->width + jx * p->height * (float)c->height;
    float y = (p->top + jy * p->height) * (float)c->height;
    float stride = (float)PD_MAX(meta->stride, 1);
    return (struct point){(x - meta->offset) / stride, (y - meta->offset) / stride};
}

static void draw_peak(float *map, struct pd_shape s, struct point c)
{
    int reach = (int)ceilf(4 * SIGMA);
    int x0 = PD_MAX((int)c.x - reach, 0), x1 = PD_MIN((int)c.x + reach, s.w - 1);
    int y0 = PD_MAX((int)c.y - reach, 0), y1 = PD_MIN((int)c.y + reach, s.h - 1);
    for (int y = y0; y <= y1; y++) {
        for (int x = x0; x <= x1; x++) {
            float dx = (float)x - c.x, dy = (float)y - c.y;
            float v = PEAK * expf(-(dx * dx + dy * dy) / (2 * SIGMA * SIGMA));
            float *at = &map[(size_t)y * (size_t)s.w + (size_t)x];
            *at = fmaxf(*at, v);
        }
    }
}

/* Unit vectors from @a to @b on all samples within LIMB_RADIUS of the line between them. */
static void draw_limb(float *map_x, float *map_y, struct pd_shape s, struct point a, struct point b)
{
    float dx = b.x - a.x, dy = b.y - a.y, length = hypotf(dx, dy);
    if (length < 1e-3f)
        return;
    float ux = dx / length, uy = dy / length;
    int x0 = PD_MAX((int)(fminf(a.x, b.x) - LIMB_RADIUS), 0), x1 = PD_MIN((int)(fmaxf(a.x, b.x) + 2), s.w - 1);
    int y0 = PD_MAX((int)(fminf(a.y, b.y) - LIMB_RADIUS), 0), y1 = PD_MIN((int)(fmaxf(a.y, b.y) + 2), s.h - 1);
    for (int y = y0; y <= y1; y++) {
        for (int x = x0; x <= x1; x++) {
            float px = (float)x - a.x, py = (float)y - a.y;
            float along = px * ux + py * uy, across = fabsf(px * uy - py * ux);
            if (along < -LIMB_RADIUS || along > length + LIMB_RADIUS || across > LIMB_RADIUS)
                continue;
            size_t i = (size_t)y * (size_t)s.w + (size_t)x;
            map_x[i] = ux;
            map_y[i] = uy;
        }
    }
}

/* What is no keypoint is background. */
static void draw_background(float *heat, struct pd_shape s, int n_keypoints)
{
    size_t area = (size_t)s.h * (size_t)s.w;
    float *background = heat + (size_t)n_keypoints * area;
    for (size_t i = 0; i < area; i++) {
        float most = 0;
        for (int k = 0; k < n_keypoints; k++)
            most = fmaxf(most, heat[(size_t)k * area + i]);
        background[i] = 1 - most;
    }
}

static float *draw_step(const struct pd_net_meta *meta, const struct canned *c, int step)
{
    const struct pd_skeleton *sk = meta->skeleton;
    size_t area = (size_t)c->heat.h * (size_t)c->heat.w;
    float *heat = calloc((size_t)(c->heat.c + c->paf.c) * area, sizeof(*heat));
    if (!heat)
        return NULL;
    float *paf = heat + (size_t)c->heat.c * area;
    for (int p = 0; p < N_PEOPLE; p++) {
        struct point at[PD_KEYPOINTS_MAX];
        for (int k = 0; k < sk->n_keypoints; k++) {
            at[k] = place(meta, c, &people[p], step, k);
            draw_peak(heat + (size_t)k * area, c->heat, at[k]);
        }
        for (int l = 0; l < sk->n_limbs; l++) {
            const struct pd_limb *limb = &meta->limbs[l];
            draw_limb(paf + (size_t)limb->paf_x * area, paf + (size_t)limb->paf_y * area, c->paf, at[limb->a],
                      at[limb->b]);
        }
    }
    if (c->heat.c > sk->n_keypoints)
        draw_background(heat, c->heat, sk->n_keypoints);
    return heat;
}

static void canned_unref(struct canned *c)
{
    if (!c || --c->refs > 0)
        return;
    for (int i = 0; i < N_STEPS; i++)
        free(c->maps[i]);
    free(c);
}

/* Make e->canned that of the given size. */
static int set_size(struct null_engine *e, int width, int height, struct pd_err *err)
{
    if (e->canned && e->canned->width == width && e->canned->height == height)
        return 0;
    PD_CLEANUP(pd_freep) struct pd_shape *shapes = calloc((size_t)e->net->n_tensors, sizeof(*shapes));
    struct canned *c = calloc(1, sizeof(*c));
    int r = shapes && c ? pd_net_shapes(e->net, height, width, shapes, err) : pd_err_set(err, -ENOMEM, "out of memory");
    if (r < 0) {
        free(c);
        return r;
    }
    c->refs = 1;
    c->width = width;
    c->height = height;
    c->heat = shapes[e->net->heat];
    c->paf = shapes[e->net->paf];
    canned_unref(e->canned);
    e->canned = c;
    return 0;
}

static const float *maps_of_step(struct null_engine *e, int step, struct pd_err *err)
{
    float **maps = &e->canned->maps[step];
    if (!*maps)
        *maps = draw_step(&e->net->meta, e->canned, step);
    if (!*maps)
        pd_err_set(err, -ENOMEM, "out of memory");
    return *maps;
}

/* A setting of the device from the environment; negative when it is not there or makes no sense. */
static double setting(const char *name, int device)
{
    const char *text = getenv(name), *comma;
    if (!text)
        return -1;
    for (bool list = strchr(text, ','); list && device > 0; device--) {
        comma = strchr(text, ',');
        if (!comma)
            return -1;
        text = comma + 1;
    }
    char *end;
    double v = strtod(text, &end);
    return end != text && (!*end || *end == ',') && v >= 0 ? v : -1;
}

static int64_t setting_ns(const char *name, int device)
{
    return (int64_t)(PD_CLAMP(setting(name, device), 0, SECONDS_MAX * 1e3) * 1e6);
}

static void take_time(int64_t ns)
{
    int64_t until = pd_now_ns() + ns;
    if (ns == 0)
        return;
    struct timespec ts = {.tv_sec = until / PD_NS_PER_S, .tv_nsec = until % PD_NS_PER_S};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
        ;
}

static int null_probe(struct pd_err *err)
{
    return 0;
}

/* Every channel that drawing touches is one that the network has. */
static int check_net(const struct pd_net *net, struct pd_err *err)
{
    const struct pd_skeleton *sk = net->meta.skeleton;
    if (!sk || net->paf < 0)
        return pd_err_set(err, -EINVAL, "engine null needs a pose network; '%s' is none", net->meta.name);
    bool fits = net->tensors[net->heat].channels >= sk->n_keypoints;
    for (int l = 0; l < sk->n_limbs; l++) {
        int most = PD_MAX(net->meta.limbs[l].paf_x, net->meta.limbs[l].paf_y);
        fits = fits && most < net->tensors[net->paf].channels;
    }
    if (!fits)
        return pd_err_set(err, -EINVAL, "the outputs of '%s' do not fit skeleton %s", net->meta.name, sk->name);
    return 0;
}

static void null_close(void *self)
{
    struct null_engine *e = self;
    canned_unref(e->canned);
    free(e);
}

static int null_open(const struct pd_net *net, const struct pd_engine_params *params, struct pd_engine_caps *caps,
                     void **ret_self, struct pd_err *err)
{
    int r = check_net(net, err);
    if (r < 0)
        return r;
    struct null_engine *e = calloc(1, sizeof(*e));
    if (!e)
        return pd_err_set(err, -ENOMEM, "out of memory");
    e->net = net;
    e->device = params->n_devices ? params->devices[0] : 0;
    e->batch_ns = setting_ns("POSED_NULL_BATCH_MS", e->device);
    e->frame_ns = setting_ns("POSED_NULL_FRAME_MS", e->device);
    e->fail_every = (long)PD_CLAMP(setting("POSED_NULL_FAIL_EVERY", e->device), -1, 1e9);
    e->lost_after = (long)PD_CLAMP(setting("POSED_NULL_LOST_AFTER", e->device), -1, 1e9);
    e->hang_after = (long)PD_CLAMP(setting("POSED_NULL_HANG_AFTER", e->device), -1, 1e9);
    e->shape_after = (long)PD_CLAMP(setting("POSED_NULL_SHAPE_AFTER", e->device), -1, 1e9);
    take_time(setting_ns("POSED_NULL_OPEN_MS", e->device));
    r = set_size(e, params->width, params->height, err);
    if (r < 0) {
        null_close(e);
        return r;
    }
    caps->precision = PD_PRECISION_FP32;
    snprintf(caps->device, sizeof(caps->device), "none: canned maps (device %d)", e->device);
    caps->memory_bytes = sizeof(*e);
    *ret_self = e;
    return 0;
}

static int null_batch_init(void *self, struct pd_batch *batch, struct pd_err *err)
{
    return 0;
}

static void null_batch_finish(void *self, struct pd_batch *batch)
{
    canned_unref(batch->engine_private);
    batch->engine_private = NULL;
}

static int null_run(void *self, struct pd_batch *batch)
{
    struct null_engine *e = self;
    take_time(e->batch_ns + batch->n * e->frame_ns);
    long before = e->n_batches++;
    while (e->hang_after >= 0 && before >= e->hang_after)
        pause();
    if (e->lost_after >= 0 && before >= e->lost_after)
        return pd_err_set(&batch->err, -ENODEV, "the device is lost (POSED_NULL_LOST_AFTER=%ld)", e->lost_after);
    if (e->fail_every > 0 && e->n_batches % e->fail_every == 0)
        return pd_err_set(&batch->err, -EIO, "one batch in %ld fails (POSED_NULL_FAIL_EVERY)", e->fail_every);
    int r = set_size(e, batch->width, batch->height, &batch->err);
    if (r < 0)
        return r;
    const struct canned *c = e->canned;
    if (batch->engine_private != c) {
        canned_unref(batch->engine_private);
        batch->engine_private = e->canned;
        e->canned->refs++;
    }
    int beyond = e->shape_after >= 0 && before >= e->shape_after ? 1000 : 0;
    for (int i = 0; i < batch->n; i++) {
        const struct pd_frame *f = batch->slot[i].frame;
        uint64_t step = (f->seq + (uint64_t)f->camera * CAMERA_PHASE) % N_STEPS;
        const float *maps = maps_of_step(e, (int)step, &batch->err);
        if (!maps)
            return -ENOMEM;
        batch->slot[i].maps = (struct pd_maps){
            .w = c->heat.w + beyond, .h = c->heat.h, .n_heat = c->heat.c, .n_paf = c->paf.c,
            .heat = maps, .paf = maps + (size_t)c->heat.c * (size_t)c->heat.h * (size_t)c->heat.w,
            .stride = (float)e->net->meta.stride, .offset = e->net->meta.offset,
        };
    }
    return 0;
}

static int null_forward(void *self, int n, int width, int height, const float *input, float *heat, float *paf,
                        struct pd_err *err)
{
    struct null_engine *e = self;
    int r = set_size(e, width, height, err);
    if (r < 0)
        return r;
    take_time(e->batch_ns + n * e->frame_ns);
    const struct canned *c = e->canned;
    size_t heat_floats = (size_t)c->heat.c * (size_t)c->heat.h * (size_t)c->heat.w;
    size_t paf_floats = (size_t)c->paf.c * (size_t)c->paf.h * (size_t)c->paf.w;
    for (int i = 0; i < n; i++) {
        const float *maps = maps_of_step(e, i % N_STEPS, err);
        if (!maps)
            return -ENOMEM;
        if (heat)
            memcpy(heat + (size_t)i * heat_floats, maps, heat_floats * sizeof(*heat));
        if (paf)
            memcpy(paf + (size_t)i * paf_floats, maps + heat_floats, paf_floats * sizeof(*paf));
    }
    return 0;
}

const struct pd_engine_ops pd_engine_null = {
    .name = "null",
    .per_device = true,
    .probe = null_probe,
    .open = null_open,
    .close = null_close,
    .batch_init = null_batch_init,
    .batch_finish = null_batch_finish,
    .run = null_run,
    .forward = null_forward,
};
