/* SPDX-License-Identifier: Apache-2.0
 *
 * Linked into posed-faulty with --wrap: every allocation that the project's own code asks for comes here, those of
 * the libraries beside it do not.
 *   POSED_FAIL_ALLOC=N    the Nth fails
 *   POSED_FAIL_RUN=K      and the K - 1 after it (default 1)
 *   POSED_FAIL_COUNT=FILE at a normal exit, how many there were is written there
 */
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **p, size_t alignment, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t n);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_posix_memalign(void **p, size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t n);
int __wrap_asprintf(char **text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static long first, last; /* which fail; 0: none */
static _Atomic long count;

static void write_count(void)
{
    FILE *f = fopen(getenv("POSED_FAIL_COUNT"), "w");
    if (!f)
        return;
    fprintf(f, "%ld\n", atomic_load(&count));
    fclose(f);
}

__attribute__((constructor)) static void set_up(void)
{
    const char *at = getenv("POSED_FAIL_ALLOC"), *run = getenv("POSED_FAIL_RUN");
    first = at ? atol(at) : 0;
    last = first + (run ? atol(run) : 1) - 1;
    if (getenv("POSED_FAIL_COUNT"))
        atexit(write_count);
}

static bool fails(void)
{
    long n = atomic_fetch_add(&count, 1) + 1;
    if (!first || n < first || n > last)
        return false;
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    return fails() ? NULL : __real_realloc(p, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : __real_aligned_alloc(alignment, size);
}

int __wrap_posix_memalign(void **p, size_t alignment, size_t size)
{
    return fails() ? ENOMEM : __real_posix_memalign(p, alignment, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t n)
{
    return fails() ? NULL : __real_strndup(text, n);
}

int __wrap_asprintf(char **text, const char *fmt, ...)
{
    if (fails()) {
        *text = NULL;
        return -1;
    }
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(text, fmt, ap);
    va_end(ap);
    return n;
}
