/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/test.h"

#include <stdio.h>
#include <string.h>

#include "core/net/write.h"
#include "tests/net/sound_model.h"

Onnx__ModelProto *sound_model(void)
{
    struct pd_onnx_writer *w = pd_onnx_writer_create();
    static const struct {
        const char *name, *in;
        int64_t dims[4];
    } convs[] = {{"c1", "image", {4, 3, 3, 3}}, {"heatmap", "r1", {19, 4, 1, 1}}, {"paf", "r1", {38, 4, 1, 1}}};
    void *data;
    size_t size;
    assert_non_null(w);
    pd_onnx_write_input(w, "image", 3);
    for (size_t i = 0; i < PD_ARRAY_SIZE(convs); i++) {
        char weight[32], inputs[64];
        sprintf(weight, "%s.w", convs[i].name);
        sprintf(inputs, "%s %s", convs[i].in, weight);
        assert_non_null(pd_onnx_write_floats(w, weight, 4, convs[i].dims));
        pd_onnx_write_node(w, "Conv", inputs, convs[i].name);
        if (i == 0) {
            pd_onnx_write_ints(w, "strides", 2, (int64_t[]){2, 2});
            pd_onnx_write_ints(w, "pads", 4, (int64_t[]){1, 1, 1, 1});
            pd_onnx_write_int(w, "group", 1);
            pd_onnx_write_node(w, "Relu", "c1", "r1");
        }
    }
    pd_onnx_write_output(w, "heatmap", 19, 4);
    pd_onnx_write_output(w, "paf", 38, 4);
    assert_int_equal(pd_onnx_write_memory(w, &data, &size), 0);
    pd_onnx_writer_destroy(w);
    Onnx__ModelProto *m = onnx__model_proto__unpack(NULL, size, data);
    assert_non_null(m);
    free(data);
    return m;
}

int load(const Onnx__ModelProto *m, struct pd_err *err)
{
    size_t size = onnx__model_proto__get_packed_size(m);
    uint8_t *data = malloc(size);
    struct pd_net *net = NULL;
    assert_non_null(data);
    onnx__model_proto__pack(m, data);
    err->text[0] = 0;
    int r = pd_net_load_memory(data, size, "bad.onnx", &net, err);
    free(data);
    pd_net_destroy(net);
    return r;
}

void set(char **field, const char *text)
{
    free(*field);
    *field = strdup(text);
}
