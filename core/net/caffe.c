/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/caffe.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/net/file.h"
#include "core/net/proto.h"

#define LAYERS_MAX 16384

int pd_caffe_no_memory(struct pd_caffe *c)
{
    return pd_err_set(c->err, -ENOMEM, "%s: needs far more memory than a network of this file size may", c->file);
}

int pd_caffe_fail(struct pd_caffe *c, const struct pd_caffe_layer *l, int code, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return pd_err_set(c->err, code, "%s: layer '%.80s' (%.40s): %s", c->file, l->name, l->type, text);
}

/* The numbers that the older generation has instead of names. */
static const char *type_of_number(int type)
{
    static const char *const names[] = {
        [1] = "Accuracy",
        [2] = "BNLL",
        [3] = "Concat",
        [4] = "Convolution",
        [5] = "Data",
        [6] = "Dropout",
        [7] = "EuclideanLoss",
        [8] = "Flatten",
        [9] = "HDF5Data",
        [10] = "HDF5Output",
        [11] = "Im2col",
        [12] = "ImageData",
        [13] = "InfogainLoss",
        [14] = "InnerProduct",
        [15] = "LRN",
        [16] = "MultinomialLogisticLoss",
        [17] = "Pooling",
        [18] = "ReLU",
        [19] = "Sigmoid",
        [20] = "Softmax",
        [21] = "SoftmaxWithLoss",
        [22] = "Split",
        [23] = "TanH",
        [24] = "WindowData",
        [25] = "Eltwise",
        [26] = "Power",
        [27] = "SigmoidCrossEntropyLoss",
        [28] = "HingeLoss",
        [29] = "MemoryData",
        [30] = "ArgMax",
        [31] = "Threshold",
        [32] = "DummyData",
        [33] = "Slice",
        [34] = "MVN",
        [35] = "AbsVal",
        [36] = "Silence",
        [37] = "ContrastiveLoss",
        [38] = "Exp",
        [39] = "Deconvolution",
    };
    return type > 0 && (size_t)type < PD_ARRAY_SIZE(names) ? names[type] : "unknown";
}

static const char *text_or_empty(const char *text)
{
    return text ? text : "";
}

static void adopt_old(struct pd_caffe_layer *l, const Caffe__V1LayerParameter *p)
{
    *l = (struct pd_caffe_layer){
        .name = text_or_empty(p->name),
        .type = type_of_number(p->type),
        .n_bottom = (int)p->n_bottom,
        .n_top = (int)p->n_top,
        .n_blobs = (int)p->n_blobs,
        .bottom = p->bottom,
        .top = p->top,
        .blobs = p->blobs,
        .concat = p->concat_param,
        .convolution = p->convolution_param,
        .eltwise = p->eltwise_param,
        .inner_product = p->inner_product_param,
        .pooling = p->pooling_param,
        .power = p->power_param,
        .relu = p->relu_param,
        .slice = p->slice_param,
    };
}

static void adopt_new(struct pd_caffe_layer *l, const Caffe__LayerParameter *p)
{
    *l = (struct pd_caffe_layer){
        .name = text_or_empty(p->name),
        .type = text_or_empty(p->type),
        .n_bottom = (int)p->n_bottom,
        .n_top = (int)p->n_top,
        .n_blobs = (int)p->n_blobs,
        .bottom = p->bottom,
        .top = p->top,
        .blobs = p->blobs,
        .batch_norm = p->batch_norm_param,
        .concat = p->concat_param,
        .convolution = p->convolution_param,
        .eltwise = p->eltwise_param,
        .elu = p->elu_param,
        .inner_product = p->inner_product_param,
        .pooling = p->pooling_param,
        .power = p->power_param,
        .prelu = p->prelu_param,
        .relu = p->relu_param,
        .scale = p->scale_param,
        .slice = p->slice_param,
    };
}

static int adopt_layers(struct pd_caffe *c)
{
    const Caffe__NetParameter *p = c->proto;
    size_t n = p->n_layer ? p->n_layer : p->n_layers;
    if (!n)
        return pd_err_set(c->err, -EINVAL, "%s: not a Caffe network: it holds no layers", c->file);
    if (p->n_layer && p->n_layers)
        return pd_err_set(c->err, -EINVAL, "%s: mixes the two generations of layers", c->file);
    if (n > LAYERS_MAX)
        return pd_err_set(c->err, -ENOTSUP, "%s: %zu layers; at most %d are taken", c->file, n, LAYERS_MAX);
    c->layers = pd_arena_alloc(&c->arena, n, sizeof(*c->layers));
    if (!c->layers)
        return pd_caffe_no_memory(c);
    for (size_t i = 0; i < n; i++) {
        if (p->n_layer)
            adopt_new(&c->layers[i], p->layer[i]);
        else
            adopt_old(&c->layers[i], p->layers[i]);
    }
    c->n_layers = (int)n;
    return 0;
}

int pd_caffe_read(void *data, size_t size, const char *file, const struct pd_caffe_outputs *told,
                  struct pd_caffe *c, struct pd_err *err)
{
    *c = (struct pd_caffe){.file = file, .err = err, .image = -1, .heat = -1, .paf = -1};
    pd_arena_init(&c->arena, PD_NET_FILE_BUDGET(size));
    ProtobufCAllocator allocator = pd_proto_allocator(&c->arena);
    c->proto = caffe__net_parameter__unpack(&allocator, size, data);
    free(data);
    if (!c->proto)
        return pd_err_set(err, -EINVAL, "%s: not a Caffe network, or cut short (%zu bytes)", file, size);
    int r = adopt_layers(c);
    if (!r)
        r = pd_caffe_resolve(c);
    return r ? r : pd_caffe_outputs(c, told);
}

void pd_caffe_finish(struct pd_caffe *c)
{
    ProtobufCAllocator allocator = pd_proto_allocator(NULL);
    if (c->proto)
        caffe__net_parameter__free_unpacked(c->proto, &allocator);
    c->proto = NULL;
    pd_arena_finish(&c->arena);
}
