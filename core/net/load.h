#pragma once
/* SPDX-License-Identifier: Apache-2.0 - private to core/net: the step between an indexed file and the network. */
#include "core/net/net.h"
#include "core/net/onnx.h"

/* Lower @onnx into a network that refers to neither file nor arena. */
int pd_lower(const struct pd_onnx *onnx, struct pd_net **ret_net, struct pd_err *err);

/* Parse and lower @data, which is freed as soon as it is parsed: a large network is held twice, not three times.
 * @name stands for the file in messages. */
int pd_net_load_owned(void *data, size_t size, const char *name, struct pd_net **ret_net, struct pd_err *err);
