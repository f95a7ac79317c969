/* SPDX-License-Identifier: Apache-2.0
 *
 * Residual adds and activations into the layer before them. A layer that was fused away has out == -1.
 */
#include <string.h>

#include "core/net/lower.h"

/* A convolution that could take the add of another tensor: nobody else reads it, and nothing follows its bias yet. */
static int residual_candidate(const struct pd_lower *lw, const struct pd_uses *u, int tensor)
{
    int p = u->producer[tensor];
    if (p < 0 || u->count[tensor] != 1)
        return -1;
    const struct pd_layer *l = &lw->layers[p];
    return l->kind == PD_LAYER_CONV && l->act == PD_ACT_NONE && l->residual < 0 ? p : -1;
}

/* The convolution moves to the add's place, where both of its operands have been made. */
static void fuse_add(struct pd_lower *lw, const struct pd_uses *u, int i)
{
    struct pd_layer *add = &lw->layers[i];
    int a = residual_candidate(lw, u, add->in[0]), b = residual_candidate(lw, u, add->in[1]);
    int conv = PD_MAX(a, b);
    if (conv < 0)
        return;
    struct pd_layer fused = lw->layers[conv];
    fused.residual = conv == a ? add->in[1] : add->in[0];
    fused.out = add->out;
    lw->layers[conv].out = -1;
    lw->weight_owned[i] = lw->weight_owned[conv];
    *add = fused;
}

static bool takes_activation(const struct pd_layer *l)
{
    switch (l->kind) {
    case PD_LAYER_CONV:
    case PD_LAYER_DECONV:
    case PD_LAYER_FC:
    case PD_LAYER_ADD:
    case PD_LAYER_MUL:
    case PD_LAYER_AFFINE:
        return l->act == PD_ACT_NONE;
    default:
        return false;
    }
}

static void fuse_activation(struct pd_lower *lw, struct pd_uses *u, struct pd_layer *act)
{
    int in = act->in[0], p = u->producer[in];
    if (p < 0 || u->count[in] != 1 || !takes_activation(&lw->layers[p]))
        return;
    struct pd_layer *l = &lw->layers[p];
    l->act = act->act;
    l->alpha = act->alpha;
    l->beta = act->beta;
    l->slope = act->slope;
    l->n_slopes = act->n_slopes;
    l->out = act->out;
    u->producer[act->out] = p;
    act->out = -1;
}

int pd_lower_fuse(struct pd_lower *lw)
{
    struct pd_uses u;
    int r = pd_lower_uses(lw, &u);
    if (r < 0)
        return r;
    for (int i = 0; i < lw->n_layers; i++)
        if (lw->layers[i].out >= 0 && lw->layers[i].kind == PD_LAYER_ADD && lw->layers[i].in[0] != lw->layers[i].in[1])
            fuse_add(lw, &u, i);
    pd_lower_recount(lw, &u);
    for (int i = 0; i < lw->n_layers; i++)
        if (lw->layers[i].out >= 0 && lw->layers[i].kind == PD_LAYER_ACT)
            fuse_activation(lw, &u, &lw->layers[i]);
    return 0;
}
