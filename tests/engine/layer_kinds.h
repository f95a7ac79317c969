#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Small networks of layers of every kind, with windows, padding and channels as uneven as files may have them.
 */
#include "tests/engine/netmaker.h"

enum { W = 22, H = 13 }; /* of the input: odd after a pooling, and small for the reference's sake */

extern uint64_t seed;      /* of all random numbers; 1 unless set */
extern struct maker maker; /* the network at hand; also draws the inputs */

extern const struct kind {
    const char *name;
    void (*build)(int in);
} kinds[];
extern const int n_kinds;

/* Begin the maker with a first convolution of @channels, and @kind behind it. */
void make_kind(int kind, int channels);
