/* SPDX-License-Identifier: Apache-2.0 - files cut, endless or no networks: refused in bounded time and memory. */
#include "tests/core/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/net/sound_model.h"

static void a_file_cut_anywhere_is_refused(void **state)
{
    Onnx__ModelProto *m = sound_model();
    size_t size = onnx__model_proto__get_packed_size(m);
    uint8_t *data = malloc(size);
    struct pd_err err;
    assert_non_null(data);
    onnx__model_proto__pack(m, data);
    for (size_t n = 0; n < size; n++) {
        struct pd_net *net = NULL;
        err.text[0] = 0;
        int r = pd_net_load_memory(data, n, "cut.onnx", &net, &err);
        pd_net_destroy(net);
        /* The opset comes after the graph, so no proper beginning of the file is a network. */
        if (r >= 0 || strncmp(err.text, "cut.onnx: ", 10))
            fail_msg("%zu of %zu bytes: %d \"%s\"", n, size, r, err.text);
    }
    free(data);
    onnx__model_proto__free_unpacked(m, NULL);
}

static void control_characters_do_not_reach_the_line(void **state)
{
    struct pd_err err;
    Onnx__ModelProto *m = sound_model();
    set(&m->graph->node[1]->op_type, "Evil\n<3>forged\x1b[31m");
    assert_true(load(m, &err) < 0);
    for (const char *s = err.text; *s; s++)
        assert_true((unsigned char)*s >= 0x20);
    onnx__model_proto__free_unpacked(m, NULL);
}

static void endless_names_are_cut(void **state)
{
    struct pd_err err;
    Onnx__ModelProto *m = sound_model();
    char *name = malloc(100001);
    assert_non_null(name);
    memset(name, 'x', 100000);
    name[100000] = 0;
    set(&m->graph->node[0]->name, name);
    if (load(m, &err) < 0)
        fail_msg("%s", err.text);
    set(&m->graph->node[0]->op_type, name);
    assert_true(load(m, &err) < 0);
    free(name);
    onnx__model_proto__free_unpacked(m, NULL);
}

/* A megabyte of empty nodes would be 50 megabytes of structures. */
static void memory_is_bounded_by_the_file(void **state)
{
    const size_t n = 4 << 20;
    uint8_t *data = malloc(n + 16);
    struct pd_net *net = NULL;
    struct pd_err err;
    assert_non_null(data);
    /* ModelProto.graph (field 7), n bytes long: as many empty GraphProto.node (field 1) as fit */
    uint8_t head[] = {0x3a, 0x80, 0x80, 0x80, 0x02};
    memcpy(data, head, sizeof(head));
    for (size_t i = 0; i < n; i += 2) {
        data[sizeof(head) + i] = 0x0a;
        data[sizeof(head) + i + 1] = 0;
    }
    assert_true(pd_net_load_memory(data, sizeof(head) + n, "nodes.onnx", &net, &err) < 0);
    free(data);
}

static Onnx__NodeProto *add_node(Onnx__ModelProto *m, const char *op, size_t n_in, const char *out)
{
    Onnx__GraphProto *g = m->graph;
    Onnx__NodeProto *n = malloc(sizeof(*n));
    onnx__node_proto__init(n);
    n->op_type = strdup(op);
    n->input = calloc(n_in, sizeof(*n->input));
    for (n->n_input = 0; n->n_input < n_in; n->n_input++)
        n->input[n->n_input] = strdup("image");
    n->output = calloc(1, sizeof(*n->output));
    n->output[0] = strdup(out);
    n->n_output = 1;
    g->node = realloc(g->node, (g->n_node + 1) * sizeof(Onnx__NodeProto *));
    g->node[g->n_node++] = n;
    return n;
}

/* Whether anybody reads what a Transpose makes must not be looked for in the whole file every time. */
static void time_is_bounded_by_the_file(void **state)
{
    static const int64_t channels_last[4] = {0, 2, 3, 1};
    Onnx__ModelProto *m = sound_model();
    struct pd_err err;
    for (int i = 0; i < 20000; i++) {
        char name[16];
        sprintf(name, "t%d", i);
        Onnx__NodeProto *n = add_node(m, "Transpose", 1, name);
        n->attribute = calloc(1, sizeof(*n->attribute));
        n->attribute[0] = malloc(sizeof(**n->attribute));
        onnx__attribute_proto__init(n->attribute[0]);
        n->attribute[0]->name = strdup("perm");
        n->attribute[0]->ints = malloc(sizeof(channels_last));
        memcpy(n->attribute[0]->ints, channels_last, sizeof(channels_last));
        n->attribute[0]->n_ints = 4;
        n->n_attribute = 1;
    }
    add_node(m, "Relu", 2000000, "z");
    clock_t start = clock();
    assert_true(load(m, &err) < 0);
    print_message("# %.2f s\n", (double)(clock() - start) / CLOCKS_PER_SEC);
    assert_non_null(strstr(err.text, "has 2000000 inputs"));
    assert_true(clock() - start < 10 * CLOCKS_PER_SEC);
    onnx__model_proto__free_unpacked(m, NULL);
}

/* In place of the C library's, of which only the writing of a network has need here: out of memory. */
FILE *fdopen(int fd, const char *mode)
{
    errno = ENOMEM;
    return NULL;
}

static void a_network_that_cannot_be_written_leaves_no_file(void **state)
{
    char folder[] = "/tmp/posed-hostile-XXXXXX", path[64];
    struct pd_err err;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/net.onnx", folder);
    assert_int_equal(pd_net_random_write("tiny", 1, path, &err), -ENOMEM);
    assert_int_equal(rmdir(folder), 0); /* it is empty */
}

static void paths_that_are_no_networks(void **state)
{
    struct pd_err err;
    struct pd_net *net = NULL;
    char dir[] = "/tmp/posed-hostile-XXXXXX", path[64];
    assert_int_equal(pd_net_load("/nonexistent/net.onnx", &net, &err), -ENOENT);
    assert_string_equal(err.text, "/nonexistent/net.onnx: No such file or directory");
    assert_non_null(mkdtemp(dir));
    assert_int_equal(pd_net_load(dir, &net, &err), -EINVAL);
    assert_non_null(strstr(err.text, "not a file"));
    snprintf(path, sizeof(path), "%s/fifo", dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(pd_net_load(path, &net, &err), -EINVAL);
    unlink(path);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pd_net_load(path, &net, &err), -EINVAL);
    assert_non_null(strstr(err.text, "is empty"));
    assert_int_equal(write(fd, "this is a text, not a network\n", 30), 30);
    close(fd);
    assert_int_equal(pd_net_load(path, &net, &err), -EINVAL);
    assert_non_null(strstr(err.text, "not an ONNX file"));
    unlink(path);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(control_characters_do_not_reach_the_line),
        cmocka_unit_test(endless_names_are_cut),
        cmocka_unit_test(memory_is_bounded_by_the_file),
        cmocka_unit_test(time_is_bounded_by_the_file),
        cmocka_unit_test(a_network_that_cannot_be_written_leaves_no_file),
        cmocka_unit_test(paths_that_are_no_networks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
