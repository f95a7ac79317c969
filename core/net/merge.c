/* SPDX-License-Identifier: Apache-2.0
 *
 * Sibling convolutions as one: the two branches of an OpenPose stage begin with convolutions of the same shape on the
 * same maps, which one convolution of twice the output channels computes while it reads its input once.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/net/net.h"

struct merge {
    const struct pd_net *from;
    struct pd_net *to;
    int *leader;   /* per layer: the first of its siblings; itself when it has none */
    int *siblings; /* per leader: how many, itself included */
    int n_groups;
    float *free_space; /* of the new block */
};

static bool may_merge(const struct pd_layer *a, const struct pd_layer *b)
{
    return a->kind == PD_LAYER_CONV && b->kind == PD_LAYER_CONV && a->in[0] == b->in[0] && a->groups == 1 &&
           b->groups == 1 && a->residual < 0 && b->residual < 0 && a->kh == b->kh && a->kw == b->kw &&
           a->stride_y == b->stride_y && a->stride_x == b->stride_x && a->dilation_y == b->dilation_y &&
           a->dilation_x == b->dilation_x && a->pad_top == b->pad_top && a->pad_left == b->pad_left &&
           a->pad_bottom == b->pad_bottom && a->pad_right == b->pad_right && a->act == b->act && a->alpha == b->alpha &&
           a->beta == b->beta;
}

static size_t padded(size_t floats)
{
    return (floats + 15) & ~(size_t)15; /* each array begins on a 64-byte line */
}

/* Returns the floats that the merged layers need. */
static size_t find_groups(struct merge *m)
{
    const struct pd_net *net = m->from;
    size_t floats = 0;
    for (int i = 0; i < net->n_layers; i++) {
        if (m->siblings[m->leader[i]] > 0)
            continue; /* counted with its leader */
        size_t weights = net->layers[i].n_weight, channels = (size_t)net->tensors[net->layers[i].out].channels;
        m->siblings[i] = 1;
        for (int k = i + 1; k < net->n_layers; k++) {
            if (m->leader[k] != k || !may_merge(&net->layers[i], &net->layers[k]))
                continue;
            m->leader[k] = i;
            m->siblings[i]++;
            weights += net->layers[k].n_weight;
            channels += (size_t)net->tensors[net->layers[k].out].channels;
        }
        if (m->siblings[i] == 1)
            continue;
        m->n_groups++;
        floats += padded(weights) + 2 * padded(channels);
    }
    return floats;
}

static float *take(struct merge *m, size_t floats)
{
    float *p = m->free_space;
    m->free_space += padded(floats);
    return p;
}

/* Weights, biases and slopes of all siblings of @leader, one after the other, into @l. */
static void join_weights(struct merge *m, int leader, struct pd_layer *l, int channels)
{
    const struct pd_net *net = m->from;
    size_t n_weight = 0;
    for (int i = leader; i < net->n_layers; i++)
        n_weight += m->leader[i] == leader ? net->layers[i].n_weight : 0;
    float *w = take(m, n_weight), *b = take(m, (size_t)channels), *s = take(m, (size_t)channels);
    l->weight = w;
    l->n_weight = n_weight;
    l->bias = b;
    if (l->act == PD_ACT_PRELU) {
        l->slope = s;
        l->n_slopes = channels;
    }
    for (int i = leader; i < net->n_layers; i++) {
        const struct pd_layer *one = &net->layers[i];
        if (m->leader[i] != leader)
            continue;
        memcpy(w, one->weight, one->n_weight * sizeof(*w));
        w += one->n_weight;
        for (int c = 0; c < net->tensors[one->out].channels; c++) {
            *b++ = one->bias ? one->bias[c] : 0;
            *s++ = one->n_slopes ? one->slope[one->n_slopes == 1 ? 0 : c] : 0;
        }
    }
}

static int slice_of(struct merge *m, int tensor, const struct pd_layer *one, int from)
{
    struct pd_net *to = m->to;
    struct pd_layer *l = &to->layers[to->n_layers];
    *l = (struct pd_layer){.kind = PD_LAYER_SLICE, .stage = one->stage, .n_in = 1, .in = {tensor}, .out = one->out};
    l->kh = l->kw = l->stride_y = l->stride_x = l->dilation_y = l->dilation_x = l->groups = 1;
    l->scale_y = l->scale_x = 1;
    l->residual = -1;
    l->slice_from = from;
    memcpy(l->name, one->name, sizeof(l->name));
    to->tensors[l->out].producer = to->n_layers++;
    return from + to->tensors[l->out].channels;
}

/* The merged convolution, then a slice for each sibling: all of them are made where the first one was. */
static void merge_group(struct merge *m, int leader)
{
    const struct pd_net *net = m->from;
    struct pd_net *to = m->to;
    int tensor = to->n_tensors++, channels = 0;
    for (int i = leader; i < net->n_layers; i++)
        channels += m->leader[i] == leader ? net->tensors[net->layers[i].out].channels : 0;
    to->tensors[tensor] = (struct pd_tensor){.channels = channels, .producer = to->n_layers};
    struct pd_layer *l = &to->layers[to->n_layers++];
    *l = net->layers[leader];
    l->out = tensor;
    snprintf(l->name, sizeof(l->name), "%.80s+%d", net->layers[leader].name, m->siblings[leader] - 1);
    memcpy(to->tensors[tensor].name, l->name, sizeof(l->name));
    join_weights(m, leader, l, channels);
    int from = 0;
    for (int i = leader; i < net->n_layers; i++)
        if (m->leader[i] == leader)
            from = slice_of(m, tensor, &net->layers[i], from);
}

static int build(struct merge *m, size_t floats)
{
    const struct pd_net *net = m->from;
    size_t n_tensors = (size_t)net->n_tensors + (size_t)m->n_groups;
    size_t n_layers = (size_t)net->n_layers + (size_t)m->n_groups;
    struct pd_net *to = m->to = calloc(1, sizeof(*to));
    if (!to)
        return -ENOMEM;
    *to = *net;
    to->n_layers = 0;
    to->tensors = calloc(n_tensors, sizeof(*to->tensors));
    to->layers = calloc(n_layers, sizeof(*to->layers));
    to->storage = pd_alloc_aligned(floats * sizeof(float));
    if (!to->tensors || !to->layers || !to->storage)
        return -ENOMEM;
    m->free_space = to->storage;
    memcpy(to->tensors, net->tensors, (size_t)net->n_tensors * sizeof(*to->tensors));
    for (int i = 0; i < net->n_layers; i++) {
        if (m->leader[i] != i)
            continue; /* made with its leader */
        if (m->siblings[i] > 1) {
            merge_group(m, i);
            continue;
        }
        to->tensors[net->layers[i].out].producer = to->n_layers;
        to->layers[to->n_layers++] = net->layers[i];
    }
    return 0;
}

int pd_net_merge_siblings(const struct pd_net *net, struct pd_net **ret_net)
{
    struct merge m = {.from = net,
                      .leader = calloc((unsigned)net->n_layers, sizeof(int)),
                      .siblings = calloc((unsigned)net->n_layers, sizeof(int))};
    int r = -ENOMEM;
    if (m.leader && m.siblings) {
        for (int i = 0; i < net->n_layers; i++)
            m.leader[i] = i;
        size_t floats = find_groups(&m);
        r = build(&m, floats);
    }
    if (r < 0)
        pd_net_destroy(m.to);
    else
        *ret_net = m.to;
    free(m.leader);
    free(m.siblings);
    return r;
}
