/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole networks in the cudnn engine against the reference engine, in every precision, and batches of them against what
 * their images give alone. Skips, saying so, where there is no GPU.
 *
 *   test-engine-gpu-networks SEED NETWORK.onnx|random:KIND...
 */
#include "tests/engine/gpu_compare.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/engine/layer_kinds.h"

static char **networks;
static int n_networks;

/* A file, or "random:KIND": one of the networks with random weights. */
static struct pd_net *load(const char *name)
{
    struct pd_err err = {""};
    struct pd_net *net = NULL;
    char path[] = "/tmp/posed-gpu-XXXXXX";
    int r = 0;
    if (strncmp(name, "random:", 7) != 0) {
        r = pd_net_load(name, &net, &err);
    } else {
        const int fd = mkstemp(path);
        assert_true(fd >= 0);
        close(fd);
        r = pd_net_random_write(name + 7, 1, path, &err);
        if (r == 0)
            r = pd_net_load(path, &net, &err);
        unlink(path);
    }
    if (r < 0)
        fail_msg("%s: %s", name, err.text);
    return net;
}

static int fitting(const struct pd_net *net, int side)
{
    const int multiple = pd_net_multiple(net);
    return (side + multiple - 1) / multiple * multiple;
}

static void networks_agree_with_the_reference(void **state)
{
    static const struct {
        enum pd_precision precision;
        int n;
        double limit;
    } runs[] = {{PD_PRECISION_FP16, 1, 2e-2}, {PD_PRECISION_FP16, 3, 2e-2}, {PD_PRECISION_TF32, 3, 4e-2},
                {PD_PRECISION_FP32, 3, 1e-4}};
    if (!have_gpu())
        SKIP("no GPU");
    const bool tf32 = computes(PD_PRECISION_TF32);
    int failed = 0;
    maker_begin(&maker, seed);
    for (int i = 0; i < n_networks; i++) {
        struct pd_net *net = load(networks[i]);
        for (size_t k = 0; k < PD_ARRAY_SIZE(runs); k++)
            if (runs[k].precision != PD_PRECISION_TF32 || tf32)
                failed += !agrees(net, runs[k].precision, 4, runs[k].n, fitting(net, 232), fitting(net, 184),
                                  runs[k].limit, INFINITY, net->meta.name);
        pd_net_destroy(net);
    }
    assert_int_equal(failed, 0);
}

/* Other kernels may compute the batch than the single image, so bits may differ, as far as the precision goes. */
static bool same_alone(const struct pd_net *net, enum pd_precision precision, int max_batch, int n, double limit)
{
    struct pd_err err = {""};
    struct pd_engine *engine = NULL;
    const int w = fitting(net, 232), h = fitting(net, 184);
    if (open_engine("cudnn", net, precision, max_batch, w, h, &engine, &err) < 0)
        fail_msg("%s: %s", net->meta.name, err.text);
    float *input = random_input(n, w, h);
    struct outputs together = make_outputs(net, n, w, h), alone = make_outputs(net, n, w, h);
    forward(engine, 0, n, w, h, input, &together);
    for (int i = 0; i < n; i++)
        forward(engine, i, 1, w, h, input, &alone);
    const struct distance d = worst(&together, &alone, n);
    const bool ok = d.mean <= limit;
    printf("# %s, %s, %d together and alone: %.1e on average, %.1e at most%s\n", net->meta.name,
           pd_precision_name(precision), n, d.mean, d.most, ok ? "" : "  <-- over the limit");
    pd_engine_close(engine);
    free_outputs(&together);
    free_outputs(&alone);
    free(input);
    return ok;
}

static void a_batch_gives_what_its_images_give_alone(void **state)
{
    if (!have_gpu())
        SKIP("no GPU");
    int failed = 0;
    maker_begin(&maker, seed);
    for (int i = 0; i < n_networks; i++) {
        struct pd_net *net = load(networks[i]);
        failed += !same_alone(net, PD_PRECISION_FP16, PD_BATCH_MAX, PD_BATCH_MAX, 2e-2);
        failed += !same_alone(net, PD_PRECISION_FP32, 4, 3, 1e-4);
        pd_net_destroy(net);
    }
    assert_int_equal(failed, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_agree_with_the_reference),
        cmocka_unit_test(a_batch_gives_what_its_images_give_alone),
    };
    if (argc < 3) {
        fprintf(stderr, "usage: test-engine-gpu-networks SEED NETWORK.onnx|random:KIND...\n");
        return 2;
    }
    seed = strtoull(argv[1], NULL, 0);
    networks = argv + 2;
    n_networks = argc - 2;
    printf("# seed %llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
