/* SPDX-License-Identifier: Apache-2.0
 *
 * Caffe's layers with windows: convolution, transposed convolution, pooling.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/net/caffe.h"

/* Beyond this a size is taken for damage; the ONNX reader has the same bound. */
#define GEOMETRY_MAX 1023

struct window {
    int64_t kernel[2], stride[2], pad[2], dilation[2]; /* y, x */
};

/* A size is given once for both axes, once an axis, or by two fields of their own. */
static int read_pair(struct pd_caffe *c, const char *what, size_t n, const uint64_t *both, const uint64_t *h,
                     const uint64_t *w, uint64_t min, uint64_t fallback, int64_t ret_pair[2])
{
    uint64_t pair[2] = {fallback, fallback};
    if (n > 2)
        return pd_caffe_fail(c, c->layer, -ENOTSUP, "%s has %zu values; one or two are expected", what, n);
    for (size_t i = 0; i < 2 && n; i++)
        pair[i] = both[n == 1 ? 0 : i];
    if (h)
        pair[0] = *h;
    if (w)
        pair[1] = *w;
    for (int i = 0; i < 2; i++) {
        if (pair[i] < min || pair[i] > GEOMETRY_MAX)
            return pd_caffe_fail(c, c->layer, -EINVAL, "%s is %llu; %llu to %d is expected", what,
                                 (unsigned long long)pair[i], (unsigned long long)min, GEOMETRY_MAX);
        ret_pair[i] = (int64_t)pair[i];
    }
    return 0;
}

/* Both kinds of parameter messages have the same fields. */
#define READ_PAIR(c, p, single, field, min, fallback, ret)                                                             \
    read_pair(c, #single, (p)->n_##single, (p)->single, (p)->has_##field##_h ? &(p)->field##_h : NULL,                 \
              (p)->has_##field##_w ? &(p)->field##_w : NULL, min, fallback, ret)

static void write_window(struct pd_caffe *c, const struct window *win)
{
    pd_onnx_write_ints(c->w, "kernel_shape", 2, win->kernel);
    pd_onnx_write_ints(c->w, "strides", 2, win->stride);
    pd_onnx_write_ints(c->w, "pads", 4, (int64_t[]){win->pad[0], win->pad[1], win->pad[0], win->pad[1]});
}

static int read_window(struct pd_caffe *c, const Caffe__ConvolutionParameter *p, struct window *win)
{
    int r = READ_PAIR(c, p, kernel_size, kernel, 1, 0, win->kernel);
    if (!r)
        r = READ_PAIR(c, p, stride, stride, 1, 1, win->stride);
    if (!r)
        r = READ_PAIR(c, p, pad, pad, 0, 0, win->pad);
    return r ? r : read_pair(c, "dilation", p->n_dilation, p->dilation, NULL, NULL, 1, 1, win->dilation);
}

static int convolve(struct pd_caffe *c, bool transposed)
{
    const Caffe__ConvolutionParameter *p = c->layer->convolution;
    struct pd_caffe_value *in, *out = pd_caffe_out(c);
    struct window win;
    int r = pd_caffe_image(c, &in);
    if (!r && !p)
        r = pd_caffe_fail(c, c->layer, -EINVAL, "has no convolution_param");
    if (!r)
        r = read_window(c, p, &win);
    if (r < 0)
        return r;
    bool depthwise = strstr(c->layer->type, "Depthwise") != NULL;
    uint64_t groups = p->has_group ? p->group : depthwise ? (uint64_t)in->channels : 1, co = p->num_output;
    if (p->has_axis && p->axis != 1 && p->axis != -3)
        return pd_caffe_fail(c, c->layer, -ENOTSUP, "axis %lld; only 1 is supported", (long long)p->axis);
    if (!co || co > PD_CAFFE_CHANNELS_MAX)
        return pd_caffe_fail(c, c->layer, -EINVAL, "num_output is %llu", (unsigned long long)co);
    if (!groups || (uint64_t)in->channels % groups || co % groups)
        return pd_caffe_fail(c, c->layer, -EINVAL, "group %llu does not divide %d input channels and %llu outputs",
                             (unsigned long long)groups, in->channels, (unsigned long long)co);
    int64_t dims[4] = {(int64_t)co, in->channels / (int64_t)groups, win.kernel[0], win.kernel[1]};
    if (transposed) {
        dims[0] = in->channels;
        dims[1] = (int64_t)(co / groups);
    }
    bool bias = !p->has_bias_term || p->bias_term;
    r = pd_caffe_constant(c, 0, "weight", 4, dims);
    if (!r && bias)
        r = pd_caffe_constant(c, 1, "bias", 1, (int64_t[]){(int64_t)co});
    if (r < 0)
        return r;
    char inputs[4 * PD_CAFFE_NAME];
    snprintf(inputs, sizeof(inputs), bias ? "%s %s.weight %s.bias" : "%s %s.weight", in->name, out->name, out->name);
    pd_caffe_node(c, transposed ? "ConvTranspose" : "Conv", inputs, (int)co, false);
    write_window(c, &win);
    pd_onnx_write_ints(c->w, "dilations", 2, win.dilation);
    pd_onnx_write_int(c->w, "group", (int64_t)groups);
    return 0;
}

int pd_caffe_convolution(struct pd_caffe *c)
{
    return convolve(c, false);
}

int pd_caffe_deconvolution(struct pd_caffe *c)
{
    return convolve(c, true);
}

int pd_caffe_pooling(struct pd_caffe *c)
{
    static const Caffe__PoolingParameter defaults = CAFFE__POOLING_PARAMETER__INIT;
    const Caffe__PoolingParameter *p = c->layer->pooling ? c->layer->pooling : &defaults;
    struct pd_caffe_value *in;
    struct window win;
    int r = pd_caffe_image(c, &in);
    if (r < 0)
        return r;
    if (p->pool != 0 && p->pool != 1)
        return pd_caffe_fail(c, c->layer, -ENOTSUP, "only maximum and average are supported");
    bool max = p->pool == 0;
    if (p->has_global_pooling && p->global_pooling) {
        if (max)
            return pd_caffe_fail(c, c->layer, -ENOTSUP, "a maximum over all of the image is not supported");
        pd_caffe_node(c, "GlobalAveragePool", in->name, in->channels, false);
        return 0;
    }
    r = READ_PAIR(c, p, kernel_size, kernel, 1, 0, win.kernel);
    if (!r)
        r = READ_PAIR(c, p, stride, stride, 1, 1, win.stride);
    if (!r)
        r = READ_PAIR(c, p, pad, pad, 0, 0, win.pad);
    if (r < 0)
        return r;
    pd_caffe_node(c, max ? "MaxPool" : "AveragePool", in->name, in->channels, false);
    write_window(c, &win);
    pd_onnx_write_int(c->w, "ceil_mode", p->round_mode != 1); /* Caffe rounds up unless told otherwise */
    if (!max)
        pd_onnx_write_int(c->w, "count_include_pad", 1);
    return 0;
}
