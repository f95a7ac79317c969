/* SPDX-License-Identifier: Apache-2.0
 *
 * The topologies that OpenPose publishes: VGG-19's first ten convolutions and two of its own make 128 feature maps;
 * stages of two branches refine part affinity fields and confidence maps (Cao et al., arXiv 1611.08050); BODY_25
 * refines first the fields, then the maps, in blocks of three dense 3x3 convolutions (arXiv 1812.08008).
 */
#include <stdio.h>

#include "core/net/random.h"

#define FEATURES 128

int pd_random_vgg(struct pd_random *r, int n, const char *last_act, char ret_out[PD_RANDOM_NAME])
{
    static const struct {
        int convs, channels;
    } blocks[5] = {{2, 64}, {2, 128}, {4, 256}, {4, 512}, {4, 512}};
    char name[PD_RANDOM_NAME];
    int ci = 3, done = 0;
    snprintf(ret_out, PD_RANDOM_NAME, "image");
    for (int b = 0; b < 5 && done < n; b++) {
        if (b) {
            snprintf(name, sizeof(name), "pool%d", b);
            pd_random_max_pool(r, ret_out, name);
            snprintf(ret_out, PD_RANDOM_NAME, "%s", name);
        }
        for (int i = 0; i < blocks[b].convs && done < n; i++, done++) {
            char in[PD_RANDOM_NAME];
            snprintf(name, sizeof(name), "conv%d_%d", b + 1, i + 1);
            snprintf(in, sizeof(in), "%s", ret_out);
            pd_random_conv(r,
                           &(struct pd_random_conv){.name = name,
                                                    .in = in,
                                                    .ci = ci,
                                                    .co = blocks[b].channels,
                                                    .k = 3,
                                                    .act = done + 1 == n ? last_act : "Relu"},
                           ret_out);
            ci = blocks[b].channels;
        }
    }
    return ci;
}

/* @in and @out may be the same array. */
static void step(struct pd_random *r, const char *name, const char *in, int ci, int co, int k, const char *act,
                 char out[PD_RANDOM_NAME])
{
    char from[PD_RANDOM_NAME];
    snprintf(from, sizeof(from), "%s", in);
    pd_random_conv(r, &(struct pd_random_conv){.name = name, .in = from, .ci = ci, .co = co, .k = k, .act = act}, out);
}

static void features(struct pd_random *r, const char *act, char out[PD_RANDOM_NAME])
{
    pd_onnx_write_input(r->w, "image", 3);
    pd_onnx_write_meta(r->w, "input_order", "bgr");
    pd_onnx_write_meta(r->w, "input_mean", "128");
    pd_onnx_write_meta(r->w, "input_scale", "0.00390625");
    pd_onnx_write_meta(r->w, "stride", "8");
    int channels = pd_random_vgg(r, 10, act, out);
    step(r, "conv4_3_CPM", out, channels, 256, 3, act, out);
    step(r, "conv4_4_CPM", out, 256, FEATURES, 3, act, out);
}

/* ---- two branches: COCO and MPI ---- */

static void first_stage(struct pd_random *r, const char *in, int branch, int maps, char out[PD_RANDOM_NAME])
{
    char name[PD_RANDOM_NAME];
    snprintf(out, PD_RANDOM_NAME, "%s", in);
    for (int i = 1; i <= 3; i++) {
        snprintf(name, sizeof(name), "conv5_%d_CPM_L%d", i, branch);
        step(r, name, out, FEATURES, 128, 3, "Relu", out);
    }
    snprintf(name, sizeof(name), "conv5_4_CPM_L%d", branch);
    step(r, name, out, 128, 512, 1, "Relu", out);
    snprintf(name, sizeof(name), "conv5_5_CPM_L%d", branch);
    step(r, name, out, 512, maps, 1, "", out);
}

static void later_stage(struct pd_random *r, int stage, const char *in, int ci, int branch, int maps, const char *last,
                        char out[PD_RANDOM_NAME])
{
    char name[PD_RANDOM_NAME];
    snprintf(out, PD_RANDOM_NAME, "%s", in);
    for (int i = 1; i <= 5; i++) {
        snprintf(name, sizeof(name), "Mconv%d_stage%d_L%d", i, stage, branch);
        step(r, name, out, i == 1 ? ci : 128, 128, 7, "Relu", out);
    }
    snprintf(name, sizeof(name), "Mconv6_stage%d_L%d", stage, branch);
    step(r, name, out, 128, 128, 1, "Relu", out);
    snprintf(name, sizeof(name), "Mconv7_stage%d_L%d", stage, branch);
    step(r, last ? last : name, out, 128, maps, 1, "", out);
}

static void two_branches(struct pd_random *r, int heat, int paf)
{
    char shared[PD_RANDOM_NAME], fields[PD_RANDOM_NAME], maps[PD_RANDOM_NAME];
    features(r, "Relu", shared);
    first_stage(r, shared, 1, paf, fields);
    first_stage(r, shared, 2, heat, maps);
    for (int stage = 2; stage <= 6; stage++) {
        char inputs[4 * PD_RANDOM_NAME], in[PD_RANDOM_NAME];
        snprintf(inputs, sizeof(inputs), "%s %s %s", fields, maps, shared);
        snprintf(in, sizeof(in), "concat_stage%d", stage);
        pd_random_concat(r, inputs, in);
        later_stage(r, stage, in, paf + heat + FEATURES, 1, paf, stage == 6 ? "paf" : NULL, fields);
        later_stage(r, stage, in, paf + heat + FEATURES, 2, heat, stage == 6 ? "heatmap" : NULL, maps);
    }
    pd_onnx_write_output(r->w, "heatmap", heat, 4);
    pd_onnx_write_output(r->w, "paf", paf, 4);
}

void pd_random_openpose_coco(struct pd_random *r)
{
    pd_onnx_write_meta(r->w, "skeleton", "coco18");
    two_branches(r, 19, 38);
}

void pd_random_openpose_mpi(struct pd_random *r)
{
    pd_onnx_write_meta(r->w, "skeleton", "mpi15");
    two_branches(r, 16, 28);
}

/* ---- BODY_25 ---- */

/* Three 3x3 convolutions in a row, all three of which go on. */
static void dense_block(struct pd_random *r, const char *prefix, int block, const char *in, int ci, int width,
                        char out[PD_RANDOM_NAME])
{
    char parts[3][PD_RANDOM_NAME], name[PD_RANDOM_NAME], inputs[4 * PD_RANDOM_NAME];
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof(name), "Mconv%d_%.24s_%d", block, prefix, i);
        step(r, name, i ? parts[i - 1] : in, i ? width : ci, width, 3, "PRelu", parts[i]);
    }
    snprintf(inputs, sizeof(inputs), "%s %s %s", parts[0], parts[1], parts[2]);
    snprintf(out, PD_RANDOM_NAME, "Mconv%d_%.24s_concat", block, prefix);
    pd_random_concat(r, inputs, out);
}

/* The first stage of each branch is narrower than those that follow. */
static void body25_stage(struct pd_random *r, int stage, int branch, const char *in, int ci, int maps, const char *last,
                         char out[PD_RANDOM_NAME])
{
    char prefix[24], name[PD_RANDOM_NAME], from[PD_RANDOM_NAME];
    int width = stage ? 128 : 96, inner = stage ? 512 : 256;
    snprintf(prefix, sizeof(prefix), "stage%d_L%d", stage, branch);
    snprintf(from, sizeof(from), "%s", in);
    for (int b = 1; b <= 5; b++) {
        dense_block(r, prefix, b, from, b == 1 ? ci : 3 * width, width, out);
        snprintf(from, sizeof(from), "%s", out);
    }
    snprintf(name, sizeof(name), "Mconv6_%s", prefix);
    step(r, name, from, 3 * width, inner, 1, "PRelu", out);
    snprintf(name, sizeof(name), "Mconv7_%s", prefix);
    step(r, last ? last : name, out, inner, maps, 1, "", out);
}

void pd_random_openpose_body25(struct pd_random *r)
{
    const int heat = 26, paf = 52;
    char shared[PD_RANDOM_NAME], fields[PD_RANDOM_NAME], maps[PD_RANDOM_NAME], in[PD_RANDOM_NAME];
    char inputs[4 * PD_RANDOM_NAME];
    pd_onnx_write_meta(r->w, "skeleton", "body25");
    features(r, "PRelu", shared);
    body25_stage(r, 0, 2, shared, FEATURES, paf, NULL, fields);
    for (int stage = 1; stage <= 3; stage++) {
        snprintf(inputs, sizeof(inputs), "%s %s", shared, fields);
        snprintf(in, sizeof(in), "concat_stage%d_L2", stage);
        pd_random_concat(r, inputs, in);
        body25_stage(r, stage, 2, in, FEATURES + paf, paf, stage == 3 ? "paf" : NULL, fields);
    }
    snprintf(inputs, sizeof(inputs), "%s %s", shared, fields);
    pd_random_concat(r, inputs, "concat_stage0_L1");
    body25_stage(r, 0, 1, "concat_stage0_L1", FEATURES + paf, heat, NULL, maps);
    snprintf(inputs, sizeof(inputs), "%s %s %s", shared, maps, fields);
    pd_random_concat(r, inputs, "concat_stage1_L1");
    body25_stage(r, 1, 1, "concat_stage1_L1", FEATURES + heat + paf, heat, "heatmap", maps);
    pd_onnx_write_output(r->w, "heatmap", heat, 4);
    pd_onnx_write_output(r->w, "paf", paf, 4);
}
