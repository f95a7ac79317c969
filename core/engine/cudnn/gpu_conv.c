/* SPDX-License-Identifier: Apache-2.0 */
#include "core/engine/cudnn/gpu_conv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

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

void pd_gpu_conv_describe(struct pd_gpu_net *g, int layer, int n, struct pd_gpu_step *s)
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

/* ---- Hopper's kernel ---- */

struct pd_sm90_problem pd_gpu_conv_sm90_problem(const struct pd_gpu_step *s)
{
    return (struct pd_sm90_problem){
        .in = s->in.data, .in_stride = s->in.stride, .weights = s->weight, .out = s->out.data,
        .out_stride = s->out.stride, .co = s->shape.co, .epilogue = fused_part(s),
    };
}

bool pd_gpu_conv_can_sm90(const struct pd_gpu_net *g, const struct pd_gpu_step *s)
{
    return g->gpu->capability == 90 && g->gpu->elem == PD_ELEM_F16 && pd_sm90_supports(&s->shape) &&
           aligned16(&s->in, 2);
}

int pd_gpu_conv_by_sm90(struct pd_gpu_net *g, struct pd_gpu_step *s, int choice, struct pd_err *err)
{
    s->act_apart = !pd_sm90_fuses(s->epilogue.act);
    int r = weights_for(g, s, PD_GPU_SM90, err);
    if (r < 0)
        return r;
    const struct pd_sm90_problem p = pd_gpu_conv_sm90_problem(s);
    r = pd_gpu_check(pd_sm90_prepare(&s->shape, &p, 1, choice, g->gpu->sms, &s->sm90), "preparing a convolution", err);
    s->method = PD_GPU_BY_SM90;
    s->choice = choice;
    snprintf(s->algorithm, sizeof(s->algorithm), "sm90 wgmma tile %d%s", choice & 0xffff, choice >> 16 ? "x2" : "");
    return r;
}

/* ---- cuDNN ---- */

/* cuDNN's graphs promise that every tensor begins on 16 bytes, which a slice of another one need not. */
size_t pd_gpu_conv_misalignment(const struct pd_gpu_step *s)
{
    return ((uintptr_t)s->in.data | (uintptr_t)s->out.data | (uintptr_t)s->epilogue.residual) % 16;
}

/* cuDNN 9.19 has an engine of fp32 (8) that takes a graph whose residual lies in a wider tensor than its output, and is
 * wrong then. */
static bool residual_alike(const struct pd_gpu_step *s)
{
    const struct pd_conv_epilogue *e = &s->epilogue;
    return !e->residual || (e->residual_stride == s->out.stride && s->in.stride * sizeof(float) % 16 == 0);
}

bool pd_gpu_conv_can_cudnn(const struct pd_gpu_net *g, const struct pd_gpu_step *s, enum pd_gpu_cudnn_way way)
{
    const struct pd_conv_epilogue *e = &s->epilogue;
    if (way == PD_GPU_NCHW) /* from and to places of its own, so any alignment will do */
        return g->gpu->math == PD_CUDNN_FP32;
    if (way == PD_GPU_FUSED && g->gpu->math == PD_CUDNN_FP32 && !residual_alike(s))
        return false;
    if (way == PD_GPU_BARE && !e->bias && !e->residual && e->act == PD_ACT_NONE)
        return false; /* as it is anyway */
    return !pd_gpu_conv_misalignment(s);
}

struct pd_cudnn_problem pd_gpu_conv_for_cudnn(const struct pd_gpu_net *g, struct pd_gpu_step *s,
                                              enum pd_gpu_cudnn_way way)
{
    struct pd_cudnn_problem p = {.math = g->gpu->math, .shape = s->shape};
    if (way == PD_GPU_NCHW) {
        s->method = PD_GPU_BY_NCHW;
        p.nchw = true;
        p.epilogue.act = PD_ACT_NONE;
        return p;
    }
    s->method = PD_GPU_BY_CUDNN;
    s->bare = way == PD_GPU_BARE;
    s->act_apart = !pd_cudnn_fuses(s->epilogue.act);
    p.in_stride = s->in.stride;
    p.out_stride = s->out.stride;
    p.epilogue = fused_part(s);
    return p;
}

/* Tensors in NCHW can be large: half of what is free stays so, for what comes later. */
static int leaves_enough(struct pd_gpu *gpu, size_t bytes, struct pd_err *err)
{
    size_t left = 0, total = 0;
    if (bytes <= gpu->workspace_bytes)
        return 0;
    int r = pd_gpu_check(cudaMemGetInfo(&left, &total), "asking for free memory", err);
    if (r == 0 && bytes > left / 2)
        r = pd_err_set(err, -ENOMEM, "%s has %zu of %zu MiB left, a convolution through NCHW would take %zu", gpu->name,
                       left >> 20, total >> 20, bytes >> 20);
    return r;
}

int pd_gpu_conv_by_plan(struct pd_gpu_net *g, struct pd_gpu_step *s, struct pd_cudnn_plan *plan, struct pd_err *err)
{
    const bool nchw = s->method == PD_GPU_BY_NCHW;
    s->plan = plan;
    if (nchw)
        snprintf(s->algorithm, sizeof(s->algorithm), "cudnn nchw %.50s", pd_cudnn_plan_name(plan));
    else
        snprintf(s->algorithm, sizeof(s->algorithm), "cudnn %.40s%s", pd_cudnn_plan_name(plan),
                 s->bare ? ", then the rest" : "");
    int r = weights_for(g, s, nchw ? PD_GPU_PLAIN : PD_GPU_FILTER, err);
    const size_t bytes = pd_gpu_step_workspace(s);
    if (r == 0 && nchw)
        r = leaves_enough(g->gpu, bytes, err);
    return r < 0 ? r : pd_gpu_reserve_workspace(g->gpu, bytes, err);
}

/* ---- our own kernels ---- */

static int by_own(struct pd_gpu_net *g, struct pd_gpu_step *s, enum pd_gpu_method method, enum pd_gpu_layout layout,
                  const char *name, struct pd_err *err)
{
    s->method = method;
    snprintf(s->algorithm, sizeof(s->algorithm), "%s", name);
    return weights_for(g, s, layout, err);
}

bool pd_gpu_conv_can_stem(const struct pd_gpu_net *g, const struct pd_gpu_step *s)
{
    return g->gpu->elem == PD_ELEM_F16 && g->gpu->capability >= 80 && s->in.stride == 4 &&
           pd_cuda_stem_supports(&s->shape) && (uintptr_t)s->in.data % 8 == 0 && aligned16(&s->out, 2);
}

int pd_gpu_conv_by_stem(struct pd_gpu_net *g, struct pd_gpu_step *s, struct pd_err *err)
{
    s->act_apart = !pd_sm90_fuses(s->epilogue.act);
    return by_own(g, s, PD_GPU_BY_STEM, PD_GPU_STEM, "stem mma", err);
}

bool pd_gpu_conv_can_depthwise(const struct pd_gpu_step *s)
{
    return s->shape.groups > 1 && s->shape.groups == s->shape.ci && s->shape.ci == s->shape.co;
}

int pd_gpu_conv_by_depthwise(struct pd_gpu_net *g, struct pd_gpu_step *s, struct pd_err *err)
{
    return by_own(g, s, PD_GPU_BY_DEPTHWISE, PD_GPU_DEPTHWISE, "depthwise", err);
}

int pd_gpu_conv_by_direct(struct pd_gpu_net *g, struct pd_gpu_step *s, struct pd_err *err)
{
    return by_own(g, s, PD_GPU_BY_DIRECT, PD_GPU_PLAIN, "direct", err);
}
