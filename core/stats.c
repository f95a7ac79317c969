/* SPDX-License-Identifier: Apache-2.0 */
#include "core/stats.h"

#include "core/util.h"

/* Bucket 0 ends at 1.024 us (2^10 ns); then PD_HISTOGRAM_SUB equal parts of every power of two, up to 2^37 ns = 137 s.
 * */
#define FIRST_BIT 10

static int bucket_of(int64_t ns)
{
    if (ns <= INT64_C(1) << FIRST_BIT)
        return 0;
    /* ns - 1: a bound belongs to the bucket that it ends. */
    uint64_t v = (uint64_t)ns - 1;
    int bit = 63 - __builtin_clzll(v);
    int part = (int)((v >> (bit - 3)) & (PD_HISTOGRAM_SUB - 1));
    return PD_MIN((bit - FIRST_BIT) * PD_HISTOGRAM_SUB + part + 1, PD_HISTOGRAM_BUCKETS - 1);
}
_Static_assert(PD_HISTOGRAM_SUB == 1 << 3, "bucket_of() takes three bits");

int64_t pd_histogram_bound(int i)
{
    if (i <= 0)
        return INT64_C(1) << FIRST_BIT;
    if (i >= PD_HISTOGRAM_BUCKETS - 1)
        return INT64_MAX;
    int bit = FIRST_BIT + (i - 1) / PD_HISTOGRAM_SUB, part = (i - 1) % PD_HISTOGRAM_SUB;
    return (INT64_C(1) << bit) + (int64_t)(part + 1) * (INT64_C(1) << (bit - 3));
}

void pd_histogram_add(struct pd_histogram *h, int64_t ns)
{
    ns = PD_MAX(ns, 0);
    atomic_fetch_add_explicit(&h->bucket[bucket_of(ns)], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum_ns, ns, memory_order_relaxed);
    int64_t max = atomic_load_explicit(&h->max_ns, memory_order_relaxed);
    while (ns > max && !atomic_compare_exchange_weak_explicit(&h->max_ns, &max, ns, memory_order_relaxed,
                                                              memory_order_relaxed))
        ;
}

void pd_histogram_read(const struct pd_histogram *h, struct pd_histogram_values *ret_values)
{
    ret_values->count = 0;
    for (int i = 0; i < PD_HISTOGRAM_BUCKETS; i++) {
        ret_values->bucket[i] = atomic_load_explicit(&h->bucket[i], memory_order_relaxed);
        ret_values->count += ret_values->bucket[i];
    }
    ret_values->sum_ns = atomic_load_explicit(&h->sum_ns, memory_order_relaxed);
    ret_values->max_ns = atomic_load_explicit(&h->max_ns, memory_order_relaxed);
}

int64_t pd_histogram_percentile(const struct pd_histogram_values *v, double fraction)
{
    if (!v->count)
        return 0;
    /* The smallest whole number of events that is at least the fraction, at least one of them. */
    double exact = PD_CLAMP(fraction, 0.0, 1.0) * (double)v->count;
    uint64_t want = (uint64_t)exact;
    want = PD_CLAMP(want + ((double)want < exact), 1, v->count);
    uint64_t seen = 0;
    for (int i = 0; i < PD_HISTOGRAM_BUCKETS; i++) {
        seen += v->bucket[i];
        if (seen >= want)
            return PD_MIN(pd_histogram_bound(i), v->max_ns);
    }
    return v->max_ns;
}

double pd_histogram_mean(const struct pd_histogram_values *v)
{
    return v->count ? (double)v->sum_ns / (double)v->count : 0.0;
}

uint64_t pd_histogram_below(const struct pd_histogram_values *v, int64_t ns)
{
    uint64_t n = 0;
    for (int i = 0; i < PD_HISTOGRAM_BUCKETS && pd_histogram_bound(i) <= ns; i++)
        n += v->bucket[i];
    return n;
}

const char *pd_stage_name(enum pd_stage stage)
{
    static const char *const names[PD_STAGE_COUNT] = {
        [PD_STAGE_QUEUE] = "queue",     [PD_STAGE_SUBMIT] = "submit", [PD_STAGE_PREPROCESS] = "preprocess",
        [PD_STAGE_NETWORK] = "network", [PD_STAGE_POST] = "post",     [PD_STAGE_PUBLISH] = "publish",
        [PD_STAGE_TOTAL] = "total",
    };
    return (unsigned)stage < PD_STAGE_COUNT ? names[stage] : "?";
}

void pd_stats_batch(struct pd_stats *stats, int n, int status)
{
    pd_count(&stats->batches, 1);
    pd_count(&stats->batch_size[PD_CLAMP(n, 0, PD_STATS_BATCH_MAX)], 1);
    pd_count(status < 0 ? &stats->failed_frames : &stats->frames, (uint64_t)n);
    if (status < 0)
        pd_count(&stats->failed_batches, 1);
}
