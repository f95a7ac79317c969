/* SPDX-License-Identifier: Apache-2.0
 *
 * Small matrices of integers. PyTorch's exporter writes the pads of F.pad as a computation: zeros are appended for the
 * axes that are not padded (ConstantOfShape, Concat), and since F.pad names the last axis first and begin beside end,
 * the vector is made a matrix of two columns, turned upside down, transposed, and made a vector again.
 */
#include <errno.h>

#include "core/net/lower.h"

/* A vector of one integer over and over. */
int pd_op_constant_of_shape(struct pd_lower *lw)
{
    const Onnx__AttributeProto *a = pd_attr(lw->node, "value");
    struct pd_value n, v = {.kind = PD_VALUE_SHAPE, .n_dims = 1};
    struct pd_const fill = {0};
    int r = a && a->t ? pd_onnx_const(lw->onnx, a->t, lw->node->name, &fill, lw->err) : 0;
    if (r < 0)
        return r;
    if (!fill.i || fill.count != 1)
        return pd_lower_fail(lw, -ENOTSUP, "only one constant integer can be repeated");
    if (!pd_lower_vector(pd_lower_input(lw, 0), &n) || n.n != 1 || n.axis[0] >= 0 || n.v[0] < 0 ||
        n.v[0] > PD_LOWER_SHAPE_MAX)
        return pd_lower_fail(lw, -ENOTSUP, "the shape must be one constant number up to %d", PD_LOWER_SHAPE_MAX);
    v.n = (int)n.v[0];
    for (int i = 0; i < v.n; i++) {
        v.v[i] = fill.i[0];
        v.axis[i] = -1;
    }
    return pd_lower_set_value(lw, 0, &v);
}

/* Vector or matrix of two columns to the other, or to itself. */
int pd_lower_reshape_integers(struct pd_lower *lw, const struct pd_value *data, const struct pd_value *shape)
{
    struct pd_value v = *data;
    bool known = (shape->n == 1 || shape->n == 2) && shape->axis[0] < 0 && (shape->n == 1 || shape->axis[1] < 0);
    int rows = shape->n == 1 ? data->n : data->n / 2;
    if (!known || (shape->v[0] != -1 && shape->v[0] != rows) || (shape->n == 2 && (shape->v[1] != 2 || data->n % 2)))
        return pd_lower_fail(lw, -ENOTSUP, "%d integers can only become a vector, or a matrix of two columns", data->n);
    v.n_dims = shape->n;
    v.columns = shape->n == 2 ? 2 : 0;
    return pd_lower_set_value(lw, 0, &v);
}

int pd_lower_turn_upside_down(struct pd_lower *lw, const struct pd_value *m)
{
    struct pd_value v = *m;
    for (int i = 0; i < m->n; i++) {
        int from = (m->n / m->columns - 1 - i / m->columns) * m->columns + i % m->columns;
        v.v[i] = m->v[from];
        v.axis[i] = m->axis[from];
    }
    return pd_lower_set_value(lw, 0, &v);
}

int pd_lower_transpose_integers(struct pd_lower *lw, const struct pd_value *m)
{
    struct pd_value v = *m;
    v.columns = m->columns ? m->n / m->columns : 0;
    for (int i = 0; i < m->n; i++) {
        int from = i % v.columns * m->columns + i / v.columns;
        v.v[i] = m->v[from];
        v.axis[i] = m->axis[from];
    }
    return pd_lower_set_value(lw, 0, &v);
}
