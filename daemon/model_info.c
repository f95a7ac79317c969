/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/model_info.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define BATCH 32 /* the largest, for which memory is told */

static size_t floats_of(struct pd_shape s)
{
    return (size_t)s.c * (size_t)s.h * (size_t)s.w;
}

/* Tensors die after their last reader; the most that live at once is what an engine needs that reuses memory. */
static int count_live(const struct pd_net *net, const struct pd_shape *shapes, size_t *ret_most)
{
    int *last = calloc((size_t)net->n_tensors, sizeof(*last));
    if (!last)
        return -ENOMEM;
    for (int i = 0; i < net->n_layers; i++) {
        const struct pd_layer *l = &net->layers[i];
        for (int k = 0; k < l->n_in; k++)
            last[l->in[k]] = i;
        if (l->residual >= 0)
            last[l->residual] = i;
    }
    last[net->heat] = net->n_layers;
    if (net->paf >= 0)
        last[net->paf] = net->n_layers;
    size_t now = floats_of(shapes[net->input]), most = 0;
    for (int i = 0; i < net->n_layers; i++) {
        const struct pd_layer *l = &net->layers[i];
        now += floats_of(shapes[l->out]);
        most = PD_MAX(most, now);
        for (int k = 0; k < l->n_in; k++) {
            if (last[l->in[k]] == i)
                now -= floats_of(shapes[l->in[k]]);
            if (last[l->in[k]] == i)
                last[l->in[k]] = -1; /* read twice by one layer: freed once */
        }
        if (l->residual >= 0 && last[l->residual] == i)
            now -= floats_of(shapes[l->residual]);
    }
    free(last);
    *ret_most = most;
    return 0;
}

int pd_model_cost(const struct pd_net *net, int width, int height, struct pd_model_cost *ret_cost, struct pd_err *err)
{
    struct pd_model_cost cost = {.width = width, .height = height, .parameters = pd_net_parameters(net)};
    cost.shapes = calloc((size_t)net->n_tensors, sizeof(*cost.shapes));
    if (!cost.shapes)
        return pd_err_set(err, -ENOMEM, "out of memory");
    int r = pd_net_shapes(net, height, width, cost.shapes, err);
    if (!r && (r = count_live(net, cost.shapes, &cost.live_floats)))
        pd_err_set(err, r, "out of memory");
    if (r < 0) {
        pd_model_cost_finish(&cost);
        return r;
    }
    for (int i = 0; i < net->n_layers; i++)
        cost.macs += pd_layer_macs(net, &net->layers[i], cost.shapes);
    *ret_cost = cost;
    return 0;
}

void pd_model_cost_finish(struct pd_model_cost *cost)
{
    free(cost->shapes);
    cost->shapes = NULL;
}

static size_t layer_parameters(const struct pd_net *net, const struct pd_layer *l)
{
    return l->n_weight + (l->bias ? (size_t)net->tensors[l->out].channels : 0) + (size_t)l->n_slopes;
}

/* "3x3 /2 dil 2 group 64", "" for layers without a window. */
static void describe_window(const struct pd_layer *l, char *text, size_t size)
{
    bool window = l->kind == PD_LAYER_CONV || l->kind == PD_LAYER_DECONV || l->kind == PD_LAYER_MAXPOOL ||
                  l->kind == PD_LAYER_AVGPOOL;
    *text = 0;
    if (!window)
        return;
    int n = snprintf(text, size, "%dx%d", l->kh, l->kw);
    if (l->stride_y > 1 || l->stride_x > 1)
        n += snprintf(text + n, size - (size_t)n, " /%d", l->stride_y);
    if (l->dilation_y > 1 || l->dilation_x > 1)
        n += snprintf(text + n, size - (size_t)n, " dil %d", l->dilation_y);
    if (l->groups > 1)
        snprintf(text + n, size - (size_t)n, " group %d", l->groups);
}

static void print_normalise(const struct pd_normalise *n)
{
    bool same = n->mean[0] == n->mean[1] && n->mean[1] == n->mean[2] && n->scale[0] == n->scale[1] &&
                n->scale[1] == n->scale[2];
    printf("  input       %s, ", n->bgr ? "BGR" : "RGB");
    if (same)
        printf("(v - %g) * %g", (double)n->mean[0], (double)n->scale[0]);
    else
        printf("(v - (%g %g %g)) * (%g %g %g)", (double)n->mean[0], (double)n->mean[1], (double)n->mean[2],
               (double)n->scale[0], (double)n->scale[1], (double)n->scale[2]);
}

static void print_layers(const struct pd_net *net, const struct pd_model_cost *cost)
{
    printf("\n  %4s  %5s  %-8s %-28s %-20s %-10s %-18s %10s %8s\n", "", "stage", "kind", "name", "window", "then",
           "output", "parameters", "GFLOP");
    for (int i = 0; i < net->n_layers; i++) {
        const struct pd_layer *l = &net->layers[i];
        struct pd_shape s = cost->shapes[l->out];
        char window[64], then[32], shape[48];
        describe_window(l, window, sizeof(window));
        snprintf(then, sizeof(then), "%s%s", l->residual >= 0 ? "+ " : "", l->act ? pd_act_name(l->act) : "");
        snprintf(shape, sizeof(shape), "%d x %d x %d", s.c, s.h, s.w);
        printf("  %4d  %5d  %-8s %-28.28s %-20s %-10s %-18s %10zu %8.3f\n", i, l->stage, pd_layer_kind_name(l->kind),
               l->name, window, then, shape, layer_parameters(net, l), 2 * pd_layer_macs(net, l, cost->shapes) / 1e9);
    }
}

void pd_model_print(const struct pd_net *net, const struct pd_model_cost *cost, const char *path)
{
    const struct pd_net_meta *m = &net->meta;
    printf("%s (%s)\n", m->name, path);
    if (m->skeleton)
        printf("  skeleton    %s: %d keypoints, %d limbs\n", m->skeleton->name, m->skeleton->n_keypoints,
               m->skeleton->n_limbs);
    else
        printf("  skeleton    none: a classifier\n");
    printf("  licence     %s%s\n", *m->licence ? m->licence : "the file does not say",
           m->non_commercial ? " (non-commercial use only)" : "");
    print_normalise(&m->input);
    printf("; sides are multiples of %d\n", pd_net_multiple(net));
    if (net->paf >= 0)
        printf("  output      %d confidence maps, %d part affinity fields, a sample every %d pixels from %g\n",
               net->tensors[net->heat].channels, net->tensors[net->paf].channels, m->stride, (double)m->offset);
    else
        printf("  output      %d values\n", net->tensors[net->heat].channels);
    printf("  sha256      %s\n", net->file_sha256);
    if (*m->source_sha256)
        printf("  made from   %s\n", m->source_sha256);
    print_layers(net, cost);
    printf("\n  %d layers, %.2f million parameters (%.1f MB), %.2f GFLOP for a frame of %dx%d\n", net->n_layers,
           (double)cost->parameters / 1e6, (double)cost->parameters * 4 / 1e6, 2 * cost->macs / 1e9, cost->width,
           cost->height);
    printf(
        "  a batch of %d needs about %.0f MB in fp32, half of it in 16 bits: weights and the tensors alive at once\n",
        BATCH, ((double)cost->parameters + (double)cost->live_floats * BATCH) * 4 / 1e6);
}

/* ---- JSON ---- */

static json_t *numbers(const float *v, int n)
{
    json_t *list = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(list, json_real((double)v[i]));
    return list;
}

static json_t *layers_json(const struct pd_net *net, const struct pd_model_cost *cost)
{
    json_t *list = json_array();
    for (int i = 0; i < net->n_layers; i++) {
        const struct pd_layer *l = &net->layers[i];
        struct pd_shape s = cost->shapes[l->out];
        json_array_append_new(
            list,
            json_pack("{s:s, s:s, s:i, s:[i,i,i], s:[i,i], s:[i,i], s:[i,i], s:i, s:s, s:b, s:I, s:f}", "name", l->name,
                      "kind", pd_layer_kind_name(l->kind), "stage", l->stage, "output", s.c, s.h, s.w, "kernel", l->kh,
                      l->kw, "stride", l->stride_y, l->stride_x, "dilation", l->dilation_y, l->dilation_x, "groups",
                      l->groups, "activation", pd_act_name(l->act), "residual", l->residual >= 0, "parameters",
                      (json_int_t)layer_parameters(net, l), "gflop", 2 * pd_layer_macs(net, l, cost->shapes) / 1e9));
    }
    return list;
}

int pd_model_print_json(const struct pd_net *net, const struct pd_model_cost *cost, const char *path)
{
    const struct pd_net_meta *m = &net->meta;
    json_t *o = json_pack("{s:s, s:s, s:s?, s:s, s:b, s:s, s:s}", "name", m->name, "file", path, "skeleton",
                          m->skeleton ? m->skeleton->name : NULL, "licence", m->licence, "non_commercial",
                          m->non_commercial, "sha256", net->file_sha256, "source_sha256", m->source_sha256);
    if (!o) /* the path is not UTF-8, or no memory is left: say all but the path */
        o = json_pack("{s:s, s:s?, s:s, s:b, s:s}", "name", m->name, "skeleton", m->skeleton ? m->skeleton->name : NULL,
                      "licence", m->licence, "non_commercial", m->non_commercial, "sha256", net->file_sha256);
    json_object_set_new(o, "input",
                        json_pack("{s:s, s:o, s:o, s:i, s:i}", "order", m->input.bgr ? "bgr" : "rgb", "mean",
                                  numbers(m->input.mean, 3), "scale", numbers(m->input.scale, 3), "width", cost->width,
                                  "height", cost->height));
    json_object_set_new(o, "output",
                        json_pack("{s:i, s:i, s:i, s:f}", "heatmaps", net->tensors[net->heat].channels, "pafs",
                                  net->paf >= 0 ? net->tensors[net->paf].channels : 0, "stride", m->stride, "offset",
                                  (double)m->offset));
    json_object_set_new(o, "parameters", json_integer((json_int_t)cost->parameters));
    json_object_set_new(o, "gflop", json_real(2 * cost->macs / 1e9));
    json_object_set_new(o, "batch32_bytes",
                        json_integer((json_int_t)((cost->parameters + cost->live_floats * BATCH) * sizeof(float))));
    int r = json_object_set_new(o, "layers", layers_json(net, cost));
    if (!r)
        r = json_dumpf(o, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(o);
    return r ? -ENOMEM : 0;
}
