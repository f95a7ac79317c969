/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/onnx.h"

#include <errno.h>
#include <string.h>

#include "core/net/proto.h"

#define OPSET_MIN 9
#define OPSET_MAX 21

/* ---- parsing ---- */

int pd_onnx_parse(const void *data, size_t size, const char *file, struct pd_arena *arena, Onnx__ModelProto **ret_model,
                  struct pd_err *err)
{
    ProtobufCAllocator allocator = pd_proto_allocator(arena);
    Onnx__ModelProto *model = onnx__model_proto__unpack(&allocator, size, data);
    if (!model)
        return pd_err_set(err, -EINVAL, "%s: not an ONNX file, or cut short (%zu bytes)", file, size);
    if (!model->graph || !model->graph->n_node) {
        pd_onnx_model_free(model);
        return pd_err_set(err, -EINVAL, "%s: not an ONNX file: it holds no graph", file);
    }
    *ret_model = model;
    return 0;
}

void pd_onnx_model_free(Onnx__ModelProto *model)
{
    ProtobufCAllocator allocator = pd_proto_allocator(NULL);
    if (model)
        onnx__model_proto__free_unpacked(model, &allocator);
}

void pd_onnx_copy_name(char *dst, size_t size, const char *src)
{
    size_t i = 0;
    for (; src && src[i] && i + 1 < size; i++)
        dst[i] = src[i] >= 0x20 && src[i] < 0x7f ? src[i] : '?';
    dst[i] = 0;
}

bool pd_onnx_is_own_domain(const char *domain)
{
    return !domain || !*domain || !strcmp(domain, "ai.onnx");
}

/* ---- names ---- */

enum { FROM_INITIALIZER, FROM_INPUT, FROM_NODE };

struct entry {
    const char *name;
    int value, from;
};

struct index {
    struct pd_onnx *onnx;
    struct pd_err *err;
    struct entry *entries; /* sorted by name once all are in */
    int n_entries;
    int *producer; /* per value: node in file order, -1 */
};

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int r = strcmp(x->name, y->name);
    return r ? r : x->from - y->from;
}

static int find_value(const struct index *ix, const char *name)
{
    int lo = 0, hi = ix->n_entries;
    while (lo < hi) {
        int mid = lo + (hi - lo) / 2;
        int r = strcmp(ix->entries[mid].name, name);
        if (!r)
            return ix->entries[mid].value;
        if (r < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return -1;
}

static int out_of_budget(const struct index *ix)
{
    return pd_err_set(ix->err, -ENOMEM, "%s: needs far more memory than a network of this file size may",
                      ix->onnx->file);
}

static int add_entry(struct index *ix, const char *name, int from)
{
    int value = ix->onnx->n_values++;
    ix->onnx->value_names[value] = name;
    ix->entries[ix->n_entries++] = (struct entry){.name = name, .value = value, .from = from};
    return value;
}

/* Sort, and let an initializer stand for the input of the same name (IR versions below 4 list both). */
static int sort_entries(struct index *ix)
{
    qsort(ix->entries, (size_t)ix->n_entries, sizeof(*ix->entries), compare_entries);
    int n = 0;
    for (int i = 0; i < ix->n_entries; i++) {
        struct entry *e = &ix->entries[i];
        if (!n || strcmp(ix->entries[n - 1].name, e->name))
            ix->entries[n++] = *e;
        else if (ix->entries[n - 1].from != FROM_INITIALIZER || e->from != FROM_INPUT)
            return pd_err_set(ix->err, -EINVAL, "%s: tensor '%.80s' is defined twice", ix->onnx->file, e->name);
    }
    ix->n_entries = n;
    return 0;
}

static int collect_names(struct index *ix, const Onnx__GraphProto *g)
{
    struct pd_onnx *o = ix->onnx;
    size_t total = g->n_initializer + g->n_input;
    for (size_t i = 0; i < g->n_node; i++)
        total += g->node[i]->n_output;
    if (total > INT32_MAX / 2)
        return out_of_budget(ix);
    o->value_names = pd_arena_alloc(o->arena, total, sizeof(*o->value_names));
    o->initializers = pd_arena_alloc(o->arena, total, sizeof(*o->initializers));
    ix->entries = pd_arena_alloc(o->arena, total, sizeof(*ix->entries));
    ix->producer = pd_arena_alloc(o->arena, total, sizeof(*ix->producer));
    if (!o->value_names || !o->initializers || !ix->entries || !ix->producer)
        return out_of_budget(ix);
    memset(ix->producer, 0xff, total * sizeof(*ix->producer));

    for (size_t i = 0; i < g->n_initializer; i++) {
        if (!g->initializer[i]->name)
            return pd_err_set(ix->err, -EINVAL, "%s: initializer %zu has no name", o->file, i);
        o->initializers[add_entry(ix, g->initializer[i]->name, FROM_INITIALIZER)] = g->initializer[i];
    }
    for (size_t i = 0; i < g->n_input; i++) {
        if (!g->input[i]->name)
            return pd_err_set(ix->err, -EINVAL, "%s: graph input %zu has no name", o->file, i);
        add_entry(ix, g->input[i]->name, FROM_INPUT);
    }
    for (size_t i = 0; i < g->n_node; i++) {
        struct pd_onnx_node *nd = &o->nodes[i];
        for (int k = 0; k < nd->n_out; k++) {
            nd->out[k] = -1;
            if (!*nd->proto->output[k])
                continue;
            nd->out[k] = add_entry(ix, nd->proto->output[k], FROM_NODE);
            ix->producer[nd->out[k]] = (int)i;
        }
    }
    return sort_entries(ix);
}

static int resolve_inputs(struct index *ix)
{
    struct pd_onnx *o = ix->onnx;
    for (int i = 0; i < o->n_nodes; i++) {
        struct pd_onnx_node *nd = &o->nodes[i];
        for (int k = 0; k < nd->n_in; k++) {
            const char *name = nd->proto->input[k];
            nd->in[k] = *name ? find_value(ix, name) : -1;
            if (*name && nd->in[k] < 0)
                return pd_err_set(ix->err, -EINVAL, "%s: node '%.80s' (%.40s): its input '%.80s' is made by no node",
                                  o->file, nd->name, nd->op, name);
        }
    }
    return 0;
}

/* The graph's one input that is no initializer, and its outputs. */
static int resolve_ends(struct index *ix, const Onnx__GraphProto *g)
{
    struct pd_onnx *o = ix->onnx;
    for (size_t i = 0; i < g->n_input; i++) {
        int v = find_value(ix, g->input[i]->name);
        if (o->initializers[v])
            continue;
        if (o->input)
            return pd_err_set(ix->err, -EINVAL, "%s: has several inputs ('%.60s', '%.60s', ...); one image is expected",
                              o->file, o->input->name, g->input[i]->name);
        o->input = g->input[i];
        o->input_value = v;
    }
    if (!o->input)
        return pd_err_set(ix->err, -EINVAL, "%s: the graph has no input", o->file);
    if (!g->n_output)
        return pd_err_set(ix->err, -EINVAL, "%s: the graph has no output", o->file);
    o->outputs = pd_arena_alloc(o->arena, g->n_output, sizeof(*o->outputs));
    if (!o->outputs)
        return out_of_budget(ix);
    for (size_t i = 0; i < g->n_output; i++) {
        int v = g->output[i]->name ? find_value(ix, g->output[i]->name) : -1;
        if (v < 0)
            return pd_err_set(ix->err, -EINVAL, "%s: graph output '%.80s' is made by no node", o->file,
                              g->output[i]->name ? g->output[i]->name : "");
        o->outputs[o->n_outputs++] = v;
    }
    return 0;
}

/* ---- order ---- */

static bool in_file_order(const struct index *ix)
{
    for (int i = 0; i < ix->onnx->n_nodes; i++)
        for (int k = 0; k < ix->onnx->nodes[i].n_in; k++)
            if (ix->onnx->nodes[i].in[k] >= 0 && ix->producer[ix->onnx->nodes[i].in[k]] >= i)
                return false;
    return true;
}

/* Which nodes wait for which. The successors of all nodes are in one array, so that time and memory are linear in the
 * file. */
struct edges {
    int *first, *successors; /* those of node i: successors[first[i]] up to, not including, successors[first[i + 1]] */
    int *waiting;            /* of each node: for how many inputs */
};

#define FOR_EACH_EDGE(ix, from, to)                                                                                    \
    for (int to = 0; to < (ix)->onnx->n_nodes; to++)                                                                   \
        for (int k_ = 0, from; k_ < (ix)->onnx->nodes[to].n_in; k_++)                                                  \
            if ((ix)->onnx->nodes[to].in[k_] >= 0 && (from = (ix)->producer[(ix)->onnx->nodes[to].in[k_]]) >= 0)

static int find_edges(struct index *ix, struct edges *e)
{
    struct pd_arena *arena = ix->onnx->arena;
    size_t n = (size_t)ix->onnx->n_nodes, n_edges = 0;
    e->first = pd_arena_alloc(arena, n + 2, sizeof(*e->first));
    e->waiting = pd_arena_alloc(arena, n, sizeof(*e->waiting));
    if (!e->first || !e->waiting)
        return out_of_budget(ix);
    FOR_EACH_EDGE(ix, from, to)
    {
        e->first[from + 2]++;
        e->waiting[to]++;
        n_edges++;
    }
    e->successors = pd_arena_alloc(arena, n_edges, sizeof(*e->successors));
    if (!e->successors)
        return out_of_budget(ix);
    for (size_t i = 2; i < n + 2; i++)
        e->first[i] += e->first[i - 1];
    FOR_EACH_EDGE(ix, from, to)
    e->successors[e->first[from + 1]++] = to;
    return 0;
}

static int cycle(struct index *ix, const int *waiting)
{
    const struct pd_onnx *o = ix->onnx;
    int stuck = 0;
    while (!waiting[stuck])
        stuck++;
    return pd_err_set(ix->err, -EINVAL, "%s: node '%.80s' (%.40s): waits for its own output (the graph has a cycle)",
                      o->file, o->nodes[stuck].name, o->nodes[stuck].op);
}

/* Kahn's algorithm. */
static int order_nodes(struct index *ix)
{
    struct pd_onnx *o = ix->onnx;
    if (in_file_order(ix))
        return 0;
    struct edges e;
    int r = find_edges(ix, &e);
    if (r < 0)
        return r;
    int *queue = pd_arena_alloc(o->arena, (size_t)o->n_nodes, sizeof(*queue));
    struct pd_onnx_node *sorted = pd_arena_alloc(o->arena, (size_t)o->n_nodes, sizeof(*sorted));
    if (!queue || !sorted)
        return out_of_budget(ix);
    int head = 0, tail = 0;
    for (int i = 0; i < o->n_nodes; i++)
        if (!e.waiting[i])
            queue[tail++] = i;
    for (; head < tail; head++) {
        sorted[head] = o->nodes[queue[head]];
        for (int s = e.first[queue[head]]; s < e.first[queue[head] + 1]; s++)
            if (!--e.waiting[e.successors[s]])
                queue[tail++] = e.successors[s];
    }
    if (head < o->n_nodes)
        return cycle(ix, e.waiting);
    o->nodes = sorted;
    return 0;
}

static int read_opset(struct index *ix, const Onnx__ModelProto *model)
{
    int64_t version = 0;
    for (size_t i = 0; i < model->n_opset_import; i++) {
        const Onnx__OperatorSetIdProto *set = model->opset_import[i];
        if (pd_onnx_is_own_domain(set->domain))
            version = set->version;
    }
    if (version < OPSET_MIN || version > OPSET_MAX)
        return pd_err_set(ix->err, -ENOTSUP, "%s: operator set %lld; export with opset %d to %d", ix->onnx->file,
                          (long long)version, OPSET_MIN, OPSET_MAX);
    ix->onnx->opset = (int)version;
    return 0;
}

static int read_nodes(struct index *ix, const Onnx__GraphProto *g)
{
    struct pd_onnx *o = ix->onnx;
    if (g->n_node > PD_ONNX_NODES_MAX)
        return pd_err_set(ix->err, -ENOTSUP, "%s: %zu nodes; at most %d are taken", o->file, g->n_node,
                          PD_ONNX_NODES_MAX);
    size_t n_ports = 0;
    for (size_t i = 0; i < g->n_node; i++)
        n_ports += g->node[i]->n_input + g->node[i]->n_output;
    o->n_nodes = (int)g->n_node;
    o->nodes = pd_arena_alloc(o->arena, g->n_node, sizeof(*o->nodes));
    int *ports = pd_arena_alloc(o->arena, n_ports, sizeof(*ports));
    if (!o->nodes || !ports || n_ports > INT32_MAX / 2)
        return out_of_budget(ix);
    for (size_t i = 0; i < g->n_node; i++) {
        const Onnx__NodeProto *p = g->node[i];
        struct pd_onnx_node *nd = &o->nodes[i];
        *nd = (struct pd_onnx_node){.proto = p, .n_in = (int)p->n_input, .n_out = (int)p->n_output, .in = ports};
        nd->out = ports + p->n_input;
        ports += p->n_input + p->n_output;
        nd->op = p->op_type ? p->op_type : "";
        nd->name = p->name && *p->name ? p->name : p->n_output ? p->output[0] : "";
        if (!pd_onnx_is_own_domain(p->domain))
            return pd_err_set(ix->err, -ENOTSUP, "%s: node '%.80s': operator '%.40s' of domain '%.40s' is not known",
                              o->file, nd->name, nd->op, p->domain);
    }
    return 0;
}

int pd_onnx_index(const Onnx__ModelProto *model, const char *file, struct pd_arena *arena, struct pd_onnx *ret_onnx,
                  struct pd_err *err)
{
    struct pd_onnx onnx = {.file = file, .model = model, .arena = arena};
    struct index ix = {.onnx = &onnx, .err = err};
    int r = read_opset(&ix, model);
    if (!r)
        r = read_nodes(&ix, model->graph);
    if (!r)
        r = collect_names(&ix, model->graph);
    if (!r)
        r = resolve_inputs(&ix);
    if (!r)
        r = resolve_ends(&ix, model->graph);
    if (!r)
        r = order_nodes(&ix);
    if (!r)
        *ret_onnx = onnx;
    return r;
}
