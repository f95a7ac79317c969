/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzz target: any bytes as a Caffe network. What is read is written as ONNX and loaded, as an import does, and what
 * loads must have shapes. What those layers compute is fuzz_onnx's matter.
 */
#include <string.h>

#include "core/net/caffe.h"
#include "core/net/net.h"
#include "tests/fuzz/fuzz.h"

static void load(const void *data, size_t size)
{
    struct pd_err err;
    struct pd_net *net;
    if (pd_net_load_memory(data, size, "fuzz.onnx", &net, &err) < 0) {
        FUZZ_CHECK(err.text[0]);
        return;
    }
    struct pd_shape *shapes = calloc((size_t)net->n_tensors, sizeof(*shapes));
    FUZZ_CHECK(shapes);
    pd_net_shapes(net, 2 * net->meta.stride, net->meta.stride, shapes, &err);
    free(shapes);
    pd_net_destroy(net);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct pd_caffe_outputs told[2] = {{0}, {.output = "both", .pafs_first = true}};
    for (int i = 0; i < 2; i++) {
        struct pd_err err = {""};
        struct pd_caffe c;
        struct pd_onnx_writer *w = pd_onnx_writer_create();
        void *copy = malloc(size ? size : 1), *onnx = NULL;
        size_t n = 0;
        FUZZ_CHECK(w && copy);
        memcpy(copy, data, size);
        int r = pd_caffe_read(copy, size, "fuzz.caffemodel", &told[i], &c, &err);
        if (!r)
            r = pd_caffe_write(&c, w);
        FUZZ_CHECK(!r || err.text[0]);
        pd_caffe_finish(&c);
        if (!r && pd_onnx_write_memory(w, &onnx, &n) == 0)
            load(onnx, n);
        free(onnx);
        pd_onnx_writer_destroy(w);
    }
    return 0;
}
