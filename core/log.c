/* SPDX-License-Identifier: Apache-2.0 */
#include "core/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const names[] = {"error", "warning", "info", "debug"};
static const int syslog_priority[] = {3, 4, 6, 7};

static _Atomic int current_level = PD_LOG_INFO;

static pthread_mutex_t secrets_lock = PTHREAD_MUTEX_INITIALIZER;
/* protected by secrets_lock */
static char *secrets[PD_LOG_SECRETS_MAX];
static int n_secrets;

void pd_log_set_level(enum pd_log_level level)
{
    atomic_store(&current_level, (int)level);
}

enum pd_log_level pd_log_get_level(void)
{
    return (enum pd_log_level)atomic_load(&current_level);
}

int pd_log_level_parse(const char *name, enum pd_log_level *ret_level)
{
    for (size_t i = 0; i < PD_ARRAY_SIZE(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            *ret_level = (enum pd_log_level)i;
            return 0;
        }
    }
    return -EINVAL;
}

int pd_log_add_secret(const char *secret)
{
    if (!secret || strlen(secret) < 3)
        return -EINVAL;
    int r = 0;
    pthread_mutex_lock(&secrets_lock);
    for (int i = 0; i < n_secrets; i++)
        if (strcmp(secrets[i], secret) == 0)
            goto out;
    if (n_secrets == PD_LOG_SECRETS_MAX) {
        r = -ENOSPC;
        goto out;
    }
    secrets[n_secrets] = strdup(secret);
    if (!secrets[n_secrets])
        r = -ENOMEM;
    else
        n_secrets++;
out:
    pthread_mutex_unlock(&secrets_lock);
    return r;
}

/* Replace every occurrence of @secret by "***", cutting the tail when the text would outgrow @cap. */
static void redact_one(char *text, size_t cap, const char *secret)
{
    static const char stars[] = "***";
    size_t slen = strlen(secret);
    char *at = text;
    while ((at = strstr(at, secret))) {
        size_t tail = strlen(at + slen);
        size_t used = (size_t)(at - text) + sizeof(stars) - 1;
        if (used + 1 > cap) {
            *at = 0;
            return;
        }
        if (used + tail + 1 > cap)
            tail = cap - used - 1;
        memmove(at + sizeof(stars) - 1, at + slen, tail);
        at[sizeof(stars) - 1 + tail] = 0;
        memcpy(at, stars, sizeof(stars) - 1);
        at += sizeof(stars) - 1;
    }
}

void pd_log_redact(char *text, size_t cap)
{
    pthread_mutex_lock(&secrets_lock);
    for (int i = 0; i < n_secrets; i++)
        redact_one(text, cap, secrets[i]);
    pthread_mutex_unlock(&secrets_lock);
}

void pd_log(enum pd_log_level level, const char *context, const char *fmt, ...)
{
    if ((int)level > atomic_load_explicit(&current_level, memory_order_relaxed))
        return;
    static _Atomic int journal = -1;
    int j = atomic_load_explicit(&journal, memory_order_relaxed);
    if (j < 0) {
        j = getenv("JOURNAL_STREAM") != NULL;
        atomic_store_explicit(&journal, j, memory_order_relaxed);
    }

    char message[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);
    for (char *c = message; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
    pd_log_redact(message, sizeof(message));

    char line[1400];
    char head[16];
    if (j)
        snprintf(head, sizeof(head), "<%d>", syslog_priority[level]);
    else
        snprintf(head, sizeof(head), "%s: ", names[level]);
    int n = snprintf(line, sizeof(line), "%s%s%s%s\n", head, context ? context : "", context ? ": " : "", message);
    if (n < 0)
        return;
    size_t len = PD_MIN((size_t)n, sizeof(line) - 1);
    line[len - 1] = '\n';
    /* A full pipe or a closed stderr must never stop a camera: the result is deliberately not retried. */
    ssize_t written = write(STDERR_FILENO, line, len);
    (void)written;
}
