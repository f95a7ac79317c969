/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a network on raw values, for tests that compare with programs in other languages.
 * usage: forward ENGINE NETWORK WIDTH HEIGHT INPUT OUTPUT
 * INPUT: 3 x HEIGHT x WIDTH floats as the file's own graph wants them; OUTPUT: confidence maps, then fields (a
 * classifier has none).
 * Exit status 77: this build has no such engine, or it cannot run here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/engine/engine.h"

static int die(const struct pd_err *err)
{
    fprintf(stderr, "%s\n", err->text);
    return 1;
}

static bool is_here(const char *name)
{
    struct pd_err err;
    for (int i = 0; pd_engine_name(i); i++)
        if (!strcmp(pd_engine_name(i), name))
            return pd_engine_probe(i, &err) == 0;
    return false;
}

/* The file's own normalisation was hoisted out of the graph, so it is done here. */
static bool read_input(const char *path, const struct pd_normalise *norm, size_t plane, float *input)
{
    FILE *f = fopen(path, "rb");
    bool ok = f && fread(input, sizeof(*input), 3 * plane, f) == 3 * plane;
    for (size_t i = 0; i < 3 * plane && ok; i++)
        input[i] = (input[i] - norm->mean[i / plane]) * norm->scale[i / plane];
    if (f)
        fclose(f);
    return ok;
}

int main(int argc, char **argv)
{
    struct pd_err err = {"usage: forward ENGINE NETWORK WIDTH HEIGHT INPUT OUTPUT"};
    struct pd_net *net;
    struct pd_engine *engine;
    if (argc != 7)
        return die(&err);
    if (!is_here(argv[1]))
        return 77;
    const struct pd_engine_params params = {
        .width = atoi(argv[3]), .height = atoi(argv[4]), .max_batch = 1, .precision = PD_PRECISION_FP32};
    if (pd_net_load(argv[2], &net, &err) < 0 || pd_engine_open(argv[1], net, &params, &engine, &err) < 0)
        return die(&err);
    struct pd_shape *shapes = calloc((size_t)net->n_tensors, sizeof(*shapes));
    if (!shapes || pd_net_shapes(net, params.height, params.width, shapes, &err) < 0)
        return die(&err);
    struct pd_shape h = shapes[net->heat], p = net->paf >= 0 ? shapes[net->paf] : (struct pd_shape){0};
    size_t plane = (size_t)params.width * (size_t)params.height;
    size_t n_heat = (size_t)h.c * (size_t)h.h * (size_t)h.w, n_paf = (size_t)p.c * (size_t)p.h * (size_t)p.w;
    float *input = malloc(3 * plane * sizeof(*input)), *output = malloc((n_heat + n_paf) * sizeof(*output));
    if (!input || !output || !read_input(argv[5], &net->meta.input, plane, input)) {
        pd_err_set(&err, -1, "%s: cannot be read", argv[5]);
        return die(&err);
    }
    if (pd_engine_forward(engine, 1, params.width, params.height, input, output, output + n_heat, &err) < 0)
        return die(&err);
    FILE *f = fopen(argv[6], "wb");
    bool ok = f && fwrite(output, sizeof(*output), n_heat + n_paf, f) == n_heat + n_paf && !fclose(f);
    free(output);
    free(input);
    free(shapes);
    pd_engine_close(engine);
    pd_net_destroy(net);
    return ok ? 0 : 1;
}
