/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/net/arena.h"
#include "core/net/meta.h"
#include "core/net/onnx.h"

#define OPSET 13
#define IR_VERSION 7 /* the one that came with opset 13 */
enum { ATTRIBUTE_FLOAT = 1, ATTRIBUTE_INT = 2, ATTRIBUTE_STRING = 3, ATTRIBUTE_INTS = 7 };

struct pd_onnx_writer {
    struct pd_arena arena;
    Onnx__ModelProto model;
    Onnx__GraphProto graph;
    Onnx__NodeProto *node; /* the latest */
    bool failed;
};

struct pd_onnx_writer *pd_onnx_writer_create(void)
{
    struct pd_onnx_writer *w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    pd_arena_init(&w->arena, SIZE_MAX);
    onnx__model_proto__init(&w->model);
    onnx__graph_proto__init(&w->graph);
    w->model.graph = &w->graph;
    w->model.has_ir_version = 1;
    w->model.ir_version = IR_VERSION;
    w->model.producer_name = (char *)"posed";
    w->model.producer_version = (char *)PD_VERSION;
    w->graph.name = (char *)"network";
    return w;
}

void pd_onnx_writer_destroy(struct pd_onnx_writer *w)
{
    if (!w)
        return;
    pd_arena_finish(&w->arena);
    free(w);
}

static void *take(struct pd_onnx_writer *w, size_t n, size_t size)
{
    void *p = pd_arena_alloc(&w->arena, n, size);
    if (!p)
        w->failed = true;
    return p;
}

static char *copy_text(struct pd_onnx_writer *w, const char *text, size_t n)
{
    char *p = take(w, n + 1, 1);
    if (p)
        memcpy(p, text, n);
    return p;
}

static char *copy_string(struct pd_onnx_writer *w, const char *text)
{
    return copy_text(w, text, strlen(text));
}

/* Append @item to a list of pointers, which doubles when its length is a power of two. */
static void append(struct pd_onnx_writer *w, void ***list, size_t *n, void *item)
{
    if (!item)
        return;
    if (!(*n & (*n - 1))) {
        void **bigger = take(w, *n ? *n * 2 : 1, sizeof(*bigger));
        if (!bigger)
            return;
        if (*n)
            memcpy(bigger, *list, *n * sizeof(*bigger));
        *list = bigger;
    }
    (*list)[(*n)++] = item;
}
#define APPEND(w, list, n, item) append(w, (void ***)(list), n, item)

#define NEW(w, type, init)                                                                                             \
    ({                                                                                                                 \
        type *p_ = take(w, 1, sizeof(type));                                                                           \
        if (p_)                                                                                                        \
            init(p_);                                                                                                  \
        p_;                                                                                                            \
    })

/* ---- ends of the graph ---- */

static Onnx__TensorShapeProto__Dimension *new_dim(struct pd_onnx_writer *w, int value, const char *name)
{
    Onnx__TensorShapeProto__Dimension *d =
        NEW(w, Onnx__TensorShapeProto__Dimension, onnx__tensor_shape_proto__dimension__init);
    if (d && name) {
        d->dim_param = (char *)name;
    } else if (d) {
        d->has_dim_value = 1;
        d->dim_value = value;
    }
    return d;
}

/* Where dimensions have the same name they are the same: an output's sides are not the image's. */
static Onnx__ValueInfoProto *new_value(struct pd_onnx_writer *w, const char *name, int channels, int n_dims,
                                       const char *h_name, const char *w_name)
{
    const char *const open_dims[4] = {"n", NULL, h_name, w_name};
    Onnx__ValueInfoProto *v = NEW(w, Onnx__ValueInfoProto, onnx__value_info_proto__init);
    Onnx__TypeProto *type = NEW(w, Onnx__TypeProto, onnx__type_proto__init);
    Onnx__TypeProto__Tensor *tensor = NEW(w, Onnx__TypeProto__Tensor, onnx__type_proto__tensor__init);
    Onnx__TensorShapeProto *shape = NEW(w, Onnx__TensorShapeProto, onnx__tensor_shape_proto__init);
    if (!v || !type || !tensor || !shape)
        return NULL;
    v->name = copy_string(w, name);
    v->type = type;
    type->tensor_type = tensor;
    tensor->has_elem_type = 1;
    tensor->elem_type = PD_ONNX_FLOAT;
    tensor->shape = shape;
    for (int i = 0; i < n_dims; i++)
        APPEND(w, &shape->dim, &shape->n_dim, new_dim(w, channels, open_dims[i]));
    return v;
}

void pd_onnx_write_input(struct pd_onnx_writer *w, const char *name, int channels)
{
    APPEND(w, &w->graph.input, &w->graph.n_input, new_value(w, name, channels, 4, "h", "w"));
}

void pd_onnx_write_output(struct pd_onnx_writer *w, const char *name, int channels, int n_dims)
{
    APPEND(w, &w->graph.output, &w->graph.n_output, new_value(w, name, channels, n_dims, "y", "x"));
}

void pd_onnx_write_meta(struct pd_onnx_writer *w, const char *key, const char *value)
{
    Onnx__StringStringEntryProto *e = NEW(w, Onnx__StringStringEntryProto, onnx__string_string_entry_proto__init);
    char text[64];
    snprintf(text, sizeof(text), PD_META_PREFIX "%s", key);
    if (!e)
        return;
    e->key = copy_string(w, text);
    e->value = copy_string(w, value);
    APPEND(w, &w->model.metadata_props, &w->model.n_metadata_props, e);
}

/* ---- nodes ---- */

void pd_onnx_write_node(struct pd_onnx_writer *w, const char *op, const char *inputs, const char *output)
{
    Onnx__NodeProto *n = NEW(w, Onnx__NodeProto, onnx__node_proto__init);
    if (!n)
        return;
    n->op_type = copy_string(w, op);
    n->name = copy_string(w, output);
    APPEND(w, &n->output, &n->n_output, copy_string(w, output));
    for (const char *s = inputs + strspn(inputs, " "); *s; s += strspn(s, " ")) {
        size_t length = strcspn(s, " ");
        APPEND(w, &n->input, &n->n_input, copy_text(w, s, length));
        s += length;
    }
    w->node = n;
    APPEND(w, &w->graph.node, &w->graph.n_node, n);
}

static Onnx__AttributeProto *new_attribute(struct pd_onnx_writer *w, const char *name, int type)
{
    Onnx__AttributeProto *a = NEW(w, Onnx__AttributeProto, onnx__attribute_proto__init);
    if (!a || !w->node)
        return NULL;
    a->name = copy_string(w, name);
    a->has_type = 1;
    a->type = type;
    APPEND(w, &w->node->attribute, &w->node->n_attribute, a);
    return a;
}

void pd_onnx_write_int(struct pd_onnx_writer *w, const char *name, int64_t value)
{
    Onnx__AttributeProto *a = new_attribute(w, name, ATTRIBUTE_INT);
    if (!a)
        return;
    a->has_i = 1;
    a->i = value;
}

void pd_onnx_write_ints(struct pd_onnx_writer *w, const char *name, int n, const int64_t *values)
{
    Onnx__AttributeProto *a = new_attribute(w, name, ATTRIBUTE_INTS);
    int64_t *copy = take(w, (size_t)n, sizeof(*copy));
    if (!a || !copy)
        return;
    memcpy(copy, values, (size_t)n * sizeof(*copy));
    a->ints = copy;
    a->n_ints = (size_t)n;
}

void pd_onnx_write_float(struct pd_onnx_writer *w, const char *name, float value)
{
    Onnx__AttributeProto *a = new_attribute(w, name, ATTRIBUTE_FLOAT);
    if (!a)
        return;
    a->has_f = 1;
    a->f = value;
}

void pd_onnx_write_string(struct pd_onnx_writer *w, const char *name, const char *value)
{
    Onnx__AttributeProto *a = new_attribute(w, name, ATTRIBUTE_STRING);
    char *copy = copy_string(w, value);
    if (!a || !copy)
        return;
    a->has_s = 1;
    a->s.data = (uint8_t *)copy;
    a->s.len = strlen(value);
}

/* ---- constants ---- */

static void *new_tensor(struct pd_onnx_writer *w, const char *name, int type, size_t size, int n_dims,
                        const int64_t *dims)
{
    Onnx__TensorProto *t = NEW(w, Onnx__TensorProto, onnx__tensor_proto__init);
    int64_t *copy = take(w, (size_t)n_dims, sizeof(*copy));
    size_t count = 1;
    if (!t || !copy)
        return NULL;
    for (int i = 0; i < n_dims; i++) {
        copy[i] = dims[i];
        if (dims[i] < 0 || pd_mul_overflows(count, (size_t)dims[i], &count))
            w->failed = true;
    }
    void *data = w->failed ? NULL : take(w, count, size);
    if (!data)
        return NULL;
    t->name = copy_string(w, name);
    t->dims = copy;
    t->n_dims = (size_t)n_dims;
    t->has_data_type = 1;
    t->data_type = type;
    t->has_raw_data = 1;
    t->raw_data = (ProtobufCBinaryData){.data = data, .len = count * size};
    APPEND(w, &w->graph.initializer, &w->graph.n_initializer, t);
    return data;
}

float *pd_onnx_write_floats(struct pd_onnx_writer *w, const char *name, int n_dims, const int64_t *dims)
{
    return new_tensor(w, name, PD_ONNX_FLOAT, sizeof(float), n_dims, dims);
}

void pd_onnx_write_integers(struct pd_onnx_writer *w, const char *name, int n, const int64_t *values)
{
    int64_t dims[1] = {n};
    int64_t *data = new_tensor(w, name, PD_ONNX_INT64, sizeof(int64_t), 1, dims);
    if (data)
        memcpy(data, values, (size_t)n * sizeof(*data));
}

/* ---- the file ---- */

static int finish(struct pd_onnx_writer *w)
{
    if (!w->model.n_opset_import) {
        Onnx__OperatorSetIdProto *set = NEW(w, Onnx__OperatorSetIdProto, onnx__operator_set_id_proto__init);
        if (set) {
            set->domain = (char *)"";
            set->has_version = 1;
            set->version = OPSET;
        }
        APPEND(w, &w->model.opset_import, &w->model.n_opset_import, set);
    }
    return w->failed ? -ENOMEM : 0;
}

int pd_onnx_write_memory(struct pd_onnx_writer *w, void **ret_data, size_t *ret_size)
{
    int r = finish(w);
    if (r < 0)
        return r;
    size_t size = onnx__model_proto__get_packed_size(&w->model);
    void *data = malloc(size);
    if (!data)
        return -ENOMEM;
    onnx__model_proto__pack(&w->model, data);
    *ret_data = data;
    *ret_size = size;
    return 0;
}

struct file_buffer {
    ProtobufCBuffer base;
    FILE *file;
};

/* A failed write is seen in ferror() afterwards. */
static void append_to_file(ProtobufCBuffer *buffer, size_t n, const uint8_t *data)
{
    struct file_buffer *fb = PD_CONTAINER_OF(buffer, struct file_buffer, base);
    if (n > 0) /* an empty field has no data to point to */
        fwrite(data, 1, n, fb->file);
}

int pd_onnx_model_write(const Onnx__ModelProto *model, const char *path, struct pd_err *err)
{
    char temporary[4096];
    int n = snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path);
    if (n < 0 || (size_t)n >= sizeof(temporary))
        return pd_err_set(err, -ENAMETOOLONG, "%s: the path is too long", path);
    int fd = mkostemp(temporary, O_CLOEXEC);
    FILE *file = fd >= 0 ? fdopen(fd, "wb") : NULL;
    if (!file) {
        int r = -errno;
        if (fd >= 0) {
            close(fd);
            unlink(temporary);
        }
        return pd_err_set(err, r, "%s: %s", path, strerror(-r));
    }
    struct file_buffer fb = {.base = {append_to_file}, .file = file};
    errno = 0;
    onnx__model_proto__pack_to_buffer(model, &fb.base);
    bool bad = ferror(file) || fflush(file) || fchmod(fd, 0644);
    int r = bad ? (errno ? -errno : -EIO) : 0;
    if (fclose(file) && !r)
        r = -errno;
    if (!r && rename(temporary, path) < 0)
        r = -errno;
    if (r < 0) {
        unlink(temporary);
        return pd_err_set(err, r, "%s: %s", path, strerror(-r));
    }
    return 0;
}

int pd_onnx_write_file(struct pd_onnx_writer *w, const char *path, struct pd_err *err)
{
    int r = finish(w);
    return r < 0 ? pd_err_set(err, r, "%s: out of memory", path) : pd_onnx_model_write(&w->model, path, err);
}
