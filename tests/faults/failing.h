#pragma once
/* SPDX-License-Identifier: Apache-2.0 - which allocations of posed-faulty fail; see failing.c. */
#include <stdbool.h>

#define FAILING_LIBRARY_CRASHED 98 /* exit code: FFmpeg did, in its own code */

/* Whether this call fails, errno then says so. @lib: a library's, else the project's own. */
bool failing_now(bool lib);
/* Sends allocations of the loaded libraries whose names begin with one of @names (a space between two) to
 * failing_now(true). False: none of them allocates. */
bool failing_catch(const char *names);
