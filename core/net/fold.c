/* SPDX-License-Identifier: Apache-2.0
 *
 * Folding of per-channel x * w + b: into one another, into the convolution before or after, into the normalisation of
 * the network's input. A layer that was folded away has out == -1.
 */
#include <math.h>
#include <string.h>

#include "core/net/lower.h"

/* Everything that read @from now reads @to. */
static void redirect(struct pd_lower *lw, int *replaced, int from, int to)
{
    replaced[from] = to;
    if (lw->heat == from)
        lw->heat = to;
    if (lw->paf == from)
        lw->paf = to;
}

static int resolve(const int *replaced, int tensor)
{
    while (replaced[tensor] >= 0)
        tensor = replaced[tensor];
    return tensor;
}

/* Weights and bias of @l that may be written to. */
static int own_weights(struct pd_lower *lw, int layer)
{
    struct pd_layer *l = &lw->layers[layer];
    size_t co = (size_t)lw->tensors[l->out].channels;
    if (lw->weight_owned[layer])
        return 0;
    float *w = pd_arena_alloc(lw->arena, l->n_weight, sizeof(*w));
    float *b = pd_arena_alloc(lw->arena, co, sizeof(*b));
    if (!w || !b)
        return pd_lower_no_memory(lw);
    memcpy(w, l->weight, l->n_weight * sizeof(*w));
    if (l->bias)
        memcpy(b, l->bias, co * sizeof(*b));
    l->weight = w;
    l->bias = b;
    lw->weight_owned[layer] = true;
    return 0;
}

/* The affine comes after @layer: scale each output channel. */
static int fold_after(struct pd_lower *lw, int layer, const struct pd_layer *affine)
{
    int r = own_weights(lw, layer);
    if (r < 0)
        return r;
    struct pd_layer *l = &lw->layers[layer];
    float *w = (float *)l->weight, *b = (float *)l->bias; /* owned */
    size_t co = (size_t)lw->tensors[l->out].channels;
    if (l->kind == PD_LAYER_AFFINE || l->kind == PD_LAYER_CONV || l->kind == PD_LAYER_FC) {
        size_t each = l->n_weight / co;
        for (size_t o = 0; o < co; o++)
            for (size_t i = 0; i < each; i++)
                w[o * each + i] *= affine->weight[o];
    } else { /* DECONV: (ci, co / groups, kh, kw) */
        size_t ci = (size_t)lw->tensors[l->in[0]].channels, per_group = co / (size_t)l->groups;
        size_t k = (size_t)l->kh * (size_t)l->kw, ci_group = ci / (size_t)l->groups;
        for (size_t i = 0; i < ci; i++)
            for (size_t o = 0; o < per_group; o++)
                for (size_t j = 0; j < k; j++)
                    w[(i * per_group + o) * k + j] *= affine->weight[i / ci_group * per_group + o];
    }
    for (size_t o = 0; o < co; o++)
        b[o] = b[o] * affine->weight[o] + affine->bias[o];
    return 0;
}

static bool is_zero(const float *f, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (f[i] != 0)
            return false;
    return true;
}

/* Whether an affine before @l can go into its weights: not its offset through padding, which adds zeros, not offsets.
 */
static bool can_fold_before(const struct pd_lower *lw, const struct pd_layer *affine, const struct pd_layer *l)
{
    bool padded = l->pad_top || l->pad_left || l->pad_bottom || l->pad_right;
    return l->kind == PD_LAYER_CONV && affine->act == PD_ACT_NONE && l->residual != affine->out &&
           (!padded || is_zero(affine->bias, (size_t)lw->tensors[affine->out].channels));
}

static int fold_before(struct pd_lower *lw, const struct pd_layer *affine, int layer)
{
    int r = own_weights(lw, layer);
    if (r < 0)
        return r;
    struct pd_layer *l = &lw->layers[layer];
    float *w = (float *)l->weight, *b = (float *)l->bias; /* owned */
    size_t co = (size_t)lw->tensors[l->out].channels, ci = (size_t)lw->tensors[l->in[0]].channels / (size_t)l->groups;
    size_t k = (size_t)l->kh * (size_t)l->kw, co_group = co / (size_t)l->groups;
    for (size_t o = 0; o < co; o++) {
        double shift = 0;
        for (size_t i = 0; i < ci; i++) {
            size_t from = o / co_group * ci + i;
            for (size_t j = 0; j < k; j++) {
                float *at = &w[(o * ci + i) * k + j];
                shift += (double)*at * (double)affine->bias[from];
                *at *= affine->weight[from];
            }
        }
        b[o] = (float)((double)b[o] + shift);
    }
    return 0;
}

/* x_net = ((v - mean) * scale) * w + b, as another mean and scale. False when it cannot be said so. */
static bool fold_into_input(struct pd_lower *lw, const struct pd_layer *affine)
{
    struct pd_normalise n = lw->meta.input;
    for (int c = 0; c < 3; c++) {
        double scale = (double)n.scale[c] * (double)affine->weight[c];
        double mean = (double)n.mean[c] - (double)affine->bias[c] / scale;
        n.scale[c] = (float)scale;
        n.mean[c] = (float)mean;
        if (!isnormal(n.scale[c]) || !isfinite(n.mean[c]))
            return false;
    }
    lw->meta.input = n;
    return true;
}

static bool is_identity(const struct pd_lower *lw, const struct pd_layer *affine)
{
    for (int c = 0; c < lw->tensors[affine->out].channels; c++)
        if (affine->weight[c] != 1 || affine->bias[c] != 0)
            return false;
    return true;
}

/* Into what made its input. Returns 1 when folded, 0 when not, or an error. */
static int fold_backward(struct pd_lower *lw, const struct pd_uses *u, struct pd_layer *affine)
{
    int in = affine->in[0];
    if (in == lw->input && (affine->out == lw->heat || affine->out == lw->paf))
        return 0;
    if (is_identity(lw, affine))
        return 1;
    if (u->count[in] != 1)
        return 0;
    if (in == lw->input)
        return fold_into_input(lw, affine);
    struct pd_layer *p = &lw->layers[u->producer[in]];
    bool linear =
        p->kind == PD_LAYER_CONV || p->kind == PD_LAYER_DECONV || p->kind == PD_LAYER_FC || p->kind == PD_LAYER_AFFINE;
    if (!linear || p->act != PD_ACT_NONE)
        return 0;
    int r = fold_after(lw, u->producer[in], affine);
    return r < 0 ? r : 1;
}

/* What @affine made is now made by its input. */
static void drop(struct pd_lower *lw, struct pd_uses *u, int *replaced, struct pd_layer *affine)
{
    int in = affine->in[0], out = affine->out;
    if (in != lw->input && u->count[in] == 1) /* the output keeps the name that the file gave it */
        memcpy(lw->tensors[in].name, lw->tensors[out].name, PD_NAME_MAX);
    redirect(lw, replaced, out, in);
    u->count[in] += u->count[out] - 1;
    affine->out = -1;
}

/* Every affine layer into what made its input; @chains: only those behind another affine layer. */
static int fold_all_backward(struct pd_lower *lw, struct pd_uses *u, int *replaced, bool chains)
{
    for (int i = 0; i < lw->n_layers; i++) {
        struct pd_layer *l = &lw->layers[i];
        if (l->out < 0)
            continue;
        for (int k = 0; k < l->n_in; k++)
            l->in[k] = resolve(replaced, l->in[k]);
        if (l->kind != PD_LAYER_AFFINE)
            continue;
        int p = u->producer[l->in[0]];
        if (chains && !is_identity(lw, l) && (p < 0 || lw->layers[p].kind != PD_LAYER_AFFINE))
            continue;
        int r = fold_backward(lw, u, l);
        if (r < 0)
            return r;
        if (r > 0)
            drop(lw, u, replaced, l);
    }
    pd_lower_recount(lw, u);
    return 0;
}

/* What is left into the convolution behind it. */
static int fold_all_forward(struct pd_lower *lw, const struct pd_uses *u)
{
    for (int i = 0; i < lw->n_layers; i++) {
        struct pd_layer *a = &lw->layers[i];
        if (a->out < 0 || a->kind != PD_LAYER_AFFINE || u->count[a->out] != 1 || u->reader[a->out] < 0 ||
            !can_fold_before(lw, a, &lw->layers[u->reader[a->out]]))
            continue;
        int r = fold_before(lw, a, u->reader[a->out]);
        if (r < 0)
            return r;
        lw->layers[u->reader[a->out]].in[0] = a->in[0];
        a->out = -1;
    }
    return 0;
}

int pd_lower_fold(struct pd_lower *lw)
{
    struct pd_uses u;
    int r = pd_lower_uses(lw, &u);
    int *replaced = pd_arena_alloc(lw->arena, (size_t)lw->n_tensors, sizeof(*replaced));
    if (r < 0 || !replaced)
        return r < 0 ? r : pd_lower_no_memory(lw);
    memset(replaced, 0xff, (size_t)lw->n_tensors * sizeof(*replaced));
    /* First affine into affine, so that a long chain costs its channels and not the convolution's weights each time. */
    r = fold_all_backward(lw, &u, replaced, true);
    if (r == 0)
        r = fold_all_backward(lw, &u, replaced, false);
    return r < 0 ? r : fold_all_forward(lw, &u);
}
