/* SPDX-License-Identifier: Apache-2.0
 *
 * How a convolution runs: every way that can do it is timed on the device on the buffers it will use, and the fastest
 * is remembered by the convolution's geometry, so that equal layers and later starts need no timing. Sizes that come
 * without notice do not wait for that: they take the likeliest candidate.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/engine/cudnn/gpu.h"

#define SM90_TRIED 5
#define CUDNN_TRIED 4
#define WORKSPACE_MAX ((size_t)1 << 30)
#define REPEATS 5

bool pd_gpu_conv_shape(const struct pd_gpu_net *g, int layer, int n, struct pd_conv_shape *ret_shape)
{
    const struct pd_layer *l = &g->net->layers[layer];
    const struct pd_shape *in = &g->memory->shapes[l->in[0]], *out = &g->memory->shapes[l->out];
    if (l->kind != PD_LAYER_CONV && l->kind != PD_LAYER_DECONV && l->kind != PD_LAYER_FC)
        return false;
    *ret_shape = (struct pd_conv_shape){
        .n = n, .h = in->h, .w = in->w, .ci = in->c, .ho = out->h, .wo = out->w, .co = out->c,
        .kh = l->kh, .kw = l->kw, .stride_y = l->stride_y, .stride_x = l->stride_x,
        .dilation_y = l->dilation_y, .dilation_x = l->dilation_x, .groups = l->groups,
        .pad_top = l->pad_top, .pad_left = l->pad_left,
    };
    if (l->kind == PD_LAYER_FC) { /* a convolution whose window is the whole input */
        ret_shape->kh = in->h;
        ret_shape->kw = in->w;
        ret_shape->stride_y = ret_shape->stride_x = ret_shape->dilation_y = ret_shape->dilation_x = 1;
        ret_shape->groups = 1;
        ret_shape->pad_top = ret_shape->pad_left = 0;
    }
    return true;
}

static void describe(struct pd_gpu_net *g, int layer, int n, struct pd_gpu_step *s)
{
    const struct pd_layer *l = &g->net->layers[layer];
    memset(s, 0, sizeof(*s));
    s->layer[0] = layer;
    s->n_layers = 1;
    pd_gpu_conv_shape(g, layer, n, &s->shape);
    s->in = pd_gpu_view(g->gpu, g->memory, l->in[0], n);
    s->out = pd_gpu_view(g->gpu, g->memory, l->out, n);
    s->epilogue = (struct pd_conv_epilogue){
        .bias = g->weights[layer].bias,
        .act = l->act,
        .alpha = l->alpha,
        .beta = l->beta,
        .slope = g->weights[layer].slope,
        .n_slopes = l->n_slopes,
    };
    if (l->kind == PD_LAYER_CONV && l->residual >= 0) {
        const struct pd_view r = pd_gpu_view(g->gpu, g->memory, l->residual, n);
        s->epilogue.residual = r.data;
        s->epilogue.residual_stride = r.stride;
    }
}

/* The epilogue that the convolution itself does; what it cannot do is left to a pass after it. */
static struct pd_conv_epilogue fused_part(const struct pd_gpu_step *s)
{
    struct pd_conv_epilogue e = s->epilogue;
    if (s->act_apart || s->bare)
        e.act = PD_ACT_NONE;
    if (s->bare) {
        e.bias = NULL;
        e.residual = NULL;
    }
    return e;
}

static int weights_for(struct pd_gpu_net *g, struct pd_gpu_step *s, enum pd_gpu_layout layout, struct pd_err *err)
{
    const int layer = s->layer[0];
    return pd_gpu_weights_get(g->gpu, g->net, &g->net->layers[layer], &s->shape, &g->weights[layer], layout,
                              &s->weight, err);
}

static bool aligned16(const struct pd_view *v, size_t elem_bytes)
{
    return (uintptr_t)v->data % 16 == 0 && (size_t)v->stride * elem_bytes % 16 == 0;
}

static struct pd_sm90_problem sm90_problem(const struct pd_gpu_step *s)
{
    return (struct pd_sm90_problem){
        .in = s->in.data, .in_stride = s->in.stride, .weights = s->weight, .out = s->out.data,
        .out_stride = s->out.stride, .co = s->shape.co, .epilogue = fused_part(s),
    };
}

static bool sm90_can(const struct pd_gpu_net *g, const struct pd_gpu_step *s)
{
    return g->gpu->capability == 90 && g->gpu->elem == PD_ELEM_F16 && pd_sm90_supports(&s->shape) &&
           aligned16(&s->in, 2);
}

static int use_sm90(struct pd_gpu_net *g, struct pd_gpu_step *s, int choice, struct pd_err *err)
{
    s->act_apart = !pd_sm90_fuses(s->epilogue.act);
    int r = weights_for(g, s, PD_GPU_SM90, err);
    if (r < 0)
        return r;
    const struct pd_sm90_problem p = sm90_problem(s);
    r = pd_gpu_check(pd_sm90_prepare(&s->shape, &p, 1, choice, g->gpu->sms, &s->sm90), "preparing a convolution", err);
    s->method = PD_GPU_BY_SM90;
    snprintf(s->algorithm, sizeof(s->algorithm), "sm90 wgmma tile %d%s", choice & 0xffff, choice >> 16 ? "x2" : "");
    return r;
}

static int use_cudnn(struct pd_gpu_net *g, struct pd_gpu_step *s, struct pd_cudnn_plan *plan, struct pd_err *err)
{
    int r = weights_for(g, s, PD_GPU_FILTER, err);
    if (r == 0)
        r = pd_gpu_reserve_workspace(g->gpu, pd_cudnn_plan_workspace(plan), err);
    s->plan = plan;
    s->method = PD_GPU_BY_CUDNN;
    snprintf(s->algorithm, sizeof(s->algorithm), "cudnn %.40s%s", pd_cudnn_plan_name(plan),
             s->bare ? ", then the rest" : "");
    return r;
}

static int use_own(struct pd_gpu_net *g, struct pd_gpu_step *s, enum pd_gpu_method method, enum pd_gpu_layout layout,
                   const char *name, struct pd_err *err)
{
    s->method = method;
    s->act_apart = method == PD_GPU_BY_STEM && !pd_sm90_fuses(s->epilogue.act);
    snprintf(s->algorithm, sizeof(s->algorithm), "%s", name);
    return weights_for(g, s, layout, err);
}

/* ---- remembering ---- */

static const char *const math_names[] = {[PD_CUDNN_FP16] = "fp16", [PD_CUDNN_TF32] = "tf32", [PD_CUDNN_FP32] = "fp32"};

/* A tensor that is a slice of another one may begin between 16 bytes, which cuDNN's graphs promise that none does. */
static size_t misalignment(const struct pd_gpu_step *s)
{
    return ((uintptr_t)s->in.data | (uintptr_t)s->out.data | (uintptr_t)s->epilogue.residual) % 16;
}

/* Everything that a time depends on. */
static void make_key(const struct pd_gpu_net *g, const struct pd_gpu_step *s, int problems, char *key, size_t cap)
{
    const struct pd_conv_shape *c = &s->shape;
    snprintf(key, cap, "%s x%d n%d %dx%dx%d/%d>%dx%dx%d/%d k%dx%d s%dx%d d%dx%d p%d,%d g%d b%d r%d a%d o%d",
             math_names[g->gpu->math], problems, c->n, c->ci, c->h, c->w, s->in.stride, c->co, c->ho, c->wo,
             s->out.stride, c->kh, c->kw, c->stride_y, c->stride_x, c->dilation_y, c->dilation_x, c->pad_top,
             c->pad_left, c->groups, s->epilogue.bias != NULL, s->epilogue.residual != NULL, s->epilogue.act,
             (int)(misalignment(s) / g->gpu->elem_bytes));
}

static void value_of(const struct pd_gpu_step *s, int choice, char *value, size_t cap)
{
    if (s->method == PD_GPU_BY_SM90)
        snprintf(value, cap, "sm90 %d", choice);
    else if (s->method == PD_GPU_BY_CUDNN)
        snprintf(value, cap, "%s %s", s->bare ? "cudnn-bare" : "cudnn", pd_cudnn_plan_name(s->plan));
    else
        snprintf(value, cap, "%s", s->method == PD_GPU_BY_STEM        ? "stem"
                                   : s->method == PD_GPU_BY_DEPTHWISE ? "depthwise"
                                                                      : "direct");
}

/* ---- candidates ---- */

static bool stem_can(const struct pd_gpu_net *g, const struct pd_gpu_step *s)
{
    return g->gpu->elem == PD_ELEM_F16 && g->gpu->capability >= 80 && s->in.stride == 4 &&
           pd_cuda_stem_supports(&s->shape) && (uintptr_t)s->in.data % 8 == 0 && aligned16(&s->out, 2);
}

static bool is_depthwise(const struct pd_conv_shape *c)
{
    return c->groups > 1 && c->groups == c->ci && c->ci == c->co;
}

/* Do what an earlier measurement found best. Returns 1 when that is no longer possible. */
static int recall(struct pd_gpu_net *g, struct pd_gpu_step *s, const char *value, struct pd_err *err)
{
    int choice;
    if (sscanf(value, "sm90 %d", &choice) == 1 && sm90_can(g, s)) {
        int choices[PD_SM90_CHOICES], n = pd_sm90_choices(&s->shape, 1, g->gpu->sms, choices);
        for (int i = 0; i < n; i++)
            if (choices[i] == choice)
                return use_sm90(g, s, choice, err);
    } else if (!strncmp(value, "cudnn", 5) && strchr(value, ' ') && !misalignment(s)) {
        s->bare = !strncmp(value, "cudnn-bare ", 11);
        s->act_apart = !pd_cudnn_fuses(s->epilogue.act);
        const struct pd_conv_epilogue e = fused_part(s);
        struct pd_cudnn_plan *plan = pd_cudnn_plan_named(g->gpu->cudnn, g->gpu->math, &s->shape, s->in.stride,
                                                         s->out.stride, &e, strchr(value, ' ') + 1);
        if (plan)
            return use_cudnn(g, s, plan, err);
    } else if (!strcmp(value, "stem") && stem_can(g, s)) {
        return use_own(g, s, PD_GPU_BY_STEM, PD_GPU_STEM, "stem mma", err);
    } else if (!strcmp(value, "depthwise") && is_depthwise(&s->shape)) {
        return use_own(g, s, PD_GPU_BY_DEPTHWISE, PD_GPU_DEPTHWISE, "depthwise", err);
    } else if (!strcmp(value, "direct")) {
        return use_own(g, s, PD_GPU_BY_DIRECT, PD_GPU_PLAIN, "direct", err);
    }
    return 1;
}

struct best {
    struct pd_gpu_step step;
    float ms;
    int choice;
};

/* A guess is made once a candidate has run. */
static bool settled(const struct pd_gpu_net *g, const struct best *best)
{
    return g->guess && best->ms > 0;
}

/* Time @s and keep it if it is the fastest so far; the loser's plan is freed. */
static void consider(struct pd_gpu_net *g, struct best *best, struct pd_gpu_step *s, int choice)
{
    float ms;
    if (pd_gpu_step_time(g, s, s->shape.n, g->guess ? 1 : REPEATS, &ms) < 0 || (best->ms > 0 && ms >= best->ms)) {
        pd_gpu_step_finish(s);
        return;
    }
    pd_gpu_step_finish(&best->step);
    *best = (struct best){*s, ms, choice};
}

/* @bare: without what follows the products, of which cuDNN has kernels where it has none that end with it. */
static int try_cudnn(struct pd_gpu_net *g, struct best *best, int layer, int n, bool bare, struct pd_err *err)
{
    struct pd_cudnn_plan *plans[CUDNN_TRIED];
    struct pd_gpu_step s;
    describe(g, layer, n, &s);
    if (misalignment(&s) || (bare && !s.epilogue.bias && !s.epilogue.residual && s.epilogue.act == PD_ACT_NONE))
        return 0;
    s.act_apart = !pd_cudnn_fuses(s.epilogue.act);
    s.bare = bare;
    const struct pd_conv_epilogue e = fused_part(&s);
    const int found = pd_cudnn_plans(g->gpu->cudnn, g->gpu->math, &s.shape, s.in.stride, s.out.stride, &e,
                                     g->guess ? 1 : CUDNN_TRIED, plans, NULL);
    int r = 0;
    for (int i = 0; i < found; i++) {
        struct pd_gpu_step c = s;
        if (r < 0 || pd_cudnn_plan_workspace(plans[i]) > WORKSPACE_MAX) {
            pd_cudnn_plan_destroy(plans[i]);
            continue;
        }
        r = use_cudnn(g, &c, plans[i], err);
        if (r == 0)
            consider(g, best, &c, 0);
        else
            pd_gpu_step_finish(&c);
    }
    return r;
}

static int measure(struct pd_gpu_net *g, int layer, int n, struct best *best, struct pd_err *err)
{
    struct pd_gpu_step s;
    int r = 0;
    describe(g, layer, n, &s);
    if (stem_can(g, &s)) {
        r = use_own(g, &s, PD_GPU_BY_STEM, PD_GPU_STEM, "stem mma", err);
        if (r == 0)
            consider(g, best, &s, 0);
    }
    describe(g, layer, n, &s);
    if (r == 0 && !settled(g, best) && is_depthwise(&s.shape)) {
        r = use_own(g, &s, PD_GPU_BY_DEPTHWISE, PD_GPU_DEPTHWISE, "depthwise", err);
        if (r == 0)
            consider(g, best, &s, 0);
    } else if (r == 0 && !settled(g, best) && sm90_can(g, &s)) {
        int choices[PD_SM90_CHOICES], found = pd_sm90_choices(&s.shape, 1, g->gpu->sms, choices);
        for (int i = 0; r == 0 && !settled(g, best) && i < PD_MIN(found, SM90_TRIED); i++) {
            describe(g, layer, n, &s);
            r = use_sm90(g, &s, choices[i], err);
            if (r == 0)
                consider(g, best, &s, choices[i]);
        }
    }
    if (r == 0 && !settled(g, best))
        r = try_cudnn(g, best, layer, n, false, err);
    /* without tensor cores fused kernels are few: of fp32 both kinds are tried */
    if (r == 0 && !settled(g, best) && (best->ms <= 0 || g->gpu->math == PD_CUDNN_FP32))
        r = try_cudnn(g, best, layer, n, true, err);
    if (r == 0 && best->ms <= 0) { /* nobody else can */
        describe(g, layer, n, &s);
        r = use_own(g, &s, PD_GPU_BY_DIRECT, PD_GPU_PLAIN, "direct", err);
        if (r == 0)
            consider(g, best, &s, 0);
    }
    return r;
}

/* What no key tells, since no time depends on it, a cuDNN plan has built in all the same. */
static bool same_ends(const struct pd_conv_epilogue *a, const struct pd_conv_epilogue *b)
{
    return !memcmp(&a->alpha, &b->alpha, sizeof(a->alpha)) && !memcmp(&a->beta, &b->beta, sizeof(a->beta)) &&
           a->residual_stride == b->residual_stride;
}

/* Do what an equal layer of this plan got. Returns 1 when there is none. */
static int repeat(struct pd_gpu_net *g, struct pd_gpu_step *s, const char *key, struct pd_err *err)
{
    for (int i = 0; i < g->n_twins; i++) {
        const struct pd_gpu_twin *t = &g->twins[i];
        if (strcmp(t->key, key) != 0)
            continue;
        if (!t->plan || !same_ends(&t->epilogue, &s->epilogue))
            return recall(g, s, t->value, err);
        s->bare = !strncmp(t->value, "cudnn-bare ", 11);
        s->act_apart = !pd_cudnn_fuses(s->epilogue.act);
        return use_cudnn(g, s, pd_cudnn_plan_ref(t->plan), err);
    }
    return 1;
}

static void remember(struct pd_gpu_net *g, const char *key, const char *value, const struct pd_gpu_step *s)
{
    if (!g->twins)
        return;
    struct pd_gpu_twin *t = &g->twins[g->n_twins++];
    snprintf(t->key, sizeof(t->key), "%s", key);
    snprintf(t->value, sizeof(t->value), "%s", value);
    t->epilogue = s->epilogue;
    t->plan = s->plan;
}

int pd_gpu_step_choose(struct pd_gpu_net *g, int layer, int n, struct pd_gpu_step *ret_step, struct pd_err *err)
{
    struct pd_gpu_step s;
    char key[256], value[96], known[96];
    describe(g, layer, n, &s);
    make_key(g, &s, 1, key, sizeof(key));
    int r = repeat(g, &s, key, err);
    if (r > 0 && pd_gpu_choices_get(g->gpu->choices, key, known, sizeof(known))) {
        describe(g, layer, n, &s);
        r = recall(g, &s, known, err);
        if (r == 0)
            remember(g, key, known, &s);
    }
    if (r < 0)
        pd_gpu_step_finish(&s);
    if (r <= 0) {
        *ret_step = s;
        return r;
    }
    struct best best = {.ms = 0};
    r = measure(g, layer, n, &best, err);
    if (r == 0 && best.ms <= 0)
        r = pd_err_set(err, -EIO, "layer '%s' cannot run on this device", g->net->layers[layer].name);
    if (r < 0) {
        pd_gpu_step_finish(&best.step);
        return r;
    }
    value_of(&best.step, best.choice, value, sizeof(value));
    if (!g->guess)
        pd_gpu_choices_put(g->gpu->choices, key, value);
    remember(g, key, value, &best.step);
    *ret_step = best.step;
    return 0;
}

/* ---- two branches as one launch ---- */

static bool same_geometry(const struct pd_conv_shape *a, const struct pd_conv_shape *b)
{
    struct pd_conv_shape c = *b;
    c.co = a->co;
    return !memcmp(a, &c, sizeof(c)) && (a->co + 127) / 128 == (b->co + 127) / 128;
}

static int make_pair(struct pd_gpu_net *g, const struct pd_gpu_step *a, const struct pd_gpu_step *b, int choice,
                     struct pd_gpu_step *ret, struct pd_err *err)
{
    const struct pd_sm90_problem p[2] = {sm90_problem(a), sm90_problem(b)};
    *ret = *a;
    ret->layer[1] = b->layer[0];
    ret->n_layers = 2;
    snprintf(ret->algorithm, sizeof(ret->algorithm), "sm90 wgmma tile %d%s, two branches", choice & 0xffff,
             choice >> 16 ? "x2" : "");
    return pd_gpu_check(pd_sm90_prepare(&a->shape, p, 2, choice, g->gpu->sms, &ret->sm90), "preparing a convolution",
                        err);
}

int pd_gpu_step_pair(struct pd_gpu_net *g, int n, struct pd_gpu_step *a, struct pd_gpu_step *b, struct pd_err *err)
{
    if (a->method != PD_GPU_BY_SM90 || b->method != PD_GPU_BY_SM90 || a->n_layers != 1 || b->n_layers != 1 ||
        a->act_apart || b->act_apart || !same_geometry(&a->shape, &b->shape))
        return 0;
    char key[256], value[32], known[96];
    int choices[PD_SM90_CHOICES], best = -1;
    const int found = pd_sm90_choices(&a->shape, 2, g->gpu->sms, choices);
    make_key(g, a, 2, key, sizeof(key));
    if (pd_gpu_choices_get(g->gpu->choices, key, known, sizeof(known))) {
        int was = -1;
        if (sscanf(known, "pair %d", &was) == 1)
            for (int i = 0; i < found; i++)
                best = choices[i] == was ? was : best;
    } else if (g->guess) {
        best = found > 0 ? choices[0] : -1;
    } else {
        float apart[2], least = 0, ms;
        if (pd_gpu_step_time(g, a, n, REPEATS, &apart[0]) < 0 || pd_gpu_step_time(g, b, n, REPEATS, &apart[1]) < 0)
            return 0;
        for (int i = 0; i < PD_MIN(found, SM90_TRIED); i++) {
            struct pd_gpu_step pair;
            int r = make_pair(g, a, b, choices[i], &pair, err);
            if (r < 0)
                return r;
            if (pd_gpu_step_time(g, &pair, n, REPEATS, &ms) == 0 && ms < apart[0] + apart[1] &&
                (best < 0 || ms < least)) {
                best = choices[i];
                least = ms;
            }
        }
        snprintf(value, sizeof(value), best < 0 ? "apart" : "pair %d", best);
        pd_gpu_choices_put(g->gpu->choices, key, value);
    }
    if (best < 0)
        return 0;
    struct pd_gpu_step pair;
    int r = make_pair(g, a, b, best, &pair, err);
    if (r == 0) {
        *a = pair;
        b->method = PD_GPU_NOTHING;
    }
    return r;
}
