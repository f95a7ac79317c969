/* SPDX-License-Identifier: Apache-2.0
 *
 * Arithmetic: between two tensors (add, multiply), or with constants per channel, which become affine layers that
 * fold.c moves into their neighbours.
 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "core/net/lower.h"

/* The constant as one value a channel. False when it would vary within a channel or widen the tensor. */
static bool per_channel(const struct pd_const *k, bool flat, int channels, float *ret_values)
{
    if (!k->f || (k->count != 1 && k->count != (size_t)channels))
        return false;
    int channel_axis = k->n_dims - (flat ? 1 : 3); /* dimensions are aligned at the end */
    if (k->count > 1 && (channel_axis < 0 || k->dims[channel_axis] != channels))
        return false;
    if (k->n_dims > (flat ? 2 : 4))
        return false;
    for (int c = 0; c < channels; c++)
        ret_values[c] = k->f[k->count == 1 ? 0 : c];
    return true;
}

/* tensor OP constant, or constant OP tensor when @reversed */
static int with_constant(struct pd_lower *lw, int tensor_input, const struct pd_const *k, bool reversed)
{
    int in;
    int r = pd_lower_any_tensor(lw, tensor_input, &in);
    if (r < 0)
        return r;
    const struct pd_value *v = pd_lower_input(lw, tensor_input);
    int channels = lw->tensors[in].channels;
    float *w = pd_arena_alloc(lw->arena, (size_t)channels, sizeof(*w));
    float *b = pd_arena_alloc(lw->arena, (size_t)channels, sizeof(*b));
    if (!w || !b)
        return pd_lower_no_memory(lw);
    /* Flattened, a constant per feature is one per channel only where h = w = 1. */
    if (!per_channel(k, v->flat, channels, w) || (v->flat && k->count > 1 && !lw->info[in].pooled))
        return pd_lower_fail(lw, -ENOTSUP, "the constant is not one value, nor one for each of the %d channels",
                             channels);
    const char *op = lw->node->op;
    for (int c = 0; c < channels; c++) {
        float value = w[c];
        if (!strcmp(op, "Mul")) {
            b[c] = 0;
        } else if (!strcmp(op, "Div")) {
            if (reversed || value == 0)
                return pd_lower_fail(lw, -ENOTSUP, reversed ? "a constant divided by a tensor" : "division by zero");
            w[c] = 1 / value;
            b[c] = 0;
        } else if (!strcmp(op, "Sub")) {
            w[c] = reversed ? -1 : 1;
            b[c] = reversed ? value : -value;
        } else {
            w[c] = 1;
            b[c] = value;
        }
    }
    return pd_lower_set_layer(lw, pd_lower_affine(lw, in, w, b), v);
}

/* tensor OP tensor */
static int with_tensor(struct pd_lower *lw)
{
    int a, b;
    int r = pd_lower_any_tensor(lw, 0, &a);
    if (!r)
        r = pd_lower_any_tensor(lw, 1, &b);
    if (r < 0)
        return r;
    const struct pd_value *va = pd_lower_input(lw, 0), *vb = pd_lower_input(lw, 1);
    const char *op = lw->node->op;
    int channels = lw->tensors[a].channels;
    if (va->flat != vb->flat || channels != lw->tensors[b].channels)
        return pd_lower_fail(lw, -ENOTSUP, "its inputs have %d and %d channels", channels, lw->tensors[b].channels);
    if (!strcmp(op, "Div"))
        return pd_lower_fail(lw, -ENOTSUP, "a tensor divided by a tensor is not supported");
    if (!strcmp(op, "Mul")) {
        bool swap = lw->info[a].pooled && !lw->info[b].pooled; /* the gate of channel attention goes second */
        return pd_lower_set_layer(lw, pd_lower_layer(lw, PD_LAYER_MUL, swap ? b : a, swap ? a : b, channels), va);
    }
    if (!strcmp(op, "Sub")) {
        float *w = pd_arena_alloc(lw->arena, (size_t)channels, sizeof(*w));
        float *zero = pd_arena_alloc(lw->arena, (size_t)channels, sizeof(*zero));
        if (!w || !zero)
            return pd_lower_no_memory(lw);
        for (int c = 0; c < channels; c++)
            w[c] = -1;
        int i = pd_lower_affine(lw, b, w, zero);
        if (i < 0)
            return i;
        b = lw->layers[i].out;
    }
    return pd_lower_set_layer(lw, pd_lower_layer(lw, PD_LAYER_ADD, a, b, channels), va);
}

/* Constant OP constant: equal shapes, or one of them a single value. */
static int fold_constants(struct pd_lower *lw, const struct pd_const *a, const struct pd_const *b)
{
    bool same = a->n_dims == b->n_dims && !memcmp(a->dims, b->dims, (size_t)a->n_dims * sizeof(a->dims[0]));
    if (!a->f || !b->f || (!same && a->count != 1 && b->count != 1))
        return pd_lower_fail(lw, -ENOTSUP, "constants of these shapes or types are not combined");
    struct pd_value v = {.kind = PD_VALUE_CONST, .k = a->count == 1 && a->n_dims < b->n_dims ? *b : *a};
    v.k.count = PD_MAX(a->count, b->count);
    if (a->count != v.k.count && b->count == v.k.count)
        memcpy(v.k.dims, b->dims, sizeof(v.k.dims)), v.k.n_dims = b->n_dims;
    if (!a->count || !b->count)
        return pd_lower_fail(lw, -EINVAL, "an input is empty");
    float *f = pd_arena_alloc(lw->arena, v.k.count, sizeof(*f));
    if (!f)
        return pd_lower_no_memory(lw);
    char op = lw->node->op[0] == 'S' && lw->node->op[2] == 'b' ? '-' : lw->node->op[0]; /* Add, Sum, Sub, Mul, Div */
    for (size_t i = 0; i < v.k.count; i++) {
        float x = a->f[a->count == 1 ? 0 : i], y = b->f[b->count == 1 ? 0 : i];
        f[i] = op == '-' ? x - y : op == 'M' ? x * y : op == 'D' ? x / y : x + y;
    }
    v.k.f = f;
    return pd_lower_set_value(lw, 0, &v);
}

int pd_op_arithmetic(struct pd_lower *lw)
{
    const struct pd_value *a = pd_lower_input(lw, 0), *b = pd_lower_input(lw, 1);
    struct pd_value left, right;
    if (pd_lower_vector(a, &left) && pd_lower_vector(b, &right))
        return pd_lower_compute(lw, &left, &right);
    if (a->kind == PD_VALUE_CONST && b->kind == PD_VALUE_CONST)
        return fold_constants(lw, &a->k, &b->k);
    if (a->kind == PD_VALUE_TENSOR && b->kind == PD_VALUE_CONST)
        return with_constant(lw, 0, &b->k, false);
    if (a->kind == PD_VALUE_CONST && b->kind == PD_VALUE_TENSOR)
        return with_constant(lw, 1, &a->k, true);
    return with_tensor(lw);
}

/* (x - mean) / sqrt(var + epsilon) * scale + shift */
int pd_op_batch_norm(struct pd_lower *lw)
{
    static const char *const what[4] = {"scale", "shift", "mean", "variance"};
    int in;
    int r = pd_lower_any_tensor(lw, 0, &in);
    if (r < 0)
        return r;
    const struct pd_value *v = pd_lower_input(lw, 0);
    int channels = lw->tensors[in].channels;
    if (pd_attr_int(lw->node, "training_mode", 0))
        return pd_lower_fail(lw, -ENOTSUP, "is in training mode; export the network for inference");
    if (v->flat && !lw->info[in].pooled)
        return pd_lower_fail(lw, -ENOTSUP, "normalises flattened features");
    struct pd_const k[4];
    for (int i = 0; i < 4; i++) {
        r = pd_lower_floats(lw, i + 1, 1, &k[i]);
        if (r < 0)
            return r;
        if (k[i].count != (size_t)channels)
            return pd_lower_fail(lw, -EINVAL, "%zu values of %s for %d channels", k[i].count, what[i], channels);
    }
    double epsilon = (double)pd_attr_float(lw->node, "epsilon", 1e-5f);
    float *w = pd_arena_alloc(lw->arena, (size_t)channels, sizeof(*w));
    float *b = pd_arena_alloc(lw->arena, (size_t)channels, sizeof(*b));
    if (!w || !b)
        return pd_lower_no_memory(lw);
    for (int c = 0; c < channels; c++) {
        double var = (double)k[3].f[c] + epsilon;
        if (!(var > 0) || isinf(var))
            return pd_lower_fail(lw, -EINVAL, "the variance of channel %d is %g", c, (double)k[3].f[c]);
        double scale = (double)k[0].f[c] / sqrt(var);
        w[c] = (float)scale;
        b[c] = (float)((double)k[1].f[c] - (double)k[2].f[c] * scale);
    }
    return pd_lower_set_layer(lw, pd_lower_affine(lw, in, w, b), v);
}
