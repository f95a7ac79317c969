/* SPDX-License-Identifier: Apache-2.0
 *
 * Which value each layer of a Caffe file reads and writes, and what of it is training's alone. A snapshot taken in
 * training carries labels, masks and losses along; all that depends on a label is left out.
 */
#include <errno.h>
#include <string.h>

#include "core/net/caffe.h"

#define NAMES_MAX (1 << 18)

/* The latest value of each name: open addressing, at most half full. */
struct slot {
    const char *name; /* NULL: free */
    int value;
};

struct names {
    struct pd_caffe *c;
    struct slot *slots;
    size_t mask;
};

static struct slot *slot_of(const struct names *n, const char *name)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    for (const char *s = name; *s; s++)
        h = (h ^ (unsigned char)*s) * 0x100000001b3u;
    size_t i = (size_t)(h ^ (h >> 32)) & n->mask;
    while (n->slots[i].name && strcmp(n->slots[i].name, name))
        i = (i + 1) & n->mask;
    return &n->slots[i];
}

static void set_name(const struct names *n, const char *name, int value)
{
    *slot_of(n, name) = (struct slot){.name = name, .value = value};
}

static int add_value(struct names *n, const char *name, enum pd_caffe_kind kind, int layer)
{
    int v = n->c->n_values++;
    n->c->values[v] = (struct pd_caffe_value){.kind = kind, .blob = name, .layer = layer};
    set_name(n, name, v);
    return v;
}

/* ---- layers ---- */

static bool is_for_training(const char *type)
{
    size_t n = strlen(type);
    return !strcmp(type, "Accuracy") || !strcmp(type, "Silence") || !strcmp(type, "HDF5Output") ||
           (n > 4 && !strcmp(type + n - 4, "Loss"));
}

/* Does nothing when a network runs. */
static bool is_nothing(const char *type)
{
    return !strcmp(type, "Split") || !strcmp(type, "Dropout");
}

/* The image is the first thing that comes from outside; all that comes beside it or later is labels. */
static void from_outside(struct names *n, const char *name, int layer)
{
    struct pd_caffe *c = n->c;
    if (c->image < 0)
        c->image = add_value(n, name, PD_CAFFE_IMAGE, layer);
    else if (!strcmp(c->values[c->image].blob, name))
        set_name(n, name, c->image); /* the data of another phase */
    else
        add_value(n, name, PD_CAFFE_LABEL, layer);
}

/* Training data may bring the image and a mask in one blob, whose first three channels are the image. */
static bool takes_image_out(const struct pd_caffe *c, const struct pd_caffe_layer *l)
{
    return !strcmp(l->type, "Slice") && l->n_bottom == 1 && l->in[0] == c->image && l->slice &&
           l->slice->n_slice_point && l->slice->slice_point[0] == 3;
}

static int resolve_inputs(struct names *n, struct pd_caffe_layer *l)
{
    struct pd_caffe *c = n->c;
    l->dropped = is_for_training(l->type);
    for (int k = 0; k < l->n_bottom; k++) {
        const struct slot *s = slot_of(n, l->bottom[k]);
        if (!s->name)
            return pd_caffe_fail(c, l, -EINVAL, "its input '%.80s' is made by no layer before it", l->bottom[k]);
        l->in[k] = s->value;
        l->dropped |= c->values[s->value].kind == PD_CAFFE_LABEL;
    }
    return 0;
}

static int resolve_layer(struct names *n, int i)
{
    struct pd_caffe *c = n->c;
    struct pd_caffe_layer *l = &c->layers[i];
    int r = resolve_inputs(n, l);
    if (r < 0)
        return r;
    bool alias = !l->dropped && l->n_bottom && (is_nothing(l->type) || takes_image_out(c, l));
    bool all_alias = alias && is_nothing(l->type);
    if (all_alias && l->n_bottom != 1)
        return pd_caffe_fail(c, l, -EINVAL, "has %d inputs; one is expected", l->n_bottom);
    for (int k = 0; k < l->n_bottom && !l->dropped && !alias; k++)
        c->values[l->in[k]].readers++;
    for (int k = 0; k < l->n_top; k++) {
        if (!l->n_bottom)
            from_outside(n, l->top[k], i);
        else if (all_alias || (alias && k == 0))
            set_name(n, l->top[k], l->in[0]);
        else
            l->out[k] = add_value(n, l->top[k], l->dropped || alias ? PD_CAFFE_LABEL : PD_CAFFE_COMPUTED, i);
    }
    l->dropped |= alias || !l->n_bottom;
    return 0;
}

static int mark_namesakes(struct pd_caffe *c)
{
    struct names n = {.c = c};
    size_t n_slots = 1;
    while (n_slots < 2 * (size_t)c->n_layers + 1)
        n_slots *= 2;
    n.mask = n_slots - 1;
    n.slots = pd_arena_alloc(&c->arena, n_slots, sizeof(*n.slots));
    if (!n.slots)
        return pd_caffe_no_memory(c);
    for (int i = 0; i < c->n_layers; i++) {
        c->layers[i].namesake = slot_of(&n, c->layers[i].name)->name != NULL;
        set_name(&n, c->layers[i].name, i);
    }
    return 0;
}

int pd_caffe_resolve(struct pd_caffe *c)
{
    struct names n = {.c = c};
    size_t n_tops = c->proto->n_input, n_ports = 0, n_slots = 1;
    for (int i = 0; i < c->n_layers; i++) {
        n_tops += (size_t)c->layers[i].n_top;
        n_ports += (size_t)c->layers[i].n_top + (size_t)c->layers[i].n_bottom;
    }
    if (n_tops > NAMES_MAX || n_ports > 2 * NAMES_MAX)
        return pd_err_set(c->err, -ENOTSUP, "%s: %zu names of layers' outputs; at most %d are taken", c->file, n_tops,
                          NAMES_MAX);
    while (n_slots < 2 * n_tops + 1)
        n_slots *= 2;
    n.mask = n_slots - 1;
    n.slots = pd_arena_alloc(&c->arena, n_slots, sizeof(*n.slots));
    c->values = pd_arena_alloc(&c->arena, n_tops, sizeof(*c->values));
    int *ports = pd_arena_alloc(&c->arena, n_ports, sizeof(*ports));
    if (!n.slots || !c->values || !ports)
        return pd_caffe_no_memory(c);
    for (size_t i = 0; i < c->proto->n_input; i++)
        from_outside(&n, c->proto->input[i], -1);
    for (int i = 0; i < c->n_layers; i++) {
        struct pd_caffe_layer *l = &c->layers[i];
        l->in = ports;
        l->out = ports + l->n_bottom;
        ports += l->n_bottom + l->n_top;
        int r = resolve_layer(&n, i);
        if (r < 0)
            return r;
    }
    if (c->image < 0)
        return pd_err_set(c->err, -EINVAL, "%s: nothing in it takes an image", c->file);
    return mark_namesakes(c);
}
