/* SPDX-License-Identifier: Apache-2.0
 *
 * Loaded into posed (LD_PRELOAD) to see whether a soak notices. POSED_SABOTAGE names the harm:
 *   leak  every frame leaves LEAK_BYTES behind
 *   drop  every DROP_EVERYth pose line is taken for written and never is
 */
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "core/util.h"

#define LEAK_BYTES 4096 /* as if a line of three people and its item were forgotten */
#define DROP_EVERY 1000
#define BUFS_MAX 256    /* more than a client is given at once */
#define POSE "{\"type\":\"pose\""

static bool harm_is(const char *name)
{
    const char *harm = getenv("POSED_SABOTAGE");
    return harm && !strcmp(harm, name);
}

/* Once for each line that goes to the loop. */
int uv_async_send(uv_async_t *async)
{
    static int (*real)(uv_async_t *);
    if (!real)
        real = (int (*)(uv_async_t *))dlsym(RTLD_NEXT, "uv_async_send");
    static _Atomic(void *) last; /* seen from outside, so that the compiler cannot leave the allocation out */
    if (harm_is("leak")) {
        void *lost = malloc(LEAK_BYTES);
        if (lost)
            memset(lost, 1, LEAK_BYTES);
        atomic_store(&last, lost);
    }
    return real(async);
}

/* A buffer is a line, or the rest of one in the first. */
static int find_victim(const uv_buf_t bufs[], unsigned n)
{
    static unsigned seen; /* the loop's thread alone writes */
    for (unsigned i = 0; i < n; i++)
        if (bufs[i].len > strlen(POSE) && !memcmp(bufs[i].base, POSE, strlen(POSE)) && ++seen % DROP_EVERY == 0)
            return (int)i;
    return -1;
}

int uv_try_write(uv_stream_t *stream, const uv_buf_t bufs[], unsigned n)
{
    static int (*real)(uv_stream_t *, const uv_buf_t[], unsigned);
    if (!real)
        real = (int (*)(uv_stream_t *, const uv_buf_t[], unsigned))dlsym(RTLD_NEXT, "uv_try_write");
    int victim = harm_is("drop") && n <= BUFS_MAX ? find_victim(bufs, n) : -1;
    if (victim < 0)
        return real(stream, bufs, n);
    uv_buf_t rest[BUFS_MAX];
    size_t before = 0;
    for (unsigned i = 0, k = 0; i < n; i++) {
        if (i < (unsigned)victim)
            before += bufs[i].len;
        if (i != (unsigned)victim)
            rest[k++] = bufs[i];
    }
    int written = n > 1 ? real(stream, rest, n - 1) : 0;
    return written < 0 || (size_t)written < before ? written : written + (int)bufs[victim].len;
}
