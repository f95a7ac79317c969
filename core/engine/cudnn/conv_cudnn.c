/* SPDX-License-Identifier: Apache-2.0 */
#include "core/engine/cudnn/conv_graph.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct pd_cudnn_plan {
    int refs;
    cudnnBackendDescriptor_t plan;
    size_t workspace;
    bool has_bias, has_residual;
    char name[64];
};

/* Whether an engine computes what the precision promises; its algorithm in words. */
static bool acceptable(cudnnBackendDescriptor_t engine, enum pd_cudnn_math math, char *text, size_t cap)
{
    cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    int64_t n = 0;
    bool tensor_core = false, winograd = false, coarse = false, fft = false;
    if (cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                 CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &n, notes) != CUDNN_STATUS_SUCCESS)
        n = 0;
    for (int64_t i = 0; i < n && i < CUDNN_NUMERICAL_NOTE_TYPE_COUNT; i++) {
        tensor_core |= notes[i] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
        winograd |= notes[i] == CUDNN_NUMERICAL_NOTE_WINOGRAD;
        coarse |= notes[i] == CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13; /* digits are lost in its transforms */
        fft |= notes[i] == CUDNN_NUMERICAL_NOTE_FFT;
        if (notes[i] == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS ||
            notes[i] == CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION)
            return false;
    }
    snprintf(text, cap, "%s", fft ? "fft" : winograd ? "winograd" : tensor_core ? "tensor-core" : "implicit-gemm");
    return math != PD_CUDNN_FP32 || (!tensor_core && !coarse);
}

/* "eng42:2=1,3=0": enough to find the configuration again among the heuristics' answers. */
static void name_config(cudnnBackendDescriptor_t engine, cudnnBackendDescriptor_t config, const char *what, char *name,
                        size_t cap)
{
    int64_t index = -1, n = 0;
    cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, NULL, &index);
    size_t at = (size_t)snprintf(name, cap, "eng%d", (int)index);
    cudnnBackendDescriptor_t knobs[16] = {0};
    int made = 0;
    while (made < 16 && cudnnBackendCreateDescriptor(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, &knobs[made]) ==
                            CUDNN_STATUS_SUCCESS)
        made++;
    if (cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR, made, &n,
                                 knobs) != CUDNN_STATUS_SUCCESS)
        n = 0;
    for (int64_t i = 0; i < n && i < made && at < cap - 24; i++) {
        cudnnBackendKnobType_t type = 0;
        int64_t value = 0, got = 0;
        cudnnBackendGetAttribute(knobs[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &got, &type);
        cudnnBackendGetAttribute(knobs[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1, &got, &value);
        at += (size_t)snprintf(name + at, cap - at, "%c%d=%d", i ? ',' : ':', (int)type, (int)value);
    }
    for (int i = 0; i < made; i++)
        cudnnBackendDestroyDescriptor(knobs[i]);
    snprintf(name + at, cap - at, " %s", what);
}

struct pd_cudnn_plan *pd_cudnn_plan_ref(struct pd_cudnn_plan *plan)
{
    plan->refs++;
    return plan;
}

void pd_cudnn_plan_destroy(struct pd_cudnn_plan *plan)
{
    if (!plan || --plan->refs > 0)
        return;
    if (plan->plan)
        cudnnBackendDestroyDescriptor(plan->plan);
    free(plan);
}

/* An executable plan of @config, or NULL when cuDNN cannot make one of it (common, and no error). */
static struct pd_cudnn_plan *plan_of(cudnnHandle_t handle, cudnnBackendDescriptor_t config,
                                     const struct pd_conv_epilogue *e, const char *name)
{
    struct pd_cudnn_plan *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    int64_t workspace = 0, n = 0;
    p->refs = 1;
    if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &p->plan) != CUDNN_STATUS_SUCCESS ||
        cudnnBackendSetAttribute(p->plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                                 &config) != CUDNN_STATUS_SUCCESS ||
        cudnnBackendSetAttribute(p->plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle) !=
            CUDNN_STATUS_SUCCESS ||
        cudnnBackendFinalize(p->plan) != CUDNN_STATUS_SUCCESS ||
        cudnnBackendGetAttribute(p->plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &n,
                                 &workspace) != CUDNN_STATUS_SUCCESS ||
        workspace < 0) {
        pd_cudnn_plan_destroy(p);
        return NULL;
    }
    p->workspace = (size_t)workspace;
    p->has_bias = e->bias != NULL;
    p->has_residual = e->residual != NULL;
    snprintf(p->name, sizeof(p->name), "%s", name);
    return p;
}

#define CONFIGS_MAX 24
/* Of fp32 the heuristics name many that compute in tf32 before the first that does not. */
#define CONFIGS_MAX_FP32 128

/* Configurations as a heuristic proposes them, at most @max into @configs, to be destroyed. Returns how many were made;
 * *ret_n of them are proposals. */
static int ask_heuristic(const struct pd_cudnn_graph *g, cudnnBackendHeurMode_t mode, int max,
                         cudnnBackendDescriptor_t *configs, int *ret_n)
{
    cudnnBackendDescriptor_t heur = NULL;
    int made = 0;
    int64_t n = 0;
    *ret_n = 0;
    if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, &heur) != CUDNN_STATUS_SUCCESS)
        return 0;
    while (made < max && cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &configs[made]) ==
                             CUDNN_STATUS_SUCCESS)
        made++;
    if (cudnnBackendSetAttribute(heur, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                                 &g->operation_graph) == CUDNN_STATUS_SUCCESS &&
        cudnnBackendSetAttribute(heur, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode) ==
            CUDNN_STATUS_SUCCESS &&
        cudnnBackendFinalize(heur) == CUDNN_STATUS_SUCCESS &&
        cudnnBackendGetAttribute(heur, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, made, &n,
                                 configs) == CUDNN_STATUS_SUCCESS)
        *ret_n = (int)PD_MIN(n, (int64_t)made);
    cudnnBackendDestroyDescriptor(heur);
    return made;
}

/* What a search wants, and what it has. */
struct search {
    cudnnHandle_t handle;
    const struct pd_cudnn_problem *problem;
    const char *only; /* NULL, or the one name wanted */
    struct pd_cudnn_plan **plans;
    int found;
};

static bool wanted(const struct search *s, const char *name)
{
    if (s->only)
        return !strcmp(s->only, name);
    /* heuristics repeat each other where several are asked */
    for (int i = 0; s->problem->nchw && i < s->found; i++)
        if (!strcmp(s->plans[i]->name, name))
            return false;
    return true;
}

static void try_config(struct search *s, cudnnBackendDescriptor_t config)
{
    cudnnBackendDescriptor_t engine = NULL;
    int64_t got = 0;
    char what[32], name[64];
    if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine) != CUDNN_STATUS_SUCCESS)
        return;
    if (cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &got,
                                 &engine) == CUDNN_STATUS_SUCCESS &&
        acceptable(engine, s->problem->math, what, sizeof(what))) {
        name_config(engine, config, what, name, sizeof(name));
        if (wanted(s, name)) {
            s->plans[s->found] = plan_of(s->handle, config, &s->problem->epilogue, name);
            s->found += s->plans[s->found] != NULL;
        }
    }
    cudnnBackendDestroyDescriptor(engine);
}

/* Make plans of what one heuristic proposes and is acceptable, until there are @max. */
static void from_heuristic(struct search *s, const struct pd_cudnn_graph *g, cudnnBackendHeurMode_t mode, int max)
{
    cudnnBackendDescriptor_t configs[CONFIGS_MAX_FP32] = {0};
    int n;
    if (s->found >= max)
        return;
    const int made = ask_heuristic(g, mode, s->problem->math == PD_CUDNN_FP32 ? CONFIGS_MAX_FP32 : CONFIGS_MAX,
                                   configs, &n);
    for (int i = 0; i < n && s->found < max; i++)
        try_config(s, configs[i]);
    for (int i = 0; i < made; i++)
        cudnnBackendDestroyDescriptor(configs[i]);
}

/* NHWC: the first heuristic, and the fallback where that has nothing. NCHW, where its order says little of what is fast
 * without tensor cores: half of the plans from it, the others from the rest. */
static int search(struct search *s, int max)
{
    struct pd_cudnn_graph g;
    pd_cudnn_graph_build(&g, s->handle, s->problem);
    if (g.status == CUDNN_STATUS_SUCCESS && s->problem->nchw) {
        from_heuristic(s, &g, CUDNN_HEUR_MODE_A, (max + 1) / 2);
        from_heuristic(s, &g, CUDNN_HEUR_MODE_B, (3 * max + 3) / 4);
        from_heuristic(s, &g, CUDNN_HEUR_MODE_FALLBACK, max);
    } else if (g.status == CUDNN_STATUS_SUCCESS) {
        from_heuristic(s, &g, CUDNN_HEUR_MODE_A, max);
        if (s->found == 0)
            from_heuristic(s, &g, CUDNN_HEUR_MODE_FALLBACK, max);
    }
    pd_cudnn_graph_destroy(&g);
    (void)cudaGetLastError(); /* of an engine that cannot be: not for the next launch to report */
    return s->found;
}

int pd_cudnn_plans(cudnnHandle_t handle, const struct pd_cudnn_problem *problem, int max, struct pd_cudnn_plan **plans,
                   struct pd_err *err)
{
    const int act = problem->epilogue.act;
    if (!pd_cudnn_fuses(act))
        return pd_err_set(err, -ENOTSUP, "cuDNN cannot end a convolution with activation %d", act);
    struct search s = {.handle = handle, .problem = problem, .plans = plans};
    return search(&s, max);
}

struct pd_cudnn_plan *pd_cudnn_plan_named(cudnnHandle_t handle, const struct pd_cudnn_problem *problem,
                                          const char *name)
{
    struct pd_cudnn_plan *p = NULL;
    struct search s = {.handle = handle, .problem = problem, .only = name, .plans = &p};
    return search(&s, 1) == 1 ? p : NULL;
}

size_t pd_cudnn_plan_workspace(const struct pd_cudnn_plan *plan)
{
    return plan->workspace;
}

const char *pd_cudnn_plan_name(const struct pd_cudnn_plan *plan)
{
    return plan->name;
}

int pd_cudnn_plan_run(cudnnHandle_t handle, const struct pd_cudnn_plan *plan, const void *in, const void *weight,
                      const float *bias, const void *residual, void *out, void *workspace)
{
    int64_t uids[5] = {PD_CUDNN_X, PD_CUDNN_W, PD_CUDNN_Y};
    void *pointers[5] = {(void *)in, (void *)weight, out};
    int64_t n = 3;
    if (plan->has_bias) {
        uids[n] = PD_CUDNN_B;
        pointers[n++] = (void *)bias;
    }
    if (plan->has_residual) {
        uids[n] = PD_CUDNN_R;
        pointers[n++] = (void *)residual;
    }
    cudnnBackendDescriptor_t pack = NULL;
    if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack) != CUDNN_STATUS_SUCCESS)
        return -EIO;
    bool ok = cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, n, uids) ==
                  CUDNN_STATUS_SUCCESS &&
              cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, n, pointers) ==
                  CUDNN_STATUS_SUCCESS &&
              cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace) ==
                  CUDNN_STATUS_SUCCESS &&
              cudnnBackendFinalize(pack) == CUDNN_STATUS_SUCCESS &&
              cudnnBackendExecute(handle, plan->plan, pack) == CUDNN_STATUS_SUCCESS;
    cudnnBackendDestroyDescriptor(pack);
    return ok ? 0 : -EIO;
}
