#pragma once
/* SPDX-License-Identifier: Apache-2.0 - what `posed model info` prints. Main thread. */
#include "core/net/net.h"

/* Costs of a network at one input size. */
struct pd_model_cost {
    int width, height;
    struct pd_shape *shapes; /* per tensor; owned */
    double macs;             /* multiply-adds of one frame */
    size_t parameters;
    size_t live_floats; /* of one frame: the most that is alive between two layers */
};

/* -EINVAL with a line in @err when the network does not take that size. */
int pd_model_cost(const struct pd_net *net, int width, int height, struct pd_model_cost *ret_cost, struct pd_err *err);
void pd_model_cost_finish(struct pd_model_cost *cost);

void pd_model_print(const struct pd_net *net, const struct pd_model_cost *cost, const char *path);
/* One JSON object and a newline on stdout. 0 or -ENOMEM. */
int pd_model_print_json(const struct pd_net *net, const struct pd_model_cost *cost, const char *path);
