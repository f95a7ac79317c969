/* SPDX-License-Identifier: Apache-2.0 */
#include "core/engine/cudnn/conv_graph.h"

#include <string.h>

#include "core/net/act.h"

static cudnnBackendDescriptor_t make(struct pd_cudnn_graph *g, cudnnBackendDescriptorType_t type)
{
    cudnnBackendDescriptor_t d = NULL;
    if (g->status != CUDNN_STATUS_SUCCESS)
        return NULL;
    if (g->n_made == PD_CUDNN_DESCRIPTORS_MAX) {
        g->status = CUDNN_STATUS_INTERNAL_ERROR;
        return NULL;
    }
    g->status = cudnnBackendCreateDescriptor(type, &d);
    if (g->status == CUDNN_STATUS_SUCCESS)
        g->made[g->n_made++] = d;
    return d;
}

static void set(struct pd_cudnn_graph *g, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                cudnnBackendAttributeType_t type, int64_t count, const void *values)
{
    if (g->status == CUDNN_STATUS_SUCCESS)
        g->status = cudnnBackendSetAttribute(d, name, type, count, values);
}

static void finalize(struct pd_cudnn_graph *g, cudnnBackendDescriptor_t d)
{
    if (g->status == CUDNN_STATUS_SUCCESS)
        g->status = cudnnBackendFinalize(d);
}

void pd_cudnn_graph_destroy(struct pd_cudnn_graph *g)
{
    while (g->n_made > 0)
        cudnnBackendDestroyDescriptor(g->made[--g->n_made]);
}

/* A 4-d tensor. @stride: channels from a pixel to the next, which are neighbours in memory; 0 for NCHW without gaps. */
static cudnnBackendDescriptor_t tensor(struct pd_cudnn_graph *g, int64_t uid, cudnnDataType_t type, int n, int c, int h,
                                       int w, int stride, bool is_virtual)
{
    const int64_t dims[4] = {n, c, h, w};
    const int64_t nhwc[4] = {(int64_t)h * w * stride, 1, (int64_t)w * stride, stride};
    const int64_t nchw[4] = {(int64_t)c * h * w, (int64_t)h * w, w, 1};
    const int64_t align = 16;
    cudnnBackendDescriptor_t d = make(g, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    set(g, d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    set(g, d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dims);
    set(g, d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, stride ? nhwc : nchw);
    set(g, d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &uid);
    set(g, d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &align);
    if (is_virtual)
        set(g, d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual);
    finalize(g, d);
    return d;
}

static void add_operation(struct pd_cudnn_graph *g, cudnnBackendDescriptor_t op)
{
    finalize(g, op);
    g->operations[g->n_operations++] = op;
}

/* Padding behind the input along one side. @even: as much as before it wherever the output is the same, since many of
 * cuDNN's engines for NCHW know no other. */
static int64_t post_padding(int in, int out, int k, int stride, int dilation, int pre, bool even)
{
    const int64_t window = (int64_t)(k - 1) * dilation + 1, padded = (int64_t)in + 2 * (int64_t)pre;
    const int64_t least = (int64_t)(out - 1) * stride + window - in - pre;
    if (even && padded >= window && (padded - window) / stride + 1 == out)
        return pre;
    return least > 0 ? least : 0;
}

static void convolution(struct pd_cudnn_graph *g, const struct pd_conv_shape *s, bool even,
                        cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t w, cudnnBackendDescriptor_t y)
{
    const cudnnDataType_t compute = CUDNN_DATA_FLOAT;
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    const int64_t dims = 2, dilation[2] = {s->dilation_y, s->dilation_x}, stride[2] = {s->stride_y, s->stride_x};
    const int64_t pre[2] = {s->pad_top, s->pad_left};
    const int64_t post[2] = {post_padding(s->h, s->ho, s->kh, s->stride_y, s->dilation_y, s->pad_top, even),
                             post_padding(s->w, s->wo, s->kw, s->stride_x, s->dilation_x, s->pad_left, even)};
    cudnnBackendDescriptor_t d = make(g, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    set(g, d, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &dims);
    set(g, d, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &compute);
    set(g, d, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    set(g, d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, pre);
    set(g, d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, post);
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
static void pointwise(struct pd_cudnn_graph *g, cudnnPointwiseMode_t mode, const struct pd_conv_epilogue *e,
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
static cudnnBackendDescriptor_t next_output(struct pd_cudnn_graph *g, const struct pd_conv_shape *s, int out_stride,
                                            int left)
{
    if (left == 0)
        return tensor(g, PD_CUDNN_Y, g->type, s->n, s->co, s->ho, s->wo, out_stride, false);
    return tensor(g, g->uid++, CUDNN_DATA_FLOAT, s->n, s->co, s->ho, s->wo, s->co, true);
}

/* All operations, one after the other: the convolution, then each that the epilogue has. */
static void add_operations(struct pd_cudnn_graph *g, const struct pd_cudnn_problem *p)
{
    const struct pd_conv_shape *s = &p->shape;
    const struct pd_conv_epilogue *e = &p->epilogue;
    const int group = s->ci / s->groups, in_stride = p->nchw ? 0 : p->in_stride;
    const int out_stride = p->nchw ? 0 : p->out_stride;
    int left = (e->bias != NULL) + (e->residual != NULL) + (e->act != PD_ACT_NONE);
    cudnnBackendDescriptor_t x = tensor(g, PD_CUDNN_X, g->type, s->n, s->ci, s->h, s->w, in_stride, false);
    cudnnBackendDescriptor_t w =
        tensor(g, PD_CUDNN_W, g->type, s->co, group, s->kh, s->kw, p->nchw ? 0 : group, false);
    cudnnBackendDescriptor_t y = next_output(g, s, out_stride, left);
    convolution(g, s, p->nchw, x, w, y);
    if (e->bias) {
        cudnnBackendDescriptor_t b = tensor(g, PD_CUDNN_B, CUDNN_DATA_FLOAT, 1, s->co, 1, 1, s->co, false);
        cudnnBackendDescriptor_t sum = next_output(g, s, out_stride, --left);
        pointwise(g, CUDNN_POINTWISE_ADD, NULL, y, b, sum);
        y = sum;
    }
    if (e->residual) {
        cudnnBackendDescriptor_t r =
            tensor(g, PD_CUDNN_R, g->type, s->n, s->co, s->ho, s->wo, e->residual_stride, false);
        cudnnBackendDescriptor_t sum = next_output(g, s, out_stride, --left);
        pointwise(g, CUDNN_POINTWISE_ADD, NULL, y, r, sum);
        y = sum;
    }
    if (e->act != PD_ACT_NONE)
        pointwise(g, activation_mode(e->act), e, y, NULL, next_output(g, s, out_stride, --left));
}

void pd_cudnn_graph_build(struct pd_cudnn_graph *g, cudnnHandle_t handle, const struct pd_cudnn_problem *p)
{
    memset(g, 0, sizeof(*g));
    g->uid = PD_CUDNN_VIRTUAL;
    g->type = p->math == PD_CUDNN_FP16 ? CUDNN_DATA_HALF : CUDNN_DATA_FLOAT;
    add_operations(g, p);
    g->operation_graph = make(g, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    set(g, g->operation_graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, g->n_operations,
        g->operations);
    set(g, g->operation_graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle);
    finalize(g, g->operation_graph);
}
