/* SPDX-License-Identifier: Apache-2.0 - files that lie: each gets one line that names what is wrong, and nothing else.
 */
#include "tests/core/test.h"

#include <string.h>

#include "tests/net/sound_model.h"

static Onnx__AttributeProto *attribute(Onnx__ModelProto *m, int node, const char *name)
{
    Onnx__NodeProto *n = m->graph->node[node];
    for (size_t i = 0; i < n->n_attribute; i++)
        if (!strcmp(n->attribute[i]->name, name))
            return n->attribute[i];
    fail();
    return NULL;
}

/* ---- one lie each ---- */

static void unknown_operator(Onnx__ModelProto *m)
{
    set(&m->graph->node[1]->op_type, "Softsign");
}
static void foreign_domain(Onnx__ModelProto *m)
{
    m->graph->node[1]->domain = strdup("com.example");
}
static void missing_input(Onnx__ModelProto *m)
{
    set(&m->graph->node[0]->input[1], "nowhere");
}
static void left_out_input(Onnx__ModelProto *m)
{
    set(&m->graph->node[0]->input[1], "");
}
static void no_inputs(Onnx__ModelProto *m)
{
    for (size_t i = 0; i < m->graph->node[0]->n_input; i++)
        free(m->graph->node[0]->input[i]);
    m->graph->node[0]->n_input = 0;
}
static void output_defined_twice(Onnx__ModelProto *m)
{
    set(&m->graph->node[3]->output[0], "heatmap");
}
static void cycle(Onnx__ModelProto *m)
{
    set(&m->graph->node[0]->input[0], "r1");
}
static void reads_itself(Onnx__ModelProto *m)
{
    set(&m->graph->node[1]->input[0], "r1");
}
static void unknown_output(Onnx__ModelProto *m)
{
    set(&m->graph->output[0]->name, "elsewhere");
}
static void short_weights(Onnx__ModelProto *m)
{
    m->graph->initializer[0]->raw_data.len -= 4;
}
static void huge_dims(Onnx__ModelProto *m)
{
    m->graph->initializer[0]->dims[0] = INT64_MAX / 2;
    m->graph->initializer[0]->dims[1] = 8;
}
static void wrapping_dims(Onnx__ModelProto *m)
{
    /* 2^62 * 4 bytes wraps to the 0 that the data is claimed to be */
    Onnx__TensorProto *t = m->graph->initializer[0];
    t->n_dims = 1;
    t->dims[0] = (int64_t)1 << 62;
    t->raw_data.len = 0;
}
static void negative_dims(Onnx__ModelProto *m)
{
    m->graph->initializer[0]->dims[2] = -3;
}
static void no_values(Onnx__ModelProto *m)
{
    m->graph->initializer[0]->dims[2] = 0;
    m->graph->initializer[0]->raw_data.len = 0;
}
static void strange_type(Onnx__ModelProto *m)
{
    m->graph->initializer[0]->data_type = 14;
}
static void integer_weights(Onnx__ModelProto *m)
{
    m->graph->initializer[0]->data_type = 6;
}
static void external_data(Onnx__ModelProto *m)
{
    m->graph->initializer[0]->has_data_location = 1;
    m->graph->initializer[0]->data_location = 1;
}
static void zero_stride(Onnx__ModelProto *m)
{
    attribute(m, 0, "strides")->ints[0] = 0;
}
static void huge_pad(Onnx__ModelProto *m)
{
    attribute(m, 0, "pads")->ints[0] = INT64_MAX;
}
static void negative_pad(Onnx__ModelProto *m)
{
    attribute(m, 0, "pads")->ints[3] = -1;
}
static void short_strides(Onnx__ModelProto *m)
{
    attribute(m, 0, "strides")->n_ints = 1;
}
static void odd_groups(Onnx__ModelProto *m)
{
    attribute(m, 0, "group")->i = 2;
}
static void no_groups(Onnx__ModelProto *m)
{
    attribute(m, 0, "group")->i = 0;
}
static void huge_groups(Onnx__ModelProto *m)
{
    attribute(m, 0, "group")->i = INT64_MIN;
}
static void other_kernel(Onnx__ModelProto *m)
{
    set(&attribute(m, 0, "strides")->name, "kernel_shape");
}
static void odd_stride(Onnx__ModelProto *m)
{
    attribute(m, 0, "strides")->ints[0] = attribute(m, 0, "strides")->ints[1] = 3;
}
static void two_scales(Onnx__ModelProto *m)
{
    attribute(m, 0, "strides")->ints[0] = 1;
}
static void old_opset(Onnx__ModelProto *m)
{
    m->opset_import[0]->version = 3;
}
static void future_opset(Onnx__ModelProto *m)
{
    m->opset_import[0]->version = 99;
}
static void no_opset(Onnx__ModelProto *m)
{
    set(&m->opset_import[0]->domain, "other");
}
static void two_inputs(Onnx__ModelProto *m)
{
    set(&m->graph->initializer[2]->name, "unused");
    set(&m->graph->output[1]->name, "paf.w");
    m->graph->n_input = 2;
    m->graph->input = realloc(m->graph->input, 2 * sizeof(*m->graph->input));
    Onnx__ValueInfoProto *v = malloc(sizeof(*v));
    onnx__value_info_proto__init(v);
    v->name = strdup("paf.w");
    m->graph->input[1] = v;
}
static void flat_input(Onnx__ModelProto *m)
{
    m->graph->input[0]->type->tensor_type->shape->dim[1]->dim_value = 1;
}
static void byte_input(Onnx__ModelProto *m)
{
    m->graph->input[0]->type->tensor_type->elem_type = 2;
}
static void wrong_channels(Onnx__ModelProto *m)
{
    m->graph->initializer[2]->dims[0] = 37;
    m->graph->initializer[2]->raw_data.len = 37 * 4 * 4;
    set(&m->graph->node[3]->output[0], "other");
    set(&m->graph->output[1]->name, "other");
}
static void constant_into_relu(Onnx__ModelProto *m)
{
    set(&m->graph->node[1]->input[0], "c1.w");
}
static void meta(Onnx__ModelProto *m, const char *key, const char *value)
{
    Onnx__StringStringEntryProto *e = malloc(sizeof(*e));
    onnx__string_string_entry_proto__init(e);
    e->key = strdup(key);
    e->value = strdup(value);
    m->metadata_props = realloc(m->metadata_props, (m->n_metadata_props + 1) * sizeof(Onnx__StringStringEntryProto *));
    m->metadata_props[m->n_metadata_props++] = e;
}
static void meta_skeleton(Onnx__ModelProto *m)
{
    meta(m, "posed.skeleton", "octopus");
}
static void meta_other_skeleton(Onnx__ModelProto *m)
{
    meta(m, "posed.skeleton", "body25");
}
static void meta_scale(Onnx__ModelProto *m)
{
    meta(m, "posed.input_scale", "1,2");
}
static void meta_zero_scale(Onnx__ModelProto *m)
{
    meta(m, "posed.input_scale", "0");
}
static void meta_order(Onnx__ModelProto *m)
{
    meta(m, "posed.input_order", "grb");
}
static void meta_stride(Onnx__ModelProto *m)
{
    meta(m, "posed.stride", "8");
}
static void meta_paf(Onnx__ModelProto *m)
{
    meta(m, "posed.paf_channels", "12,13 20,21");
}
static void meta_paf_range(Onnx__ModelProto *m)
{
    meta(m, "posed.paf_channels", "12,38");
}
/* More fields than a limb can name: channel 256 must not become channel 0. */
static void meta_paf_beyond_a_byte(Onnx__ModelProto *m)
{
    Onnx__TensorProto *w = m->graph->initializer[2];
    const size_t floats = (size_t)300 * 4;
    w->dims[0] = 300;
    free(w->raw_data.data);
    w->raw_data = (ProtobufCBinaryData){.len = floats * sizeof(float), .data = calloc(floats, sizeof(float))};
    meta(m, "posed.skeleton", "coco18");
    meta(m, "posed.paf_channels", "255,256 1,2");
}

static void meta_offset(Onnx__ModelProto *m)
{
    meta(m, "posed.offset", "1e30");
}

static void meta_sha(Onnx__ModelProto *m)
{
    meta(m, "posed.source_sha256", "abc");
}

static const struct {
    const char *name;
    void (*lie)(Onnx__ModelProto *m);
    const char *expected; /* in the error line, which also begins with the file's name */
} lies[] = {
    {"unknown operator", unknown_operator, "node 'r1' (Softsign): this operator is not known"},
    {"foreign domain", foreign_domain, "node 'r1': operator 'Relu' of domain 'com.example'"},
    {"missing input", missing_input, "node 'c1' (Conv): its input 'nowhere' is made by no node"},
    {"input left out", left_out_input, "node 'c1' (Conv): input 1 is missing"},
    {"no inputs", no_inputs, "node 'c1' (Conv): has 0 inputs"},
    {"output defined twice", output_defined_twice, "'heatmap' is defined twice"},
    {"cycle", cycle, "(the graph has a cycle)"},
    {"reads itself", reads_itself, "node 'r1' (Relu): waits for its own output"},
    {"unknown output", unknown_output, "graph output 'elsewhere' is made by no node"},
    {"short weights", short_weights, "tensor 'c1.w' says 108 values but holds 428 bytes"},
    {"huge dims", huge_dims, "tensor 'c1.w': dimension 1 is 8, which cannot be"},
    {"wrapping dims", wrapping_dims, "tensor 'c1.w' says 4611686018427387904 values but holds 0"},
    {"negative dims", negative_dims, "tensor 'c1.w': dimension 2 is -3"},
    {"no values", no_values, "node 'c1' (Conv): dimension 2 of the weights is 0"},
    {"strange type", strange_type, "tensor 'c1.w' has data type 14"},
    {"integer weights", integer_weights, "node 'c1' (Conv): input 1 must be a constant of floats"},
    {"external data", external_data, "tensor 'c1.w' is kept in another file"},
    {"stride 0", zero_stride, "node 'c1' (Conv): strides is 0"},
    {"huge pad", huge_pad, "node 'c1' (Conv): pads has 9223372036854775807"},
    {"negative pad", negative_pad, "node 'c1' (Conv): pads has -1"},
    {"one stride", short_strides, "node 'c1' (Conv): strides has 1 values"},
    {"groups that do not divide", odd_groups, "node 'c1' (Conv): group 2 does not divide 3"},
    {"group 0", no_groups, "node 'c1' (Conv): group 0"},
    {"group below zero", huge_groups, "node 'c1' (Conv): group -9223372036854775808"},
    {"another kernel", other_kernel, "kernel_shape says 2x2, the weights are 3x3"},
    {"stride 3", odd_stride, "one sample every 3x3 pixels"},
    {"two scales", two_scales, "one sample every 2x1 pixels"},
    {"old opset", old_opset, "operator set 3; export with opset 9 to 21"},
    {"future opset", future_opset, "operator set 99"},
    {"no opset", no_opset, "operator set 0"},
    {"two inputs", two_inputs, "has several inputs ('image', 'paf.w'"},
    {"grey input", flat_input, "input 'image' is not an n x 3 x h x w image"},
    {"bytes as input", byte_input, "input 'image' has data type 2"},
    {"37 fields", wrong_channels, "no pose network"},
    {"constant where an image belongs", constant_into_relu,
     "node 'r1' (Relu): input 0 must be computed from the image"},
    {"unknown skeleton", meta_skeleton, "'posed.skeleton' is 'octopus'"},
    {"another skeleton", meta_other_skeleton, "19 confidence maps for the 25 keypoints of body25"},
    {"two scales in metadata", meta_scale, "'posed.input_scale' is '1,2'"},
    {"scale 0", meta_zero_scale, "'posed.input_scale' is '0'"},
    {"unknown order", meta_order, "'posed.input_order' is 'grb'"},
    {"another stride", meta_stride, "'posed.stride' is '8'; expected 2"},
    {"too few field channels", meta_paf, "'posed.paf_channels'"},
    {"field channel out of range", meta_paf_range, "limb 0 uses PAF channels 12 and 38 of 38"},
    {"field channel that fits no byte", meta_paf_beyond_a_byte, "limb 0 uses PAF channels 255 and 256 of 300"},
    {"absurd offset", meta_offset, "'posed.offset' is '1e30'"},
    {"bad checksum", meta_sha, "'posed.source_sha256' is 'abc'"},
};

static void the_sound_network_loads(void **state)
{
    struct pd_err err;
    Onnx__ModelProto *m = sound_model();
    if (load(m, &err) < 0)
        fail_msg("%s", err.text);
    onnx__model_proto__free_unpacked(m, NULL);
}

static void every_lie_gets_its_line(void **state)
{
    for (size_t i = 0; i < PD_ARRAY_SIZE(lies); i++) {
        struct pd_err err;
        Onnx__ModelProto *m = sound_model();
        lies[i].lie(m);
        if (load(m, &err) >= 0)
            fail_msg("%s: was loaded", lies[i].name);
        if (strncmp(err.text, "bad.onnx: ", 10) || !strstr(err.text, lies[i].expected))
            fail_msg("%s: the line is \"%s\"", lies[i].name, err.text);
        onnx__model_proto__free_unpacked(m, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sound_network_loads),
        cmocka_unit_test(every_lie_gets_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
