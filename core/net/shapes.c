/* SPDX-License-Identifier: Apache-2.0
 *
 * Sizes and costs of lowered networks.
 */
#include <errno.h>

#include "core/net/net.h"

#define SIDE_MAX (1 << 16)
#define SAMPLES_MAX ((int64_t)1 << 31) /* of one tensor of one frame */

const char *pd_layer_kind_name(enum pd_layer_kind kind)
{
    static const char *const names[PD_LAYER_KINDS] = {
        [PD_LAYER_CONV] = "conv",       [PD_LAYER_DECONV] = "deconv",     [PD_LAYER_MAXPOOL] = "maxpool",
        [PD_LAYER_AVGPOOL] = "avgpool", [PD_LAYER_GAVGPOOL] = "gavgpool", [PD_LAYER_FC] = "fc",
        [PD_LAYER_ADD] = "add",         [PD_LAYER_MUL] = "mul",           [PD_LAYER_CONCAT] = "concat",
        [PD_LAYER_SLICE] = "slice",     [PD_LAYER_RESIZE] = "resize",     [PD_LAYER_AFFINE] = "affine",
        [PD_LAYER_ACT] = "act",
    };
    return (unsigned)kind < PD_LAYER_KINDS ? names[kind] : "?";
}

const char *pd_act_name(enum pd_act act)
{
    static const char *const names[] = {
        [PD_ACT_NONE] = "none",   [PD_ACT_RELU] = "relu",   [PD_ACT_CLIP] = "clip",
        [PD_ACT_PRELU] = "prelu", [PD_ACT_ELU] = "elu",     [PD_ACT_SIGMOID] = "sigmoid",
        [PD_ACT_TANH] = "tanh",   [PD_ACT_SWISH] = "swish", [PD_ACT_HARDSWISH] = "hardswish",
    };
    return (unsigned)act < PD_ARRAY_SIZE(names) ? names[act] : "?";
}

struct axis {
    int k, stride, dilation, before, after;
};

/* Samples along one axis after sliding a window; < 1 when the window does not fit. */
static int64_t slide(int in, const struct axis *a, bool ceil_mode)
{
    int64_t room = (int64_t)in + a->before + a->after - ((int64_t)(a->k - 1) * a->dilation + 1);
    if (room < 0)
        return 0;
    int64_t out = (room + (ceil_mode ? a->stride - 1 : 0)) / a->stride + 1;
    /* A last window that would begin in the padding behind the image is not there. */
    if (ceil_mode && (out - 1) * a->stride >= (int64_t)in + a->before)
        out--;
    return out;
}

static void window_axes(const struct pd_layer *l, struct axis *y, struct axis *x)
{
    *y = (struct axis){l->kh, l->stride_y, l->dilation_y, l->pad_top, l->pad_bottom};
    *x = (struct axis){l->kw, l->stride_x, l->dilation_x, l->pad_left, l->pad_right};
}

static int64_t unslide(int in, const struct axis *a, int out_pad)
{
    return (int64_t)(in - 1) * a->stride - a->before - a->after + (int64_t)(a->k - 1) * a->dilation + 1 + out_pad;
}

static int bad_shape(const struct pd_layer *l, struct pd_err *err, const char *why)
{
    return pd_err_set(err, -EINVAL, "layer '%s' (%s): %s", l->name, pd_layer_kind_name(l->kind), why);
}

static bool same_size(struct pd_shape a, struct pd_shape b)
{
    return a.h == b.h && a.w == b.w;
}

/* Other inputs than the first: their sizes must go with it. */
static int check_inputs(const struct pd_layer *l, const struct pd_shape *shapes, struct pd_err *err)
{
    struct pd_shape a = shapes[l->in[0]];
    for (int k = 1; k < l->n_in; k++) {
        struct pd_shape b = shapes[l->in[k]];
        bool gate = l->kind == PD_LAYER_MUL && b.h == 1 && b.w == 1;
        if (!same_size(a, b) && !gate)
            return pd_err_set(err, -EINVAL,
                              "layer '%s' (%s): inputs of %dx%d and %dx%d meet; the network wants another input size",
                              l->name, pd_layer_kind_name(l->kind), a.w, a.h, b.w, b.h);
    }
    return 0;
}

static int layer_shape(const struct pd_net *net, const struct pd_layer *l, struct pd_shape *shapes, struct pd_err *err)
{
    struct pd_shape in = shapes[l->in[0]];
    int64_t h = in.h, w = in.w;
    struct axis y, x;
    window_axes(l, &y, &x);
    int r = check_inputs(l, shapes, err);
    if (r < 0)
        return r;
    switch (l->kind) {
    case PD_LAYER_CONV:
    case PD_LAYER_MAXPOOL:
    case PD_LAYER_AVGPOOL:
        h = slide(in.h, &y, l->ceil_mode);
        w = slide(in.w, &x, l->ceil_mode);
        break;
    case PD_LAYER_DECONV:
        h = unslide(in.h, &y, l->out_pad_y);
        w = unslide(in.w, &x, l->out_pad_x);
        break;
    case PD_LAYER_FC:
        if ((size_t)in.c * (size_t)in.h * (size_t)in.w * (size_t)net->tensors[l->out].channels != l->n_weight)
            return bad_shape(l, err, "its weights are for another input size");
        h = w = 1;
        break;
    case PD_LAYER_GAVGPOOL:
        h = w = 1;
        break;
    case PD_LAYER_RESIZE:
        h *= l->scale_y;
        w *= l->scale_x;
        break;
    default:
        break;
    }
    if (h < 1 || w < 1)
        return bad_shape(l, err, "the input is too small for its window");
    int c = net->tensors[l->out].channels;
    if (h > SIDE_MAX || w > SIDE_MAX || h * w > SAMPLES_MAX / c)
        return bad_shape(l, err, "the input is too large");
    shapes[l->out] = (struct pd_shape){c, (int)h, (int)w};
    if (l->residual >= 0 && !same_size(shapes[l->residual], shapes[l->out]))
        return bad_shape(l, err, "the tensor to be added is of another size");
    return 0;
}

int pd_net_shapes(const struct pd_net *net, int h, int w, struct pd_shape *shapes, struct pd_err *err)
{
    int multiple = pd_net_multiple(net);
    if (h < 1 || w < 1 || h > SIDE_MAX || w > SIDE_MAX || h % multiple || w % multiple)
        return pd_err_set(err, -EINVAL, "%s: input size %dx%d; multiples of %d up to %d are expected", net->meta.name,
                          w, h, multiple, SIDE_MAX);
    shapes[net->input] = (struct pd_shape){net->tensors[net->input].channels, h, w};
    for (int i = 0; i < net->n_layers; i++) {
        int r = layer_shape(net, &net->layers[i], shapes, err);
        if (r < 0)
            return pd_err_prefix(err, r, "%s at %dx%d", net->meta.name, w, h);
    }
    if (net->paf >= 0 && !same_size(shapes[net->heat], shapes[net->paf]))
        return pd_err_set(err, -EINVAL, "%s at %dx%d: its two outputs are of different size", net->meta.name, w, h);
    return 0;
}

double pd_layer_macs(const struct pd_net *net, const struct pd_layer *layer, const struct pd_shape *shapes)
{
    struct pd_shape in = shapes[layer->in[0]], out = shapes[layer->out];
    switch (layer->kind) {
    case PD_LAYER_CONV: /* each weight once per output sample */
        return (double)layer->n_weight * out.h * out.w;
    case PD_LAYER_DECONV: /* each weight once per input sample */
        return (double)layer->n_weight * in.h * in.w;
    case PD_LAYER_FC:
        return (double)layer->n_weight;
    case PD_LAYER_AFFINE:
        return (double)out.c * out.h * out.w;
    default:
        return 0;
    }
}

size_t pd_net_parameters(const struct pd_net *net)
{
    size_t n = 0;
    for (int i = 0; i < net->n_layers; i++) {
        const struct pd_layer *l = &net->layers[i];
        n += l->n_weight + (l->bias ? (size_t)net->tensors[l->out].channels : 0) + (size_t)l->n_slopes;
    }
    return n;
}
