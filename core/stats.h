#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Counters and latency histograms of the pipeline: written by every stage on its own thread, read by whoever reports.
 * Lock-free: each field is its own atomic with relaxed order, so a snapshot taken while others write may be a few
 * events apart between fields, never torn within one. A zeroed struct is ready to use.
 */
#include <stdatomic.h>
#include <stdint.h>

/* Buckets grow by an eighth of a power of two (at most 12.5 % wide) from 1 us to 137 s; both ends take what is beyond.
 * */
#define PD_HISTOGRAM_SUB 8
#define PD_HISTOGRAM_BUCKETS (27 * PD_HISTOGRAM_SUB + 1)

struct pd_histogram {
    _Atomic uint64_t count;
    _Atomic int64_t sum_ns, max_ns;
    _Atomic uint64_t bucket[PD_HISTOGRAM_BUCKETS];
};

struct pd_histogram_values {
    uint64_t count;
    int64_t sum_ns, max_ns;
    uint64_t bucket[PD_HISTOGRAM_BUCKETS];
};

void pd_histogram_add(struct pd_histogram *h, int64_t ns); /* negative counts as 0 */
/* count is the sum of the buckets that were read, so that percentiles of a snapshot are consistent. */
void pd_histogram_read(const struct pd_histogram *h, struct pd_histogram_values *ret_values);

/* The time that @fraction (0..1) of the events did not exceed: upper bound of their bucket, at most the largest event.
 * 0 when there are none. */
int64_t pd_histogram_percentile(const struct pd_histogram_values *v, double fraction);
double pd_histogram_mean(const struct pd_histogram_values *v); /* ns, 0 when there are none */
/* Events in buckets that lie wholly at or below @ns: cumulative counts for Prometheus, exact where @ns is a bound. */
uint64_t pd_histogram_below(const struct pd_histogram_values *v, int64_t ns);
/* Largest time that goes to bucket @i; INT64_MAX for the last. */
int64_t pd_histogram_bound(int i);

/* Where a frame's time goes. */
enum pd_stage {
    PD_STAGE_QUEUE,      /* decoded until taken into a batch */
    PD_STAGE_SUBMIT,     /* taken until the engine starts on it */
    PD_STAGE_PREPROCESS, /* letterbox, normalise; the whole batch */
    PD_STAGE_NETWORK,    /* forward pass of the whole batch */
    PD_STAGE_POST,       /* maps to people, tracking, smoothing; one frame */
    PD_STAGE_PUBLISH,    /* encoded and handed to every subscriber's buffer */
    PD_STAGE_TOTAL,      /* packet in until line out */
    PD_STAGE_COUNT
};
const char *pd_stage_name(enum pd_stage stage); /* "queue", "submit", ... */

#define PD_STATS_BATCH_MAX 32

struct pd_stats {
    _Atomic uint64_t frames;         /* through the engine */
    _Atomic uint64_t failed_frames;  /* in batches that failed */
    _Atomic uint64_t people;
    _Atomic uint64_t batches, failed_batches;
    _Atomic uint64_t batch_size[PD_STATS_BATCH_MAX + 1]; /* batches of n frames */
    _Atomic uint64_t capped_peaks, capped_connections, capped_people; /* what the caps let go */
    struct pd_histogram stage[PD_STAGE_COUNT];
};

static inline void pd_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static inline uint64_t pd_counted(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* One batch came back: counts it, its size and its frames. @status as in struct pd_batch. */
void pd_stats_batch(struct pd_stats *stats, int n, int status);
