/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/test.h"

#include "tests/net/dual.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/engine/engine.h"

static uint64_t next(struct dual *d)
{
    uint64_t x = d->state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return d->state = x;
}

static double uniform(struct dual *d, double lo, double hi)
{
    return lo + (hi - lo) * (double)(next(d) >> 11) * 0x1p-53;
}

int dual_random(struct dual *d, int lo, int hi)
{
    return lo + (int)(next(d) % (uint64_t)(hi - lo + 1));
}

static struct dual_image *add_value(struct dual *d, int c, int h, int w)
{
    assert_true(d->n < DUAL_MAX && c > 0 && h > 0 && w > 0);
    struct dual_image *m = &d->value[d->n++];
    *m = (struct dual_image){c, h, w, calloc((size_t)c * (size_t)h * (size_t)w, sizeof(double))};
    assert_non_null(m->v);
    return m;
}

static double *at(const struct dual_image *m, int c, int y, int x)
{
    return &m->v[((size_t)c * (size_t)m->h + (size_t)y) * (size_t)m->w + (size_t)x];
}

/* 0 outside: zero padding */
static double get(const struct dual_image *m, int c, int y, int x)
{
    return y < 0 || y >= m->h || x < 0 || x >= m->w ? 0 : *at(m, c, y, x);
}

#define FOR_EACH(m)                                                                                                    \
    for (int c = 0; c < (m)->c; c++)                                                                                   \
        for (int y = 0; y < (m)->h; y++)                                                                               \
            for (int x = 0; x < (m)->w; x++)

struct dual *dual_new(uint64_t seed, int h, int w)
{
    struct dual *d = calloc(1, sizeof(*d));
    assert_non_null(d);
    print_message("# seed %llu, input %dx%d\n", (unsigned long long)seed, w, h);
    d->seed = seed;
    d->state = seed * 0x9e3779b97f4a7c15u + 1;
    d->w = pd_onnx_writer_create();
    assert_non_null(d->w);
    pd_onnx_write_input(d->w, "v0", 3);
    pd_onnx_write_meta(d->w, "skeleton", "none");
    struct dual_image *in = add_value(d, 3, h, w);
    FOR_EACH(in)
    *at(in, c, y, x) = (double)(float)uniform(d, -1, 1);
    return d;
}

void dual_free(struct dual *d)
{
    for (int i = 0; i < d->n; i++)
        free(d->value[i].v);
    pd_onnx_writer_destroy(d->w);
    free(d);
}

/* A random constant; the floats that were written, so that both sides see the same values. */
static const float *constant(struct dual *d, const char *name, int n_dims, const int64_t *dims, double lo, double hi)
{
    float *f = pd_onnx_write_floats(d->w, name, n_dims, dims);
    size_t n = 1;
    for (int i = 0; i < n_dims; i++)
        n *= (size_t)dims[i];
    assert_non_null(f);
    for (size_t i = 0; i < n; i++)
        f[i] = (float)uniform(d, lo, hi);
    return f;
}

static struct dual_window normal(const struct dual_window *win)
{
    struct dual_window n = *win;
    n.k = PD_MAX(n.k, 1);
    n.stride = PD_MAX(n.stride, 1);
    n.dilation = PD_MAX(n.dilation, 1);
    n.groups = PD_MAX(n.groups, 1);
    return n;
}

static void write_window(struct dual *d, const struct dual_window *n)
{
    pd_onnx_write_ints(d->w, "kernel_shape", 2, (int64_t[]){n->k, n->k});
    pd_onnx_write_ints(d->w, "strides", 2, (int64_t[]){n->stride, n->stride});
    pd_onnx_write_ints(d->w, "pads", 4, (int64_t[]){n->pad[0], n->pad[1], n->pad[2], n->pad[3]});
}

/* "v@in v@N.w", with the bias if there is one; @name gets "v@N" */
static void node_names(const struct dual *d, int in, bool bias, char *inputs, char *name)
{
    sprintf(name, "v%d", d->n);
    sprintf(inputs, bias ? "v%d v%d.w v%d.b" : "v%d v%d.w", in, d->n, d->n);
}

static int conv(struct dual *d, int in, int co, const struct dual_window *win, bool transposed)
{
    struct dual_window n = normal(win);
    const struct dual_image *m = &d->value[in];
    int ci = m->c, span = (n.k - 1) * n.dilation + 1, cig = ci / n.groups, cog = co / n.groups;
    char inputs[64], name[16], weight_name[24], bias_name[24];
    int64_t dims[4] = {transposed ? ci : co, transposed ? cog : cig, n.k, n.k}, bias_dims[1] = {co};
    double size = 1 / sqrt((double)cig * n.k * n.k);
    node_names(d, in, n.bias, inputs, name);
    sprintf(weight_name, "%s.w", name);
    sprintf(bias_name, "%s.b", name);
    const float *w = constant(d, weight_name, 4, dims, -2 * size, 2 * size);
    const float *b = n.bias ? constant(d, bias_name, 1, bias_dims, -1, 1) : NULL;
    pd_onnx_write_node(d->w, transposed ? "ConvTranspose" : "Conv", inputs, name);
    write_window(d, &n);
    pd_onnx_write_ints(d->w, "dilations", 2, (int64_t[]){n.dilation, n.dilation});
    pd_onnx_write_int(d->w, "group", n.groups);
    if (transposed)
        pd_onnx_write_ints(d->w, "output_padding", 2, (int64_t[]){n.out_pad, n.out_pad});
    int h = transposed ? (m->h - 1) * n.stride + span - n.pad[0] - n.pad[2] + n.out_pad
                       : (m->h + n.pad[0] + n.pad[2] - span) / n.stride + 1;
    int wd = transposed ? (m->w - 1) * n.stride + span - n.pad[1] - n.pad[3] + n.out_pad
                        : (m->w + n.pad[1] + n.pad[3] - span) / n.stride + 1;
    struct dual_image *o = add_value(d, co, h, wd);
    m = &d->value[in];
    FOR_EACH(o)
    {
        double sum = b ? (double)b[c] : 0;
        for (int i = 0; i < cig; i++)
            for (int ky = 0; ky < n.k; ky++)
                for (int kx = 0; kx < n.k; kx++) {
                    int from = c / cog * cig + i;
                    if (!transposed) {
                        sum += (double)w[((c * cig + i) * n.k + ky) * n.k + kx] *
                               get(m, from, y * n.stride - n.pad[0] + ky * n.dilation,
                                   x * n.stride - n.pad[1] + kx * n.dilation);
                        continue;
                    }
                    /* which input sample puts its tap (ky, kx) here, if any */
                    int sy = y + n.pad[0] - ky * n.dilation, sx = x + n.pad[1] - kx * n.dilation;
                    if (sy % n.stride == 0 && sx % n.stride == 0)
                        sum += (double)w[((from * cog + c % cog) * n.k + ky) * n.k + kx] *
                               get(m, from, sy / n.stride, sx / n.stride);
                }
        *at(o, c, y, x) = sum;
    }
    return d->n - 1;
}

int dual_conv(struct dual *d, int in, int co, const struct dual_window *win)
{
    return conv(d, in, co, win, false);
}

int dual_deconv(struct dual *d, int in, int co, const struct dual_window *win)
{
    return conv(d, in, co, win, true);
}

static int pooled_size(int in, int before, int after, const struct dual_window *n)
{
    int room = in + before + after - ((n->k - 1) * n->dilation + 1);
    int out = n->ceil_mode ? (room + n->stride - 1) / n->stride + 1 : room / n->stride + 1;
    return n->ceil_mode && (out - 1) * n->stride >= in + before ? out - 1 : out;
}

int dual_pool(struct dual *d, int in, bool max, const struct dual_window *win)
{
    struct dual_window n = normal(win);
    char inputs[64], name[16];
    node_names(d, in, false, inputs, name);
    *strchr(inputs, ' ') = 0;
    pd_onnx_write_node(d->w, max ? "MaxPool" : "AveragePool", inputs, name);
    write_window(d, &n);
    pd_onnx_write_int(d->w, "ceil_mode", n.ceil_mode);
    if (!max)
        pd_onnx_write_int(d->w, "count_include_pad", n.count_pad);
    else
        pd_onnx_write_ints(d->w, "dilations", 2, (int64_t[]){n.dilation, n.dilation});
    const struct dual_image *m = &d->value[in];
    struct dual_image *o =
        add_value(d, m->c, pooled_size(m->h, n.pad[0], n.pad[2], &n), pooled_size(m->w, n.pad[1], n.pad[3], &n));
    FOR_EACH(o)
    {
        double best = -INFINITY, sum = 0;
        int inside = 0, counted = 0;
        for (int ky = 0; ky < n.k; ky++)
            for (int kx = 0; kx < n.k; kx++) {
                int sy = y * n.stride - n.pad[0] + ky * n.dilation, sx = x * n.stride - n.pad[1] + kx * n.dilation;
                counted += sy < m->h + n.pad[2] && sx < m->w + n.pad[3];
                if (sy < 0 || sy >= m->h || sx < 0 || sx >= m->w)
                    continue;
                best = fmax(best, *at(m, c, sy, sx));
                sum += *at(m, c, sy, sx);
                inside++;
            }
        *at(o, c, y, x) = max ? best : sum / (n.count_pad ? counted : inside);
    }
    return d->n - 1;
}

int dual_global_pool(struct dual *d, int in)
{
    char inputs[64], name[16];
    node_names(d, in, false, inputs, name);
    *strchr(inputs, ' ') = 0;
    pd_onnx_write_node(d->w, "GlobalAveragePool", inputs, name);
    const struct dual_image *m = &d->value[in];
    struct dual_image *o = add_value(d, m->c, 1, 1);
    FOR_EACH(m)
    o->v[c] += *at(m, c, y, x) / ((double)m->h * m->w);
    return d->n - 1;
}

int dual_dense(struct dual *d, int in, int co)
{
    const struct dual_image *m = &d->value[in];
    int n = m->c * m->h * m->w;
    char inputs[64], name[16], text[24];
    int64_t dims[2] = {co, n};
    node_names(d, in, true, inputs, name);
    sprintf(text, "%s.w", name);
    const float *w = constant(d, text, 2, dims, -1 / sqrt(n), 1 / sqrt(n));
    sprintf(text, "%s.b", name);
    const float *b = constant(d, text, 1, dims, -1, 1);
    char from[16];
    sprintf(from, "v%d", in);
    sprintf(text, "%s.flat", name);
    pd_onnx_write_node(d->w, "Flatten", from, text);
    sprintf(inputs, "%s.flat %s.w %s.b", name, name, name);
    pd_onnx_write_node(d->w, "Gemm", inputs, name);
    pd_onnx_write_int(d->w, "transB", 1);
    struct dual_image *o = add_value(d, co, 1, 1);
    for (int i = 0; i < co; i++) {
        o->v[i] = (double)b[i];
        for (int k = 0; k < n; k++)
            o->v[i] += (double)w[i * n + k] * m->v[k];
    }
    return d->n - 1;
}

static double activate(const char *op, double x, double slope)
{
    if (!strcmp(op, "Relu"))
        return fmax(x, 0);
    if (!strcmp(op, "Elu"))
        return x > 0 ? x : 0.7 * (exp(x) - 1);
    if (!strcmp(op, "LeakyRelu") || !strcmp(op, "PRelu"))
        return x > 0 ? x : slope * x;
    if (!strcmp(op, "Clip"))
        return fmin(fmax(x, -0.25), 0.5);
    if (!strcmp(op, "Sigmoid"))
        return 1 / (1 + exp(-x));
    if (!strcmp(op, "Tanh"))
        return tanh(x);
    if (!strcmp(op, "HardSigmoid"))
        return fmin(fmax(0.2 * x + 0.5, 0), 1);
    assert_string_equal(op, "HardSwish");
    return x * fmin(fmax(x / 6 + 0.5, 0), 1);
}

int dual_act(struct dual *d, int in, const char *op)
{
    const struct dual_image *m = &d->value[in];
    char inputs[96], name[16], text[24];
    const float *slopes = NULL;
    node_names(d, in, false, inputs, name);
    *strchr(inputs, ' ') = 0;
    if (!strcmp(op, "PRelu")) {
        int64_t dims[3] = {m->c, 1, 1};
        sprintf(text, "%s.w", name);
        slopes = constant(d, text, 3, dims, 0.1, 0.5);
        sprintf(inputs, "v%d %s", in, text);
    } else if (!strcmp(op, "Clip")) {
        sprintf(text, "%s.lo", name);
        *pd_onnx_write_floats(d->w, text, 0, NULL) = -0.25f;
        sprintf(text, "%s.hi", name);
        *pd_onnx_write_floats(d->w, text, 0, NULL) = 0.5f;
        sprintf(inputs, "v%d %s.lo %s.hi", in, name, name);
    }
    pd_onnx_write_node(d->w, op, inputs, name);
    if (!strcmp(op, "Elu"))
        pd_onnx_write_float(d->w, "alpha", 0.7f);
    if (!strcmp(op, "LeakyRelu"))
        pd_onnx_write_float(d->w, "alpha", 0.125f);
    struct dual_image *o = add_value(d, m->c, m->h, m->w);
    FOR_EACH(o)
    *at(o, c, y, x) = activate(op, *at(m, c, y, x), slopes ? (double)slopes[c] : 0.125);
    return d->n - 1;
}

static int batch_norm(struct dual *d, int in)
{
    static const char *const part[4] = {"scale", "shift", "mean", "var"};
    const struct dual_image *m = &d->value[in];
    const float *k[4];
    char inputs[128], name[16], text[32];
    int64_t dims[1] = {m->c};
    sprintf(name, "v%d", d->n);
    int used = sprintf(inputs, "v%d", in);
    for (int i = 0; i < 4; i++) {
        sprintf(text, "%s.%s", name, part[i]);
        k[i] = constant(d, text, 1, dims, i == 3 ? 0.2 : -1, 2);
        used += sprintf(inputs + used, " %s", text);
    }
    pd_onnx_write_node(d->w, "BatchNormalization", inputs, name);
    pd_onnx_write_float(d->w, "epsilon", 0.01f);
    struct dual_image *o = add_value(d, m->c, m->h, m->w);
    FOR_EACH(o)
    *at(o, c, y, x) =
        (*at(m, c, y, x) - (double)k[2][c]) / sqrt((double)k[3][c] + (double)0.01f) * (double)k[0][c] + (double)k[1][c];
    return d->n - 1;
}

int dual_affine(struct dual *d, int in, const char *op, bool per_channel)
{
    if (!strcmp(op, "BatchNormalization"))
        return batch_norm(d, in);
    const struct dual_image *m = &d->value[in];
    bool reversed = !strcmp(op, "Sub-reversed");
    char inputs[64], name[16], text[24];
    int64_t dims[3] = {m->c, 1, 1};
    node_names(d, in, false, inputs, name);
    sprintf(text, "%s.w", name);
    const float *k = constant(d, text, per_channel ? 3 : 0, dims, 0.5, 2);
    if (reversed)
        sprintf(inputs, "%s v%d", text, in);
    pd_onnx_write_node(d->w, reversed ? "Sub" : op, inputs, name);
    struct dual_image *o = add_value(d, m->c, m->h, m->w);
    FOR_EACH(o)
    {
        double a = *at(m, c, y, x), b = (double)k[per_channel ? c : 0];
        *at(o, c, y, x) = reversed ? b - a : *op == 'M' ? a * b : *op == 'A' ? a + b : *op == 'D' ? a / b : a - b;
    }
    return d->n - 1;
}

int dual_binary(struct dual *d, const char *op, int a, int b)
{
    const struct dual_image *m = &d->value[a], *s = &d->value[b];
    char inputs[32], name[16];
    sprintf(name, "v%d", d->n);
    sprintf(inputs, "v%d v%d", a, b);
    pd_onnx_write_node(d->w, op, inputs, name);
    struct dual_image *o = add_value(d, m->c, m->h, m->w);
    FOR_EACH(o)
    {
        double p = *at(m, c, y, x), q = s->h == 1 && s->w == 1 ? s->v[c] : *at(s, c, y, x);
        *at(o, c, y, x) = *op == 'M' ? p * q : *op == 'A' ? p + q : p - q;
    }
    return d->n - 1;
}

int dual_concat(struct dual *d, int n, const int *in)
{
    char inputs[512] = "", name[16];
    int channels = 0, done = 0;
    for (int i = 0; i < n; i++) {
        sprintf(inputs + strlen(inputs), "v%d ", in[i]);
        channels += d->value[in[i]].c;
    }
    sprintf(name, "v%d", d->n);
    pd_onnx_write_node(d->w, "Concat", inputs, name);
    pd_onnx_write_int(d->w, "axis", 1);
    struct dual_image *o = add_value(d, channels, d->value[in[0]].h, d->value[in[0]].w);
    for (int i = 0; i < n; i++) {
        const struct dual_image *m = &d->value[in[i]];
        memcpy(at(o, done, 0, 0), m->v, sizeof(double) * (size_t)m->c * (size_t)m->h * (size_t)m->w);
        done += m->c;
    }
    return d->n - 1;
}

int dual_slice(struct dual *d, int in, int from, int to)
{
    char inputs[128], name[16], text[4][24];
    static const char *const part[3] = {"from", "to", "axis"};
    int64_t values[3] = {from, to, 1};
    sprintf(name, "v%d", d->n);
    for (int i = 0; i < 3; i++) {
        sprintf(text[i], "%s.%s", name, part[i]);
        pd_onnx_write_integers(d->w, text[i], 1, &values[i]);
    }
    sprintf(inputs, "v%d %s %s %s", in, text[0], text[1], text[2]);
    pd_onnx_write_node(d->w, "Slice", inputs, name);
    const struct dual_image *m = &d->value[in];
    struct dual_image *o = add_value(d, to - from, m->h, m->w);
    FOR_EACH(o)
    *at(o, c, y, x) = *at(m, c + from, y, x);
    return d->n - 1;
}

static double lerp_at(const struct dual_image *m, int c, double y, double x)
{
    y = fmin(fmax(y, 0), m->h - 1);
    x = fmin(fmax(x, 0), m->w - 1);
    int y0 = (int)floor(y), x0 = (int)floor(x), y1 = PD_MIN(y0 + 1, m->h - 1), x1 = PD_MIN(x0 + 1, m->w - 1);
    double fy = y - y0, fx = x - x0;
    return (1 - fy) * ((1 - fx) * *at(m, c, y0, x0) + fx * *at(m, c, y0, x1)) +
           fy * ((1 - fx) * *at(m, c, y1, x0) + fx * *at(m, c, y1, x1));
}

int dual_resize(struct dual *d, int in, int scale, bool bilinear)
{
    char inputs[64], name[16], text[24];
    int64_t dims[1] = {4};
    sprintf(name, "v%d", d->n);
    sprintf(text, "%s.scales", name);
    float *s = pd_onnx_write_floats(d->w, text, 1, dims);
    s[0] = s[1] = 1;
    s[2] = s[3] = (float)scale;
    dims[0] = 0;
    sprintf(inputs, "%s.roi", name);
    pd_onnx_write_floats(d->w, inputs, 1, dims);
    sprintf(inputs, "v%d %s.roi %s", in, name, text);
    pd_onnx_write_node(d->w, "Resize", inputs, name);
    pd_onnx_write_string(d->w, "mode", bilinear ? "linear" : "nearest");
    pd_onnx_write_string(d->w, "coordinate_transformation_mode", bilinear ? "half_pixel" : "asymmetric");
    pd_onnx_write_string(d->w, "nearest_mode", "floor");
    const struct dual_image *m = &d->value[in];
    struct dual_image *o = add_value(d, m->c, m->h * scale, m->w * scale);
    FOR_EACH(o)
    *at(o, c, y, x) =
        bilinear ? lerp_at(m, c, (y + 0.5) / scale - 0.5, (x + 0.5) / scale - 0.5) : *at(m, c, y / scale, x / scale);
    return d->n - 1;
}

struct pd_net *dual_load(struct dual *d, int out)
{
    char name[16];
    void *data;
    size_t size;
    struct pd_err err = {""};
    struct pd_net *net = NULL;
    sprintf(name, "v%d", out);
    pd_onnx_write_output(d->w, name, d->value[out].c, 4);
    assert_int_equal(pd_onnx_write_memory(d->w, &data, &size), 0);
    if (pd_net_load_memory(data, size, "dual", &net, &err) < 0)
        fail_msg("%s", err.text);
    free(data);
    return net;
}

void dual_compare(struct dual *d, const struct pd_net *net, int out, double tolerance)
{
    const struct dual_image *in = &d->value[0], *want = &d->value[out];
    size_t n = (size_t)want->c * (size_t)want->h * (size_t)want->w;
    struct pd_err err = {""};
    struct pd_engine *engine;
    const struct pd_engine_params params = {.width = in->w, .height = in->h, .max_batch = 1};
    struct pd_shape *shapes = calloc((size_t)net->n_tensors, sizeof(*shapes));
    float *x_net = calloc((size_t)(3 * in->h * in->w), sizeof(*x_net)), *got = calloc(n, sizeof(*got));
    assert_true(shapes && x_net && got);
    if (pd_net_shapes(net, in->h, in->w, shapes, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(shapes[net->heat].c, want->c);
    assert_int_equal(shapes[net->heat].h, want->h);
    assert_int_equal(shapes[net->heat].w, want->w);
    const struct pd_normalise *norm = &net->meta.input;
    FOR_EACH(in)
    x_net[(c * in->h + y) * in->w + x] = ((float)*at(in, c, y, x) - norm->mean[c]) * norm->scale[c];
    if (pd_engine_open("reference", net, &params, &engine, &err) < 0 ||
        pd_engine_forward(engine, 1, in->w, in->h, x_net, got, NULL, &err) < 0)
        fail_msg("%s", err.text);
    double largest = 1e-3, worst = 0;
    for (size_t i = 0; i < n; i++) {
        largest = fmax(largest, fabs(want->v[i]));
        worst = fmax(worst, isnan(got[i]) ? INFINITY : fabs((double)got[i] - want->v[i]));
    }
    if (worst > tolerance * largest)
        fail_msg("seed %llu: off by %g where the largest value is %g", (unsigned long long)d->seed, worst, largest);
    pd_engine_close(engine);
    free(got);
    free(x_net);
    free(shapes);
}

void dual_check(struct dual *d, int out)
{
    struct pd_net *net = dual_load(d, out);
    dual_compare(d, net, out, 1e-5);
    pd_net_destroy(net);
    dual_free(d);
}

int dual_count(const struct pd_net *net, enum pd_layer_kind kind)
{
    int n = 0;
    for (int i = 0; i < net->n_layers; i++)
        n += net->layers[i].kind == kind;
    return n;
}
