/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "core/net/caffe.h"
#include "core/net/import_parts.h"
#include "core/net/meta.h"

/* OpenPose's own networks by their layers and the channels of their outputs. */
static void recognize(const struct pd_caffe *c, struct pd_import_facts *facts)
{
    static const struct {
        int channels;
        const char *name;
    } known[] = {{57, "openpose-coco"}, {78, "openpose-body25"}, {44, "openpose-mpi"}};
    const struct pd_caffe_value *heat = &c->values[c->heat];
    int channels = heat->channels + (c->paf >= 0 ? c->values[c->paf].channels : 0);
    facts->classifier = c->paf < 0 && heat->flat;
    for (int i = 0; i < c->n_layers && !facts->classifier; i++)
        pd_import_look_at(facts, c->layers[i].name);
    for (size_t i = 0; i < PD_ARRAY_SIZE(known) && facts->openpose; i++)
        if (known[i].channels == channels)
            facts->family = known[i].name;
}

int pd_import_caffe(void *data, size_t size, struct pd_import_facts *facts, const char *to, struct pd_err *err)
{
    const struct pd_net_import *im = facts->import;
    const struct pd_caffe_outputs told = {
        .heatmaps = im->heatmaps, .pafs = im->pafs, .output = im->output, .pafs_first = im->pafs_first};
    struct pd_caffe c;
    struct pd_onnx_writer *w = NULL;
    int r = pd_caffe_read(data, size, facts->file, &told, &c, err);
    if (!r && !(w = pd_onnx_writer_create()))
        r = pd_err_set(err, -ENOMEM, "%s: out of memory", facts->file);
    if (!r)
        r = pd_caffe_write(&c, w);
    if (!r) {
        recognize(&c, facts);
        pd_import_describe(facts);
        for (int i = 0; i < facts->n_meta; i++)
            pd_onnx_write_meta(w, facts->meta[i].key, facts->meta[i].value);
    }
    pd_caffe_finish(&c);
    if (!r)
        r = pd_onnx_write_file(w, to, err);
    pd_onnx_writer_destroy(w);
    return r;
}
