#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing ONNX files: nodes, weights and metadata are added one by one, then the file is written at once. Errors stick:
 * the calls that add return nothing, and the final write reports if any of them ran out of memory. Names and values are
 * copied. Opset 13. Private to core/net and its tests. One thread.
 */
#include "core/err.h"

struct pd_onnx_writer;

struct pd_onnx_writer *pd_onnx_writer_create(void); /* NULL: out of memory */
void pd_onnx_writer_destroy(struct pd_onnx_writer *w);

/* The image, n x @channels x h x w floats, n, h and w open; an output with @n_dims 4 or 2 likewise. */
void pd_onnx_write_input(struct pd_onnx_writer *w, const char *name, int channels);
void pd_onnx_write_output(struct pd_onnx_writer *w, const char *name, int channels, int n_dims);
/* "posed.@key"; see meta.h. */
void pd_onnx_write_meta(struct pd_onnx_writer *w, const char *key, const char *value);

/* A node named like its output; @inputs is a list of names separated by blanks. Attributes go to the latest node. */
void pd_onnx_write_node(struct pd_onnx_writer *w, const char *op, const char *inputs, const char *output);
void pd_onnx_write_int(struct pd_onnx_writer *w, const char *name, int64_t value);
void pd_onnx_write_ints(struct pd_onnx_writer *w, const char *name, int n, const int64_t *values);
void pd_onnx_write_float(struct pd_onnx_writer *w, const char *name, float value);
void pd_onnx_write_string(struct pd_onnx_writer *w, const char *name, const char *value);

/* A constant; returns its floats for the caller to fill until the write, or NULL (the failure sticks). */
float *pd_onnx_write_floats(struct pd_onnx_writer *w, const char *name, int n_dims, const int64_t *dims);
void pd_onnx_write_integers(struct pd_onnx_writer *w, const char *name, int n, const int64_t *values);

/* Written beside @path and renamed, so that a file of that name is never half a network. */
int pd_onnx_write_file(struct pd_onnx_writer *w, const char *path, struct pd_err *err);
/* The same bytes in memory, to be freed by the caller. */
int pd_onnx_write_memory(struct pd_onnx_writer *w, void **ret_data, size_t *ret_size);
