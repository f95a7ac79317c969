#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Text in the exposition format of Prometheus, grown as needed up to a cap. Pure.
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/stats.h"

#define PD_METRICS_MAX (4 * 1024 * 1024)

struct pd_metrics {
    char *text; /* NULL before the first line */
    size_t len, cap;
    bool failed; /* no memory, or above the cap: finish returns NULL */
};

/* Begin a metric: its HELP and TYPE lines. @type: "counter", "gauge", "histogram". */
void pd_metrics_begin(struct pd_metrics *m, const char *name, const char *type, const char *help);
/* One sample. @labels: NULL, or like `camera="till-1"`; see pd_metrics_label for values from outside. */
void pd_metrics_add(struct pd_metrics *m, const char *name, const char *labels, double value);
void pd_metrics_count(struct pd_metrics *m, const char *name, const char *labels, uint64_t value);
/* The samples of a histogram in seconds, from 1 ms to 10 s. */
void pd_metrics_histogram(struct pd_metrics *m, const char *name, const char *labels, const struct pd_histogram *h);
/* `KEY="VALUE"` with VALUE escaped, into @buf. */
const char *pd_metrics_label(char *buf, size_t size, const char *key, const char *value);
/* The text, to be freed by the caller, NULL when it failed. */
char *pd_metrics_finish(struct pd_metrics *m);
