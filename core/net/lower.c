/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/lower.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/net/load.h"

#define MULTIPLE_MAX 256 /* an input side; what is coarser has one sample for any picture */

static const struct op {
    const char *name;
    pd_op_fn *fn;
    int min_in, max_in;
} ops[] = {
    {"Add", pd_op_arithmetic, 2, 2},
    {"AveragePool", pd_op_average_pool, 1, 1},
    {"BatchNormalization", pd_op_batch_norm, 5, 5},
    {"Cast", pd_op_cast, 1, 1},
    {"Clip", pd_op_clip, 1, 3},
    {"Concat", pd_op_concat, 1, PD_LAYER_INPUTS_MAX},
    {"Constant", pd_op_constant, 0, 0},
    {"ConstantOfShape", pd_op_constant_of_shape, 1, 1},
    {"Conv", pd_op_conv, 2, 3},
    {"ConvTranspose", pd_op_conv_transpose, 2, 3},
    {"Div", pd_op_arithmetic, 2, 2},
    {"Dropout", pd_op_identity, 1, 3},
    {"Elu", pd_op_activation, 1, 1},
    {"Flatten", pd_op_flatten, 1, 1},
    {"Gather", pd_op_gather, 2, 2},
    {"Gemm", pd_op_gemm, 2, 3},
    {"GlobalAveragePool", pd_op_global_pool, 1, 1},
    {"HardSigmoid", pd_op_hard_sigmoid, 1, 1},
    {"HardSwish", pd_op_activation, 1, 1},
    {"Identity", pd_op_identity, 1, 1},
    {"LeakyRelu", pd_op_activation, 1, 1},
    {"MatMul", pd_op_matmul, 2, 2},
    {"MaxPool", pd_op_max_pool, 1, 1},
    {"Mul", pd_op_arithmetic, 2, 2},
    {"PRelu", pd_op_prelu, 2, 2},
    {"Pad", pd_op_pad, 1, 4},
    {"ReduceMean", pd_op_reduce_mean, 1, 2},
    {"Relu", pd_op_activation, 1, 1},
    {"Reshape", pd_op_reshape, 2, 2},
    {"Resize", pd_op_resize, 1, 4},
    {"Shape", pd_op_shape, 1, 1},
    {"Sigmoid", pd_op_activation, 1, 1},
    {"Slice", pd_op_slice, 1, 5},
    {"Split", pd_op_split, 1, 2},
    {"Squeeze", pd_op_squeeze, 1, 2},
    {"Sub", pd_op_arithmetic, 2, 2},
    {"Sum", pd_op_arithmetic, 2, 2},
    {"Tanh", pd_op_activation, 1, 1},
    {"Transpose", pd_op_transpose, 1, 1},
    {"Unsqueeze", pd_op_squeeze, 1, 2},
    {"Upsample", pd_op_resize, 1, 2},
};

int pd_lower_fail(struct pd_lower *lw, int code, const char *fmt, ...)
{
    char text[320];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return pd_err_set(lw->err, code, "%s: node '%.80s' (%.40s): %s", lw->onnx->file, lw->node->name, lw->node->op,
                      text);
}

int pd_lower_no_memory(struct pd_lower *lw)
{
    return pd_err_set(lw->err, -ENOMEM, "%s: out of memory, or needs far more than a network of this file size may",
                      lw->onnx->file);
}

/* ---- inputs ---- */

const struct pd_value *pd_lower_input(const struct pd_lower *lw, int k)
{
    if (k >= lw->node->n_in || lw->node->in[k] < 0)
        return NULL;
    return &lw->values[lw->node->in[k]];
}

static int input_tensor(struct pd_lower *lw, int k, bool may_be_flat, int *ret_tensor)
{
    const struct pd_value *v = pd_lower_input(lw, k);
    if (!v || v->kind != PD_VALUE_TENSOR)
        return pd_lower_fail(lw, -ENOTSUP, "input %d must be computed from the image, not a constant or a shape", k);
    if (v->flat && !may_be_flat)
        return pd_lower_fail(lw, -ENOTSUP, "input %d is flattened; an image (n, c, h, w) is expected", k);
    if (v->pad[0] || v->pad[1] || v->pad[2] || v->pad[3])
        return pd_lower_fail(lw, -ENOTSUP, "input %d is padded by a Pad that only a convolution may follow", k);
    *ret_tensor = v->tensor;
    return 0;
}

int pd_lower_image(struct pd_lower *lw, int k, int *ret_tensor)
{
    return input_tensor(lw, k, false, ret_tensor);
}

int pd_lower_any_tensor(struct pd_lower *lw, int k, int *ret_tensor)
{
    return input_tensor(lw, k, true, ret_tensor);
}

int pd_lower_floats(struct pd_lower *lw, int k, int n_dims, struct pd_const *ret_const)
{
    const struct pd_value *v = pd_lower_input(lw, k);
    if (!v || v->kind != PD_VALUE_CONST || !v->k.f)
        return pd_lower_fail(lw, -ENOTSUP, "input %d must be a constant of floats", k);
    if (n_dims >= 0 && v->k.n_dims != n_dims)
        return pd_lower_fail(lw, -EINVAL, "input %d has %d dimensions; %d are expected", k, v->k.n_dims, n_dims);
    *ret_const = v->k;
    return 0;
}

/* ---- layers ---- */

/* Grow a table to hold one more; the budget counts every size that it passes through. */
static bool grow(struct pd_lower *lw, void **table, int n, int cap, size_t size)
{
    if (n < cap)
        return true;
    int bigger = cap ? cap * 2 : 64;
    void *p = pd_arena_alloc(lw->arena, (size_t)bigger, size);
    if (!p)
        return false;
    if (n)
        memcpy(p, *table, (size_t)n * size);
    *table = p;
    return true;
}

static int add_tensor(struct pd_lower *lw, const char *name, int channels)
{
    int cap = lw->tensors_cap;
    if (!grow(lw, (void **)&lw->tensors, lw->n_tensors, cap, sizeof(*lw->tensors)) ||
        !grow(lw, (void **)&lw->info, lw->n_tensors, cap, sizeof(*lw->info)))
        return pd_lower_no_memory(lw);
    if (lw->n_tensors == cap)
        lw->tensors_cap = cap ? cap * 2 : 64;
    struct pd_tensor *t = &lw->tensors[lw->n_tensors];
    *t = (struct pd_tensor){.channels = channels, .producer = -1};
    pd_onnx_copy_name(t->name, sizeof(t->name), name);
    lw->info[lw->n_tensors] = (struct pd_tensor_info){.scale_y = 1, .scale_x = 1};
    return lw->n_tensors++;
}

int pd_lower_layer(struct pd_lower *lw, enum pd_layer_kind kind, int in, int in2, int channels)
{
    if (lw->n_layers >= PD_LOWER_LAYERS_MAX)
        return pd_lower_fail(lw, -ENOTSUP, "too many layers; at most %d are taken", PD_LOWER_LAYERS_MAX);
    int cap = lw->layers_cap;
    if (!grow(lw, (void **)&lw->layers, lw->n_layers, cap, sizeof(*lw->layers)) ||
        !grow(lw, (void **)&lw->weight_owned, lw->n_layers, cap, sizeof(*lw->weight_owned)))
        return pd_lower_no_memory(lw);
    if (lw->n_layers == cap)
        lw->layers_cap = cap ? cap * 2 : 64;
    int out = add_tensor(lw, lw->node->n_out ? lw->node->proto->output[0] : "", channels);
    if (out < 0)
        return out;
    lw->info[out] = lw->info[in];
    struct pd_layer *l = &lw->layers[lw->n_layers];
    *l = (struct pd_layer){.kind = kind, .n_in = in2 < 0 ? 1 : 2, .in = {in, in2 < 0 ? 0 : in2}, .out = out};
    l->groups = l->kh = l->kw = l->stride_y = l->stride_x = l->dilation_y = l->dilation_x = 1;
    l->scale_y = l->scale_x = 1;
    l->residual = -1;
    pd_onnx_copy_name(l->name, sizeof(l->name), lw->node->name);
    lw->weight_owned[lw->n_layers] = false;
    lw->tensors[out].producer = lw->n_layers;
    return lw->n_layers++;
}

int pd_lower_affine(struct pd_lower *lw, int in, const float *weight, const float *bias)
{
    int i = pd_lower_layer(lw, PD_LAYER_AFFINE, in, -1, lw->tensors[in].channels);
    if (i < 0)
        return i;
    lw->layers[i].weight = weight;
    lw->layers[i].n_weight = (size_t)lw->tensors[in].channels;
    lw->layers[i].bias = bias;
    return i;
}

/* ---- outputs ---- */

int pd_lower_set_value(struct pd_lower *lw, int k, const struct pd_value *value)
{
    if (k < lw->node->n_out && lw->node->out[k] >= 0)
        lw->values[lw->node->out[k]] = *value;
    return 0;
}

int pd_lower_set(struct pd_lower *lw, int k, int tensor, const struct pd_value *like)
{
    struct pd_value v = {.kind = PD_VALUE_TENSOR, .tensor = tensor, .flat = like && like->flat};
    return pd_lower_set_value(lw, k, &v);
}

int pd_lower_set_layer(struct pd_lower *lw, int layer, const struct pd_value *like)
{
    return layer < 0 ? layer : pd_lower_set(lw, 0, lw->layers[layer].out, like);
}

/* ---- the walk ---- */

static int compare_op(const void *key, const void *op)
{
    return strcmp(key, ((const struct op *)op)->name);
}

static int lower_node(struct pd_lower *lw)
{
    const struct pd_onnx_node *nd = lw->node;
    const struct op *op = bsearch(nd->op, ops, PD_ARRAY_SIZE(ops), sizeof(*ops), compare_op);
    if (!op)
        return pd_lower_fail(lw, -ENOTSUP, "this operator is not known to posed");
    if (nd->n_in < op->min_in || nd->n_in > op->max_in || nd->n_out < 1)
        return pd_lower_fail(lw, -EINVAL, "has %d inputs and %d outputs; %d to %d inputs are expected", nd->n_in,
                             nd->n_out, op->min_in, op->max_in);
    for (int k = 0; k < nd->n_in; k++) {
        const struct pd_value *v = pd_lower_input(lw, k);
        if (!v && k < op->min_in)
            return pd_lower_fail(lw, -EINVAL, "input %d is missing", k);
        if (v && v->kind == PD_VALUE_UNSET)
            return pd_lower_fail(lw, -ENOTSUP, "input %d is an optional output that posed does not compute", k);
    }
    return op->fn(lw);
}

static int lower_initializers(struct pd_lower *lw)
{
    for (int i = 0; i < lw->onnx->n_values; i++) {
        const Onnx__TensorProto *t = lw->onnx->initializers[i];
        if (!t)
            continue;
        lw->values[i].kind = PD_VALUE_CONST;
        int r = pd_onnx_const(lw->onnx, t, lw->onnx->value_names[i], &lw->values[i].k, lw->err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The image: n x 3 x h x w floats. */
static int lower_input(struct pd_lower *lw)
{
    const Onnx__ValueInfoProto *in = lw->onnx->input;
    const Onnx__TypeProto__Tensor *type = in->type ? in->type->tensor_type : NULL;
    if (type && type->has_elem_type && type->elem_type != PD_ONNX_FLOAT)
        return pd_err_set(lw->err, -ENOTSUP, "%s: input '%.80s' has data type %d; float (1) is expected",
                          lw->onnx->file, in->name, (int)type->elem_type);
    if (type && type->shape) {
        const Onnx__TensorShapeProto *s = type->shape;
        if (s->n_dim != 4 || (s->dim[1]->has_dim_value && s->dim[1]->dim_value != 3))
            return pd_err_set(lw->err, -ENOTSUP, "%s: input '%.80s' is not an n x 3 x h x w image", lw->onnx->file,
                              in->name);
    }
    lw->input = add_tensor(lw, in->name, 3);
    if (lw->input < 0)
        return lw->input;
    lw->values[lw->onnx->input_value] = (struct pd_value){.kind = PD_VALUE_TENSOR, .tensor = lw->input};
    return 0;
}

static int common_multiple(int a, int b)
{
    int x = a, y = b;
    while (y) {
        int rest = x % y;
        x = y;
        y = rest;
    }
    return a / x * b;
}

/* What the input's sides must divide by: every sampling of what is left. */
static void find_multiple(struct pd_lower *lw)
{
    for (int i = 0; i < lw->n_layers; i++) {
        if (lw->layers[i].out < 0 || lw->info[lw->layers[i].out].pooled)
            continue;
        const struct pd_tensor_info *out = &lw->info[lw->layers[i].out];
        const double scales[] = {out->scale_y, out->scale_x};
        for (int k = 0; k < 2; k++) {
            if (scales[k] < 1 || scales[k] > MULTIPLE_MAX || scales[k] != floor(scales[k]))
                continue;
            int both = common_multiple(PD_MAX(lw->meta.multiple, 1), (int)scales[k]);
            lw->meta.multiple = both <= MULTIPLE_MAX ? both : PD_MAX(lw->meta.multiple, (int)scales[k]);
        }
    }
}

static int run_passes(struct pd_lower *lw, struct pd_net **ret_net)
{
    int r = pd_lower_outputs(lw);
    if (!r)
        r = pd_lower_meta(lw);
    if (!r)
        r = pd_lower_prune(lw);
    if (!r)
        find_multiple(lw);
    if (!r)
        r = pd_lower_swish(lw);
    if (!r)
        r = pd_lower_prune(lw);
    if (!r)
        r = pd_lower_fold(lw);
    if (!r)
        r = pd_lower_fuse(lw);
    return r ? r : pd_lower_finish(lw, ret_net);
}

static void note_readers(struct pd_lower *lw)
{
    for (int i = 0; i < lw->onnx->n_nodes; i++)
        for (int k = 0; k < lw->onnx->nodes[i].n_in; k++)
            if (lw->onnx->nodes[i].in[k] >= 0)
                lw->is_read[lw->onnx->nodes[i].in[k]] = true;
}

int pd_lower(const struct pd_onnx *onnx, struct pd_net **ret_net, struct pd_err *err)
{
    struct pd_lower lw = {.onnx = onnx, .arena = onnx->arena, .err = err};
    lw.values = pd_arena_alloc(lw.arena, (size_t)onnx->n_values, sizeof(*lw.values));
    lw.is_read = pd_arena_alloc(lw.arena, (size_t)onnx->n_values, sizeof(*lw.is_read));
    if (!lw.values || !lw.is_read)
        return pd_lower_no_memory(&lw);
    note_readers(&lw);
    int r = lower_initializers(&lw);
    if (!r)
        r = lower_input(&lw);
    for (int i = 0; i < onnx->n_nodes && !r; i++) {
        lw.node = &onnx->nodes[i];
        r = lower_node(&lw);
    }
    return r ? r : run_passes(&lw, ret_net);
}
