/* SPDX-License-Identifier: Apache-2.0
 *
 * A text file of lines "key<TAB>value" for each device and cuDNN version: gpu-NVIDIA_H200-cuDNN_9.19.0.txt. What stands
 * there is a hint: a value that no longer names a candidate is measured again, so a damaged file costs time only.
 *
 * Engines of one process on GPUs of one kind share the object, so what the first has measured the second knows.
 * Another process that writes the same file meanwhile is no harm: each writes a whole file with what the other's held.
 */
#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/engine/cudnn/gpu.h"

#define LINE_MAX_BYTES 512
#define ENTRIES_MAX 65536

struct entry {
    char *key, *value;
};

struct pd_gpu_choices {
    char *path; /* NULL: nothing is remembered; set at open, then read-only */
    /* guarded by lock */
    int refs;
    struct pd_gpu_choices *next;
    struct entry *entries; /* sorted by key */
    size_t n, cap;
    bool changed;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* guarded by lock: those with a path */
static struct pd_gpu_choices *shared;

static bool find(const struct pd_gpu_choices *c, const char *key, size_t *ret_at)
{
    size_t lo = 0, hi = c->n;
    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;
        const int order = strcmp(c->entries[mid].key, key);
        if (order == 0) {
            *ret_at = mid;
            return true;
        }
        if (order < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *ret_at = lo;
    return false;
}

bool pd_gpu_choices_get(const struct pd_gpu_choices *c, const char *key, char *value, size_t size)
{
    size_t at;
    pthread_mutex_lock(&lock);
    bool found = c && find(c, key, &at);
    if (found)
        snprintf(value, size, "%s", c->entries[at].value);
    pthread_mutex_unlock(&lock);
    return found;
}

static void put(struct pd_gpu_choices *c, const char *key, const char *value)
{
    size_t at;
    if (c->n == ENTRIES_MAX)
        return;
    char *v = strdup(value);
    if (!v)
        return;
    if (find(c, key, &at)) {
        free(c->entries[at].value);
        c->entries[at].value = v;
        c->changed = true;
        return;
    }
    char *k = strdup(key);
    if (c->n == c->cap) {
        const size_t cap = c->cap ? 2 * c->cap : 64;
        struct entry *grown = realloc(c->entries, cap * sizeof(*grown));
        if (grown) {
            c->entries = grown;
            c->cap = cap;
        }
    }
    if (!k || c->n == c->cap) {
        free(k);
        free(v);
        return;
    }
    memmove(c->entries + at + 1, c->entries + at, (c->n - at) * sizeof(*c->entries));
    c->entries[at] = (struct entry){k, v};
    c->n++;
    c->changed = true;
}

void pd_gpu_choices_put(struct pd_gpu_choices *c, const char *key, const char *value)
{
    if (!c)
        return;
    pthread_mutex_lock(&lock);
    put(c, key, value);
    pthread_mutex_unlock(&lock);
}

/* What the file knows and @c does not. */
static void read_file(struct pd_gpu_choices *c)
{
    FILE *f = fopen(c->path, "re");
    if (!f)
        return;
    bool changed = c->changed;
    char line[LINE_MAX_BYTES];
    size_t at;
    while (c->n < ENTRIES_MAX && fgets(line, sizeof(line), f)) {
        char *tab = strchr(line, '\t'), *end = strchr(line, '\n');
        if (!tab || !end)
            continue;
        *tab = *end = 0;
        if (!find(c, line, &at))
            put(c, line, tab + 1);
    }
    fclose(f);
    c->changed = changed;
}

static struct pd_gpu_choices *find_shared(const char *path)
{
    struct pd_gpu_choices *c = shared;
    while (c && strcmp(c->path, path) != 0)
        c = c->next;
    return c;
}

struct pd_gpu_choices *pd_gpu_choices_open(const char *cache_dir, const char *device, const char *version)
{
    struct pd_gpu_choices *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->refs = 1;
    if (!cache_dir || !*cache_dir || asprintf(&c->path, "%s/gpu-%s-%s.txt", cache_dir, device, version) < 0) {
        c->path = NULL;
        return c;
    }
    for (char *p = c->path + strlen(cache_dir) + 1; *p; p++)
        if (!isalnum((unsigned char)*p) && *p != '.' && *p != '-')
            *p = '_';
    pthread_mutex_lock(&lock);
    struct pd_gpu_choices *known = find_shared(c->path);
    if (known) {
        known->refs++;
        free(c->path);
        free(c);
        c = known;
    } else {
        read_file(c);
        c->next = shared;
        shared = c;
    }
    pthread_mutex_unlock(&lock);
    return c;
}

static int write_file(struct pd_gpu_choices *c)
{
    read_file(c);
    PD_CLEANUP(pd_freep) char *temporary = NULL;
    if (asprintf(&temporary, "%s.%d", c->path, (int)getpid()) < 0)
        return -ENOMEM;
    FILE *f = fopen(temporary, "we");
    if (!f)
        return -errno;
    int r = 0;
    for (size_t i = 0; r == 0 && i < c->n; i++)
        if (fprintf(f, "%s\t%s\n", c->entries[i].key, c->entries[i].value) < 0)
            r = -errno;
    if (fclose(f) != 0 && r == 0)
        r = -errno;
    if (r == 0 && rename(temporary, c->path) < 0)
        r = -errno;
    if (r < 0)
        unlink(temporary);
    return r;
}

static int save(struct pd_gpu_choices *c)
{
    if (!c->path || !c->changed)
        return 0;
    c->changed = false; /* also when it fails: the next try is when there is more to write */
    return write_file(c);
}

int pd_gpu_choices_save(struct pd_gpu_choices *c)
{
    if (!c)
        return 0;
    pthread_mutex_lock(&lock);
    int r = save(c);
    pthread_mutex_unlock(&lock);
    return r;
}

void pd_gpu_choices_close(struct pd_gpu_choices *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&lock);
    save(c);
    bool last = --c->refs == 0;
    struct pd_gpu_choices **at = &shared;
    while (last && *at && *at != c)
        at = &(*at)->next;
    if (last && *at)
        *at = c->next;
    pthread_mutex_unlock(&lock);
    if (!last)
        return;
    for (size_t i = 0; i < c->n; i++) {
        free(c->entries[i].key);
        free(c->entries[i].value);
    }
    free(c->entries);
    free(c->path);
    free(c);
}
