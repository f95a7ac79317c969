#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * What every fuzz target is: one function that takes any bytes, and aborts when a promise is broken. Built twice: with
 * replay.c as an ordinary test over the target's corpus, and (-Dfuzzers=true, clang) with libFuzzer.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not assert(): it must hold in release builds, too. */
#define FUZZ_CHECK(condition)                                                                                          \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition);                                    \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)
