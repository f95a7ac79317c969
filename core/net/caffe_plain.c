/* SPDX-License-Identifier: Apache-2.0
 *
 * Caffe's layers without windows: activations, arithmetic, concat, slice, dense layers.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/net/caffe.h"

/* ---- activations ---- */

static int same_shape(struct pd_caffe *c, const char *op)
{
    const struct pd_caffe_value *in = pd_caffe_in(c, 0);
    pd_caffe_node(c, op, in->name, in->channels, in->flat);
    return 0;
}

int pd_caffe_relu(struct pd_caffe *c)
{
    float slope = c->layer->relu ? c->layer->relu->negative_slope : 0;
    if (slope == 0)
        return same_shape(c, "Relu");
    same_shape(c, "LeakyRelu");
    pd_onnx_write_float(c->w, "alpha", slope);
    return 0;
}

int pd_caffe_elu(struct pd_caffe *c)
{
    same_shape(c, "Elu");
    pd_onnx_write_float(c->w, "alpha", c->layer->elu && c->layer->elu->has_alpha ? c->layer->elu->alpha : 1);
    return 0;
}

int pd_caffe_sigmoid(struct pd_caffe *c)
{
    return same_shape(c, "Sigmoid");
}

int pd_caffe_tanh(struct pd_caffe *c)
{
    return same_shape(c, "Tanh");
}

/* The layer's input and a constant of a value a channel, or one value, made from blob @k. */
static int with_channels(struct pd_caffe *c, const char *op, int k, const char *suffix, int64_t n)
{
    const struct pd_caffe_value *in = pd_caffe_in(c, 0);
    char inputs[4 * PD_CAFFE_NAME];
    int r = pd_caffe_constant(c, k, suffix, in->flat ? 1 : 3, (int64_t[]){n, 1, 1});
    snprintf(inputs, sizeof(inputs), "%s %s.%s", in->name, pd_caffe_out(c)->name, suffix);
    if (!r)
        pd_caffe_node(c, op, inputs, in->channels, in->flat);
    return r;
}

int pd_caffe_prelu(struct pd_caffe *c)
{
    bool shared = c->layer->prelu && c->layer->prelu->channel_shared;
    return with_channels(c, "PRelu", 0, "slope", shared ? 1 : pd_caffe_in(c, 0)->channels);
}

/* ---- arithmetic ---- */

/* The blob as (c), whatever number of ones it brings, is checked by pd_caffe_constant(). */
int pd_caffe_bias(struct pd_caffe *c)
{
    return with_channels(c, "Add", 0, "shift", pd_caffe_in(c, 0)->channels);
}

int pd_caffe_scale(struct pd_caffe *c)
{
    const Caffe__ScaleParameter *p = c->layer->scale;
    const struct pd_caffe_value *in = pd_caffe_in(c, 0);
    struct pd_caffe_value *out = pd_caffe_out(c);
    char inputs[4 * PD_CAFFE_NAME], product[PD_CAFFE_NAME + 32];
    if (p && ((p->has_axis && p->axis != 1) || (p->has_num_axes && p->num_axes != 1)))
        return pd_caffe_fail(c, c->layer, -ENOTSUP, "only a scale for each channel is supported");
    if (!p || !p->bias_term)
        return with_channels(c, "Mul", 0, "scale", in->channels);
    int64_t dims[3] = {in->channels, 1, 1};
    int n_dims = in->flat ? 1 : 3;
    int r = pd_caffe_constant(c, 0, "scale", n_dims, dims);
    if (!r)
        r = pd_caffe_constant(c, 1, "shift", n_dims, dims);
    if (r < 0)
        return r;
    snprintf(inputs, sizeof(inputs), "%s %s.scale", in->name, out->name);
    snprintf(product, sizeof(product), "%s.product", out->name);
    pd_onnx_write_node(c->w, "Mul", inputs, product);
    snprintf(inputs, sizeof(inputs), "%s %s.shift", product, out->name);
    pd_caffe_node(c, "Add", inputs, in->channels, in->flat);
    return 0;
}

/* Sums of means and of variances, and by what to divide them. */
int pd_caffe_batch_norm(struct pd_caffe *c)
{
    static const char *const names[4] = {"scale", "shift", "mean", "variance"};
    struct pd_caffe_value *in, *out = pd_caffe_out(c);
    const float *sums[2], *divisor;
    int r = pd_caffe_image(c, &in);
    if (!r && c->layer->n_blobs != 3)
        r = pd_caffe_fail(c, c->layer, -ENOTSUP, "has %d blobs; three (mean, variance, factor) are expected",
                          c->layer->n_blobs);
    for (int k = 0; k < 2 && !r; k++)
        r = pd_caffe_values(c, k, (size_t)in->channels, &sums[k]);
    if (!r)
        r = pd_caffe_values(c, 2, 1, &divisor);
    if (r < 0)
        return r;
    float factor = *divisor == 0 ? 0 : 1 / *divisor;
    for (int k = 0; k < 4; k++) {
        char name[PD_CAFFE_NAME + 16];
        snprintf(name, sizeof(name), "%s.%s", out->name, names[k]);
        float *to = pd_onnx_write_floats(c->w, name, 1, (int64_t[]){in->channels});
        if (!to)
            return pd_caffe_no_memory(c);
        for (int i = 0; i < in->channels; i++)
            to[i] = k >= 2 ? sums[k - 2][i] * factor : k == 0;
    }
    char inputs[8 * PD_CAFFE_NAME];
    snprintf(inputs, sizeof(inputs), "%s %s.scale %s.shift %s.mean %s.variance", in->name, out->name, out->name,
             out->name, out->name);
    pd_caffe_node(c, "BatchNormalization", inputs, in->channels, false);
    const Caffe__BatchNormParameter *p = c->layer->batch_norm;
    pd_onnx_write_float(c->w, "epsilon", p && p->has_eps ? p->eps : 1e-5f);
    return 0;
}

/* (shift + scale * x) ^ power */
int pd_caffe_power(struct pd_caffe *c)
{
    const Caffe__PowerParameter *p = c->layer->power;
    const struct pd_caffe_value *in = pd_caffe_in(c, 0);
    struct pd_caffe_value *out = pd_caffe_out(c);
    char name[PD_CAFFE_NAME + 16], inputs[4 * PD_CAFFE_NAME], product[PD_CAFFE_NAME + 16];
    if (p && p->has_power && p->power != 1)
        return pd_caffe_fail(c, c->layer, -ENOTSUP, "power %g; only 1 is supported", (double)p->power);
    snprintf(name, sizeof(name), "%s.scale", out->name);
    float *scale = pd_onnx_write_floats(c->w, name, 0, NULL);
    snprintf(name, sizeof(name), "%s.shift", out->name);
    float *shift = pd_onnx_write_floats(c->w, name, 0, NULL);
    if (!scale || !shift)
        return pd_caffe_no_memory(c);
    *scale = p && p->has_scale ? p->scale : 1;
    *shift = p ? p->shift : 0;
    snprintf(product, sizeof(product), "%s.product", out->name);
    snprintf(inputs, sizeof(inputs), "%s %s.scale", in->name, out->name);
    pd_onnx_write_node(c->w, "Mul", inputs, product);
    snprintf(inputs, sizeof(inputs), "%s %s.shift", product, out->name);
    pd_caffe_node(c, "Add", inputs, in->channels, in->flat);
    return 0;
}

int pd_caffe_eltwise(struct pd_caffe *c)
{
    enum { PRODUCT = 0, SUM = 1 };
    const Caffe__EltwiseParameter *p = c->layer->eltwise;
    const struct pd_caffe_value *first = pd_caffe_in(c, 0);
    struct pd_caffe_value *out = pd_caffe_out(c);
    int operation = p && p->has_operation ? p->operation : SUM, n = c->layer->n_bottom;
    size_t n_coeff = p ? p->n_coeff : 0;
    if (operation != PRODUCT && operation != SUM)
        return pd_caffe_fail(c, c->layer, -ENOTSUP, "only product and sum are supported");
    for (size_t i = 0; i < n_coeff; i++)
        if (p->coeff[i] != 1)
            return pd_caffe_fail(c, c->layer, -ENOTSUP, "coefficient %g; only 1 is supported", (double)p->coeff[i]);
    char so_far[PD_CAFFE_NAME + 16], inputs[4 * PD_CAFFE_NAME];
    snprintf(so_far, sizeof(so_far), "%s", first->name);
    for (int k = 1; k < n; k++) {
        const struct pd_caffe_value *in = pd_caffe_in(c, k);
        if (in->channels != first->channels || in->flat != first->flat)
            return pd_caffe_fail(c, c->layer, -EINVAL, "its inputs have %d and %d channels", first->channels,
                                 in->channels);
        snprintf(inputs, sizeof(inputs), "%s %s", so_far, in->name);
        snprintf(so_far, sizeof(so_far), "%s.%d", out->name, k);
        if (k + 1 < n)
            pd_onnx_write_node(c->w, operation == SUM ? "Add" : "Mul", inputs, so_far);
    }
    pd_caffe_node(c, operation == SUM ? "Add" : "Mul", inputs, first->channels, first->flat);
    return 0;
}

/* ---- channels ---- */

int pd_caffe_concat(struct pd_caffe *c)
{
    const Caffe__ConcatParameter *p = c->layer->concat;
    int64_t axis = !p ? 1 : p->has_concat_dim ? p->concat_dim : p->has_axis ? p->axis : 1;
    char inputs[32 * (PD_CAFFE_NAME + 1)] = "";
    int channels = 0;
    if (axis != 1 && axis != -3)
        return pd_caffe_fail(c, c->layer, -ENOTSUP, "axis %lld; only channels (axis 1) are supported", (long long)axis);
    for (int k = 0; k < c->layer->n_bottom; k++) {
        const struct pd_caffe_value *in = pd_caffe_in(c, k);
        if (in->flat)
            return pd_caffe_fail(c, c->layer, -ENOTSUP, "input %d has no height and width", k);
        snprintf(inputs + strlen(inputs), sizeof(inputs) - strlen(inputs), "%s ", in->name);
        channels += in->channels;
    }
    if (channels > PD_CAFFE_CHANNELS_MAX)
        return pd_caffe_fail(c, c->layer, -ENOTSUP, "makes %d channels", channels);
    pd_caffe_node(c, "Concat", inputs, channels, false);
    pd_onnx_write_int(c->w, "axis", 1);
    return 0;
}

void pd_caffe_slice_node(struct pd_caffe *c, const char *in, const char *out, int64_t from, int64_t to)
{
    static const char *const suffix[3] = {"from", "to", "axis"};
    const int64_t values[3] = {from, to, 1};
    char name[PD_CAFFE_NAME + 16], inputs[5 * PD_CAFFE_NAME + 64];
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof(name), "%s.%s", out, suffix[i]);
        pd_onnx_write_integers(c->w, name, 1, &values[i]);
    }
    snprintf(inputs, sizeof(inputs), "%s %s.from %s.to %s.axis", in, out, out, out);
    pd_onnx_write_node(c->w, "Slice", inputs, out);
}

/* Each output is a Slice of its own, so that one that nobody reads costs nothing. */
int pd_caffe_slice(struct pd_caffe *c)
{
    const struct pd_caffe_layer *l = c->layer;
    const Caffe__SliceParameter *p = l->slice;
    struct pd_caffe_value *in;
    int r = pd_caffe_image(c, &in);
    int64_t axis = !p ? 1 : p->has_slice_dim ? p->slice_dim : p->has_axis ? p->axis : 1, from = 0;
    if (r < 0)
        return r;
    if (axis != 1 && axis != -3)
        return pd_caffe_fail(c, l, -ENOTSUP, "axis %lld; only channels (axis 1) are supported", (long long)axis);
    if (p && p->n_slice_point ? p->n_slice_point != (size_t)l->n_top - 1 : in->channels % l->n_top != 0)
        return pd_caffe_fail(c, l, -EINVAL, "%d channels are not cut into %d outputs", in->channels, l->n_top);
    for (int k = 0; k < l->n_top; k++) {
        struct pd_caffe_value *out = &c->values[l->out[k]];
        uint64_t to = (uint64_t)in->channels;
        if (k + 1 < l->n_top)
            to = p && p->n_slice_point ? p->slice_point[k] : to / (uint64_t)l->n_top * (uint64_t)(k + 1);
        if (to <= (uint64_t)from || to > (uint64_t)in->channels)
            return pd_caffe_fail(c, l, -EINVAL, "slice point %llu of %d channels", (unsigned long long)to,
                                 in->channels);
        pd_caffe_slice_node(c, in->name, out->name, from, (int64_t)to);
        out->channels = (int)((int64_t)to - from);
        from = (int64_t)to;
    }
    return 0;
}

/* ---- dense layers ---- */

/* Channels of a flattened image are not known here; only another dense layer may follow, and it does not ask. */
int pd_caffe_flatten(struct pd_caffe *c)
{
    const struct pd_caffe_value *in = pd_caffe_in(c, 0);
    if (in->flat)
        pd_caffe_node(c, "Identity", in->name, in->channels, true);
    else
        pd_caffe_node(c, "Flatten", in->name, 0, true);
    return 0;
}

int pd_caffe_inner_product(struct pd_caffe *c)
{
    const Caffe__InnerProductParameter *p = c->layer->inner_product;
    const struct pd_caffe_value *in = pd_caffe_in(c, 0);
    struct pd_caffe_value *out = pd_caffe_out(c);
    uint64_t co = p ? p->num_output : 0;
    if (!co || co > PD_CAFFE_CHANNELS_MAX || !c->layer->n_blobs)
        return pd_caffe_fail(c, c->layer, -EINVAL, "has %llu outputs and %d blobs", (unsigned long long)co,
                             c->layer->n_blobs);
    if (p->has_axis && p->axis != 1)
        return pd_caffe_fail(c, c->layer, -ENOTSUP, "axis %lld; only 1 is supported", (long long)p->axis);
    const Caffe__BlobProto *b = c->layer->blobs[0];
    size_t count = b->n_data ? b->n_data : b->n_double_data;
    if (!count || count % co)
        return pd_caffe_fail(c, c->layer, -EINVAL, "%zu weights for %llu outputs", count, (unsigned long long)co);
    int64_t ci = (int64_t)(count / co);
    int64_t dims[2] = {p->transpose ? ci : (int64_t)co, p->transpose ? (int64_t)co : ci};
    bool bias = !p->has_bias_term || p->bias_term;
    char flat[PD_CAFFE_NAME + 16], inputs[4 * PD_CAFFE_NAME];
    int r = pd_caffe_constant(c, 0, "weight", 2, dims);
    if (!r && bias)
        r = pd_caffe_constant(c, 1, "bias", 1, (int64_t[]){(int64_t)co});
    if (r < 0)
        return r;
    snprintf(flat, sizeof(flat), "%s", in->name);
    if (!in->flat) {
        snprintf(flat, sizeof(flat), "%s.flat", out->name);
        pd_onnx_write_node(c->w, "Flatten", in->name, flat);
    }
    snprintf(inputs, sizeof(inputs), bias ? "%s %s.weight %s.bias" : "%s %s.weight", flat, out->name, out->name);
    pd_caffe_node(c, "Gemm", inputs, (int)co, true);
    pd_onnx_write_int(c->w, "transB", !p->transpose);
    return 0;
}
