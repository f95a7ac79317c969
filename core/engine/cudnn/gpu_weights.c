/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "core/engine/cudnn/gpu.h"

/* Round to nearest even, as __float2half_rn; infinities where fp16 ends. */
static uint16_t half_bits(float f)
{
    const _Float16 h = (_Float16)f;
    uint16_t bits;
    memcpy(&bits, &h, sizeof(bits));
    return bits;
}

static void put(void *dst, size_t at, float value, bool half)
{
    if (half)
        ((uint16_t *)dst)[at] = half_bits(value);
    else
        ((float *)dst)[at] = value;
}

/* (co, ci, kh, kw) -> co x kh x kw x ci, cuDNN's NHWC filter. */
static void pack_filter(const struct pd_conv_shape *s, const float *weight, bool half, void *out)
{
    const size_t ci = (size_t)(s->ci / s->groups), taps = (size_t)s->kh * (size_t)s->kw;
    for (size_t co = 0; co < (size_t)s->co; co++)
        for (size_t t = 0; t < taps; t++)
            for (size_t c = 0; c < ci; c++)
                put(out, (co * taps + t) * ci + c, weight[(co * ci + c) * taps + t], half);
}

/* (co, 1, kh, kw) -> kh x kw x co, fp32. */
static void pack_depthwise(const struct pd_conv_shape *s, const float *weight, float *out)
{
    const size_t taps = (size_t)s->kh * (size_t)s->kw;
    for (size_t co = 0; co < (size_t)s->co; co++)
        for (size_t t = 0; t < taps; t++)
            out[t * (size_t)s->co + co] = weight[co * taps + t];
}

static size_t packed_bytes(const struct pd_gpu *gpu, const struct pd_layer *layer, const struct pd_conv_shape *s,
                           enum pd_gpu_layout layout)
{
    switch (layout) {
    case PD_GPU_STEM:
        return pd_cuda_stem_weight_elements(s) * 2;
    case PD_GPU_SM90:
        return pd_sm90_weight_elements(s) * 2;
    case PD_GPU_FILTER:
        return layer->n_weight * gpu->elem_bytes;
    default:
        return layer->n_weight * sizeof(float);
    }
}

static int upload(struct pd_gpu *gpu, const void *host, size_t bytes, void **ret, struct pd_err *err)
{
    void *p;
    int r = pd_gpu_alloc(gpu, bytes, &p, err);
    if (r < 0)
        return r;
    r = pd_gpu_copy_in(gpu, p, host, bytes, "copying weights to the device", err);
    if (r < 0) {
        pd_gpu_free(gpu, p, bytes);
        return r;
    }
    *ret = p;
    return 0;
}

/* The layer's weights with input channels in the order in which they lie in memory; NULL when that is their own. */
static int permuted(const struct pd_net *net, const struct pd_layer *l, float **ret, struct pd_err *err)
{
    const int ci = net->tensors[l->in[0]].channels;
    PD_CLEANUP(pd_freep) int *map = calloc((size_t)ci, sizeof(*map));
    *ret = NULL;
    if (!map)
        return pd_err_set(err, -ENOMEM, "out of memory");
    if (l->kind != PD_LAYER_CONV || pd_gpu_channel_map(net, l->in[0], map) == 0)
        return 0;
    float *w = malloc(l->n_weight * sizeof(*w));
    if (!w)
        return pd_err_set(err, -ENOMEM, "out of memory");
    const size_t taps = (size_t)l->kh * (size_t)l->kw, n_co = l->n_weight / taps / (size_t)ci;
    for (size_t co = 0; co < n_co; co++)
        for (size_t c = 0; c < (size_t)ci; c++)
            memcpy(w + (co * (size_t)ci + c) * taps, l->weight + (co * (size_t)ci + (size_t)map[c]) * taps,
                   taps * sizeof(*w));
    *ret = w;
    return 0;
}

static void pack(const struct pd_gpu *gpu, const struct pd_conv_shape *s, const float *weight, size_t bytes,
                 enum pd_gpu_layout layout, void *host)
{
    switch (layout) {
    case PD_GPU_STEM:
        pd_cuda_stem_pack(s, weight, host);
        return;
    case PD_GPU_SM90:
        pd_sm90_pack_weights(s, weight, host);
        return;
    case PD_GPU_FILTER:
        pack_filter(s, weight, gpu->elem == PD_ELEM_F16, host);
        return;
    case PD_GPU_DEPTHWISE:
        pack_depthwise(s, weight, host);
        return;
    default:
        memcpy(host, weight, bytes);
    }
}

int pd_gpu_weights_get(struct pd_gpu *gpu, const struct pd_net *net, const struct pd_layer *layer,
                       const struct pd_conv_shape *s, struct pd_gpu_weights *w, enum pd_gpu_layout layout,
                       const void **ret, struct pd_err *err)
{
    if (!w->weight[layout]) {
        const size_t bytes = packed_bytes(gpu, layer, s, layout);
        PD_CLEANUP(pd_freep) void *host = malloc(bytes);
        PD_CLEANUP(pd_freep) float *ordered = NULL;
        if (!host)
            return pd_err_set(err, -ENOMEM, "out of memory");
        int r = permuted(net, layer, &ordered, err);
        if (r < 0)
            return r;
        pack(gpu, s, ordered ? ordered : layer->weight, bytes, layout, host);
        r = upload(gpu, host, bytes, &w->weight[layout], err);
        if (r < 0)
            return r;
        w->bytes[layout] = bytes;
    }
    *ret = w->weight[layout];
    return 0;
}

int pd_gpu_weights_init(struct pd_gpu *gpu, const struct pd_layer *layer, int co, struct pd_gpu_weights *w,
                        struct pd_err *err)
{
    int r = 0;
    if (layer->bias)
        r = upload(gpu, layer->bias, (size_t)co * sizeof(float), (void **)&w->bias, err);
    if (r == 0 && layer->slope)
        r = upload(gpu, layer->slope, (size_t)layer->n_slopes * sizeof(float), (void **)&w->slope, err);
    return r;
}

void pd_gpu_weights_finish(struct pd_gpu *gpu, struct pd_gpu_weights *w)
{
    for (int i = 0; i < PD_GPU_LAYOUTS; i++)
        pd_gpu_free(gpu, w->weight[i], w->bytes[i]);
    cudaFree(w->bias);
    cudaFree(w->slope);
    memset(w, 0, sizeof(*w));
}
