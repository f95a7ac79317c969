/* SPDX-License-Identifier: Apache-2.0
 *
 * How the GPU engine chooses between ways to run a layer. One that ends the context is told as what it is, and nothing
 * is remembered of a contest that was not fought out; one that no CUDA graph can hold is not taken, however fast it is.
 * CUDA is pretended, and with it the ways.
 */
#include "tests/core/test.h"

#include <errno.h>
#include <string.h>

#include "core/engine/cudnn/gpu_conv.h"

#define WAYS 3
#define LAYERS_MAX 12

static struct {
    int timed, fatal; /* ways that were timed; which of them ends the context, 0: none */
    int remembered;
    bool plans;     /* the ways are plans of cuDNN's */
    int capturable; /* way that a graph can hold, 0: every one */
} world;

static bool is_lost(void)
{
    return world.fatal && world.timed >= world.fatal;
}

/* ---- CUDA ---- */

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    return is_lost() ? cudaErrorIllegalAddress : cudaSuccess;
}

int pd_gpu_check(int cuda_error, const char *what, struct pd_err *err)
{
    return cuda_error == cudaSuccess ? 0 : pd_err_set(err, -ENODEV, "%s: an illegal access", what);
}

#define WORKS(name, ...)                                                                                               \
    cudaError_t name(__VA_ARGS__)                                                                                      \
    {                                                                                                                  \
        return cudaSuccess;                                                                                            \
    }
WORKS(cudaGraphDestroy, cudaGraph_t graph)
WORKS(cudaGraphExecDestroy, cudaGraphExec_t exec)
WORKS(cudaGraphInstantiate, cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags)
WORKS(cudaGraphLaunch, cudaGraphExec_t exec, cudaStream_t stream)
WORKS(cudaStreamBeginCapture, cudaStream_t stream, enum cudaStreamCaptureMode mode)
WORKS(cudaStreamEndCapture, cudaStream_t stream, cudaGraph_t *graph)

/* ---- parts of the engine that are not looked at ---- */

int pd_gpu_search(struct pd_gpu_search *search, struct pd_err *err)
{
    for (int i = 0; i < WAYS; i++) {
        struct pd_gpu_step s = {.method = PD_GPU_BY_DIRECT, .choice = i + 1};
        if (world.plans)
            s.plan = (struct pd_cudnn_plan *)&world;
        search->offer(search, &s);
    }
    return 0;
}

int pd_gpu_step_time(struct pd_gpu_net *g, const struct pd_gpu_step *step, int n, int repeats, float *ret_ms)
{
    world.timed++;
    *ret_ms = (float)step->choice; /* the first is the fastest */
    return is_lost() ? -EIO : 0;
}

bool pd_gpu_step_captures(struct pd_gpu_net *g, const struct pd_gpu_step *step, int n)
{
    return !is_lost() && (!world.capturable || step->choice == world.capturable);
}

void pd_gpu_step_finish(struct pd_gpu_step *step)
{
}

bool pd_gpu_choices_get(const struct pd_gpu_choices *choices, const char *key, char *value, size_t size)
{
    return false;
}

void pd_gpu_choices_put(struct pd_gpu_choices *choices, const char *key, const char *value)
{
    world.remembered++;
}

void pd_gpu_conv_describe(struct pd_gpu_net *g, int layer, int n, struct pd_gpu_step *s)
{
    memset(s, 0, sizeof(*s));
}

size_t pd_gpu_conv_misalignment(const struct pd_gpu_step *s)
{
    return 0;
}

bool pd_gpu_conv_can_sm90(const struct pd_gpu_net *g, const struct pd_gpu_step *s)
{
    return false;
}

bool pd_gpu_conv_can_cudnn(const struct pd_gpu_net *g, const struct pd_gpu_step *s, enum pd_gpu_cudnn_way way)
{
    return false;
}

bool pd_gpu_conv_can_stem(const struct pd_gpu_net *g, const struct pd_gpu_step *s)
{
    return false;
}

bool pd_gpu_conv_can_depthwise(const struct pd_gpu_step *s)
{
    return false;
}

struct pd_cudnn_problem pd_gpu_conv_for_cudnn(const struct pd_gpu_net *g, struct pd_gpu_step *s,
                                              enum pd_gpu_cudnn_way way)
{
    return (struct pd_cudnn_problem){0};
}

#define NEVER(name, ...)                                                                                               \
    int name(struct pd_gpu_net *g, struct pd_gpu_step *s, __VA_ARGS__)                                                 \
    {                                                                                                                  \
        return -ENOTSUP;                                                                                               \
    }
NEVER(pd_gpu_conv_by_sm90, int choice, struct pd_err *err)
NEVER(pd_gpu_conv_by_stem, struct pd_err *err)
NEVER(pd_gpu_conv_by_depthwise, struct pd_err *err)
NEVER(pd_gpu_conv_by_plan, struct pd_cudnn_plan *plan, struct pd_err *err)

int pd_gpu_conv_by_direct(struct pd_gpu_net *g, struct pd_gpu_step *s, struct pd_err *err)
{
    s->method = PD_GPU_BY_DIRECT;
    return 0;
}

int pd_sm90_choices(const struct pd_conv_shape *shape, int problems, int sms, int *choices)
{
    return 0;
}

const char *pd_cudnn_plan_name(const struct pd_cudnn_plan *plan)
{
    return "";
}

struct pd_cudnn_plan *pd_cudnn_plan_named(cudnnHandle_t handle, const struct pd_cudnn_problem *problem,
                                          const char *name)
{
    return NULL;
}

struct pd_cudnn_plan *pd_cudnn_plan_ref(struct pd_cudnn_plan *plan)
{
    return plan;
}

struct pd_view pd_gpu_view(const struct pd_gpu *gpu, const struct pd_gpu_memory *memory, int tensor, int n)
{
    return (struct pd_view){.n = n};
}

int pd_gpu_weights_get(struct pd_gpu *gpu, const struct pd_net *net, const struct pd_layer *layer,
                       const struct pd_conv_shape *shape, struct pd_gpu_weights *w, enum pd_gpu_layout layout,
                       const void **ret, struct pd_err *err)
{
    return -ENOTSUP;
}

bool pd_gpu_conv_shape(const struct pd_gpu_net *g, int layer, int n, struct pd_conv_shape *ret_shape)
{
    return false;
}

int pd_gpu_step_pair(struct pd_gpu_net *g, int n, struct pd_gpu_step *a, struct pd_gpu_step *b, struct pd_err *err)
{
    return 0;
}

int pd_gpu_step_run(struct pd_gpu_net *g, const struct pd_gpu_step *step, int n, cudaStream_t stream)
{
    return cudaSuccess;
}

/* ---- tests ---- */

static void forget(void)
{
    memset(&world, 0, sizeof(world));
}

static int choose(enum pd_cudnn_math math, int *ret_choice, struct pd_err *err)
{
    static struct pd_layer layer;
    const struct pd_net net = {.layers = &layer, .n_layers = 1};
    struct pd_gpu gpu = {.math = math, .elem_bytes = 2};
    struct pd_gpu_net g = {.gpu = &gpu, .net = &net};
    struct pd_gpu_step step;
    int r = pd_gpu_step_choose(&g, 0, 1, &step, err);
    *ret_choice = r == 0 ? step.choice : 0;
    return r;
}

static void a_way_that_ends_the_context_is_told(void **state)
{
    struct pd_err err = {""};
    int choice;
    forget();
    assert_int_equal(choose(PD_CUDNN_FP16, &choice, &err), 0);
    assert_int_equal(choice, 1);
    assert_int_equal(world.remembered, 1);
    for (int fatal = 1; fatal <= WAYS; fatal++) {
        forget();
        world.fatal = fatal;
        assert_int_equal(choose(PD_CUDNN_FP16, &choice, &err), -ENODEV);
        assert_non_null(strstr(err.text, "an illegal access"));
        assert_int_equal(world.remembered, 0);
    }
}

static void a_plan_that_no_graph_can_hold_is_not_taken(void **state)
{
    static const enum pd_cudnn_math maths[] = {PD_CUDNN_FP16, PD_CUDNN_TF32, PD_CUDNN_FP32};
    struct pd_err err = {""};
    int choice;
    for (size_t i = 0; i < sizeof(maths) / sizeof(maths[0]); i++) {
        forget();
        world.plans = true;
        world.capturable = 2;
        assert_int_equal(choose(maths[i], &choice, &err), 0);
        assert_int_equal(choice, 2);
    }
}

/* The tensor maps in them want it, and a compiler that may use wide registers takes it for granted. */
static void steps_lie_where_their_type_may(void **state)
{
    struct pd_layer layers[LAYERS_MAX] = {{0}};
    int order[LAYERS_MAX], levels[LAYERS_MAX] = {0};
    struct pd_gpu gpu = {.math = PD_CUDNN_FP16, .elem_bytes = 2};
    struct pd_gpu_memory memory = {.order = order, .levels = levels};
    struct pd_gpu_plan *plans[LAYERS_MAX];
    struct pd_err err;
    forget();
    for (int n = 1; n <= LAYERS_MAX; n++) {
        const struct pd_net net = {.layers = layers, .n_layers = n};
        struct pd_gpu_net g = {.gpu = &gpu, .net = &net, .memory = &memory};
        order[n - 1] = n - 1;
        assert_int_equal(pd_gpu_plan_create(&g, 1, &plans[n - 1], &err), 0);
        assert_int_equal(plans[n - 1]->n_steps, n);
        assert_int_equal((uintptr_t)plans[n - 1]->steps % _Alignof(struct pd_gpu_step), 0);
    }
    for (int n = 1; n <= LAYERS_MAX; n++)
        pd_gpu_plan_destroy(plans[n - 1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_way_that_ends_the_context_is_told),
        cmocka_unit_test(a_plan_that_no_graph_can_hold_is_not_taken),
        cmocka_unit_test(steps_lie_where_their_type_may),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
