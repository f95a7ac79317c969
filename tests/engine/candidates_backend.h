#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * What runs the kernels of test_candidates.c: threads of the CPU, or (ON_DEVICE) the GPU.
 */
#include "tests/core/test.h"

#include <stdlib.h>
#include <string.h>

#include "core/pose_rules.h"
#include "tests/postproc/scene.h"

#ifdef ON_DEVICE

#include <cuda_runtime.h>

#include "core/engine/cudnn/candidates.h"

#define CASES 300

static bool backend_ready(void)
{
    int n = 0;
    return cudaGetDeviceCount(&n) == cudaSuccess && n > 0;
}

static void *on_device(const void *from, size_t bytes)
{
    void *p = NULL;
    assert_int_equal(cudaMalloc(&p, bytes), cudaSuccess);
    if (from)
        assert_int_equal(cudaMemcpy(p, from, bytes, cudaMemcpyHostToDevice), cudaSuccess);
    else
        assert_int_equal(cudaMemset(p, 0xa5, bytes), cudaSuccess);
    return p;
}

/* @f's maps are host memory here; its scratch is made here. */
static void backend_find(const struct pd_finder *f, struct pd_candidates *out, uint64_t *random)
{
    struct pd_finder d = *f;
    struct pd_candidates *mapped;
    const size_t plane = (size_t)f->w * (size_t)f->h * (size_t)f->n * sizeof(float);
    d.heat = on_device(f->heat, plane * (size_t)f->n_heat);
    d.paf = on_device(f->paf, plane * (size_t)f->n_paf);
    d.maxima = on_device(NULL, sizeof(pd_key) * (size_t)(f->n * f->n_keypoints) * pd_maxima_max(f->w, f->h));
    d.pairs = on_device(NULL, sizeof(pd_key) * (size_t)f->n_pair_blocks * PD_PAIRS_MAX);
    d.work = on_device(NULL, sizeof(*out) * (size_t)f->n);
    d.capped = on_device(NULL, sizeof(int) * PD_KEYPOINTS_MAX * (size_t)f->n);
    assert_int_equal(cudaHostAlloc((void **)&mapped, sizeof(*out) * (size_t)f->n, cudaHostAllocMapped), cudaSuccess);
    memcpy(mapped, out, sizeof(*out) * (size_t)f->n);
    assert_int_equal(cudaHostGetDevicePointer((void **)&d.out, mapped, 0), cudaSuccess);
    assert_int_equal(pd_cuda_find(&d, NULL), cudaSuccess);
    assert_int_equal(cudaDeviceSynchronize(), cudaSuccess);
    memcpy(out, mapped, sizeof(*out) * (size_t)f->n);
    cudaFreeHost(mapped);
    void *taken[] = {(void *)d.heat, (void *)d.paf, d.maxima, d.pairs, d.work, d.capped};
    for (size_t i = 0; i < PD_ARRAY_SIZE(taken); i++)
        cudaFree(taken[i]);
}

#else

#include "tests/engine/emulate.h"

#include "core/engine/cudnn/candidates_device.h"

#define CASES 6

static bool backend_ready(void)
{
    return true;
}

static void run_find_peaks(const void *f)
{
    find_peaks(*(const struct pd_finder *)f);
}

static void run_match_limbs(const void *f)
{
    match_limbs(*(const struct pd_finder *)f);
}

/* Exactly as much scratch as asked for and poisoned, so that sanitizers and comparison see what is read too much. */
static void *scratch(size_t bytes)
{
    void *p = malloc(bytes);
    assert_non_null(p);
    memset(p, 0xa5, bytes);
    return p;
}

static void backend_find(const struct pd_finder *f, struct pd_candidates *out, uint64_t *random)
{
    struct pd_finder d = *f;
    const unsigned threads = 1 + (unsigned)(scene_random(random) % 3);
    d.maxima = scratch(sizeof(pd_key) * (size_t)(f->n * f->n_keypoints) * pd_maxima_max(f->w, f->h));
    d.pairs = scratch(sizeof(pd_key) * (size_t)f->n_pair_blocks * PD_PAIRS_MAX);
    d.work = scratch(sizeof(*out) * (size_t)f->n);
    d.capped = scratch(sizeof(int) * PD_KEYPOINTS_MAX * (size_t)f->n);
    d.out = out;
    emulate(run_find_peaks, &d, (unsigned)f->n_keypoints, (unsigned)f->n, threads);
    emulate(run_match_limbs, &d, (unsigned)PD_MIN(f->n_pair_blocks, f->n * f->n_limbs), 1, threads);
    free(d.maxima);
    free(d.pairs);
    free(d.work);
    free(d.capped);
}

#endif
