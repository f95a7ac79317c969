/* SPDX-License-Identifier: Apache-2.0
 *
 * How the GPU engine chooses between ways to run a layer when one of them ends the context: that is told as what it is,
 * and nothing is remembered of a contest that was not fought out. CUDA is pretended, and with it the ways.
 */
#include "tests/core/test.h"

#include <errno.h>
#include <string.h>

#include "core/engine/cudnn/gpu_conv.h"

#define WAYS 3

static struct {
    int timed, fatal; /* ways that were timed; which of them ends the context, 0: none */
    int remembered;
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

/* ---- parts of the engine that are not looked at ---- */

int pd_gpu_search(struct pd_gpu_search *search, struct pd_err *err)
{
    for (int i = 0; i < WAYS; i++) {
        struct pd_gpu_step s = {.method = PD_GPU_BY_DIRECT};
        search->offer(search, &s);
    }
    return 0;
}

int pd_gpu_step_time(struct pd_gpu_net *g, const struct pd_gpu_step *step, int n, int repeats, float *ret_ms)
{
    world.timed++;
    *ret_ms = 1;
    return is_lost() ? -EIO : 0;
}

bool pd_gpu_step_captures(struct pd_gpu_net *g, const struct pd_gpu_step *step, int n)
{
    return !is_lost();
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
NEVER(pd_gpu_conv_by_direct, struct pd_err *err)
NEVER(pd_gpu_conv_by_plan, struct pd_cudnn_plan *plan, struct pd_err *err)

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

/* ---- tests ---- */

static int choose(int fatal, struct pd_err *err)
{
    static struct pd_layer layer;
    const struct pd_net net = {.layers = &layer, .n_layers = 1};
    struct pd_gpu gpu = {.math = PD_CUDNN_FP16, .elem_bytes = 2};
    struct pd_gpu_net g = {.gpu = &gpu, .net = &net};
    struct pd_gpu_step step;
    memset(&world, 0, sizeof(world));
    world.fatal = fatal;
    return pd_gpu_step_choose(&g, 0, 1, &step, err);
}

static void a_way_that_ends_the_context_is_told(void **state)
{
    struct pd_err err = {""};
    assert_int_equal(choose(0, &err), 0);
    assert_int_equal(world.remembered, 1);
    for (int fatal = 1; fatal <= WAYS; fatal++) {
        assert_int_equal(choose(fatal, &err), -ENODEV);
        assert_non_null(strstr(err.text, "an illegal access"));
        assert_int_equal(world.remembered, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_way_that_ends_the_context_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
