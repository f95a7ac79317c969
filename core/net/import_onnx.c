/* SPDX-License-Identifier: Apache-2.0
 *
 * ONNX files of other programs: nodes and weights stay as they are, outputs and metadata become ours.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/net/file.h"
#include "core/net/import_parts.h"
#include "core/net/meta.h"

enum { ATTRIBUTE_INT = 2, ATTRIBUTE_INTS = 7 };

/* A shallow copy of a parsed model with lists of its own, so that the parsed one can be released as it came. */
struct edit {
    const struct pd_net_import *import;
    const char *file;
    struct pd_err *err;
    struct pd_arena *arena;
    Onnx__ModelProto model;
    Onnx__GraphProto graph;
    bool failed; /* out of memory: sticks */
};

static void *take(struct edit *e, size_t n, size_t size)
{
    void *p = pd_arena_alloc(e->arena, n, size);
    e->failed |= !p;
    return p;
}

/* @list with room for @more pointers. */
static void *longer(struct edit *e, void *list, size_t n, size_t more)
{
    void **copy = take(e, n + more, sizeof(*copy));
    if (copy && n)
        memcpy(copy, list, n * sizeof(*copy));
    return copy;
}

#define NEW(e, type, init)                                                                                             \
    ({                                                                                                                 \
        type *p_ = take(e, 1, sizeof(type));                                                                           \
        if (p_)                                                                                                        \
            init(p_);                                                                                                  \
        p_;                                                                                                            \
    })

/* ---- tensors ---- */

static bool is_made(const Onnx__GraphProto *g, const char *name)
{
    for (size_t i = 0; i < g->n_node; i++)
        for (size_t k = 0; k < g->node[i]->n_output; k++)
            if (!strcmp(g->node[i]->output[k], name))
                return true;
    return false;
}

static int check_made(struct edit *e, const char *name)
{
    char names[200] = "";
    if (is_made(&e->graph, name))
        return 0;
    for (size_t i = 0; i < e->graph.n_output; i++)
        snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%.40s", i ? ", " : "",
                 e->graph.output[i]->name ? e->graph.output[i]->name : "");
    return pd_err_set(e->err, -ENOENT, "%s: no node makes '%.80s'; the graph's outputs are: %s", e->file, name, names);
}

static Onnx__NodeProto *add_node(struct edit *e, const char *op, const char *in, size_t n_out, const char *const *out)
{
    Onnx__NodeProto *node = NEW(e, Onnx__NodeProto, onnx__node_proto__init);
    char **inputs = take(e, 2, sizeof(*inputs)), **outputs = take(e, n_out, sizeof(*outputs));
    if (e->failed)
        return NULL;
    inputs[0] = (char *)in;
    for (size_t i = 0; i < n_out; i++)
        outputs[i] = (char *)out[i];
    node->op_type = (char *)op;
    node->name = (char *)out[0];
    node->input = inputs;
    node->n_input = 1;
    node->output = outputs;
    node->n_output = n_out;
    e->graph.node[e->graph.n_node++] = node;
    return node;
}

/* n x c x h x w, of which nothing else is known; @channels 0: nor that. */
static Onnx__TensorShapeProto *map_shape(struct edit *e, int64_t channels)
{
    Onnx__TensorShapeProto *shape = NEW(e, Onnx__TensorShapeProto, onnx__tensor_shape_proto__init);
    Onnx__TensorShapeProto__Dimension **dims = take(e, 4, sizeof(Onnx__TensorShapeProto__Dimension *));
    for (int i = 0; i < 4 && dims; i++)
        dims[i] = NEW(e, Onnx__TensorShapeProto__Dimension, onnx__tensor_shape_proto__dimension__init);
    if (e->failed)
        return NULL;
    dims[1]->has_dim_value = channels > 0;
    dims[1]->dim_value = channels;
    shape->dim = dims;
    shape->n_dim = 4;
    return shape;
}

static void set_outputs(struct edit *e, size_t n, const char *const *names, const int64_t *channels)
{
    Onnx__ValueInfoProto **list = take(e, n, sizeof(Onnx__ValueInfoProto *));
    for (size_t i = 0; i < n && list; i++) {
        Onnx__ValueInfoProto *v = NEW(e, Onnx__ValueInfoProto, onnx__value_info_proto__init);
        Onnx__TypeProto *type = NEW(e, Onnx__TypeProto, onnx__type_proto__init);
        Onnx__TypeProto__Tensor *tensor = NEW(e, Onnx__TypeProto__Tensor, onnx__type_proto__tensor__init);
        if (e->failed)
            return;
        tensor->has_elem_type = 1;
        tensor->elem_type = PD_ONNX_FLOAT;
        tensor->shape = map_shape(e, channels ? channels[i] : 0);
        type->tensor_type = tensor;
        v->name = (char *)names[i];
        v->type = type;
        list[i] = v;
    }
    e->graph.output = list;
    e->graph.n_output = n;
}

/* ---- outputs ---- */

static bool is_taken(const Onnx__GraphProto *g, const char *name)
{
    for (size_t i = 0; i < g->n_initializer; i++)
        if (g->initializer[i]->name && !strcmp(g->initializer[i]->name, name))
            return true;
    for (size_t i = 0; i < g->n_input; i++)
        if (g->input[i]->name && !strcmp(g->input[i]->name, name))
            return true;
    return is_made(g, name);
}

/* Names that the reader knows the outputs by, and that nothing else in the file has. */
static const char *fresh(struct edit *e, const char *base)
{
    char *name = take(e, 64, 1);
    snprintf(name ? name : (char[64]){0}, 64, "%s", base);
    for (int i = 2; name && i < 1000 && is_taken(&e->graph, name); i++)
        snprintf(name, 64, "%s.%d", base, i);
    return name;
}

static int64_t opset_of(const Onnx__ModelProto *model)
{
    for (size_t i = 0; i < model->n_opset_import; i++)
        if (pd_onnx_is_own_domain(model->opset_import[i]->domain))
            return model->opset_import[i]->version;
    return 0;
}

/* The sizes of a Split: an attribute up to opset 12, an input from opset 13. */
static void add_split(struct edit *e, const char *in, const char *const names[2], const int64_t sizes[2])
{
    Onnx__NodeProto *node = add_node(e, "Split", in, 2, names);
    Onnx__AttributeProto **attributes = take(e, 2, sizeof(Onnx__AttributeProto *));
    Onnx__AttributeProto *axis = NEW(e, Onnx__AttributeProto, onnx__attribute_proto__init);
    Onnx__AttributeProto *split = NEW(e, Onnx__AttributeProto, onnx__attribute_proto__init);
    Onnx__TensorProto *tensor = NEW(e, Onnx__TensorProto, onnx__tensor_proto__init);
    int64_t *values = take(e, 3, sizeof(*values));
    const char *sizes_name = fresh(e, "split_sizes");
    if (e->failed)
        return;
    memcpy(values, sizes, 2 * sizeof(*values));
    values[2] = 2;
    *axis = (Onnx__AttributeProto){.base = axis->base, .name = (char *)"axis", .has_type = 1, .type = ATTRIBUTE_INT,
                                   .has_i = 1, .i = 1};
    attributes[0] = axis;
    node->attribute = attributes;
    node->n_attribute = 1;
    if (opset_of(&e->model) < 13) {
        split->name = (char *)"split";
        split->has_type = 1;
        split->type = ATTRIBUTE_INTS;
        split->ints = values;
        split->n_ints = 2;
        attributes[node->n_attribute++] = split;
        return;
    }
    tensor->name = (char *)sizes_name;
    tensor->has_data_type = 1;
    tensor->data_type = PD_ONNX_INT64;
    tensor->dims = values + 2;
    tensor->n_dims = 1;
    tensor->int64_data = values;
    tensor->n_int64_data = 2;
    e->graph.initializer[e->graph.n_initializer++] = tensor;
    node->input[node->n_input++] = tensor->name;
}

/* The family that the caller named, or a told size: which cut is meant must not be guessed. */
static int cut_output(struct edit *e)
{
    static const struct {
        const char *skeleton;
        int64_t heat, paf;
    } families[] = {{"coco18", 19, 38}, {"body25", 26, 52}, {"mpi15", 16, 28}, {"trt18", 18, 42}};
    const struct pd_net_import *im = e->import;
    const char *names[2] = {fresh(e, im->pafs_first ? "paf" : "heatmap"), fresh(e, im->pafs_first ? "heatmap" : "paf")};
    int r = check_made(e, im->output);
    for (size_t i = 0; i < PD_ARRAY_SIZE(families) && !r; i++) {
        if (strcmp(im->skeleton ? im->skeleton : "", families[i].skeleton))
            continue;
        int64_t sizes[2] = {im->pafs_first ? families[i].paf : families[i].heat,
                            im->pafs_first ? families[i].heat : families[i].paf};
        add_split(e, im->output, names, sizes);
        set_outputs(e, 2, names, sizes);
        return 0;
    }
    return r ? r
             : pd_err_set(e->err, -EINVAL,
                          "%s: to cut '%.80s' in two, say --skeleton coco18 (19 + 38 channels), body25 (26 + 52), "
                          "mpi15 (16 + 28) or trt18 (18 + 42)",
                          e->file, im->output);
}

static int edit_outputs(struct edit *e)
{
    const struct pd_net_import *im = e->import;
    if (im->output)
        return cut_output(e);
    if (!im->heatmaps)
        return 0;
    const char *told[2] = {im->heatmaps, im->pafs}, *names[2] = {fresh(e, "heatmap"), fresh(e, "paf")};
    for (int i = 0; i < 2; i++) {
        int r = check_made(e, told[i]);
        if (r < 0)
            return r;
        add_node(e, "Identity", told[i], 1, &names[i]);
    }
    set_outputs(e, 2, names, NULL);
    return 0;
}

/* ---- metadata ---- */

static void recognize(struct edit *e, struct pd_import_facts *facts)
{
    for (size_t i = 0; i < e->graph.n_node; i++) {
        pd_import_look_at(facts, e->graph.node[i]->name);
        for (size_t k = 0; k < e->graph.node[i]->n_output; k++)
            pd_import_look_at(facts, e->graph.node[i]->output[k]);
    }
    for (size_t i = 0; i < e->graph.n_initializer; i++)
        pd_import_look_at(facts, e->graph.initializer[i]->name);
}

/* An entry of the file that ours replaces. */
static bool is_replaced(const struct pd_import_facts *facts, const char *key)
{
    const size_t prefix = sizeof(PD_META_PREFIX) - 1;
    for (int i = 0; i < facts->n_meta && key && !strncmp(key, PD_META_PREFIX, prefix); i++)
        if (!strcmp(key + prefix, facts->meta[i].key))
            return true;
    return false;
}

static void edit_meta(struct edit *e, const struct pd_import_facts *facts)
{
    Onnx__StringStringEntryProto **old = e->model.metadata_props, **list;
    size_t n_old = e->model.n_metadata_props, n = 0;
    list = take(e, n_old + PD_IMPORT_META_MAX, sizeof(Onnx__StringStringEntryProto *));
    for (size_t i = 0; i < n_old && list; i++)
        if (!is_replaced(facts, old[i]->key))
            list[n++] = old[i];
    for (int i = 0; i < facts->n_meta && list; i++) {
        Onnx__StringStringEntryProto *p = NEW(e, Onnx__StringStringEntryProto, onnx__string_string_entry_proto__init);
        char *key = take(e, 64, 1);
        if (e->failed)
            return;
        snprintf(key, 64, PD_META_PREFIX "%s", facts->meta[i].key);
        p->key = key;
        p->value = (char *)facts->meta[i].value;
        list[n++] = p;
    }
    e->model.metadata_props = list;
    e->model.n_metadata_props = n;
}

static int edit(struct edit *e, struct pd_import_facts *facts)
{
    Onnx__GraphProto *g = &e->graph;
    recognize(e, facts);
    /* What a file of ours says of itself is not overruled by what its names look like. */
    facts->openpose &= !pd_meta_find(&e->model, "licence");
    pd_import_describe(facts);
    g->node = longer(e, g->node, g->n_node, 2);
    g->initializer = longer(e, g->initializer, g->n_initializer, 1);
    if (e->failed)
        return -ENOMEM;
    int r = edit_outputs(e);
    edit_meta(e, facts);
    e->model.graph = g;
    return r ? r : e->failed ? -ENOMEM : 0;
}

int pd_import_onnx(void *data, size_t size, struct pd_import_facts *facts, const char *to, struct pd_err *err)
{
    struct pd_arena arena;
    Onnx__ModelProto *model = NULL;
    pd_arena_init(&arena, PD_NET_FILE_BUDGET(size));
    int r = pd_onnx_parse(data, size, facts->file, &arena, &model, err);
    free(data);
    if (!r) {
        struct edit e = {.import = facts->import, .file = facts->file, .err = err, .arena = &arena, .model = *model,
                         .graph = *model->graph};
        r = edit(&e, facts);
        if (r == -ENOMEM)
            r = pd_err_set(err, r, "%s: needs far more memory than a network of this file size may", facts->file);
        if (!r)
            r = pd_onnx_model_write(&e.model, to, err);
    }
    pd_onnx_model_free(model);
    pd_arena_finish(&arena);
    return r;
}
