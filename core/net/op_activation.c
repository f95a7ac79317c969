/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "core/net/lower.h"

static int activation(struct pd_lower *lw, enum pd_act act, float alpha, float beta, const float *slope, int n_slopes)
{
    int in;
    int r = pd_lower_any_tensor(lw, 0, &in);
    if (r < 0)
        return r;
    if (!isfinite(alpha) || !isfinite(beta))
        return pd_lower_fail(lw, -EINVAL, "a parameter is not a number");
    int i = pd_lower_layer(lw, PD_LAYER_ACT, in, -1, lw->tensors[in].channels);
    if (i < 0)
        return i;
    struct pd_layer *l = &lw->layers[i];
    l->act = act;
    l->alpha = alpha;
    l->beta = beta;
    l->slope = slope;
    l->n_slopes = n_slopes;
    return pd_lower_set_layer(lw, i, pd_lower_input(lw, 0));
}

static int leaky(struct pd_lower *lw)
{
    float *slope = pd_arena_alloc(lw->arena, 1, sizeof(*slope));
    if (!slope)
        return pd_lower_no_memory(lw);
    *slope = pd_attr_float(lw->node, "alpha", 0.01f);
    return activation(lw, PD_ACT_PRELU, 0, 0, slope, 1);
}

int pd_op_activation(struct pd_lower *lw)
{
    static const struct {
        const char *op;
        enum pd_act act;
    } simple[] = {
        {"Relu", PD_ACT_RELU},
        {"Sigmoid", PD_ACT_SIGMOID},
        {"Tanh", PD_ACT_TANH},
        {"HardSwish", PD_ACT_HARDSWISH},
    };
    for (size_t i = 0; i < PD_ARRAY_SIZE(simple); i++)
        if (!strcmp(lw->node->op, simple[i].op))
            return activation(lw, simple[i].act, 0, 0, NULL, 0);
    if (!strcmp(lw->node->op, "Elu"))
        return activation(lw, PD_ACT_ELU, pd_attr_float(lw->node, "alpha", 1), 0, NULL, 0);
    return leaky(lw);
}

/* One bound of a Clip: an attribute up to opset 10, an optional input from opset 11. */
static int clip_bound(struct pd_lower *lw, int input, const char *attr, float fallback, float *ret_bound)
{
    *ret_bound = fallback;
    if (lw->onnx->opset < 11) {
        *ret_bound = pd_attr_float(lw->node, attr, fallback);
    } else if (pd_lower_input(lw, input)) {
        struct pd_const k;
        int r = pd_lower_floats(lw, input, -1, &k);
        if (r < 0)
            return r;
        if (k.count != 1)
            return pd_lower_fail(lw, -EINVAL, "%s has %zu values; one is expected", attr, k.count);
        *ret_bound = k.f[0];
    }
    if (isnan(*ret_bound))
        return pd_lower_fail(lw, -EINVAL, "%s is not a number", attr);
    *ret_bound = PD_CLAMP(*ret_bound, -FLT_MAX, FLT_MAX);
    return 0;
}

int pd_op_clip(struct pd_lower *lw)
{
    float lo = 0, hi = 0;
    int r = clip_bound(lw, 1, "min", -FLT_MAX, &lo);
    if (!r)
        r = clip_bound(lw, 2, "max", FLT_MAX, &hi);
    if (r < 0)
        return r;
    if (lo == 0 && hi == FLT_MAX)
        return activation(lw, PD_ACT_RELU, 0, 0, NULL, 0);
    return activation(lw, PD_ACT_CLIP, lo, hi, NULL, 0);
}

int pd_op_prelu(struct pd_lower *lw)
{
    struct pd_const k;
    int in;
    int r = pd_lower_floats(lw, 1, -1, &k);
    if (!r)
        r = pd_lower_any_tensor(lw, 0, &in);
    if (r < 0)
        return r;
    int channels = lw->tensors[in].channels, axis = k.n_dims - 3;
    bool flat = pd_lower_input(lw, 0)->flat;
    bool each = k.count == (size_t)channels && !flat && axis >= 0 && axis <= 1 && k.dims[axis] == channels;
    if (k.count != 1 && !each)
        return pd_lower_fail(lw, -ENOTSUP,
                             "%zu slopes; one, or one for each of the %d channels as (c, 1, 1), is expected", k.count,
                             channels);
    return activation(lw, PD_ACT_PRELU, 0, 0, k.f, (int)k.count);
}

/* min(max(alpha * x + beta, 0), 1): an affine and a clip; fuse.c finds the swish that it is usually part of. */
int pd_op_hard_sigmoid(struct pd_lower *lw)
{
    int in;
    int r = pd_lower_any_tensor(lw, 0, &in);
    if (r < 0)
        return r;
    int channels = lw->tensors[in].channels;
    float *w = pd_arena_alloc(lw->arena, (size_t)channels, sizeof(*w));
    float *b = pd_arena_alloc(lw->arena, (size_t)channels, sizeof(*b));
    if (!w || !b)
        return pd_lower_no_memory(lw);
    for (int c = 0; c < channels; c++) {
        w[c] = pd_attr_float(lw->node, "alpha", 0.2f);
        b[c] = pd_attr_float(lw->node, "beta", 0.5f);
    }
    int affine = pd_lower_affine(lw, in, w, b);
    if (affine < 0)
        return affine;
    int clip = pd_lower_layer(lw, PD_LAYER_ACT, lw->layers[affine].out, -1, channels);
    if (clip < 0)
        return clip;
    lw->layers[clip].act = PD_ACT_CLIP;
    lw->layers[clip].beta = 1;
    return pd_lower_set_layer(lw, clip, pd_lower_input(lw, 0));
}
