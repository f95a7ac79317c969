/* SPDX-License-Identifier: Apache-2.0
 *
 * The oneDNN engine against the plain one: every kind of layer with random shapes, random graphs, whole networks.
 * POSED_TEST_SEED repeats a run.
 */
#include "tests/core/test.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/engine/engine.h"
#include "tests/engine/netmaker.h"

static uint64_t seed;

struct outputs {
    float *heat, *paf;
    size_t heat_floats, paf_floats; /* of a frame */
};

static size_t output_floats(const struct pd_net *net, int tensor, int w, int h)
{
    if (tensor < 0)
        return 0;
    struct pd_shape *shapes = calloc((size_t)net->n_tensors, sizeof(*shapes));
    struct pd_err err = {""};
    assert_non_null(shapes);
    if (pd_net_shapes(net, h, w, shapes, &err) < 0)
        fail_msg("%s", err.text);
    struct pd_shape s = shapes[tensor];
    free(shapes);
    return (size_t)s.c * (size_t)s.h * (size_t)s.w;
}

static struct outputs make_outputs(const struct pd_net *net, int n, int w, int h)
{
    struct outputs o = {.heat_floats = output_floats(net, net->heat, w, h),
                        .paf_floats = output_floats(net, net->paf, w, h)};
    o.heat = malloc((size_t)n * o.heat_floats * sizeof(float));
    o.paf = malloc(PD_MAX((size_t)n * o.paf_floats, 1) * sizeof(float));
    assert_true(o.heat && o.paf);
    for (size_t i = 0; i < (size_t)n * o.heat_floats; i++)
        o.heat[i] = NAN;
    for (size_t i = 0; i < (size_t)n * o.paf_floats; i++)
        o.paf[i] = NAN;
    return o;
}

static void free_outputs(struct outputs *o)
{
    free(o->heat);
    free(o->paf);
}

static struct pd_engine *open_engine(const char *name, const struct pd_net *net, int n, int w, int h)
{
    struct pd_engine_params p = {.width = w, .height = h, .max_batch = n, .threads = 2};
    struct pd_engine *e;
    struct pd_err err = {""};
    if (pd_engine_open(name, net, &p, &e, &err) < 0)
        fail_msg("%s: %s (seed %llu)", name, err.text, (unsigned long long)seed);
    return e;
}

static void forward(struct pd_engine *e, int n, int w, int h, const float *input, struct outputs *o)
{
    struct pd_err err = {""};
    if (pd_engine_forward(e, n, w, h, input, o->heat, o->paf_floats ? o->paf : NULL, &err) < 0)
        fail_msg("%s (seed %llu)", err.text, (unsigned long long)seed);
}

/* Largest difference over the largest value. */
static double difference(const float *a, const float *b, size_t n)
{
    double most = 1e-6, worst = 0;
    for (size_t i = 0; i < n; i++) {
        if (isnan(a[i]) || isnan(b[i]))
            return INFINITY;
        most = fmax(most, fabs((double)b[i]));
        worst = fmax(worst, fabs((double)a[i] - (double)b[i]));
    }
    return worst / most;
}

static void check_same(const struct pd_net *net, const struct outputs *a, const struct outputs *b, int n, double limit,
                       const char *what)
{
    double heat = difference(a->heat, b->heat, (size_t)n * a->heat_floats);
    double paf = a->paf_floats ? difference(a->paf, b->paf, (size_t)n * a->paf_floats) : 0;
    if (heat <= limit && paf <= limit)
        return;
    for (int i = 0; i < net->n_layers && net->n_layers < 40; i++) {
        const struct pd_layer *l = &net->layers[i];
        print_error("  %d %s %d(%d) -> %d(%d) k %dx%d s %d,%d d %d,%d g %d pad %d %d %d %d act %s res %d\n", i, l->name,
                    l->in[0], net->tensors[l->in[0]].channels, l->out, net->tensors[l->out].channels, l->kh, l->kw,
                    l->stride_y, l->stride_x, l->dilation_y, l->dilation_x, l->groups, l->pad_top, l->pad_left,
                    l->pad_bottom, l->pad_right, pd_act_name(l->act), l->residual);
    }
    fail_msg("%s: heat differs by %g, paf by %g (seed %llu)", what, heat, paf, (unsigned long long)seed);
}

static float *random_input(uint64_t s, size_t n)
{
    struct maker m;
    maker_begin(&m, s);
    return maker_floats(&m, n, 1.0f);
}

/* onednn == reference on @n frames, and every frame alone gives what it gave in the batch. */
static void compare(const struct pd_net *net, int n, int w, int h)
{
    size_t frame = (size_t)3 * (size_t)w * (size_t)h;
    float *input = random_input(seed, (size_t)n * frame);
    struct pd_engine *fast = open_engine("onednn", net, n, w, h), *plain = open_engine("reference", net, n, w, h);
    struct outputs a = make_outputs(net, n, w, h), b = make_outputs(net, n, w, h), c = make_outputs(net, n, w, h);
    forward(fast, n, w, h, input, &a);
    forward(plain, n, w, h, input, &b);
    check_same(net, &a, &b, n, 1e-4, "onednn and reference");
    for (int i = 0; i < n; i++) {
        struct outputs one = c;
        one.heat += (size_t)i * c.heat_floats;
        one.paf += (size_t)i * c.paf_floats;
        forward(fast, 1, w, h, input + (size_t)i * frame, &one);
    }
    check_same(net, &c, &a, n, 1e-5, "single frames and the batch");
    pd_engine_close(fast);
    pd_engine_close(plain);
    free_outputs(&a);
    free_outputs(&b);
    free_outputs(&c);
    free(input);
}

/* ---- single layers of random geometry ---- */

static void random_window(struct maker *m, struct pd_layer *l, int k_max, bool dilated)
{
    l->kh = 1 + (int)maker_random(m, (uint32_t)k_max);
    l->kw = maker_random(m, 3) ? l->kh : 1 + (int)maker_random(m, (uint32_t)k_max);
    l->stride_y = 1 + (int)maker_random(m, 3);
    l->stride_x = maker_random(m, 3) ? l->stride_y : 1 + (int)maker_random(m, 3);
    if (dilated && maker_random(m, 3) == 0)
        l->dilation_y = l->dilation_x = 1 + (int)maker_random(m, 3);
    l->pad_top = (int)maker_random(m, (uint32_t)l->kh);
    l->pad_bottom = (int)maker_random(m, (uint32_t)l->kh);
    l->pad_left = (int)maker_random(m, (uint32_t)l->kw);
    l->pad_right = (int)maker_random(m, (uint32_t)l->kw);
}

static void random_conv(struct maker *m, int in, bool transposed)
{
    int ci = m->tensors[in].channels, co = 1 + (int)maker_random(m, 40), groups = 1;
    switch (maker_random(m, 4)) {
    case 0: /* depthwise */
        groups = co = ci;
        break;
    case 1: /* groups of any size */
        for (groups = 1 + (int)maker_random(m, 4); ci % groups;)
            groups--;
        co = groups * (1 + (int)maker_random(m, 12));
        break;
    }
    struct pd_layer *l = maker_layer(m, transposed ? PD_LAYER_DECONV : PD_LAYER_CONV, in, co);
    l->groups = groups;
    random_window(m, l, 5, true);
    if (transposed) {
        l->dilation_y = l->dilation_x = 1;
        l->pad_top = PD_MIN(l->pad_top, l->kh / 2);
        l->pad_bottom = PD_MIN(l->pad_bottom, l->kh / 2);
        l->pad_left = PD_MIN(l->pad_left, l->kw / 2);
        l->pad_right = PD_MIN(l->pad_right, l->kw / 2);
        l->out_pad_y = l->stride_y > 1 ? (int)maker_random(m, 2) : 0;
        l->out_pad_x = l->stride_x > 1 ? (int)maker_random(m, 2) : 0;
    }
    maker_weights(m, l, (size_t)co * (size_t)(ci / groups) * (size_t)l->kh * (size_t)l->kw, maker_random(m, 4) != 0);
    maker_act(m, l);
}

static void random_layer(struct maker *m, enum pd_layer_kind kind, int in, int w, int h)
{
    int c = m->tensors[in].channels;
    struct pd_layer *l;
    switch (kind) {
    case PD_LAYER_CONV:
    case PD_LAYER_DECONV:
        random_conv(m, in, kind == PD_LAYER_DECONV);
        return;
    case PD_LAYER_MAXPOOL:
    case PD_LAYER_AVGPOOL:
        l = maker_layer(m, kind, in, c);
        random_window(m, l, 3, false);
        l->ceil_mode = maker_random(m, 2) != 0;
        l->count_include_pad = maker_random(m, 2) != 0;
        if (l->ceil_mode && l->count_include_pad) /* the one combination that oneDNN lacks: see describe_window() */
            l->pad_top = l->pad_left = l->pad_bottom = l->pad_right = 0;
        return;
    case PD_LAYER_GAVGPOOL:
        maker_layer(m, kind, in, c);
        return;
    case PD_LAYER_FC:
        l = maker_layer(m, kind, in, 1 + (int)maker_random(m, 30));
        maker_weights(m, l, (size_t)m->tensors[l->out].channels * (size_t)(c * w * h), maker_random(m, 2) != 0);
        maker_act(m, l);
        return;
    case PD_LAYER_RESIZE:
        l = maker_layer(m, kind, in, c);
        l->scale_y = 1 + (int)maker_random(m, 4);
        l->scale_x = 1 + (int)maker_random(m, 4);
        l->bilinear = maker_random(m, 2) != 0;
        return;
    case PD_LAYER_AFFINE:
        l = maker_layer(m, kind, in, c);
        maker_weights(m, l, (size_t)c, true);
        maker_act(m, l);
        return;
    default:
        l = maker_layer(m, PD_LAYER_ACT, in, c);
        maker_act(m, l);
    }
}

static void single_layers(enum pd_layer_kind kind, int rounds)
{
    uint64_t first = seed;
    for (int i = 0; i < rounds; i++) {
        static const int batches[] = {1, 1, 2, 3, 5};
        seed = first + (uint64_t)i;
        struct maker m;
        maker_begin(&m, seed);
        int w = 13 + (int)maker_random(&m, 12), h = 13 + (int)maker_random(&m, 12);
        /* now and then straight on the input, whose layout differs */
        int in = maker_random(&m, 5) ? maker_conv(&m, 0, 1 + (int)maker_random(&m, 40), 1, 1, 1) : 0;
        random_layer(&m, kind, in, w, h);
        compare(&m.net, batches[maker_random(&m, PD_ARRAY_SIZE(batches))], w, h);
        maker_end(&m);
    }
    seed = first;
}

static void convolutions_agree(void **state)
{
    single_layers(PD_LAYER_CONV, 100);
}
static void transposed_convolutions_agree(void **state)
{
    single_layers(PD_LAYER_DECONV, 60);
}
static void pooling_agrees(void **state)
{
    single_layers(PD_LAYER_MAXPOOL, 40);
    single_layers(PD_LAYER_AVGPOOL, 40);
    single_layers(PD_LAYER_GAVGPOOL, 10);
}
static void dense_layers_agree(void **state)
{
    single_layers(PD_LAYER_FC, 30);
}
static void resizing_agrees(void **state)
{
    single_layers(PD_LAYER_RESIZE, 30);
}
static void affine_and_bare_activations_agree(void **state)
{
    single_layers(PD_LAYER_AFFINE, 30);
    single_layers(PD_LAYER_ACT, 40);
}

/* ---- graphs ---- */

/* A tensor with spatial extent made so far; the input now and then. */
static int pick(struct maker *m, const int *full, int n)
{
    return full[maker_random(m, (uint32_t)n)];
}

static int random_concat(struct maker *m, const int *full, int n)
{
    int parts[4], n_parts = 2 + (int)maker_random(m, 3), channels = 0;
    for (int i = 0; i < n_parts; i++) {
        parts[i] = pick(m, full, n);
        channels += m->tensors[parts[i]].channels;
    }
    struct pd_layer *l = maker_layer(m, PD_LAYER_CONCAT, parts[0], channels);
    l->n_in = n_parts;
    memcpy(l->in, parts, sizeof(parts));
    return l->out;
}

static int random_binary(struct maker *m, const int *full, int n)
{
    int a = pick(m, full, n), c = m->tensors[a].channels, b;
    bool multiply = maker_random(m, 2) != 0;
    if (multiply && maker_random(m, 2)) { /* channel attention */
        b = maker_layer(m, PD_LAYER_GAVGPOOL, a, c)->out;
        b = maker_conv(m, b, c, 1, 1, 1);
    } else {
        b = maker_conv(m, pick(m, full, n), c, 3, 1, 1);
    }
    struct pd_layer *l = maker_layer(m, multiply ? PD_LAYER_MUL : PD_LAYER_ADD, a, c);
    l->n_in = 2;
    l->in[1] = b;
    maker_act(m, l);
    return l->out;
}

static int random_node(struct maker *m, const int *full, int n)
{
    int in = pick(m, full, n), c = m->tensors[in].channels, out;
    struct pd_layer *l;
    switch (maker_random(m, 8)) {
    case 0:
        return random_concat(m, full, n);
    case 1:
        l = maker_layer(m, PD_LAYER_SLICE, in, 1 + (int)maker_random(m, (uint32_t)c));
        l->slice_from = (int)maker_random(m, (uint32_t)(c - m->tensors[l->out].channels + 1));
        if (maker_random(m, 2))
            l->slice_from = l->slice_from / 8 * 8;
        return l->out;
    case 2:
        return random_binary(m, full, n);
    case 3:
        return maker_conv(m, in, c, 3, 1, c); /* depthwise */
    case 4: /* residual */
        out = maker_conv(m, pick(m, full, n), c, 3, 1 + (int)maker_random(m, 2), 1);
        m->layers[m->net.n_layers - 1].residual = in;
        return out;
    case 5:
        random_layer(m, maker_random(m, 2) ? PD_LAYER_AFFINE : PD_LAYER_ACT, in, 1, 1);
        return m->net.heat;
    case 6:
        l = maker_layer(m, PD_LAYER_MAXPOOL, in, c);
        l->kh = l->kw = 3;
        l->pad_top = l->pad_left = l->pad_bottom = l->pad_right = 1;
        return l->out;
    default:
        return maker_conv(m, in, 1 + (int)maker_random(m, 40), 1 + 2 * (int)maker_random(m, 2), 1, 1);
    }
}

static void random_graphs_agree(void **state)
{
    uint64_t first = seed;
    for (int i = 0; i < 40; i++) {
        seed = first + (uint64_t)i;
        struct maker m;
        maker_begin(&m, seed);
        int full[24] = {0}, n = 1;
        while (n < 8 + (int)(seed % 8)) {
            int t = random_node(&m, full, n);
            if (m.tensors[t].channels < 150) /* concats of concats grow */
                full[n++] = t;
        }
        m.net.heat = full[n - 1];
        m.net.paf = full[n - 2]; /* often read by later layers, too */
        compare(&m.net, 1 + (int)maker_random(&m, 3), 5 + (int)maker_random(&m, 10), 5 + (int)maker_random(&m, 10));
        maker_end(&m);
    }
    seed = first;
}

/* ---- batches and sizes ---- */

static void every_batch_size_agrees(void **state)
{
    struct maker m;
    maker_begin(&m, seed);
    int a = maker_conv(&m, 0, 24, 3, 1, 1);
    maker_conv(&m, a, 19, 3, 2, 1);
    for (int n = 1; n <= PD_BATCH_MAX; n += n < 8 ? 1 : 8)
        compare(&m.net, n, 16, 12);
    compare(&m.net, PD_BATCH_MAX, 16, 12);
    maker_end(&m);
}

static void more_sizes_than_are_kept_still_agree(void **state)
{
    struct maker m;
    maker_begin(&m, seed);
    maker_conv(&m, maker_conv(&m, 0, 16, 3, 1, 1), 5, 3, 1, 1);
    struct pd_engine *fast = open_engine("onednn", &m.net, 3, 16, 16);
    struct pd_engine *plain = open_engine("reference", &m.net, 3, 16, 16);
    for (int i = 0; i < 24; i++) {
        int w = 8 + 8 * (i * 5 % 7), h = 8 + 8 * (i % 3);
        float *input = random_input(seed + (uint64_t)i, (size_t)(3 * 3 * w * h));
        struct outputs a = make_outputs(&m.net, 3, w, h), b = make_outputs(&m.net, 3, w, h);
        forward(fast, 3, w, h, input, &a);
        forward(plain, 3, w, h, input, &b);
        check_same(&m.net, &a, &b, 3, 1e-4, "onednn and reference");
        free_outputs(&a);
        free_outputs(&b);
        free(input);
    }
    pd_engine_close(fast);
    pd_engine_close(plain);
    maker_end(&m);
}

static void profile_names_every_layer_that_costs(void **state)
{
    struct maker m;
    maker_begin(&m, seed);
    maker_conv(&m, maker_conv(&m, 0, 16, 3, 1, 1), 5, 3, 1, 1);
    struct pd_engine *e = open_engine("onednn", &m.net, 1, 16, 16);
    struct pd_layer_time times[2];
    struct pd_err err;
    assert_int_equal(pd_engine_profile(e, 1, 16, 16, 3, times, &err), 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(times[i].layer, i);
        assert_true(times[i].ms > 0);
        assert_true(times[i].algorithm[0]);
    }
    pd_engine_close(e);
    maker_end(&m);
}

/* ---- whole networks ---- */

static void compare_file(const char *path, int w, int h)
{
    struct pd_net *net;
    struct pd_err err = {""};
    if (access(path, R_OK) != 0)
        SKIP("%s is not here", path);
    if (pd_net_load(path, &net, &err) < 0)
        fail_msg("%s", err.text);
    compare(net, 2, w, h);
    pd_net_destroy(net);
}

static void the_bundled_network_agrees(void **state)
{
    compare_file(PD_SOURCE_ROOT "/models/posed-lite.onnx", 96, 64);
}

static void a_network_with_elu_and_dilation_agrees(void **state)
{
    char path[4096];
    const char *shared = getenv("POSED_SHARED");
    snprintf(path, sizeof(path), "%s/models/human-pose-estimation-0001.onnx",
             shared ? shared : PD_SOURCE_ROOT "/../shared");
    compare_file(path, 96, 64);
}

/* ---- what is refused ---- */

/* ONNX allows as much behind the output where the window is dilated; nothing is wrong with the service then. */
static void an_output_padding_of_a_stride_is_refused_by_layer(void **state)
{
    struct maker m;
    maker_begin(&m, seed);
    struct pd_layer *l = maker_layer(&m, PD_LAYER_DECONV, maker_conv(&m, 0, 8, 1, 1, 1), 8);
    l->kh = l->kw = l->dilation_y = l->dilation_x = 2;
    l->out_pad_y = l->out_pad_x = 1;
    maker_weights(&m, l, (size_t)8 * 8 * 2 * 2, true);
    struct pd_engine_params p = {.width = 16, .height = 16, .max_batch = 1};
    struct pd_engine *e;
    struct pd_err err = {""};
    assert_int_equal(pd_engine_open("onednn", &m.net, &p, &e, &err), -ENOTSUP);
    assert_non_null(strstr(err.text, "(deconv): oneDNN cannot run it here; use --engine reference"));
    maker_end(&m);
}

static void a_precision_that_is_not_here_is_refused_with_one_line(void **state)
{
    struct maker m;
    maker_begin(&m, seed);
    maker_conv(&m, 0, 16, 3, 1, 1);
    struct pd_engine_params p = {.width = 16, .height = 16, .max_batch = 1, .precision = PD_PRECISION_FP16};
    struct pd_engine *e;
    struct pd_err err = {""};
    assert_int_equal(pd_engine_open("onednn", &m.net, &p, &e, &err), -ENOTSUP);
    assert_non_null(strstr(err.text, "fp16"));
    p.precision = PD_PRECISION_BF16;
    if (pd_engine_open("onednn", &m.net, &p, &e, &err) == 0) {
        assert_int_equal(pd_engine_caps(e)->precision, PD_PRECISION_BF16);
        pd_engine_close(e);
    } else {
        assert_non_null(strstr(err.text, "bf16"));
        assert_non_null(strstr(err.text, "use fp32"));
    }
    maker_end(&m);
}

int main(void)
{
    const char *given = getenv("POSED_TEST_SEED");
    seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 1000;
    print_message("# seed %llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolutions_agree),
        cmocka_unit_test(transposed_convolutions_agree),
        cmocka_unit_test(pooling_agrees),
        cmocka_unit_test(dense_layers_agree),
        cmocka_unit_test(resizing_agrees),
        cmocka_unit_test(affine_and_bare_activations_agree),
        cmocka_unit_test(random_graphs_agree),
        cmocka_unit_test(every_batch_size_agrees),
        cmocka_unit_test(more_sizes_than_are_kept_still_agree),
        cmocka_unit_test(profile_names_every_layer_that_costs),
        cmocka_unit_test(the_bundled_network_agrees),
        cmocka_unit_test(a_network_with_elu_and_dilation_agrees),
        cmocka_unit_test(an_output_padding_of_a_stride_is_refused_by_layer),
        cmocka_unit_test(a_precision_that_is_not_here_is_refused_with_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
