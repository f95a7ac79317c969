/* SPDX-License-Identifier: Apache-2.0
 *
 * The reference engine: ref_layers.c frame by frame, layer by layer. It is the oracle of the other engines' tests and
 * runs anywhere. With precision bf16 it rounds weights, and every tensor that a layer reads, to bfloat16, so that the
 * accuracy such an engine loses can be measured on any machine; sums and biases stay fp32, as they do in hardware.
 */
#include "core/engine/reference.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/engine/engine.h"

struct reference {
    const struct pd_net *net;
    bool bf16;
    const float **weights; /* per layer: the net's, or rounded copies */
    float *rounded;
    struct pd_shape *shapes;
    int *last_reader;  /* per tensor: the layer after which its memory is free; INT32_MAX: an output */
    int width, height; /* that tensors and buffers are for */
    float **tensors, **buffers;
    int n_buffers;
};

static void free_buffers(struct reference *ref)
{
    for (int i = 0; i < ref->n_buffers; i++)
        free(ref->buffers[i]);
    free(ref->buffers);
    ref->buffers = NULL;
    ref->n_buffers = ref->width = ref->height = 0;
}

/* ---- memory: a tensor's buffer is used again once its last reader is done ---- */

struct plan {
    size_t *floats; /* per buffer */
    bool *taken;
    int *buffer_of; /* per tensor */
    int n;
};

static void take_buffer(struct plan *p, int tensor, size_t floats)
{
    int b = 0;
    while (b < p->n && p->taken[b])
        b++;
    if (b == p->n)
        p->n++;
    p->taken[b] = true;
    p->floats[b] = PD_MAX(p->floats[b], floats);
    p->buffer_of[tensor] = b;
}

static void release_inputs(const struct reference *ref, struct plan *p, int layer)
{
    const struct pd_layer *l = &ref->net->layers[layer];
    for (int k = 0; k < l->n_in; k++)
        if (ref->last_reader[l->in[k]] == layer)
            p->taken[p->buffer_of[l->in[k]]] = false;
    if (l->residual >= 0 && ref->last_reader[l->residual] == layer)
        p->taken[p->buffer_of[l->residual]] = false;
}

static size_t floats_of(const struct pd_shape *s)
{
    return (size_t)s->c * (size_t)s->h * (size_t)s->w;
}

static int allocate(struct reference *ref, const struct plan *p, size_t *ret_bytes, struct pd_err *err)
{
    size_t bytes = 0;
    ref->buffers = calloc((size_t)p->n, sizeof(*ref->buffers));
    if (!ref->buffers)
        return pd_err_set(err, -ENOMEM, "reference engine: out of memory");
    ref->n_buffers = p->n;
    for (int i = 0; i < p->n; i++) {
        ref->buffers[i] = pd_alloc_aligned(p->floats[i] * sizeof(float));
        if (!ref->buffers[i])
            return pd_err_set(err, -ENOMEM, "reference engine: out of memory for a tensor of %zu values", p->floats[i]);
        bytes += p->floats[i] * sizeof(float);
    }
    *ret_bytes = bytes;
    return 0;
}

static int prepare_size(struct reference *ref, int width, int height, size_t *ret_bytes, struct pd_err *err)
{
    const struct pd_net *net = ref->net;
    size_t n = (size_t)net->n_tensors;
    if (width == ref->width && height == ref->height)
        return 0;
    free_buffers(ref);
    int r = pd_net_shapes(net, height, width, ref->shapes, err);
    if (r < 0)
        return r;
    struct plan p = {calloc(n, sizeof(*p.floats)), calloc(n, sizeof(*p.taken)), calloc(n, sizeof(*p.buffer_of)), 0};
    r = pd_err_set(err, -ENOMEM, "reference engine: out of memory");
    if (p.floats && p.taken && p.buffer_of) {
        take_buffer(&p, net->input, floats_of(&ref->shapes[net->input]));
        for (int i = 0; i < net->n_layers; i++) {
            take_buffer(&p, net->layers[i].out, floats_of(&ref->shapes[net->layers[i].out]));
            release_inputs(ref, &p, i);
        }
        r = allocate(ref, &p, ret_bytes, err);
        for (size_t t = 0; t < n && !r; t++)
            ref->tensors[t] = ref->buffers[p.buffer_of[t]];
    }
    free(p.floats);
    free(p.taken);
    free(p.buffer_of);
    if (r < 0) {
        free_buffers(ref);
        return r;
    }
    ref->width = width;
    ref->height = height;
    return 0;
}

/* ---- open and close ---- */

static int probe(struct pd_err *err)
{
    return 0; /* plain C runs anywhere */
}

static void find_last_readers(struct reference *ref)
{
    const struct pd_net *net = ref->net;
    for (int t = 0; t < net->n_tensors; t++)
        ref->last_reader[t] = -1;
    for (int i = 0; i < net->n_layers; i++) {
        const struct pd_layer *l = &net->layers[i];
        for (int k = 0; k < l->n_in; k++)
            ref->last_reader[l->in[k]] = i;
        if (l->residual >= 0)
            ref->last_reader[l->residual] = i;
    }
    ref->last_reader[net->heat] = INT32_MAX;
    if (net->paf >= 0)
        ref->last_reader[net->paf] = INT32_MAX;
}

static int round_weights(struct reference *ref, struct pd_err *err)
{
    const struct pd_net *net = ref->net;
    size_t total = 0, at = 0;
    for (int i = 0; i < net->n_layers; i++)
        total += net->layers[i].n_weight;
    ref->rounded = pd_alloc_aligned(total * sizeof(float));
    if (!ref->rounded)
        return pd_err_set(err, -ENOMEM, "reference engine: out of memory for rounded weights");
    for (int i = 0; i < net->n_layers; i++) {
        const struct pd_layer *l = &net->layers[i];
        if (!l->n_weight)
            continue;
        memcpy(ref->rounded + at, l->weight, l->n_weight * sizeof(float));
        pd_ref_round_bf16(ref->rounded + at, l->n_weight);
        ref->weights[i] = ref->rounded + at;
        at += l->n_weight;
    }
    return 0;
}

static void close_reference(void *self)
{
    struct reference *ref = self;
    free_buffers(ref);
    free(ref->rounded);
    free(ref->weights);
    free(ref->shapes);
    free(ref->last_reader);
    free(ref->tensors);
    free(ref);
}

static int open_reference(const struct pd_net *net, const struct pd_engine_params *params, struct pd_engine_caps *caps,
                          void **ret_self, struct pd_err *err)
{
    enum pd_precision precision = params->precision == PD_PRECISION_AUTO ? PD_PRECISION_FP32 : params->precision;
    if (precision != PD_PRECISION_FP32 && precision != PD_PRECISION_BF16)
        return pd_err_set(err, -ENOTSUP, "the reference engine has precisions fp32 and bf16, not %s",
                          pd_precision_name(precision));
    struct reference *ref = calloc(1, sizeof(*ref));
    if (!ref)
        return pd_err_set(err, -ENOMEM, "reference engine: out of memory");
    ref->net = net;
    ref->bf16 = precision == PD_PRECISION_BF16;
    ref->weights = calloc((size_t)net->n_layers, sizeof(*ref->weights));
    ref->shapes = calloc((size_t)net->n_tensors, sizeof(*ref->shapes));
    ref->last_reader = calloc((size_t)net->n_tensors, sizeof(*ref->last_reader));
    ref->tensors = calloc((size_t)net->n_tensors, sizeof(*ref->tensors));
    int r = pd_err_set(err, -ENOMEM, "reference engine: out of memory");
    if (!ref->weights || !ref->shapes || !ref->last_reader || !ref->tensors)
        goto fail;
    find_last_readers(ref);
    for (int i = 0; i < net->n_layers; i++)
        ref->weights[i] = net->layers[i].weight;
    r = ref->bf16 ? round_weights(ref, err) : 0;
    if (r < 0)
        goto fail;
    r = prepare_size(ref, params->width, params->height, &caps->memory_bytes, err);
    if (r < 0)
        goto fail;
    caps->precision = precision;
    caps->max_batch = params->max_batch;
    snprintf(caps->device, sizeof(caps->device), "CPU, 1 thread, plain C");
    snprintf(caps->version, sizeof(caps->version), "%s", PD_VERSION);
    *ret_self = ref;
    return 0;
fail:
    close_reference(ref);
    return r;
}

/* ---- running ---- */

static void run_layer(struct reference *ref, int i)
{
    const struct pd_net *net = ref->net;
    const struct pd_layer *l = &net->layers[i];
    pd_ref_layer(net, l, ref->weights[i], ref->shapes, ref->tensors);
    if (ref->bf16 && ref->last_reader[l->out] != INT32_MAX)
        pd_ref_round_bf16(ref->tensors[l->out], floats_of(&ref->shapes[l->out]));
}

static void load_input(struct reference *ref, const float *input)
{
    size_t n = floats_of(&ref->shapes[ref->net->input]);
    float *to = ref->tensors[ref->net->input];
    memcpy(to, input, n * sizeof(*to));
    if (ref->bf16)
        pd_ref_round_bf16(to, n);
}

static int forward(void *self, int n, int width, int height, const float *input, float *heat, float *paf,
                   struct pd_err *err)
{
    struct reference *ref = self;
    const struct pd_net *net = ref->net;
    size_t bytes;
    int r = prepare_size(ref, width, height, &bytes, err);
    if (r < 0)
        return r;
    size_t in = floats_of(&ref->shapes[net->input]), out = floats_of(&ref->shapes[net->heat]);
    size_t paf_out = net->paf >= 0 ? floats_of(&ref->shapes[net->paf]) : 0;
    for (int f = 0; f < n; f++) {
        load_input(ref, input + (size_t)f * in);
        for (int i = 0; i < net->n_layers; i++)
            run_layer(ref, i);
        if (heat)
            memcpy(heat + (size_t)f * out, ref->tensors[net->heat], out * sizeof(*heat));
        if (paf && net->paf >= 0)
            memcpy(paf + (size_t)f * paf_out, ref->tensors[net->paf], paf_out * sizeof(*paf));
    }
    return 0;
}

static int profile(void *self, int n, int width, int height, int repeats, struct pd_layer_time *times,
                   struct pd_err *err)
{
    struct reference *ref = self;
    const struct pd_net *net = ref->net;
    size_t bytes;
    int r = prepare_size(ref, width, height, &bytes, err);
    if (r < 0)
        return r;
    for (int i = 0; i < net->n_layers; i++)
        times[i] = (struct pd_layer_time){.layer = i, .algorithm = "plain C"};
    for (int k = 0; k < repeats * n; k++) {
        memset(ref->tensors[net->input], 0, floats_of(&ref->shapes[net->input]) * sizeof(float));
        for (int i = 0; i < net->n_layers; i++) {
            int64_t start = pd_now_ns();
            run_layer(ref, i);
            times[i].ms += (double)(pd_now_ns() - start) / 1e6 / repeats;
        }
    }
    return net->n_layers;
}

/* It is slow enough with one. */
static int best_batch(const struct pd_engine_params *params)
{
    return 1;
}

const struct pd_engine_ops pd_engine_reference = {
    .name = "reference",
    .probe = probe,
    .open = open_reference,
    .close = close_reference,
    .forward = forward,
    .profile = profile,
    .best_batch = best_batch,
};
