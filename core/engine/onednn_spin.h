#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Make the waits between @threads OpenMP threads short, for the whole process and for good. Only speed depends on it.
 * */
void pd_dnn_shorten_spins(int threads);
