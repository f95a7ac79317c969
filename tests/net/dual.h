#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Networks built twice at once: as nodes of an ONNX file, and as their values in double precision, computed by loops
 * that share nothing with the program. Tests build a graph, load the file, run it and compare. Values are numbered.
 */
#include "core/net/net.h"
#include "core/net/write.h"

#define DUAL_MAX 96

struct dual_image {
    int c, h, w;
    double *v;
};

struct dual {
    struct pd_onnx_writer *w;
    uint64_t seed, state;
    struct dual_image value[DUAL_MAX];
    int n;
};

struct dual_window {
    int k, stride, dilation, groups; /* 0 means 1 */
    int pad[4];                      /* top, left, bottom, right */
    int out_pad;
    bool ceil_mode, count_pad, bias;
};

/* Value 0 is the input: 3 x h x w, random. Prints the seed. */
struct dual *dual_new(uint64_t seed, int h, int w);
void dual_free(struct dual *d);
int dual_random(struct dual *d, int lo, int hi); /* lo..hi */

int dual_conv(struct dual *d, int in, int co, const struct dual_window *win);
int dual_deconv(struct dual *d, int in, int co, const struct dual_window *win);
int dual_pool(struct dual *d, int in, bool max, const struct dual_window *win);
int dual_global_pool(struct dual *d, int in);
int dual_dense(struct dual *d, int in, int co); /* with the Flatten before it */
/* "Relu", "Elu", "LeakyRelu", "PRelu", "Clip", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish" */
int dual_act(struct dual *d, int in, const char *op);
/* "Mul", "Add", "Sub", "Div", "Sub-reversed", "BatchNormalization", with a constant per channel or one for all */
int dual_affine(struct dual *d, int in, const char *op, bool per_channel);
int dual_binary(struct dual *d, const char *op, int a, int b); /* "Add", "Sub", "Mul"; b may be c x 1 x 1 for Mul */
int dual_concat(struct dual *d, int n, const int *in);
int dual_slice(struct dual *d, int in, int from, int to);
int dual_resize(struct dual *d, int in, int scale, bool bilinear);

/* The file with value @out as its output, loaded. Fails the test with the error line if that does not work. */
struct pd_net *dual_load(struct dual *d, int out);
/* Run @net with the reference engine and compare: shape, and every sample within @tolerance of the largest one. */
void dual_compare(struct dual *d, const struct pd_net *net, int out, double tolerance);
/* Load, compare at 1e-5, destroy net and @d. */
void dual_check(struct dual *d, int out);
/* Layers of this kind in a lowered network. */
int dual_count(const struct pd_net *net, enum pd_layer_kind kind);
