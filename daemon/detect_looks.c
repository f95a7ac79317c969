/* SPDX-License-Identifier: Apache-2.0
 *
 * `posed detect --scales LIST --flip`: every picture is looked at in several sizes and mirrored, and the maps are
 * averaged (postproc/average.h) before people are looked for. One look after the other through pd_engine_forward(),
 * which every engine has: this is for accuracy, not for speed.
 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "daemon/detect.h"
#include "postproc/average.h"

struct pd_looks {
    const struct pd_detect_options *options;
    const struct pd_net *net;
    struct pd_resampler *resampler;
    struct pd_average *average;
    struct pd_shape *shapes;
    float *memory; /* of one look: input, confidence maps, part affinity fields; twice with --flip */
    size_t n_memory;
};

int pd_looks_create(const struct pd_detect_options *options, const struct pd_net *net, struct pd_looks **ret_looks,
                    struct pd_err *err)
{
    struct pd_looks *l = calloc(1, sizeof(*l));
    if (!l)
        return pd_err_set(err, -ENOMEM, "out of memory");
    l->options = options;
    l->net = net;
    l->resampler = pd_resampler_create();
    l->shapes = calloc((size_t)net->n_tensors, sizeof(*l->shapes));
    int r = l->resampler && l->shapes ? pd_average_create(net->meta.skeleton, net->meta.limbs, &l->average) : -ENOMEM;
    if (r < 0) {
        pd_looks_destroy(l);
        return pd_err_set(err, r, r == -ENOMEM ? "out of memory" : "the skeleton cannot be mirrored");
    }
    *ret_looks = l;
    return 0;
}

void pd_looks_destroy(struct pd_looks *l)
{
    if (!l)
        return;
    pd_resampler_destroy(l->resampler);
    pd_average_destroy(l->average);
    free(l->shapes);
    free(l->memory);
    free(l);
}

/* ---- sizes ---- */

static float largest_scale(const struct pd_detect_options *o)
{
    float most = 1.0f;
    for (int i = 0; i < o->n_scales; i++)
        most = PD_MAX(most, o->scales[i]);
    return most;
}

static int scaled(const struct pd_net *net, int side, float scale)
{
    return pd_cli_round(net, PD_MAX((int)lroundf((float)side * scale), 1));
}

void pd_looks_largest(const struct pd_detect_options *options, const struct pd_net *net, int *width, int *height)
{
    float scale = largest_scale(options);
    *width = scaled(net, *width, scale);
    *height = scaled(net, *height, scale);
}

/* ---- one look ---- */

struct look {
    int width, height, n; /* network input, and 2 with the mirrored one */
    struct pd_letterbox lb;
    struct pd_shape heat, paf;
    float *input, *heat_maps, *paf_maps;
};

static size_t floats_of(struct pd_shape s)
{
    return (size_t)s.c * (size_t)s.h * (size_t)s.w;
}

static int prepare(struct pd_looks *l, const struct pd_frame *frame, struct look *k, struct pd_err *err)
{
    int r = pd_letterbox_fit(frame->width, frame->height, NULL, k->width, k->height, &k->lb);
    if (r < 0)
        return pd_err_set(err, r, "a frame of %dx%d", frame->width, frame->height);
    r = pd_net_shapes(l->net, k->height, k->width, l->shapes, err);
    if (r < 0)
        return r;
    k->n = l->options->flip ? 2 : 1;
    k->heat = l->shapes[l->net->heat];
    k->paf = l->shapes[l->net->paf];
    size_t input = floats_of((struct pd_shape){3, k->height, k->width}), n = (size_t)k->n;
    size_t floats = n * (input + floats_of(k->heat) + floats_of(k->paf));
    if (floats > l->n_memory) {
        free(l->memory);
        l->memory = calloc(floats, sizeof(*l->memory));
        l->n_memory = l->memory ? floats : 0;
        if (!l->memory)
            return pd_err_set(err, -ENOMEM, "no memory for a network input of %dx%d", k->width, k->height);
    }
    k->input = l->memory;
    k->heat_maps = k->input + n * input;
    k->paf_maps = k->heat_maps + n * floats_of(k->heat);
    return 0;
}

/* The picture in @src, mirrored in place: what letterboxing left free stays on the right. */
static void mirror(const struct look *k, const float *src, float *dst)
{
    for (int y = 0; y < 3 * k->height; y++) {
        const float *in = src + (size_t)y * (size_t)k->width;
        float *out = dst + (size_t)y * (size_t)k->width;
        for (int x = 0; x < k->lb.in_w; x++)
            out[x] = in[k->lb.in_w - 1 - x];
        memcpy(out + k->lb.in_w, in + k->lb.in_w, (size_t)(k->width - k->lb.in_w) * sizeof(*out));
    }
}

static int look(struct pd_looks *l, struct pd_engine *engine, const struct pd_frame *frame, struct look *k,
                struct pd_err *err)
{
    int r = prepare(l, frame, k, err);
    if (r < 0)
        return r;
    r = pd_letterbox_run(l->resampler, &k->lb, frame, &l->net->meta.input, NULL, k->input);
    if (r < 0)
        return pd_err_set(err, r, "cannot letterbox a frame of %dx%d: %s", frame->width, frame->height, strerror(-r));
    if (k->n > 1)
        mirror(k, k->input, k->input + (size_t)3 * (size_t)k->width * (size_t)k->height);
    r = pd_engine_forward(engine, k->n, k->width, k->height, k->input, k->heat_maps, k->paf_maps, err);
    for (int i = 0; i < k->n && r >= 0; i++) {
        const struct pd_maps maps = {
            .w = k->heat.w,
            .h = k->heat.h,
            .n_heat = k->heat.c,
            .n_paf = k->paf.c,
            .heat = k->heat_maps + (size_t)i * floats_of(k->heat),
            .paf = k->paf_maps + (size_t)i * floats_of(k->paf),
            .stride = (float)l->net->meta.stride,
            .offset = l->net->meta.offset,
        };
        r = pd_average_add(l->average, &maps, &k->lb, i == 1);
        if (r < 0)
            pd_err_set(err, r, "cannot average maps of %dx%d: %s", maps.w, maps.h, strerror(-r));
    }
    return r;
}

int pd_looks_run(struct pd_looks *l, struct pd_engine *engine, const struct pd_frame *frame, int width, int height,
                 struct pd_maps *ret_maps, struct pd_letterbox *ret_lb, struct pd_err *err)
{
    const struct pd_detect_options *o = l->options;
    int r = pd_letterbox_fit(frame->width, frame->height, NULL, width, height, ret_lb);
    if (r < 0)
        return pd_err_set(err, r, "a frame of %dx%d", frame->width, frame->height);
    /* As fine as the finest look: nothing that one of them saw is lost. */
    r = pd_average_begin(l->average, ret_lb, (float)l->net->meta.stride / largest_scale(o));
    if (r < 0)
        return pd_err_set(err, r, "cannot average maps of a %dx%d input: %s", width, height, strerror(-r));
    for (int i = 0; i < PD_MAX(o->n_scales, 1) && r >= 0; i++) {
        float scale = o->n_scales ? o->scales[i] : 1.0f;
        struct look k = {.width = scaled(l->net, width, scale), .height = scaled(l->net, height, scale)};
        r = look(l, engine, frame, &k, err);
    }
    if (r >= 0)
        *ret_maps = pd_average_result(l->average);
    return r < 0 ? r : 0;
}
