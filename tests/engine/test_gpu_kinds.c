/* SPDX-License-Identifier: Apache-2.0
 *
 * Layers of every kind in the cudnn engine against the reference engine, in every precision and in batches of up to 32.
 * Skips, saying so, where there is no GPU.
 *
 *   test-engine-gpu-kinds [SEED]
 */
#include "tests/engine/gpu_compare.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/engine/layer_kinds.h"

/* Of up to four layers. tf32 may cut off what does not fit, which makes everything a little smaller. */
static double layer_limit(enum pd_precision precision)
{
    return precision == PD_PRECISION_FP32 ? 5e-5 : precision == PD_PRECISION_TF32 ? 8e-3 : 4e-3;
}

static const struct {
    enum pd_precision precision;
    int channels;
} ways[] = {
    {PD_PRECISION_FP16, 24}, /* pixels of whole 16 bytes, which the fast kernels want */
    {PD_PRECISION_FP16, 21}, {PD_PRECISION_TF32, 24}, {PD_PRECISION_FP32, 24}, {PD_PRECISION_FP32, 21},
};
#define WAYS ((int)PD_ARRAY_SIZE(ways))

static void layers_of_every_kind_agree_with_the_reference(void **state)
{
    if (!have_gpu())
        SKIP("no GPU");
    const bool tf32 = computes(PD_PRECISION_TF32), all = cases_of(100) == 100;
    int failed = 0;
    for (int k = 0; k < n_kinds; k++)
        for (int i = 0; i < WAYS; i++) {
            if ((!all && i != k % WAYS) || (ways[i].precision == PD_PRECISION_TF32 && !tf32))
                continue;
            char what[80];
            snprintf(what, sizeof(what), "%s, %d channels", kinds[k].name, ways[i].channels);
            make_kind(k, ways[i].channels);
            const double limit = layer_limit(ways[i].precision);
            failed += !agrees(&maker.net, ways[i].precision, 3, 3, W, H, limit, 10 * limit, what);
            maker_end(&maker);
        }
    assert_int_equal(failed, 0);
}

/* Each in a plan of its own size, most with images left idle. */
static void batches_of_up_to_32_agree_with_the_reference(void **state)
{
    static const int sizes[] = {32, 7, 17, 9, 25};
    static const enum pd_precision precisions[] = {PD_PRECISION_FP16, PD_PRECISION_TF32, PD_PRECISION_FP32};
    if (!have_gpu())
        SKIP("no GPU");
    const bool tf32 = computes(PD_PRECISION_TF32);
    int failed = 0;
    for (int k = 0; k < n_kinds; k++) {
        enum pd_precision precision = precisions[k % 3];
        if ((precision == PD_PRECISION_TF32 && !tf32) || k >= cases_of(n_kinds))
            continue;
        make_kind(k, 24);
        const double limit = layer_limit(precision);
        failed += !agrees(&maker.net, precision, 32, sizes[k % 5], W, H, limit, 10 * limit, kinds[k].name);
        maker_end(&maker);
    }
    assert_int_equal(failed, 0);
}

static void a_precision_that_it_lacks_is_refused_in_one_line(void **state)
{
    if (!have_gpu())
        SKIP("no GPU");
    struct pd_err err = {""};
    struct pd_engine *engine = NULL;
    make_kind(0, 8);
    assert_int_equal(open_engine("cudnn", &maker.net, PD_PRECISION_BF16, 1, W, H, &engine, &err), -ENOTSUP);
    assert_null(engine);
    assert_non_null(strstr(err.text, "computes in fp16, tf32 or fp32"));
    assert_null(strchr(err.text, '\n'));
    maker_end(&maker);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_of_every_kind_agree_with_the_reference),
        cmocka_unit_test(batches_of_up_to_32_agree_with_the_reference),
        cmocka_unit_test(a_precision_that_it_lacks_is_refused_in_one_line),
    };
    if (argc > 1)
        seed = strtoull(argv[1], NULL, 0);
    printf("# seed %llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
