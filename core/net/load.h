#pragma once
/* SPDX-License-Identifier: Apache-2.0 - private to core/net: the step between an indexed file and the network. */
#include "core/net/net.h"
#include "core/net/onnx.h"

/* Lower @onnx into a network that refers to neither file nor arena. */
int pd_lower(const struct pd_onnx *onnx, struct pd_net **ret_net, struct pd_err *err);
