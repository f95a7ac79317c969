/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/random.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/net/net.h"

static const struct {
    const char *name;
    void (*write)(struct pd_random *r);
} kinds[] = {
    {"openpose-coco", pd_random_openpose_coco},
    {"openpose-body25", pd_random_openpose_body25},
    {"openpose-mpi", pd_random_openpose_mpi},
    {"vgg19", pd_random_vgg19},
    {"tiny", pd_random_tiny},
    {"matmul", pd_random_matmul},
};

/* splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014) */
static uint64_t next(struct pd_random *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Uniform in -1..1. */
static float uniform(struct pd_random *r)
{
    return (float)(next(r) >> 40) * 0x1p-23f - 1;
}

static void fill(struct pd_random *r, float *values, size_t n, float scale, float shift)
{
    for (size_t i = 0; values && i < n; i++)
        values[i] = uniform(r) * scale + shift;
}

/* Half the width of a uniform distribution with He's variance, 2 / fan-in: what keeps activations of one size through
 * any number of layers. */
static float he_scale(int fan_in)
{
    return sqrtf(6.0f / (float)fan_in);
}

static void activation(struct pd_random *r, const char *act, const char *in, const char *out, int channels)
{
    char inputs[2 * PD_RANDOM_NAME + 16];
    snprintf(inputs, sizeof(inputs), "%s", in);
    if (!strcmp(act, "PRelu")) {
        int64_t dims[3] = {channels, 1, 1};
        snprintf(inputs, sizeof(inputs), "%s %s.slope", in, out);
        fill(r, pd_onnx_write_floats(r->w, strchr(inputs, ' ') + 1, 3, dims), (size_t)channels, 0.1f, 0.25f);
    }
    pd_onnx_write_node(r->w, act, inputs, out);
}

static void weights(struct pd_random *r, const char *name, int n_dims, const int64_t *dims, int fan_in, float gain)
{
    char text[PD_RANDOM_NAME + 16];
    size_t n = 1;
    for (int i = 0; i < n_dims; i++)
        n *= (size_t)dims[i];
    snprintf(text, sizeof(text), "%s.weight", name);
    fill(r, pd_onnx_write_floats(r->w, text, n_dims, dims), n, gain * he_scale(fan_in), 0);
    snprintf(text, sizeof(text), "%s.bias", name);
    fill(r, pd_onnx_write_floats(r->w, text, 1, dims), (size_t)dims[0], 0.05f, 0);
}

void pd_random_conv(struct pd_random *r, const struct pd_random_conv *c, char ret_out[PD_RANDOM_NAME])
{
    int groups = PD_MAX(c->groups, 1), stride = PD_MAX(c->stride, 1), dilation = PD_MAX(c->dilation, 1);
    int64_t dims[4] = {c->co, c->ci / groups, c->k, c->k};
    int64_t pad = c->valid ? 0 : (int64_t)(c->k / 2) * dilation;
    char inputs[4 * PD_RANDOM_NAME], name[PD_RANDOM_NAME];
    snprintf(name, sizeof(name), "%s", c->name);
    weights(r, name, 4, dims, c->ci / groups * c->k * c->k, c->gain != 0 ? c->gain : 1);
    snprintf(inputs, sizeof(inputs), "%s %s.weight %s.bias", c->in, name, name);
    pd_onnx_write_node(r->w, "Conv", inputs, name);
    pd_onnx_write_ints(r->w, "kernel_shape", 2, (int64_t[]){c->k, c->k});
    pd_onnx_write_ints(r->w, "strides", 2, (int64_t[]){stride, stride});
    pd_onnx_write_ints(r->w, "dilations", 2, (int64_t[]){dilation, dilation});
    pd_onnx_write_ints(r->w, "pads", 4, (int64_t[]){pad, pad, pad, pad});
    pd_onnx_write_int(r->w, "group", groups);
    snprintf(ret_out, PD_RANDOM_NAME, "%s", name);
    if (!c->act || !*c->act)
        return;
    snprintf(ret_out, PD_RANDOM_NAME, "%.50s.act", name);
    activation(r, c->act, name, ret_out, c->co);
}

void pd_random_max_pool(struct pd_random *r, const char *in, const char *out)
{
    pd_onnx_write_node(r->w, "MaxPool", in, out);
    pd_onnx_write_ints(r->w, "kernel_shape", 2, (int64_t[]){2, 2});
    pd_onnx_write_ints(r->w, "strides", 2, (int64_t[]){2, 2});
}

void pd_random_dense(struct pd_random *r, const char *in, const char *out, int ci, int co, const char *act)
{
    char inputs[4 * PD_RANDOM_NAME], name[PD_RANDOM_NAME];
    snprintf(name, sizeof(name), *act ? "%.50s.dense" : "%.50s", out);
    weights(r, name, 2, (int64_t[]){co, ci}, ci, 1);
    snprintf(inputs, sizeof(inputs), "%s %s.weight %s.bias", in, name, name);
    pd_onnx_write_node(r->w, "Gemm", inputs, name);
    pd_onnx_write_int(r->w, "transB", 1);
    if (*act)
        activation(r, act, name, out, co);
}

void pd_random_concat(struct pd_random *r, const char *inputs, const char *out)
{
    pd_onnx_write_node(r->w, "Concat", inputs, out);
    pd_onnx_write_int(r->w, "axis", 1);
}

const char *pd_net_random_name(int i)
{
    return i >= 0 && (size_t)i < PD_ARRAY_SIZE(kinds) ? kinds[i].name : NULL;
}

static int write_kind(size_t kind, uint64_t seed, const char *path, struct pd_err *err)
{
    struct pd_random r = {.w = pd_onnx_writer_create(), .state = seed};
    if (!r.w)
        return pd_err_set(err, -ENOMEM, "%s: out of memory", path);
    pd_onnx_write_meta(r.w, "name", kinds[kind].name);
    pd_onnx_write_meta(r.w, "licence", "none: the weights are random numbers");
    pd_onnx_write_meta(r.w, "non_commercial", "false");
    kinds[kind].write(&r);
    int status = pd_onnx_write_file(r.w, path, err);
    pd_onnx_writer_destroy(r.w);
    return status;
}

int pd_net_random_write(const char *kind, uint64_t seed, const char *path, struct pd_err *err)
{
    for (size_t i = 0; i < PD_ARRAY_SIZE(kinds); i++)
        if (!strcmp(kind, kinds[i].name))
            return write_kind(i, seed, path, err);
    char names[128] = "";
    for (size_t i = 0; i < PD_ARRAY_SIZE(kinds); i++)
        snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s", i ? ", " : "", kinds[i].name);
    return pd_err_set(err, -ENOENT, "no network is called '%.60s'; there are: %s", kind, names);
}
