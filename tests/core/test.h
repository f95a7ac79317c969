#pragma once
/* SPDX-License-Identifier: Apache-2.0 - cmocka in the order in which it wants its headers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* So many of @n cases: all, or the percentage that POSED_CASES says, one at least. For tools that slow a program down
 * a hundred times. */
static inline int cases_of(int n)
{
    const char *percent = getenv("POSED_CASES");
    const int some = percent ? n * atoi(percent) / 100 : n;
    return some < 1 ? 1 : some > n ? n : some;
}

/* End a test that cannot run here, and say why. cmocka's own skip() is told as a failure in TAP. */
#define SKIP(...)                                                                                                      \
    do {                                                                                                               \
        print_message("# skipped: " __VA_ARGS__);                                                                      \
        print_message("\n");                                                                                           \
        return;                                                                                                        \
    } while (0)
