/* SPDX-License-Identifier: Apache-2.0
 *
 * The GPU engine when its context is lost, at every call in turn: it says so with the first reason, and from then on
 * makes no call at all, as a context that was destroyed leaves handles that nobody may look at. CUDA is pretended, and
 * with it what of the engine is not looked at here.
 */
#include "tests/core/test.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "core/engine/cudnn/gpu_find.h"
#include "core/engine/cudnn/gpu_size.h"

#define BATCHES 2
#define ROUNDS 5

static struct {
    pthread_mutex_t lock;
    pthread_cond_t news;
    cudaError_t how;
    int calls, lose_at; /* calls; that at which the context is lost, 0: none */
    bool lost;
    int touched;     /* calls after that */
    int made, freed; /* batches */
    bool done;
    int status; /* of the batch that is done */
    struct pd_gpu *gpu;
} world = {.lock = PTHREAD_MUTEX_INITIALIZER, .news = PTHREAD_COND_INITIALIZER};

/* ---- CUDA ---- */

static cudaError_t touch(void)
{
    pthread_mutex_lock(&world.lock);
    world.touched += world.lost;
    world.lost |= ++world.calls == world.lose_at;
    cudaError_t e = world.lost ? world.how : cudaSuccess;
    pthread_mutex_unlock(&world.lock);
    return e;
}

/* Where nobody looks at what comes of it a loss would be noticed a call later. */
static cudaError_t touch_unseen(void)
{
    pthread_mutex_lock(&world.lock);
    world.touched += world.lost;
    pthread_mutex_unlock(&world.lock);
    return cudaSuccess;
}

static bool is_lost(void)
{
    pthread_mutex_lock(&world.lock);
    bool lost = world.lost;
    pthread_mutex_unlock(&world.lock);
    return lost;
}

/* The context is lost at call @lose_at from now on; 0: it is not. */
static void set_trap(cudaError_t how, int lose_at)
{
    pthread_mutex_lock(&world.lock);
    world.lost = false;
    world.how = how;
    world.calls = world.touched = world.made = world.freed = 0;
    world.lose_at = lose_at;
    pthread_mutex_unlock(&world.lock);
}

static int deep(struct pd_err *err)
{
    return pd_gpu_check(touch(), "deep inside", err);
}

#define TOUCHES(name, ...)                                                                                             \
    cudaError_t name(__VA_ARGS__)                                                                                      \
    {                                                                                                                  \
        return touch();                                                                                                \
    }
TOUCHES(cudaDeviceGetStreamPriorityRange, int *least, int *greatest)
TOUCHES(cudaEventRecord, cudaEvent_t event, cudaStream_t stream)
TOUCHES(cudaEventSynchronize, cudaEvent_t event)
TOUCHES(cudaMalloc, void **p, size_t bytes)
TOUCHES(cudaMemcpyAsync, void *to, const void *from, size_t n, enum cudaMemcpyKind kind, cudaStream_t stream)
TOUCHES(cudaSetDevice, int device)
TOUCHES(cudaStreamCreateWithPriority, cudaStream_t *stream, unsigned flags, int priority)
TOUCHES(cudaStreamSynchronize, cudaStream_t stream)
TOUCHES(cudaStreamWaitEvent, cudaStream_t stream, cudaEvent_t event, unsigned flags)

cudaError_t cudaDeviceSynchronize(void)
{
    return touch_unseen();
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to)
{
    *ms = 0;
    return touch_unseen();
}

cudaError_t cudaFree(void *p)
{
    return touch_unseen();
}

cudaError_t cudaMemGetInfo(size_t *left, size_t *total)
{
    *left = *total = 0;
    return touch_unseen();
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    return touch_unseen();
}

/* these know of no context */

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *prop, int device)
{
    memset(prop, 0, sizeof(*prop));
    prop->major = 9;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *n)
{
    *n = 1;
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaGetLastError(void)
{
    return cudaSuccess;
}

const char *cudaGetErrorString(cudaError_t e)
{
    return "lost";
}

size_t cudnnGetVersion(void)
{
    return (size_t)CUDNN_MAJOR * 10000 + 1000;
}

const char *cudnnGetErrorString(cudnnStatus_t status)
{
    return "";
}

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

/* ---- parts of the engine that are not looked at, each of which makes one call ---- */

static struct pd_shape shapes[2];
static struct pd_gpu_memory net_memory = {.shapes = shapes};
static struct pd_gpu_size size = {.net = {.memory = &net_memory}};
static struct pd_gpu_plan plan = {.n = 1};
static struct pd_gpu_batch gpu_batch;

struct pd_gpu_choices *pd_gpu_choices_open(const char *dir, const char *device, const char *version)
{
    return NULL;
}

void pd_gpu_choices_close(struct pd_gpu_choices *choices)
{
}

int pd_gpu_choices_save(struct pd_gpu_choices *choices)
{
    return 0;
}

int pd_gpu_sizes_take(struct pd_gpu_sizes *z, const struct pd_gpu_host *host, int width, int height, int max_batch,
                      struct pd_err *err)
{
    z->max_batch = max_batch;
    world.gpu = z->gpu;
    return deep(err);
}

void pd_gpu_sizes_finish(struct pd_gpu_sizes *z)
{
    touch_unseen();
}

int pd_gpu_sizes_get(struct pd_gpu_sizes *z, int width, int height, bool expected, struct pd_gpu_size **ret,
                     struct pd_err *err)
{
    *ret = &size;
    return deep(err);
}

int pd_gpu_sizes_plan(struct pd_gpu_sizes *z, struct pd_gpu_size *s, int n, struct pd_gpu_plan **ret,
                      struct pd_err *err)
{
    *ret = &plan;
    return deep(err);
}

size_t pd_gpu_size_floats(const struct pd_gpu_size *s, int tensor)
{
    return 0;
}

int pd_gpu_plan_run(struct pd_gpu_net *g, struct pd_gpu_plan *p, struct pd_err *err)
{
    return deep(err);
}

int pd_gpu_step_time(struct pd_gpu_net *g, const struct pd_gpu_step *step, int n, int repeats, float *ret_ms)
{
    return -EIO;
}

struct pd_view pd_gpu_view(const struct pd_gpu *gpu, const struct pd_gpu_memory *memory, int tensor, int n)
{
    return (struct pd_view){.n = n};
}

int pd_cuda_to_nchw(enum pd_elem elem, const struct pd_view *in, float *out, cudaStream_t stream)
{
    return touch();
}

int pd_cuda_from_nchw(enum pd_elem elem, const float *in, const struct pd_view *out, cudaStream_t stream)
{
    return touch();
}

int pd_gpu_weights_init(struct pd_gpu *gpu, const struct pd_layer *layer, int co, struct pd_gpu_weights *w,
                        struct pd_err *err)
{
    return deep(err);
}

void pd_gpu_weights_finish(struct pd_gpu *gpu, struct pd_gpu_weights *w)
{
    touch_unseen();
}

int pd_gpu_batch_create(struct pd_gpu *gpu, struct pd_gpu_batch **ret_batch, struct pd_err *err)
{
    int r = deep(err);
    if (r < 0)
        return r;
    world.made++;
    *ret_batch = &gpu_batch;
    return 0;
}

void pd_gpu_batch_destroy(struct pd_gpu_batch *b)
{
    if (!b)
        return;
    world.freed++;
    touch_unseen();
}

int pd_gpu_batch_reserve(struct pd_gpu_batch *b, size_t heat_bytes, size_t paf_bytes, bool host, struct pd_err *err)
{
    return deep(err);
}

int pd_gpu_batch_reserve_candidates(struct pd_gpu_batch *b, int n, struct pd_err *err)
{
    return deep(err);
}

int pd_gpu_batch_preprocess(struct pd_gpu_batch *b, struct pd_batch *batch, const struct pd_normalise *norm,
                            const struct pd_view *input, struct pd_err *err)
{
    return deep(err);
}

bool pd_gpu_find_fits(const struct pd_net *net)
{
    return false; /* maps it is */
}

int pd_gpu_find_create(struct pd_gpu *gpu, const struct pd_net *net, int max_batch, struct pd_gpu_find **ret_find,
                       struct pd_err *err)
{
    return -ENOTSUP;
}

void pd_gpu_find_destroy(struct pd_gpu_find *find)
{
}

int pd_gpu_find_reserve(struct pd_gpu_find *find, int w, int h, struct pd_err *err)
{
    return -ENOTSUP;
}

int pd_gpu_find_run(struct pd_gpu_find *find, struct pd_gpu_batch *b, const struct pd_batch *batch, int n_heat,
                    int n_paf, int w, int h, struct pd_err *err)
{
    return -ENOTSUP;
}

/* ---- tests ---- */

static void on_done(struct pd_batch *batch, int status)
{
    pthread_mutex_lock(&world.lock);
    world.done = true;
    world.status = status;
    pthread_cond_signal(&world.news);
    pthread_mutex_unlock(&world.lock);
}

static void on_info(const char *line)
{
}

static const struct pd_gpu_host host = {on_done, on_info};

static int run_batch(const struct pd_engine_ops *ops, void *self, struct pd_batch *batch)
{
    world.done = false;
    int r = ops->submit(self, batch);
    if (r < 0)
        return r;
    pthread_mutex_lock(&world.lock);
    while (!world.done)
        pthread_cond_wait(&world.news, &world.lock);
    pthread_mutex_unlock(&world.lock);
    return world.status;
}

/* Hold the outcome of a call against what came before it: after the first -ENODEV nothing else, for the same reason. */
static void look(int r, const struct pd_err *err, struct pd_err *first)
{
    if (!first->text[0] && r == 0)
        return;
    assert_int_equal(r, -ENODEV);
    if (!first->text[0])
        *first = *err;
    assert_string_equal(err->text, first->text);
    assert_true(is_lost());
}

static void use(const struct pd_engine_ops *ops, void *self)
{
    struct pd_batch *batches = calloc(BATCHES, sizeof(*batches));
    struct pd_err err = {""}, first = {""};
    double ms;
    bool has[BATCHES] = {false};
    assert_non_null(batches);
    look(ops->prepare(self, 1, 8, 8, &err), &err, &first);
    for (int i = 0; i < BATCHES; i++) {
        int r = ops->batch_init(self, &batches[i], &err);
        look(r, &err, &first);
        has[i] = r == 0;
    }
    for (int i = 0; i < ROUNDS; i++)
        if (has[i % BATCHES]) {
            batches[i % BATCHES].n = 1;
            int r = run_batch(ops, self, &batches[i % BATCHES]);
            look(r, &batches[i % BATCHES].err, &first);
        }
    look(ops->forward(self, 1, 8, 8, NULL, NULL, NULL, &err), &err, &first);
    look(ops->time_network(self, 1, 8, 8, &ms, &err), &err, &first);
    ops->memory(self);
    for (int i = 0; i < BATCHES; i++)
        if (has[i])
            ops->batch_finish(self, &batches[i]);
    free(batches);
}

/* After a batch the engine's own thread is past its first call, which else comes beside those that are counted. */
static void warm_up(const struct pd_engine_ops *ops, void *self)
{
    struct pd_batch *batch = calloc(1, sizeof(*batch));
    struct pd_err err;
    assert_non_null(batch);
    assert_int_equal(ops->batch_init(self, batch, &err), 0);
    batch->n = 1;
    assert_int_equal(run_batch(ops, self, batch), 0);
    ops->batch_finish(self, batch);
    free(batch);
}

/* A whole life; whether the context was lost in it. */
static bool live(const struct pd_engine_ops *ops, cudaError_t how, int lose_at)
{
    const struct pd_net net = {.heat = 0, .paf = 1};
    const struct pd_engine_params params = {.width = 8, .height = 8, .max_batch = 4};
    struct pd_engine_caps caps = {0};
    struct pd_err err = {""};
    void *self;
    set_trap(how, 0);
    assert_int_equal(ops->open(&net, &params, &caps, &self, &err), 0);
    warm_up(ops, self);
    set_trap(how, lose_at);
    use(ops, self);
    const bool lost = is_lost();
    if (!lost) {
        assert_int_equal(world.freed, world.made);
        set_trap(how, 0);
    }
    ops->close(self);
    assert_int_equal(world.touched, 0);
    if (lost)
        free(world.gpu); /* which is left alone with all that hangs on it */
    return lost;
}

static void a_lost_context_is_not_touched_again(void **state)
{
    static const cudaError_t kinds[] = {cudaErrorIllegalAddress, cudaErrorUnknown, cudaErrorContextIsDestroyed,
                                        cudaErrorDeviceUninitialized, cudaErrorInvalidResourceHandle,
                                        (cudaError_t)226 /* contained */, (cudaError_t)721 /* tensor memory leaked */,
                                        (cudaError_t)810 /* MPS client ended */, (cudaError_t)911 /* other device */};
    const struct pd_engine_ops *ops = pd_cudnn_plugin(&host, PD_VERSION);
    assert_non_null(ops);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        int n = 1;
        while (live(ops, kinds[i], n))
            n++;
        assert_true(n > 50);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lost_context_is_not_touched_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
