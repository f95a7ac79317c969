/* SPDX-License-Identifier: Apache-2.0
 *
 * Every layer kind in plain loops, written to be checked by eye against net.h. The only concession to speed is the
 * order of the convolution's loops: whole rows are accumulated in the output itself, so that the compiler can vectorise
 * them.
 */
#include <math.h>
#include <string.h>

#include "core/engine/reference.h"

struct image {
    float *data;
    int c, h, w;
};

static float *row(const struct image *m, int c, int y)
{
    return m->data + ((size_t)c * (size_t)m->h + (size_t)y) * (size_t)m->w;
}

static size_t plane_size(const struct image *m)
{
    return (size_t)m->h * (size_t)m->w;
}

void pd_ref_round_bf16(float *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], 4);
        if (isnan(values[i]))
            continue;
        bits += 0x7fff + ((bits >> 16) & 1);
        bits &= 0xffff0000;
        memcpy(&values[i], &bits, 4);
    }
}

/* ---- convolution ---- */

/* The outputs x for which x * stride + offset lies within 0..n-1. */
static void valid_range(int offset, int stride, int n, int n_out, int *lo, int *hi)
{
    *lo = offset >= 0 ? 0 : (-offset + stride - 1) / stride;
    int last = n - 1 - offset;
    *hi = last < 0 ? 0 : PD_MIN(last / stride + 1, n_out);
}

static void accumulate_row(float *restrict out, const float *restrict in, float weight, int lo, int hi, int stride)
{
    if (stride == 1)
        for (int x = lo; x < hi; x++)
            out[x] += weight * in[x];
    else
        for (int x = lo; x < hi; x++)
            out[x] += weight * in[(ptrdiff_t)x * stride];
}

/* The same for four output channels, which reads the input once instead of four times. */
static void accumulate_rows4(float *restrict o0, float *restrict o1, float *restrict o2, float *restrict o3,
                             const float *restrict in, const float weight[4], int lo, int hi)
{
    const float w0 = weight[0], w1 = weight[1], w2 = weight[2], w3 = weight[3];
    for (int x = lo; x < hi; x++) {
        float v = in[x];
        o0[x] += w0 * v;
        o1[x] += w1 * v;
        o2[x] += w2 * v;
        o3[x] += w3 * v;
    }
}

/* Row @y of output channels @co .. @co + n, all of one group. */
static void conv_row(const struct pd_layer *l, const float *weight, const struct image *in, const struct image *out,
                     int co, int n, int y)
{
    int ci_group = in->c / l->groups, group = co / (out->c / l->groups);
    size_t taps = (size_t)l->kh * (size_t)l->kw;
    for (int i = 0; i < ci_group; i++) {
        for (int ky = 0; ky < l->kh; ky++) {
            int iy = y * l->stride_y - l->pad_top + ky * l->dilation_y;
            if (iy < 0 || iy >= in->h)
                continue;
            const float *source = row(in, group * ci_group + i, iy);
            for (int kx = 0; kx < l->kw; kx++) {
                int offset = kx * l->dilation_x - l->pad_left, lo, hi;
                valid_range(offset, l->stride_x, in->w, out->w, &lo, &hi);
                float w[4];
                for (int k = 0; k < n; k++)
                    w[k] = weight[((size_t)(co + k) * (size_t)ci_group + (size_t)i) * taps + (size_t)(ky * l->kw + kx)];
                if (n == 4 && l->stride_x == 1)
                    accumulate_rows4(row(out, co, y), row(out, co + 1, y), row(out, co + 2, y), row(out, co + 3, y),
                                     source + offset, w, lo, hi);
                else
                    for (int k = 0; k < n; k++)
                        accumulate_row(row(out, co + k, y), source + offset, w[k], lo, hi, l->stride_x);
            }
        }
    }
}

static void fill_bias(const struct pd_layer *l, const struct image *out)
{
    size_t n = plane_size(out);
    for (int c = 0; c < out->c; c++)
        for (size_t i = 0; i < n; i++)
            out->data[(size_t)c * n + i] = l->bias ? l->bias[c] : 0;
}

static void conv(const struct pd_layer *l, const float *weight, const struct image *in, const struct image *out)
{
    int co_group = out->c / l->groups;
    fill_bias(l, out);
    for (int g = 0; g < l->groups; g++)
        for (int k = 0; k < co_group; k += 4)
            for (int y = 0; y < out->h; y++)
                conv_row(l, weight, in, out, g * co_group + k, PD_MIN(4, co_group - k), y);
}

/* Each input sample is spread over the window of outputs that it stands for. */
static void deconv(const struct pd_layer *l, const float *weight, const struct image *in, const struct image *out)
{
    int ci_group = in->c / l->groups, co_group = out->c / l->groups;
    fill_bias(l, out);
    for (int i = 0; i < in->c; i++)
        for (int k = 0; k < co_group; k++)
            for (int y = 0; y < in->h; y++)
                for (int x = 0; x < in->w; x++)
                    for (int ky = 0; ky < l->kh; ky++)
                        for (int kx = 0; kx < l->kw; kx++) {
                            int oy = y * l->stride_y - l->pad_top + ky * l->dilation_y;
                            int ox = x * l->stride_x - l->pad_left + kx * l->dilation_x;
                            if (oy < 0 || oy >= out->h || ox < 0 || ox >= out->w)
                                continue;
                            size_t at = (((size_t)i * (size_t)co_group + (size_t)k) * (size_t)l->kh + (size_t)ky) *
                                            (size_t)l->kw +
                                        (size_t)kx;
                            row(out, i / ci_group * co_group + k, oy)[ox] += weight[at] * row(in, i, y)[x];
                        }
}

static void dense(const struct pd_layer *l, const float *weight, const struct image *in, const struct image *out)
{
    size_t n = (size_t)in->c * plane_size(in);
    for (int o = 0; o < out->c; o++) {
        double sum = l->bias ? (double)l->bias[o] : 0;
        for (size_t i = 0; i < n; i++)
            sum += (double)weight[(size_t)o * n + i] * (double)in->data[i];
        out->data[o] = (float)sum;
    }
}

/* ---- pooling ---- */

static float pool_at(const struct pd_layer *l, const struct image *in, int c, int y, int x)
{
    bool max = l->kind == PD_LAYER_MAXPOOL;
    float best = -INFINITY, sum = 0;
    int inside = 0, window = 0;
    for (int ky = 0; ky < l->kh; ky++)
        for (int kx = 0; kx < l->kw; kx++) {
            int iy = y * l->stride_y - l->pad_top + ky * l->dilation_y;
            int ix = x * l->stride_x - l->pad_left + kx * l->dilation_x;
            /* With ceil_mode a window may reach beyond the padding; what lies there is not counted at all. */
            window += iy < in->h + l->pad_bottom && ix < in->w + l->pad_right;
            if (iy < 0 || iy >= in->h || ix < 0 || ix >= in->w)
                continue;
            float v = row(in, c, iy)[ix];
            best = v > best || isnan(v) ? v : best;
            sum += v;
            inside++;
        }
    return max ? best : sum / (float)(l->count_include_pad ? window : PD_MAX(inside, 1));
}

static void pool(const struct pd_layer *l, const struct image *in, const struct image *out)
{
    for (int c = 0; c < out->c; c++)
        for (int y = 0; y < out->h; y++)
            for (int x = 0; x < out->w; x++)
                row(out, c, y)[x] = pool_at(l, in, c, y, x);
}

static void global_pool(const struct image *in, const struct image *out)
{
    size_t n = plane_size(in);
    for (int c = 0; c < in->c; c++) {
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += (double)in->data[(size_t)c * n + i];
        out->data[c] = (float)(sum / (double)n);
    }
}

/* ---- between tensors ---- */

static void add(const struct image *a, const struct image *b, const struct image *out)
{
    size_t n = (size_t)out->c * plane_size(out);
    for (size_t i = 0; i < n; i++)
        out->data[i] = a->data[i] + b->data[i];
}

static void multiply(const struct image *a, const struct image *b, const struct image *out)
{
    size_t n = plane_size(out);
    bool gate = plane_size(b) == 1;
    for (int c = 0; c < out->c; c++)
        for (size_t i = 0; i < n; i++) {
            size_t at = (size_t)c * n + i;
            out->data[at] = a->data[at] * b->data[gate ? (size_t)c : at];
        }
}

static void resize(const struct pd_layer *l, const struct image *in, const struct image *out)
{
    for (int c = 0; c < out->c; c++)
        for (int y = 0; y < out->h; y++)
            for (int x = 0; x < out->w; x++) {
                if (!l->bilinear) {
                    row(out, c, y)[x] = row(in, c, y / l->scale_y)[x / l->scale_x];
                    continue;
                }
                float sy = PD_CLAMP(((float)y + 0.5f) / (float)l->scale_y - 0.5f, 0, (float)(in->h - 1));
                float sx = PD_CLAMP(((float)x + 0.5f) / (float)l->scale_x - 0.5f, 0, (float)(in->w - 1));
                int y0 = (int)sy, x0 = (int)sx, y1 = PD_MIN(y0 + 1, in->h - 1), x1 = PD_MIN(x0 + 1, in->w - 1);
                float fy = sy - (float)y0, fx = sx - (float)x0;
                float top = row(in, c, y0)[x0] * (1 - fx) + row(in, c, y0)[x1] * fx;
                float bottom = row(in, c, y1)[x0] * (1 - fx) + row(in, c, y1)[x1] * fx;
                row(out, c, y)[x] = top * (1 - fy) + bottom * fy;
            }
}

/* ---- activation ---- */

static float activate(const struct pd_layer *l, int c, float x)
{
    switch (l->act) {
    case PD_ACT_NONE:
        return x;
    case PD_ACT_RELU:
        return x > 0 ? x : 0;
    case PD_ACT_CLIP:
        return fminf(fmaxf(x, l->alpha), l->beta);
    case PD_ACT_PRELU:
        return x > 0 ? x : l->slope[l->n_slopes == 1 ? 0 : c] * x;
    case PD_ACT_ELU:
        return x > 0 ? x : l->alpha * expm1f(x);
    case PD_ACT_SIGMOID:
        return 1 / (1 + expf(-x));
    case PD_ACT_TANH:
        return tanhf(x);
    case PD_ACT_SWISH:
        return x / (1 + expf(-x));
    case PD_ACT_HARDSWISH:
        return x * fminf(fmaxf(x / 6 + 0.5f, 0), 1);
    }
    return x;
}

static void finish(const struct pd_layer *l, const struct image *out, const float *residual)
{
    size_t n = plane_size(out);
    if (l->act == PD_ACT_NONE && !residual)
        return;
    for (int c = 0; c < out->c; c++)
        for (size_t i = 0; i < n; i++) {
            size_t at = (size_t)c * n + i;
            out->data[at] = activate(l, c, out->data[at] + (residual ? residual[at] : 0));
        }
}

static void affine(const struct pd_layer *l, const float *weight, const struct image *in, const struct image *out)
{
    size_t n = plane_size(out);
    for (int c = 0; c < out->c; c++)
        for (size_t i = 0; i < n; i++)
            out->data[(size_t)c * n + i] = in->data[(size_t)c * n + i] * weight[c] + (l->bias ? l->bias[c] : 0);
}

static struct image image_of(int tensor, const struct pd_shape *shapes, float *const *tensors)
{
    return (struct image){tensors[tensor], shapes[tensor].c, shapes[tensor].h, shapes[tensor].w};
}

static void concat(const struct pd_layer *l, const struct pd_shape *shapes, float *const *tensors, float *to)
{
    for (int k = 0; k < l->n_in; k++) {
        struct image part = image_of(l->in[k], shapes, tensors);
        size_t n = (size_t)part.c * plane_size(&part);
        memcpy(to, part.data, n * sizeof(*to));
        to += n;
    }
}

void pd_ref_layer(const struct pd_net *net, const struct pd_layer *l, const float *weight,
                  const struct pd_shape *shapes, float *const *tensors)
{
    struct image in = image_of(l->in[0], shapes, tensors), out = image_of(l->out, shapes, tensors);
    struct image second = l->n_in > 1 ? image_of(l->in[1], shapes, tensors) : in;
    float *to = out.data;
    switch (l->kind) {
    case PD_LAYER_CONV:
        conv(l, weight, &in, &out);
        break;
    case PD_LAYER_DECONV:
        deconv(l, weight, &in, &out);
        break;
    case PD_LAYER_FC:
        dense(l, weight, &in, &out);
        break;
    case PD_LAYER_MAXPOOL:
    case PD_LAYER_AVGPOOL:
        pool(l, &in, &out);
        break;
    case PD_LAYER_GAVGPOOL:
        global_pool(&in, &out);
        break;
    case PD_LAYER_ADD:
        add(&in, &second, &out);
        break;
    case PD_LAYER_MUL:
        multiply(&in, &second, &out);
        break;
    case PD_LAYER_CONCAT:
        concat(l, shapes, tensors, to);
        break;
    case PD_LAYER_SLICE:
        memcpy(to, row(&in, l->slice_from, 0), (size_t)out.c * plane_size(&out) * sizeof(*to));
        break;
    case PD_LAYER_RESIZE:
        resize(l, &in, &out);
        break;
    case PD_LAYER_AFFINE:
        affine(l, weight, &in, &out);
        break;
    case PD_LAYER_ACT:
        memcpy(to, in.data, (size_t)out.c * plane_size(&out) * sizeof(*to));
        break;
    case PD_LAYER_KINDS:
        break;
    }
    finish(l, &out, l->residual >= 0 ? tensors[l->residual] : NULL);
}
