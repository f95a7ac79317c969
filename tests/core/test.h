#pragma once
/* SPDX-License-Identifier: Apache-2.0 - cmocka in the order in which it wants its headers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* End a test that cannot run here, and say why. cmocka's own skip() is told as a failure in TAP. */
#define SKIP(...)                                                                                                      \
    do {                                                                                                               \
        print_message("# skipped: " __VA_ARGS__);                                                                      \
        print_message("\n");                                                                                           \
        return;                                                                                                        \
    } while (0)
