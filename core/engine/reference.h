#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * The plain computation of one layer: what every other engine is compared with. Any thread.
 */
#include "core/net/net.h"

/* Compute @layer of one frame. @tensors[id] is a dense (c, h, w) fp32 array for each tensor it reads or writes, @shapes
 * as filled by pd_net_shapes, @weight the layer's weights (the net's own, or a rounded copy). fp32 throughout. */
void pd_ref_layer(const struct pd_net *net, const struct pd_layer *layer, const float *weight,
                  const struct pd_shape *shapes, float *const *tensors);

/* To the nearest bfloat16, ties to even; NaN stays NaN. */
void pd_ref_round_bf16(float *values, size_t n);
