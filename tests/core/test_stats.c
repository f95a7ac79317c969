/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/stats.h"

static struct pd_histogram h;
static struct pd_histogram_values v;

static int reset(void **state)
{
    memset((void *)&h, 0, sizeof(h));
    return 0;
}

static void bounds_rise_by_at_most_an_eighth(void **state)
{
    for (int i = 1; i < PD_HISTOGRAM_BUCKETS - 1; i++) {
        int64_t a = pd_histogram_bound(i - 1), b = pd_histogram_bound(i);
        assert_true(b > a);
        assert_true(b - a <= a / 8);
    }
    assert_true(pd_histogram_bound(0) == 1024);
    assert_true(pd_histogram_bound(PD_HISTOGRAM_BUCKETS - 2) > 120 * PD_NS_PER_S);
    assert_true(pd_histogram_bound(PD_HISTOGRAM_BUCKETS - 1) == INT64_MAX);
}

static void a_bound_belongs_to_the_bucket_that_it_ends(void **state)
{
    for (int i = 0; i < PD_HISTOGRAM_BUCKETS - 1; i++) {
        reset(NULL);
        pd_histogram_add(&h, pd_histogram_bound(i));
        pd_histogram_add(&h, pd_histogram_bound(i) + 1);
        pd_histogram_read(&h, &v);
        assert_int_equal(v.bucket[i], 1);
        assert_int_equal(v.bucket[i + 1], 1);
    }
}

static void nothing_has_no_percentiles(void **state)
{
    pd_histogram_read(&h, &v);
    assert_int_equal(v.count, 0);
    assert_true(pd_histogram_percentile(&v, 0.5) == 0);
    assert_true(pd_histogram_mean(&v) == 0.0);
}

static void percentiles_are_right_to_a_bucket(void **state)
{
    for (int64_t ms = 1; ms <= 1000; ms++)
        pd_histogram_add(&h, ms * PD_NS_PER_MS);
    pd_histogram_read(&h, &v);
    assert_int_equal(v.count, 1000);
    assert_true(pd_histogram_mean(&v) == 500.5 * PD_NS_PER_MS);
    static const double fractions[] = {0.01, 0.5, 0.9, 0.99, 0.999};
    for (int i = 0; i < 5; i++) {
        double exact = fractions[i] * 1000.0 * PD_NS_PER_MS, got = (double)pd_histogram_percentile(&v, fractions[i]);
        assert_true(got >= exact && got <= exact * 1.125 + 1.0);
    }
    assert_true(pd_histogram_percentile(&v, 1.0) == 1000 * PD_NS_PER_MS); /* never above the largest event */
    assert_true(pd_histogram_percentile(&v, 0.0) <= 1.125 * PD_NS_PER_MS);
}

static void extremes_go_to_the_end_buckets(void **state)
{
    static const int64_t extremes[] = {INT64_MIN, -1, 0, 1, 3600 * PD_NS_PER_S, INT64_MAX / 4};
    for (int i = 0; i < 6; i++)
        pd_histogram_add(&h, extremes[i]);
    pd_histogram_read(&h, &v);
    assert_int_equal(v.bucket[0], 4);
    assert_int_equal(v.bucket[PD_HISTOGRAM_BUCKETS - 1], 2);
    assert_true(v.max_ns == INT64_MAX / 4);
    assert_true(pd_histogram_percentile(&v, 1.0) == INT64_MAX / 4);
}

static void below_counts_whole_buckets(void **state)
{
    pd_histogram_add(&h, 1000);
    pd_histogram_add(&h, 1100);
    pd_histogram_add(&h, 1 << 20);
    pd_histogram_read(&h, &v);
    assert_int_equal(pd_histogram_below(&v, 1023), 0);
    assert_int_equal(pd_histogram_below(&v, 1024), 1);
    assert_int_equal(pd_histogram_below(&v, pd_histogram_bound(1)), 2);
    assert_int_equal(pd_histogram_below(&v, INT64_MAX), 3);
}

static void *add_many(void *arg)
{
    for (int i = 0; i < 50000; i++)
        pd_histogram_add(&h, (int64_t)(intptr_t)arg * 1000 + i);
    return NULL;
}

static void no_event_is_lost_between_threads(void **state)
{
    pthread_t thread[4];
    for (intptr_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, add_many, (void *)i), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    pd_histogram_read(&h, &v);
    assert_int_equal(v.count, 200000);
    assert_true(v.max_ns == 3000 + 49999);
}

static void batches_are_counted_by_size_and_outcome(void **state)
{
    struct pd_stats *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    pd_stats_batch(s, 3, 0);
    pd_stats_batch(s, 32, 0);
    pd_stats_batch(s, 3, -EIO);
    assert_int_equal(pd_counted(&s->batches), 3);
    assert_int_equal(pd_counted(&s->failed_batches), 1);
    assert_int_equal(pd_counted(&s->frames), 35);
    assert_int_equal(pd_counted(&s->failed_frames), 3);
    assert_int_equal(pd_counted(&s->batch_size[3]), 2);
    free(s);
}

static void every_stage_has_a_name(void **state)
{
    for (int i = 0; i < PD_STAGE_COUNT; i++)
        for (int k = 0; k < i; k++)
            assert_string_not_equal(pd_stage_name((enum pd_stage)i), pd_stage_name((enum pd_stage)k));
    assert_string_equal(pd_stage_name(PD_STAGE_COUNT), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(bounds_rise_by_at_most_an_eighth, reset),
        cmocka_unit_test_setup(a_bound_belongs_to_the_bucket_that_it_ends, reset),
        cmocka_unit_test_setup(nothing_has_no_percentiles, reset),
        cmocka_unit_test_setup(percentiles_are_right_to_a_bucket, reset),
        cmocka_unit_test_setup(extremes_go_to_the_end_buckets, reset),
        cmocka_unit_test_setup(below_counts_whole_buckets, reset),
        cmocka_unit_test_setup(no_event_is_lost_between_threads, reset),
        cmocka_unit_test(batches_are_counted_by_size_and_outcome),
        cmocka_unit_test(every_stage_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
