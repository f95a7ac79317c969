#pragma once
/* SPDX-License-Identifier: Apache-2.0 - cmocka in the order in which it wants its headers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
