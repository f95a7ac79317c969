/* SPDX-License-Identifier: Apache-2.0
 *
 * The GPU engine where memory runs out while it works: a batch or a capture that failed costs that batch, and the next
 * one finds everything as it was. CUDA is pretended, and with it what of the engine is not looked at here.
 */
#include "tests/core/test.h"

#include <errno.h>
#include <string.h>

#include "core/engine/cudnn/gpu_batch.h"
#include "core/engine/cudnn/gpu_size.h"
#include "core/engine/cudnn/input.h"

#define SIDE 64
#define FRAME_BYTES ((size_t)SIDE * SIDE)

static struct {
    int calls, fail_at; /* allocations; which of them fails, 0: none */
    int live;           /* blocks */
    cudaError_t last;
    int made, captures, captures_failing;
    char workspace[2]; /* addresses */
} world;

/* ---- CUDA ---- */

static cudaError_t answer(void)
{
    if (++world.calls != world.fail_at)
        return cudaSuccess;
    return world.last = cudaErrorMemoryAllocation;
}

static cudaError_t take(void **p, size_t bytes)
{
    cudaError_t e = answer();
    *p = e == cudaSuccess ? calloc(1, bytes) : (void *)1; /* nobody may look at what a failure leaves */
    world.live += e == cudaSuccess;
    return e;
}

static cudaError_t give_back(void *p)
{
    world.live -= p != NULL;
    free(p);
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **p, size_t bytes)
{
    return take(p, bytes);
}

cudaError_t cudaHostAlloc(void **p, size_t bytes, unsigned flags)
{
    return take(p, bytes);
}

cudaError_t cudaHostGetDevicePointer(void **device, void *host, unsigned flags)
{
    *device = host;
    return answer();
}

cudaError_t cudaFree(void *p)
{
    return give_back(p);
}

cudaError_t cudaFreeHost(void *p)
{
    return give_back(p);
}

cudaError_t cudaGetLastError(void)
{
    cudaError_t e = world.last;
    world.last = cudaSuccess;
    return e;
}

const char *cudaGetErrorString(cudaError_t e)
{
    return "out of memory";
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n, enum cudaMemcpyKind kind, cudaStream_t stream)
{
    memcpy(to, from, n);
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *left, size_t *total)
{
    *left = *total = 0;
    return cudaSuccess;
}

/* a launch */
int pd_cuda_letterbox(enum pd_elem elem, const struct pd_gpu_frame *frame, const struct pd_view *out, int index,
                      cudaStream_t stream)
{
    return cudaGetLastError();
}

#define WORKS(name, ...)                                                                                               \
    cudaError_t name(__VA_ARGS__)                                                                                      \
    {                                                                                                                  \
        return cudaSuccess;                                                                                            \
    }
WORKS(cudaDeviceGetStreamPriorityRange, int *least, int *greatest)
WORKS(cudaEventCreateWithFlags, cudaEvent_t *event, unsigned flags)
WORKS(cudaEventDestroy, cudaEvent_t event)
WORKS(cudaEventRecord, cudaEvent_t event, cudaStream_t stream)
WORKS(cudaGetDeviceCount, int *n)
WORKS(cudaGetDeviceProperties, struct cudaDeviceProp *prop, int device)
WORKS(cudaSetDevice, int device)
WORKS(cudaStreamCreateWithPriority, cudaStream_t *stream, unsigned flags, int priority)
WORKS(cudaStreamDestroy, cudaStream_t stream)
WORKS(cudaStreamSynchronize, cudaStream_t stream)
WORKS(cudaStreamWaitEvent, cudaStream_t stream, cudaEvent_t event, unsigned flags)

/* ---- parts of the engine that are not looked at ---- */

cudnnStatus_t cudnnCreate(cudnnHandle_t *handle)
{
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle)
{
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream)
{
    return CUDNN_STATUS_SUCCESS;
}

const char *cudnnGetErrorString(cudnnStatus_t status)
{
    return "";
}

size_t cudnnGetVersion(void)
{
    return 0;
}

struct pd_gpu_choices *pd_gpu_choices_open(const char *dir, const char *device, const char *version)
{
    return NULL;
}

void pd_gpu_choices_close(struct pd_gpu_choices *choices)
{
}

int pd_gpu_memory_create(struct pd_gpu *gpu, const struct pd_net *net, int width, int height, int max_batch,
                         struct pd_gpu_memory **ret_memory, struct pd_err *err)
{
    return -ENOTSUP;
}

void pd_gpu_memory_destroy(struct pd_gpu *gpu, struct pd_gpu_memory *memory)
{
}

int pd_cuda_fill_random(enum pd_elem elem, void *data, size_t n, uint32_t seed, cudaStream_t stream)
{
    return cudaSuccess;
}

int pd_gpu_peer_of(const struct pd_gpu *gpu, const struct pd_frame *frame)
{
    return -1;
}

size_t pd_gpu_peer_bytes(const struct pd_frame *frame)
{
    return 0;
}

int pd_gpu_peer_wait(struct pd_gpu_batch *b, int device, struct pd_err *err)
{
    return -ENOTSUP;
}

int pd_gpu_peer_fetch(struct pd_gpu_batch *b, const struct pd_frame *frame, int device, size_t at,
                      struct pd_gpu_frame *out, struct pd_err *err)
{
    return -ENOTSUP;
}

/* Plans for two frames want a workspace of their own. */
int pd_gpu_plan_create(struct pd_gpu_net *g, int n, struct pd_gpu_plan **ret_plan, struct pd_err *err)
{
    *ret_plan = calloc(1, sizeof(**ret_plan));
    assert_non_null(*ret_plan);
    (*ret_plan)->n = n;
    world.made++;
    g->gpu->workspace = &world.workspace[n == 2];
    return 0;
}

int pd_gpu_plan_capture(struct pd_gpu_net *g, struct pd_gpu_plan *plan, struct pd_err *err)
{
    world.captures++;
    plan->graph = NULL;
    if (plan->n == 1 && g->gpu->workspace == &world.workspace[1] && world.captures_failing-- > 0)
        return pd_err_set(err, -ENOMEM, "capturing: out of memory");
    plan->graph = (cudaGraphExec_t)plan;
    return 0;
}

size_t pd_gpu_step_workspace(const struct pd_gpu_step *s)
{
    return 0;
}

void pd_gpu_plan_destroy(struct pd_gpu_plan *plan)
{
    free(plan);
}

/* ---- tests ---- */

static int forget(void **state)
{
    memset(&world, 0, sizeof(world));
    return 0;
}

static void fill(struct pd_batch *batch)
{
    struct pd_frame *frame = pd_frame_alloc(PD_PIX_GRAY8, SIDE, SIDE, 0, 0);
    assert_non_null(frame);
    for (int y = 0; y < SIDE; y++)
        memset((uint8_t *)frame->plane[0] + (ptrdiff_t)y * frame->stride[0], 77, SIDE);
    batch->n = 1;
    batch->slot[0].frame = frame;
    batch->slot[0].lb = (struct pd_letterbox){{0, 0, SIDE, SIDE}, SIDE, SIDE, SIDE, SIDE, 1, 1};
}

static void a_batch_without_memory_for_its_frames_asks_again(void **state)
{
    const struct pd_normalise norm = {{0}, {1, 1, 1}, false};
    const struct pd_view input = {.w = SIDE, .h = SIDE};
    static struct pd_batch batch;
    fill(&batch);
    for (int k = 1; k <= 2; k++) {
        struct pd_gpu gpu = {.name = "a device"};
        struct pd_gpu_batch *b;
        struct pd_err err = {""};
        forget(NULL);
        assert_int_equal(pd_gpu_batch_create(&gpu, &b, &err), 0);
        world.fail_at = k;
        assert_int_equal(pd_gpu_batch_preprocess(b, &batch, &norm, &input, &err), -ENOMEM);
        assert_int_equal(world.live, 0);
        assert_int_equal(gpu.allocated, 0);
        assert_int_equal(pd_gpu_batch_preprocess(b, &batch, &norm, &input, &err), 0);
        assert_int_equal(world.live, 2);
        assert_int_equal(gpu.allocated, FRAME_BYTES);
        assert_int_equal(b->frames[FRAME_BYTES - 1], 77);
        pd_gpu_batch_destroy(b);
        assert_int_equal(world.live, 0);
    }
    pd_frame_unref(&batch.slot[0].frame);
}

static void results_without_memory_are_asked_for_again(void **state)
{
    for (int k = 1; k <= 6; k++) {
        struct pd_gpu gpu = {.name = "a device"};
        struct pd_gpu_batch *b;
        struct pd_err err = {""};
        forget(NULL);
        assert_int_equal(pd_gpu_batch_create(&gpu, &b, &err), 0);
        world.fail_at = k;
        int r = pd_gpu_batch_reserve(b, 100, 200, true, &err);
        if (r == 0)
            r = pd_gpu_batch_reserve_candidates(b, 2, &err);
        assert_int_equal(r, -ENOMEM);
        assert_int_equal(world.last, cudaSuccess); /* nor does a later launch report it */
        assert_int_equal(pd_gpu_batch_reserve(b, 100, 200, true, &err), 0);
        assert_int_equal(pd_gpu_batch_reserve_candidates(b, 2, &err), 0);
        assert_int_equal(world.live, 5);
        assert_ptr_equal(b->candidates, b->device_candidates);
        pd_gpu_batch_destroy(b);
        assert_int_equal(world.live, 0);
    }
}

static void a_plan_that_lost_its_graph_is_captured_in_its_turn(void **state)
{
    struct pd_gpu gpu = {.name = "a device"};
    struct pd_gpu_memory memory = {.max_batch = 4};
    struct pd_gpu_size size = {.net = {.gpu = &gpu, .memory = &memory}};
    struct pd_gpu_sizes sizes = {.gpu = &gpu, .sizes = {&size}};
    struct pd_gpu_plan *one, *two, *plan;
    struct pd_err err = {""};
    gpu.workspace = &world.workspace[0];
    assert_int_equal(pd_gpu_sizes_plan(&sizes, &size, 1, &one, &err), 0);
    world.captures_failing = 2;
    assert_int_equal(pd_gpu_sizes_plan(&sizes, &size, 2, &two, &err), -ENOMEM); /* it moves what the first one knows */
    assert_int_equal(pd_gpu_sizes_plan(&sizes, &size, 2, &two, &err), 0);
    assert_non_null(two->graph);
    assert_int_equal(world.made, 2); /* it was kept */
    assert_int_equal(pd_gpu_sizes_plan(&sizes, &size, 1, &plan, &err), -ENOMEM);
    assert_int_equal(pd_gpu_sizes_plan(&sizes, &size, 1, &plan, &err), 0);
    assert_ptr_equal(plan, one);
    assert_non_null(one->graph);
    world.captures = 0;
    assert_int_equal(pd_gpu_sizes_plan(&sizes, &size, 1, &plan, &err), 0);
    assert_int_equal(world.captures, 0);
    free(one);
    free(two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_without_memory_for_its_frames_asks_again),
        cmocka_unit_test_setup(results_without_memory_are_asked_for_again, forget),
        cmocka_unit_test_setup(a_plan_that_lost_its_graph_is_captured_in_its_turn, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
