#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Small macros and inline helpers that every folder uses. No state, any thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define PD_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define PD_MIN(a, b) ((a) < (b) ? (a) : (b))
#define PD_MAX(a, b) ((a) > (b) ? (a) : (b))
#define PD_CLAMP(x, lo, hi) ((x) < (lo) ? (lo) : (x) > (hi) ? (hi) : (x))
#define PD_CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define PD_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* Run @fn on the variable's address when it leaves its scope: `PD_CLEANUP(pd_freep) char *s = NULL;` */
#define PD_CLEANUP(fn) __attribute__((cleanup(fn)))

static inline void pd_freep(void *p)
{
    free(*(void **)p);
}

/* True when the product or sum does not fit; *ret_ is written only when it does. */
static inline bool pd_mul_overflows(size_t a, size_t b, size_t *ret_product)
{
    size_t r;
    if (__builtin_mul_overflow(a, b, &r))
        return true;
    *ret_product = r;
    return false;
}

static inline bool pd_add_overflows(size_t a, size_t b, size_t *ret_sum)
{
    size_t r;
    if (__builtin_add_overflow(a, b, &r))
        return true;
    *ret_sum = r;
    return false;
}

/* Memory aligned for any vector unit, to be released with free(). NULL when out of memory or @bytes is absurd. */
static inline void *pd_alloc_aligned(size_t bytes)
{
    size_t padded;
    if (pd_add_overflows(bytes, 63, &padded))
        return NULL;
    return aligned_alloc(64, PD_MAX(padded & ~(size_t)63, 64));
}
