#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine's search for peaks and limbs: the scratch memory that all batches share, as they are searched one after
 * the other on the download stream, beside the network of the next batch.
 */
#include "core/engine/cudnn/gpu_batch.h"

struct pd_gpu_find;

/* Whether @net has what a search needs: a skeleton with limbs, and all their maps. */
bool pd_gpu_find_fits(const struct pd_net *net);
int pd_gpu_find_create(struct pd_gpu *gpu, const struct pd_net *net, int max_batch, struct pd_gpu_find **ret_find,
                       struct pd_err *err);
void pd_gpu_find_destroy(struct pd_gpu_find *find);
/* Scratch for maps of @w x @h; waits for searches under way when it must grow. */
int pd_gpu_find_reserve(struct pd_gpu_find *find, int w, int h, struct pd_err *err);
/* Queue the search of the batch's maps in b->heat and b->paf, @n_heat and @n_paf maps of @w x @h a frame. The result is
 * in b->candidates once the download stream is past it. */
int pd_gpu_find_run(struct pd_gpu_find *find, struct pd_gpu_batch *b, const struct pd_batch *batch, int n_heat,
                    int n_paf, int w, int h, struct pd_err *err);
