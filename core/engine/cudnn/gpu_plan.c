/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "core/engine/cudnn/gpu.h"

/* A layer that no convolution kernel does. */
static int choose_simple(struct pd_gpu_net *g, int layer, int n, struct pd_gpu_step *s, struct pd_err *err)
{
    const struct pd_layer *l = &g->net->layers[layer];
    memset(s, 0, sizeof(*s));
    s->method = l->kind == PD_LAYER_SLICE ? PD_GPU_NOTHING : PD_GPU_SIMPLE;
    s->layer[0] = layer;
    s->n_layers = 1;
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
    strcpy(s->algorithm, pd_layer_kind_name(l->kind));
    if (l->kind == PD_LAYER_AFFINE && l->weight)
        return pd_gpu_weights_get(g->gpu, g->net, l, NULL, &g->weights[layer], PD_GPU_PLAIN, &s->weight, err);
    return 0;
}

static int choose_deconv(struct pd_gpu_net *g, int layer, int n, struct pd_gpu_step *s, struct pd_err *err)
{
    int r = choose_simple(g, layer, n, s, err);
    if (r < 0)
        return r;
    pd_gpu_conv_shape(g, layer, n, &s->shape);
    s->method = PD_GPU_BY_DIRECT;
    return pd_gpu_weights_get(g->gpu, g->net, &g->net->layers[layer], &s->shape, &g->weights[layer], PD_GPU_PLAIN,
                              &s->weight, err);
}

static int choose(struct pd_gpu_net *g, int layer, int n, struct pd_gpu_step *s, struct pd_err *err)
{
    switch (g->net->layers[layer].kind) {
    case PD_LAYER_CONV:
    case PD_LAYER_FC:
        return pd_gpu_step_choose(g, layer, n, s, err);
    case PD_LAYER_DECONV:
        return choose_deconv(g, layer, n, s, err);
    default:
        return choose_simple(g, layer, n, s, err);
    }
}

/* Look for a partner of each step among the later ones of its level. */
static int pair_branches(struct pd_gpu_net *g, struct pd_gpu_plan *p, struct pd_err *err)
{
    for (int i = 0; i < p->n_steps; i++) {
        const int level = g->memory->levels[p->steps[i].layer[0]];
        for (int k = i + 1; k < p->n_steps && p->steps[i].n_layers == 1; k++) {
            if (g->memory->levels[p->steps[k].layer[0]] != level)
                break;
            int r = pd_gpu_step_pair(g, p->n, &p->steps[i], &p->steps[k], err);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

int pd_gpu_plan_create(struct pd_gpu_net *g, int n, struct pd_gpu_plan **ret_plan, struct pd_err *err)
{
    struct pd_gpu_plan *p = calloc(1, sizeof(*p));
    int r = 0;
    const size_t bytes = (size_t)g->net->n_layers * sizeof(*p->steps);
    if (p) /* tensor maps begin on 64 bytes, and steps with them */
        p->steps = pd_alloc_aligned(bytes);
    if (!p || !p->steps) {
        free(p);
        return pd_err_set(err, -ENOMEM, "out of memory");
    }
    memset(p->steps, 0, bytes);
    p->n = n;
    g->n_twins = 0;
    g->twins = calloc((size_t)g->net->n_layers, sizeof(*g->twins)); /* without it every layer looks for itself */
    for (int i = 0; r == 0 && i < g->net->n_layers; i++) {
        r = choose(g, g->memory->order[i], n, &p->steps[i], err);
        p->n_steps += r == 0;
    }
    free(g->twins);
    g->twins = NULL;
    if (r == 0)
        r = pair_branches(g, p, err);
    if (r < 0) {
        pd_gpu_plan_destroy(p);
        return r;
    }
    *ret_plan = p;
    return 0;
}

int pd_gpu_plan_capture(struct pd_gpu_net *g, struct pd_gpu_plan *p, struct pd_err *err)
{
    const cudaStream_t stream = g->gpu->compute;
    cudaGraph_t graph = NULL;
    cudaGraphExec_t exec = NULL;
    if (p->graph)
        cudaGraphExecDestroy(p->graph);
    p->graph = NULL;
    int r = cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
    if (r != cudaSuccess)
        return pd_gpu_check(r, "capturing the network", err);
    for (int i = 0; r == cudaSuccess && i < p->n_steps; i++)
        r = pd_gpu_step_run(g, &p->steps[i], p->n, stream);
    const int ended = cudaStreamEndCapture(stream, &graph);
    if (r == cudaSuccess)
        r = ended;
    if (r == cudaSuccess)
        r = cudaGraphInstantiate(&exec, graph, 0);
    if (r == cudaSuccess)
        p->graph = exec;
    if (graph)
        cudaGraphDestroy(graph);
    return pd_gpu_check(r, "capturing the network", err);
}

int pd_gpu_plan_run(struct pd_gpu_net *g, struct pd_gpu_plan *p, struct pd_err *err)
{
    return pd_gpu_check(cudaGraphLaunch(p->graph, g->gpu->compute), "running the network", err);
}

void pd_gpu_plan_destroy(struct pd_gpu_plan *p)
{
    if (!p)
        return;
    for (int i = 0; i < p->n_steps; i++)
        pd_gpu_step_finish(&p->steps[i]);
    if (p->graph)
        cudaGraphExecDestroy(p->graph);
    free(p->steps);
    free(p);
}
