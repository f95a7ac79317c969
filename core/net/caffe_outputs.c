/* SPDX-License-Identifier: Apache-2.0
 *
 * Which values of a Caffe network are its outputs: those that the caller named, else what nothing reads. OpenPose's
 * files end in a concat of confidence maps and part affinity fields, in that order, or, as snapshots, in the two apart.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/net/caffe.h"
#include "core/net/meta.h"

/* Channels that a value has by its own layer's word; 0: it does not say. */
static int said_channels(const struct pd_caffe *c, int value)
{
    for (int steps = 0; value >= 0 && c->values[value].layer >= 0 && steps < 8; steps++) {
        const struct pd_caffe_layer *l = &c->layers[c->values[value].layer];
        if (l->convolution)
            return l->convolution->num_output <= PD_CAFFE_CHANNELS_MAX ? (int)l->convolution->num_output : 0;
        if (l->n_bottom != 1 || l->inner_product || l->slice)
            return 0;
        value = l->in[0];
    }
    return 0;
}

static const struct pd_caffe_layer *layer_of(const struct pd_caffe *c, int value)
{
    return c->values[value].layer >= 0 ? &c->layers[c->values[value].layer] : NULL;
}

/* The latest value of that name. */
static int named(struct pd_caffe *c, const char *name, int *ret_value)
{
    for (int v = c->n_values - 1; v >= 0; v--) {
        if (c->values[v].kind == PD_CAFFE_COMPUTED && !strcmp(c->values[v].blob, name)) {
            *ret_value = v;
            return 0;
        }
    }
    return pd_err_set(c->err, -ENOENT, "%s: no layer makes '%.80s'", c->file, name);
}

static int told_outputs(struct pd_caffe *c, const struct pd_caffe_outputs *told)
{
    c->told_both = told->output != NULL;
    c->pafs_first = told->pafs_first;
    if (told->output)
        return named(c, told->output, &c->heat);
    int r = named(c, told->heatmaps, &c->heat);
    if (!r)
        r = named(c, told->pafs, &c->paf);
    if (!r && c->heat == c->paf)
        r = pd_err_set(c->err, -EINVAL, "%s: '%.80s' cannot be both; for one tensor with both use --both", c->file,
                       told->heatmaps);
    return r;
}

/* Two values that go together as a family's outputs, in either order. */
static bool is_pair(struct pd_caffe *c, int a, int b)
{
    int na = said_channels(c, a), nb = said_channels(c, b);
    if (!na || !nb || (!pd_family_of(na, nb) && !pd_family_of(nb, na)))
        return false;
    bool ordered = pd_family_of(na, nb) != NULL;
    c->heat = ordered ? a : b;
    c->paf = ordered ? b : a;
    return true;
}

static int cannot_tell(struct pd_caffe *c, const int *ends, int n)
{
    char names[200] = "";
    for (int i = 0; i < n; i++)
        snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%.40s", i ? ", " : "",
                 c->values[ends[i]].blob);
    return pd_err_set(c->err, -ENOTSUP,
                      "%s: cannot tell which of its outputs (%s) are the confidence maps and the part affinity fields; "
                      "say so with --heatmaps NAME --pafs NAME",
                      c->file, names);
}

int pd_caffe_outputs(struct pd_caffe *c, const struct pd_caffe_outputs *told)
{
    if (told->output || told->heatmaps)
        return told_outputs(c, told);
    int ends[8], n = 0;
    for (int v = 0; v < c->n_values && n < (int)PD_ARRAY_SIZE(ends); v++)
        if (c->values[v].kind == PD_CAFFE_COMPUTED && !c->values[v].readers)
            ends[n++] = v;
    if (!n)
        return pd_err_set(c->err, -EINVAL, "%s: nothing is computed from its image", c->file);
    if (n == 2 && is_pair(c, ends[0], ends[1]))
        return 0;
    if (n != 1)
        return cannot_tell(c, ends, n);
    const struct pd_caffe_layer *l = layer_of(c, ends[0]);
    if (!strcmp(l->type, "Concat") && l->n_bottom == 2 && is_pair(c, l->in[0], l->in[1]))
        return 0;
    /* Which class is the likeliest does not change with a softmax. */
    c->heat = !strcmp(l->type, "Softmax") && l->n_bottom == 1 ? l->in[0] : ends[0];
    return c->heat != c->image ? 0 : pd_err_set(c->err, -EINVAL, "%s: nothing is computed from its image", c->file);
}
