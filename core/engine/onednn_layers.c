/* SPDX-License-Identifier: Apache-2.0 */
#include "core/engine/onednn_builder.h"

#include <errno.h>

/* The pooling of a window layer. False where the library counts other samples than we do: with padding that counts, it
 * also counts what the last window of a rounded-up size reaches beyond the padding. */
static bool describe_window(const struct pd_dnn_builder *b, struct pd_dnn_pool *p)
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

static int add_pool(struct pd_dnn_builder *b)
{
    struct pd_dnn_ref src, dst = pd_dnn_tensor_ref(b->plan, b->l->out);
    int r = pd_dnn_operand_as_out(b, &src);
    if (r < 0)
        return r;
    struct pd_dnn_pool p = {
        .alg = dnnl_pooling_avg_exclude_padding, .src = src.md, .dst = dst.md, .stride = {1, 1}, .dilation = {1, 1},
        .kernel = {b->in->shape.h, b->in->shape.w},
    };
    if (b->l->kind != PD_LAYER_GAVGPOOL && !describe_window(b, &p))
        return pd_dnn_unsupported(b);
    struct pd_dnn_prim prim;
    r = pd_dnn_pool(b->plan->dnn, &p, &prim, b->err);
    if (r < 0)
        return r == -ENOTSUP ? pd_dnn_unsupported(b) : r;
    struct pd_dnn_step *s = pd_dnn_prim_step(b, &prim);
    if (!s)
        return -ENOMEM;
    pd_dnn_add_arg(s, DNNL_ARG_SRC, &src);
    pd_dnn_add_arg(s, DNNL_ARG_DST, &dst);
    return pd_dnn_add_act(b, &dst, &dst);
}

static int add_binary(struct pd_dnn_builder *b)
{
    struct pd_dnn_ref x, y, dst = pd_dnn_tensor_ref(b->plan, b->l->out);
    int r = pd_dnn_operand_as_out(b, &x);
    if (r == 0)
        r = pd_dnn_operand(b, b->l->in[1], pd_dnn_channels_of(b->plan, b->out), &y);
    if (r < 0)
        return r;
    struct pd_dnn_post post = pd_dnn_post_of(b->l, false);
    bool fused = !post.channel_slopes;
    struct pd_dnn_prim prim;
    r = pd_dnn_binary(b->plan->dnn, b->l->kind == PD_LAYER_MUL, &x.md, &y.md, &dst.md, fused ? &post : NULL, &prim,
                      b->err);
    if (r < 0)
        return r == -ENOTSUP ? pd_dnn_unsupported(b) : r;
    struct pd_dnn_step *s = pd_dnn_prim_step(b, &prim);
    if (!s)
        return -ENOMEM;
    pd_dnn_add_arg(s, DNNL_ARG_SRC_0, &x);
    pd_dnn_add_arg(s, DNNL_ARG_SRC_1, &y);
    pd_dnn_add_arg(s, DNNL_ARG_DST, &dst);
    return fused ? 0 : pd_dnn_add_act(b, &dst, &dst);
}

static int add_fc(struct pd_dnn_builder *b)
{
    struct pd_dnn_plan *plan = b->plan;
    struct pd_dnn_ref src, ref, dst = pd_dnn_tensor_ref(plan, b->l->out);
    int r = pd_dnn_operand(b, b->l->in[0], (struct pd_dnn_channels){1, b->in->shape.c, b->in->type, plan->identity},
                           &src);
    if (r < 0)
        return r;
    int64_t dims[] = {1, b->out->channels};
    struct pd_dnn_ref row = dst; /* one sample: blocked and plain are the same */
    pd_dnn_dense(&row.md, 2, dims, dst.md.d.data_type);
    struct pd_dnn_prim prim;
    r = pd_dnn_inner_product(plan->dnn, &src.md, b->out->channels, plan->type, b->l->bias != NULL, &row.md, &prim,
                             b->err);
    if (r < 0)
        return r == -ENOTSUP ? pd_dnn_unsupported(b) : r;
    struct pd_dnn_step *s = pd_dnn_prim_step(b, &prim);
    if (!s)
        return -ENOMEM;
    pd_dnn_add_arg(s, DNNL_ARG_SRC, &src);
    pd_dnn_add_arg(s, DNNL_ARG_DST, &row);
    r = pd_dnn_weights_ref(b, PD_DNN_WEIGHT, 1, &s->prim.weights, &ref);
    pd_dnn_add_arg(s, DNNL_ARG_WEIGHTS, &ref);
    if (r == 0 && b->l->bias) {
        r = pd_dnn_weights_ref(b, PD_DNN_BIAS, 1, NULL, &ref);
        pd_dnn_add_arg(s, DNNL_ARG_BIAS, &ref);
    }
    return r < 0 ? r : pd_dnn_add_act(b, &dst, &dst);
}

/* Inputs that already lie in the output cost nothing; the others are copied beside them. */
static int add_concat(struct pd_dnn_builder *b)
{
    struct pd_dnn_plan *plan = b->plan;
    struct pd_dnn_ref dst = pd_dnn_tensor_ref(plan, b->l->out);
    size_t area_bytes = (size_t)b->out->shape.h * (size_t)b->out->shape.w * dnnl_data_type_size(b->out->type);
    int at = 0;
    for (int k = 0; k < b->l->n_in; k++) {
        const struct pd_dnn_tensor *t = &plan->tensors[b->l->in[k]];
        int channels = (t->channels + plan->block - 1) / plan->block * plan->block;
        struct pd_dnn_ref to = dst, src;
        to.offset += (size_t)at * area_bytes;
        if (!(t->parent == b->l->out && t->parent_at == at)) {
            struct pd_dnn_channels want = {plan->block, channels, plan->type, t->phys};
            int r = pd_dnn_operand(b, b->l->in[k], want, &src);
            if (r == 0)
                r = pd_dnn_add_copy(b, &src, &to);
            if (r < 0)
                return r;
        }
        at += channels;
    }
    return pd_dnn_add_act(b, &dst, &dst);
}

static int add_slice(struct pd_dnn_builder *b)
{
    const struct pd_dnn_plan *plan = b->plan;
    if (b->out->parent == b->l->in[0])
        return 0;
    struct pd_dnn_ref src = pd_dnn_tensor_ref(plan, b->l->in[0]), dst = pd_dnn_tensor_ref(plan, b->l->out);
    struct pd_dnn_channels from = pd_dnn_channels_of(plan, b->in);
    from.phys += b->l->slice_from;
    return pd_dnn_add_gather(b, &src, from, &dst, pd_dnn_channels_of(plan, b->out), b->out->shape.c,
                             b->out->shape.h * b->out->shape.w);
}

static int add_resize(struct pd_dnn_builder *b)
{
    struct pd_dnn_ref src, dst = pd_dnn_tensor_ref(b->plan, b->l->out);
    int r = pd_dnn_operand_as_out(b, &src);
    if (r < 0)
        return r;
    struct pd_dnn_prim prim;
    r = pd_dnn_resize(b->plan->dnn, b->l->bilinear, &src.md, &dst.md, &prim, b->err);
    if (r < 0)
        return r == -ENOTSUP ? pd_dnn_unsupported(b) : r;
    struct pd_dnn_step *s = pd_dnn_prim_step(b, &prim);
    if (!s)
        return -ENOMEM;
    pd_dnn_add_arg(s, DNNL_ARG_SRC, &src);
    pd_dnn_add_arg(s, DNNL_ARG_DST, &dst);
    return pd_dnn_add_act(b, &dst, &dst);
}

static int add_activation(struct pd_dnn_builder *b)
{
    struct pd_dnn_ref src, dst = pd_dnn_tensor_ref(b->plan, b->l->out);
    int r = pd_dnn_operand_as_out(b, &src);
    if (r < 0)
        return r;
    return b->l->act == PD_ACT_NONE ? pd_dnn_add_copy(b, &src, &dst) : pd_dnn_add_act(b, &src, &dst);
}

int pd_dnn_add_layer(struct pd_dnn_plan *plan, int layer, struct pd_err *err)
{
    static int (*const add[PD_LAYER_KINDS])(struct pd_dnn_builder *) = {
        [PD_LAYER_CONV] = pd_dnn_add_conv,         [PD_LAYER_DECONV] = pd_dnn_add_conv,   [PD_LAYER_MAXPOOL] = add_pool,
        [PD_LAYER_AVGPOOL] = add_pool,      [PD_LAYER_GAVGPOOL] = add_pool, [PD_LAYER_FC] = add_fc,
        [PD_LAYER_ADD] = add_binary,        [PD_LAYER_MUL] = add_binary,    [PD_LAYER_CONCAT] = add_concat,
        [PD_LAYER_SLICE] = add_slice,       [PD_LAYER_RESIZE] = add_resize, [PD_LAYER_AFFINE] = pd_dnn_add_affine,
        [PD_LAYER_ACT] = add_activation,
    };
    const struct pd_layer *l = &plan->net->layers[layer];
    struct pd_dnn_builder b = {plan, plan->net, l, layer, &plan->tensors[l->in[0]], &plan->tensors[l->out], err};
    return add[l->kind](&b);
}
