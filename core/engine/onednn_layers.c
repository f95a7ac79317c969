/* SPDX-License-Identifier: Apache-2.0
 *
 * One layer of the lowered network becomes its steps: bring the inputs into the arrangement that the primitive needs
 * (nothing to do, nearly always), the primitive itself with everything fused that the library can fuse, and what it
 * could not fuse behind it.
 */
#include <errno.h>
#include <string.h>

#include "core/engine/onednn_plan.h"

struct builder {
    struct pd_dnn_plan *plan;
    const struct pd_net *net;
    const struct pd_layer *l;
    int layer;
    struct pd_dnn_tensor *in, *out; /* of in[0] and out */
    struct pd_err *err;
};

static int out_of_memory(struct builder *b)
{
    return pd_err_set(b->err, -ENOMEM, "out of memory");
}

static int unsupported(struct builder *b)
{
    return pd_err_set(b->err, -ENOTSUP, "layer '%s' (%s): oneDNN cannot run it here; use --engine reference",
                      b->l->name, pd_layer_kind_name(b->l->kind));
}

/* ---- operands ---- */

/* Where @tensor lies, as it is. */
static struct pd_dnn_ref tensor_ref(const struct pd_dnn_plan *plan, int tensor)
{
    const struct pd_dnn_tensor *t = &plan->tensors[tensor];
    int at, root = pd_dnn_root(plan, tensor, &at);
    const struct pd_dnn_tensor *owner = &plan->tensors[root];
    struct pd_dnn_ref ref = {.place = owner->buffer < 0 ? PD_DNN_INPUT : PD_DNN_ARENA, .buffer = owner->buffer};
    ref.offset = (size_t)at * (size_t)t->shape.h * (size_t)t->shape.w * dnnl_data_type_size(t->type);
    pd_dnn_activation(&ref.md, t->channels, t->shape.h, t->shape.w, t->plain ? 1 : plan->block, t->type);
    return ref;
}

static int temporary(struct builder *b, const struct pd_dnn_md *md, struct pd_dnn_ref *ret_ref)
{
    int buffer = pd_dnn_plan_buffer(b->plan, pd_dnn_md_bytes(md), b->layer, b->layer);
    if (buffer < 0)
        return out_of_memory(b);
    *ret_ref = (struct pd_dnn_ref){.place = PD_DNN_ARENA, .buffer = buffer, .md = *md};
    return 0;
}

static int add_gather(struct builder *b, const struct pd_dnn_ref *src, struct pd_dnn_channels from,
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

static struct pd_dnn_channels channels_of(const struct pd_dnn_plan *plan, const struct pd_dnn_tensor *t)
{
    return (struct pd_dnn_channels){t->plain ? 1 : plan->block, t->channels, t->type, t->phys};
}

/* @tensor in the wanted arrangement: itself where it has that already, else gathered into a temporary. */
static int operand(struct builder *b, int tensor, struct pd_dnn_channels want, struct pd_dnn_ref *ret_ref)
{
    const struct pd_dnn_tensor *t = &b->plan->tensors[tensor];
    struct pd_dnn_channels have = channels_of(b->plan, t);
    struct pd_dnn_ref src = tensor_ref(b->plan, tensor);
    if (have.block == want.block && have.n_physical == want.n_physical && have.type == want.type &&
        !memcmp(have.phys, want.phys, (size_t)t->shape.c * sizeof(*want.phys))) {
        *ret_ref = src;
        return 0;
    }
    struct pd_dnn_md md;
    pd_dnn_activation(&md, want.n_physical, t->shape.h, t->shape.w, want.block, want.type);
    int r = temporary(b, &md, ret_ref);
    return r < 0 ? r : add_gather(b, &src, have, ret_ref, want, t->shape.c, t->shape.h * t->shape.w);
}

/* The first input arranged like the output. */
static int operand_as_out(struct builder *b, struct pd_dnn_ref *ret_ref)
{
    return operand(b, b->l->in[0], channels_of(b->plan, b->out), ret_ref);
}

/* ---- steps ---- */

static void add_arg(struct pd_dnn_step *s, int arg, const struct pd_dnn_ref *ref)
{
    s->arg[s->n_args] = arg;
    s->ref[s->n_args++] = *ref;
}

/* A step for @prim, which it takes. */
static struct pd_dnn_step *prim_step(struct builder *b, struct pd_dnn_prim *prim)
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

/* The layer's weights of one kind as an argument; @md NULL: a vector of the output's physical channels. */
static int weights_ref(struct builder *b, enum pd_dnn_weight_kind kind, int groups, const struct pd_dnn_md *md,
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

static int slopes_ref(struct builder *b, struct pd_dnn_ref *ret_ref)
{
    struct pd_dnn_md md;
    int64_t dims[] = {1, b->out->channels, 1, 1};
    pd_dnn_dense(&md, 4, dims, dnnl_f32);
    return weights_ref(b, PD_DNN_SLOPES, 1, &md, ret_ref);
}

static struct pd_dnn_post post_of(const struct pd_layer *l, bool sum)
{
    struct pd_dnn_post post = {.sum = sum, .act = l->act, .alpha = l->alpha, .beta = l->beta};
    if (l->act == PD_ACT_PRELU) {
        post.channel_slopes = l->n_slopes > 1;
        post.alpha = post.channel_slopes ? 0 : l->slope[0];
    }
    return post;
}

/* The layer's activation as a step of its own, from @src to the output, which may be the same memory. */
static int add_act(struct builder *b, const struct pd_dnn_ref *src, const struct pd_dnn_ref *dst)
{
    if (b->l->act == PD_ACT_NONE)
        return 0;
    struct pd_dnn_post post = post_of(b->l, false);
    struct pd_dnn_prim prim;
    struct pd_dnn_ref slopes;
    int r = pd_dnn_act(b->plan->dnn, &dst->md, &post, &prim, b->err);
    if (r < 0)
        return r == -ENOTSUP ? unsupported(b) : r;
    struct pd_dnn_step *s = prim_step(b, &prim);
    if (!s)
        return -ENOMEM;
    add_arg(s, DNNL_ARG_SRC, src);
    add_arg(s, DNNL_ARG_DST, dst);
    if (!post.channel_slopes)
        return 0;
    r = slopes_ref(b, &slopes);
    add_arg(s, DNNL_ARG_WEIGHTS, &slopes);
    return r;
}

static int add_copy(struct builder *b, const struct pd_dnn_ref *src, const struct pd_dnn_ref *dst)
{
    struct pd_dnn_step *s = pd_dnn_plan_step(b->plan, PD_DNN_COPY, b->layer);
    if (!s)
        return out_of_memory(b);
    s->ref[0] = *src;
    s->ref[1] = *dst;
    s->bytes = pd_dnn_md_bytes(&src->md);
    return 0;
}

static int add_reorder(struct builder *b, const struct pd_dnn_ref *src, const struct pd_dnn_ref *dst)
{
    struct pd_dnn_prim prim;
    int r = pd_dnn_reorder(b->plan->dnn, &src->md, &dst->md, &prim, b->err);
    if (r < 0)
        return r == -ENOTSUP ? unsupported(b) : r;
    struct pd_dnn_step *s = prim_step(b, &prim);
    if (!s)
        return -ENOMEM;
    add_arg(s, DNNL_ARG_FROM, src);
    add_arg(s, DNNL_ARG_TO, dst);
    return 0;
}

/* ---- convolutions ---- */

/* Groups as the primitive gets them: as they are where every group is whole blocks or a single channel; otherwise the
 * weights are spread into a dense convolution, which costs multiplications by zero but stays in the layout. */
static int groups_of(const struct builder *b)
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
static int choose_conv(struct builder *b, const struct pd_dnn_conv *c, struct pd_dnn_prim *ret_prim)
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

static void describe_conv(struct builder *b, const struct pd_dnn_md *src, const struct pd_dnn_md *dst, bool sum,
                          struct pd_dnn_conv *c)
{
    const struct pd_layer *l = b->l;
    *c = (struct pd_dnn_conv){
        .transposed = l->kind == PD_LAYER_DECONV, .src = *src, .dst = *dst, .weights_type = b->plan->type,
        .groups = groups_of(b), .co = (int)dst->d.dims[1], .ci = (int)src->d.dims[1], .kh = l->kh, .kw = l->kw,
        .stride = {l->stride_y, l->stride_x}, .dilation = {l->dilation_y, l->dilation_x},
        .pad_begin = {l->pad_top, l->pad_left}, .pad_end = {l->pad_bottom, l->pad_right},
        .bias = l->bias != NULL, .post = post_of(l, sum),
    };
    if (c->transposed) {
        c->pad_end[0] -= l->out_pad_y;
        c->pad_end[1] -= l->out_pad_x;
    }
}

/* Make the convolution's step between @src and @dst, which are in the layouts that the primitive wants. */
static int add_conv_step(struct builder *b, const struct pd_dnn_conv *c, struct pd_dnn_prim *prim,
                         const struct pd_dnn_ref *src, const struct pd_dnn_ref *dst)
{
    struct pd_dnn_ref ref;
    struct pd_dnn_step *s = prim_step(b, prim);
    if (!s)
        return -ENOMEM;
    add_arg(s, DNNL_ARG_SRC, src);
    add_arg(s, DNNL_ARG_DST, dst);
    int r = weights_ref(b, PD_DNN_WEIGHT, c->groups, &s->prim.weights, &ref);
    if (r < 0)
        return r;
    add_arg(s, DNNL_ARG_WEIGHTS, &ref);
    if (c->bias) {
        r = weights_ref(b, PD_DNN_BIAS, c->groups, NULL, &ref);
        if (r < 0)
            return r;
        add_arg(s, DNNL_ARG_BIAS, &ref);
    }
    if (c->post.act != PD_ACT_NONE && c->post.channel_slopes) {
        r = slopes_ref(b, &ref);
        if (r < 0)
            return r;
        add_arg(s, pd_dnn_slopes_arg(&c->post), &ref);
    }
    return 0;
}

/* A convolution in layouts other than ours: reorder in and out. */
static int add_conv_reordered(struct builder *b, const struct pd_dnn_conv *c, struct pd_dnn_prim *prim,
                              const struct pd_dnn_ref *src, const struct pd_dnn_ref *dst)
{
    struct pd_dnn_ref s = *src, d = *dst;
    int r = 0;
    if (!pd_dnn_md_equal(&prim->src, &src->md) && (r = temporary(b, &prim->src, &s)) == 0)
        r = add_reorder(b, src, &s);
    if (r == 0 && !pd_dnn_md_equal(&prim->dst, &dst->md) && (r = temporary(b, &prim->dst, &d)) == 0 && c->post.sum)
        r = add_reorder(b, dst, &d);
    if (r < 0) {
        pd_dnn_prim_destroy(prim);
        return r;
    }
    r = add_conv_step(b, c, prim, &s, &d);
    return r < 0 || d.buffer == dst->buffer ? r : add_reorder(b, &d, dst);
}

/* The residual must be in the output's memory before the convolution adds to it. */
static int bring_residual(struct builder *b, const struct pd_dnn_ref *dst)
{
    struct pd_dnn_plan *plan = b->plan;
    if (b->out->parent == b->l->residual)
        return 0;
    const struct pd_dnn_tensor *add = &plan->tensors[b->l->residual];
    struct pd_dnn_ref src = tensor_ref(plan, b->l->residual);
    struct pd_dnn_channels from = channels_of(plan, add), to = channels_of(plan, b->out);
    if (from.block == to.block && from.n_physical == to.n_physical && from.type == to.type &&
        !memcmp(from.phys, to.phys, (size_t)add->shape.c * sizeof(*to.phys)))
        return add_copy(b, &src, dst);
    return add_gather(b, &src, from, dst, to, add->shape.c, add->shape.h * add->shape.w);
}

static int add_conv(struct builder *b)
{
    struct pd_dnn_ref src = tensor_ref(b->plan, b->l->in[0]), dst = tensor_ref(b->plan, b->l->out);
    bool sum = b->l->kind == PD_LAYER_CONV && b->l->residual >= 0;
    int r = 0;
    if (pd_dnn_is_depthwise(b->net, b->l))
        r = operand_as_out(b, &src);
    else if (b->in->plain && b->plan->type != dnnl_f32) /* the caller's fp32 input, in the layers' own type */
        r = operand(b, b->l->in[0], (struct pd_dnn_channels){1, b->in->channels, b->plan->type, b->in->phys}, &src);
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
        return r == -ENOTSUP ? unsupported(b) : r;
    r = add_conv_reordered(b, &c, &prim, &src, &dst);
    return r < 0 || fused ? r : add_act(b, &dst, &dst);
}

/* y = x * weight[c] + bias[c] is a depthwise convolution by 1x1. */
static int add_affine(struct builder *b)
{
    struct pd_dnn_ref src, dst = tensor_ref(b->plan, b->l->out);
    int r = operand_as_out(b, &src);
    if (r < 0)
        return r;
    struct pd_dnn_conv c = {
        .src = src.md, .dst = dst.md, .weights_type = b->plan->type, .groups = b->out->channels,
        .co = b->out->channels, .ci = b->out->channels, .kh = 1, .kw = 1, .stride = {1, 1}, .dilation = {1, 1},
        .bias = b->l->bias != NULL, .post = post_of(b->l, false),
    };
    struct pd_dnn_prim prim;
    r = choose_conv(b, &c, &prim);
    if (r < 0)
        return r == -ENOTSUP ? unsupported(b) : r;
    return add_conv_reordered(b, &c, &prim, &src, &dst);
}

/* ---- the rest ---- */

/* The pooling of a window layer. False where the library counts other samples than we do: with padding that counts, it
 * also counts what the last window of a rounded-up size reaches beyond the padding. */
static bool describe_window(const struct builder *b, struct pd_dnn_pool *p)
{
    const struct pd_layer *l = b->l;
    int kernel[] = {l->kh, l->kw}, stride[] = {l->stride_y, l->stride_x}, dilation[] = {l->dilation_y, l->dilation_x};
    int begin[] = {l->pad_top, l->pad_left}, end[] = {l->pad_bottom, l->pad_right};
    int in[] = {b->in->shape.h, b->in->shape.w}, out[] = {b->out->shape.h, b->out->shape.w};
    bool beyond = false, padded = false;
    for (int i = 0; i < 2; i++) {
        p->kernel[i] = kernel[i];
        p->stride[i] = stride[i];
        p->dilation[i] = dilation[i];
        p->pad_begin[i] = begin[i];
        /* what the last window reaches beyond the image: less than the padding, or more where sizes round up */
        p->pad_end[i] = (out[i] - 1) * stride[i] + (kernel[i] - 1) * dilation[i] + 1 - in[i] - begin[i];
        beyond = beyond || p->pad_end[i] > end[i];
        padded = padded || begin[i] || end[i];
    }
    p->alg = l->kind == PD_LAYER_MAXPOOL          ? dnnl_pooling_max
             : l->count_include_pad && !beyond ? dnnl_pooling_avg_include_padding
                                                  : dnnl_pooling_avg_exclude_padding;
    return l->kind == PD_LAYER_MAXPOOL || !l->count_include_pad || !beyond || !padded;
}

static int add_pool(struct builder *b)
{
    struct pd_dnn_ref src, dst = tensor_ref(b->plan, b->l->out);
    int r = operand_as_out(b, &src);
    if (r < 0)
        return r;
    struct pd_dnn_pool p = {
        .alg = dnnl_pooling_avg_exclude_padding, .src = src.md, .dst = dst.md, .stride = {1, 1}, .dilation = {1, 1},
        .kernel = {b->in->shape.h, b->in->shape.w},
    };
    if (b->l->kind != PD_LAYER_GAVGPOOL && !describe_window(b, &p))
        return unsupported(b);
    struct pd_dnn_prim prim;
    r = pd_dnn_pool(b->plan->dnn, &p, &prim, b->err);
    if (r < 0)
        return r == -ENOTSUP ? unsupported(b) : r;
    struct pd_dnn_step *s = prim_step(b, &prim);
    if (!s)
        return -ENOMEM;
    add_arg(s, DNNL_ARG_SRC, &src);
    add_arg(s, DNNL_ARG_DST, &dst);
    return add_act(b, &dst, &dst);
}

static int add_binary(struct builder *b)
{
    struct pd_dnn_ref x, y, dst = tensor_ref(b->plan, b->l->out);
    int r = operand_as_out(b, &x);
    if (r == 0)
        r = operand(b, b->l->in[1], channels_of(b->plan, b->out), &y);
    if (r < 0)
        return r;
    struct pd_dnn_post post = post_of(b->l, false);
    bool fused = !post.channel_slopes;
    struct pd_dnn_prim prim;
    r = pd_dnn_binary(b->plan->dnn, b->l->kind == PD_LAYER_MUL, &x.md, &y.md, &dst.md, fused ? &post : NULL, &prim,
                      b->err);
    if (r < 0)
        return r == -ENOTSUP ? unsupported(b) : r;
    struct pd_dnn_step *s = prim_step(b, &prim);
    if (!s)
        return -ENOMEM;
    add_arg(s, DNNL_ARG_SRC_0, &x);
    add_arg(s, DNNL_ARG_SRC_1, &y);
    add_arg(s, DNNL_ARG_DST, &dst);
    return fused ? 0 : add_act(b, &dst, &dst);
}

static int add_fc(struct builder *b)
{
    struct pd_dnn_plan *plan = b->plan;
    struct pd_dnn_ref src, ref, dst = tensor_ref(plan, b->l->out);
    int r = operand(b, b->l->in[0], (struct pd_dnn_channels){1, b->in->shape.c, b->in->type, plan->identity}, &src);
    if (r < 0)
        return r;
    int64_t dims[] = {1, b->out->channels};
    struct pd_dnn_ref row = dst; /* one sample: blocked and plain are the same */
    pd_dnn_dense(&row.md, 2, dims, dst.md.d.data_type);
    struct pd_dnn_prim prim;
    r = pd_dnn_inner_product(plan->dnn, &src.md, b->out->channels, plan->type, b->l->bias != NULL, &row.md, &prim,
                             b->err);
    if (r < 0)
        return r == -ENOTSUP ? unsupported(b) : r;
    struct pd_dnn_step *s = prim_step(b, &prim);
    if (!s)
        return -ENOMEM;
    add_arg(s, DNNL_ARG_SRC, &src);
    add_arg(s, DNNL_ARG_DST, &row);
    r = weights_ref(b, PD_DNN_WEIGHT, 1, &s->prim.weights, &ref);
    add_arg(s, DNNL_ARG_WEIGHTS, &ref);
    if (r == 0 && b->l->bias) {
        r = weights_ref(b, PD_DNN_BIAS, 1, NULL, &ref);
        add_arg(s, DNNL_ARG_BIAS, &ref);
    }
    return r < 0 ? r : add_act(b, &dst, &dst);
}

/* Inputs that already lie in the output cost nothing; the others are copied beside them. */
static int add_concat(struct builder *b)
{
    struct pd_dnn_plan *plan = b->plan;
    struct pd_dnn_ref dst = tensor_ref(plan, b->l->out);
    size_t area_bytes = (size_t)b->out->shape.h * (size_t)b->out->shape.w * dnnl_data_type_size(b->out->type);
    int at = 0;
    for (int k = 0; k < b->l->n_in; k++) {
        const struct pd_dnn_tensor *t = &plan->tensors[b->l->in[k]];
        int channels = (t->channels + plan->block - 1) / plan->block * plan->block;
        struct pd_dnn_ref to = dst, src;
        to.offset += (size_t)at * area_bytes;
        if (!(t->parent == b->l->out && t->parent_at == at)) {
            struct pd_dnn_channels want = {plan->block, channels, plan->type, t->phys};
            int r = operand(b, b->l->in[k], want, &src);
            if (r == 0)
                r = add_copy(b, &src, &to);
            if (r < 0)
                return r;
        }
        at += channels;
    }
    return add_act(b, &dst, &dst);
}

static int add_slice(struct builder *b)
{
    const struct pd_dnn_plan *plan = b->plan;
    if (b->out->parent == b->l->in[0])
        return 0;
    struct pd_dnn_ref src = tensor_ref(plan, b->l->in[0]), dst = tensor_ref(plan, b->l->out);
    struct pd_dnn_channels from = channels_of(plan, b->in);
    from.phys += b->l->slice_from;
    return add_gather(b, &src, from, &dst, channels_of(plan, b->out), b->out->shape.c,
                      b->out->shape.h * b->out->shape.w);
}

static int add_resize(struct builder *b)
{
    struct pd_dnn_ref src, dst = tensor_ref(b->plan, b->l->out);
    int r = operand_as_out(b, &src);
    if (r < 0)
        return r;
    struct pd_dnn_prim prim;
    r = pd_dnn_resize(b->plan->dnn, b->l->bilinear, &src.md, &dst.md, &prim, b->err);
    if (r < 0)
        return r == -ENOTSUP ? unsupported(b) : r;
    struct pd_dnn_step *s = prim_step(b, &prim);
    if (!s)
        return -ENOMEM;
    add_arg(s, DNNL_ARG_SRC, &src);
    add_arg(s, DNNL_ARG_DST, &dst);
    return add_act(b, &dst, &dst);
}

static int add_activation(struct builder *b)
{
    struct pd_dnn_ref src, dst = tensor_ref(b->plan, b->l->out);
    int r = operand_as_out(b, &src);
    if (r < 0)
        return r;
    return b->l->act == PD_ACT_NONE ? add_copy(b, &src, &dst) : add_act(b, &src, &dst);
}

int pd_dnn_add_layer(struct pd_dnn_plan *plan, int layer, struct pd_err *err)
{
    static int (*const add[PD_LAYER_KINDS])(struct builder *) = {
        [PD_LAYER_CONV] = add_conv,         [PD_LAYER_DECONV] = add_conv,   [PD_LAYER_MAXPOOL] = add_pool,
        [PD_LAYER_AVGPOOL] = add_pool,      [PD_LAYER_GAVGPOOL] = add_pool, [PD_LAYER_FC] = add_fc,
        [PD_LAYER_ADD] = add_binary,        [PD_LAYER_MUL] = add_binary,    [PD_LAYER_CONCAT] = add_concat,
        [PD_LAYER_SLICE] = add_slice,       [PD_LAYER_RESIZE] = add_resize, [PD_LAYER_AFFINE] = add_affine,
        [PD_LAYER_ACT] = add_activation,
    };
    const struct pd_layer *l = &plan->net->layers[layer];
    struct builder b = {plan, plan->net, l, layer, &plan->tensors[l->in[0]], &plan->tensors[l->out], err};
    return add[l->kind](&b);
}
