/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/engine/cudnn/gpu.h"

/* Errors after which no call on this process's context can succeed: only a new process helps. "Unknown" is what the
 * driver says of a GPU that fell off the bus; "uninitialized" and "invalid handle", of what belonged to a context that
 * is no more, which no later batch gets back either. Numbers stand for those that not every toolkit has a name for:
 * contained by the GPU, tensor memory leaked, MPS client terminated, failure of a device outside of CUDA. */
static bool is_sticky(cudaError_t e)
{
    static const cudaError_t sticky[] = {
        cudaErrorIllegalAddress, cudaErrorLaunchFailure, cudaErrorHardwareStackError, cudaErrorIllegalInstruction,
        cudaErrorMisalignedAddress, cudaErrorInvalidAddressSpace, cudaErrorInvalidPc, cudaErrorAssert,
        cudaErrorECCUncorrectable, cudaErrorNvlinkUncorrectable, cudaErrorDevicesUnavailable, cudaErrorNoDevice,
        cudaErrorContextIsDestroyed, cudaErrorLaunchTimeout, cudaErrorCudartUnloading, cudaErrorUnknown,
        cudaErrorDeviceUninitialized, cudaErrorInvalidResourceHandle,
        (cudaError_t)226, (cudaError_t)721, (cudaError_t)810, (cudaError_t)911,
    };
    for (size_t i = 0; i < PD_ARRAY_SIZE(sticky); i++)
        if (e == sticky[i])
            return true;
    return false;
}

int pd_gpu_check(int cuda_error, const char *what, struct pd_err *err)
{
    const cudaError_t e = (cudaError_t)cuda_error;
    if (e == cudaSuccess)
        return 0;
    const bool sticky = is_sticky(e);
    if (!sticky)
        (void)cudaGetLastError(); /* else the next kernel's launch, which asks for the last error, would report it */
    const int code = e == cudaErrorMemoryAllocation ? -ENOMEM : sticky ? -ENODEV : -EIO;
    return pd_err_set(err, code, "%s: %s", what, cudaGetErrorString(e));
}

static int check_cudnn(cudnnStatus_t status, const char *what, struct pd_err *err)
{
    if (status == CUDNN_STATUS_SUCCESS)
        return 0;
    return pd_err_set(err, -EIO, "%s: %s", what, cudnnGetErrorString(status));
}

int pd_gpu_alloc(struct pd_gpu *gpu, size_t bytes, void **ret, struct pd_err *err)
{
    void *p = NULL;
    const cudaError_t e = cudaMalloc(&p, bytes);
    if (e == cudaErrorMemoryAllocation) {
        size_t free_bytes = 0, total = 0;
        (void)cudaGetLastError(); /* not sticky: the next call must not report it again */
        cudaMemGetInfo(&free_bytes, &total);
        return pd_err_set(err, -ENOMEM, "%s has no room for %zu MiB more: %zu of %zu MiB are free", gpu->name,
                          bytes >> 20, free_bytes >> 20, total >> 20);
    }
    if (e != cudaSuccess)
        return pd_gpu_check(e, "cudaMalloc", err);
    gpu->allocated += bytes;
    *ret = p;
    return 0;
}

static size_t free_bytes_now(void)
{
    size_t left = 0, total = 0;
    return pd_gpu_check(cudaMemGetInfo(&left, &total), "asking for free memory", NULL) < 0 ? 0 : left;
}

/* By what is free, for graphs, kernels and cuDNN's own memory do not come through pd_gpu_alloc(). What another process
 * takes meanwhile counts as well; when one gives back more than that, what is known to be ours is still taken. */
size_t pd_gpu_taken(const struct pd_gpu *gpu)
{
    const size_t left = free_bytes_now();
    return PD_MAX(gpu->allocated, left > 0 && left < gpu->free_at_open ? gpu->free_at_open - left : 0);
}

/* Not cudaMemcpy(): that returns once the bytes are staged, and its copy to the device runs on the default stream, for
 * which ours does not wait. On a busy GPU kernels then read what was there before. */
int pd_gpu_copy_in(struct pd_gpu *gpu, void *to, const void *from, size_t bytes, const char *what, struct pd_err *err)
{
    int r = pd_gpu_check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, gpu->compute), what, err);
    return r < 0 ? r : pd_gpu_check(cudaStreamSynchronize(gpu->compute), what, err);
}

void pd_gpu_free(struct pd_gpu *gpu, void *p, size_t bytes)
{
    if (!p)
        return;
    cudaFree(p);
    gpu->allocated -= bytes;
}

static int replace_workspace(struct pd_gpu *gpu, size_t bytes, struct pd_err *err)
{
    void *p = NULL;
    int r = bytes ? pd_gpu_alloc(gpu, bytes, &p, err) : 0;
    if (r < 0)
        return r;
    cudaStreamSynchronize(gpu->compute);
    pd_gpu_free(gpu, gpu->workspace, gpu->workspace_bytes);
    gpu->workspace = p;
    gpu->workspace_bytes = bytes;
    return 0;
}

int pd_gpu_reserve_workspace(struct pd_gpu *gpu, size_t bytes, struct pd_err *err)
{
    return bytes <= gpu->workspace_bytes ? 0 : replace_workspace(gpu, bytes, err);
}

void pd_gpu_trim_workspace(struct pd_gpu *gpu, size_t bytes)
{
    if (bytes < gpu->workspace_bytes)
        replace_workspace(gpu, bytes, NULL);
}

static int choose_precision(struct pd_gpu *gpu, enum pd_precision precision, struct pd_err *err)
{
    if (precision == PD_PRECISION_AUTO)
        precision = gpu->capability >= 70 ? PD_PRECISION_FP16 : PD_PRECISION_FP32;
    switch (precision) {
    case PD_PRECISION_FP16:
        gpu->math = PD_CUDNN_FP16;
        break;
    case PD_PRECISION_TF32:
        if (gpu->capability < 80)
            return pd_err_set(err, -ENOTSUP, "%s has no tf32 (it came with compute capability 8.0): use fp16 or fp32",
                              gpu->name);
        gpu->math = PD_CUDNN_TF32;
        break;
    case PD_PRECISION_FP32:
        gpu->math = PD_CUDNN_FP32;
        break;
    default:
        return pd_err_set(err, -ENOTSUP, "the cudnn engine computes in fp16, tf32 or fp32");
    }
    gpu->precision = precision;
    gpu->elem = precision == PD_PRECISION_FP16 ? PD_ELEM_F16 : PD_ELEM_F32;
    gpu->elem_bytes = precision == PD_PRECISION_FP16 ? 2 : 4;
    return 0;
}

/* A number that no GPU has is a mistake of the configuration, and stays one however often it is tried. */
static int check_number(int device, struct pd_err *err)
{
    int n = 0;
    int r = pd_gpu_check(cudaGetDeviceCount(&n), "counting the GPUs", err);
    if (r == 0 && (device < 0 || device >= n))
        r = pd_err_set(err, -EINVAL, "there %s %d GPU%s, and the first is number 0; correct `devices`",
                       n == 1 ? "is" : "are", n, n == 1 ? "" : "s");
    return r;
}

static int describe(struct pd_gpu *gpu, struct pd_err *err)
{
    struct cudaDeviceProp prop;
    int r = pd_gpu_check(cudaGetDeviceProperties(&prop, gpu->device), "reading the device's properties", err);
    if (r < 0)
        return r;
    gpu->sms = prop.multiProcessorCount;
    gpu->capability = prop.major * 10 + prop.minor;
    gpu->memory_bytes = prop.totalGlobalMem;
    snprintf(gpu->name, sizeof(gpu->name), "%s", prop.name);
    const size_t v = cudnnGetVersion();
    snprintf(gpu->version, sizeof(gpu->version), "cuDNN %zu.%zu.%zu", v / 10000, v / 100 % 100, v % 100);
    /* What follows would fail in the first kernel, and say so in other words. */
    if (gpu->capability < 75 && (CUDART_VERSION >= 13000 || v >= 91100))
        return pd_err_set(err, -ENOTSUP,
                          "%s has compute capability %d.%d, which needs CUDA 12 and cuDNN 9.10 at most: posed is "
                          "built with CUDA %d, and here is %s",
                          gpu->name, prop.major, prop.minor, CUDART_VERSION / 1000, gpu->version);
    return 0;
}

static int make_streams(struct pd_gpu *gpu, struct pd_err *err)
{
    /* What a batch's results still need runs beside the next batch's network, and is short: it goes first. */
    int least = 0, greatest = 0;
    int r = pd_gpu_check(cudaDeviceGetStreamPriorityRange(&least, &greatest), "making a stream", err);
    if (r < 0)
        return r;
    cudaStream_t *const streams[] = {&gpu->compute, &gpu->upload, &gpu->download};
    for (size_t i = 0; i < PD_ARRAY_SIZE(streams); i++) {
        const int priority = streams[i] == &gpu->download ? greatest : least;
        r = pd_gpu_check(cudaStreamCreateWithPriority(streams[i], cudaStreamNonBlocking, priority), "making a stream",
                         err);
        if (r < 0)
            return r;
    }
    r = check_cudnn(cudnnCreate(&gpu->cudnn), "opening cuDNN", err);
    if (r == 0)
        r = check_cudnn(cudnnSetStream(gpu->cudnn, gpu->compute), "giving cuDNN its stream", err);
    return r;
}

int pd_gpu_open(const struct pd_gpu_host *host, int device, enum pd_precision precision, const char *cache_dir,
                struct pd_gpu **ret_gpu, struct pd_err *err)
{
    int r = check_number(device, err);
    if (r < 0)
        return pd_err_prefix(err, r, "GPU %d", device);
    struct pd_gpu *gpu = calloc(1, sizeof(*gpu));
    if (!gpu)
        return pd_err_set(err, -ENOMEM, "out of memory");
    gpu->host = host;
    gpu->device = device;
    r = pd_gpu_check(cudaSetDevice(device), "selecting the device", err);
    gpu->free_at_open = r == 0 ? free_bytes_now() : 0;
    if (r == 0)
        r = describe(gpu, err);
    if (r == 0)
        r = choose_precision(gpu, precision, err);
    if (r == 0)
        r = make_streams(gpu, err);
    if (r < 0) {
        pd_gpu_close(gpu);
        return pd_err_prefix(err, r, "GPU %d", device);
    }
    gpu->choices = pd_gpu_choices_open(cache_dir, gpu->name, gpu->version);
    *ret_gpu = gpu;
    return 0;
}

void pd_gpu_close(struct pd_gpu *gpu)
{
    if (!gpu)
        return;
    cudaSetDevice(gpu->device);
    pd_gpu_choices_close(gpu->choices);
    pd_gpu_free(gpu, gpu->workspace, gpu->workspace_bytes);
    if (gpu->cudnn)
        cudnnDestroy(gpu->cudnn);
    cudaStream_t streams[] = {gpu->compute, gpu->upload, gpu->download};
    for (size_t i = 0; i < PD_ARRAY_SIZE(streams); i++)
        if (streams[i])
            cudaStreamDestroy(streams[i]);
    free(gpu);
}
