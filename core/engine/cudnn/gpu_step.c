/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "core/engine/cudnn/gpu.h"

/* In place, what a convolution could not end with: the activation, or all that follows the products. */
static int end_in_place(struct pd_gpu_net *g, const struct pd_gpu_step *s, cudaStream_t stream)
{
    struct pd_conv_epilogue e = s->epilogue;
    if (!s->bare) {
        e.bias = NULL;
        e.residual = NULL;
    }
    return pd_cuda_affine(g->gpu->elem, &s->out, NULL, &e, &s->out, stream);
}

/* Bytes of @v as NCHW in fp32, rounded up so that what follows is aligned as cuDNN may want it. */
static size_t dense_bytes(const struct pd_view *v)
{
    const size_t bytes = (size_t)v->n * (size_t)v->h * (size_t)v->w * (size_t)v->c * sizeof(float);
    return (bytes + 1023) / 1024 * 1024;
}

size_t pd_gpu_step_workspace(const struct pd_gpu_step *s)
{
    const size_t own = s->plan ? pd_cudnn_plan_workspace(s->plan) : 0;
    return s->method == PD_GPU_BY_NCHW ? dense_bytes(&s->in) + dense_bytes(&s->out) + own : own;
}

/* The way back does what follows the products. */
static int run_nchw(struct pd_gpu_net *g, const struct pd_gpu_step *s, cudaStream_t stream)
{
    char *const in = g->gpu->workspace, *const out = in + dense_bytes(&s->in), *const rest = out + dense_bytes(&s->out);
    int r = pd_cuda_to_nchw(g->gpu->elem, &s->in, (float *)in, stream);
    if (r == cudaSuccess && pd_cudnn_plan_run(g->gpu->cudnn, s->plan, in, s->weight, NULL, NULL, out, rest) < 0)
        r = cudaErrorNotSupported;
    if (r == cudaSuccess)
        r = pd_cuda_finish_nchw(g->gpu->elem, (const float *)out, &s->epilogue, &s->out, stream);
    return r;
}

static int run_convolution(struct pd_gpu_net *g, const struct pd_gpu_step *s, cudaStream_t stream)
{
    const enum pd_elem elem = g->gpu->elem;
    switch (s->method) {
    case PD_GPU_BY_SM90:
        return pd_sm90_run(&s->sm90, stream);
    case PD_GPU_BY_CUDNN:
        return pd_cudnn_plan_run(g->gpu->cudnn, s->plan, s->in.data, s->weight, s->epilogue.bias, s->epilogue.residual,
                                 s->out.data, g->gpu->workspace) == 0
                   ? cudaSuccess
                   : cudaErrorNotSupported;
    case PD_GPU_BY_NCHW:
        return run_nchw(g, s, stream);
    case PD_GPU_BY_STEM: {
        struct pd_conv_epilogue e = s->epilogue;
        if (s->act_apart)
            e.act = PD_ACT_NONE;
        return pd_cuda_stem(&s->shape, &s->in, s->weight, &e, &s->out, stream);
    }
    case PD_GPU_BY_DEPTHWISE:
        return pd_cuda_depthwise(elem, &s->shape, &s->in, s->weight, &s->epilogue, &s->out, stream);
    default:
        return g->net->layers[s->layer[0]].kind == PD_LAYER_DECONV
                   ? pd_cuda_deconv(elem, &s->shape, &s->in, s->weight, &s->epilogue, &s->out, stream)
                   : pd_cuda_conv_direct(elem, &s->shape, &s->in, s->weight, &s->epilogue, &s->out, stream);
    }
}

static int run_pool(enum pd_elem elem, const struct pd_layer *l, const struct pd_gpu_step *s, cudaStream_t stream)
{
    const struct pd_pool_shape p = {
        .kh = l->kh, .kw = l->kw, .stride_y = l->stride_y, .stride_x = l->stride_x, .dilation_y = l->dilation_y,
        .dilation_x = l->dilation_x, .pad_top = l->pad_top, .pad_left = l->pad_left, .pad_bottom = l->pad_bottom,
        .pad_right = l->pad_right, .average = l->kind == PD_LAYER_AVGPOOL, .count_include_pad = l->count_include_pad,
    };
    return pd_cuda_pool(elem, &p, &s->in, &s->out, stream);
}

/* Inputs that do not already lie in their place are copied there. */
static int run_concat(struct pd_gpu_net *g, const struct pd_layer *l, const struct pd_gpu_step *s, int n,
                      cudaStream_t stream)
{
    const struct pd_conv_epilogue nothing = {.act = PD_ACT_NONE};
    int r = cudaSuccess;
    for (int i = 0; r == cudaSuccess && i < l->n_in; i++) {
        const int channel = pd_gpu_part_channel(g->net, l, i);
        const struct pd_view in = pd_gpu_view(g->gpu, g->memory, l->in[i], n);
        struct pd_view out = s->out;
        out.data = (char *)out.data + (size_t)channel * g->gpu->elem_bytes;
        out.c = in.c;
        if (!pd_gpu_in_place(g->net, g->memory, l, i))
            r = pd_cuda_affine(g->gpu->elem, &in, NULL, &nothing, &out, stream);
    }
    return r;
}

static int run_simple(struct pd_gpu_net *g, const struct pd_gpu_step *s, int n, cudaStream_t stream)
{
    const struct pd_layer *l = &g->net->layers[s->layer[0]];
    const enum pd_elem elem = g->gpu->elem;
    switch (l->kind) {
    case PD_LAYER_MAXPOOL:
    case PD_LAYER_AVGPOOL:
        return run_pool(elem, l, s, stream);
    case PD_LAYER_GAVGPOOL:
        return pd_cuda_global_average(elem, &s->in, &s->out, stream);
    case PD_LAYER_ADD:
    case PD_LAYER_MUL: {
        const struct pd_view b = pd_gpu_view(g->gpu, g->memory, l->in[1], n);
        return pd_cuda_binary(elem, l->kind == PD_LAYER_MUL, &s->in, &b, &s->epilogue, &s->out, stream);
    }
    case PD_LAYER_RESIZE:
        return pd_cuda_resize(elem, &s->in, l->bilinear, &s->out, stream);
    case PD_LAYER_AFFINE:
    case PD_LAYER_ACT:
        return pd_cuda_affine(elem, &s->in, s->weight, &s->epilogue, &s->out, stream);
    case PD_LAYER_CONCAT:
        return run_concat(g, l, s, n, stream);
    default:
        return cudaErrorNotSupported;
    }
}

int pd_gpu_step_run(struct pd_gpu_net *g, const struct pd_gpu_step *s, int n, cudaStream_t stream)
{
    if (s->method == PD_GPU_NOTHING)
        return cudaSuccess;
    if (s->method == PD_GPU_SIMPLE)
        return run_simple(g, s, n, stream);
    int r = run_convolution(g, s, stream);
    if (r == cudaSuccess && (s->act_apart || s->bare))
        r = end_in_place(g, s, stream);
    return r;
}

void pd_gpu_step_finish(struct pd_gpu_step *s)
{
    pd_cudnn_plan_destroy(s->plan);
    s->plan = NULL;
}

int pd_gpu_step_time(struct pd_gpu_net *g, const struct pd_gpu_step *s, int n, int repeats, float *ret_ms)
{
    cudaEvent_t from = NULL, to = NULL;
    const cudaStream_t stream = g->gpu->compute;
    float ms = 0;
    int r = cudaEventCreate(&from);
    if (r == cudaSuccess)
        r = cudaEventCreate(&to);
    for (int i = 0; r == cudaSuccess && i < repeats + 1; i++) {
        if (i == 1) /* the first run is a warm-up: it loads code and fills caches */
            r = cudaEventRecord(from, stream);
        if (r == cudaSuccess)
            r = pd_gpu_step_run(g, s, n, stream);
    }
    if (r == cudaSuccess)
        r = cudaEventRecord(to, stream);
    if (r == cudaSuccess)
        r = cudaEventSynchronize(to);
    if (r == cudaSuccess)
        r = cudaEventElapsedTime(&ms, from, to);
    if (from)
        cudaEventDestroy(from);
    if (to)
        cudaEventDestroy(to);
    if (r != cudaSuccess) {
        (void)cudaGetLastError();
        return -EIO;
    }
    *ret_ms = ms / (float)repeats;
    return 0;
}

bool pd_gpu_step_captures(struct pd_gpu_net *g, const struct pd_gpu_step *s, int n)
{
    const cudaStream_t stream = g->gpu->compute;
    cudaGraph_t graph = NULL;
    int r = cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
    if (r == cudaSuccess) {
        r = pd_gpu_step_run(g, s, n, stream);
        const int ended = cudaStreamEndCapture(stream, &graph);
        if (r == cudaSuccess)
            r = ended;
    }
    if (graph)
        cudaGraphDestroy(graph);
    (void)cudaGetLastError();
    return r == cudaSuccess;
}
