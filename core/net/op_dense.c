/* SPDX-License-Identifier: Apache-2.0
 *
 * Dense layers and the flattening before them. A flattened tensor is the same tensor seen as n x (c*h*w).
 */
#include <errno.h>

#include "core/net/lower.h"

static int flatten(struct pd_lower *lw)
{
    int in;
    int r = pd_lower_any_tensor(lw, 0, &in);
    if (r < 0)
        return r;
    struct pd_value flat = {.flat = true};
    return pd_lower_set(lw, 0, in, &flat);
}

int pd_op_flatten(struct pd_lower *lw)
{
    const struct pd_value *v = pd_lower_input(lw, 0);
    int64_t axis = pd_attr_int(lw->node, "axis", 1);
    if (axis != 1 && axis != (v->flat ? -1 : -3))
        return pd_lower_fail(lw, -ENOTSUP, "axis %lld; only axis 1 is supported", (long long)axis);
    return flatten(lw);
}

static bool is_known(const struct pd_value *shape, int i, int64_t value)
{
    return shape->axis[i] < 0 && shape->v[i] == value;
}

/* n x c seen as an image of one sample again, n x c x 1 x 1: the way back of a channel attention with dense layers. */
static bool is_one_sample(const struct pd_lower *lw, const struct pd_value *data, const struct pd_value *shape)
{
    if (!lw->info[data->tensor].pooled || shape->n != 4 || !is_known(shape, 2, 1) || !is_known(shape, 3, 1))
        return false;
    bool batch = shape->axis[0] == 0 || is_known(shape, 0, 0) || is_known(shape, 0, 1) || is_known(shape, 0, -1);
    int channels = lw->tensors[data->tensor].channels;
    return batch && (shape->axis[1] == 1 || is_known(shape, 1, channels) ||
                     (is_known(shape, 1, -1) && !is_known(shape, 0, -1)));
}

/* Constants of integers keep their values under a new shape; a tensor may only be flattened, or a flat one of single
 * samples be made an image of them. */
int pd_op_reshape(struct pd_lower *lw)
{
    const struct pd_value *data = pd_lower_input(lw, 0);
    struct pd_value shape;
    if (!pd_lower_vector(pd_lower_input(lw, 1), &shape))
        return pd_lower_fail(lw, -ENOTSUP, "the new shape must be a constant, or computed from a shape");
    if (data->kind == PD_VALUE_TENSOR && is_one_sample(lw, data, &shape)) {
        int in;
        int r = pd_lower_any_tensor(lw, 0, &in);
        return r < 0 ? r : pd_lower_set(lw, 0, in, NULL);
    }
    if (data->kind == PD_VALUE_TENSOR) {
        bool batch =
            shape.n == 2 && (shape.axis[0] == 0 || (shape.axis[0] < 0 && (shape.v[0] == 0 || shape.v[0] == 1)));
        bool rest = shape.n == 2 && shape.axis[1] < 0 && (shape.v[1] == -1 || shape.v[1] > 0);
        if (!(batch && rest) && !(shape.n == 2 && shape.axis[0] < 0 && shape.v[0] == -1 && rest && shape.v[1] > 0))
            return pd_lower_fail(lw, -ENOTSUP, "only a reshape to n x (c*h*w) is supported");
        return flatten(lw);
    }
    if (data->kind == PD_VALUE_SHAPE)
        return pd_lower_reshape_integers(lw, data, &shape);
    struct pd_value v = *data;
    size_t known = 1;
    int open = -1;
    v.k.n_dims = shape.n;
    for (int i = 0; i < shape.n; i++) {
        int64_t d = shape.v[i] == 0 && i < data->k.n_dims ? data->k.dims[i] : shape.v[i];
        v.k.dims[i] = d;
        if (shape.axis[i] >= 0 || d < -1 || (d == -1 && open >= 0))
            return pd_lower_fail(lw, -EINVAL, "dimension %d of the new shape is not known", i);
        if (d == -1)
            open = i;
        else if (pd_mul_overflows(known, (size_t)d, &known))
            return pd_lower_fail(lw, -EINVAL, "the new shape is too large");
    }
    if (open >= 0 && known && v.k.count % known == 0)
        v.k.dims[open] = (int64_t)(v.k.count / known);
    else if (open >= 0 || known != v.k.count)
        return pd_lower_fail(lw, -EINVAL, "%zu values do not fit the new shape", v.k.count);
    return pd_lower_set_value(lw, 0, &v);
}

/* A dense layer from weights (out, in), or (in, out), which are turned round. */
static int dense(struct pd_lower *lw, const struct pd_const *w, bool out_first, const float *bias, float alpha)
{
    int in;
    int r = pd_lower_any_tensor(lw, 0, &in);
    if (r < 0)
        return r;
    const struct pd_value *v = pd_lower_input(lw, 0);
    if (!v->flat)
        return pd_lower_fail(lw, -ENOTSUP, "input 0 is an image; a Flatten is expected before it");
    size_t co = (size_t)w->dims[out_first ? 0 : 1], ci = (size_t)w->dims[out_first ? 1 : 0];
    size_t channels = (size_t)lw->tensors[in].channels;
    if (!co || !ci || co > 1 << 20 || ci % channels || (lw->info[in].pooled && ci != channels))
        return pd_lower_fail(lw, -EINVAL, "weights for %zu inputs and %zu outputs do not fit %zu channels", ci, co,
                             channels);
    const float *weight = w->f;
    if (!out_first || alpha != 1) {
        float *turned = pd_arena_alloc(lw->arena, w->count, sizeof(*turned));
        if (!turned)
            return pd_lower_no_memory(lw);
        for (size_t o = 0; o < co; o++)
            for (size_t i = 0; i < ci; i++)
                turned[o * ci + i] = alpha * w->f[out_first ? o * ci + i : i * co + o];
        weight = turned;
    }
    int i = pd_lower_layer(lw, PD_LAYER_FC, in, -1, (int)co);
    if (i < 0)
        return i;
    lw->layers[i].weight = weight;
    lw->layers[i].n_weight = w->count;
    lw->layers[i].bias = bias;
    lw->info[lw->layers[i].out].pooled = true;
    return pd_lower_set_layer(lw, i, v);
}

int pd_op_gemm(struct pd_lower *lw)
{
    struct pd_const w, b = {0};
    int r = pd_lower_floats(lw, 1, 2, &w);
    if (r < 0)
        return r;
    bool out_first = pd_attr_int(lw->node, "transB", 0) != 0;
    float alpha = pd_attr_float(lw->node, "alpha", 1), beta = pd_attr_float(lw->node, "beta", 1);
    if (pd_attr_int(lw->node, "transA", 0))
        return pd_lower_fail(lw, -ENOTSUP, "transA is not supported");
    float *bias = NULL;
    if (pd_lower_input(lw, 2)) {
        r = pd_lower_floats(lw, 2, -1, &b);
        if (r < 0)
            return r;
        size_t co = (size_t)w.dims[out_first ? 0 : 1];
        if (b.count != 1 && (b.count != co || b.n_dims < 1 || b.dims[b.n_dims - 1] != (int64_t)co))
            return pd_lower_fail(lw, -EINVAL, "%zu bias values for %zu outputs", b.count, co);
        bias = pd_arena_alloc(lw->arena, co, sizeof(*bias));
        if (!bias)
            return pd_lower_no_memory(lw);
        for (size_t o = 0; o < co; o++)
            bias[o] = beta * b.f[b.count == 1 ? 0 : o];
    }
    return dense(lw, &w, out_first, bias, alpha);
}

int pd_op_matmul(struct pd_lower *lw)
{
    struct pd_const w;
    int r = pd_lower_floats(lw, 1, 2, &w);
    return r < 0 ? r : dense(lw, &w, false, NULL, 1);
}
