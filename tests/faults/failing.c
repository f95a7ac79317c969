/* SPDX-License-Identifier: Apache-2.0
 *
 * Linked into posed-faulty with --wrap: every allocation that the project's own code asks for comes here, those of
 * the libraries beside it do not.
 *   POSED_FAIL_ALLOC=N    the Nth fails
 *   POSED_FAIL_RUN=K      and the K - 1 after it (default 1)
 *   POSED_FAIL_LIBS=NAMES those of these libraries are counted and fail instead: "libavutil libjansson"
 *   POSED_FAIL_COUNT=FILE at a normal exit, how many there were and the descriptors that are open beyond those of the
 *                         start are written there
 */
#include "tests/faults/failing.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_posix_memalign(void **p, size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t n);
int __wrap_asprintf(char **text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static long first, last; /* which fail; 0: none */
static bool libs;        /* those of libraries are meant */
static int descriptors;  /* open at the start */
static _Atomic long count;

static int open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}

static void write_count(void)
{
    int now = open_descriptors();
    FILE *f = fopen(getenv("POSED_FAIL_COUNT"), "w");
    if (!f)
        return;
    fprintf(f, "%ld %d\n", atomic_load(&count), now - descriptors);
    fclose(f);
}

__attribute__((constructor)) static void set_up(void)
{
    const char *at = getenv("POSED_FAIL_ALLOC"), *run = getenv("POSED_FAIL_RUN"), *names = getenv("POSED_FAIL_LIBS");
    first = at ? atol(at) : 0;
    last = first + (run ? atol(run) : 1) - 1;
    if (names && !failing_catch(names)) {
        fprintf(stderr, "posed-faulty: no library of '%s' is there\n", names);
        exit(99);
    }
    libs = names;
    descriptors = open_descriptors();
    if (getenv("POSED_FAIL_COUNT"))
        atexit(write_count);
}

bool failing_now(bool lib)
{
    if (lib != libs)
        return false;
    long n = atomic_fetch_add(&count, 1) + 1;
    if (!first || n < first || n > last)
        return false;
    errno = ENOMEM;
    return true;
}

static bool fails(void)
{
    return failing_now(false);
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
