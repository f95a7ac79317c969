/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes the corpus of fuzz_onnx: networks of a kilobyte or two that have every operator between them.
 *     ninja -C build tests/fuzz/seeds-onnx && build/tests/fuzz/seeds-onnx tests/fuzz/corpus/onnx
 */
#include "tests/core/test.h"

#include <stdio.h>

#include "tests/net/dual.h"

static const struct dual_window pointwise = {.bias = true}, padded = {.k = 3, .pad = {1, 1, 1, 1}};
static const struct dual_window half = {.k = 3, .stride = 2, .pad = {1, 1, 1, 1}, .bias = true};

static int write_seed(struct dual *d, const char *folder, const char *name, int out)
{
    char path[512], value[16];
    struct pd_err err;
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    snprintf(value, sizeof(value), "v%d", out);
    pd_onnx_write_output(d->w, value, d->value[out].c, 4);
    int r = pd_onnx_write_file(d->w, path, &err);
    if (r < 0)
        fprintf(stderr, "%s\n", err.text);
    dual_free(d);
    return r;
}

static int activations(const char *folder)
{
    static const char *const ops[] = {"Relu", "Elu",     "LeakyRelu", "PRelu",      "Clip",
                                      "Tanh", "Sigmoid", "HardSwish", "HardSigmoid"};
    struct dual *d = dual_new(1, 4, 4);
    int x = 0;
    for (size_t i = 0; i < PD_ARRAY_SIZE(ops); i++)
        x = dual_act(d, i % 2 ? x : dual_conv(d, x, 3, &padded), ops[i]);
    x = dual_binary(d, "Mul", x, dual_act(d, x, "Sigmoid"));
    return write_seed(d, folder, "activations", x);
}

static int affines(const char *folder)
{
    static const char *const ops[] = {"Mul", "Add", "Sub", "Div", "Sub-reversed", "BatchNormalization"};
    struct dual *d = dual_new(2, 4, 4);
    int x = dual_affine(d, dual_affine(d, 0, "Sub", true), "Div", false);
    for (size_t i = 0; i < PD_ARRAY_SIZE(ops); i++)
        x = dual_affine(d, i % 2 ? x : dual_conv(d, x, 3, &pointwise), ops[i], i % 3);
    return write_seed(d, folder, "affines", x);
}

static int windows(const char *folder)
{
    struct dual *d = dual_new(3, 8, 8);
    int x = dual_conv(d, 0, 6, &half);
    x = dual_conv(d, x, 6, &(struct dual_window){.k = 3, .groups = 6, .dilation = 2, .pad = {2, 2, 2, 2}});
    x = dual_pool(d, x, true, &(struct dual_window){.k = 2, .stride = 1, .pad = {0, 0, 1, 1}, .ceil_mode = true});
    x = dual_pool(d, x, false, &(struct dual_window){.k = 3, .stride = 1, .pad = {1, 1, 1, 1}, .count_pad = true});
    x = dual_deconv(d, x, 4, &(struct dual_window){.k = 2, .stride = 2, .groups = 2});
    return write_seed(d, folder, "windows", x);
}

static int channels(const char *folder)
{
    struct dual *d = dual_new(4, 4, 4);
    int a = dual_conv(d, 0, 4, &padded), b = dual_act(d, dual_conv(d, a, 4, &padded), "Relu");
    int sum = dual_act(d, dual_binary(d, "Add", a, b), "Relu");
    int all = dual_concat(d, 3, (int[]){sum, b, 0});
    int gate = dual_act(d, dual_conv(d, dual_global_pool(d, all), 11, &pointwise), "Sigmoid");
    all = dual_binary(d, "Mul", all, gate);
    return write_seed(d, folder, "channels", dual_binary(d, "Sub", dual_slice(d, all, 2, 5), 0));
}

static int resizes(const char *folder)
{
    struct dual *d = dual_new(5, 8, 8);
    int x = dual_conv(d, dual_conv(d, 0, 3, &half), 3, &half);
    return write_seed(d, folder, "resizes", dual_resize(d, dual_resize(d, x, 2, true), 2, false));
}

static int classifier(const char *folder)
{
    struct dual *d = dual_new(6, 4, 4);
    int x = dual_act(d, dual_dense(d, dual_conv(d, 0, 2, &half), 4), "Relu");
    return write_seed(d, folder, "classifier", dual_dense(d, x, 3));
}

/* A pose network by its channels alone: no metadata, outputs without telling names. */
static int pose(const char *folder, const char *name, bool in_one)
{
    char path[512];
    struct pd_err err;
    struct pd_onnx_writer *w = pd_onnx_writer_create();
    assert_non_null(w);
    pd_onnx_write_input(w, "image", 3);
    pd_onnx_write_floats(w, "wh", 4, (int64_t[]){in_one ? 44 : 16, 3, 1, 1});
    pd_onnx_write_node(w, "Conv", "image wh", "one");
    pd_onnx_write_output(w, "one", in_one ? 44 : 16, 4);
    if (!in_one) {
        pd_onnx_write_floats(w, "wp", 4, (int64_t[]){28, 3, 1, 1});
        pd_onnx_write_node(w, "Pad", "image pads", "padded");
        pd_onnx_write_integers(w, "pads", 8, (int64_t[]){0, 0, 1, 1, 0, 0, 1, 1});
        pd_onnx_write_node(w, "Conv", "padded wp", "two");
        pd_onnx_write_ints(w, "strides", 2, (int64_t[]){1, 1});
        pd_onnx_write_output(w, "two", 28, 4);
    }
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int r = pd_onnx_write_file(w, path, &err);
    pd_onnx_writer_destroy(w);
    return r;
}

/* The noise that exporters leave around a flatten: Shape, Gather, Unsqueeze, Concat, Reshape. */
static int reshape(const char *folder)
{
    char path[512];
    struct pd_err err;
    struct pd_onnx_writer *w = pd_onnx_writer_create();
    assert_non_null(w);
    pd_onnx_write_input(w, "image", 3);
    pd_onnx_write_meta(w, "skeleton", "none");
    pd_onnx_write_meta(w, "input_mean", "1,2,3");
    pd_onnx_write_meta(w, "input_order", "rgb");
    pd_onnx_write_integers(w, "zero", 1, (int64_t[]){0});
    pd_onnx_write_integers(w, "rest", 1, (int64_t[]){-1});
    pd_onnx_write_node(w, "Split", "image", "red");
    pd_onnx_write_int(w, "axis", 1);
    pd_onnx_write_node(w, "ReduceMean", "red", "mean");
    pd_onnx_write_ints(w, "axes", 2, (int64_t[]){2, 3});
    pd_onnx_write_node(w, "Shape", "mean", "shape");
    pd_onnx_write_node(w, "Gather", "shape zero", "n");
    pd_onnx_write_node(w, "Squeeze", "n", "scalar");
    pd_onnx_write_node(w, "Unsqueeze", "scalar", "vector");
    pd_onnx_write_node(w, "Concat", "vector rest", "to");
    pd_onnx_write_int(w, "axis", 0);
    pd_onnx_write_node(w, "Reshape", "mean to", "flat");
    pd_onnx_write_node(w, "Identity", "flat", "same");
    pd_onnx_write_node(w, "Dropout", "same", "kept");
    pd_onnx_write_floats(w, "m", 2, (int64_t[]){4, 3});
    pd_onnx_write_node(w, "Transpose", "m", "turned");
    pd_onnx_write_node(w, "MatMul", "kept turned", "out");
    pd_onnx_write_output(w, "out", 4, 2);
    snprintf(path, sizeof(path), "%s/reshape", folder);
    int r = pd_onnx_write_file(w, path, &err);
    pd_onnx_writer_destroy(w);
    return r;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: seeds-onnx FOLDER\n");
        return 2;
    }
    const char *f = argv[1];
    int r = activations(f) | affines(f) | windows(f) | channels(f) | resizes(f) | classifier(f) | reshape(f);
    return (r | pose(f, "pose", false) | pose(f, "pose-in-one", true)) < 0;
}
