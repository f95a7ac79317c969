/* SPDX-License-Identifier: Apache-2.0 */
#include "core/engine/onednn_builder.h"

#include <errno.h>
#include <string.h>

/* Groups as the primitive gets them: as they are where every group is whole blocks or a single channel; otherwise the
 * weights are spread into a dense convolution, which costs multiplications by zero but stays in the layout. */
static int groups_of(const struct pd_dnn_builder *b)
{
    const struct pd_layer *l = b->l;
    int ci = b->in->shape.c, co = b->out->shape.c, block = b->plan->block;
    if (pd_dnn_is_depthwise(b->net, l))
        return b->out->channels;
    bool whole = l->groups > 1 && ci / l->groups % block == 0 && co / l->groups % block == 0 &&
                 b->in->channels == ci && b->out->channels == co;
    return whole ? l->groups : 1;
}

static bool is_slow(const struct pd_dnn_prim *prim)
{
    return !strncmp(prim->impl, "ref", 3);
}

/* The best primitive for @c: in our layouts; failing that in layouts of the library's choice; failing that any. The
 * caller brings the operands into prim->src and prim->dst. */
static int choose_conv(struct pd_dnn_builder *b, const struct pd_dnn_conv *c, struct pd_dnn_prim *ret_prim)
{
    struct pd_dnn_prim own = {0}, other = {0};
    int r = pd_dnn_conv(b->plan->dnn, c, &own, b->err);
    if (r < 0 && r != -ENOTSUP)
        return r;
    if (r == 0 && !is_slow(&own)) {
        *ret_prim = own;
        return 0;
    }
    struct pd_dnn_conv free_layout = *c;
    free_layout.src = pd_dnn_any(&c->src);
    free_layout.dst = pd_dnn_any(&c->dst);
    int r_other = pd_dnn_conv(b->plan->dnn, &free_layout, &other, b->err);
    if (r_other == 0 && (r < 0 || !is_slow(&other))) {
        pd_dnn_prim_destroy(&own);
        *ret_prim = other;
        return 0;
    }
    pd_dnn_prim_destroy(&other);
    *ret_prim = own;
    return r;
}

static void describe_conv(struct pd_dnn_builder *b, const struct pd_dnn_md *src, const struct pd_dnn_md *dst, bool sum,
                          struct pd_dnn_conv *c)
{
    const struct pd_layer *l = b->l;
    *c = (struct pd_dnn_conv){
        .transposed = l->kind == PD_LAYER_DECONV, .src = *src, .dst = *dst, .weights_type = b->plan->type,
        .groups = groups_of(b), .co = (int)dst->d.dims[1], .ci = (int)src->d.dims[1], .kh = l->kh, .kw = l->kw,
        .stride = {l->stride_y, l->stride_x}, .dilation = {l->dilation_y, l->dilation_x},
        .pad_begin = {l->pad_top, l->pad_left}, .pad_end = {l->pad_bottom, l->pad_right},
        .bias = l->bias != NULL, .post = pd_dnn_post_of(l, sum),
    };
    if (c->transposed) {
        c->pad_end[0] -= l->out_pad_y;
        c->pad_end[1] -= l->out_pad_x;
    }
}

/* Make the convolution's step between @src and @dst, which are in the layouts that the primitive wants. */
static int add_conv_step(struct pd_dnn_builder *b, const struct pd_dnn_conv *c, struct pd_dnn_prim *prim,
                         const struct pd_dnn_ref *src, const struct pd_dnn_ref *dst)
{
    struct pd_dnn_ref ref;
    struct pd_dnn_step *s = pd_dnn_prim_step(b, prim);
    if (!s)
        return -ENOMEM;
    pd_dnn_add_arg(s, DNNL_ARG_SRC, src);
    pd_dnn_add_arg(s, DNNL_ARG_DST, dst);
    int r = pd_dnn_weights_ref(b, PD_DNN_WEIGHT, c->groups, &s->prim.weights, &ref);
    if (r < 0)
        return r;
    pd_dnn_add_arg(s, DNNL_ARG_WEIGHTS, &ref);
    if (c->bias) {
        r = pd_dnn_weights_ref(b, PD_DNN_BIAS, c->groups, NULL, &ref);
        if (r < 0)
            return r;
        pd_dnn_add_arg(s, DNNL_ARG_BIAS, &ref);
    }
    if (c->post.act != PD_ACT_NONE && c->post.channel_slopes) {
        r = pd_dnn_slopes_ref(b, &ref);
        if (r < 0)
            return r;
        pd_dnn_add_arg(s, pd_dnn_slopes_arg(&c->post), &ref);
    }
    return 0;
}

/* A convolution in layouts other than ours: reorder in and out. */
static int add_conv_reordered(struct pd_dnn_builder *b, const struct pd_dnn_conv *c, struct pd_dnn_prim *prim,
                              const struct pd_dnn_ref *src, const struct pd_dnn_ref *dst)
{
    struct pd_dnn_ref s = *src, d = *dst;
    int r = 0;
    if (!pd_dnn_md_equal(&prim->src, &src->md) && (r = pd_dnn_temporary(b, &prim->src, &s)) == 0)
        r = pd_dnn_add_reorder(b, src, &s);
    if (r == 0 && !pd_dnn_md_equal(&prim->dst, &dst->md) && (r = pd_dnn_temporary(b, &prim->dst, &d)) == 0 &&
        c->post.sum)
        r = pd_dnn_add_reorder(b, dst, &d);
    if (r < 0) {
        pd_dnn_prim_destroy(prim);
        return r;
    }
    r = add_conv_step(b, c, prim, &s, &d);
    return r < 0 || d.buffer == dst->buffer ? r : pd_dnn_add_reorder(b, &d, dst);
}

/* The residual must be in the output's memory before the convolution adds to it. */
static int bring_residual(struct pd_dnn_builder *b, const struct pd_dnn_ref *dst)
{
    struct pd_dnn_plan *plan = b->plan;
    if (b->out->parent == b->l->residual)
        return 0;
    const struct pd_dnn_tensor *add = &plan->tensors[b->l->residual];
    struct pd_dnn_ref src = pd_dnn_tensor_ref(plan, b->l->residual);
    struct pd_dnn_channels from = pd_dnn_channels_of(plan, add), to = pd_dnn_channels_of(plan, b->out);
    if (from.block == to.block && from.n_physical == to.n_physical && from.type == to.type &&
        !memcmp(from.phys, to.phys, (size_t)add->shape.c * sizeof(*to.phys)))
        return pd_dnn_add_copy(b, &src, dst);
    return pd_dnn_add_gather(b, &src, from, dst, to, add->shape.c, add->shape.h * add->shape.w);
}

int pd_dnn_add_conv(struct pd_dnn_builder *b)
{
    struct pd_dnn_ref src = pd_dnn_tensor_ref(b->plan, b->l->in[0]), dst = pd_dnn_tensor_ref(b->plan, b->l->out);
    bool sum = b->l->kind == PD_LAYER_CONV && b->l->residual >= 0;
    int r = 0;
    if (pd_dnn_is_depthwise(b->net, b->l))
        r = pd_dnn_operand_as_out(b, &src);
    else if (b->in->plain && b->plan->type != dnnl_f32) /* the caller's fp32 input, in the layers' own type */
        r = pd_dnn_operand(b, b->l->in[0], (struct pd_dnn_channels){1, b->in->channels, b->plan->type, b->in->phys},
                           &src);
    if (r == 0 && sum)
        r = bring_residual(b, &dst);
    if (r < 0)
        return r;
    struct pd_dnn_conv c;
    struct pd_dnn_prim prim, bare;
    describe_conv(b, &src.md, &dst.md, sum, &c);
    r = choose_conv(b, &c, &prim);
    bool fused = true;
    if ((r == -ENOTSUP || (r == 0 && is_slow(&prim))) && c.post.act != PD_ACT_NONE) {
        struct pd_dnn_conv without = c; /* perhaps it is the activation that keeps the fast ones away */
        without.post.act = PD_ACT_NONE;
        int r_bare = choose_conv(b, &without, &bare);
        if (r_bare == 0 && (r < 0 || !is_slow(&bare))) {
            if (r == 0)
                pd_dnn_prim_destroy(&prim);
            prim = bare;
            c = without;
            fused = false;
            r = 0;
        } else if (r_bare == 0) {
            pd_dnn_prim_destroy(&bare);
        }
    }
    if (r < 0)
        return r == -ENOTSUP ? pd_dnn_unsupported(b) : r;
    r = add_conv_reordered(b, &c, &prim, &src, &dst);
    return r < 0 || fused ? r : pd_dnn_add_act(b, &dst, &dst);
}

int pd_dnn_add_affine(struct pd_dnn_builder *b)
{
    struct pd_dnn_ref src, dst = pd_dnn_tensor_ref(b->plan, b->l->out);
    int r = pd_dnn_operand_as_out(b, &src);
    if (r < 0)
        return r;
    struct pd_dnn_conv c = {
        .src = src.md, .dst = dst.md, .weights_type = b->plan->type, .groups = b->out->channels,
        .co = b->out->channels, .ci = b->out->channels, .kh = 1, .kw = 1, .stride = {1, 1}, .dilation = {1, 1},
        .bias = b->l->bias != NULL, .post = pd_dnn_post_of(b->l, false),
    };
    struct pd_dnn_prim prim;
    r = choose_conv(b, &c, &prim);
    if (r < 0)
        return r == -ENOTSUP ? pd_dnn_unsupported(b) : r;
    return add_conv_reordered(b, &c, &prim, &src, &dst);
}
