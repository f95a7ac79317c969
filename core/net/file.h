#pragma once
/* SPDX-License-Identifier: Apache-2.0 - network files as bytes. Private to core/net. */
#include "core/err.h"

/* Protocol buffers cannot be larger. */
#define PD_NET_FILE_MAX ((size_t)INT32_MAX)
/* What reading a file of @size may take in all: parsed copy, tables and folded weights are each about the file's size,
 * and small files are mostly names and tables. */
#define PD_NET_FILE_BUDGET(size) ((size)*8 + ((size_t)16 << 20))

/* The whole of a regular file, to be freed. @what names the kind that is expected, "an ONNX network". */
int pd_net_read_file(const char *path, const char *what, void **ret_data, size_t *ret_size, struct pd_err *err);

void pd_net_sha256(const void *data, size_t size, char hex[65]);
