/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzz target: any bytes as a network file. What loads must hold together: shapes follow, and a small input goes
 * through the reference layers without touching memory that is not theirs.
 */
#include <stdlib.h>

#include "core/engine/reference.h"
#include "core/net/net.h"
#include "tests/fuzz/fuzz.h"

#define FLOATS_MAX 200000 /* of all tensors together, */
#define MACS_MAX 5e6      /* and multiply-adds of what is run, so that an input takes milliseconds */

static size_t floats_of(struct pd_shape s)
{
    return (size_t)(unsigned)s.c * (size_t)(unsigned)s.h * (size_t)(unsigned)s.w;
}

static void run(const struct pd_net *net, const struct pd_shape *shapes)
{
    size_t total = 0;
    double macs = 0;
    for (int t = 0; t < net->n_tensors; t++)
        total += floats_of(shapes[t]);
    for (int i = 0; i < net->n_layers; i++) {
        const struct pd_layer *l = &net->layers[i];
        struct pd_shape s = shapes[l->out];
        macs += pd_layer_macs(net, l, shapes) + (double)s.c * s.h * s.w * l->kh * l->kw;
    }
    if (total > FLOATS_MAX || macs > MACS_MAX)
        return;
    /* Each tensor in memory of its own, exactly as large as it is, so that a sanitizer sees every step outside. */
    float **tensors = calloc((unsigned)net->n_tensors, sizeof(*tensors));
    for (int t = 0; tensors && t < net->n_tensors; t++)
        if (!(tensors[t] = calloc(floats_of(shapes[t]), sizeof(float))))
            abort();
    for (int i = 0; tensors && i < net->n_layers; i++)
        pd_ref_layer(net, &net->layers[i], net->layers[i].weight, shapes, tensors);
    for (int t = 0; tensors && t < net->n_tensors; t++)
        free(tensors[t]);
    free(tensors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pd_err err;
    struct pd_net *net;
    if (pd_net_load_memory(data, size, "fuzz.onnx", &net, &err) < 0)
        return 0;
    struct pd_shape *shapes = calloc((size_t)net->n_tensors, sizeof(*shapes));
    for (int side = net->meta.stride; shapes && side <= 64; side *= 4)
        if (pd_net_shapes(net, side, 2 * side, shapes, &err) == 0)
            run(net, shapes);
    free(shapes);
    pd_net_destroy(net);
    return 0;
}
