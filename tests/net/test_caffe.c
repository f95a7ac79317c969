/* SPDX-License-Identifier: Apache-2.0 - Caffe files that lie: each gets one line that names what is wrong.
 */
#include "tests/core/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/net/caffe.h"
#include "core/net/net.h"

/* A small sound pose network: image -> c1 -> relu (in place) -> maps, fields -> net_output. Static, so that a case can
 * lie in one place and leave the rest. */
struct sound {
    Caffe__NetParameter net;
    Caffe__LayerParameter layer[5], *layers[5];
    Caffe__ConvolutionParameter conv[3];
    Caffe__ConcatParameter concat;
    Caffe__BlobProto blob[6], *blobs[6];
    Caffe__BlobShape shape[6];
    int64_t dims[6][4];
    float values[6][38 * 4];
    uint64_t one[1], three[1];
    char *inputs[1], *names[8];
};

static void set_blob(struct sound *s, int k, int n_dims, const int64_t *dims)
{
    caffe__blob_proto__init(&s->blob[k]);
    caffe__blob_shape__init(&s->shape[k]);
    s->blobs[k] = &s->blob[k];
    s->blob[k].data = s->values[k];
    s->blob[k].n_data = 1;
    for (int i = 0; i < n_dims; i++) {
        s->dims[k][i] = dims[i];
        s->blob[k].n_data *= (size_t)dims[i];
    }
    s->shape[k].dim = s->dims[k];
    s->shape[k].n_dim = (size_t)n_dims;
    s->blob[k].shape = &s->shape[k];
}

static void set_conv(struct sound *s, int at, int k, int ci, int co, char **in, char **out)
{
    Caffe__LayerParameter *l = &s->layer[at];
    caffe__convolution_parameter__init(&s->conv[k]);
    s->conv[k].has_num_output = 1;
    s->conv[k].num_output = (uint64_t)co;
    s->conv[k].kernel_size = s->one;
    s->conv[k].n_kernel_size = 1;
    set_blob(s, 2 * k, 4, (int64_t[]){co, ci, 1, 1});
    set_blob(s, 2 * k + 1, 1, (int64_t[]){co});
    l->name = *out;
    l->type = (char *)"Convolution";
    l->bottom = in;
    l->top = out;
    l->n_bottom = l->n_top = 1;
    l->blobs = &s->blobs[2 * k];
    l->n_blobs = 2;
    l->convolution_param = &s->conv[k];
}

static void make_sound(struct sound *s)
{
    static const char *const names[] = {"image", "c1", "maps", "fields", "net_output"};
    memset(s, 0, sizeof(*s));
    s->one[0] = 1;
    s->three[0] = 3;
    for (int i = 0; i < 5; i++) {
        s->names[i] = (char *)names[i];
        caffe__layer_parameter__init(&s->layer[i]);
        s->layers[i] = &s->layer[i];
    }
    s->inputs[0] = s->names[0];
    set_conv(s, 0, 0, 3, 4, &s->names[0], &s->names[1]);
    s->layer[1] = (Caffe__LayerParameter){.base = s->layer[1].base, .name = (char *)"relu1", .type = (char *)"ReLU",
                                          .n_bottom = 1, .bottom = &s->names[1], .n_top = 1, .top = &s->names[1]};
    set_conv(s, 2, 1, 4, 19, &s->names[1], &s->names[2]);
    set_conv(s, 3, 2, 4, 38, &s->names[1], &s->names[3]);
    caffe__concat_parameter__init(&s->concat);
    s->layer[4].name = s->names[4];
    s->layer[4].type = (char *)"Concat";
    s->layer[4].bottom = &s->names[2];
    s->layer[4].n_bottom = 2;
    s->layer[4].top = &s->names[4];
    s->layer[4].n_top = 1;
    s->layer[4].concat_param = &s->concat;
    caffe__net_parameter__init(&s->net);
    s->net.name = (char *)"sound";
    s->net.input = s->inputs;
    s->net.n_input = 1;
    s->net.layer = s->layers;
    s->net.n_layer = 5;
}

/* As an import does it: read, write, load. */
static int import(const void *data, size_t size, struct pd_net **ret_net, struct pd_err *err)
{
    static const struct pd_caffe_outputs told;
    struct pd_caffe c;
    struct pd_onnx_writer *w = pd_onnx_writer_create();
    void *copy = malloc(size ? size : 1), *onnx = NULL;
    size_t n = 0;
    assert_non_null(w);
    assert_non_null(copy);
    memcpy(copy, data, size);
    int r = pd_caffe_read(copy, size, "lie", &told, &c, err);
    if (!r)
        r = pd_caffe_write(&c, w);
    pd_caffe_finish(&c);
    if (!r)
        r = pd_onnx_write_memory(w, &onnx, &n);
    if (!r)
        r = pd_net_load_memory(onnx, n, "lie", ret_net, err);
    free(onnx);
    pd_onnx_writer_destroy(w);
    return r;
}

static void *pack(const struct sound *s, size_t *ret_size)
{
    *ret_size = caffe__net_parameter__get_packed_size(&s->net);
    void *data = malloc(*ret_size);
    assert_non_null(data);
    caffe__net_parameter__pack(&s->net, data);
    return data;
}

static void expect_refused(const struct sound *s, const char *text)
{
    struct pd_err err = {""};
    struct pd_net *net = NULL;
    size_t size;
    void *data = pack(s, &size);
    int r = import(data, size, &net, &err);
    free(data);
    if (r >= 0 || !strstr(err.text, text))
        fail_msg("expected '%s', got %d '%s'", text, r, err.text);
    assert_null(net);
}

static void the_sound_network_loads(void **state)
{
    struct sound s;
    struct pd_err err;
    struct pd_net *net;
    size_t size;
    make_sound(&s);
    void *data = pack(&s, &size);
    assert_int_equal(import(data, size, &net, &err), 0);
    assert_string_equal(net->meta.skeleton->name, "coco18");
    assert_int_equal(net->n_layers, 3);
    pd_net_destroy(net);
    free(data);
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    struct sound s;
    struct pd_err err;
    size_t size, loaded = 0;
    make_sound(&s);
    uint8_t *data = pack(&s, &size);
    for (size_t n = 0; n < size; n++) {
        struct pd_net *net = NULL;
        err.text[0] = 0;
        if (import(data, n, &net, &err) == 0) {
            pd_net_destroy(net);
            loaded++;
        } else {
            assert_true(err.text[0]);
        }
    }
    /* Cut between layers it is a file in itself: after the two outputs it is one without its concat. */
    assert_in_range(loaded, 1, 1);
    free(data);
}

static void names_that_nothing_makes(void **state)
{
    struct sound s;
    make_sound(&s);
    s.layer[0].bottom = &s.names[4]; /* of a layer that waits for it */
    expect_refused(&s, "layer 'c1' (Convolution): its input 'net_output' is made by no layer before it");
    make_sound(&s);
    s.layer[2].bottom = &s.names[2]; /* of itself */
    expect_refused(&s, "layer 'maps' (Convolution): its input 'maps' is made by no layer before it");
    make_sound(&s);
    s.net.n_input = 0;
    expect_refused(&s, "its input 'image' is made by no layer before it");
    make_sound(&s);
    s.net.n_layer = 0;
    expect_refused(&s, "it holds no layers");
}

static void sizes_that_lie(void **state)
{
    struct sound s;
    make_sound(&s);
    s.blob[2].n_data--;
    expect_refused(&s, "layer 'maps' (Convolution): weights 0 hold 75 values, its parameters call for 76");
    make_sound(&s);
    s.dims[2][0] = 4; /* transposed: the count is right */
    s.dims[2][1] = 19;
    expect_refused(&s, "weights 0 hold 76 values");
    make_sound(&s);
    s.dims[0][0] = INT64_MAX;
    expect_refused(&s, "layer 'c1' (Convolution): weights 0");
    make_sound(&s);
    s.conv[0].num_output = UINT64_MAX;
    expect_refused(&s, "layer 'c1' (Convolution): num_output is 18446744073709551615");
    make_sound(&s);
    s.conv[0].num_output = 1 << 20;
    expect_refused(&s, "weights 0 hold 12 values, its parameters call for 3145728");
    make_sound(&s);
    s.one[0] = UINT64_MAX;
    expect_refused(&s, "kernel_size is 18446744073709551615; 1 to 1023 is expected");
    make_sound(&s);
    s.one[0] = 0;
    expect_refused(&s, "kernel_size is 0");
    make_sound(&s);
    s.conv[0].has_group = 1;
    s.conv[0].group = 2;
    expect_refused(&s, "group 2 does not divide 3 input channels");
    make_sound(&s);
    s.conv[0].pad = s.three;
    s.conv[0].n_pad = 1;
    s.three[0] = 1u << 31;
    expect_refused(&s, "pad is 2147483648");
    make_sound(&s);
    s.layer[0].n_blobs = 1;
    expect_refused(&s, "has 1 blobs of weights; 2 are expected");
    make_sound(&s);
    s.layer[0].convolution_param = NULL;
    expect_refused(&s, "has no convolution_param");
}

static void outputs_that_are_none(void **state)
{
    struct sound s;
    make_sound(&s);
    s.conv[1].num_output = 18;
    set_blob(&s, 2, 4, (int64_t[]){18, 4, 1, 1});
    set_blob(&s, 3, 1, (int64_t[]){18});
    expect_refused(&s, "confidence maps and part affinity fields");
    make_sound(&s);
    s.net.n_layer = 1;
    expect_refused(&s, "confidence maps and part affinity fields");
    make_sound(&s);
    s.layer[3].type = (char *)"Argmax\n";
    expect_refused(&s, "layer 'fields' (Argmax?): layers of this type are not supported");
    make_sound(&s);
    s.layer[4].type = (char *)"EuclideanLoss"; /* the two that it read are the outputs then */
    struct pd_err err;
    struct pd_net *net;
    size_t size;
    void *data = pack(&s, &size);
    assert_int_equal(import(data, size, &net, &err), 0);
    pd_net_destroy(net);
    free(data);
}

/* Fields of two bytes take many times their size to parse: the budget ends it. */
static void memory_is_bounded_by_the_file(void **state)
{
    const size_t n = 4 << 20;
    struct pd_err err = {""};
    struct pd_net *net;
    uint8_t *data = malloc(2 * n);
    assert_non_null(data);
    for (size_t i = 0; i < n; i++) {
        data[2 * i] = 3 << 3 | 2; /* an input without a name, again and again */
        data[2 * i + 1] = 0;
    }
    assert_int_equal(import(data, 2 * n, &net, &err), -EINVAL);
    assert_non_null(strstr(err.text, "lie: "));
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sound_network_loads),  cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(names_that_nothing_makes), cmocka_unit_test(sizes_that_lie),
        cmocka_unit_test(outputs_that_are_none),    cmocka_unit_test(memory_is_bounded_by_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
