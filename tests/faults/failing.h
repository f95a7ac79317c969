#pragma once
/* SPDX-License-Identifier: Apache-2.0 - which allocations of posed-faulty fail; see failing.c. */
#include <stdbool.h>
#include <stddef.h>

/* What --wrap, which posed-faulty is linked with, calls the real ones: their own names lead to failing.c. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **p, size_t alignment, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t n);

#define FAILING_LIBRARY_CRASHED 98 /* exit code: FFmpeg did, in its own code */

/* Whether this call fails, errno then says so. @lib: a library's, else the project's own. */
bool failing_now(bool lib);
/* Sends allocations of the loaded libraries whose names begin with one of @names (a space between two) to
 * failing_now(true). False: none of them allocates. */
bool failing_catch(const char *names);
