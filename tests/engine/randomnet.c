/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/engine/randomnet.h"

#include <math.h>
#include <stdio.h>

#define KINDS 13

int randomnet_between(struct maker *m, int lo, int hi)
{
    return lo + (int)maker_random(m, (uint32_t)(hi - lo + 1));
}

static int conv(struct maker *m, int in, int co, int k, int stride, int dilation, int groups, bool bias)
{
    struct pd_layer *l = maker_layer(m, PD_LAYER_CONV, in, co);
    l->kh = l->kw = k;
    l->stride_y = l->stride_x = stride;
    l->dilation_y = l->dilation_x = dilation;
    l->groups = groups;
    l->pad_top = l->pad_left = l->pad_bottom = l->pad_right = (k - 1) * dilation / 2;
    const size_t ci = (size_t)(m->tensors[in].channels / groups);
    maker_weights(m, l, (size_t)co * ci * (size_t)k * (size_t)k, bias);
    return l->out;
}

static struct pd_layer *layer_of(struct maker *m, int tensor)
{
    return &m->layers[m->tensors[tensor].producer];
}

static int slice(struct maker *m, int in, int from, int channels)
{
    struct pd_layer *l = maker_layer(m, PD_LAYER_SLICE, in, channels);
    l->slice_from = from;
    return l->out;
}

static void convolution(struct maker *m, int kind, int in, char *what, size_t cap)
{
    static const int kernels[] = {1, 1, 3, 3, 3, 5, 7, 7};
    const int channels = m->tensors[in].channels, k = kernels[randomnet_between(m, 0, 7)];
    const int stride = randomnet_between(m, 0, 5) ? 1 : 2;
    const bool depthwise = kind == 0, grouped = kind == 1 && channels % 4 == 0;
    const int co = depthwise  ? channels
                   : grouped  ? 4 * randomnet_between(m, 1, 40)
                   : randomnet_between(m, 0, 1) ? randomnet_between(m, 1, 280)
                                                : 128 * randomnet_between(m, 1, 3);
    const int dilation = k > 1 && !randomnet_between(m, 0, 3) ? 2 : 1;
    const int groups = depthwise ? channels : grouped ? 2 * randomnet_between(m, 1, 2) : 1;
    const int out = conv(m, in, co, k, stride, dilation, groups, randomnet_between(m, 0, 4));
    struct pd_layer *l = layer_of(m, out);
    maker_act(m, l);
    if (stride == 1 && !randomnet_between(m, 0, 2) && co == channels)
        l->residual = in;
    snprintf(what, cap, "conv %d>%d k%d s%d d%d g%d act %d residual %d", channels, co, k, stride, l->dilation_x,
             l->groups, l->act, l->residual);
}

static void pool(struct maker *m, int in, int channels, char *what, size_t cap)
{
    struct pd_layer *l =
        maker_layer(m, randomnet_between(m, 0, 1) ? PD_LAYER_MAXPOOL : PD_LAYER_AVGPOOL, in, channels);
    l->kh = l->kw = randomnet_between(m, 2, 3);
    l->stride_y = l->stride_x = 2;
    l->pad_top = l->pad_left = l->pad_bottom = l->pad_right = l->kh == 3 ? 1 : 0;
    l->count_include_pad = randomnet_between(m, 0, 1);
    snprintf(what, cap, "pool %d k%d", channels, l->kh);
}

static void binary(struct maker *m, int in, int channels, char *what, size_t cap)
{
    const int b = conv(m, in, channels, 1, 1, 1, 1, true);
    struct pd_layer *l = maker_layer(m, randomnet_between(m, 0, 1) ? PD_LAYER_ADD : PD_LAYER_MUL, in, channels);
    l->n_in = 2;
    l->in[1] = b;
    maker_act(m, l);
    snprintf(what, cap, "binary %d act %d", channels, l->act);
}

/* A concatenation with parts of any width, read by a convolution. */
static void concat(struct maker *m, int in, int channels, char *what, size_t cap)
{
    const int a = randomnet_between(m, 1, 70), b = randomnet_between(m, 1, 70);
    const int x = conv(m, in, a, 3, 1, 1, 1, true);
    maker_act(m, layer_of(m, x));
    const int y = conv(m, in, b, 3, 1, 1, 1, true);
    maker_act(m, layer_of(m, y));
    struct pd_layer *c = maker_layer(m, PD_LAYER_CONCAT, x, a + b + channels);
    c->n_in = 3;
    c->in[1] = in;
    c->in[2] = y;
    conv(m, c->out, randomnet_between(m, 1, 150), 3, 1, 1, 1, true);
    snprintf(what, cap, "concat %d+%d+%d", a, channels, b);
}

/* One after the other, of one geometry but with bounds of their own, which a plan of the first has built in. */
static void layers_alike(struct maker *m, int in, int channels, char *what, size_t cap)
{
    for (int i = 1; i <= 3; i++) {
        in = conv(m, in, channels, 3, 1, 1, 1, true);
        layer_of(m, in)->act = PD_ACT_CLIP;
        layer_of(m, in)->alpha = -0.1f * (float)i;
        layer_of(m, in)->beta = 0.3f * (float)i;
    }
    snprintf(what, cap, "layers alike %d", channels);
}

/* Two of equal geometry from one input. */
static void branches(struct maker *m, int in, int channels, char *what, size_t cap)
{
    const int k = randomnet_between(m, 0, 1) ? 7 : 3, co = 128 * randomnet_between(m, 1, 2);
    const int x = conv(m, in, co, k, 1, 1, 1, true), y = conv(m, in, co, k, 1, 1, 1, true);
    struct pd_layer *l = maker_layer(m, PD_LAYER_ADD, x, co);
    layer_of(m, x)->act = layer_of(m, y)->act = PD_ACT_RELU;
    l->n_in = 2;
    l->in[1] = y;
    snprintf(what, cap, "branches %d>%d k%d", channels, co, k);
}

/* A convolution that reads some channels of a tensor and adds others of it: views with a stride of their own, which
 * begin anywhere. */
static void from_slices(struct maker *m, int in, int channels, char *what, size_t cap)
{
    const int c = randomnet_between(m, 1, channels / 2), from = randomnet_between(m, 0, channels - c);
    const int residual_from = randomnet_between(m, 0, channels - c);
    const int x = slice(m, in, from, c), r = slice(m, in, residual_from, c);
    const int out = conv(m, x, c, randomnet_between(m, 0, 1) ? 3 : 7, 1, 1, 1, true);
    maker_act(m, layer_of(m, out));
    if (randomnet_between(m, 0, 1))
        layer_of(m, out)->residual = r;
    snprintf(what, cap, "slices of %d: %d from %d, act %d, residual %d from %d", channels, c, from,
             layer_of(m, out)->act, layer_of(m, out)->residual, residual_from);
}

static void dense(struct maker *m, int in, int channels, char *what, size_t cap)
{
    const int co = randomnet_between(m, 1, 150);
    const int mean = maker_layer(m, PD_LAYER_GAVGPOOL, in, channels)->out;
    struct pd_layer *l = maker_layer(m, PD_LAYER_FC, mean, co);
    maker_weights(m, l, (size_t)co * (size_t)channels, randomnet_between(m, 0, 1));
    maker_act(m, l);
    snprintf(what, cap, "dense %d>%d act %d", channels, co, l->act);
}

static void resize(struct maker *m, int in, int channels, char *what, size_t cap)
{
    struct pd_layer *l = maker_layer(m, PD_LAYER_RESIZE, in, channels);
    l->scale_y = l->scale_x = 2;
    l->bilinear = randomnet_between(m, 0, 1);
    snprintf(what, cap, "resize %d bilinear %d", channels, l->bilinear);
}

void randomnet_build(struct maker *m, uint64_t seed, char *what, size_t cap)
{
    static void (*const others[])(struct maker *, int, int, char *, size_t) = {
        pool, binary, concat, resize, layers_alike, branches, from_slices, dense};
    maker_begin(m, seed);
    const int channels = randomnet_between(m, 0, 2) ? randomnet_between(m, 1, 24) * 8 : randomnet_between(m, 4, 200);
    const int k = randomnet_between(m, 0, 1) ? 3 : 5, in = conv(m, m->net.input, channels, k, 1, 1, 1, true);
    const int kind = randomnet_between(m, 0, KINDS - 1);
    layer_of(m, in)->act = PD_ACT_RELU;
    if (kind < KINDS - (int)PD_ARRAY_SIZE(others))
        convolution(m, kind, in, what, cap);
    else
        others[kind - (KINDS - (int)PD_ARRAY_SIZE(others))](m, in, channels, what, cap);
}

double randomnet_difference(const float *a, const float *b, size_t n)
{
    double d = 0, s = 0;
    for (size_t i = 0; i < n; i++) {
        const double e = (double)a[i] - b[i];
        if (!(fabs(e) < 1e30))
            return INFINITY;
        d += e * e;
        s += (double)b[i] * b[i];
    }
    /* maps are of the order of 1: what is far below that (noise in, hardly any field out) need not be more exact */
    return sqrt(d / (double)n) / (sqrt(s / (double)n) + 0.02);
}
