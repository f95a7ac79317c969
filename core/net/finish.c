/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of lowering: what is left is numbered anew, stages are told apart, weights move into one block.
 */
#include <errno.h>
#include <string.h>

#include "core/net/lower.h"

/* ---- numbering ---- */

static int compact(struct pd_lower *lw)
{
    int r = pd_lower_prune(lw);
    int *number = pd_arena_alloc(lw->arena, (size_t)lw->n_tensors, sizeof(int));
    bool *kept = pd_arena_alloc(lw->arena, (size_t)lw->n_tensors, sizeof(bool));
    if (r < 0 || !number || !kept)
        return r < 0 ? r : pd_lower_no_memory(lw);
    kept[lw->input] = true;
    for (int i = 0; i < lw->n_layers; i++)
        if (lw->layers[i].out >= 0)
            kept[lw->layers[i].out] = true;
    int n = 0;
    for (int t = 0; t < lw->n_tensors; t++) {
        if (!kept[t])
            continue;
        number[t] = n;
        lw->tensors[n] = lw->tensors[t];
        lw->tensors[n++].producer = -1;
    }
    lw->n_tensors = n;
    n = 0;
    for (int i = 0; i < lw->n_layers; i++) {
        struct pd_layer l = lw->layers[i];
        if (l.out < 0)
            continue;
        for (int k = 0; k < l.n_in; k++)
            l.in[k] = number[l.in[k]];
        if (l.residual >= 0)
            l.residual = number[l.residual];
        l.out = number[l.out];
        lw->tensors[l.out].producer = n;
        lw->layers[n++] = l;
    }
    lw->n_layers = n;
    lw->input = number[lw->input];
    lw->heat = number[lw->heat];
    lw->paf = lw->paf >= 0 ? number[lw->paf] : -1;
    return 0;
}

/* ---- stages ---- */

static bool is_map(const struct pd_lower *lw, int tensor)
{
    int c = lw->tensors[tensor].channels;
    return c == lw->tensors[lw->heat].channels || c == lw->tensors[lw->paf].channels;
}

/* The features that a refinement stage reads beside the maps of the stage before it; -1: @l is no such concat. */
static int stage_features(const struct pd_lower *lw, const struct pd_layer *l)
{
    int features = -1, maps = 0;
    if (l->kind != PD_LAYER_CONCAT)
        return -1;
    for (int k = 0; k < l->n_in; k++) {
        if (is_map(lw, l->in[k]))
            maps++;
        else if (features < 0 || lw->tensors[l->in[k]].channels > lw->tensors[features].channels)
            features = l->in[k];
    }
    return maps ? features : -1;
}

/* Stage 0 is all that the features depend on; then each concat of features and maps begins another stage. */
static int number_stages(struct pd_lower *lw)
{
    int features = -1;
    for (int i = 0; i < lw->n_layers && features < 0 && lw->paf >= 0; i++)
        features = stage_features(lw, &lw->layers[i]);
    if (features < 0)
        return 0;
    bool *before = pd_arena_alloc(lw->arena, (size_t)lw->n_tensors, sizeof(bool));
    if (!before)
        return pd_lower_no_memory(lw);
    before[features] = true;
    for (int i = lw->n_layers - 1; i >= 0; i--) {
        const struct pd_layer *l = &lw->layers[i];
        for (int k = 0; k < l->n_in && before[l->out]; k++)
            before[l->in[k]] = true;
        if (before[l->out] && l->residual >= 0)
            before[l->residual] = true;
    }
    for (int i = 0; i < lw->n_layers; i++) {
        struct pd_layer *l = &lw->layers[i];
        if (before[l->out])
            continue;
        int stage = 1;
        for (int k = 0; k < l->n_in; k++)
            if (lw->tensors[l->in[k]].producer >= 0)
                stage = PD_MAX(stage, lw->layers[lw->tensors[l->in[k]].producer].stage);
        l->stage = stage + (stage_features(lw, l) >= 0);
    }
    return 0;
}

/* ---- weights ---- */

struct blob {
    const float *from;
    size_t n, at; /* floats, and their place in the block */
};

struct blobs {
    struct blob *blob;
    size_t n;
};

static int compare_blobs(const void *a, const void *b)
{
    const struct blob *x = a, *y = b;
    if (x->from != y->from)
        return (uintptr_t)x->from < (uintptr_t)y->from ? -1 : 1;
    return (x->n > y->n) - (x->n < y->n);
}

static void add_blob(struct blobs *bs, const float *from, size_t n)
{
    if (from && n)
        bs->blob[bs->n++] = (struct blob){.from = from, .n = n};
}

static const float *moved(const struct blobs *bs, const float *storage, const float *from, size_t n)
{
    struct blob key = {.from = from, .n = n};
    const struct blob *b = from && n ? bsearch(&key, bs->blob, bs->n, sizeof(key), compare_blobs) : NULL;
    return b ? storage + b->at : NULL;
}

/* Weights that several layers share stay shared, so that the block is never larger than what was read. */
static int move_weights(struct pd_lower *lw, struct pd_net *net)
{
    struct blobs bs = {.blob = pd_arena_alloc(lw->arena, (size_t)net->n_layers * 3, sizeof(*bs.blob))};
    if (!bs.blob)
        return pd_lower_no_memory(lw);
    for (int i = 0; i < net->n_layers; i++) {
        const struct pd_layer *l = &net->layers[i];
        add_blob(&bs, l->weight, l->n_weight);
        add_blob(&bs, l->bias, (size_t)net->tensors[l->out].channels);
        add_blob(&bs, l->slope, (size_t)l->n_slopes);
    }
    qsort(bs.blob, bs.n, sizeof(*bs.blob), compare_blobs);
    size_t n = 0, total = 0;
    for (size_t i = 0; i < bs.n; i++) {
        if (n && !compare_blobs(&bs.blob[n - 1], &bs.blob[i]))
            continue;
        bs.blob[n] = bs.blob[i];
        bs.blob[n++].at = total;
        total += (bs.blob[i].n + 15) & ~(size_t)15; /* each begins on a 64-byte line */
    }
    bs.n = n;
    float *storage = pd_alloc_aligned(total * sizeof(*storage));
    if (!storage)
        return pd_lower_no_memory(lw);
    net->storage = storage;
    for (size_t i = 0; i < bs.n; i++)
        memcpy(storage + bs.blob[i].at, bs.blob[i].from, bs.blob[i].n * sizeof(*storage));
    for (int i = 0; i < net->n_layers; i++) {
        struct pd_layer *l = &net->layers[i];
        l->weight = moved(&bs, storage, l->weight, l->n_weight);
        l->bias = moved(&bs, storage, l->bias, (size_t)net->tensors[l->out].channels);
        l->slope = moved(&bs, storage, l->slope, (size_t)l->n_slopes);
    }
    return 0;
}

int pd_lower_finish(struct pd_lower *lw, struct pd_net **ret_net)
{
    int r = compact(lw);
    if (!r)
        r = number_stages(lw);
    if (r < 0)
        return r;
    if (!lw->n_layers || lw->n_layers > PD_NET_LAYERS_MAX)
        return pd_err_set(lw->err, -ENOTSUP, "%s: %d layers; 1 to %d are expected", lw->onnx->file, lw->n_layers,
                          PD_NET_LAYERS_MAX);
    struct pd_net *net = calloc(1, sizeof(*net));
    if (!net)
        return pd_lower_no_memory(lw);
    *net = (struct pd_net){.meta = lw->meta,
                           .n_tensors = lw->n_tensors,
                           .n_layers = lw->n_layers,
                           .input = lw->input,
                           .heat = lw->heat,
                           .paf = lw->paf};
    net->tensors = calloc((size_t)net->n_tensors, sizeof(*net->tensors));
    net->layers = calloc((size_t)net->n_layers, sizeof(*net->layers));
    if (!net->tensors || !net->layers) {
        pd_net_destroy(net);
        return pd_lower_no_memory(lw);
    }
    memcpy(net->tensors, lw->tensors, (size_t)net->n_tensors * sizeof(*net->tensors));
    memcpy(net->layers, lw->layers, (size_t)net->n_layers * sizeof(*net->layers));
    r = move_weights(lw, net);
    if (r < 0) {
        pd_net_destroy(net);
        return r;
    }
    *ret_net = net;
    return 0;
}
