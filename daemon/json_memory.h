#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether jansson ran out of memory. It does not always say so: json_loadb() of 2.14 leaves a byte of a string out and
 * goes on, so that a path would be another one; json_array_append_new() says it to nobody where its result is unused.
 */
#include <stdbool.h>

/* Begin: from now on pd_json_starved() tells of this thread. Before the first use of jansson, too. */
void pd_json_watch(void);
/* Whether an allocation of jansson has failed on this thread since the last call of either. */
bool pd_json_starved(void);
