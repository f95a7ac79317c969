/* SPDX-License-Identifier: Apache-2.0 - what lowering makes of graphs: few layers, the same values, metadata, sizes. */
#include "tests/core/test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/net/dual.h"

static const struct dual_window pointwise = {.bias = true}, padded = {.k = 3, .pad = {1, 1, 1, 1}, .bias = true};

/* Check the values, and that the network came down to @layers layers. */
static void check_layers(struct dual *d, int out, int layers)
{
    struct pd_net *net = dual_load(d, out);
    assert_int_equal(net->n_layers, layers);
    dual_compare(d, net, out, 1e-5);
    pd_net_destroy(net);
    dual_free(d);
}

static void batch_norm_and_activation_go_into_the_convolution(void **state)
{
    struct dual *d = dual_new(1, 6, 8);
    int x = dual_affine(d, dual_conv(d, 0, 8, &padded), "BatchNormalization", true);
    check_layers(d, dual_act(d, x, "Relu"), 1);
}

static void scales_go_into_transposed_and_dense_layers(void **state)
{
    struct dual *d = dual_new(2, 6, 8);
    int x = dual_conv(d, 0, 4, &(struct dual_window){.k = 3, .stride = 2, .pad = {1, 1, 1, 1}});
    x = dual_deconv(d, x, 6, &(struct dual_window){.k = 2, .stride = 2, .groups = 2});
    check_layers(d, dual_affine(d, x, "BatchNormalization", true), 2);
    d = dual_new(3, 6, 8);
    check_layers(d, dual_act(d, dual_affine(d, dual_dense(d, 0, 5), "Mul", false), "Tanh"), 1);
}

static void a_chain_of_scales_is_one(void **state)
{
    struct dual *d = dual_new(3, 6, 8);
    int x = dual_conv(d, 0, 4, &padded);
    static const char *const ops[] = {"Mul", "Add", "Div", "Sub", "Sub-reversed", "BatchNormalization"};
    for (size_t i = 0; i < PD_ARRAY_SIZE(ops); i++)
        x = dual_affine(d, x, ops[i], i % 2);
    check_layers(d, x, 1);
}

static void offset_goes_behind_into_an_unpadded_convolution_only(void **state)
{
    struct dual *d = dual_new(4, 6, 8);
    int x = dual_affine(d, dual_act(d, dual_conv(d, 0, 4, &padded), "Relu"), "BatchNormalization", true);
    check_layers(d, dual_conv(d, x, 5, &pointwise), 2);
    d = dual_new(5, 6, 8);
    x = dual_affine(d, dual_act(d, dual_conv(d, 0, 4, &padded), "Relu"), "BatchNormalization", true);
    check_layers(d, dual_conv(d, x, 5, &padded), 3);
    d = dual_new(6, 6, 8);
    x = dual_affine(d, dual_act(d, dual_conv(d, 0, 4, &padded), "Relu"), "Mul", true);
    check_layers(d, dual_conv(d, x, 5, &padded), 2);
}

static void normalisation_of_the_input_is_hoisted(void **state)
{
    struct dual *d = dual_new(7, 6, 8);
    int x = dual_affine(d, dual_affine(d, 0, "Sub", true), "Div", true);
    int out = dual_conv(d, x, 4, &padded);
    struct pd_net *net = dual_load(d, out);
    assert_int_equal(net->n_layers, 1);
    for (int c = 0; c < 3; c++) {
        assert_true(net->meta.input.mean[c] > 0.4f && net->meta.input.mean[c] < 2.1f);
        assert_true(net->meta.input.scale[c] > 0.4f && net->meta.input.scale[c] < 2.1f);
    }
    dual_compare(d, net, out, 1e-5);
    pd_net_destroy(net);
    dual_free(d);
}

static void normalisation_stays_where_the_plain_image_is_read_too(void **state)
{
    struct dual *d = dual_new(8, 6, 8);
    int a = dual_conv(d, dual_affine(d, 0, "Sub", true), 4, &padded), b = dual_conv(d, 0, 4, &padded);
    int out = dual_concat(d, 2, (int[]){a, b});
    struct pd_net *net = dual_load(d, out);
    assert_true(net->meta.input.mean[0] == 0 && net->meta.input.scale[0] == 1);
    assert_int_equal(dual_count(net, PD_LAYER_AFFINE), 1);
    dual_compare(d, net, out, 1e-5);
    pd_net_destroy(net);
    dual_free(d);
}

static void residual_add_and_activation_go_into_the_later_convolution(void **state)
{
    struct dual *d = dual_new(9, 6, 8);
    int skip = dual_act(d, dual_conv(d, 0, 4, &padded), "Relu");
    int x = dual_conv(d, dual_act(d, dual_conv(d, skip, 4, &padded), "Relu"), 4, &padded);
    int out = dual_act(d, dual_binary(d, "Add", skip, x), "Elu");
    struct pd_net *net = dual_load(d, out);
    assert_int_equal(net->n_layers, 3);
    assert_true(net->layers[2].residual >= 0 && net->layers[2].act == PD_ACT_ELU);
    dual_compare(d, net, out, 1e-5);
    pd_net_destroy(net);
    dual_free(d);
}

static void residual_may_be_made_after_the_convolution(void **state)
{
    struct dual *d = dual_new(10, 6, 8);
    int conv = dual_conv(d, 0, 4, &padded);
    int late = dual_act(d, dual_conv(d, 0, 4, &pointwise), "Tanh");
    check_layers(d, dual_binary(d, "Add", conv, late), 2);
}

static void an_activated_convolution_takes_no_residual(void **state)
{
    struct dual *d = dual_new(11, 6, 8);
    int a = dual_act(d, dual_conv(d, 0, 4, &padded), "Relu"), b = dual_act(d, dual_conv(d, 0, 4, &padded), "Elu");
    check_layers(d, dual_binary(d, "Add", a, b), 3);
}

static void a_tensor_read_twice_is_not_fused_away(void **state)
{
    struct dual *d = dual_new(12, 6, 8);
    int x = dual_conv(d, 0, 4, &padded);
    int act = dual_act(d, x, "Relu");
    check_layers(d, dual_concat(d, 2, (int[]){x, act}), 3);
}

static void swish_spelt_out_is_one_activation(void **state)
{
    struct dual *d = dual_new(13, 6, 8);
    int x = dual_conv(d, 0, 4, &padded);
    struct pd_net *net = dual_load(d, dual_binary(d, "Mul", x, dual_act(d, x, "Sigmoid")));
    assert_int_equal(net->n_layers, 1);
    assert_int_equal(net->layers[0].act, PD_ACT_SWISH);
    dual_compare(d, net, d->n - 1, 1e-5);
    pd_net_destroy(net);
    dual_free(d);
}

static void unread_layers_are_dropped(void **state)
{
    struct dual *d = dual_new(14, 6, 8);
    int x = dual_conv(d, 0, 4, &padded);
    dual_act(d, dual_conv(d, 0, 64, &padded), "Relu");
    check_layers(d, x, 1);
}

/* ---- siblings ---- */

static void siblings_become_one_with_the_same_values(void **state)
{
    for (uint64_t seed = 20; seed < 26; seed++) {
        struct dual *d = dual_new(seed, 6, 8);
        const char *act = seed % 2 ? "PRelu" : "Elu";
        int x = dual_conv(d, 0, 5, &padded), parts[4];
        parts[0] = dual_act(d, dual_conv(d, x, 3, &padded), act);
        parts[1] = dual_act(d, dual_conv(d, x, 4, &pointwise), act); /* another window */
        parts[2] = dual_act(d, dual_conv(d, x, 2, &padded), act);
        parts[3] = dual_act(d, dual_conv(d, x, 6, &(struct dual_window){.k = 3, .pad = {1, 1, 1, 1}}), act);
        int out = dual_concat(d, 4, parts);
        struct pd_net *net = dual_load(d, out), *merged;
        assert_int_equal(pd_net_merge_siblings(net, &merged), 0);
        assert_int_equal(net->n_layers, 6);
        assert_int_equal(dual_count(merged, PD_LAYER_CONV), 3);
        assert_int_equal(dual_count(merged, PD_LAYER_SLICE), 3);
        dual_compare(d, merged, out, 1e-5);
        pd_net_destroy(merged);
        dual_compare(d, net, out, 1e-5);
        pd_net_destroy(net);
        dual_free(d);
    }
}

static void what_differs_or_adds_is_no_sibling(void **state)
{
    struct dual *d = dual_new(30, 6, 8);
    int a = dual_act(d, dual_conv(d, 0, 4, &padded), "Relu"), b = dual_conv(d, 0, 4, &padded);
    int sum = dual_binary(d, "Add", dual_conv(d, 0, 4, &padded), a);
    int out = dual_concat(d, 3, (int[]){a, b, sum});
    struct pd_net *net = dual_load(d, out), *merged;
    assert_int_equal(pd_net_merge_siblings(net, &merged), 0);
    assert_int_equal(merged->n_layers, net->n_layers);
    dual_compare(d, merged, out, 1e-5);
    pd_net_destroy(merged);
    pd_net_destroy(net);
    dual_free(d);
}

/* ---- generated networks ---- */

static struct pd_net *generate(const char *kind, uint64_t seed)
{
    char path[] = "/tmp/posed-net-XXXXXX";
    struct pd_err err = {""};
    struct pd_net *net = NULL;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    if (pd_net_random_write(kind, seed, path, &err) < 0 || pd_net_load(path, &net, &err) < 0)
        fail_msg("%s", err.text);
    unlink(path);
    return net;
}

static double gflop(const struct pd_net *net, int w, int h)
{
    struct pd_shape *shapes = calloc((size_t)net->n_tensors, sizeof(*shapes));
    struct pd_err err = {""};
    double macs = 0;
    assert_non_null(shapes);
    if (pd_net_shapes(net, h, w, shapes, &err) < 0)
        fail_msg("%s", err.text);
    for (int i = 0; i < net->n_layers; i++)
        macs += pd_layer_macs(net, &net->layers[i], shapes);
    free(shapes);
    return 2 * macs / 1e9;
}

static void openpose_coco_costs_what_the_paper_s_network_does(void **state)
{
    struct pd_net *net = generate("openpose-coco", 1);
    assert_true(gflop(net, 656, 368) > 484.55 && gflop(net, 656, 368) < 484.65);
    assert_string_equal(net->meta.name, "openpose-coco");
    assert_string_equal(net->meta.skeleton->name, "coco18");
    assert_int_equal(net->tensors[net->heat].channels, 19);
    assert_int_equal(net->tensors[net->paf].channels, 38);
    assert_int_equal(net->meta.stride, 8);
    assert_true(net->meta.offset == 3.5f && net->meta.input.bgr && net->meta.input.mean[1] == 128);
    assert_int_equal(net->layers[net->n_layers - 1].stage, 6);
    assert_int_equal(net->layers[0].stage, 0);
    assert_int_equal(pd_net_parameters(net), 52311446);
    struct pd_net *merged;
    assert_int_equal(pd_net_merge_siblings(net, &merged), 0);
    assert_int_equal(dual_count(merged, PD_LAYER_SLICE), 2 * 6); /* each stage's two branches begin as one */
    assert_true(gflop(merged, 656, 368) == gflop(net, 656, 368));
    pd_net_destroy(merged);
    pd_net_destroy(net);
}

static void body25_concatenates_its_blocks(void **state)
{
    struct pd_net *net = generate("openpose-body25", 1);
    assert_string_equal(net->meta.skeleton->name, "body25");
    assert_int_equal(net->tensors[net->heat].channels, 26);
    assert_int_equal(net->tensors[net->paf].channels, 52);
    assert_int_equal(dual_count(net, PD_LAYER_CONCAT), 6 * 5 + 5);
    assert_int_equal(dual_count(net, PD_LAYER_ACT), 0);
    pd_net_destroy(net);
}

static void the_seed_decides_the_weights(void **state)
{
    struct pd_net *a = generate("tiny", 1), *b = generate("tiny", 1), *c = generate("tiny", 2);
    assert_memory_equal(a->layers[0].weight, b->layers[0].weight, a->layers[0].n_weight * sizeof(float));
    assert_memory_not_equal(a->layers[0].weight, c->layers[0].weight, a->layers[0].n_weight * sizeof(float));
    assert_string_equal(a->file_sha256, b->file_sha256);
    assert_string_not_equal(a->file_sha256, c->file_sha256);
    pd_net_destroy(a);
    pd_net_destroy(b);
    pd_net_destroy(c);
}

static void every_kind_that_is_listed_can_be_written(void **state)
{
    for (int i = 0; pd_net_random_name(i); i++) {
        const char *name = pd_net_random_name(i);
        /* vgg19 is half a gigabyte, the two others have tests of their own */
        if (!strcmp(name, "vgg19") || !strcmp(name, "openpose-coco") || !strcmp(name, "openpose-body25"))
            continue;
        struct pd_net *net = generate(name, 3);
        assert_string_equal(net->meta.name, name);
        pd_net_destroy(net);
    }
    struct pd_err err = {""};
    assert_true(pd_net_random_write("nonsense", 1, "/tmp/x", &err) < 0);
    assert_non_null(strstr(err.text, "openpose-coco"));
}

static void sizes_that_do_not_go_through_are_refused(void **state)
{
    struct pd_net *net = generate("tiny", 1);
    struct pd_shape *shapes = calloc((size_t)net->n_tensors, sizeof(*shapes));
    struct pd_err err = {""};
    static const int bad[][2] = {{0, 8}, {8, 12}, {-8, 8}, {1 << 20, 8}};
    for (size_t i = 0; i < PD_ARRAY_SIZE(bad); i++) {
        assert_true(pd_net_shapes(net, bad[i][0], bad[i][1], shapes, &err) < 0);
        assert_non_null(strstr(err.text, "multiples of 8"));
    }
    assert_int_equal(pd_net_shapes(net, 8, 16, shapes, &err), 0);
    assert_int_equal(shapes[net->heat].h, 1);
    assert_int_equal(shapes[net->heat].w, 2);
    free(shapes);
    pd_net_destroy(net);
}

static void sides_divide_by_every_sampling(void **state)
{
    static const struct dual_window by2 = {.k = 2, .stride = 2}, by3 = {.k = 3, .stride = 3};
    struct dual *d = dual_new(14, 12, 18);
    int half = dual_resize(d, dual_conv(d, 0, 4, &by2), 2, false);
    int third = dual_resize(d, dual_conv(d, 0, 4, &by3), 3, false);
    int out = dual_concat(d, 2, (int[]){half, third});
    struct pd_net *net = dual_load(d, out);
    assert_int_equal(pd_net_multiple(net), 6);
    dual_compare(d, net, out, 1e-5);
    pd_net_destroy(net);
    dual_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batch_norm_and_activation_go_into_the_convolution),
        cmocka_unit_test(scales_go_into_transposed_and_dense_layers),
        cmocka_unit_test(a_chain_of_scales_is_one),
        cmocka_unit_test(offset_goes_behind_into_an_unpadded_convolution_only),
        cmocka_unit_test(normalisation_of_the_input_is_hoisted),
        cmocka_unit_test(normalisation_stays_where_the_plain_image_is_read_too),
        cmocka_unit_test(residual_add_and_activation_go_into_the_later_convolution),
        cmocka_unit_test(residual_may_be_made_after_the_convolution),
        cmocka_unit_test(an_activated_convolution_takes_no_residual),
        cmocka_unit_test(a_tensor_read_twice_is_not_fused_away),
        cmocka_unit_test(swish_spelt_out_is_one_activation),
        cmocka_unit_test(unread_layers_are_dropped),
        cmocka_unit_test(siblings_become_one_with_the_same_values),
        cmocka_unit_test(what_differs_or_adds_is_no_sibling),
        cmocka_unit_test(openpose_coco_costs_what_the_paper_s_network_does),
        cmocka_unit_test(body25_concatenates_its_blocks),
        cmocka_unit_test(the_seed_decides_the_weights),
        cmocka_unit_test(every_kind_that_is_listed_can_be_written),
        cmocka_unit_test(sizes_that_do_not_go_through_are_refused),
        cmocka_unit_test(sides_divide_by_every_sampling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
