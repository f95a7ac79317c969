/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/engine/layer_kinds.h"

#include <string.h>

uint64_t seed = 1;
struct maker maker;

/* ---- layers ---- */

struct window {
    int kh, kw, stride_y, stride_x, dilation_y, dilation_x;
    int top, left, bottom, right;
};

/* WINDOW(3, 5, STRIDE(2, 1), PAD(1, 2, 1, 2)): height before width, and from the top against the clock */
#define WINDOW(h, ...) ((struct window){.kh = (h), .kw = __VA_ARGS__})
#define STRIDE(y, x) .stride_y = (y), .stride_x = (x)
#define DILATION(y, x) .dilation_y = (y), .dilation_x = (x)
#define PAD(t, l, b, r) .top = (t), .left = (l), .bottom = (b), .right = (r)

static void set_window(struct pd_layer *l, struct window w)
{
    l->kh = w.kh;
    l->kw = w.kw;
    l->stride_y = PD_MAX(w.stride_y, 1);
    l->stride_x = PD_MAX(w.stride_x, 1);
    l->dilation_y = PD_MAX(w.dilation_y, 1);
    l->dilation_x = PD_MAX(w.dilation_x, 1);
    l->pad_top = w.top;
    l->pad_left = w.left;
    l->pad_bottom = w.bottom;
    l->pad_right = w.right;
}

static int channels_of(int tensor)
{
    return maker.tensors[tensor].channels;
}

static struct pd_layer *conv(int in, int co, int groups, struct window w)
{
    struct pd_layer *l = maker_layer(&maker, PD_LAYER_CONV, in, co);
    set_window(l, w);
    l->groups = groups;
    maker_weights(&maker, l, (size_t)co * (size_t)(channels_of(in) / groups) * (size_t)w.kh * (size_t)w.kw, true);
    return l;
}

static struct pd_layer *deconv(int in, int co, int groups, struct window w)
{
    struct pd_layer *l = maker_layer(&maker, PD_LAYER_DECONV, in, co);
    set_window(l, w);
    l->groups = groups;
    maker_weights(&maker, l, (size_t)channels_of(in) * (size_t)(co / groups) * (size_t)w.kh * (size_t)w.kw, true);
    return l;
}

static struct pd_layer *pool(enum pd_layer_kind kind, int in, struct window w)
{
    struct pd_layer *l = maker_layer(&maker, kind, in, channels_of(in));
    set_window(l, w);
    return l;
}

static struct pd_layer *binary(enum pd_layer_kind kind, int a, int b)
{
    struct pd_layer *l = maker_layer(&maker, kind, a, channels_of(a));
    l->n_in = 2;
    l->in[1] = b;
    return l;
}

static int slice(int in, int from, int channels)
{
    struct pd_layer *l = maker_layer(&maker, PD_LAYER_SLICE, in, channels);
    l->slice_from = from;
    return l->out;
}

static void concat(const int *parts, int n)
{
    int channels = 0;
    for (int i = 0; i < n; i++)
        channels += channels_of(parts[i]);
    struct pd_layer *l = maker_layer(&maker, PD_LAYER_CONCAT, parts[0], channels);
    l->n_in = n;
    memcpy(l->in, parts, (size_t)n * sizeof(*parts));
}

/* ---- kinds ---- */

static void global_average(int in)
{
    maker_layer(&maker, PD_LAYER_GAVGPOOL, in, channels_of(in));
}

static void channel_attention(int in)
{
    struct pd_layer *mean = maker_layer(&maker, PD_LAYER_GAVGPOOL, in, channels_of(in));
    struct pd_layer *gate = conv(mean->out, channels_of(in), 1, WINDOW(1, 1));
    gate->act = PD_ACT_SIGMOID;
    binary(PD_LAYER_MUL, in, gate->out);
}

static void affine(int in)
{
    struct pd_layer *l = maker_layer(&maker, PD_LAYER_AFFINE, in, channels_of(in));
    maker_weights(&maker, l, (size_t)channels_of(in), true);
    l->act = PD_ACT_TANH;
    l = maker_layer(&maker, PD_LAYER_AFFINE, l->out, channels_of(in));
    maker_weights(&maker, l, (size_t)channels_of(in), false);
}

/* Every one of them, beside each other. */
static void lone_activations(int in)
{
    int parts[PD_ACT_HARDSWISH];
    const int base = conv(in, channels_of(in), 1, WINDOW(1, 1))->out; /* of both signs */
    for (int act = PD_ACT_RELU; act <= PD_ACT_HARDSWISH; act++) {
        struct pd_layer *l = maker_layer(&maker, PD_LAYER_ACT, base, channels_of(base));
        l->act = (enum pd_act)act;
        l->alpha = act == PD_ACT_CLIP ? -0.3f : 0.7f;
        l->beta = 0.9f;
        if (act == PD_ACT_PRELU) {
            l->n_slopes = channels_of(base);
            l->slope = maker_floats(&maker, (size_t)l->n_slopes, 0.5f);
        }
        parts[act - PD_ACT_RELU] = l->out;
    }
    concat(parts, (int)PD_ARRAY_SIZE(parts));
}

/* One slope for all, and an addition and a product that end with it. */
static void activated_binaries(int in)
{
    const int other = conv(in, channels_of(in), 1, WINDOW(1, 1))->out;
    struct pd_layer *sum = binary(PD_LAYER_ADD, in, other);
    sum->act = PD_ACT_PRELU;
    sum->n_slopes = 1;
    sum->slope = maker_floats(&maker, 1, 0.5f);
    struct pd_layer *product = binary(PD_LAYER_MUL, sum->out, other);
    product->act = PD_ACT_SWISH;
}

static void slices(int in)
{
    const int last = channels_of(in) - 1;
    const int parts[] = {slice(in, 8, 8), slice(in, 3, 5), slice(in, last, 1), slice(in, 0, last)};
    concat(parts, (int)PD_ARRAY_SIZE(parts));
}

/* Views that begin anywhere, read and added by convolutions. */
static void convolved_slices(int in)
{
    const int read = slice(in, 3, 16), added = slice(in, 5, 16);
    struct pd_layer *l = conv(read, 16, 1, WINDOW(3, 3, PAD(1, 1, 1, 1)));
    l->act = PD_ACT_ELU;
    l->alpha = 1;
    l->residual = added;
    conv(slice(l->out, 2, 13), 13, 13, WINDOW(3, 3, PAD(1, 1, 1, 1)));
}

static void slice_as_output(int in)
{
    slice(in, 5, 9);
}

/* A part that has its home elsewhere, one that is the picture itself, one of an odd number of channels. */
static void concatenation(int in)
{
    const int odd = conv(in, 5, 1, WINDOW(1, 1))->out;
    const int parts[] = {maker.net.input, odd, in, in};
    concat(parts, (int)PD_ARRAY_SIZE(parts));
}

static void deconvolution(int in)
{
    deconv(in, 12, 1, WINDOW(4, 4, STRIDE(2, 2), PAD(1, 1, 1, 1)))->act = PD_ACT_RELU;
}

static void deconvolution_with_more_behind(int in)
{
    struct pd_layer *l = deconv(in, 10, 1, WINDOW(3, 3, STRIDE(2, 2), PAD(1, 1, 1, 1)));
    l->out_pad_y = l->out_pad_x = 1;
}

static void grouped_oblong_deconvolution(int in)
{
    struct pd_layer *l = deconv(in, 18, 3, WINDOW(2, 5, STRIDE(1, 3), DILATION(2, 1), PAD(1, 2, 0, 1)));
    l->act = PD_ACT_HARDSWISH;
}

static void dense(int in)
{
    const int small = pool(PD_LAYER_MAXPOOL, in, WINDOW(2, 2, STRIDE(2, 2)))->out;
    struct pd_layer *l = maker_layer(&maker, PD_LAYER_FC, small, 17);
    maker_weights(&maker, l, (size_t)17 * (size_t)channels_of(small) * (H / 2) * (W / 2), true);
    l->act = PD_ACT_RELU;
    l = maker_layer(&maker, PD_LAYER_FC, l->out, 9);
    maker_weights(&maker, l, 9 * 17, false);
}

static void grouped(int in)
{
    conv(in, 36, 3, WINDOW(3, 3, PAD(1, 1, 1, 1)))->act = PD_ACT_RELU;
}

static void depthwise_to_twice_the_channels(int in)
{
    conv(in, 2 * channels_of(in), channels_of(in), WINDOW(3, 3, PAD(1, 1, 1, 1)));
}

static void uneven_depthwise(int in)
{
    struct window w = WINDOW(5, 3, STRIDE(2, 1), DILATION(1, 2), PAD(1, 3, 2, 0));
    conv(in, channels_of(in), channels_of(in), w)->act = PD_ACT_SIGMOID;
}

static void oblong(int in)
{
    in = conv(in, 32, 1, WINDOW(1, 7, PAD(0, 3, 0, 3)))->out;
    in = conv(in, 32, 1, WINDOW(7, 1, PAD(3, 0, 3, 0)))->out;
    conv(in, 20, 1, WINDOW(3, 5, STRIDE(2, 1), DILATION(1, 2), PAD(1, 4, 1, 4)))->act = PD_ACT_CLIP;
    maker.layers[maker.net.n_layers - 1].alpha = -0.5f;
    maker.layers[maker.net.n_layers - 1].beta = 0.8f;
}

/* What exporters make of "same" padding: more behind than before; and none at all. */
static void asymmetric_padding(int in)
{
    in = conv(in, 32, 1, WINDOW(3, 3, PAD(0, 2, 2, 1)))->out;
    in = conv(in, 24, 1, WINDOW(3, 3, STRIDE(2, 2), PAD(0, 0, 1, 1)))->out;
    conv(in, 16, 1, WINDOW(2, 3, DILATION(2, 1), PAD(2, 0, 1, 2)));
}

static void no_padding(int in)
{
    in = conv(in, 130, 1, WINDOW(5, 3))->out;
    conv(in, 16, 1, WINDOW(3, 3, STRIDE(2, 3)))->act = PD_ACT_RELU;
}

/* Straight from the picture, with strides and sides that first layers have. */
static void first_layer(int in)
{
    const int a = conv(maker.net.input, 64, 1, WINDOW(7, 7, STRIDE(2, 2), PAD(3, 3, 3, 3)))->out;
    const int b = conv(maker.net.input, 24, 1, WINDOW(3, 5, STRIDE(2, 2), PAD(1, 2, 1, 2)))->out;
    const int c = conv(in, 8, 1, WINDOW(3, 3, STRIDE(2, 2), PAD(1, 1, 1, 1)))->out;
    concat((const int[]){a, b, c}, 3);
}

static void uneven_maxpool(int in)
{
    in = pool(PD_LAYER_MAXPOOL, in, WINDOW(3, 2, STRIDE(1, 2), PAD(1, 0, 2, 1)))->out;
    pool(PD_LAYER_MAXPOOL, in, WINDOW(3, 3, STRIDE(2, 2), PAD(1, 1, 1, 1)))->ceil_mode = true;
}

static void dilated_maxpool(int in)
{
    in = pool(PD_LAYER_MAXPOOL, in, WINDOW(2, 2, STRIDE(2, 2), DILATION(2, 3)))->out;
    pool(PD_LAYER_MAXPOOL, in, WINDOW(3, 3, DILATION(1, 2), PAD(1, 1, 1, 1)));
}

/* The last windows reach beyond the padding. */
static void averages(int in)
{
    int parts[2];
    for (int i = 0; i < 2; i++) {
        struct pd_layer *l = pool(PD_LAYER_AVGPOOL, in, WINDOW(4, 4, STRIDE(2, 3), PAD(1, 2, 1, 0)));
        l->count_include_pad = i;
        l->ceil_mode = true;
        parts[i] = l->out;
    }
    concat(parts, 2);
}

static void resizes(int in)
{
    struct pd_layer *l = maker_layer(&maker, PD_LAYER_RESIZE, in, channels_of(in));
    l->scale_y = 3;
    l->scale_x = 1;
    l = maker_layer(&maker, PD_LAYER_RESIZE, l->out, channels_of(in));
    l->scale_y = 1;
    l->scale_x = 4;
    l->bilinear = true;
    l = maker_layer(&maker, PD_LAYER_RESIZE, conv(in, 5, 1, WINDOW(1, 1))->out, 5);
    l->scale_y = l->scale_x = 2;
    l->bilinear = true;
}

const struct kind kinds[] = {
    {"global average", global_average},
    {"channel attention", channel_attention},
    {"affine", affine},
    {"lone activations", lone_activations},
    {"activated binaries", activated_binaries},
    {"slices", slices},
    {"convolved slices", convolved_slices},
    {"slice as output", slice_as_output},
    {"concatenation", concatenation},
    {"deconvolution", deconvolution},
    {"deconvolution with more behind", deconvolution_with_more_behind},
    {"grouped oblong deconvolution", grouped_oblong_deconvolution},
    {"dense", dense},
    {"grouped", grouped},
    {"depthwise to twice the channels", depthwise_to_twice_the_channels},
    {"uneven depthwise", uneven_depthwise},
    {"oblong", oblong},
    {"asymmetric padding", asymmetric_padding},
    {"no padding", no_padding},
    {"first layer", first_layer},
    {"uneven maxpool", uneven_maxpool},
    {"dilated maxpool", dilated_maxpool},
    {"averages", averages},
    {"resizes", resizes},
};
const int n_kinds = (int)PD_ARRAY_SIZE(kinds);

void make_kind(int kind, int channels)
{
    maker_begin(&maker, seed + (uint64_t)kind);
    struct pd_layer *first = conv(maker.net.input, channels, 1, WINDOW(3, 3, PAD(1, 1, 1, 1)));
    first->act = PD_ACT_RELU;
    kinds[kind].build(first->out);
}
