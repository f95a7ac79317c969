/* SPDX-License-Identifier: Apache-2.0
 *
 * x * sigmoid(x) is swish, and x * min(max(x / 6 + 0.5, 0), 1) is hard swish. Exporters spell the second in three ways:
 *     x * clip(x * 1/6 + 0.5, 0, 1)     (x * clip(x + 3, 0, 6)) * 1/6     x * (clip(x + 3, 0, 6) * 1/6)
 */
#include <math.h>

#include "core/net/lower.h"

/* The layer that makes @tensor, when nobody else reads that and it is of this kind. */
static struct pd_layer *sole(struct pd_lower *lw, const struct pd_uses *u, int tensor, enum pd_layer_kind kind)
{
    int p = u->producer[tensor];
    return p >= 0 && u->count[tensor] == 1 && lw->layers[p].kind == kind ? &lw->layers[p] : NULL;
}

static bool affine_is(const struct pd_lower *lw, const struct pd_layer *l, float weight, float bias)
{
    for (int c = 0; c < lw->tensors[l->out].channels; c++)
        if (fabsf(l->weight[c] - weight) > 1e-6f || fabsf(l->bias[c] - bias) > 1e-6f)
            return false;
    return true;
}

/* clip(x * weight + bias, 0, top), of exactly @x */
static bool is_gate(struct pd_lower *lw, const struct pd_uses *u, int tensor, int x, float weight, float bias,
                    float top)
{
    struct pd_layer *clip = sole(lw, u, tensor, PD_LAYER_ACT);
    if (!clip || clip->act != PD_ACT_CLIP || clip->alpha != 0 || clip->beta != top)
        return false;
    struct pd_layer *affine = sole(lw, u, clip->in[0], PD_LAYER_AFFINE);
    return affine && affine->in[0] == x && affine_is(lw, affine, weight, bias);
}

static void become(struct pd_layer *l, int x, enum pd_act act)
{
    l->kind = PD_LAYER_ACT;
    l->act = act;
    l->n_in = 1;
    l->in[0] = x;
    l->weight = l->bias = NULL;
    l->n_weight = 0;
}

/* What x * gate is, or NONE. */
static enum pd_act match_gate(struct pd_lower *lw, const struct pd_uses *u, int x, int gate)
{
    const float sixth = 1.0f / 6;
    struct pd_layer *act = sole(lw, u, gate, PD_LAYER_ACT);
    if (act && act->act == PD_ACT_SIGMOID && act->in[0] == x)
        return PD_ACT_SWISH;
    if (is_gate(lw, u, gate, x, sixth, 0.5f, 1))
        return PD_ACT_HARDSWISH;
    struct pd_layer *scale = sole(lw, u, gate, PD_LAYER_AFFINE);
    if (scale && affine_is(lw, scale, sixth, 0) && is_gate(lw, u, scale->in[0], x, 1, 3, 6))
        return PD_ACT_HARDSWISH;
    return PD_ACT_NONE;
}

int pd_lower_swish(struct pd_lower *lw)
{
    struct pd_uses u;
    int r = pd_lower_uses(lw, &u);
    for (int i = 0; i < lw->n_layers && !r; i++) {
        struct pd_layer *l = &lw->layers[i];
        for (int k = 0; k < 2 && l->kind == PD_LAYER_MUL; k++) {
            enum pd_act act = match_gate(lw, &u, l->in[k], l->in[1 - k]);
            if (act != PD_ACT_NONE)
                become(l, l->in[k], act);
        }
        if (l->kind != PD_LAYER_AFFINE || !affine_is(lw, l, 1.0f / 6, 0))
            continue;
        struct pd_layer *mul = sole(lw, &u, l->in[0], PD_LAYER_MUL);
        for (int k = 0; k < 2 && mul && l->kind == PD_LAYER_AFFINE; k++)
            if (is_gate(lw, &u, mul->in[1 - k], mul->in[k], 1, 3, 6))
                become(l, mul->in[k], PD_ACT_HARDSWISH);
    }
    return r;
}
