#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Activations that a layer can end with. On its own so that device code, which is C++, can include it.
 */
enum pd_act {
    PD_ACT_NONE,
    PD_ACT_RELU,    /* max(x, 0) */
    PD_ACT_CLIP,    /* min(max(x, alpha), beta): ReLU6 is 0, 6 */
    PD_ACT_PRELU,   /* x > 0 ? x : slope[c] * x; n_slopes is 1 (leaky) or the channel count */
    PD_ACT_ELU,     /* x > 0 ? x : alpha * (exp(x) - 1) */
    PD_ACT_SIGMOID,
    PD_ACT_TANH,
    PD_ACT_SWISH,     /* x * sigmoid(x) */
    PD_ACT_HARDSWISH, /* x * min(max(x / 6 + 0.5, 0), 1) */
};
