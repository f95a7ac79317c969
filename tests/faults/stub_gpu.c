/* SPDX-License-Identifier: Apache-2.0
 *
 * A posed-cudnn.so that computes nothing, for GPUs that open and fail then: in STUB_FAIL is what fails, "init",
 * "prepare", "submit", "trial" or "nan", and behind an @ on which device alone. Elsewhere nobody is in any picture.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/engine/cudnn/plugin.h"

#define MIB ((size_t)1 << 20)

struct stub {
    const struct pd_net *net;
    int device, prepared;
    struct pd_shape heat, paf;
};

static const struct pd_gpu_host *host;

static size_t floats_of(const struct pd_shape *s)
{
    return (size_t)s->c * (size_t)s->h * (size_t)s->w;
}

static bool fails(const struct stub *s, const char *what)
{
    const char *asked = getenv("STUB_FAIL");
    const size_t n = strlen(what);
    return asked && !strncmp(asked, what, n) && (!asked[n] || (asked[n] == '@' && atoi(asked + n + 1) == s->device));
}

static int probe(struct pd_err *err)
{
    return 0;
}

static int open_stub(const struct pd_net *net, const struct pd_engine_params *params, struct pd_engine_caps *caps,
                     void **ret_self, struct pd_err *err)
{
    struct stub *s = calloc(1, sizeof(*s));
    struct pd_shape *shapes = calloc((size_t)net->n_tensors, sizeof(*shapes));
    int r = s && shapes ? pd_net_shapes(net, params->height, params->width, shapes, err) : -ENOMEM;
    if (r == 0) {
        *s = (struct stub){net, params->n_devices ? params->devices[0] : 0, 0, shapes[net->heat], shapes[net->paf]};
        snprintf(caps->device, sizeof(caps->device), "stub %d", s->device);
        caps->memory_bytes = MIB;
        *ret_self = s;
    } else {
        free(s);
    }
    free(shapes);
    return r;
}

static int batch_init(void *self, struct pd_batch *batch, struct pd_err *err)
{
    const struct stub *s = self;
    if (fails(s, "init"))
        return pd_err_set(err, -ENOMEM, "the stub has no memory for a batch");
    batch->engine_private = calloc(floats_of(&s->heat) + floats_of(&s->paf), sizeof(float));
    return batch->engine_private ? 0 : -ENOMEM;
}

static void batch_finish(void *self, struct pd_batch *batch)
{
    free(batch->engine_private);
    batch->engine_private = NULL;
}

static int submit(void *self, struct pd_batch *batch)
{
    const struct stub *s = self;
    float *maps = batch->engine_private;
    if (fails(s, "submit"))
        return pd_err_set(&batch->err, -EIO, "the stub takes no batch");
    if (fails(s, "trial")) {
        pd_err_set(&batch->err, -ENODEV, "the stub is lost");
        host->done(batch, -ENODEV);
        return 0;
    }
    maps[0] = fails(s, "nan") ? NAN : 0;
    for (int i = 0; i < batch->n; i++)
        batch->slot[i].maps = (struct pd_maps){
            .w = s->heat.w, .h = s->heat.h, .n_heat = s->heat.c, .n_paf = s->paf.c, .heat = maps,
            .paf = maps + floats_of(&s->heat), .stride = (float)s->net->meta.stride, .offset = s->net->meta.offset,
        };
    host->done(batch, 0);
    return 0;
}

static int prepare(void *self, int n, int width, int height, struct pd_err *err)
{
    struct stub *s = self;
    char line[64];
    if (fails(s, "prepare"))
        return pd_err_set(err, -EIO, "the stub has no way to run a layer");
    snprintf(line, sizeof(line), "prepared %d", n);
    host->info(line);
    s->prepared++;
    return 0;
}

static size_t memory(void *self)
{
    const struct stub *s = self;
    return (size_t)(1 + s->prepared) * MIB;
}

static const struct pd_engine_ops ops = {
    .name = "cudnn",
    .automatic = true,
    .per_device = true,
    .probe = probe,
    .open = open_stub,
    .close = free,
    .batch_init = batch_init,
    .batch_finish = batch_finish,
    .submit = submit,
    .prepare = prepare,
    .memory = memory,
};

const struct pd_engine_ops *pd_cudnn_plugin(const struct pd_gpu_host *with, const char *version)
{
    host = with;
    return &ops;
}
