/* SPDX-License-Identifier: Apache-2.0
 *
 * Which outputs of a graph are the confidence maps and which the part affinity fields.
 */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#include "core/net/lower.h"
#include "core/net/meta.h"

const struct pd_family *pd_family_of(int heat, int paf)
{
    static const struct pd_family families[] = {
        {"coco18", 19, 38}, {"body25", 26, 52}, {"mpi15", 16, 28}, {"trt18", 18, 42},
    };
    for (size_t i = 0; i < PD_ARRAY_SIZE(families); i++)
        if ((heat < 0 || families[i].heat == heat) && (paf < 0 || families[i].paf == paf))
            return &families[i];
    return NULL;
}

/* One output that holds both: confidence maps first, as in the networks that OpenPose publishes. */
static int split_output(struct pd_lower *lw, int tensor, const struct pd_family *family)
{
    int at[2] = {0, family->heat}, n[2] = {family->heat, family->paf}, out[2];
    for (int i = 0; i < 2; i++) {
        int layer = pd_lower_layer(lw, PD_LAYER_SLICE, tensor, -1, n[i]);
        if (layer < 0)
            return layer;
        lw->layers[layer].slice_from = at[i];
        out[i] = lw->layers[layer].out;
    }
    lw->heat = out[0];
    lw->paf = out[1];
    return 0;
}

const struct pd_family *pd_family_of_both(int channels)
{
    for (int heat = 16; heat <= 26; heat++) {
        const struct pd_family *f = pd_family_of(heat, -1);
        if (f && f->heat + f->paf == channels)
            return f;
    }
    return NULL;
}

static bool name_holds(const char *name, const char *const *words)
{
    for (; *words; words++)
        if (strcasestr(name, *words))
            return true;
    return false;
}

/* Networks that also give their earlier stages list the last stage last, so the last match counts. */
static int pick_outputs(struct pd_lower *lw)
{
    static const char *const heat_words[] = {"heat", "conf", "cmap", NULL}, *const paf_words[] = {"paf", NULL};
    int both = -1;
    for (int i = 0; i < lw->onnx->n_outputs; i++) {
        int value = lw->onnx->outputs[i];
        const struct pd_value *v = &lw->values[value];
        if (v->kind != PD_VALUE_TENSOR || v->pad[0] || v->pad[1] || v->pad[2] || v->pad[3])
            continue;
        const char *name = lw->onnx->value_names[value];
        int channels = lw->tensors[v->tensor].channels;
        if (name_holds(name, heat_words) || (!name_holds(name, paf_words) && pd_family_of(channels, -1)))
            lw->heat = v->tensor;
        else if (name_holds(name, paf_words) || pd_family_of(-1, channels))
            lw->paf = v->tensor;
        else if (pd_family_of_both(channels))
            both = v->tensor;
    }
    if ((lw->heat < 0 || lw->paf < 0) && both >= 0)
        return split_output(lw, both, pd_family_of_both(lw->tensors[both].channels));
    return 0;
}

static int check_scale(struct pd_lower *lw)
{
    const struct pd_tensor_info *heat = &lw->info[lw->heat], *paf = lw->paf >= 0 ? &lw->info[lw->paf] : heat;
    int stride = heat->scale_y >= 1 && heat->scale_y <= 64 ? (int)heat->scale_y : 0;
    if (heat->scale_y != heat->scale_x || (double)stride != heat->scale_y || (stride & (stride - 1)))
        return pd_err_set(lw->err, -ENOTSUP,
                          "%s: output '%s' has one sample every %gx%g pixels; a power of two up to 64 is "
                          "expected",
                          lw->onnx->file, lw->tensors[lw->heat].name, heat->scale_x, heat->scale_y);
    if (paf->scale_y != heat->scale_y || paf->scale_x != heat->scale_x)
        return pd_err_set(lw->err, -EINVAL, "%s: outputs '%s' and '%s' are of different size", lw->onnx->file,
                          lw->tensors[lw->heat].name, lw->tensors[lw->paf].name);
    if (lw->same_scale > stride)
        return pd_err_set(lw->err, -ENOTSUP,
                          "%s: pads with auto_pad SAME at a stride of %g, more than the outputs' %d; "
                          "export with explicit pads",
                          lw->onnx->file, lw->same_scale, stride);
    lw->meta.stride = stride;
    lw->meta.offset = (float)(stride - 1) / 2;
    return 0;
}

int pd_lower_outputs(struct pd_lower *lw)
{
    static const struct pd_onnx_node nowhere = {.op = "graph", .name = "outputs"};
    lw->node = &nowhere;
    lw->heat = lw->paf = -1;
    const char *claimed = pd_meta_find(lw->onnx->model, "skeleton");
    if (claimed && !strcmp(claimed, "none")) { /* a classifier: one output, whatever its channels */
        const struct pd_value *v = &lw->values[lw->onnx->outputs[0]];
        if (lw->onnx->n_outputs != 1 || v->kind != PD_VALUE_TENSOR || v->pad[0] || v->pad[1] || v->pad[2] || v->pad[3])
            return pd_err_set(lw->err, -ENOTSUP, "%s: one output computed from the image is expected", lw->onnx->file);
        lw->heat = v->tensor;
        return check_scale(lw);
    }
    int r = pick_outputs(lw);
    if (r < 0)
        return r;
    if (lw->heat < 0 || lw->paf < 0 || lw->heat == lw->paf || lw->heat == lw->input || lw->paf == lw->input)
        return pd_err_set(lw->err, -ENOTSUP,
                          "%s: no pose network: confidence maps and part affinity fields (19 + 38, 26 + 52, "
                          "16 + 28 or 18 + 42 channels) are expected among its outputs",
                          lw->onnx->file);
    return check_scale(lw);
}
