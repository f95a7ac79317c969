/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the GPU engine puts tensors: networks of many branches are walked with a mark in place of every channel's
 * values, and each layer must find the marks of what it reads, whichever layer of a level goes first. No device.
 */
#include "tests/core/test.h"

#include <string.h>

#include "core/engine/cudnn/gpu.h"
#include "tests/engine/netmaker.h"

#define SIDE 8
#define CHANNELS_MAX 256 /* of a tensor */
#define NETS 4000
#define GROWN_MAX 24 /* layers that are added at random */

struct walk {
    const struct pd_net *net;
    const struct pd_gpu_memory *memory;
    uint32_t marks[MAKER_MAX][CHANNELS_MAX + 8]; /* by root tensor and channel in memory; 0: nobody's */
    bool ok;
};

int pd_gpu_alloc(struct pd_gpu *gpu, size_t bytes, void **ret, struct pd_err *err)
{
    *ret = NULL;
    return 0;
}

void pd_gpu_free(struct pd_gpu *gpu, void *p, size_t bytes)
{
}

/* What lies at channel @c of @tensor, in the order of memory, when all is well. */
static uint32_t expected(const struct pd_net *net, int tensor, int c)
{
    const int producer = net->tensors[tensor].producer;
    const struct pd_layer *l = producer >= 0 ? &net->layers[producer] : NULL;
    if (l && l->kind == PD_LAYER_SLICE)
        return expected(net, l->in[0], l->slice_from + c);
    for (int k = 0; l && l->kind == PD_LAYER_CONCAT && k < l->n_in; k++) {
        const int first = pd_gpu_part_channel(net, l, k);
        if (c >= first && c < first + net->tensors[l->in[k]].channels)
            return expected(net, l->in[k], c - first);
    }
    return (uint32_t)(tensor * CHANNELS_MAX + c + 1);
}

static size_t bytes_of(const struct pd_gpu_memory *m, int root)
{
    return (size_t)m->strides[root] * (size_t)m->shapes[root].h * (size_t)m->shapes[root].w * (size_t)m->max_batch * 2;
}

/* Buffers that lie where @root lies hold nothing any more. */
static void claim(struct walk *w, int root)
{
    const struct pd_gpu_memory *m = w->memory;
    for (int t = 0; t < w->net->n_tensors; t++)
        if (t != root && m->places[t].root == t && m->offsets[t] < m->offsets[root] + bytes_of(m, root) &&
            m->offsets[root] < m->offsets[t] + bytes_of(m, t))
            memset(w->marks[t], 0, sizeof(w->marks[t]));
}

static void look(struct walk *w, int tensor)
{
    const struct pd_gpu_place *p = &w->memory->places[tensor];
    for (int c = 0; c < w->net->tensors[tensor].channels; c++)
        w->ok &= w->marks[p->root][p->channel + c] == expected(w->net, tensor, c);
}

/* @tensor is written to channel @channel of where @to lies. */
static void mark(struct walk *w, int tensor, int to, int channel)
{
    const struct pd_gpu_place *p = &w->memory->places[to];
    claim(w, p->root);
    for (int c = 0; c < w->net->tensors[tensor].channels; c++)
        w->marks[p->root][p->channel + channel + c] = expected(w->net, tensor, c);
}

static void run(struct walk *w, const struct pd_layer *l)
{
    if (l->kind == PD_LAYER_SLICE)
        return;
    for (int k = 0; k < l->n_in; k++)
        look(w, l->in[k]);
    if (l->kind == PD_LAYER_CONV && l->residual >= 0)
        look(w, l->residual);
    if (l->kind != PD_LAYER_CONCAT)
        mark(w, l->out, l->out, 0);
    for (int k = 0; l->kind == PD_LAYER_CONCAT && k < l->n_in; k++)
        if (!pd_gpu_in_place(w->net, w->memory, l, k))
            mark(w, l->in[k], l->out, pd_gpu_part_channel(w->net, l, k));
}

static bool is_sound(const struct pd_net *net)
{
    static struct walk w;
    struct pd_gpu gpu = {.elem_bytes = 2};
    struct pd_gpu_memory *m;
    struct pd_err err;
    assert_int_equal(pd_gpu_memory_create(&gpu, net, SIDE, SIDE, 2, &m, &err), 0);
    bool ok = true;
    for (int backwards = 0; backwards < 2; backwards++) {
        w = (struct walk){.net = net, .memory = m, .ok = true};
        mark(&w, net->input, net->input, 0);
        for (int i = 0, n; i < net->n_layers; i += n) {
            const int level = m->levels[m->order[i]];
            for (n = 0; i + n < net->n_layers && m->levels[m->order[i + n]] == level; n++)
                ;
            for (int k = 0; k < n; k++)
                run(&w, &net->layers[m->order[backwards ? i + n - 1 - k : i + k]]);
        }
        look(&w, net->heat);
        if (net->paf >= 0)
            look(&w, net->paf);
        ok &= w.ok;
    }
    pd_gpu_memory_destroy(&gpu, m);
    return ok;
}

static int conv(struct maker *m, int in, int channels)
{
    return maker_layer(m, PD_LAYER_CONV, in, channels)->out;
}

static int join(struct maker *m, int a, int b)
{
    struct pd_layer *l = maker_layer(m, PD_LAYER_CONCAT, a, m->tensors[a].channels + m->tensors[b].channels);
    l->n_in = 2;
    l->in[1] = b;
    return l->out;
}

/* A second concatenation that would fit into the first one's buffer, part of which is read later by way of a slice. */
static void a_slice_of_a_part_outlives_it(void **state)
{
    static struct maker m;
    maker_begin(&m, 1);
    const int a = conv(&m, m.net.input, 8), b = conv(&m, m.net.input, 8);
    const int s = maker_layer(&m, PD_LAYER_SLICE, b, 8)->out;
    int deep = conv(&m, join(&m, a, b), 8);
    for (int i = 0; i < 3; i++)
        deep = conv(&m, deep, 8);
    const int second = conv(&m, join(&m, a, deep), 8);
    m.net.heat = maker_layer(&m, PD_LAYER_ADD, second, 8)->out;
    m.layers[m.net.n_layers - 1].n_in = 2;
    m.layers[m.net.n_layers - 1].in[1] = s;
    m.net.paf = -1;
    assert_true(is_sound(&m.net));
    maker_end(&m);
}

/* The same with a concatenation inside the first one, of which a part is read later. */
static void a_part_of_a_part_outlives_it(void **state)
{
    static struct maker m;
    maker_begin(&m, 1);
    const int a = conv(&m, m.net.input, 8), p = conv(&m, m.net.input, 8), q = conv(&m, m.net.input, 8);
    int deep = conv(&m, join(&m, a, join(&m, p, q)), 8);
    for (int i = 0; i < 3; i++)
        deep = conv(&m, deep, 16);
    const int second = conv(&m, join(&m, a, deep), 8);
    m.net.heat = maker_layer(&m, PD_LAYER_ADD, second, 8)->out;
    m.layers[m.net.n_layers - 1].n_in = 2;
    m.layers[m.net.n_layers - 1].in[1] = p;
    m.net.paf = -1;
    assert_true(is_sound(&m.net));
    maker_end(&m);
}

/* Append a layer that reads what is there, or nothing where what was drawn does not go together. */
static void grow(struct maker *m)
{
    const int a = (int)maker_random(m, (uint32_t)m->net.n_tensors);
    const int b = (int)maker_random(m, (uint32_t)m->net.n_tensors);
    const int ca = m->tensors[a].channels, cb = m->tensors[b].channels;
    switch (maker_random(m, 5)) {
    case 0:
    case 1:
        if (ca + cb <= CHANNELS_MAX)
            join(m, a, b);
        return;
    case 2:
        if (ca > 8)
            maker_layer(m, PD_LAYER_SLICE, a, 8)->slice_from = (int)maker_random(m, (uint32_t)(ca - 8));
        return;
    case 3:
        if (ca == cb && a != b) {
            struct pd_layer *l = maker_layer(m, PD_LAYER_ADD, a, ca);
            l->n_in = 2;
            l->in[1] = b;
        }
        return;
    default:
        conv(m, a, maker_random(m, 4) ? 8 << maker_random(m, 2) : 5);
    }
}

static void no_tensor_is_overwritten_while_it_is_read(void **state)
{
    static struct maker m;
    for (int seed = 1; seed <= NETS; seed++) {
        maker_begin(&m, (uint64_t)seed);
        conv(&m, m.net.input, 8);
        for (int i = 0; i < GROWN_MAX; i++)
            grow(&m);
        m.net.heat = conv(&m, m.net.n_tensors - 1, 19);
        m.net.paf = conv(&m, (int)maker_random(&m, (uint32_t)m.net.n_tensors), 38);
        if (!is_sound(&m.net))
            fail_msg("network %d", seed);
        maker_end(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slice_of_a_part_outlives_it),
        cmocka_unit_test(a_part_of_a_part_outlives_it),
        cmocka_unit_test(no_tensor_is_overwritten_while_it_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
