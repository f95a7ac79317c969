/* SPDX-License-Identifier: Apache-2.0 */
#include "core/engine/cudnn/conv_cudnn.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/net/act.h"

/* Tensors of the graph, by unique id. */
enum { UID_X = 1, UID_W, UID_B, UID_R, UID_Y, UID_VIRTUAL };

#define DESCRIPTORS_MAX 24

struct pd_cudnn_plan {
    int refs;
    cudnnBackendDescriptor_t plan;
    size_t workspace;
    bool has_bias, has_residual;
    char name[64];
};

/* A graph under construction. The first failure sticks in status; what was made is destroyed with it. */
struct graph {
    cudnnBackendDescriptor_t made[DESCRIPTORS_MAX];
    int n_made;
    cudnnStatus_t status;
    cudnnDataType_t type;
    int64_t uid;
    cudnnBackendDescriptor_t operations[4];
    int n_operations;
    cudnnBackendDescriptor_t operation_graph;
};

static cudnnBackendDescriptor_t make(struct graph *g, cudnnBackendDescriptorType_t type)
{
    cudnnBackendDescriptor_t d = NULL;
    if (g->status != CUDNN_STATUS_SUCCESS)
        return NULL;
    if (g->n_made == DESCRIPTORS_MAX) {
        g->status = CUDNN_STATUS_INTERNAL_ERROR;
        return NULL;
    }
    g->status = cudnnBackendCreateDescriptor(type, &d);
    if (g->status == CUDNN_STATUS_SUCCESS)
        g->made[g->n_made++] = d;
    return d;
}

static void set(struct graph *g, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                cudnnBackendAttributeType_t type, int64_t count, const void *values)
{
    if (g->status == CUDNN_STATUS_SUCCESS)
        g->status = cudnnBackendSetAttribute(d, name, type, count, values);
}

static void finalize(struct graph *g, cudnnBackendDescriptor_t d)
{
    if (g->status == CUDNN_STATUS_SUCCESS)
        g->status = cudnnBackendFinalize(d);
}

static void destroy_graph(struct graph *g)
{
    while (g->n_made > 0)
        cudnnBackendDestroyDescriptor(g->made[--g->n_made]);
}

/* A 4-d tensor whose channels are neighbours in memory. @stride: channels from a pixel to the next. */
static cudnnBackendDescriptor_t tensor(struct graph *g, int64_t uid, cudnnDataType_t type, int n, int c, int h, int w,
                                       int stride, bool is_virtual)
{
    const int64_t dims[4] = {n, c, h, w};
    const int64_t strides[4] = {(int64_t)h * w * stride, 1, (int64_t)w * stride, stride};
    const int64_t align = 16;
    cudnnBackendDescriptor_t d = make(g, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    set(g, d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    set(g, d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dims);
    set(g, d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides);
    set(g, d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &uid);
    set(g, d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &align);
    if (is_virtual)
        set(g, d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual);
    finalize(g, d);
    return d;
}

static void add_operation(struct graph *g, cudnnBackendDescriptor_t op)
{
    finalize(g, op);
    g->operations[g->n_operations++] = op;
}

static void convolution(struct graph *g, const struct pd_conv_shape *s, cudnnBackendDescriptor_t x,
                        cudnnBackendDescriptor_t w, cudnnBackendDescriptor_t y)
{
    const cudnnDataType_t compute = CUDNN_DATA_FLOAT;
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    const int64_t dims = 2, dilation[2] = {s->dilation_y, s->dilation_x}, stride[2] = {s->stride_y, s->stride_x};
    const int64_t pre[2] = {s->pad_top, s->pad_left};
    const int64_t post[2] = {
        (int64_t)(s->ho - 1) * s->stride_y + (int64_t)(s->kh - 1) * s->dilation_y + 1 - s->h - s->pad_top,
        (int64_t)(s->wo - 1) * s->stride_x + (int64_t)(s->kw - 1) * s->dilation_x + 1 - s->w - s->pad_left};
    const int64_t post_padding[2] = {post[0] > 0 ? post[0] : 0, post[1] > 0 ? post[1] : 0};
    cudnnBackendDescriptor_t d = make(g, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    set(g, d, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &dims);
    set(g, d, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &compute);
    set(g, d, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    set(g, d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, pre);
    set(g, d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, post_padding);
    set(g, d, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dilation);
    set(g, d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, stride);
    finalize(g, d);

    const float one = 1.0f, zero = 0.0f;
    cudnnBackendDescriptor_t op = make(g, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
    set(g, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &x);
    set(g, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &w);
    set(g, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &y);
    set(g, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &d);
    set(g, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, 1, &one);
    set(g, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, 1, &zero);
    add_operation(g, op);
}

/* y = mode(x) or mode(x, b); @e tells the activation's constants, NULL for an addition. */
static void pointwise(struct graph *g, cudnnPointwiseMode_t mode, const struct pd_conv_epilogue *e,
                      cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t b, cudnnBackendDescriptor_t y)
{
    const cudnnDataType_t compute = CUDNN_DATA_FLOAT;
    cudnnBackendDescriptor_t d = make(g, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    set(g, d, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    set(g, d, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &compute);
    if (e && e->act == PD_ACT_CLIP) {
        const double lower = e->alpha, upper = e->beta;
        set(g, d, CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP, CUDNN_TYPE_DOUBLE, 1, &lower);
        set(g, d, CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP, CUDNN_TYPE_DOUBLE, 1, &upper);
    }
    if (e && e->act == PD_ACT_ELU) {
        const double alpha = e->alpha;
        set(g, d, CUDNN_ATTR_POINTWISE_ELU_ALPHA, CUDNN_TYPE_DOUBLE, 1, &alpha);
    }
    finalize(g, d);
    cudnnBackendDescriptor_t op = make(g, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    set(g, op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &d);
    set(g, op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &x);
    if (b)
        set(g, op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &b);
    set(g, op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &y);
    add_operation(g, op);
}

bool pd_cudnn_fuses(int act)
{
    return act == PD_ACT_NONE || act == PD_ACT_RELU || act == PD_ACT_CLIP || act == PD_ACT_ELU ||
           act == PD_ACT_SIGMOID || act == PD_ACT_TANH;
}

static cudnnPointwiseMode_t activation_mode(int act)
{
    switch (act) {
    case PD_ACT_ELU:
        return CUDNN_POINTWISE_ELU_FWD;
    case PD_ACT_SIGMOID:
        return CUDNN_POINTWISE_SIGMOID_FWD;
    case PD_ACT_TANH:
        return CUDNN_POINTWISE_TANH_FWD;
    default:
        return CUDNN_POINTWISE_RELU_FWD;
    }
}

/* Output of the next operation: the real one for the last of @left, a virtual fp32 tensor before. */
static cudnnBackendDescriptor_t next_output(struct graph *g, const struct pd_conv_shape *s, int out_stride, int left)
{
    if (left == 0)
        return tensor(g, UID_Y, g->type, s->n, s->co, s->ho, s->wo, out_stride, false);
    return tensor(g, g->uid++, CUDNN_DATA_FLOAT, s->n, s->co, s->ho, s->wo, s->co, true);
}

static void build(struct graph *g, cudnnHandle_t handle, enum pd_cudnn_math math, const struct pd_conv_shape *s,
                  int in_stride, int out_stride, const struct pd_conv_epilogue *e)
{
    memset(g, 0, sizeof(*g));
    g->uid = UID_VIRTUAL;
    g->type = math == PD_CUDNN_FP16 ? CUDNN_DATA_HALF : CUDNN_DATA_FLOAT;
    int left = (e->bias != NULL) + (e->residual != NULL) + (e->act != PD_ACT_NONE);
    const int group = s->ci / s->groups;
    cudnnBackendDescriptor_t x = tensor(g, UID_X, g->type, s->n, s->ci, s->h, s->w, in_stride, false);
    cudnnBackendDescriptor_t w = tensor(g, UID_W, g->type, s->co, group, s->kh, s->kw, group, false);
    cudnnBackendDescriptor_t y = next_output(g, s, out_stride, left);
    convolution(g, s, x, w, y);
    if (e->bias) {
        cudnnBackendDescriptor_t b = tensor(g, UID_B, CUDNN_DATA_FLOAT, 1, s->co, 1, 1, s->co, false);
        cudnnBackendDescriptor_t sum = next_output(g, s, out_stride, --left);
        pointwise(g, CUDNN_POINTWISE_ADD, NULL, y, b, sum);
        y = sum;
    }
    if (e->residual) {
        cudnnBackendDescriptor_t r = tensor(g, UID_R, g->type, s->n, s->co, s->ho, s->wo, e->residual_stride, false);
        cudnnBackendDescriptor_t sum = next_output(g, s, out_stride, --left);
        pointwise(g, CUDNN_POINTWISE_ADD, NULL, y, r, sum);
        y = sum;
    }
    if (e->act != PD_ACT_NONE)
        pointwise(g, activation_mode(e->act), e, y, NULL, next_output(g, s, out_stride, --left));
    g->operation_graph = make(g, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    set(g, g->operation_graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, g->n_operations,
        g->operations);
    set(g, g->operation_graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle);
    finalize(g, g->operation_graph);
}

/* Whether an engine computes what the precision promises; its algorithm in words. */
static bool acceptable(cudnnBackendDescriptor_t engine, enum pd_cudnn_math math, char *text, size_t cap)
{
    cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    int64_t n = 0;
    bool tensor_core = false, winograd = false, fft = false;
    if (cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                 CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &n, notes) != CUDNN_STATUS_SUCCESS)
        n = 0;
    for (int64_t i = 0; i < n && i < CUDNN_NUMERICAL_NOTE_TYPE_COUNT; i++) {
        tensor_core |= notes[i] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
        winograd |= notes[i] == CUDNN_NUMERICAL_NOTE_WINOGRAD;
        fft |= notes[i] == CUDNN_NUMERICAL_NOTE_FFT;
        if (notes[i] == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS ||
            notes[i] == CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION)
            return false;
    }
    snprintf(text, cap, "%s", fft ? "fft" : winograd ? "winograd" : tensor_core ? "tensor-core" : "implicit-gemm");
    return math != PD_CUDNN_FP32 || !tensor_core;
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

/* Ask one heuristic for configurations and make plans of the acceptable ones. @only: NULL, or the one name wanted. */
static int from_heuristic(cudnnHandle_t handle, struct graph *g, cudnnBackendHeurMode_t mode, enum pd_cudnn_math math,
                          const struct pd_conv_epilogue *e, const char *only, int max, struct pd_cudnn_plan **plans)
{
    cudnnBackendDescriptor_t heur = NULL, configs[CONFIGS_MAX] = {0};
    int made = 0, found = 0;
    int64_t n = 0;
    if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, &heur) != CUDNN_STATUS_SUCCESS)
        return 0;
    while (made < CONFIGS_MAX && cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &configs[made]) ==
                                     CUDNN_STATUS_SUCCESS)
        made++;
    if (cudnnBackendSetAttribute(heur, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                                 &g->operation_graph) != CUDNN_STATUS_SUCCESS ||
        cudnnBackendSetAttribute(heur, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode) !=
            CUDNN_STATUS_SUCCESS ||
        cudnnBackendFinalize(heur) != CUDNN_STATUS_SUCCESS ||
        cudnnBackendGetAttribute(heur, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, made, &n,
                                 configs) != CUDNN_STATUS_SUCCESS)
        n = 0;
    for (int64_t i = 0; i < n && i < made && found < max; i++) {
        cudnnBackendDescriptor_t engine = NULL;
        int64_t got = 0;
        char what[32], name[64];
        if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine) != CUDNN_STATUS_SUCCESS)
            break;
        if (cudnnBackendGetAttribute(configs[i], CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &got,
                                     &engine) == CUDNN_STATUS_SUCCESS &&
            acceptable(engine, math, what, sizeof(what))) {
            name_config(engine, configs[i], what, name, sizeof(name));
            if (!only || !strcmp(only, name)) {
                plans[found] = plan_of(handle, configs[i], e, name);
                found += plans[found] != NULL;
            }
        }
        cudnnBackendDestroyDescriptor(engine);
    }
    for (int i = 0; i < made; i++)
        cudnnBackendDestroyDescriptor(configs[i]);
    cudnnBackendDestroyDescriptor(heur);
    return found;
}

static int search(cudnnHandle_t handle, enum pd_cudnn_math math, const struct pd_conv_shape *shape, int in_stride,
                  int out_stride, const struct pd_conv_epilogue *e, const char *only, int max,
                  struct pd_cudnn_plan **plans)
{
    struct graph g;
    build(&g, handle, math, shape, in_stride, out_stride, e);
    int n = 0;
    if (g.status == CUDNN_STATUS_SUCCESS) {
        n = from_heuristic(handle, &g, CUDNN_HEUR_MODE_A, math, e, only, max, plans);
        if (n == 0)
            n = from_heuristic(handle, &g, CUDNN_HEUR_MODE_FALLBACK, math, e, only, max, plans);
    }
    destroy_graph(&g);
    return n;
}

int pd_cudnn_plans(cudnnHandle_t handle, enum pd_cudnn_math math, const struct pd_conv_shape *shape, int in_stride,
                   int out_stride, const struct pd_conv_epilogue *e, int max, struct pd_cudnn_plan **plans,
                   struct pd_err *err)
{
    if (!pd_cudnn_fuses(e->act))
        return pd_err_set(err, -ENOTSUP, "cuDNN cannot end a convolution with activation %d", e->act);
    return search(handle, math, shape, in_stride, out_stride, e, NULL, max, plans);
}

struct pd_cudnn_plan *pd_cudnn_plan_named(cudnnHandle_t handle, enum pd_cudnn_math math,
                                          const struct pd_conv_shape *shape, int in_stride, int out_stride,
                                          const struct pd_conv_epilogue *e, const char *name)
{
    struct pd_cudnn_plan *p = NULL;
    return search(handle, math, shape, in_stride, out_stride, e, name, 1, &p) == 1 ? p : NULL;
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
    int64_t uids[5] = {UID_X, UID_W, UID_Y};
    void *pointers[5] = {(void *)in, (void *)weight, out};
    int64_t n = 3;
    if (plan->has_bias) {
        uids[n] = UID_B;
        pointers[n++] = (void *)bias;
    }
    if (plan->has_residual) {
        uids[n] = UID_R;
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
