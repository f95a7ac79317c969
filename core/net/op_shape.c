/* SPDX-License-Identifier: Apache-2.0
 *
 * Constants, and the small computations with shapes that exporters leave behind (Shape, Gather, Unsqueeze, Concat
 * before a Reshape). A dimension that depends on the input's size is carried as "axis i of a tensor", never as a
 * number.
 */
#include <errno.h>
#include <string.h>

#include "core/net/lower.h"

bool pd_lower_vector(const struct pd_value *value, struct pd_value *ret_vector)
{
    if (!value)
        return false;
    if (value->kind == PD_VALUE_SHAPE) {
        if (value->n_dims > 1)
            return false;
        *ret_vector = *value;
        return true;
    }
    const struct pd_const *k = &value->k;
    if (value->kind != PD_VALUE_CONST || !k->i || k->n_dims > 1 || k->count > PD_LOWER_SHAPE_MAX)
        return false;
    struct pd_value v = {.kind = PD_VALUE_SHAPE, .n_dims = k->n_dims, .n = (int)k->count};
    for (int i = 0; i < v.n; i++) {
        v.v[i] = k->i[i];
        v.axis[i] = -1;
    }
    *ret_vector = v;
    return true;
}

int pd_lower_concat_vectors(struct pd_lower *lw)
{
    struct pd_value all = {.kind = PD_VALUE_SHAPE, .n_dims = 1};
    for (int k = 0; k < lw->node->n_in; k++) {
        struct pd_value v;
        if (!pd_lower_vector(pd_lower_input(lw, k), &v) || v.n_dims != 1 || all.n + v.n > PD_LOWER_SHAPE_MAX)
            return pd_lower_fail(lw, -ENOTSUP, "input %d is neither an image nor a short vector of integers", k);
        for (int i = 0; i < v.n; i++, all.n++) {
            all.v[all.n] = v.v[i];
            all.axis[all.n] = v.axis[i];
        }
    }
    return pd_lower_set_value(lw, 0, &all);
}

int pd_lower_slice_vector(struct pd_lower *lw, const struct pd_value *vector, int64_t start, int64_t end)
{
    struct pd_value part = {.kind = PD_VALUE_SHAPE, .n_dims = 1};
    start = PD_CLAMP(start < 0 ? start + vector->n : start, 0, vector->n);
    end = PD_CLAMP(end < 0 ? end + vector->n : end, 0, vector->n);
    for (int64_t i = start; i < end; i++, part.n++) {
        part.v[part.n] = vector->v[i];
        part.axis[part.n] = vector->axis[i];
    }
    return pd_lower_set_value(lw, 0, &part);
}

static bool compute(char op, int64_t a, int64_t b, int64_t *ret)
{
    switch (op) {
    case 'A':
        return !__builtin_add_overflow(a, b, ret);
    case 'S':
        return !__builtin_sub_overflow(a, b, ret);
    case 'M':
        return !__builtin_mul_overflow(a, b, ret);
    default:
        if (!b || (a == INT64_MIN && b == -1))
            return false;
        *ret = a / b;
        return true;
    }
}

int pd_lower_compute(struct pd_lower *lw, const struct pd_value *a, const struct pd_value *b)
{
    struct pd_value v = a->n >= b->n ? *a : *b;
    char op = !strcmp(lw->node->op, "Sum") ? 'A' : lw->node->op[0];
    if (a->n != b->n && a->n != 1 && b->n != 1)
        return pd_lower_fail(lw, -EINVAL, "vectors of %d and %d integers", a->n, b->n);
    v.kind = PD_VALUE_SHAPE;
    v.n_dims = PD_MAX(a->n_dims, b->n_dims);
    for (int i = 0; i < v.n; i++) {
        int ia = a->n == 1 ? 0 : i, ib = b->n == 1 ? 0 : i;
        if (a->axis[ia] >= 0 || b->axis[ib] >= 0)
            return pd_lower_fail(lw, -ENOTSUP, "calculates with the picture's size; export with a fixed scale factor");
        if (!compute(op, a->v[ia], b->v[ib], &v.v[i]))
            return pd_lower_fail(lw, -EINVAL, "%lld and %lld have no result", (long long)a->v[ia], (long long)b->v[ib]);
        v.axis[i] = -1;
    }
    return pd_lower_set_value(lw, 0, &v);
}

int pd_op_shape(struct pd_lower *lw)
{
    const struct pd_value *in = pd_lower_input(lw, 0);
    struct pd_value v = {.kind = PD_VALUE_SHAPE, .n_dims = 1};
    if (in->kind == PD_VALUE_TENSOR) {
        v.n = in->flat ? 2 : 4;
        for (int i = 0; i < v.n; i++)
            v.axis[i] = i;
        if (!in->flat) {
            v.v[1] = lw->tensors[in->tensor].channels;
            v.axis[1] = -1;
        }
    } else if (in->kind == PD_VALUE_CONST) {
        v.n = in->k.n_dims;
        for (int i = 0; i < v.n; i++) {
            v.v[i] = in->k.dims[i];
            v.axis[i] = -1;
        }
    } else {
        return pd_lower_fail(lw, -ENOTSUP, "the shape of a shape");
    }
    if (pd_attr(lw->node, "start") || pd_attr(lw->node, "end")) /* from opset 15 */
        return pd_lower_slice_vector(lw, &v, pd_attr_int(lw->node, "start", 0),
                                     pd_attr_int(lw->node, "end", INT64_MAX));
    return pd_lower_set_value(lw, 0, &v);
}

int pd_op_gather(struct pd_lower *lw)
{
    struct pd_value from, at;
    if (!pd_lower_vector(pd_lower_input(lw, 0), &from) || !pd_lower_vector(pd_lower_input(lw, 1), &at) ||
        pd_attr_int(lw->node, "axis", 0) != 0)
        return pd_lower_fail(lw, -ENOTSUP, "only elements of a shape can be gathered");
    struct pd_value v = {.kind = PD_VALUE_SHAPE, .n_dims = at.n_dims, .n = at.n};
    for (int i = 0; i < at.n; i++) {
        int64_t k = at.v[i] < 0 ? at.v[i] + from.n : at.v[i];
        if (at.axis[i] >= 0 || k < 0 || k >= from.n)
            return pd_lower_fail(lw, -EINVAL, "index %lld of %d", (long long)at.v[i], from.n);
        v.v[i] = from.v[k];
        v.axis[i] = from.axis[k];
    }
    return pd_lower_set_value(lw, 0, &v);
}

/* Squeeze and Unsqueeze: between a scalar and a vector of one. */
int pd_op_squeeze(struct pd_lower *lw)
{
    struct pd_value v;
    bool up = lw->node->op[0] == 'U';
    if (!pd_lower_vector(pd_lower_input(lw, 0), &v) || v.n != 1 || v.n_dims != (up ? 0 : 1))
        return pd_lower_fail(lw, -ENOTSUP, "only single integers of a shape are supported");
    v.n_dims = up;
    return pd_lower_set_value(lw, 0, &v);
}

/* Between types of the same kind: integers stay integers, floats floats. */
int pd_op_cast(struct pd_lower *lw)
{
    const struct pd_value *in = pd_lower_input(lw, 0);
    int64_t to = pd_attr_int(lw->node, "to", 0);
    bool floats = in->kind == PD_VALUE_TENSOR || (in->kind == PD_VALUE_CONST && !in->k.i);
    if (floats ? to != PD_ONNX_FLOAT : to != PD_ONNX_INT64 && to != PD_ONNX_INT32)
        return pd_lower_fail(lw, -ENOTSUP, "to data type %lld is not supported", (long long)to);
    return pd_lower_set_value(lw, 0, in);
}

int pd_op_identity(struct pd_lower *lw)
{
    if (pd_lower_input(lw, 2) && lw->onnx->opset >= 12) { /* Dropout with training_mode: false, or not constant */
        const struct pd_value *training = pd_lower_input(lw, 2);
        return pd_lower_fail(lw, -ENOTSUP,
                             training->kind == PD_VALUE_CONST ? "is in training mode" : "may be in training mode");
    }
    return pd_lower_set_value(lw, 0, pd_lower_input(lw, 0));
}

int pd_op_constant(struct pd_lower *lw)
{
    const Onnx__AttributeProto *a = pd_attr(lw->node, "value");
    struct pd_value v = {.kind = PD_VALUE_CONST};
    if (a && a->t) {
        int r = pd_onnx_const(lw->onnx, a->t, lw->node->name, &v.k, lw->err);
        return r < 0 ? r : pd_lower_set_value(lw, 0, &v);
    }
    v.k.count = 1;
    if ((a = pd_attr(lw->node, "value_float")) && pd_attr_has_float(a)) {
        v.k.f = &a->f;
    } else if ((a = pd_attr(lw->node, "value_int")) && pd_attr_has_int(a)) {
        v.k.i = &a->i;
    } else if (((a = pd_attr(lw->node, "value_ints")) && a->n_ints) ||
               ((a = pd_attr(lw->node, "value_floats")) && a->n_floats)) {
        v.k.i = a->n_ints ? a->ints : NULL;
        v.k.f = a->n_ints ? NULL : a->floats;
        v.k.n_dims = 1;
        v.k.count = a->n_ints ? a->n_ints : a->n_floats;
        v.k.dims[0] = (int64_t)v.k.count;
    } else {
        return pd_lower_fail(lw, -ENOTSUP, "holds no tensor and no number");
    }
    return pd_lower_set_value(lw, 0, &v);
}

/* To n x h x w x c, and read by no node: a converter leaves the outputs of a TensorFlow network so. */
static bool to_channels_last_at_the_end(const struct pd_lower *lw, const Onnx__AttributeProto *perm)
{
    static const int64_t channels_last[] = {0, 2, 3, 1};
    if (!perm || perm->n_ints != PD_ARRAY_SIZE(channels_last) || lw->node->n_out != 1 ||
        memcmp(perm->ints, channels_last, sizeof(channels_last)))
        return false;
    return lw->node->out[0] < 0 || !lw->is_read[lw->node->out[0]];
}

/* Otherwise of constant matrices only, which is how some exporters hand weights to MatMul. */
int pd_op_transpose(struct pd_lower *lw)
{
    const struct pd_value *in = pd_lower_input(lw, 0);
    const Onnx__AttributeProto *perm = pd_attr(lw->node, "perm");
    bool swap = !perm || (perm->n_ints == 2 && perm->ints[0] == 1 && perm->ints[1] == 0);
    if (in->kind == PD_VALUE_TENSOR && to_channels_last_at_the_end(lw, perm))
        return pd_lower_set_value(lw, 0, in); /* the maps themselves, in whatever layout an engine has */
    if (in->kind == PD_VALUE_SHAPE && in->n_dims == 2 && swap)
        return pd_lower_transpose_integers(lw, in);
    if (in->kind != PD_VALUE_CONST || !in->k.f || in->k.n_dims != 2 || !swap)
        return pd_lower_fail(lw, -ENOTSUP,
                             "only constant matrices can be transposed; export the network as n x c x h x w");
    struct pd_value v = *in;
    size_t rows = (size_t)in->k.dims[0], cols = (size_t)in->k.dims[1];
    float *f = pd_arena_alloc(lw->arena, in->k.count, sizeof(*f));
    if (!f)
        return pd_lower_no_memory(lw);
    for (size_t y = 0; y < rows; y++)
        for (size_t x = 0; x < cols; x++)
            f[x * rows + y] = in->k.f[y * cols + x];
    v.k.dims[0] = in->k.dims[1];
    v.k.dims[1] = in->k.dims[0];
    v.k.f = f;
    return pd_lower_set_value(lw, 0, &v);
}
