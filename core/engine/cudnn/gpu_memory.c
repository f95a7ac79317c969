/* SPDX-License-Identifier: Apache-2.0
 *
 * Concatenation without copies: a tensor that goes into a concatenation is given a slice of the concatenated buffer as
 * its home, and its producer writes there.
 *
 * Two things stand in the way. Slices must start on 16 bytes, or neither cuDNN nor the copy engine reads them: where
 * only dense convolutions read a concatenation, its parts are laid out in another order, those of whole 16 bytes
 * first, and the convolutions' weights are permuted to match. And a tensor has one home only, but OpenPose's features
 * go into the concatenation of every stage: a later concatenation that shares such a part takes over the buffer of the
 * earlier one, when everything else in it is dead by the time its own parts are written. What fits neither way is
 * copied.
 *
 * Layers are sorted by level (one more than the highest of their inputs). Lifetimes are counted in levels, so layers of
 * one level may run side by side: none of them gets memory that another one of the level still reads.
 */
#include <errno.h>
#include <string.h>

#include "core/engine/cudnn/gpu.h"

#define ALIGN 1024

struct life {
    int first, last; /* levels; first > last: unused */
    size_t bytes;
};

static void set_levels(const struct pd_net *net, struct pd_gpu_memory *m)
{
    for (int i = 0; i < net->n_layers; i++) {
        const struct pd_layer *l = &net->layers[i];
        int level = 1;
        for (int k = 0; k <= l->n_in; k++) {
            int tensor = k < l->n_in ? l->in[k] : l->kind == PD_LAYER_CONV ? l->residual : -1;
            if (tensor >= 0 && net->tensors[tensor].producer >= 0)
                level = PD_MAX(level, m->levels[net->tensors[tensor].producer] + 1);
        }
        m->levels[i] = level;
        m->n_levels = PD_MAX(m->n_levels, level + 1);
    }
    int n = 0;
    for (int level = 1; level < m->n_levels; level++)
        for (int i = 0; i < net->n_layers; i++)
            if (m->levels[i] == level)
                m->order[n++] = i;
}

/* Follow homes to the buffer that is nobody's slice. */
static struct pd_gpu_place resolve(const struct pd_gpu_memory *m, int tensor)
{
    struct pd_gpu_place p = {tensor, 0};
    while (m->places[p.root].root != p.root) {
        p.channel += m->places[p.root].channel;
        p.root = m->places[p.root].root;
    }
    return p;
}

static bool reads(const struct pd_layer *l, int tensor)
{
    for (int k = 0; k < l->n_in; k++)
        if (l->in[k] == tensor)
            return true;
    return l->kind == PD_LAYER_CONV && l->residual == tensor;
}

/* Whether the order of @tensor's channels is nobody's business but its readers', and they can take any. */
static bool may_permute(const struct pd_net *net, int tensor)
{
    if (tensor == net->heat || tensor == net->paf)
        return false;
    for (int i = 0; i < net->n_layers; i++) {
        const struct pd_layer *l = &net->layers[i];
        if (reads(l, tensor) && (l->kind != PD_LAYER_CONV || l->groups != 1 || l->residual == tensor))
            return false;
    }
    return true;
}

/* First channel of each part of CONCAT @l in its buffer. */
static void lay_out(const struct pd_net *net, const struct pd_layer *l, int *channel)
{
    const bool free_order = may_permute(net, l->out);
    int at = 0;
    for (int pass = 0; pass < (free_order ? 2 : 1); pass++)
        for (int k = 0; k < l->n_in; k++) {
            const int c = net->tensors[l->in[k]].channels;
            if (free_order && (c % 8 != 0) != pass)
                continue;
            channel[k] = at;
            at += c;
        }
}

int pd_gpu_part_channel(const struct pd_net *net, const struct pd_layer *l, int part)
{
    int channel[PD_LAYER_INPUTS_MAX];
    lay_out(net, l, channel);
    return channel[part];
}

int pd_gpu_channel_map(const struct pd_net *net, int tensor, int *map)
{
    const int producer = net->tensors[tensor].producer, channels = net->tensors[tensor].channels;
    const struct pd_layer *l = producer >= 0 ? &net->layers[producer] : NULL;
    if (!l || l->kind != PD_LAYER_CONCAT)
        return 0;
    int channel[PD_LAYER_INPUTS_MAX], moved = 0;
    lay_out(net, l, channel);
    for (int k = 0, logical = 0; k < l->n_in; k++)
        for (int c = 0; c < net->tensors[l->in[k]].channels; c++, logical++) {
            map[channel[k] + c] = logical;
            moved |= channel[k] + c != logical;
        }
    return moved ? channels : 0;
}

static int producer_level(const struct pd_net *net, const struct pd_gpu_memory *m, int tensor)
{
    const int producer = net->tensors[tensor].producer;
    return producer < 0 ? 0 : m->levels[producer];
}

static int last_read(const struct pd_net *net, const struct pd_gpu_memory *m, int tensor)
{
    int level = producer_level(net, m, tensor);
    if (tensor == net->heat || tensor == net->paf)
        return m->n_levels;
    for (int i = 0; i < net->n_layers; i++)
        if (reads(&net->layers[i], tensor))
            level = PD_MAX(level, m->levels[i]);
    return level;
}

/* Let CONCAT @l live in the buffer of an earlier one, @into, with which it shares parts at equal places. */
static bool take_over(const struct pd_net *net, struct pd_gpu_memory *m, const struct pd_layer *l, const int *channel,
                      int into)
{
    bool shared[PD_LAYER_INPUTS_MAX];
    int first_write = INT32_MAX;
    if (net->tensors[into].channels != net->tensors[l->out].channels || m->places[into].root != into)
        return false;
    for (int k = 0; k < l->n_in; k++) {
        const struct pd_gpu_place *p = &m->places[l->in[k]];
        shared[k] = p->root == into && p->channel == channel[k];
        if (!shared[k] && (p->root != l->in[k] || l->in[k] == net->input))
            return false; /* would have to be copied: then any buffer is as good */
        for (int t = 0; !shared[k] && t < net->n_tensors; t++) /* its own parts are written before it is there */
            if (resolve(m, t).root == l->in[k])
                first_write = PD_MIN(first_write, producer_level(net, m, t));
    }
    for (int t = 0; t < net->n_tensors; t++) {
        const struct pd_gpu_place p = resolve(m, t); /* slices and parts of parts lie there as well */
        bool stays = p.root != into;
        for (int k = 0; k < l->n_in; k++)
            stays |= shared[k] && p.channel >= channel[k] && p.channel + net->tensors[t].channels <=
                                                                 channel[k] + net->tensors[l->in[k]].channels;
        if (!stays && last_read(net, m, t) >= first_write)
            return false;
    }
    m->places[l->out] = (struct pd_gpu_place){into, 0};
    for (int k = 0; k < l->n_in; k++)
        m->places[l->in[k]] = (struct pd_gpu_place){into, channel[k]};
    return true;
}

static void home_parts(const struct pd_net *net, struct pd_gpu_memory *m, const struct pd_layer *l)
{
    int channel[PD_LAYER_INPUTS_MAX];
    lay_out(net, l, channel);
    for (int k = 0; k < l->n_in; k++) {
        const int root = m->places[l->in[k]].root;
        if (root != l->in[k] && take_over(net, m, l, channel, root))
            return;
    }
    for (int k = 0; k < l->n_in; k++) {
        const int t = l->in[k];
        bool only_here = true; /* then nobody reads the slice by itself, and it may start anywhere */
        for (int i = 0; i < net->n_layers; i++)
            only_here &= !reads(&net->layers[i], t) || &net->layers[i] == l;
        if (m->places[t].root == t && t != net->input && t != net->heat && t != net->paf &&
            (channel[k] % 8 == 0 || only_here))
            m->places[t] = (struct pd_gpu_place){l->out, channel[k]};
    }
}

static void set_homes(const struct pd_net *net, struct pd_gpu_memory *m)
{
    for (int t = 0; t < net->n_tensors; t++)
        m->places[t] = (struct pd_gpu_place){t, 0};
    for (int i = 0; i < net->n_layers; i++) {
        const struct pd_layer *l = &net->layers[m->order[i]];
        if (l->kind == PD_LAYER_SLICE)
            m->places[l->out] = (struct pd_gpu_place){l->in[0], l->slice_from};
        else if (l->kind == PD_LAYER_CONCAT)
            home_parts(net, m, l);
    }
    for (int t = 0; t < net->n_tensors; t++)
        m->places[t] = resolve(m, t);
}

bool pd_gpu_in_place(const struct pd_net *net, const struct pd_gpu_memory *m, const struct pd_layer *layer, int i)
{
    const int channel = m->places[layer->out].channel + pd_gpu_part_channel(net, layer, i);
    return m->places[layer->in[i]].root == m->places[layer->out].root && m->places[layer->in[i]].channel == channel;
}

/* Channels of a buffer: a multiple of 8, so that every pixel starts on 16 bytes. The input has 4. */
static int stride_of(const struct pd_net *net, int root)
{
    return root == net->input ? 4 : (net->tensors[root].channels + 7) / 8 * 8;
}

static void use(struct life *l, int level)
{
    l->first = PD_MIN(l->first, level);
    l->last = PD_MAX(l->last, level);
}

static int set_lives(const struct pd_gpu *gpu, const struct pd_net *net, struct pd_gpu_memory *m, struct life *lives)
{
    for (int t = 0; t < net->n_tensors; t++) {
        const struct pd_shape *s = &m->shapes[t];
        size_t bytes = gpu->elem_bytes;
        lives[t] = (struct life){.first = INT32_MAX, .last = -1};
        m->strides[t] = stride_of(net, t);
        if (m->places[t].root != t)
            continue;
        if (pd_mul_overflows(bytes, (size_t)m->max_batch, &bytes) || pd_mul_overflows(bytes, (size_t)s->h, &bytes) ||
            pd_mul_overflows(bytes, (size_t)s->w, &bytes) ||
            pd_mul_overflows(bytes, (size_t)m->strides[t], &bytes) || pd_add_overflows(bytes, 2 * ALIGN, &bytes))
            return -EOVERFLOW;
        lives[t].bytes = bytes / ALIGN * ALIGN;
    }
    use(&lives[m->places[net->input].root], 0);
    for (int i = 0; i < net->n_layers; i++) {
        const struct pd_layer *l = &net->layers[i];
        use(&lives[m->places[l->out].root], m->levels[i]);
        for (int k = 0; k < l->n_in; k++)
            use(&lives[m->places[l->in[k]].root], m->levels[i]);
        if (l->kind == PD_LAYER_CONV && l->residual >= 0)
            use(&lives[m->places[l->residual].root], m->levels[i]);
    }
    /* outputs are read after the last layer */
    use(&lives[m->places[net->heat].root], m->n_levels);
    if (net->paf >= 0)
        use(&lives[m->places[net->paf].root], m->n_levels);
    return 0;
}

/* The lowest offset where @t meets no placed buffer that lives at the same time. */
static size_t find_offset(const struct pd_gpu_memory *m, const struct life *lives, const int *placed, int n, int t)
{
    size_t at = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (int i = 0; i < n; i++) {
            const int o = placed[i];
            if (lives[o].last < lives[t].first || lives[t].last < lives[o].first)
                continue;
            if (at < m->offsets[o] + lives[o].bytes && m->offsets[o] < at + lives[t].bytes) {
                at = m->offsets[o] + lives[o].bytes;
                moved = true;
            }
        }
    }
    return at;
}

static int pack_arena(const struct pd_net *net, struct pd_gpu_memory *m, const struct life *lives)
{
    int *placed = calloc((size_t)net->n_tensors, sizeof(*placed)), n = 0;
    bool *taken = calloc((size_t)net->n_tensors, sizeof(*taken));
    int r = placed && taken ? 0 : -ENOMEM;
    while (r == 0) {
        int best = -1; /* largest first */
        for (int t = 0; t < net->n_tensors; t++)
            if (!taken[t] && lives[t].last >= 0 && (best < 0 || lives[t].bytes > lives[best].bytes))
                best = t;
        if (best < 0)
            break;
        taken[best] = true;
        m->offsets[best] = find_offset(m, lives, placed, n, best);
        placed[n++] = best;
        m->arena_bytes = PD_MAX(m->arena_bytes, m->offsets[best] + lives[best].bytes);
    }
    free(placed);
    free(taken);
    return r;
}

int pd_gpu_memory_create(struct pd_gpu *gpu, const struct pd_net *net, int width, int height, int max_batch,
                         struct pd_gpu_memory **ret_memory, struct pd_err *err)
{
    struct pd_gpu_memory *m = calloc(1, sizeof(*m));
    PD_CLEANUP(pd_freep) struct life *lives = calloc((size_t)net->n_tensors, sizeof(*lives));
    int r = -ENOMEM;
    if (!m || !lives)
        goto no_memory;
    m->width = width;
    m->height = height;
    m->max_batch = max_batch;
    m->shapes = calloc((size_t)net->n_tensors, sizeof(*m->shapes));
    m->places = calloc((size_t)net->n_tensors, sizeof(*m->places));
    m->offsets = calloc((size_t)net->n_tensors, sizeof(*m->offsets));
    m->strides = calloc((size_t)net->n_tensors, sizeof(*m->strides));
    m->levels = calloc((size_t)net->n_layers, sizeof(*m->levels));
    m->order = calloc((size_t)net->n_layers, sizeof(*m->order));
    if (!m->shapes || !m->places || !m->offsets || !m->strides || !m->levels || !m->order)
        goto no_memory;
    r = pd_net_shapes(net, height, width, m->shapes, err);
    if (r < 0)
        goto fail;
    set_levels(net, m);
    set_homes(net, m);
    r = set_lives(gpu, net, m, lives);
    if (r == 0)
        r = pack_arena(net, m, lives);
    if (r < 0)
        goto no_memory;
    r = pd_gpu_alloc(gpu, m->arena_bytes, &m->arena, err);
    if (r < 0)
        goto fail;
    *ret_memory = m;
    return 0;
no_memory:
    pd_err_set(err, r, "out of memory for a batch of %d at %dx%d", max_batch, width, height);
fail:
    pd_gpu_memory_destroy(gpu, m);
    return r;
}

void pd_gpu_memory_destroy(struct pd_gpu *gpu, struct pd_gpu_memory *m)
{
    if (!m)
        return;
    pd_gpu_free(gpu, m->arena, m->arena_bytes);
    free(m->shapes);
    free(m->places);
    free(m->offsets);
    free(m->strides);
    free(m->levels);
    free(m->order);
    free(m);
}

struct pd_view pd_gpu_view(const struct pd_gpu *gpu, const struct pd_gpu_memory *m, int tensor, int n)
{
    const struct pd_shape *s = &m->shapes[tensor];
    const struct pd_gpu_place *p = &m->places[tensor];
    return (struct pd_view){
        .data = (char *)m->arena + m->offsets[p->root] + (size_t)p->channel * gpu->elem_bytes,
        .n = n,
        .h = s->h,
        .w = s->w,
        .c = s->c,
        .stride = m->strides[p->root],
    };
}
