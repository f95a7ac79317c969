/* SPDX-License-Identifier: Apache-2.0
 *
 * Operators that move samples about: concat, split and slice along channels, and resizing by whole factors.
 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "core/net/lower.h"

#define RESIZE_MAX 64

int pd_op_concat(struct pd_lower *lw)
{
    int n = lw->node->n_in, tensors[PD_LAYER_INPUTS_MAX];
    if (pd_lower_input(lw, 0)->kind != PD_VALUE_TENSOR)
        return pd_lower_concat_vectors(lw);
    int64_t axis = pd_attr_int(lw->node, "axis", 0), channels = 0;
    if (axis != 1 && axis != -3)
        return pd_lower_fail(lw, -ENOTSUP, "axis %lld; only channels (axis 1) are supported", (long long)axis);
    for (int k = 0; k < n; k++) {
        if (!pd_lower_input(lw, k))
            return pd_lower_fail(lw, -EINVAL, "input %d is missing", k);
        int r = pd_lower_image(lw, k, &tensors[k]);
        if (r < 0)
            return r;
        channels += lw->tensors[tensors[k]].channels;
    }
    if (channels > 1 << 20)
        return pd_lower_fail(lw, -ENOTSUP, "makes %lld channels", (long long)channels);
    int i = pd_lower_layer(lw, PD_LAYER_CONCAT, tensors[0], -1, (int)channels);
    if (i < 0)
        return i;
    lw->layers[i].n_in = n;
    memcpy(lw->layers[i].in, tensors, (size_t)n * sizeof(int));
    for (int k = 1; k < n; k++)
        if (!lw->info[tensors[k]].pooled)
            lw->info[lw->layers[i].out].pooled = false;
    return pd_lower_set_layer(lw, i, NULL);
}

/* Channels @from .. @from + @count of @in as output @k. */
static int slice_channels(struct pd_lower *lw, int in, int64_t from, int64_t count, int k)
{
    int channels = lw->tensors[in].channels;
    if (from < 0 || count < 1 || from > channels || count > channels - from)
        return pd_lower_fail(lw, -EINVAL, "channels %lld to %lld of %d", (long long)from, (long long)(from + count),
                             channels);
    int i = pd_lower_layer(lw, PD_LAYER_SLICE, in, -1, (int)count);
    if (i < 0)
        return i;
    lw->layers[i].slice_from = (int)from;
    if (k < lw->node->n_out)
        pd_onnx_copy_name(lw->tensors[lw->layers[i].out].name, PD_NAME_MAX, lw->node->proto->output[k]);
    return pd_lower_set(lw, k, lw->layers[i].out, NULL);
}

int pd_op_split(struct pd_lower *lw)
{
    int in;
    int r = pd_lower_image(lw, 0, &in);
    if (r < 0)
        return r;
    int64_t axis = pd_attr_int(lw->node, "axis", 0);
    if (axis != 1 && axis != -3)
        return pd_lower_fail(lw, -ENOTSUP, "axis %lld; only channels (axis 1) are supported", (long long)axis);
    const Onnx__AttributeProto *a = pd_attr(lw->node, "split");
    const struct pd_value *given = pd_lower_input(lw, 1);
    if (given && (given->kind != PD_VALUE_CONST || !given->k.i))
        return pd_lower_fail(lw, -ENOTSUP, "the sizes must be a constant of integers");
    const int64_t *sizes = given ? given->k.i : a ? a->ints : NULL;
    int n = lw->node->n_out, channels = lw->tensors[in].channels;
    if (sizes && (given ? given->k.count : a->n_ints) != (size_t)n)
        return pd_lower_fail(lw, -EINVAL, "the number of sizes is not the number of outputs, %d", n);
    int64_t each = (channels + n - 1) / n, from = 0; /* the last part is smaller when they do not divide */
    for (int k = 0; k < n; k++) {
        int64_t count = sizes ? sizes[k] : PD_MIN(each, channels - from);
        r = slice_channels(lw, in, from, count, k);
        if (r < 0)
            return r;
        from += count;
    }
    return from == channels
               ? 0
               : pd_lower_fail(lw, -EINVAL, "the sizes sum to %lld of %d channels", (long long)from, channels);
}

/* The one value of a Slice parameter: attribute up to opset 9, input from opset 10. */
static int slice_parameter(struct pd_lower *lw, int input, const char *attr, int64_t fallback, int64_t *ret_value)
{
    const Onnx__AttributeProto *a = lw->onnx->opset < 10 ? pd_attr(lw->node, attr) : NULL;
    const struct pd_value *given = pd_lower_input(lw, input);
    *ret_value = fallback;
    if (!a && !given)
        return 0;
    struct pd_value v = {.n = a ? (int)PD_MIN(a->n_ints, 2) : 0, .axis = {-1}};
    if (a && a->n_ints)
        v.v[0] = a->ints[0];
    if ((!a && !pd_lower_vector(given, &v)) || v.n != 1 || v.axis[0] >= 0)
        return pd_lower_fail(lw, -ENOTSUP, "%s must be one constant integer", attr);
    *ret_value = v.v[0];
    return 0;
}

int pd_op_slice(struct pd_lower *lw)
{
    int64_t start, end, axis, step;
    int r = slice_parameter(lw, 1, "starts", INT64_MAX, &start);
    if (!r)
        r = slice_parameter(lw, 2, "ends", INT64_MAX, &end);
    if (!r)
        r = slice_parameter(lw, 3, "axes", 0, &axis);
    if (!r)
        r = slice_parameter(lw, 4, "steps", 1, &step);
    if (r < 0)
        return r;
    const struct pd_value *data = pd_lower_input(lw, 0);
    if (data->kind == PD_VALUE_SHAPE && data->n_dims == 2 && axis == 0 && step == -1 && start == -1 &&
        end <= -INT64_MAX)
        return pd_lower_turn_upside_down(lw, data);
    if (step != 1)
        return pd_lower_fail(lw, -ENOTSUP, "step %lld; only 1 is supported", (long long)step);
    struct pd_value vector;
    if (pd_lower_vector(pd_lower_input(lw, 0), &vector))
        return axis == 0 || axis == -1 ? pd_lower_slice_vector(lw, &vector, start, end)
                                       : pd_lower_fail(lw, -EINVAL, "axis %lld of a vector", (long long)axis);
    int in;
    r = pd_lower_image(lw, 0, &in);
    if (r < 0)
        return r;
    if (axis != 1 && axis != -3)
        return pd_lower_fail(lw, -ENOTSUP, "axis %lld; only channels (axis 1) are supported", (long long)axis);
    int64_t channels = lw->tensors[in].channels;
    start = PD_CLAMP(start < 0 ? start + channels : start, 0, channels);
    end = PD_CLAMP(end < 0 ? end + channels : end, 0, channels);
    return slice_channels(lw, in, start, end - start, 0);
}

/* ---- resizing ---- */

/* The four scale factors, wherever this opset keeps them. */
static int resize_scales(struct pd_lower *lw, float scales[4])
{
    bool upsample = !strcmp(lw->node->op, "Upsample");
    int input = upsample || lw->onnx->opset < 11 ? 1 : 2;
    const struct pd_value *given = pd_lower_input(lw, input);
    if (!given || given->kind != PD_VALUE_CONST || !given->k.f || given->k.count != 4)
        return pd_lower_fail(lw, -ENOTSUP,
                             "constant scale factors for the four axes are expected (export with scale_factor)");
    memcpy(scales, given->k.f, 4 * sizeof(float));
    if (scales[0] != 1 || scales[1] != 1)
        return pd_lower_fail(lw, -ENOTSUP, "resizes batch or channels");
    for (int i = 2; i < 4; i++)
        if (!(scales[i] >= 1) || scales[i] > RESIZE_MAX || scales[i] != floorf(scales[i]))
            return pd_lower_fail(lw, -ENOTSUP, "resizes by %g; whole factors from 1 to %d are supported",
                                 (double)scales[i], RESIZE_MAX);
    return 0;
}

/* Whether the sampling rule is exactly ours: nearest floor(x / s), or linear between half-pixel centres. */
static bool resize_is_exact(const struct pd_lower *lw, bool linear, float scale)
{
    const struct pd_onnx_node *nd = lw->node;
    bool old = !strcmp(nd->op, "Upsample") || lw->onnx->opset < 11; /* always asymmetric, rounding down */
    const char *fallback = old ? "asymmetric" : "half_pixel";
    bool half = pd_attr_is(nd, "coordinate_transformation_mode", fallback, "half_pixel") ||
                pd_attr_is(nd, "coordinate_transformation_mode", fallback, "pytorch_half_pixel");
    bool asymmetric = pd_attr_is(nd, "coordinate_transformation_mode", fallback, "asymmetric");
    if (scale == 1)
        return true;
    if (linear)
        return half;
    bool floors = old || pd_attr_is(nd, "nearest_mode", "round_prefer_floor", "floor");
    bool rounds = !old && (pd_attr_is(nd, "nearest_mode", "round_prefer_floor", "round_prefer_floor") ||
                           pd_attr_is(nd, "nearest_mode", "round_prefer_floor", "round_prefer_ceil"));
    /* (x + 0.5) / s - 0.5 is never half-way between samples for a whole s, and rounds to floor(x / s). */
    if (half)
        return rounds;
    return asymmetric &&
           (floors || (scale == 2 && pd_attr_is(nd, "nearest_mode", "round_prefer_floor", "round_prefer_floor")));
}

int pd_op_resize(struct pd_lower *lw)
{
    int in;
    float scales[4];
    int r = pd_lower_image(lw, 0, &in);
    if (!r)
        r = resize_scales(lw, scales);
    if (r < 0)
        return r;
    bool linear = pd_attr_is(lw->node, "mode", "nearest", "linear");
    if (!linear && !pd_attr_is(lw->node, "mode", "nearest", "nearest"))
        return pd_lower_fail(lw, -ENOTSUP, "only modes nearest and linear are supported");
    if (!resize_is_exact(lw, linear, scales[2]) || !resize_is_exact(lw, linear, scales[3]))
        return pd_lower_fail(lw, -ENOTSUP,
                             "only linear with half_pixel, or nearest with asymmetric and floor, is supported");
    if (scales[2] == 1 && scales[3] == 1)
        return pd_lower_set(lw, 0, in, NULL);
    int i = pd_lower_layer(lw, PD_LAYER_RESIZE, in, -1, lw->tensors[in].channels);
    if (i < 0)
        return i;
    struct pd_layer *l = &lw->layers[i];
    l->scale_y = (int)scales[2];
    l->scale_x = (int)scales[3];
    l->bilinear = linear;
    lw->info[l->out].pooled = false;
    lw->info[l->out].scale_y /= l->scale_y;
    lw->info[l->out].scale_x /= l->scale_x;
    lw->info[l->out].more_y = pd_lower_more((int64_t)lw->info[l->out].more_y * l->scale_y);
    lw->info[l->out].more_x = pd_lower_more((int64_t)lw->info[l->out].more_x * l->scale_x);
    return pd_lower_set_layer(lw, i, NULL);
}
