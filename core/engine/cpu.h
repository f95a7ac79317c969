#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * What synchronous engines have in common: the memory of a batch, and letterboxing its frames into it. The wrapper's
 * default for backends that give only forward(). Worker thread.
 */
#include "core/engine/engine.h"

/* Compute threads for @requested (0: as many as this process may use by affinity mask and CPU quota), at least 1. */
int pd_cpu_threads(int requested);

/* Call @fn(i, arg) for i = 0..n-1, each on an OpenMP thread of its own, and wait for all. Without OpenMP one by one. */
void pd_cpu_parallel(int n, void (*fn)(int i, void *arg), void *arg);

struct pd_cpu;
int pd_cpu_create(const struct pd_net *net, int max_batch, int threads, struct pd_cpu **ret_cpu);
void pd_cpu_destroy(struct pd_cpu *cpu);

int pd_cpu_batch_init(struct pd_cpu *cpu, struct pd_batch *batch, struct pd_err *err);
void pd_cpu_batch_finish(struct pd_cpu *cpu, struct pd_batch *batch);
/* Letterbox every slot, run @ops->forward, point the slots' maps at the results. */
int pd_cpu_batch_run(struct pd_cpu *cpu, const struct pd_engine_ops *ops, void *self, struct pd_batch *batch);
