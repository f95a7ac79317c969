/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "core/engine/onednn_plan.h"

struct entry {
    struct entry *next;
    enum pd_dnn_weight_kind kind;
    struct pd_dnn_md md;
    dnnl_memory_t memory;
    void *data;
};

struct pd_dnn_weights {
    struct pd_dnn *dnn;
    int n_layers;
    size_t bytes;
    struct entry *layer[]; /* lists */
};

int pd_dnn_weights_create(struct pd_dnn *dnn, int n_layers, struct pd_dnn_weights **ret_weights)
{
    struct pd_dnn_weights *w = calloc(1, sizeof(*w) + (size_t)n_layers * sizeof(w->layer[0]));
    if (!w)
        return -ENOMEM;
    w->dnn = dnn;
    w->n_layers = n_layers;
    *ret_weights = w;
    return 0;
}

static void entry_destroy(struct entry *e)
{
    if (e->memory)
        dnnl_memory_destroy(e->memory);
    free(e->data);
    free(e);
}

void pd_dnn_weights_destroy(struct pd_dnn_weights *w)
{
    if (!w)
        return;
    for (int i = 0; i < w->n_layers; i++) {
        for (struct entry *e = w->layer[i], *next; e; e = next) {
            next = e->next;
            entry_destroy(e);
        }
    }
    free(w);
}

size_t pd_dnn_weights_bytes(const struct pd_dnn_weights *w)
{
    return w->bytes;
}

/* Where weight (o, i) of group g goes among the physical weights, in units of one kernel; channels within the group. */
static size_t kernel_at(const struct pd_dnn_spread *s, int layer_groups, int o, int i)
{
    int co_group = s->c_out / layer_groups, ci_group = s->c_in / layer_groups, g = o / co_group;
    if (s->groups > 1 && ci_group == 1 && co_group == 1) /* depthwise: one kernel a physical channel */
        return (size_t)s->out[o];
    if (s->groups > 1)
        return (size_t)o * (size_t)ci_group + (size_t)i;
    return (size_t)s->out[o] * (size_t)s->n_in + (size_t)s->in[g * ci_group + i];
}

/* Physical weights of a convolution (g, o, i, y, x), of a transposed one likewise although the network keeps its input
 * channels first. */
static void spread_conv(const struct pd_layer *l, const struct pd_dnn_spread *s, float *to)
{
    size_t area = (size_t)l->kh * (size_t)l->kw;
    int groups = PD_MAX(l->groups, 1), ci_group = s->c_in / groups, co_group = s->c_out / groups;
    for (int o = 0; o < s->c_out; o++) {
        for (int i = 0; i < ci_group; i++) {
            size_t from = (size_t)o * (size_t)ci_group + (size_t)i;
            if (l->kind == PD_LAYER_DECONV) /* (ci, co / groups, kh, kw) */
                from = (size_t)(o / co_group * ci_group + i) * (size_t)co_group + (size_t)(o % co_group);
            memcpy(to + kernel_at(s, groups, o, i) * area, l->weight + from * area, area * sizeof(*to));
        }
    }
}

/* Rows of a dense layer; its input is compact, only the output has holes. */
static void spread_fc(const struct pd_layer *l, const struct pd_dnn_spread *s, float *to)
{
    size_t row = l->n_weight / (size_t)s->c_out;
    for (int o = 0; o < s->c_out; o++)
        memcpy(to + (size_t)s->out[o] * row, l->weight + (size_t)o * row, row * sizeof(*to));
}

static void spread_vector(const float *from, int n_from, const struct pd_dnn_spread *s, float *to)
{
    for (int o = 0; o < s->c_out; o++)
        to[s->out[o]] = from[n_from == 1 ? 0 : o];
}

static void spread(const struct pd_layer *l, const struct pd_dnn_spread *s, float *to)
{
    if (s->kind == PD_DNN_BIAS)
        spread_vector(l->bias, s->c_out, s, to);
    else if (s->kind == PD_DNN_SLOPES)
        spread_vector(l->slope, l->n_slopes, s, to);
    else if (l->kind == PD_LAYER_AFFINE)
        spread_vector(l->weight, s->c_out, s, to);
    else if (l->kind == PD_LAYER_FC)
        spread_fc(l, s, to);
    else
        spread_conv(l, s, to);
}

/* Convert @from, dense as @dense says, into @e. */
static int reorder_into(struct pd_dnn *dnn, const struct pd_dnn_md *dense, float *from, struct entry *e,
                        struct pd_err *err)
{
    struct pd_dnn_prim prim = {0};
    dnnl_memory_t src = NULL, scratch = NULL;
    PD_CLEANUP(pd_freep) void *scratch_data = NULL;
    int r = pd_dnn_reorder(dnn, dense, &e->md, &prim, err);
    if (r < 0)
        return r == -ENOTSUP ? pd_err_set(err, r, "oneDNN cannot lay out weights as it asked for them") : r;
    int64_t bytes = (int64_t)prim.scratchpad;
    struct pd_dnn_md scratch_md;
    pd_dnn_dense(&scratch_md, 1, &bytes, dnnl_u8);
    scratch_data = pd_alloc_aligned(prim.scratchpad);
    r = scratch_data ? pd_dnn_memory(dnn, dense, from, &src, err) : pd_err_set(err, -ENOMEM, "out of memory");
    if (r == 0)
        r = pd_dnn_memory(dnn, &scratch_md, scratch_data, &scratch, err);
    if (r == 0) {
        dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, src}, {DNNL_ARG_TO, e->memory}, {DNNL_ARG_SCRATCHPAD, scratch}};
        r = pd_dnn_execute(dnn, &prim, 3, args, err);
    }
    if (src)
        dnnl_memory_destroy(src);
    if (scratch)
        dnnl_memory_destroy(scratch);
    pd_dnn_prim_destroy(&prim);
    return r;
}

static int fill(struct pd_dnn_weights *w, const struct pd_layer *l, const struct pd_dnn_spread *s, struct entry *e,
                struct pd_err *err)
{
    struct pd_dnn_md dense;
    pd_dnn_dense(&dense, e->md.d.ndims, e->md.d.dims, dnnl_f32);
    bool same = pd_dnn_md_equal(&dense, &e->md);
    size_t bytes = pd_dnn_md_bytes(&e->md), dense_bytes = pd_dnn_md_bytes(&dense);
    PD_CLEANUP(pd_freep) float *physical = pd_alloc_aligned(dense_bytes);
    if (!physical)
        return pd_err_set(err, -ENOMEM, "out of memory");
    memset(physical, 0, dense_bytes);
    spread(l, s, physical);
    if (same) {
        e->data = physical;
        physical = NULL;
        return pd_dnn_memory(w->dnn, &e->md, e->data, &e->memory, err);
    }
    e->data = pd_alloc_aligned(bytes);
    if (!e->data)
        return pd_err_set(err, -ENOMEM, "out of memory");
    int r = pd_dnn_memory(w->dnn, &e->md, e->data, &e->memory, err);
    return r < 0 ? r : reorder_into(w->dnn, &dense, physical, e, err);
}

int pd_dnn_weights_get(struct pd_dnn_weights *w, const struct pd_net *net, int layer, const struct pd_dnn_spread *s,
                       const struct pd_dnn_md *md, dnnl_memory_t *ret_memory, struct pd_err *err)
{
    for (struct entry *e = w->layer[layer]; e; e = e->next) {
        if (e->kind == s->kind && pd_dnn_md_equal(&e->md, md)) {
            *ret_memory = e->memory;
            return 0;
        }
    }
    struct entry *e = calloc(1, sizeof(*e));
    if (!e)
        return pd_err_set(err, -ENOMEM, "out of memory");
    e->kind = s->kind;
    e->md = *md;
    int r = fill(w, &net->layers[layer], s, e, err);
    if (r < 0) {
        entry_destroy(e);
        return r;
    }
    w->bytes += pd_dnn_md_bytes(md);
    e->next = w->layer[layer];
    w->layer[layer] = e;
    *ret_memory = e->memory;
    return 0;
}
