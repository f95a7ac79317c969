#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Calls @work(context, i) once for every 0 <= i < n, on @threads threads, and returns when all are done. The order is
 * anybody's guess, so @work may touch only what belongs to its i. A thread that cannot be started is done without. */
void parallel_for(int threads, int n, void (*work)(void *context, int i), void *context);
