/* SPDX-License-Identifier: Apache-2.0
 *
 * Constants of an ONNX file. What a tensor says of itself (dims, type) and what it holds must agree before anything is
 * read from it.
 */
#include <errno.h>
#include <string.h>

#include "core/net/onnx.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "raw_data is little-endian: this host needs a byte swap here"
#endif

static const float no_floats;

struct source {
    const struct pd_onnx *onnx;
    const Onnx__TensorProto *t;
    const char *what;
    struct pd_err *err;
    size_t count;
};

static int check_dims(const struct source *s, struct pd_const *c)
{
    if (s->t->n_dims > PD_ONNX_DIMS_MAX)
        return pd_err_set(s->err, -EINVAL, "%s: tensor '%.80s' has %zu dimensions; at most %d are taken", s->onnx->file,
                          s->what, s->t->n_dims, PD_ONNX_DIMS_MAX);
    c->n_dims = (int)s->t->n_dims;
    c->count = 1;
    for (int i = 0; i < c->n_dims; i++) {
        c->dims[i] = s->t->dims[i];
        if (c->dims[i] < 0 || pd_mul_overflows(c->count, (size_t)c->dims[i], &c->count))
            return pd_err_set(s->err, -EINVAL, "%s: tensor '%.80s': dimension %d is %lld, which cannot be",
                              s->onnx->file, s->what, i, (long long)c->dims[i]);
    }
    return 0;
}

static float half_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = (h >> 10) & 31, mantissa = h & 1023;
    float f;
    if (!exponent) { /* zero and subnormals: mantissa * 2^-24, exact in fp32 */
        f = (float)mantissa * 0x1p-24f;
        return sign ? -f : f;
    }
    uint32_t bits = sign | (exponent == 31 ? 0x7f800000 : (exponent + 112) << 23) | mantissa << 13;
    memcpy(&f, &bits, sizeof(f));
    return f;
}

static int bad_length(const struct source *s, size_t held, const char *unit)
{
    return pd_err_set(s->err, -EINVAL, "%s: tensor '%.80s' says %zu values but holds %zu %s", s->onnx->file, s->what,
                      s->count, held, unit);
}

static int out_of_budget(const struct source *s)
{
    return pd_err_set(s->err, -ENOMEM, "%s: tensor '%.80s': out of memory for a file of this size", s->onnx->file,
                      s->what);
}

static int read_floats(const struct source *s, const float **ret_f)
{
    const Onnx__TensorProto *t = s->t;
    if (t->has_raw_data) {
        if (t->raw_data.len != s->count * sizeof(float))
            return bad_length(s, t->raw_data.len, "bytes");
        if ((uintptr_t)t->raw_data.data % _Alignof(float) == 0) { /* the usual case costs no copy */
            *ret_f = (const float *)(const void *)t->raw_data.data;
            return 0;
        }
        float *f = pd_arena_alloc(s->onnx->arena, s->count, sizeof(float));
        if (!f)
            return out_of_budget(s);
        memcpy(f, t->raw_data.data, t->raw_data.len);
        *ret_f = f;
        return 0;
    }
    if (t->n_float_data != s->count)
        return bad_length(s, t->n_float_data, "values");
    *ret_f = t->float_data;
    return 0;
}

static int convert_floats(const struct source *s, const float **ret_f)
{
    const Onnx__TensorProto *t = s->t;
    bool half = t->data_type == PD_ONNX_FLOAT16;
    size_t width = half ? 2 : 8, held = half ? t->n_int32_data : t->n_double_data;
    if (t->has_raw_data ? t->raw_data.len != s->count * width : held != s->count)
        return t->has_raw_data ? bad_length(s, t->raw_data.len, "bytes") : bad_length(s, held, "values");
    float *f = pd_arena_alloc(s->onnx->arena, s->count, sizeof(float));
    if (!f)
        return out_of_budget(s);
    for (size_t i = 0; i < s->count; i++) {
        if (half) {
            uint16_t h = t->has_raw_data ? 0 : (uint16_t)t->int32_data[i];
            if (t->has_raw_data)
                memcpy(&h, t->raw_data.data + 2 * i, 2);
            f[i] = half_to_float(h);
        } else {
            double d = t->has_raw_data ? 0 : t->double_data[i];
            if (t->has_raw_data)
                memcpy(&d, t->raw_data.data + 8 * i, 8);
            f[i] = (float)d;
        }
    }
    *ret_f = f;
    return 0;
}

static int read_integers(const struct source *s, const int64_t **ret_i)
{
    const Onnx__TensorProto *t = s->t;
    bool wide = t->data_type == PD_ONNX_INT64;
    size_t width = wide ? 8 : 4, held = wide ? t->n_int64_data : t->n_int32_data;
    if (t->has_raw_data ? t->raw_data.len != s->count * width : held != s->count)
        return t->has_raw_data ? bad_length(s, t->raw_data.len, "bytes") : bad_length(s, held, "values");
    int64_t *v = pd_arena_alloc(s->onnx->arena, s->count, sizeof(*v));
    if (!v)
        return out_of_budget(s);
    for (size_t k = 0; k < s->count; k++) {
        if (!t->has_raw_data) {
            v[k] = wide ? t->int64_data[k] : t->int32_data[k];
        } else if (wide) {
            memcpy(&v[k], t->raw_data.data + 8 * k, 8);
        } else {
            int32_t small;
            memcpy(&small, t->raw_data.data + 4 * k, 4);
            v[k] = small;
        }
    }
    *ret_i = v;
    return 0;
}

int pd_onnx_const(const struct pd_onnx *onnx, const Onnx__TensorProto *tensor, const char *what,
                  struct pd_const *ret_const, struct pd_err *err)
{
    struct pd_const c = {0};
    struct source s = {.onnx = onnx, .t = tensor, .what = what, .err = err};
    if (tensor->n_external_data || tensor->data_location)
        return pd_err_set(err, -ENOTSUP, "%s: tensor '%.80s' is kept in another file; save the network in one file",
                          onnx->file, what);
    int r = check_dims(&s, &c);
    if (r < 0)
        return r;
    s.count = c.count;
    /* Nothing that a file can hold is larger than the budget; this also keeps count * width below from wrapping. */
    if (c.count > onnx->arena->limit)
        return bad_length(&s, tensor->has_raw_data ? tensor->raw_data.len : tensor->n_float_data, "bytes");
    switch (tensor->data_type) {
    case PD_ONNX_FLOAT:
        r = read_floats(&s, &c.f);
        break;
    case PD_ONNX_FLOAT16:
    case PD_ONNX_DOUBLE:
        r = convert_floats(&s, &c.f);
        break;
    case PD_ONNX_INT32:
    case PD_ONNX_INT64:
        r = read_integers(&s, &c.i);
        break;
    default:
        r = pd_err_set(err, -ENOTSUP,
                       "%s: tensor '%.80s' has data type %d; float, double, float16, int32, int64 are taken",
                       onnx->file, what, (int)tensor->data_type);
    }
    if (!r && !c.f && !c.i)
        c.f = &no_floats; /* empty, but of floats */
    if (!r)
        *ret_const = c;
    return r;
}
