/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/bench.h"

#define SIDE 32 /* of the input: 1,024 rows a frame */
#define SEED 1

/* The network of matrix products, by way of a file, the one form that networks are read from. */
static int load_products(struct pd_net **ret_net, struct pd_err *err)
{
    char path[] = "/tmp/posed-peak-XXXXXX";
    const int fd = mkstemp(path);
    if (fd < 0)
        return pd_err_set(err, -errno, "%s: %s", path, strerror(errno));
    close(fd);
    int r = pd_net_random_write("matmul", SEED, path, err);
    if (r == 0)
        r = pd_net_load(path, ret_net, err);
    unlink(path);
    return r;
}

/* The most that one of its layers reached, GFLOP/s. */
static double best_layer(const struct pd_bench *b)
{
    double best = 0;
    for (int i = 0; i < b->n_layers; i++)
        if (b->layers[i].ms > 0)
            best = PD_MAX(best, pd_bench_layer_gflop(b, i) * b->layer_batch / b->layers[i].ms * 1e3);
    return best;
}

static int measure(struct pd_bench *b, struct pd_engine *engine, double seconds, struct pd_err *err)
{
    PD_CLEANUP(pd_freep) struct pd_shape *shapes = calloc((size_t)b->net->n_tensors, sizeof(*shapes));
    if (!shapes)
        return pd_err_set(err, -ENOMEM, "out of memory");
    b->shapes = shapes;
    b->caps = pd_engine_caps(engine);
    int r = pd_net_shapes(b->net, b->height, b->width, shapes, err);
    if (r == 0)
        r = pd_bench_layers(b, engine, seconds, err);
    if (r == 0)
        b->peak_gflops = best_layer(b);
    free(b->layers);
    return r;
}

int pd_bench_peak(struct pd_bench *bench, const struct pd_cli *cli, double seconds, struct pd_err *err)
{
    struct pd_bench b = {.width = SIDE, .height = SIDE};
    struct pd_net *net;
    struct pd_engine *engine;
    int r = load_products(&net, err);
    if (r < 0)
        return r;
    b.net = net;
    r = pd_cli_open(cli, net, SIDE, SIDE, bench->caps->max_batch, 1, &engine, err);
    if (r == 0) {
        r = measure(&b, engine, seconds, err);
        pd_engine_close(engine);
    }
    pd_net_destroy(net);
    /* products take less time than a whole network, and a chip that is shared or hot may do worse in theirs */
    bench->peak_gflops = r < 0 ? 0 : PD_MAX(b.peak_gflops, best_layer(bench));
    return r;
}
