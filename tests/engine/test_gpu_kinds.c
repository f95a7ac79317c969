/* SPDX-License-Identifier: Apache-2.0
 *
 * Layers of every kind in the cudnn engine against the reference engine, with windows, padding and channels as uneven
 * as files may have them, in every precision and in batches of up to 32; or whole networks, whose batches also give
 * what their images give alone. Skips, saying so, where there is no GPU.
 *
 *   test-engine-gpu-kinds [SEED]
 *   test-engine-gpu-kinds SEED NETWORK.onnx|random:KIND...
 */
#include "tests/core/test.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/engine/engine.h"
#include "tests/engine/netmaker.h"

enum { W = 22, H = 13 }; /* odd after a pooling, and small for the reference's sake */

static uint64_t seed = 1;
static char **networks;
static int n_networks;
static struct maker maker;

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

static const struct {
    const char *name;
    void (*build)(int in);
} kinds[] = {
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
#define KINDS ((int)PD_ARRAY_SIZE(kinds))

/* Begin the maker with a first convolution of @channels, and @kind behind it. */
static void make_kind(int kind, int channels)
{
    maker_begin(&maker, seed + (uint64_t)kind);
    struct pd_layer *first = conv(maker.net.input, channels, 1, WINDOW(3, 3, PAD(1, 1, 1, 1)));
    first->act = PD_ACT_RELU;
    kinds[kind].build(first->out);
}

/* ---- engines ---- */

static int cudnn(void)
{
    for (int i = 0; pd_engine_name(i); i++)
        if (!strcmp(pd_engine_name(i), "cudnn"))
            return i;
    return -1;
}

static bool have_gpu(void)
{
    return cudnn() >= 0 && pd_engine_probe(cudnn(), NULL) == 0;
}

static int open_engine(const char *name, const struct pd_net *net, enum pd_precision precision, int max_batch, int w,
                       int h, struct pd_engine **ret_engine, struct pd_err *err)
{
    const struct pd_engine_params params = {.precision = precision, .width = w, .height = h, .max_batch = max_batch,
                                            .cache_dir = getenv("POSED_CACHE_DIR")};
    return pd_engine_open(name, net, &params, ret_engine, err);
}

/* Older GPUs have no tf32, and say so. */
static bool computes(enum pd_precision precision)
{
    struct pd_err err = {""};
    struct pd_engine *engine = NULL;
    make_kind(0, 8);
    const int r = open_engine("cudnn", &maker.net, precision, 1, W, H, &engine, &err);
    pd_engine_close(engine);
    maker_end(&maker);
    if (r == -ENOTSUP && precision == PD_PRECISION_TF32) {
        printf("# %s\n", err.text);
        return false;
    }
    if (r < 0)
        fail_msg("%s: %s", pd_precision_name(precision), err.text);
    return true;
}

/* ---- outputs ---- */

struct outputs {
    size_t heat_floats, paf_floats; /* of an image */
    float *heat, *paf;              /* paf: NULL where there is none */
};

static float *not_numbers(size_t n)
{
    float *v = malloc(PD_MAX(n, 1) * sizeof(*v));
    assert_non_null(v);
    memset(v, 0xff, n * sizeof(*v)); /* what is not written is seen */
    return v;
}

static size_t floats_of(const struct pd_shape *s)
{
    return (size_t)s->c * (size_t)s->h * (size_t)s->w;
}

static struct outputs make_outputs(const struct pd_net *net, int n, int w, int h)
{
    struct pd_err err = {""};
    struct pd_shape *shapes = calloc((size_t)net->n_tensors, sizeof(*shapes));
    assert_non_null(shapes);
    if (pd_net_shapes(net, h, w, shapes, &err) < 0)
        fail_msg("%s", err.text);
    struct outputs o = {.heat_floats = floats_of(&shapes[net->heat]),
                        .paf_floats = net->paf < 0 ? 0 : floats_of(&shapes[net->paf])};
    free(shapes);
    o.heat = not_numbers((size_t)n * o.heat_floats);
    o.paf = o.paf_floats ? not_numbers((size_t)n * o.paf_floats) : NULL;
    return o;
}

static void free_outputs(struct outputs *o)
{
    free(o->heat);
    free(o->paf);
}

/* @n images from the @first of @o on. */
static void forward(struct pd_engine *engine, int first, int n, int w, int h, const float *input, struct outputs *o)
{
    struct pd_err err = {""};
    const size_t skip = (size_t)first;
    if (pd_engine_forward(engine, n, w, h, input + skip * 3 * (size_t)w * (size_t)h, o->heat + skip * o->heat_floats,
                          o->paf ? o->paf + skip * o->paf_floats : NULL, &err) < 0)
        fail_msg("%s", err.text);
}

static float *random_input(int n, int w, int h)
{
    const size_t floats = (size_t)n * 3 * (size_t)w * (size_t)h;
    float *input = malloc(floats * sizeof(*input));
    assert_non_null(input);
    for (size_t i = 0; i < floats; i++)
        input[i] = maker_uniform(&maker, -1, 1);
    return input;
}

/* ---- comparison ---- */

struct distance {
    double mean, most; /* root of the mean square, and the largest; in units of what is usual there, and 0.02 */
};

static struct distance distance(const float *a, const float *b, size_t n)
{
    double errors = 0, squares = 0, most = 0;
    for (size_t i = 0; i < n; i++) {
        const double e = fabs((double)a[i] - (double)b[i]);
        if (!(e < 1e30))
            return (struct distance){INFINITY, INFINITY};
        errors += e * e;
        squares += (double)b[i] * (double)b[i];
        most = fmax(most, e);
    }
    const double scale = sqrt(squares / (double)n) + 0.02;
    return (struct distance){sqrt(errors / (double)n) / scale, most / scale};
}

/* Image by image: a batch must not hide the one that is wrong. The worst of all. */
static struct distance worst(const struct outputs *a, const struct outputs *b, int n)
{
    struct distance all = {0, 0};
    for (int i = 0; i < n; i++) {
        const size_t heat = (size_t)i * a->heat_floats, paf = (size_t)i * a->paf_floats;
        const struct distance d[2] = {distance(a->heat + heat, b->heat + heat, a->heat_floats),
                                      a->paf ? distance(a->paf + paf, b->paf + paf, a->paf_floats) : all};
        for (int k = 0; k < 2; k++) {
            all.mean = fmax(all.mean, d[k].mean);
            all.most = fmax(all.most, d[k].most);
        }
    }
    return all;
}

/* The engine, opened for batches of @max_batch, on @n images against the reference. False when they are more than
 * @limit apart on average, or @most anywhere. */
static bool agrees(const struct pd_net *net, enum pd_precision precision, int max_batch, int n, int w, int h,
                   double limit, double most, const char *what)
{
    struct pd_err err = {""};
    struct pd_engine *gpu = NULL, *plain = NULL;
    if (open_engine("cudnn", net, precision, max_batch, w, h, &gpu, &err) < 0 ||
        open_engine("reference", net, PD_PRECISION_FP32, n, w, h, &plain, &err) < 0)
        fail_msg("%s: %s", what, err.text);
    float *input = random_input(n, w, h);
    struct outputs a = make_outputs(net, n, w, h), b = make_outputs(net, n, w, h);
    forward(gpu, 0, n, w, h, input, &a);
    forward(plain, 0, n, w, h, input, &b);
    const struct distance d = worst(&a, &b, n);
    const bool ok = d.mean <= limit && d.most <= most;
    printf("# %s, %s, %d of %d: %.1e on average, %.1e at most%s\n", what, pd_precision_name(precision), n, max_batch,
           d.mean, d.most, ok ? "" : "  <-- over the limit");
    fflush(stdout);
    pd_engine_close(gpu);
    pd_engine_close(plain);
    free_outputs(&a);
    free_outputs(&b);
    free(input);
    return ok;
}

/* Of up to four layers. tf32 may cut off what does not fit, which makes everything a little smaller. */
static double layer_limit(enum pd_precision precision)
{
    return precision == PD_PRECISION_FP32 ? 5e-5 : precision == PD_PRECISION_TF32 ? 8e-3 : 4e-3;
}

/* ---- tests ---- */

static const struct {
    enum pd_precision precision;
    int channels;
} ways[] = {
    {PD_PRECISION_FP16, 24}, /* pixels of whole 16 bytes, which the fast kernels want */
    {PD_PRECISION_FP16, 21}, {PD_PRECISION_TF32, 24}, {PD_PRECISION_FP32, 24}, {PD_PRECISION_FP32, 21},
};
#define WAYS ((int)PD_ARRAY_SIZE(ways))

static void layers_of_every_kind_agree_with_the_reference(void **state)
{
    if (!have_gpu())
        SKIP("no GPU");
    const bool tf32 = computes(PD_PRECISION_TF32), all = cases_of(100) == 100;
    int failed = 0;
    for (int k = 0; k < KINDS; k++)
        for (int i = 0; i < WAYS; i++) {
            if ((!all && i != k % WAYS) || (ways[i].precision == PD_PRECISION_TF32 && !tf32))
                continue;
            char what[80];
            snprintf(what, sizeof(what), "%s, %d channels", kinds[k].name, ways[i].channels);
            make_kind(k, ways[i].channels);
            const double limit = layer_limit(ways[i].precision);
            failed += !agrees(&maker.net, ways[i].precision, 3, 3, W, H, limit, 10 * limit, what);
            maker_end(&maker);
        }
    assert_int_equal(failed, 0);
}

/* Each in a plan of its own size, most with images left idle. */
static void batches_of_up_to_32_agree_with_the_reference(void **state)
{
    static const int sizes[] = {32, 7, 17, 9, 25};
    static const enum pd_precision precisions[] = {PD_PRECISION_FP16, PD_PRECISION_TF32, PD_PRECISION_FP32};
    if (!have_gpu())
        SKIP("no GPU");
    const bool tf32 = computes(PD_PRECISION_TF32);
    int failed = 0;
    for (int k = 0; k < KINDS; k++) {
        enum pd_precision precision = precisions[k % 3];
        if ((precision == PD_PRECISION_TF32 && !tf32) || k >= cases_of(KINDS))
            continue;
        make_kind(k, 24);
        const double limit = layer_limit(precision);
        failed += !agrees(&maker.net, precision, 32, sizes[k % 5], W, H, limit, 10 * limit, kinds[k].name);
        maker_end(&maker);
    }
    assert_int_equal(failed, 0);
}

static void a_precision_that_it_lacks_is_refused_in_one_line(void **state)
{
    if (!have_gpu())
        SKIP("no GPU");
    struct pd_err err = {""};
    struct pd_engine *engine = NULL;
    make_kind(0, 8);
    assert_int_equal(open_engine("cudnn", &maker.net, PD_PRECISION_BF16, 1, W, H, &engine, &err), -ENOTSUP);
    assert_null(engine);
    assert_non_null(strstr(err.text, "computes in fp16, tf32 or fp32"));
    assert_null(strchr(err.text, '\n'));
    maker_end(&maker);
}

/* ---- networks ---- */

/* A file, or "random:KIND": one of the networks with random weights. */
static struct pd_net *load(const char *name)
{
    struct pd_err err = {""};
    struct pd_net *net = NULL;
    char path[] = "/tmp/posed-gpu-XXXXXX";
    int r = 0;
    if (strncmp(name, "random:", 7) != 0) {
        r = pd_net_load(name, &net, &err);
    } else {
        const int fd = mkstemp(path);
        assert_true(fd >= 0);
        close(fd);
        r = pd_net_random_write(name + 7, 1, path, &err);
        if (r == 0)
            r = pd_net_load(path, &net, &err);
        unlink(path);
    }
    if (r < 0)
        fail_msg("%s: %s", name, err.text);
    return net;
}

static int fitting(const struct pd_net *net, int side)
{
    const int multiple = pd_net_multiple(net);
    return (side + multiple - 1) / multiple * multiple;
}

static void networks_agree_with_the_reference(void **state)
{
    static const struct {
        enum pd_precision precision;
        int n;
        double limit;
    } runs[] = {{PD_PRECISION_FP16, 1, 2e-2}, {PD_PRECISION_FP16, 3, 2e-2}, {PD_PRECISION_TF32, 3, 4e-2},
                {PD_PRECISION_FP32, 3, 1e-4}};
    if (!have_gpu())
        SKIP("no GPU");
    const bool tf32 = computes(PD_PRECISION_TF32);
    int failed = 0;
    maker_begin(&maker, seed);
    for (int i = 0; i < n_networks; i++) {
        struct pd_net *net = load(networks[i]);
        for (size_t k = 0; k < PD_ARRAY_SIZE(runs); k++)
            if (runs[k].precision != PD_PRECISION_TF32 || tf32)
                failed += !agrees(net, runs[k].precision, 4, runs[k].n, fitting(net, 232), fitting(net, 184),
                                  runs[k].limit, INFINITY, net->meta.name);
        pd_net_destroy(net);
    }
    assert_int_equal(failed, 0);
}

/* Other kernels may compute the batch than the single image, so bits may differ, as far as the precision goes. */
static bool same_alone(const struct pd_net *net, enum pd_precision precision, int max_batch, int n, double limit)
{
    struct pd_err err = {""};
    struct pd_engine *engine = NULL;
    const int w = fitting(net, 232), h = fitting(net, 184);
    if (open_engine("cudnn", net, precision, max_batch, w, h, &engine, &err) < 0)
        fail_msg("%s: %s", net->meta.name, err.text);
    float *input = random_input(n, w, h);
    struct outputs together = make_outputs(net, n, w, h), alone = make_outputs(net, n, w, h);
    forward(engine, 0, n, w, h, input, &together);
    for (int i = 0; i < n; i++)
        forward(engine, i, 1, w, h, input, &alone);
    const struct distance d = worst(&together, &alone, n);
    const bool ok = d.mean <= limit;
    printf("# %s, %s, %d together and alone: %.1e on average, %.1e at most%s\n", net->meta.name,
           pd_precision_name(precision), n, d.mean, d.most, ok ? "" : "  <-- over the limit");
    pd_engine_close(engine);
    free_outputs(&together);
    free_outputs(&alone);
    free(input);
    return ok;
}

static void a_batch_gives_what_its_images_give_alone(void **state)
{
    if (!have_gpu())
        SKIP("no GPU");
    int failed = 0;
    maker_begin(&maker, seed);
    for (int i = 0; i < n_networks; i++) {
        struct pd_net *net = load(networks[i]);
        failed += !same_alone(net, PD_PRECISION_FP16, PD_BATCH_MAX, PD_BATCH_MAX, 2e-2);
        failed += !same_alone(net, PD_PRECISION_FP32, 4, 3, 1e-4);
        pd_net_destroy(net);
    }
    assert_int_equal(failed, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest of_kinds[] = {
        cmocka_unit_test(layers_of_every_kind_agree_with_the_reference),
        cmocka_unit_test(batches_of_up_to_32_agree_with_the_reference),
        cmocka_unit_test(a_precision_that_it_lacks_is_refused_in_one_line),
    };
    const struct CMUnitTest of_networks[] = {
        cmocka_unit_test(networks_agree_with_the_reference),
        cmocka_unit_test(a_batch_gives_what_its_images_give_alone),
    };
    if (argc > 1)
        seed = strtoull(argv[1], NULL, 0);
    networks = argv + PD_MIN(argc, 2);
    n_networks = PD_MAX(argc - 2, 0);
    printf("# seed %llu\n", (unsigned long long)seed);
    return n_networks ? cmocka_run_group_tests(of_networks, NULL, NULL) : cmocka_run_group_tests(of_kinds, NULL, NULL);
}
