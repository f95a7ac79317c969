/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/metrics.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/util.h"

static void put(struct pd_metrics *m, const char *fmt, ...) PD_PRINTF(2, 3);

static void put(struct pd_metrics *m, const char *fmt, ...)
{
    char line[1024];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    if (m->failed || n < 0 || (size_t)n >= sizeof(line)) {
        m->failed = true;
        return;
    }
    if (m->len + (size_t)n + 1 > m->cap) {
        size_t cap = PD_MAX(m->cap * 2, (size_t)16384);
        char *text = cap <= PD_METRICS_MAX ? realloc(m->text, cap) : NULL;
        if (!text) {
            m->failed = true;
            return;
        }
        m->text = text;
        m->cap = cap;
    }
    memcpy(m->text + m->len, line, (size_t)n + 1);
    m->len += (size_t)n;
}

void pd_metrics_begin(struct pd_metrics *m, const char *name, const char *type, const char *help)
{
    put(m, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void pd_metrics_add(struct pd_metrics *m, const char *name, const char *labels, double value)
{
    if (labels)
        put(m, "%s{%s} %.15g\n", name, labels, value);
    else
        put(m, "%s %.15g\n", name, value);
}

void pd_metrics_count(struct pd_metrics *m, const char *name, const char *labels, uint64_t value)
{
    if (labels)
        put(m, "%s{%s} %" PRIu64 "\n", name, labels, value);
    else
        put(m, "%s %" PRIu64 "\n", name, value);
}

void pd_metrics_histogram(struct pd_metrics *m, const char *name, const char *labels, const struct pd_histogram *h)
{
    static const double bounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
    struct pd_histogram_values v;
    pd_histogram_read(h, &v);
    for (size_t i = 0; i < PD_ARRAY_SIZE(bounds); i++)
        put(m, "%s_bucket{%s,le=\"%g\"} %" PRIu64 "\n", name, labels, bounds[i],
            pd_histogram_below(&v, (int64_t)(bounds[i] * 1e9)));
    put(m, "%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n", name, labels, v.count);
    put(m, "%s_sum{%s} %.9g\n", name, labels, (double)v.sum_ns / 1e9);
    put(m, "%s_count{%s} %" PRIu64 "\n", name, labels, v.count);
}

const char *pd_metrics_label(char *buf, size_t size, const char *key, const char *value)
{
    int n = snprintf(buf, size, "%s=\"", key);
    size_t at = PD_MIN((size_t)PD_MAX(n, 0), size - 1);
    for (; *value && at + 4 < size; value++) {
        if (*value == '"' || *value == '\\')
            buf[at++] = '\\';
        buf[at++] = (unsigned char)*value < 0x20 || (unsigned char)*value >= 0x7f ? '?' : *value; /* it must be UTF-8 */
    }
    if (at + 1 < size)
        buf[at++] = '"';
    buf[at] = 0;
    return buf;
}

char *pd_metrics_finish(struct pd_metrics *m)
{
    if (!m->failed)
        return m->text;
    free(m->text);
    return NULL;
}
