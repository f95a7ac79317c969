#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Random networks around one kind of layer, for comparing an engine with the reference: any channel count, strides,
 * dilation, groups, slices and concatenations as input and output, residuals, every activation.
 */
#include "tests/engine/netmaker.h"

/* A number from @lo to @hi, both included. */
int randomnet_between(struct maker *m, int lo, int hi);
/* Begin @m from @seed: input, a first convolution to some channels, then the layers under test; heat is what the last
 * one writes. @what gets their description. */
void randomnet_build(struct maker *m, uint64_t seed, char *what, size_t cap);

/* Root mean square of a - b over that of b, of n values each; infinite where a value is none. */
double randomnet_difference(const float *a, const float *b, size_t n);
