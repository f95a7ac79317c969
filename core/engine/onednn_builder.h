#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * One layer of the lowered network becomes its steps: bring the inputs into the arrangement that the primitive needs
 * (nothing to do, nearly always), the primitive itself with everything fused that the library can fuse, and what it
 * could not fuse behind it. onednn_steps.c has what all kinds of layers are built from, onednn_conv.c convolutions,
 * onednn_layers.c the others.
 */
#include "core/engine/onednn_plan.h"

struct pd_dnn_builder {
    struct pd_dnn_plan *plan;
    const struct pd_net *net;
    const struct pd_layer *l;
    int layer;
    struct pd_dnn_tensor *in, *out; /* of in[0] and out */
    struct pd_err *err;
};

/* ---- onednn_steps.c ---- */
/* Each that returns int: 0, or a negative errno with a line in b->err. */
int pd_dnn_unsupported(struct pd_dnn_builder *b);
/* Where @tensor lies, as it is. */
struct pd_dnn_ref pd_dnn_tensor_ref(const struct pd_dnn_plan *plan, int tensor);
/* Memory for as long as the layer runs. */
int pd_dnn_temporary(struct pd_dnn_builder *b, const struct pd_dnn_md *md, struct pd_dnn_ref *ret_ref);
struct pd_dnn_channels pd_dnn_channels_of(const struct pd_dnn_plan *plan, const struct pd_dnn_tensor *t);
/* @tensor in the wanted arrangement: itself where it has that already, else gathered into a temporary. */
int pd_dnn_operand(struct pd_dnn_builder *b, int tensor, struct pd_dnn_channels want, struct pd_dnn_ref *ret_ref);
/* The first input arranged like the output. */
int pd_dnn_operand_as_out(struct pd_dnn_builder *b, struct pd_dnn_ref *ret_ref);
/* The layer's weights of one kind as an argument; @md NULL: a vector of the output's physical channels. */
int pd_dnn_weights_ref(struct pd_dnn_builder *b, enum pd_dnn_weight_kind kind, int groups, const struct pd_dnn_md *md,
                       struct pd_dnn_ref *ret_ref);
int pd_dnn_slopes_ref(struct pd_dnn_builder *b, struct pd_dnn_ref *ret_ref);
struct pd_dnn_post pd_dnn_post_of(const struct pd_layer *l, bool sum);

/* A step for @prim, which it takes. NULL: out of memory, told. */
struct pd_dnn_step *pd_dnn_prim_step(struct pd_dnn_builder *b, struct pd_dnn_prim *prim);
void pd_dnn_add_arg(struct pd_dnn_step *s, int arg, const struct pd_dnn_ref *ref);
/* The layer's activation as a step of its own, from @src to the output, which may be the same memory. */
int pd_dnn_add_act(struct pd_dnn_builder *b, const struct pd_dnn_ref *src, const struct pd_dnn_ref *dst);
int pd_dnn_add_copy(struct pd_dnn_builder *b, const struct pd_dnn_ref *src, const struct pd_dnn_ref *dst);
int pd_dnn_add_gather(struct pd_dnn_builder *b, const struct pd_dnn_ref *src, struct pd_dnn_channels from,
                      const struct pd_dnn_ref *dst, struct pd_dnn_channels to, int n_channels, int area);
int pd_dnn_add_reorder(struct pd_dnn_builder *b, const struct pd_dnn_ref *src, const struct pd_dnn_ref *dst);

/* ---- onednn_conv.c ---- */
int pd_dnn_add_conv(struct pd_dnn_builder *b);
/* y = x * weight[c] + bias[c] is a depthwise convolution by 1x1. */
int pd_dnn_add_affine(struct pd_dnn_builder *b);
