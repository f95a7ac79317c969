/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/engine/netmaker.h"

#include "tests/core/test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void maker_begin(struct maker *m, uint64_t seed)
{
    memset(m, 0, sizeof(*m));
    m->state = seed * 2654435761u + 88172645463325252u;
    m->net.meta.stride = 1;
    strcpy(m->net.meta.name, "random");
    for (int c = 0; c < 3; c++)
        m->net.meta.input.scale[c] = 1;
    m->net.tensors = m->tensors;
    m->net.layers = m->layers;
    m->net.n_tensors = 1;
    m->tensors[0] = (struct pd_tensor){"input", 3, -1};
    m->net.paf = -1;
}

void maker_end(struct maker *m)
{
    for (int i = 0; i < m->n_owned; i++)
        free(m->owned[i]);
}

uint32_t maker_random(struct maker *m, uint32_t below)
{
    m->state ^= m->state << 13; /* xorshift64 */
    m->state ^= m->state >> 7;
    m->state ^= m->state << 17;
    return (uint32_t)(m->state >> 33) % below;
}

float maker_uniform(struct maker *m, float lo, float hi)
{
    return lo + (hi - lo) * (float)maker_random(m, 1u << 20) / (float)(1u << 20);
}

float *maker_floats(struct maker *m, size_t n, float scale)
{
    float *v = malloc(PD_MAX(n, 1) * sizeof(*v));
    assert_non_null(v);
    assert_true((size_t)m->n_owned < PD_ARRAY_SIZE(m->owned));
    m->owned[m->n_owned++] = v;
    for (size_t i = 0; i < n; i++)
        v[i] = maker_uniform(m, -scale, scale);
    return v;
}

struct pd_layer *maker_layer(struct maker *m, enum pd_layer_kind kind, int in, int channels)
{
    assert_true(m->net.n_layers < MAKER_MAX && m->net.n_tensors < MAKER_MAX);
    struct pd_layer *l = &m->layers[m->net.n_layers];
    *l = (struct pd_layer){.kind = kind, .n_in = 1, .in = {in}, .out = m->net.n_tensors, .kh = 1, .kw = 1,
                           .stride_y = 1, .stride_x = 1, .dilation_y = 1, .dilation_x = 1, .groups = 1, .residual = -1,
                           .scale_y = 1, .scale_x = 1};
    snprintf(l->name, sizeof(l->name), "%s%d", pd_layer_kind_name(kind), m->net.n_layers);
    m->tensors[l->out] = (struct pd_tensor){"", channels, m->net.n_layers};
    m->net.heat = l->out;
    m->net.n_layers++;
    m->net.n_tensors++;
    return l;
}

void maker_weights(struct maker *m, struct pd_layer *l, size_t n, bool bias)
{
    int co = m->tensors[l->out].channels;
    l->n_weight = n;
    l->weight = maker_floats(m, n, sqrtf(3.0f * (float)co / (float)n)); /* keeps the variance of a dense layer */
    l->bias = bias ? maker_floats(m, (size_t)co, 0.3f) : NULL;
}

void maker_act(struct maker *m, struct pd_layer *l)
{
    l->act = (enum pd_act)maker_random(m, PD_ACT_HARDSWISH + 1);
    if (l->act == PD_ACT_CLIP) {
        l->alpha = maker_uniform(m, -1, 0);
        l->beta = maker_uniform(m, 0.5f, 6);
    } else if (l->act == PD_ACT_ELU) {
        l->alpha = maker_uniform(m, 0.5f, 1.5f);
    } else if (l->act == PD_ACT_PRELU) {
        l->n_slopes = maker_random(m, 2) ? m->tensors[l->out].channels : 1;
        l->slope = maker_floats(m, (size_t)l->n_slopes, 0.5f);
    }
}

int maker_conv(struct maker *m, int in, int channels, int k, int dilation, int groups)
{
    struct pd_layer *l = maker_layer(m, PD_LAYER_CONV, in, channels);
    l->kh = l->kw = k;
    l->dilation_y = l->dilation_x = dilation;
    l->groups = groups;
    l->pad_top = l->pad_left = l->pad_bottom = l->pad_right = (k - 1) * dilation / 2;
    maker_weights(m, l, (size_t)channels * (size_t)(m->tensors[in].channels / groups) * (size_t)k * (size_t)k, true);
    maker_act(m, l);
    return l->out;
}
