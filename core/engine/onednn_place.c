/* SPDX-License-Identifier: Apache-2.0
 *
 * Where every tensor of a plan lies: its physical channels, whose memory it shares, and the arena.
 */
#include <errno.h>
#include <string.h>

#include "core/engine/onednn_plan.h"

bool pd_dnn_is_depthwise(const struct pd_net *net, const struct pd_layer *l)
{
    int ci = net->tensors[l->in[0]].channels, co = net->tensors[l->out].channels;
    return l->groups > 1 && l->groups == ci && l->groups == co;
}

int pd_dnn_root(const struct pd_dnn_plan *plan, int tensor, int *ret_at)
{
    int at = 0;
    while (plan->tensors[tensor].parent >= 0) {
        at += plan->tensors[tensor].parent_at;
        tensor = plan->tensors[tensor].parent;
    }
    if (ret_at)
        *ret_at = at;
    return tensor;
}

static int round_up(int c, int block)
{
    return (c + block - 1) / block * block;
}

/* ---- physical channels ---- */

static void dense_channels(struct pd_dnn_plan *plan, struct pd_dnn_tensor *t)
{
    memcpy(t->phys, plan->identity, (size_t)t->shape.c * sizeof(*t->phys));
    t->channels = round_up(t->shape.c, plan->block);
}

/* Whether one channel in is the same channel out, so that an arrangement with holes can stay. */
static bool keeps_channels(const struct pd_dnn_plan *plan, const struct pd_layer *l)
{
    switch (l->kind) {
    case PD_LAYER_CONV:
        return pd_dnn_is_depthwise(plan->net, l);
    case PD_LAYER_DECONV:
    case PD_LAYER_FC:
        return false;
    default:
        return true;
    }
}

static void concat_channels(struct pd_dnn_plan *plan, const struct pd_layer *l)
{
    struct pd_dnn_tensor *out = &plan->tensors[l->out];
    int logical = 0, physical = 0;
    for (int k = 0; k < l->n_in; k++) {
        const struct pd_dnn_tensor *in = &plan->tensors[l->in[k]];
        for (int c = 0; c < in->shape.c; c++)
            out->phys[logical++] = physical + in->phys[c];
        physical += round_up(in->channels, plan->block);
    }
    out->channels = physical;
}

/* A slice that begins at a block lies in its input; any other is gathered into memory of its own. */
static void slice_channels(struct pd_dnn_plan *plan, const struct pd_layer *l)
{
    const struct pd_dnn_tensor *in = &plan->tensors[l->in[0]];
    struct pd_dnn_tensor *out = &plan->tensors[l->out];
    const int *from = in->phys + l->slice_from;
    if (in->plain || from[0] % plan->block) {
        dense_channels(plan, out);
        return;
    }
    for (int c = 0; c < out->shape.c; c++)
        out->phys[c] = from[c] - from[0];
    out->channels = round_up(out->phys[out->shape.c - 1] + 1, plan->block);
    out->parent = l->in[0];
    out->parent_at = from[0];
}

static void layer_channels(struct pd_dnn_plan *plan, const struct pd_layer *l)
{
    const struct pd_dnn_tensor *in = &plan->tensors[l->in[0]];
    struct pd_dnn_tensor *out = &plan->tensors[l->out];
    if (l->kind == PD_LAYER_CONCAT) {
        concat_channels(plan, l);
    } else if (l->kind == PD_LAYER_SLICE) {
        slice_channels(plan, l);
    } else if (keeps_channels(plan, l) && !in->plain) {
        memcpy(out->phys, in->phys, (size_t)out->shape.c * sizeof(*out->phys));
        out->channels = in->channels;
    } else {
        dense_channels(plan, out);
    }
}

/* ---- sharing ---- */

static void note_lives(struct pd_dnn_plan *plan)
{
    const struct pd_net *net = plan->net;
    for (int i = 0; i < net->n_tensors; i++)
        plan->tensors[i].first = plan->tensors[i].last = -1;
    for (int i = 0; i < net->n_layers; i++) {
        const struct pd_layer *l = &net->layers[i];
        plan->tensors[l->out].first = i;
        plan->tensors[l->out].last = i;
        for (int k = 0; k < l->n_in; k++)
            plan->tensors[l->in[k]].last = i;
        if (l->kind == PD_LAYER_CONV && l->residual >= 0)
            plan->tensors[l->residual].last = i;
    }
    plan->tensors[net->heat].last = net->n_layers;
    if (net->paf >= 0)
        plan->tensors[net->paf].last = net->n_layers;
}

/* Let the inputs of a concat be written where the concat wants them. One that has its place already is copied later. */
static void share_concat(struct pd_dnn_plan *plan, const struct pd_layer *l)
{
    int at = 0;
    for (int k = 0; k < l->n_in; k++) {
        struct pd_dnn_tensor *in = &plan->tensors[l->in[k]];
        if (in->parent < 0 && !in->plain && in->type == plan->tensors[l->out].type) {
            in->parent = l->out;
            in->parent_at = at;
        }
        at += round_up(in->channels, plan->block);
    }
}

/* A residual that nobody reads afterwards is added to in place. */
static void share_residual(struct pd_dnn_plan *plan, int layer)
{
    const struct pd_layer *l = &plan->net->layers[layer];
    struct pd_dnn_tensor *out = &plan->tensors[l->out], *add = &plan->tensors[l->residual];
    const struct pd_dnn_tensor *root = &plan->tensors[pd_dnn_root(plan, l->residual, NULL)];
    if (out->parent >= 0 || root->shared || add->plain || add->last != layer || add->type != out->type ||
        add->channels != out->channels || l->in[0] == l->residual ||
        memcmp(add->phys, out->phys, (size_t)out->shape.c * sizeof(*out->phys)) != 0)
        return;
    out->parent = l->residual;
    out->parent_at = 0;
}

static void share_memory(struct pd_dnn_plan *plan)
{
    const struct pd_net *net = plan->net;
    for (int i = 0; i < net->n_layers; i++)
        if (net->layers[i].kind == PD_LAYER_CONCAT)
            share_concat(plan, &net->layers[i]);
    for (int i = 0; i < net->n_tensors; i++)
        if (plan->tensors[i].parent >= 0)
            plan->tensors[pd_dnn_root(plan, i, NULL)].shared = true;
    for (int i = 0; i < net->n_layers; i++)
        if (net->layers[i].kind == PD_LAYER_CONV && net->layers[i].residual >= 0)
            share_residual(plan, i);
}

static int make_buffers(struct pd_dnn_plan *plan)
{
    const struct pd_net *net = plan->net;
    for (int i = 0; i < net->n_tensors; i++) {
        struct pd_dnn_tensor *t = &plan->tensors[i];
        t->buffer = -1;
        if (t->parent >= 0 || i == net->input || t->first < 0)
            continue;
        size_t bytes = (size_t)t->channels * (size_t)t->shape.h * (size_t)t->shape.w * dnnl_data_type_size(t->type);
        t->buffer = pd_dnn_plan_buffer(plan, bytes, t->first, t->last);
        if (t->buffer < 0)
            return t->buffer;
    }
    for (int i = 0; i < net->n_tensors; i++) {
        const struct pd_dnn_tensor *t = &plan->tensors[i];
        int root = pd_dnn_root(plan, i, NULL);
        if (root == i || plan->tensors[root].buffer < 0)
            continue;
        struct pd_dnn_buffer *b = &plan->buffers[plan->tensors[root].buffer];
        b->first = PD_MIN(b->first, t->first);
        b->last = PD_MAX(b->last, t->last);
    }
    return 0;
}

int pd_dnn_place_tensors(struct pd_dnn_plan *plan, struct pd_err *err)
{
    const struct pd_net *net = plan->net;
    note_lives(plan);
    for (int i = 0; i < net->n_tensors; i++) {
        plan->tensors[i].parent = -1;
        plan->tensors[i].type = i == net->input ? dnnl_f32 : plan->type;
    }
    struct pd_dnn_tensor *in = &plan->tensors[net->input];
    in->plain = true;
    memcpy(in->phys, plan->identity, (size_t)in->shape.c * sizeof(*in->phys));
    in->channels = in->shape.c;
    for (int i = 0; i < net->n_layers; i++)
        layer_channels(plan, &net->layers[i]);
    share_memory(plan);
    return make_buffers(plan) < 0 ? pd_err_set(err, -ENOMEM, "out of memory") : 0;
}

/* ---- the arena ---- */

static int by_size(const void *a, const void *b)
{
    const struct pd_dnn_buffer *x = *(struct pd_dnn_buffer *const *)a, *y = *(struct pd_dnn_buffer *const *)b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x->first != y->first ? (x->first < y->first ? -1 : 1) : (x < y ? -1 : x > y);
}

static bool meet(const struct pd_dnn_buffer *a, const struct pd_dnn_buffer *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* The lowest offset at which @b meets none of the @n buffers that have their place and live at the same time. */
static size_t lowest_offset(struct pd_dnn_buffer *const *placed, int n, const struct pd_dnn_buffer *b)
{
    size_t offset = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (int i = 0; i < n; i++) {
            const struct pd_dnn_buffer *p = placed[i];
            if (meet(p, b) && offset < p->offset + p->bytes && p->offset < offset + b->bytes) {
                offset = p->offset + p->bytes;
                moved = true;
            }
        }
    }
    return offset;
}

int pd_dnn_place_arena(struct pd_dnn_plan *plan, struct pd_err *err)
{
    PD_CLEANUP(pd_freep) struct pd_dnn_buffer **order = calloc((size_t)plan->n_buffers + 1, sizeof(*order));
    if (!order)
        return pd_err_set(err, -ENOMEM, "out of memory");
    for (int i = 0; i < plan->n_buffers; i++)
        order[i] = &plan->buffers[i];
    qsort(order, (size_t)plan->n_buffers, sizeof(*order), by_size);
    for (int i = 0; i < plan->n_buffers; i++) {
        order[i]->offset = lowest_offset(order, i, order[i]);
        plan->arena = PD_MAX(plan->arena, order[i]->offset + order[i]->bytes);
    }
    return 0;
}
