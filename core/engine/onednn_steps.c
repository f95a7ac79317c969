/* SPDX-License-Identifier: Apache-2.0 */
#include "core/engine/onednn_builder.h"

#include <errno.h>
#include <string.h>

static int out_of_memory(struct pd_dnn_builder *b)
{
    return pd_err_set(b->err, -ENOMEM, "out of memory");
}

int pd_dnn_unsupported(struct pd_dnn_builder *b)
{
    return pd_err_set(b->err, -ENOTSUP, "layer '%s' (%s): oneDNN cannot run it here; use --engine reference",
                      b->l->name, pd_layer_kind_name(b->l->kind));
}

/* ---- operands ---- */

struct pd_dnn_ref pd_dnn_tensor_ref(const struct pd_dnn_plan *plan, int tensor)
{
    const struct pd_dnn_tensor *t = &plan->tensors[tensor];
    int at, root = pd_dnn_root(plan, tensor, &at);
    const struct pd_dnn_tensor *owner = &plan->tensors[root];
    struct pd_dnn_ref ref = {.place = owner->buffer < 0 ? PD_DNN_INPUT : PD_DNN_ARENA, .buffer = owner->buffer};
    ref.offset = (size_t)at * (size_t)t->shape.h * (size_t)t->shape.w * dnnl_data_type_size(t->type);
    pd_dnn_activation(&ref.md, t->channels, t->shape.h, t->shape.w, t->plain ? 1 : plan->block, t->type);
    return ref;
}

int pd_dnn_temporary(struct pd_dnn_builder *b, const struct pd_dnn_md *md, struct pd_dnn_ref *ret_ref)
{
    int buffer = pd_dnn_plan_buffer(b->plan, pd_dnn_md_bytes(md), b->layer, b->layer);
    if (buffer < 0)
        return out_of_memory(b);
    *ret_ref = (struct pd_dnn_ref){.place = PD_DNN_ARENA, .buffer = buffer, .md = *md};
    return 0;
}

int pd_dnn_add_gather(struct pd_dnn_builder *b, const struct pd_dnn_ref *src, struct pd_dnn_channels from,
                      const struct pd_dnn_ref *dst, struct pd_dnn_channels to, int n_channels, int area)
{
    struct pd_dnn_step *s = pd_dnn_plan_step(b->plan, PD_DNN_GATHER, b->layer);
    if (!s)
        return out_of_memory(b);
    s->ref[0] = *src;
    s->ref[1] = *dst;
    s->from = from;
    s->to = to;
    s->n_channels = n_channels;
    s->area = area;
    return 0;
}

struct pd_dnn_channels pd_dnn_channels_of(const struct pd_dnn_plan *plan, const struct pd_dnn_tensor *t)
{
    return (struct pd_dnn_channels){t->plain ? 1 : plan->block, t->channels, t->type, t->phys};
}

int pd_dnn_operand(struct pd_dnn_builder *b, int tensor, struct pd_dnn_channels want, struct pd_dnn_ref *ret_ref)
{
    const struct pd_dnn_tensor *t = &b->plan->tensors[tensor];
    struct pd_dnn_channels have = pd_dnn_channels_of(b->plan, t);
    struct pd_dnn_ref src = pd_dnn_tensor_ref(b->plan, tensor);
    if (have.block == want.block && have.n_physical == want.n_physical && have.type == want.type &&
        !memcmp(have.phys, want.phys, (size_t)t->shape.c * sizeof(*want.phys))) {
        *ret_ref = src;
        return 0;
    }
    struct pd_dnn_md md;
    pd_dnn_activation(&md, want.n_physical, t->shape.h, t->shape.w, want.block, want.type);
    int r = pd_dnn_temporary(b, &md, ret_ref);
    return r < 0 ? r : pd_dnn_add_gather(b, &src, have, ret_ref, want, t->shape.c, t->shape.h * t->shape.w);
}

int pd_dnn_operand_as_out(struct pd_dnn_builder *b, struct pd_dnn_ref *ret_ref)
{
    return pd_dnn_operand(b, b->l->in[0], pd_dnn_channels_of(b->plan, b->out), ret_ref);
}

/* ---- steps ---- */

void pd_dnn_add_arg(struct pd_dnn_step *s, int arg, const struct pd_dnn_ref *ref)
{
    s->arg[s->n_args] = arg;
    s->ref[s->n_args++] = *ref;
}

struct pd_dnn_step *pd_dnn_prim_step(struct pd_dnn_builder *b, struct pd_dnn_prim *prim)
{
    struct pd_dnn_step *s = pd_dnn_plan_step(b->plan, PD_DNN_PRIMITIVE, b->layer);
    if (!s) {
        pd_dnn_prim_destroy(prim);
        out_of_memory(b);
        return NULL;
    }
    s->prim = *prim;
    return s;
}

int pd_dnn_weights_ref(struct pd_dnn_builder *b, enum pd_dnn_weight_kind kind, int groups, const struct pd_dnn_md *md,
                       struct pd_dnn_ref *ret_ref)
{
    struct pd_dnn_md vector;
    int64_t dims[] = {b->out->channels};
    pd_dnn_dense(&vector, 1, dims, dnnl_f32);
    struct pd_dnn_spread spread = {kind, groups, b->in->channels, b->out->channels, b->in->phys, b->out->phys,
                                   b->in->shape.c, b->out->shape.c};
    *ret_ref = (struct pd_dnn_ref){.place = PD_DNN_WEIGHTS, .md = md ? *md : vector};
    return pd_dnn_weights_get(b->plan->weights, b->net, b->layer, &spread, &ret_ref->md, &ret_ref->weights, b->err);
}

int pd_dnn_slopes_ref(struct pd_dnn_builder *b, struct pd_dnn_ref *ret_ref)
{
    struct pd_dnn_md md;
    int64_t dims[] = {1, b->out->channels, 1, 1};
    pd_dnn_dense(&md, 4, dims, dnnl_f32);
    return pd_dnn_weights_ref(b, PD_DNN_SLOPES, 1, &md, ret_ref);
}

struct pd_dnn_post pd_dnn_post_of(const struct pd_layer *l, bool sum)
{
    struct pd_dnn_post post = {.sum = sum, .act = l->act, .alpha = l->alpha, .beta = l->beta};
    if (l->act == PD_ACT_PRELU) {
        post.channel_slopes = l->n_slopes > 1;
        post.alpha = post.channel_slopes ? 0 : l->slope[0];
    }
    return post;
}

int pd_dnn_add_act(struct pd_dnn_builder *b, const struct pd_dnn_ref *src, const struct pd_dnn_ref *dst)
{
    if (b->l->act == PD_ACT_NONE)
        return 0;
    struct pd_dnn_post post = pd_dnn_post_of(b->l, false);
    struct pd_dnn_prim prim;
    struct pd_dnn_ref slopes;
    int r = pd_dnn_act(b->plan->dnn, &dst->md, &post, &prim, b->err);
    if (r < 0)
        return r == -ENOTSUP ? pd_dnn_unsupported(b) : r;
    struct pd_dnn_step *s = pd_dnn_prim_step(b, &prim);
    if (!s)
        return -ENOMEM;
    pd_dnn_add_arg(s, DNNL_ARG_SRC, src);
    pd_dnn_add_arg(s, DNNL_ARG_DST, dst);
    if (!post.channel_slopes)
        return 0;
    r = pd_dnn_slopes_ref(b, &slopes);
    pd_dnn_add_arg(s, DNNL_ARG_WEIGHTS, &slopes);
    return r;
}

int pd_dnn_add_copy(struct pd_dnn_builder *b, const struct pd_dnn_ref *src, const struct pd_dnn_ref *dst)
{
    struct pd_dnn_step *s = pd_dnn_plan_step(b->plan, PD_DNN_COPY, b->layer);
    if (!s)
        return out_of_memory(b);
    s->ref[0] = *src;
    s->ref[1] = *dst;
    s->bytes = pd_dnn_md_bytes(&src->md);
    return 0;
}

int pd_dnn_add_reorder(struct pd_dnn_builder *b, const struct pd_dnn_ref *src, const struct pd_dnn_ref *dst)
{
    struct pd_dnn_prim prim;
    int r = pd_dnn_reorder(b->plan->dnn, &src->md, &dst->md, &prim, b->err);
    if (r < 0)
        return r == -ENOTSUP ? pd_dnn_unsupported(b) : r;
    struct pd_dnn_step *s = pd_dnn_prim_step(b, &prim);
    if (!s)
        return -ENOMEM;
    pd_dnn_add_arg(s, DNNL_ARG_FROM, src);
    pd_dnn_add_arg(s, DNNL_ARG_TO, dst);
    return 0;
}
