/* SPDX-License-Identifier: Apache-2.0
 *
 * A text file of lines "key<TAB>value" for each device and cuDNN version: gpu-NVIDIA_H200-cuDNN_9.19.0.txt. What stands
 * there is a hint: a value that no longer names a candidate is measured again, so a damaged file costs time only.
 */
#include <ctype.h>
#include <errno.h>
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
    char *path; /* NULL: nothing is remembered */
    struct entry *entries; /* sorted by key */
    size_t n, cap;
    bool changed;
};

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

const char *pd_gpu_choices_get(const struct pd_gpu_choices *c, const char *key)
{
    size_t at;
    return c && find(c, key, &at) ? c->entries[at].value : NULL;
}

void pd_gpu_choices_put(struct pd_gpu_choices *c, const char *key, const char *value)
{
    size_t at;
    if (!c || c->n == ENTRIES_MAX)
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

static void read_file(struct pd_gpu_choices *c)
{
    FILE *f = fopen(c->path, "re");
    if (!f)
        return;
    char line[LINE_MAX_BYTES];
    while (c->n < ENTRIES_MAX && fgets(line, sizeof(line), f)) {
        char *tab = strchr(line, '\t'), *end = strchr(line, '\n');
        if (!tab || !end)
            continue;
        *tab = *end = 0;
        pd_gpu_choices_put(c, line, tab + 1);
    }
    fclose(f);
    c->changed = false;
}

struct pd_gpu_choices *pd_gpu_choices_open(const char *cache_dir, const char *device, const char *version)
{
    struct pd_gpu_choices *c = calloc(1, sizeof(*c));
    if (!c || !cache_dir || !*cache_dir)
        return c;
    if (asprintf(&c->path, "%s/gpu-%s-%s.txt", cache_dir, device, version) < 0) {
        c->path = NULL;
        return c;
    }
    for (char *p = c->path + strlen(cache_dir) + 1; *p; p++)
        if (!isalnum((unsigned char)*p) && *p != '.' && *p != '-')
            *p = '_';
    read_file(c);
    return c;
}

static void write_file(const struct pd_gpu_choices *c)
{
    PD_CLEANUP(pd_freep) char *temporary = NULL;
    if (asprintf(&temporary, "%s.%d", c->path, (int)getpid()) < 0)
        return;
    FILE *f = fopen(temporary, "we");
    if (!f)
        return;
    bool ok = true;
    for (size_t i = 0; i < c->n; i++)
        ok &= fprintf(f, "%s\t%s\n", c->entries[i].key, c->entries[i].value) > 0;
    ok &= fclose(f) == 0;
    if (!ok || rename(temporary, c->path) < 0)
        unlink(temporary);
}

void pd_gpu_choices_close(struct pd_gpu_choices *c)
{
    if (!c)
        return;
    if (c->path && c->changed)
        write_file(c);
    for (size_t i = 0; i < c->n; i++) {
        free(c->entries[i].key);
        free(c->entries[i].value);
    }
    free(c->entries);
    free(c->path);
    free(c);
}
