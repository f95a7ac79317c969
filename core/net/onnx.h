#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * ONNX files as data: parsing within a memory budget, names resolved to numbers, nodes in execution order. Knows
 * nothing of what operators mean. Private to core/net. One thread.
 */
#include "core/err.h"
#include "core/net/arena.h"
#include "core/net/onnx.pb-c.h"

#define PD_ONNX_DIMS_MAX 8
#define PD_ONNX_NODES_MAX 65536

enum { /* TensorProto.data_type */
       PD_ONNX_FLOAT = 1,
       PD_ONNX_INT32 = 6,
       PD_ONNX_INT64 = 7,
       PD_ONNX_FLOAT16 = 10,
       PD_ONNX_DOUBLE = 11,
};

/* A constant: floats or integers, never both. Data belongs to the arena or to the parsed file. */
struct pd_const {
    int n_dims;
    int64_t dims[PD_ONNX_DIMS_MAX];
    size_t count; /* product of dims; 1 for a scalar */
    const float *f;
    const int64_t *i;
};

struct pd_onnx_node {
    const Onnx__NodeProto *proto;
    const char *op;   /* operator type */
    const char *name; /* the node's, or its first output's; never NULL */
    int n_in, n_out;
    int *in, *out; /* value numbers; -1: left out */
};

struct pd_onnx {
    const char *file; /* for messages */
    const Onnx__ModelProto *model;
    struct pd_arena *arena;
    int opset;
    int n_values, n_nodes, n_outputs;
    const char **value_names;
    const Onnx__TensorProto **initializers; /* per value; NULL: none */
    const Onnx__ValueInfoProto *input;      /* the one input that is not an initializer */
    int input_value;
    struct pd_onnx_node *nodes; /* in execution order */
    int *outputs;               /* value numbers of the graph's outputs */
};

/* Parse @data. The memory taken is charged to @arena; @ret_model is released with pd_onnx_model_free. */
int pd_onnx_parse(const void *data, size_t size, const char *file, struct pd_arena *arena, Onnx__ModelProto **ret_model,
                  struct pd_err *err);
void pd_onnx_model_free(Onnx__ModelProto *model);

/* Write @model beside @path and rename, so that a file of that name is never half a network. */
int pd_onnx_model_write(const Onnx__ModelProto *model, const char *path, struct pd_err *err);

/* Resolve names and order nodes; everything in @ret_onnx belongs to @arena or views @model. */
int pd_onnx_index(const Onnx__ModelProto *model, const char *file, struct pd_arena *arena, struct pd_onnx *ret_onnx,
                  struct pd_err *err);

/* Check a tensor's sizes and make its values floats or int64. @what names it in messages. */
int pd_onnx_const(const struct pd_onnx *onnx, const Onnx__TensorProto *tensor, const char *what,
                  struct pd_const *ret_const, struct pd_err *err);

/* Whether operators of @domain are ONNX's own, which may be left out or spelt out. */
bool pd_onnx_is_own_domain(const char *domain);

/* Copy a name from a file into a fixed field: cut to fit, everything but printable ASCII replaced by '?'. */
void pd_onnx_copy_name(char *dst, size_t size, const char *src);
