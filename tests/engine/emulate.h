#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Enough of CUDA for kernels written in its common part with C: a block is a handful of threads of the CPU that wait
 * for each other in __syncthreads(), blocks run one after the other, shared memory is static. Under ThreadSanitizer a
 * forgotten __syncthreads() is a race like any other.
 */
#include <pthread.h>

#include "tests/core/test.h"

#define __global__
#define __device__
#define __forceinline__ inline
#define __shared__ static

struct emulated_dim {
    unsigned x, y, z;
};

static struct emulated_dim blockDim, gridDim;
static _Thread_local struct emulated_dim threadIdx, blockIdx;
static pthread_barrier_t block_barrier;

static inline void __syncthreads(void)
{
    pthread_barrier_wait(&block_barrier);
}

static inline int atomicAdd(int *p, int v)
{
    return __atomic_fetch_add(p, v, __ATOMIC_RELAXED);
}

static inline unsigned long long atomicMax(unsigned long long *p, unsigned long long v)
{
    unsigned long long old = __atomic_load_n(p, __ATOMIC_RELAXED);
    while (old < v && !__atomic_compare_exchange_n(p, &old, v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    return old;
}

struct emulated_thread {
    void (*kernel)(const void *arg);
    const void *arg;
    unsigned index;
};

static void *emulated_thread_main(void *user)
{
    const struct emulated_thread *t = user;
    threadIdx = (struct emulated_dim){t->index, 0, 0};
    for (unsigned y = 0; y < gridDim.y; y++) {
        for (unsigned x = 0; x < gridDim.x; x++) {
            blockIdx = (struct emulated_dim){x, y, 0};
            t->kernel(t->arg);
            __syncthreads(); /* blocks share the static memory */
        }
    }
    return NULL;
}

#define EMULATED_THREADS_MAX 16

static void emulate(void (*kernel)(const void *arg), const void *arg, unsigned grid_x, unsigned grid_y,
                    unsigned threads)
{
    pthread_t id[EMULATED_THREADS_MAX];
    struct emulated_thread t[EMULATED_THREADS_MAX];
    assert_in_range(threads, 1, EMULATED_THREADS_MAX);
    gridDim = (struct emulated_dim){grid_x, grid_y, 1};
    blockDim = (struct emulated_dim){threads, 1, 1};
    assert_int_equal(pthread_barrier_init(&block_barrier, NULL, threads), 0);
    for (unsigned i = 0; i < threads; i++) {
        t[i] = (struct emulated_thread){kernel, arg, i};
        assert_int_equal(pthread_create(&id[i], NULL, emulated_thread_main, &t[i]), 0);
    }
    for (unsigned i = 0; i < threads; i++)
        pthread_join(id[i], NULL);
    pthread_barrier_destroy(&block_barrier);
}
