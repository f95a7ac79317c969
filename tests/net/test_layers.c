/* SPDX-License-Identifier: Apache-2.0 - every layer kind, read from ONNX and run by the reference, against plain
 * doubles. */
#include "tests/core/test.h"

#include <stdio.h>
#include <string.h>

#include "tests/net/dual.h"

#define ROUNDS 12

/* Random image of 3 channels turned into @channels by a 1x1 convolution. */
static int widen(struct dual *d, int channels)
{
    return dual_conv(d, 0, channels, &(struct dual_window){.bias = true});
}

static void convolutions(void **state)
{
    for (uint64_t seed = 1; seed <= 4 * ROUNDS; seed++) {
        struct dual *d = dual_new(seed, 2 * (int)(6 + seed % 7), 2 * (int)(6 + seed % 5));
        int groups = seed % 3 == 0 ? 1 : seed % 3 == 1 ? 2 : 6, co = groups * dual_random(d, 1, 6);
        struct dual_window win = {.k = dual_random(d, 1, 5),
                                  .stride = dual_random(d, 1, 2),
                                  .dilation = dual_random(d, 1, 2),
                                  .groups = groups,
                                  .bias = seed % 2};
        for (int i = 0; i < 4; i++)
            win.pad[i] = dual_random(d, 0, 4);
        int in = widen(d, 6);
        dual_check(d, dual_conv(d, in, co, &win));
    }
}

static void transposed_convolutions(void **state)
{
    for (uint64_t seed = 1; seed <= 2 * ROUNDS; seed++) {
        struct dual *d = dual_new(seed, 8, 12);
        int groups = seed % 2 ? 1 : 2;
        struct dual_window win = {.k = dual_random(d, 2, 4), .dilation = dual_random(d, 1, 2), .groups = groups};
        win.bias = seed % 3;
        win.stride = 2;
        win.out_pad = dual_random(d, 0, 1);
        win.pad[0] = win.pad[3] = dual_random(d, 0, 1);
        win.pad[1] = win.pad[2] = dual_random(d, 0, 1);
        int down = dual_conv(d, 0, 4, &(struct dual_window){.k = 3, .stride = 2, .pad = {1, 1, 1, 1}});
        dual_check(d, dual_deconv(d, down, 2 * groups, &win));
    }
}

static void poolings(void **state)
{
    for (uint64_t seed = 1; seed <= 4 * ROUNDS; seed++) {
        struct dual *d = dual_new(seed, 12 + (int)(seed % 3) * 2, 14);
        struct dual_window win = {.k = dual_random(d, 1, 3), .stride = dual_random(d, 1, 2)};
        bool max = seed % 2;
        win.ceil_mode = dual_random(d, 0, 1);
        win.count_pad = dual_random(d, 0, 1);
        win.dilation = max ? dual_random(d, 1, 2) : 1;
        for (int i = 0; i < 4; i++)
            win.pad[i] = dual_random(d, 0, win.k - 1);
        dual_check(d, dual_pool(d, widen(d, 5), max, &win));
    }
}

static void activations(void **state)
{
    static const char *const ops[] = {"Relu", "Elu",     "LeakyRelu", "PRelu",      "Clip",
                                      "Tanh", "Sigmoid", "HardSwish", "HardSigmoid"};
    for (size_t i = 0; i < PD_ARRAY_SIZE(ops); i++) {
        struct dual *d = dual_new(i, 10, 6);
        dual_check(d, dual_act(d, widen(d, 7), ops[i])); /* fused into the convolution */
        d = dual_new(i, 10, 6);
        int wide = widen(d, 4); /* on its own: somebody else reads the convolution too */
        int parts[2] = {wide, dual_act(d, wide, ops[i])};
        dual_check(d, dual_concat(d, 2, parts));
    }
}

static void additions_and_products(void **state)
{
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        struct dual *d = dual_new(seed, 6, 8);
        int a = dual_act(d, widen(d, 6), "Relu"), b = dual_act(d, widen(d, 6), "Tanh");
        dual_check(d, dual_binary(d, seed % 3 == 0 ? "Add" : seed % 3 == 1 ? "Mul" : "Sub", a, b));
    }
}

static void channel_attention(void **state)
{
    struct dual *d = dual_new(1, 6, 8);
    int a = dual_act(d, widen(d, 6), "Relu");
    int gate = dual_conv(d, dual_global_pool(d, a), 6, &(struct dual_window){.bias = true});
    gate = dual_act(d, gate, "Sigmoid");
    dual_check(d, dual_binary(d, "Mul", a, gate));
}

static void concat_and_slice(void **state)
{
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        struct dual *d = dual_new(seed, 6, 8);
        int parts[32], n = dual_random(d, 2, 32);
        for (int i = 0; i < n; i++)
            parts[i] = i % 3 ? 0 : widen(d, dual_random(d, 1, 4));
        int all = dual_concat(d, n, parts), channels = d->value[all].c;
        int from = dual_random(d, 0, channels - 1);
        dual_check(d, dual_slice(d, all, from, dual_random(d, from + 1, channels)));
    }
}

static void resizes(void **state)
{
    for (int scale = 2; scale <= 4; scale++) {
        for (int linear = 0; linear < 2; linear++) {
            struct dual *d = dual_new((uint64_t)scale, 16, 8);
            struct dual_window down = {.k = 3, .stride = 4, .pad = {1, 1, 1, 1}};
            int small = dual_conv(d, 0, 5, &down);
            int up = dual_resize(d, small, scale, linear);
            if (scale == 3) { /* the outputs' stride is a power of two, so pool what came of 3 by 1.5 away again */
                up = dual_global_pool(d, up);
                up = dual_binary(d, "Mul", small, up);
            }
            dual_check(d, up);
        }
    }
}

static void dense_layers(void **state)
{
    struct dual *d = dual_new(1, 4, 6);
    int features = dual_act(d, dual_dense(d, widen(d, 3), 20), "Relu");
    dual_check(d, dual_dense(d, features, 7));
    d = dual_new(2, 4, 6);
    dual_check(d, dual_dense(d, dual_global_pool(d, widen(d, 8)), 5));
}

/* ---- whole graphs at random: whatever folds and fuses, the values stay ---- */

static int random_step(struct dual *d)
{
    static const char *const acts[] = {"Relu", "Elu", "PRelu", "Clip", "Sigmoid", "HardSwish", "HardSigmoid"};
    static const char *const affines[] = {"Mul", "Add", "Sub", "Div", "Sub-reversed", "BatchNormalization"};
    int in = dual_random(d, PD_MAX(0, d->n - 4), d->n - 1), other = dual_random(d, 0, d->n - 1);
    const struct dual_image *m = &d->value[in], *o = &d->value[other];
    struct dual_window win = {.k = 1 + 2 * dual_random(d, 0, 1), .bias = dual_random(d, 0, 1)};
    switch (dual_random(d, 0, 9)) {
    case 0:
    case 1:
    case 2:
        for (int i = 0; i < 4; i++)
            win.pad[i] = win.k / 2;
        win.groups = dual_random(d, 0, 3) ? 1 : m->c;
        return dual_conv(d, in, win.groups > 1 ? m->c : dual_random(d, 3, 6), &win);
    case 3:
    case 4:
        return dual_act(d, in, acts[dual_random(d, 0, 6)]);
    case 5:
    case 6:
        return dual_affine(d, in, affines[dual_random(d, 0, 5)], dual_random(d, 0, 1));
    case 7:
        return m->c + o->c > 24 ? in : dual_concat(d, 2, (int[]){in, other});
    case 8:
        return dual_slice(d, in, 0, (m->c + 1) / 2);
    default:
        return m->c == o->c ? dual_binary(d, dual_random(d, 0, 2) ? "Add" : "Mul", in, other) : in;
    }
}

static void random_graphs(void **state)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct dual *d = dual_new(seed, 6, 5);
        int steps = dual_random(d, 2, 20), out = 0;
        for (int i = 0; i < steps || out == 0; i++)
            out = random_step(d);
        if (out == 0 || d->n == 1)
            out = widen(d, 4);
        dual_check(d, out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolutions),
        cmocka_unit_test(transposed_convolutions),
        cmocka_unit_test(poolings),
        cmocka_unit_test(activations),
        cmocka_unit_test(additions_and_products),
        cmocka_unit_test(channel_attention),
        cmocka_unit_test(concat_and_slice),
        cmocka_unit_test(resizes),
        cmocka_unit_test(dense_layers),
        cmocka_unit_test(random_graphs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
