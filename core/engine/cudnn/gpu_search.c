/* SPDX-License-Identifier: Apache-2.0 */
#include "core/engine/cudnn/gpu_conv.h"

#include <errno.h>

#define CUDNN_TRIED 4
#define NCHW_TRIED 16 /* heuristics are made for tensor cores, their order says less here */
#define WORKSPACE_MAX ((size_t)1 << 30)

/* Offer a step that was set up with result @r. Too little memory for this one says nothing of the others. */
static int offer(struct pd_gpu_search *search, struct pd_gpu_step *s, int r)
{
    if (r == 0) {
        search->done = search->offer(search, s);
        return 0;
    }
    pd_gpu_step_finish(s);
    if (r != -ENOMEM)
        return r;
    search->no_room = true;
    return 0;
}

static int offer_stem(struct pd_gpu_search *search, struct pd_err *err)
{
    struct pd_gpu_step s;
    pd_gpu_conv_describe(search->g, search->layer, search->n, &s);
    if (!pd_gpu_conv_can_stem(search->g, &s))
        return 0;
    int r = pd_gpu_conv_by_stem(search->g, &s, err);
    return offer(search, &s, r);
}

static int offer_depthwise_or_sm90(struct pd_gpu_search *search, struct pd_err *err)
{
    struct pd_gpu_net *g = search->g;
    struct pd_gpu_step s;
    pd_gpu_conv_describe(g, search->layer, search->n, &s);
    if (pd_gpu_conv_can_depthwise(&s)) {
        int r = pd_gpu_conv_by_depthwise(g, &s, err);
        return offer(search, &s, r);
    }
    if (!pd_gpu_conv_can_sm90(g, &s))
        return 0;
    int choices[PD_SM90_CHOICES], found = pd_sm90_choices(&s.shape, 1, g->gpu->sms, choices), r = 0;
    for (int i = 0; r == 0 && !search->done && i < PD_MIN(found, PD_GPU_SM90_TRIED); i++) {
        pd_gpu_conv_describe(g, search->layer, search->n, &s);
        r = pd_gpu_conv_by_sm90(g, &s, choices[i], err);
        r = offer(search, &s, r);
    }
    return r;
}

/* Too much scratch for what it may save. For NCHW, where it holds two tensors as well, an eighth of the device. */
static bool immodest(const struct pd_gpu_net *g, const struct pd_gpu_step *s)
{
    return pd_gpu_step_workspace(s) > (s->method == PD_GPU_BY_NCHW ? g->gpu->memory_bytes / 8 : WORKSPACE_MAX);
}

static int offer_cudnn(struct pd_gpu_search *search, enum pd_gpu_cudnn_way way, struct pd_err *err)
{
    struct pd_gpu_net *g = search->g;
    struct pd_cudnn_plan *plans[NCHW_TRIED];
    struct pd_gpu_step s;
    pd_gpu_conv_describe(g, search->layer, search->n, &s);
    if (!pd_gpu_conv_can_cudnn(g, &s, way))
        return 0;
    const struct pd_cudnn_problem p = pd_gpu_conv_for_cudnn(g, &s, way);
    const int max = g->guess ? 1 : way == PD_GPU_NCHW ? NCHW_TRIED : CUDNN_TRIED;
    const int found = pd_cudnn_plans(g->gpu->cudnn, &p, max, plans, NULL);
    int r = 0;
    for (int i = 0; i < found; i++) {
        struct pd_gpu_step c = s;
        c.plan = plans[i];
        if (r < 0 || search->done || immodest(g, &c)) {
            pd_gpu_step_finish(&c);
            continue;
        }
        r = pd_gpu_conv_by_plan(g, &c, plans[i], err);
        r = offer(search, &c, r);
    }
    return r;
}

static int offer_direct(struct pd_gpu_search *search, struct pd_err *err)
{
    struct pd_gpu_step s;
    pd_gpu_conv_describe(search->g, search->layer, search->n, &s);
    int r = pd_gpu_conv_by_direct(search->g, &s, err);
    return offer(search, &s, r);
}

int pd_gpu_search(struct pd_gpu_search *search, struct pd_err *err)
{
    int r = offer_stem(search, err);
    if (r == 0 && !search->done)
        r = offer_depthwise_or_sm90(search, err);
    if (r == 0 && !search->done)
        r = offer_cudnn(search, PD_GPU_FUSED, err);
    /* without tensor cores fused kernels are few: of fp32 both kinds are tried */
    if (r == 0 && !search->done && (!search->ran || search->g->gpu->math == PD_CUDNN_FP32))
        r = offer_cudnn(search, PD_GPU_BARE, err);
    if (r == 0 && !search->done)
        r = offer_cudnn(search, PD_GPU_NCHW, err);
    if (r == 0 && !search->done && !search->ran) /* nobody else can */
        r = offer_direct(search, err);
    return r;
}
