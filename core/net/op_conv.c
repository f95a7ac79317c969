/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolution, transposed convolution, pooling, and the Pad before a convolution.
 */
#include <errno.h>
#include <math.h>

#include "core/net/lower.h"

/* Kernel sizes, strides, dilations and paddings beyond this are taken for damage; it also keeps all sums within int. */
#define GEOMETRY_MAX 1023

static int attr_pair(struct pd_lower *lw, const char *name, int min, int *y, int *x)
{
    const Onnx__AttributeProto *a = pd_attr(lw->node, name);
    if (!a)
        return 0;
    if (a->n_ints != 2)
        return pd_lower_fail(lw, -ENOTSUP, "%s has %zu values; two are expected", name, a->n_ints);
    for (int i = 0; i < 2; i++)
        if (a->ints[i] < min || a->ints[i] > GEOMETRY_MAX)
            return pd_lower_fail(lw, -EINVAL, "%s is %lld; %d to %d is expected", name, (long long)a->ints[i], min,
                                 GEOMETRY_MAX);
    *y = (int)a->ints[0];
    *x = (int)a->ints[1];
    return 0;
}

/* SAME padding along one axis. The input divides by the stride (see check_same), so the total is the part of the kernel
 * that sticks out of one stride. */
static void same_pad(int k, int dilation, int stride, int out_pad, bool upper, int *begin, int *end)
{
    int total = PD_MAX((k - 1) * dilation + 1 - stride + out_pad, 0);
    *begin = upper ? total / 2 : total - total / 2;
    *end = total - *begin;
}

static bool pads_same(const struct pd_onnx_node *nd)
{
    return pd_attr_is(nd, "auto_pad", "NOTSET", "SAME_UPPER") || pd_attr_is(nd, "auto_pad", "NOTSET", "SAME_LOWER");
}

/* A transposed window smaller than its stride leaves the output short of SAME's size, which no padding mends. */
static bool falls_short(const struct pd_layer *l)
{
    return (l->kh - 1) * l->dilation_y + 1 + l->out_pad_y < l->stride_y ||
           (l->kw - 1) * l->dilation_x + 1 + l->out_pad_x < l->stride_x;
}

/* Whether the input divides by the stride: its even part, which is checked at the end (see same_scale), what windows
 * before it took or left, and what a Pad adds. */
static int check_same(struct pd_lower *lw, const struct pd_layer *l)
{
    const struct pd_tensor_info *in = &lw->info[l->in[0]];
    const int *pad = pd_lower_input(lw, 0)->pad;
    if (l->kind == PD_LAYER_DECONV)
        return !falls_short(l) ? 0
                               : pd_lower_fail(lw, -ENOTSUP, "pads with auto_pad SAME and a kernel smaller than its "
                                               "stride; export with explicit pads");
    if (l->stride_y == 1 && l->stride_x == 1)
        return 0;
    if (in->pooled || (in->more_y + pad[0] + pad[2]) % l->stride_y || (in->more_x + pad[1] + pad[3]) % l->stride_x)
        return pd_lower_fail(lw, -ENOTSUP, "pads with auto_pad SAME after a Pad, or windows without padding, that "
                             "leave a size which the stride does not divide; export with explicit pads");
    lw->same_scale = fmax(lw->same_scale, fmax(in->scale_y * l->stride_y, in->scale_x * l->stride_x));
    return 0;
}

static int read_padding(struct pd_lower *lw, struct pd_layer *l)
{
    const struct pd_onnx_node *nd = lw->node;
    if (pads_same(nd)) {
        bool upper = pd_attr_is(nd, "auto_pad", "NOTSET", "SAME_UPPER");
        same_pad(l->kh, l->dilation_y, l->stride_y, l->out_pad_y, upper, &l->pad_top, &l->pad_bottom);
        same_pad(l->kw, l->dilation_x, l->stride_x, l->out_pad_x, upper, &l->pad_left, &l->pad_right);
        return check_same(lw, l);
    }
    if (pd_attr_is(nd, "auto_pad", "NOTSET", "VALID"))
        return 0;
    if (!pd_attr_is(nd, "auto_pad", "NOTSET", "NOTSET"))
        return pd_lower_fail(lw, -EINVAL, "auto_pad is none of NOTSET, VALID, SAME_UPPER, SAME_LOWER");
    const Onnx__AttributeProto *a = pd_attr(nd, "pads");
    if (!a)
        return 0;
    if (a->n_ints != 4)
        return pd_lower_fail(lw, -ENOTSUP, "pads has %zu values; four are expected", a->n_ints);
    for (int i = 0; i < 4; i++)
        if (a->ints[i] < 0 || a->ints[i] > GEOMETRY_MAX)
            return pd_lower_fail(lw, -EINVAL, "pads has %lld; 0 to %d is expected", (long long)a->ints[i],
                                 GEOMETRY_MAX);
    l->pad_top = (int)a->ints[0];
    l->pad_left = (int)a->ints[1];
    l->pad_bottom = (int)a->ints[2];
    l->pad_right = (int)a->ints[3];
    return 0;
}

static int read_geometry(struct pd_lower *lw, struct pd_layer *l)
{
    int kh = l->kh, kw = l->kw;
    int r = attr_pair(lw, "kernel_shape", 1, &l->kh, &l->kw);
    if (!r && l->weight && (kh != l->kh || kw != l->kw))
        r = pd_lower_fail(lw, -EINVAL, "kernel_shape says %dx%d, the weights are %dx%d", l->kh, l->kw, kh, kw);
    if (!r)
        r = attr_pair(lw, "strides", 1, &l->stride_y, &l->stride_x);
    if (!r)
        r = attr_pair(lw, "dilations", 1, &l->dilation_y, &l->dilation_x);
    if (!r && l->kind == PD_LAYER_DECONV)
        r = attr_pair(lw, "output_padding", 0, &l->out_pad_y, &l->out_pad_x);
    return r ? r : read_padding(lw, l);
}

/* What a window leaves of @more, of an input whose even part its stride divides. */
static int slide(int more, int k, int dilation, int stride, int before, int after, bool ceil_mode)
{
    int room = more + before + after - ((k - 1) * dilation + 1) + (ceil_mode ? stride - 1 : 0);
    int steps = room >= 0 ? room / stride : -((-room + stride - 1) / stride);
    return ceil_mode && steps * stride >= more + before ? steps : steps + 1;
}

static int unslide(int more, int k, int dilation, int stride, int before, int after, int out_pad)
{
    return pd_lower_more((int64_t)(more - 1) * stride - before - after + (k - 1) * dilation + 1 + out_pad);
}

static void set_more(const struct pd_layer *l, const struct pd_tensor_info *in, struct pd_tensor_info *out)
{
    if (l->kind == PD_LAYER_DECONV) {
        out->more_y = unslide(in->more_y, l->kh, l->dilation_y, l->stride_y, l->pad_top, l->pad_bottom, l->out_pad_y);
        out->more_x = unslide(in->more_x, l->kw, l->dilation_x, l->stride_x, l->pad_left, l->pad_right, l->out_pad_x);
        return;
    }
    int y = slide(in->more_y, l->kh, l->dilation_y, l->stride_y, l->pad_top, l->pad_bottom, l->ceil_mode);
    int x = slide(in->more_x, l->kw, l->dilation_x, l->stride_x, l->pad_left, l->pad_right, l->ceil_mode);
    out->more_y = pd_lower_more(y);
    out->more_x = pd_lower_more(x);
}

static void set_scale(struct pd_lower *lw, const struct pd_layer *l)
{
    const struct pd_tensor_info *in = &lw->info[l->in[0]];
    struct pd_tensor_info *out = &lw->info[l->out];
    bool up = l->kind == PD_LAYER_DECONV;
    out->scale_y = up ? in->scale_y / l->stride_y : in->scale_y * l->stride_y;
    out->scale_x = up ? in->scale_x / l->stride_x : in->scale_x * l->stride_x;
    set_more(l, in, out);
    if (l->kh != 1 || l->kw != 1 || l->pad_top || l->pad_left || l->pad_bottom || l->pad_right)
        out->pooled = false;
}

/* Weights (a, b, kh, kw), bias and groups, checked against the input's channels. */
static int read_weights(struct pd_lower *lw, int channels, bool transposed, struct pd_const *w, struct pd_const *b,
                        int *ret_groups, int *ret_out)
{
    int r = pd_lower_floats(lw, 1, 4, w);
    if (r < 0)
        return r;
    int64_t groups = pd_attr_int(lw->node, "group", 1);
    for (int i = 0; i < 4; i++)
        if (w->dims[i] < 1 || w->dims[i] > (i < 2 ? 1 << 20 : GEOMETRY_MAX))
            return pd_lower_fail(lw, -EINVAL, "dimension %d of the weights is %lld", i, (long long)w->dims[i]);
    if (groups < 1 || channels % groups || w->dims[0] % groups)
        return pd_lower_fail(lw, -EINVAL, "group %lld does not divide %d input channels and weights of %lld",
                             (long long)groups, channels, (long long)w->dims[0]);
    int64_t ci = transposed ? w->dims[0] : w->dims[1] * groups;
    int64_t co = transposed ? w->dims[1] * groups : w->dims[0];
    if (ci != channels || co > 1 << 20)
        return pd_lower_fail(lw, -EINVAL, "the weights are for %lld input channels, the input has %d", (long long)ci,
                             channels);
    *b = (struct pd_const){0};
    if (pd_lower_input(lw, 2)) {
        r = pd_lower_floats(lw, 2, 1, b);
        if (r < 0)
            return r;
        if (b->dims[0] != co)
            return pd_lower_fail(lw, -EINVAL, "%lld bias values for %lld output channels", (long long)b->dims[0],
                                 (long long)co);
    }
    *ret_groups = (int)groups;
    *ret_out = (int)co;
    return 0;
}

static int conv_layer(struct pd_lower *lw, enum pd_layer_kind kind, int in)
{
    struct pd_const w, b;
    int groups = 1, co = 0;
    int r = read_weights(lw, lw->tensors[in].channels, kind == PD_LAYER_DECONV, &w, &b, &groups, &co);
    if (r < 0)
        return r;
    int i = pd_lower_layer(lw, kind, in, -1, co);
    if (i < 0)
        return i;
    struct pd_layer *l = &lw->layers[i];
    l->weight = w.f;
    l->n_weight = w.count;
    l->bias = b.f;
    l->groups = groups;
    l->kh = (int)w.dims[2];
    l->kw = (int)w.dims[3];
    r = read_geometry(lw, l);
    if (r < 0)
        return r;
    return i;
}

int pd_op_conv(struct pd_lower *lw)
{
    const struct pd_value *v = pd_lower_input(lw, 0);
    struct pd_value plain = *v;
    int in;
    /* A Pad before it is added to the convolution's own padding. */
    if (v->kind != PD_VALUE_TENSOR || v->flat)
        return pd_lower_image(lw, 0, &in) ?: -EINVAL;
    int i = conv_layer(lw, PD_LAYER_CONV, plain.tensor);
    if (i < 0)
        return i;
    struct pd_layer *l = &lw->layers[i];
    l->pad_top += plain.pad[0];
    l->pad_left += plain.pad[1];
    l->pad_bottom += plain.pad[2];
    l->pad_right += plain.pad[3];
    set_scale(lw, l);
    return pd_lower_set_layer(lw, i, NULL);
}

int pd_op_conv_transpose(struct pd_lower *lw)
{
    int in;
    int r = pd_lower_image(lw, 0, &in);
    if (r < 0)
        return r;
    if (pd_attr(lw->node, "output_shape"))
        return pd_lower_fail(lw, -ENOTSUP, "output_shape is given; pads and output_padding are expected");
    int i = conv_layer(lw, PD_LAYER_DECONV, in);
    if (i < 0)
        return i;
    const struct pd_layer *l = &lw->layers[i];
    if (l->out_pad_y >= PD_MAX(l->stride_y, l->dilation_y) || l->out_pad_x >= PD_MAX(l->stride_x, l->dilation_x))
        return pd_lower_fail(lw, -EINVAL, "output_padding is not smaller than the stride");
    set_scale(lw, l);
    return pd_lower_set_layer(lw, i, NULL);
}

static int pool(struct pd_lower *lw, enum pd_layer_kind kind)
{
    int in;
    int r = pd_lower_image(lw, 0, &in);
    if (r < 0)
        return r;
    if (!pd_attr(lw->node, "kernel_shape"))
        return pd_lower_fail(lw, -EINVAL, "has no kernel_shape");
    int i = pd_lower_layer(lw, kind, in, -1, lw->tensors[in].channels);
    if (i < 0)
        return i;
    struct pd_layer *l = &lw->layers[i];
    r = read_geometry(lw, l);
    if (r < 0)
        return r;
    l->ceil_mode = pd_attr_int(lw->node, "ceil_mode", 0) != 0;
    l->count_include_pad = pd_attr_int(lw->node, "count_include_pad", 0) != 0;
    /* Otherwise a window could lie in the padding altogether, where neither a maximum nor a mean exists. */
    if (PD_MAX(l->pad_top, l->pad_bottom) >= l->kh || PD_MAX(l->pad_left, l->pad_right) >= l->kw)
        return pd_lower_fail(lw, -EINVAL, "padding is not smaller than the %dx%d kernel", l->kh, l->kw);
    if (kind == PD_LAYER_AVGPOOL && (l->dilation_y > 1 || l->dilation_x > 1))
        return pd_lower_fail(lw, -ENOTSUP, "dilated average pooling is not supported");
    set_scale(lw, l);
    return pd_lower_set_layer(lw, i, NULL);
}

int pd_op_max_pool(struct pd_lower *lw)
{
    return pool(lw, PD_LAYER_MAXPOOL); /* its second output (indices) stays unset: whoever reads it is refused */
}

int pd_op_average_pool(struct pd_lower *lw)
{
    return pool(lw, PD_LAYER_AVGPOOL);
}

int pd_op_global_pool(struct pd_lower *lw)
{
    int in;
    int r = pd_lower_image(lw, 0, &in);
    if (r < 0)
        return r;
    int i = pd_lower_layer(lw, PD_LAYER_GAVGPOOL, in, -1, lw->tensors[in].channels);
    if (i >= 0)
        lw->info[lw->layers[i].out].pooled = true;
    return pd_lower_set_layer(lw, i, NULL);
}

/* The mean over h and w, which is how some exporters write a global average. */
int pd_op_reduce_mean(struct pd_lower *lw)
{
    const Onnx__AttributeProto *a = pd_attr(lw->node, "axes");
    const struct pd_value *given = pd_lower_input(lw, 1);
    const int64_t *axes = a ? a->ints : given && given->kind == PD_VALUE_CONST ? given->k.i : NULL;
    size_t n = a ? a->n_ints : axes ? given->k.count : 0;
    bool spatial = n == 2;
    for (size_t k = 0; k < n && spatial; k++)
        spatial = (axes[k] < 0 ? axes[k] + 4 : axes[k]) == (axes[0] == 2 || axes[0] == -2 ? 2 + (int)k : 3 - (int)k);
    if (!spatial || !pd_attr_int(lw->node, "keepdims", 1))
        return pd_lower_fail(lw, -ENOTSUP, "only the mean over height and width with keepdims is supported");
    return pd_op_global_pool(lw);
}

/* Zeros around an image: kept as a note on the value, which the convolution that follows picks up. */
int pd_op_pad(struct pd_lower *lw)
{
    int in;
    int r = pd_lower_image(lw, 0, &in);
    if (r < 0)
        return r;
    const Onnx__AttributeProto *a = pd_attr(lw->node, "pads");
    const struct pd_value *given = pd_lower_input(lw, 1), *fill = pd_lower_input(lw, 2);
    struct pd_value pads = {0};
    bool known = !a && pd_lower_vector(given, &pads);
    for (int k = 0; k < pads.n; k++)
        known &= pads.axis[k] < 0;
    const int64_t *p = a ? a->ints : pads.v;
    size_t n = a ? a->n_ints : known ? (size_t)pads.n : 0;
    if (n != 8 || pd_lower_input(lw, 3))
        return pd_lower_fail(lw, -ENOTSUP, "constant pads for the four axes of an image are expected");
    bool zero = pd_attr_float(lw->node, "value", 0) == 0;
    if (fill)
        zero = fill->kind == PD_VALUE_CONST && fill->k.count == 1 && fill->k.f && fill->k.f[0] == 0;
    if (!zero || !pd_attr_is(lw->node, "mode", "constant", "constant"))
        return pd_lower_fail(lw, -ENOTSUP, "only padding with zeros is supported");
    if (p[0] || p[1] || p[4] || p[5])
        return pd_lower_fail(lw, -ENOTSUP, "pads batch or channels");
    struct pd_value v = {.kind = PD_VALUE_TENSOR, .tensor = in};
    for (int k = 0; k < 4; k++) {
        int64_t pad = p[k < 2 ? k + 2 : k + 4];
        if (pad < 0 || pad > GEOMETRY_MAX)
            return pd_lower_fail(lw, -EINVAL, "pads has %lld; 0 to %d is expected", (long long)pad, GEOMETRY_MAX);
        v.pad[k] = (int)pad;
    }
    return pd_lower_set_value(lw, 0, &v);
}
