/* SPDX-License-Identifier: Apache-2.0
 *
 * VGG-19 (Simonyan and Zisserman, arXiv 1409.1556), the classifier that every benchmark knows, and a pose network of a
 * few kilobytes for tests, which has one of everything that pose networks are made of; and matrix products.
 */
#include "core/net/random.h"

#include <stdio.h>

void pd_random_vgg19(struct pd_random *r)
{
    char out[PD_RANDOM_NAME];
    pd_onnx_write_meta(r->w, "skeleton", "none");
    pd_onnx_write_meta(r->w, "input_order", "bgr");
    pd_onnx_write_meta(r->w, "input_mean", "103.939,116.779,123.68");
    pd_onnx_write_meta(r->w, "input_scale", "0.017"); /* to the size that He's weights are meant for */
    pd_onnx_write_input(r->w, "image", 3);
    pd_random_vgg(r, 16, "Relu", out);
    pd_random_max_pool(r, out, "pool5");
    pd_onnx_write_node(r->w, "Flatten", "pool5", "flat");
    pd_random_dense(r, "flat", "fc6", 512 * 7 * 7, 4096, "Relu");
    pd_random_dense(r, "fc6", "fc7", 4096, 4096, "Relu");
    pd_random_dense(r, "fc7", "fc8", 4096, 1000, "");
    pd_onnx_write_output(r->w, "fc8", 1000, 2);
}

void pd_random_tiny(struct pd_random *r)
{
    char a[PD_RANDOM_NAME], b[PD_RANDOM_NAME], c[PD_RANDOM_NAME];
    pd_onnx_write_meta(r->w, "skeleton", "coco18");
    pd_onnx_write_meta(r->w, "input_order", "rgb");
    pd_onnx_write_meta(r->w, "input_mean", "127.5");
    pd_onnx_write_meta(r->w, "input_scale", "0.00784314");
    pd_onnx_write_input(r->w, "image", 3);
    pd_random_conv(
        r,
        &(struct pd_random_conv){.name = "stem", .in = "image", .ci = 3, .co = 8, .k = 3, .stride = 2, .act = "Relu"},
        a);
    pd_random_conv(
        r,
        &(struct pd_random_conv){
            .name = "depthwise", .in = a, .ci = 8, .co = 8, .k = 3, .stride = 2, .groups = 8, .act = "PRelu"},
        b);
    pd_random_conv(r, &(struct pd_random_conv){.name = "pointwise", .in = b, .ci = 8, .co = 16, .k = 1, .act = "Elu"},
                   a);
    pd_random_max_pool(r, a, "pool");
    pd_random_conv(
        r, &(struct pd_random_conv){.name = "dilated", .in = "pool", .ci = 16, .co = 16, .k = 3, .dilation = 2}, b);
    pd_onnx_write_node(r->w, "Add", "dilated pool", "sum");
    pd_onnx_write_node(r->w, "Relu", "sum", "features");
    pd_random_conv(r, &(struct pd_random_conv){.name = "heat1", .in = "features", .ci = 16, .co = 19, .k = 1}, b);
    pd_random_conv(r, &(struct pd_random_conv){.name = "paf1", .in = "features", .ci = 16, .co = 38, .k = 1}, c);
    pd_random_concat(r, "features heat1 paf1", "concat");
    pd_random_conv(
        r, &(struct pd_random_conv){.name = "refine", .in = "concat", .ci = 73, .co = 16, .k = 3, .act = "Relu"}, a);
    pd_random_conv(r, &(struct pd_random_conv){.name = "heatmap", .in = a, .ci = 16, .co = 19, .k = 1}, b);
    pd_random_conv(r, &(struct pd_random_conv){.name = "paf", .in = a, .ci = 16, .co = 38, .k = 1}, c);
    pd_onnx_write_output(r->w, "heatmap", 19, 4);
    pd_onnx_write_output(r->w, "paf", 38, 4);
}

/* 1x1 convolutions are products of matrices, and these are large enough that arithmetic alone counts; of several
 * widths, since caches and tensor cores like different ones. The best of them is an engine's peak. */
void pd_random_matmul(struct pd_random *r)
{
    static const int widths[] = {256, 256, 1024, 1024, 2048};
    char out[PD_RANDOM_NAME] = "image", in[PD_RANDOM_NAME], name[PD_RANDOM_NAME];
    int channels = 3;
    pd_onnx_write_meta(r->w, "skeleton", "none");
    pd_onnx_write_meta(r->w, "input_order", "rgb");
    pd_onnx_write_meta(r->w, "input_mean", "127.5");
    pd_onnx_write_meta(r->w, "input_scale", "0.00784314");
    pd_onnx_write_input(r->w, "image", 3);
    for (size_t i = 0; i < PD_ARRAY_SIZE(widths); i++) {
        snprintf(in, sizeof(in), "%s", out);
        snprintf(name, sizeof(name), "product%zu", i);
        pd_random_conv(
            r, &(struct pd_random_conv){.name = name, .in = in, .ci = channels, .co = widths[i], .k = 1}, out);
        channels = widths[i];
    }
    pd_onnx_write_output(r->w, out, channels, 4);
}
