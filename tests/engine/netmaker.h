#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Small networks made by hand, with random weights, for comparing engines. Asserts on misuse and lack of memory.
 */
#include "core/net/net.h"

#define MAKER_MAX 64

struct maker {
    struct pd_net net;
    struct pd_tensor tensors[MAKER_MAX];
    struct pd_layer layers[MAKER_MAX];
    float *owned[MAKER_MAX * 3];
    int n_owned;
    uint64_t state;
};

/* An empty network with a 3-channel input. */
void maker_begin(struct maker *m, uint64_t seed);
void maker_end(struct maker *m); /* frees the weights */

uint32_t maker_random(struct maker *m, uint32_t below);
float maker_uniform(struct maker *m, float lo, float hi);
float *maker_floats(struct maker *m, size_t n, float scale); /* owned by @m, uniform in -scale..scale */

/* Append a layer with neutral geometry (1x1, stride 1, no padding) reading @in; the caller refines it through the
 * pointer. Its output tensor has @channels. */
struct pd_layer *maker_layer(struct maker *m, enum pd_layer_kind kind, int in, int channels);
/* A k x k convolution that keeps the size; bias, and a random activation. Returns the output tensor. */
int maker_conv(struct maker *m, int in, int channels, int k, int dilation, int groups);
void maker_weights(struct maker *m, struct pd_layer *l, size_t n, bool bias);
void maker_act(struct maker *m, struct pd_layer *l);
