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
static _Atomic(pd_log_sink) current_sink;

static pthread_mutex_t secrets_lock = PTHREAD_MUTEX_INITIALIZER;
/* protected by secrets_lock */
static struct secret {
    char *text;
    int users;
    uint64_t released; /* without users: the how-manieth that lost its last one */
} *secrets; /* the longest first: what is left of one of which another is a part would tell the rest */
static int n_secrets, n_old; /* n_old: without users */
static uint64_t n_released;

void pd_log_set_level(enum pd_log_level level)
{
    atomic_store(&current_level, (int)level);
}

enum pd_log_level pd_log_get_level(void)
{
    return (enum pd_log_level)atomic_load(&current_level);
}

void pd_log_set_sink(pd_log_sink sink)
{
    atomic_store(&current_sink, sink);
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

/* ---- secrets, with secrets_lock held ---- */

static struct secret *find_secret(const char *text)
{
    for (int i = 0; i < n_secrets; i++)
        if (strcmp(secrets[i].text, text) == 0)
            return &secrets[i];
    return NULL;
}

static int insert_secret(const char *text)
{
    struct secret *more = realloc(secrets, ((size_t)n_secrets + 1) * sizeof(*secrets));
    if (!more)
        return -ENOMEM;
    secrets = more;
    char *copy = strdup(text);
    if (!copy)
        return -ENOMEM;
    int at = n_secrets++;
    for (; at > 0 && strlen(secrets[at - 1].text) < strlen(copy); at--)
        secrets[at] = secrets[at - 1];
    secrets[at] = (struct secret){.text = copy, .users = 1};
    return 0;
}

static void forget_secret(struct secret *secret)
{
    n_old -= secret->users == 0;
    explicit_bzero(secret->text, strlen(secret->text));
    free(secret->text);
    memmove(secret, secret + 1, (size_t)(secrets + --n_secrets - secret) * sizeof(*secret));
}

static void forget_the_oldest(void)
{
    struct secret *oldest = NULL;
    for (int i = 0; i < n_secrets; i++)
        if (secrets[i].users == 0 && (!oldest || secrets[i].released < oldest->released))
            oldest = &secrets[i];
    forget_secret(oldest);
}

/* ---- secrets ---- */

int pd_log_add_secret(const char *text)
{
    if (!text || strlen(text) < 3)
        return -EINVAL;
    int r = 0;
    pthread_mutex_lock(&secrets_lock);
    struct secret *secret = find_secret(text);
    if (secret)
        n_old -= secret->users++ == 0;
    else
        r = insert_secret(text);
    pthread_mutex_unlock(&secrets_lock);
    return r;
}

void pd_log_release_secret(const char *text)
{
    if (!text)
        return;
    pthread_mutex_lock(&secrets_lock);
    struct secret *secret = find_secret(text);
    if (secret && secret->users > 0 && --secret->users == 0) {
        secret->released = ++n_released;
        if (++n_old > PD_LOG_SECRETS_OLD)
            forget_the_oldest();
    }
    pthread_mutex_unlock(&secrets_lock);
}

void pd_log_forget_secrets(void)
{
    pthread_mutex_lock(&secrets_lock);
    while (n_secrets > 0)
        forget_secret(&secrets[n_secrets - 1]);
    free(secrets);
    secrets = NULL;
    pthread_mutex_unlock(&secrets_lock);
}

static void redact_one(char *text, const char *secret)
{
    static const char stars[] = "***";
    size_t len = strlen(secret), n_stars = sizeof(stars) - 1;
    for (char *at = text; (at = strstr(at, secret)); at += n_stars) {
        memcpy(at, stars, n_stars);
        memmove(at + n_stars, at + len, strlen(at + len) + 1);
    }
}

/* The longest beginning of @secret with which @text ends. */
static size_t piece_at_end(const char *text, const char *secret)
{
    size_t n_text = strlen(text), n = PD_MIN(strlen(secret), n_text);
    while (n > 0 && memcmp(text + n_text - n, secret, n))
        n--;
    return n;
}

/* With secrets_lock held. */
static void redact_all(char *text)
{
    for (int i = 0; i < n_secrets; i++)
        redact_one(text, secrets[i].text);
}

void pd_log_redact(char *text)
{
    pthread_mutex_lock(&secrets_lock);
    redact_all(text);
    pthread_mutex_unlock(&secrets_lock);
}

void pd_log_clean(char *text, bool cut)
{
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
    pthread_mutex_lock(&secrets_lock);
    redact_all(text);
    /* What is then the end may be a piece of another. */
    for (size_t piece = cut; piece > 0;) {
        piece = 0;
        for (int i = 0; i < n_secrets; i++)
            piece = PD_MAX(piece, piece_at_end(text, secrets[i].text));
        text[strlen(text) - piece] = 0;
    }
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
    int whole = vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);
    if (whole < 0)
        return;
    pd_log_clean(message, (size_t)whole >= sizeof(message));
    const pd_log_sink sink = atomic_load_explicit(&current_sink, memory_order_relaxed);
    if (sink && sink(level, context, message))
        return;

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
