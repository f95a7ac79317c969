/* SPDX-License-Identifier: Apache-2.0
 *
 * How a convolution runs: every way that can do it is timed on the device on the buffers it will use, and the fastest
 * is remembered by the convolution's geometry, so that equal layers and later starts need no timing. Sizes that come
 * without notice do not wait for that: they take the likeliest way.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/engine/cudnn/gpu_conv.h"

/* ---- as text ---- */

/* What begins with "fp32 " in a file was measured when there was no way through NCHW, and no longer counts. */
static const char *const math_names[] = {
    [PD_CUDNN_FP16] = "fp16", [PD_CUDNN_TF32] = "tf32", [PD_CUDNN_FP32] = "fp32-nchw"};
static const char *const way_names[] = {
    [PD_GPU_FUSED] = "cudnn", [PD_GPU_BARE] = "cudnn-bare", [PD_GPU_NCHW] = "cudnn-nchw"};

void pd_gpu_choose_key(const struct pd_gpu_net *g, const struct pd_gpu_step *s, int problems, char *key, size_t cap)
{
    const struct pd_conv_shape *c = &s->shape;
    snprintf(key, cap, "%s x%d n%d %dx%dx%d/%d>%dx%dx%d/%d k%dx%d s%dx%d d%dx%d p%d,%d g%d b%d r%d a%d o%d",
             math_names[g->gpu->math], problems, c->n, c->ci, c->h, c->w, s->in.stride, c->co, c->ho, c->wo,
             s->out.stride, c->kh, c->kw, c->stride_y, c->stride_x, c->dilation_y, c->dilation_x, c->pad_top,
             c->pad_left, c->groups, s->epilogue.bias != NULL, s->epilogue.residual != NULL, s->epilogue.act,
             (int)(pd_gpu_conv_misalignment(s) / g->gpu->elem_bytes));
}

static void value_of(const struct pd_gpu_step *s, char *value, size_t cap)
{
    if (s->method == PD_GPU_BY_SM90)
        snprintf(value, cap, "sm90 %d", s->choice);
    else if (s->method == PD_GPU_BY_NCHW)
        snprintf(value, cap, "%s %s", way_names[PD_GPU_NCHW], pd_cudnn_plan_name(s->plan));
    else if (s->method == PD_GPU_BY_CUDNN)
        snprintf(value, cap, "%s %s", way_names[s->bare ? PD_GPU_BARE : PD_GPU_FUSED], pd_cudnn_plan_name(s->plan));
    else
        snprintf(value, cap, "%s", s->method == PD_GPU_BY_STEM        ? "stem"
                                   : s->method == PD_GPU_BY_DEPTHWISE ? "depthwise"
                                                                      : "direct");
}

/* Of a value that is a plan of cuDNN's: the plan's name, and how cuDNN is used; NULL for others. */
static const char *plan_in(const char *value, enum pd_gpu_cudnn_way *ret_way)
{
    for (int i = 0; i < PD_GPU_CUDNN_WAYS; i++) {
        const size_t n = strlen(way_names[i]);
        if (!strncmp(value, way_names[i], n) && value[n] == ' ') {
            *ret_way = (enum pd_gpu_cudnn_way)i;
            return value + n + 1;
        }
    }
    return NULL;
}

/* ---- remembering ---- */

/* The result of setting up what was once found best: what does not fit into memory now is not possible now. */
static int possible(struct pd_gpu_step *s, int r)
{
    if (r != 0)
        pd_gpu_step_finish(s);
    return r == -ENOMEM ? 1 : r;
}

static int recall_cudnn(struct pd_gpu_net *g, struct pd_gpu_step *s, enum pd_gpu_cudnn_way way, const char *name,
                        struct pd_err *err)
{
    if (!pd_gpu_conv_can_cudnn(g, s, way))
        return 1;
    const struct pd_cudnn_problem p = pd_gpu_conv_for_cudnn(g, s, way);
    struct pd_cudnn_plan *plan = pd_cudnn_plan_named(g->gpu->cudnn, &p, name);
    float ms;
    int r = plan ? pd_gpu_conv_by_plan(g, s, plan, err) : 1;
    if (r == 0 && g->gpu->math == PD_CUDNN_FP32 &&
        (pd_gpu_step_time(g, s, s->shape.n, 1, &ms) < 0 || !pd_gpu_step_captures(g, s, s->shape.n)))
        r = 1;
    return r;
}

/* Do what an earlier measurement found best. Returns 1 when that is no longer possible. */
static int recall(struct pd_gpu_net *g, struct pd_gpu_step *s, const char *value, struct pd_err *err)
{
    enum pd_gpu_cudnn_way way;
    const char *plan = plan_in(value, &way);
    int choice;
    if (plan)
        return recall_cudnn(g, s, way, plan, err);
    if (sscanf(value, "sm90 %d", &choice) == 1 && pd_gpu_conv_can_sm90(g, s)) {
        int choices[PD_SM90_CHOICES], n = pd_sm90_choices(&s->shape, 1, g->gpu->sms, choices);
        for (int i = 0; i < n; i++)
            if (choices[i] == choice)
                return pd_gpu_conv_by_sm90(g, s, choice, err);
    } else if (!strcmp(value, "stem") && pd_gpu_conv_can_stem(g, s)) {
        return pd_gpu_conv_by_stem(g, s, err);
    } else if (!strcmp(value, "depthwise") && pd_gpu_conv_can_depthwise(s)) {
        return pd_gpu_conv_by_depthwise(g, s, err);
    } else if (!strcmp(value, "direct")) {
        return pd_gpu_conv_by_direct(g, s, err);
    }
    return 1;
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
        enum pd_gpu_cudnn_way way;
        if (strcmp(t->key, key) != 0)
            continue;
        if (!t->plan || !plan_in(t->value, &way) ||
            (way != PD_GPU_NCHW && !same_ends(&t->epilogue, &s->epilogue)))
            return recall(g, s, t->value, err);
        pd_gpu_conv_for_cudnn(g, s, way);
        return pd_gpu_conv_by_plan(g, s, pd_cudnn_plan_ref(t->plan), err);
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

/* What is known of an equal layer, from this plan or from the file; @s is described. Returns 1 when nothing is, or
 * nothing that can be done now. */
static int look_up(struct pd_gpu_net *g, int layer, int n, const char *key, struct pd_gpu_step *s, struct pd_err *err)
{
    char known[96];
    int r = possible(s, repeat(g, s, key, err));
    if (r > 0 && pd_gpu_choices_get(g->gpu->choices, key, known, sizeof(known))) {
        pd_gpu_conv_describe(g, layer, n, s);
        r = possible(s, recall(g, s, known, err));
        if (r == 0)
            remember(g, key, known, s);
    }
    return r;
}

/* ---- measuring ---- */

struct best {
    struct pd_gpu_step step;
    float ms;
};

/* Whether @s is the fastest so far, and how fast. */
static bool beats(const struct pd_gpu_search *search, const struct pd_gpu_step *s, float *ret_ms)
{
    struct pd_gpu_net *g = search->g;
    const struct best *best = search->user;
    const int n = s->shape.n;
    /* one run tells those that are far behind, of which there are many without tensor cores */
    if (search->ran && g->gpu->math == PD_CUDNN_FP32 &&
        (pd_gpu_step_time(g, s, n, 1, ret_ms) < 0 || *ret_ms > 2 * best->ms))
        return false;
    if (pd_gpu_step_time(g, s, n, g->guess ? 1 : PD_GPU_REPEATS, ret_ms) < 0 || (search->ran && *ret_ms >= best->ms))
        return false;
    /* an engine of cuDNN's may do what no graph can hold, and of a graph the plan is made */
    return !s->plan || pd_gpu_step_captures(g, s, n);
}

/* Keep @s if it is the fastest so far; the loser's plan is freed. A guess is made once one has run. */
static bool consider(struct pd_gpu_search *search, struct pd_gpu_step *s)
{
    struct best *best = search->user;
    float ms;
    if (!beats(search, s, &ms)) {
        pd_gpu_step_finish(s);
        return false;
    }
    pd_gpu_step_finish(&best->step);
    *best = (struct best){*s, ms};
    search->ran = true;
    return search->g->guess;
}

/* Time what there is and take the fastest. */
static int measure(struct pd_gpu_net *g, int layer, int n, const char *key, struct pd_gpu_step *ret_step,
                   struct pd_err *err)
{
    char value[96];
    struct best best = {.ms = 0};
    struct pd_gpu_search search = {.g = g, .layer = layer, .n = n, .offer = consider, .user = &best};
    int r = pd_gpu_search(&search, err);
    if (r == 0) /* a context that one of them ended looks as if that one and all after it could not run */
        r = pd_gpu_check(cudaStreamSynchronize(g->gpu->compute), "trying a convolution", err);
    if (r == 0 && !search.ran)
        r = search.no_room ? -ENOMEM
                           : pd_err_set(err, -EIO, "layer '%s' cannot run on this device", g->net->layers[layer].name);
    if (r < 0) {
        pd_gpu_step_finish(&best.step);
        return r;
    }
    value_of(&best.step, value, sizeof(value));
    if (!g->guess && !search.no_room) /* the next start may find more memory free */
        pd_gpu_choices_put(g->gpu->choices, key, value);
    remember(g, key, value, &best.step);
    *ret_step = best.step;
    return 0;
}

int pd_gpu_step_choose(struct pd_gpu_net *g, int layer, int n, struct pd_gpu_step *ret_step, struct pd_err *err)
{
    struct pd_err why = {""}; /* not yet the caller's: what does not fit may be followed by what does */
    struct pd_gpu_step s;
    char key[256];
    pd_gpu_conv_describe(g, layer, n, &s);
    pd_gpu_choose_key(g, &s, 1, key, sizeof(key));
    int r = look_up(g, layer, n, key, &s, &why);
    if (r > 0)
        r = measure(g, layer, n, key, &s, &why);
    if (r < 0)
        return pd_err_set(err, r, "%s", why.text);
    *ret_step = s;
    return 0;
}
