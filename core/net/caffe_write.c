/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/net/caffe.h"
#include "core/net/meta.h"

static const struct {
    const char *type;
    pd_caffe_fn *write;
    int in_min, in_max;
} types[] = {
    /* Keep alphabetized. */
    {"BatchNorm", pd_caffe_batch_norm, 1, 1},
    {"Bias", pd_caffe_bias, 1, 1},
    {"Concat", pd_caffe_concat, 1, 32},
    {"Convolution", pd_caffe_convolution, 1, 1},
    {"ConvolutionDepthwise", pd_caffe_convolution, 1, 1},
    {"Deconvolution", pd_caffe_deconvolution, 1, 1},
    {"DepthwiseConvolution", pd_caffe_convolution, 1, 1},
    {"ELU", pd_caffe_elu, 1, 1},
    {"Eltwise", pd_caffe_eltwise, 2, 32},
    {"Flatten", pd_caffe_flatten, 1, 1},
    {"InnerProduct", pd_caffe_inner_product, 1, 1},
    {"PReLU", pd_caffe_prelu, 1, 1},
    {"Pooling", pd_caffe_pooling, 1, 1},
    {"Power", pd_caffe_power, 1, 1},
    {"ReLU", pd_caffe_relu, 1, 1},
    {"Scale", pd_caffe_scale, 1, 1},
    {"Sigmoid", pd_caffe_sigmoid, 1, 1},
    {"Slice", pd_caffe_slice, 1, 1},
    {"TanH", pd_caffe_tanh, 1, 1},
};

struct pd_caffe_value *pd_caffe_in(struct pd_caffe *c, int k)
{
    return &c->values[c->layer->in[k]];
}

struct pd_caffe_value *pd_caffe_out(struct pd_caffe *c)
{
    return &c->values[c->layer->out[0]];
}

int pd_caffe_image(struct pd_caffe *c, struct pd_caffe_value **ret_in)
{
    *ret_in = pd_caffe_in(c, 0);
    return (*ret_in)->flat ? pd_caffe_fail(c, c->layer, -ENOTSUP, "its input has no height and width") : 0;
}

void pd_caffe_node(struct pd_caffe *c, const char *op, const char *inputs, int channels, bool flat)
{
    struct pd_caffe_value *out = pd_caffe_out(c);
    pd_onnx_write_node(c->w, op, inputs, out->name);
    out->channels = channels;
    out->flat = flat;
}

/* ---- weights ---- */

static size_t blob_count(const Caffe__BlobProto *b)
{
    return b->n_data ? b->n_data : b->n_double_data;
}

/* The next of @dims that is not 1; 0 past the last. */
static int64_t next_size(int n, const int64_t *dims, int *at)
{
    while (*at < n && dims[*at] == 1)
        ++*at;
    return *at < n ? dims[(*at)++] : 0;
}

/* Sizes that the blob claims for itself, if it does, must be those that its layer means, but for ones. */
static bool blob_fits(const Caffe__BlobProto *b, int n_dims, const int64_t *dims)
{
    const int64_t old[4] = {b->num, b->channels, b->height, b->width};
    bool is_old = b->has_num || b->has_channels || b->has_height || b->has_width;
    const int64_t *said = b->shape ? b->shape->dim : old;
    int n = b->shape ? (int)PD_MIN(b->shape->n_dim, 64) : 4, i = 0, k = 0;
    if (!b->shape && !is_old)
        return true;
    for (int64_t size = 1; size;) {
        size = next_size(n, said, &i);
        if (size != next_size(n_dims, dims, &k))
            return false;
    }
    return true;
}

static int check_blob(struct pd_caffe *c, int k, int n_dims, const int64_t *dims, size_t *ret_count)
{
    size_t n = 1;
    if (k >= c->layer->n_blobs)
        return pd_caffe_fail(c, c->layer, -EINVAL, "has %d blobs of weights; %d are expected", c->layer->n_blobs,
                             k + 1);
    for (int i = 0; i < n_dims; i++)
        if (dims[i] < 1 || pd_mul_overflows(n, (size_t)dims[i], &n))
            return pd_caffe_fail(c, c->layer, -EINVAL, "its sizes are out of bounds");
    const Caffe__BlobProto *b = c->layer->blobs[k];
    if (blob_count(b) != n || !blob_fits(b, n_dims, dims))
        return pd_caffe_fail(c, c->layer, -EINVAL, "weights %d hold %zu values, its parameters call for %zu", k,
                             blob_count(b), n);
    *ret_count = n;
    return 0;
}

int pd_caffe_constant(struct pd_caffe *c, int k, const char *suffix, int n_dims, const int64_t *dims)
{
    char name[PD_CAFFE_NAME + 32];
    size_t n = 0;
    int r = check_blob(c, k, n_dims, dims, &n);
    if (r < 0)
        return r;
    Caffe__BlobProto *b = c->layer->blobs[k];
    snprintf(name, sizeof(name), "%s.%s", pd_caffe_out(c)->name, suffix);
    float *to = pd_onnx_write_floats(c->w, name, n_dims, dims);
    if (!to)
        return pd_caffe_no_memory(c);
    for (size_t i = 0; i < n; i++)
        to[i] = b->n_data ? b->data[i] : (float)b->double_data[i];
    free(b->data); /* allocated by malloc(), see proto.h */
    b->data = NULL;
    b->n_data = 0;
    return 0;
}

int pd_caffe_values(struct pd_caffe *c, int k, size_t n, const float **ret_values)
{
    size_t count;
    int64_t dims[1] = {(int64_t)n};
    int r = check_blob(c, k, 1, dims, &count);
    if (!r && !c->layer->blobs[k]->n_data)
        r = pd_caffe_fail(c, c->layer, -ENOTSUP, "weights %d are double precision", k);
    if (!r)
        *ret_values = c->layer->blobs[k]->data;
    return r;
}

/* ---- names ---- */

/* What the file calls the layer, made fit for a list separated by blanks, and kept clear of our own names. */
static void name_value(struct pd_caffe *c, const struct pd_caffe_layer *l, int k)
{
    static const char *const ours[] = {"image", "heatmap", "paf", "output"};
    struct pd_caffe_value *v = &c->values[l->out[k]];
    char text[64];
    size_t n = 0;
    for (const char *s = l->name; *s && n + 1 < sizeof(text); s++)
        text[n++] = *s > 0x20 && *s < 0x7f ? *s : '_';
    text[n] = 0;
    bool taken = !n || l->namesake || strncmp(text, l->name, n); /* another may come to the same without its blanks */
    for (size_t i = 0; i < PD_ARRAY_SIZE(ours); i++)
        taken |= !strcmp(text, ours[i]);
    /* A name that is cut may no longer be the only one of its kind. */
    taken |= n + 1 == sizeof(text);
    if (l->out[k] == c->heat)
        snprintf(v->name, sizeof(v->name), "%s", c->paf >= 0 ? "heatmap" : "output");
    else if (l->out[k] == c->paf)
        snprintf(v->name, sizeof(v->name), "paf");
    else if (taken || l->n_top > 1)
        snprintf(v->name, sizeof(v->name), "%s.%d", text, l->out[k]);
    else
        snprintf(v->name, sizeof(v->name), "%s", text);
}

/* ---- the graph ---- */

/* Backwards, so that what only training or another output needs is never looked at. */
static void mark_needed(struct pd_caffe *c)
{
    int ends[2] = {c->heat, c->paf};
    for (int i = 0; i < 2; i++)
        if (ends[i] >= 0 && c->values[ends[i]].layer >= 0)
            c->layers[c->values[ends[i]].layer].needed = true;
    for (int i = c->n_layers - 1; i >= 0; i--)
        for (int k = 0; k < c->layers[i].n_bottom && c->layers[i].needed; k++)
            if (c->values[c->layers[i].in[k]].layer >= 0)
                c->layers[c->values[c->layers[i].in[k]].layer].needed = true;
}

static int write_layer(struct pd_caffe *c, const struct pd_caffe_layer *l)
{
    c->layer = l;
    for (int k = 0; k < l->n_top; k++)
        name_value(c, l, k);
    for (size_t i = 0; i < PD_ARRAY_SIZE(types); i++) {
        if (strcmp(types[i].type, l->type))
            continue;
        if (l->n_bottom < types[i].in_min || l->n_bottom > types[i].in_max || l->n_top < 1)
            return pd_caffe_fail(c, l, -ENOTSUP, "has %d inputs and %d outputs", l->n_bottom, l->n_top);
        if (l->n_top > 1 && strcmp(l->type, "Slice"))
            return pd_caffe_fail(c, l, -ENOTSUP, "has %d outputs; one is expected", l->n_top);
        return types[i].write(c);
    }
    return pd_caffe_fail(c, l, -ENOTSUP, "layers of this type are not supported");
}

/* Both in one tensor, as the caller told: cut where its number of channels says. */
static int write_halves(struct pd_caffe *c, const struct pd_caffe_value *both)
{
    const struct pd_family *f = both->flat ? NULL : pd_family_of_both(both->channels);
    if (!f)
        return pd_err_set(c->err, -ENOTSUP,
                          "%s: '%.80s' has %d channels; 57 (19 + 38), 78 (26 + 52), 44 (16 + 28) or 60 (18 + 42) are "
                          "expected",
                          c->file, both->blob, both->channels);
    int heat_at = c->pafs_first ? f->paf : 0, paf_at = c->pafs_first ? 0 : f->heat;
    pd_caffe_slice_node(c, both->name, "heatmap", heat_at, heat_at + f->heat);
    pd_caffe_slice_node(c, both->name, "paf", paf_at, paf_at + f->paf);
    pd_onnx_write_output(c->w, "heatmap", f->heat, 4);
    pd_onnx_write_output(c->w, "paf", f->paf, 4);
    return 0;
}

static int write_outputs(struct pd_caffe *c)
{
    const int ends[2] = {c->heat, c->paf};
    const struct pd_caffe_value *heat = &c->values[c->heat];
    if (c->paf < 0 && (c->told_both || (!heat->flat && pd_family_of_both(heat->channels))))
        return write_halves(c, heat);
    for (int i = 0; i < 2; i++) {
        const struct pd_caffe_value *v = ends[i] >= 0 ? &c->values[ends[i]] : NULL;
        if (v)
            pd_onnx_write_output(c->w, v->name, v->channels, v->flat ? 2 : 4);
    }
    return 0;
}

int pd_caffe_write(struct pd_caffe *c, struct pd_onnx_writer *w)
{
    c->w = w;
    mark_needed(c);
    struct pd_caffe_value *image = &c->values[c->image];
    snprintf(image->name, sizeof(image->name), "image");
    image->channels = 3;
    pd_onnx_write_input(w, image->name, 3);
    for (int i = 0; i < c->n_layers; i++) {
        if (!c->layers[i].needed || c->layers[i].dropped)
            continue;
        int r = write_layer(c, &c->layers[i]);
        if (r < 0)
            return r;
    }
    return write_outputs(c);
}
