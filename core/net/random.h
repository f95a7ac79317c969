#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Networks of known shapes with random weights. Private to core/net: random.c holds the tools and the table, random_*.c
 * the topologies.
 */
#include "core/net/write.h"

struct pd_random {
    struct pd_onnx_writer *w;
    uint64_t state;
};

struct pd_random_conv {
    const char *name; /* of the node, and of what it writes unless an activation follows */
    const char *in;
    int ci, co, k;
    int stride, dilation, groups; /* 0 means 1 */
    bool valid;                   /* no padding; otherwise k / 2 * dilation */
    const char *act;              /* "Relu", "Elu", "PRelu", "": none */
    float gain;                   /* on the He scale; 0 means 1 */
};

/* Longest name of a tensor, so that callers can keep names in arrays. */
#define PD_RANDOM_NAME 64

/* A convolution with its activation. @ret_out gets the name of what it writes. */
void pd_random_conv(struct pd_random *r, const struct pd_random_conv *conv, char ret_out[PD_RANDOM_NAME]);
void pd_random_max_pool(struct pd_random *r, const char *in, const char *out);
/* A dense layer on flattened features. */
void pd_random_dense(struct pd_random *r, const char *in, const char *out, int ci, int co, const char *act);
void pd_random_concat(struct pd_random *r, const char *inputs, const char *out);

/* The convolutions that VGG-19 begins with, up to the @n-th; returns the channels of @ret_out. */
int pd_random_vgg(struct pd_random *r, int n, const char *last_act, char ret_out[PD_RANDOM_NAME]);

void pd_random_openpose_coco(struct pd_random *r);
void pd_random_openpose_mpi(struct pd_random *r);
void pd_random_openpose_body25(struct pd_random *r);
void pd_random_vgg19(struct pd_random *r);
void pd_random_tiny(struct pd_random *r);
void pd_random_matmul(struct pd_random *r);
