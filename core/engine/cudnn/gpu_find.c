/* SPDX-License-Identifier: Apache-2.0 */
#include "core/engine/cudnn/gpu_find.h"

#include <errno.h>
#include <string.h>

#include "core/pose_rules.h"

_Static_assert(PD_FINDER_FRAMES == PD_BATCH_MAX, "a whole batch is searched at once");

struct pd_gpu_find {
    struct pd_gpu *gpu;
    int max_batch;
    struct pd_finder finder; /* without what changes from batch to batch */
    size_t maxima_bytes, pairs_bytes, work_bytes, capped_bytes;
};

bool pd_gpu_find_fits(const struct pd_net *net)
{
    const struct pd_skeleton *s = net->meta.skeleton;
    if (!s || s->n_limbs < 1 || net->paf < 0 || net->tensors[net->heat].channels < s->n_keypoints)
        return false;
    for (int l = 0; l < s->n_limbs; l++) {
        const struct pd_limb *limb = &net->meta.limbs[l];
        if (limb->paf_x >= net->tensors[net->paf].channels || limb->paf_y >= net->tensors[net->paf].channels)
            return false;
    }
    return true;
}

/* Two limbs for each multiprocessor are matched at a time; with less memory fewer. */
static int take_pairs(struct pd_gpu_find *f, struct pd_err *err)
{
    const size_t each = sizeof(pd_key) * PD_PAIRS_MAX;
    int r = -ENOMEM;
    for (int n = PD_MIN(2 * f->gpu->sms, f->max_batch * f->finder.n_limbs); n >= 1 && r == -ENOMEM; n /= 2) {
        r = pd_gpu_alloc(f->gpu, each * (size_t)n, (void **)&f->finder.pairs, err);
        f->finder.n_pair_blocks = n;
        f->pairs_bytes = each * (size_t)n;
    }
    return r;
}

int pd_gpu_find_create(struct pd_gpu *gpu, const struct pd_net *net, int max_batch, struct pd_gpu_find **ret_find,
                       struct pd_err *err)
{
    struct pd_gpu_find *f = calloc(1, sizeof(*f));
    if (!f)
        return pd_err_set(err, -ENOMEM, "out of memory");
    f->gpu = gpu;
    f->max_batch = max_batch;
    f->finder.n_keypoints = net->meta.skeleton->n_keypoints;
    f->finder.n_limbs = net->meta.skeleton->n_limbs;
    memcpy(f->finder.limbs, net->meta.limbs, sizeof(f->finder.limbs));
    f->finder.stride = (float)net->meta.stride;
    f->finder.offset = net->meta.offset;
    f->work_bytes = sizeof(struct pd_candidates) * (size_t)max_batch;
    f->capped_bytes = sizeof(int) * PD_KEYPOINTS_MAX * (size_t)max_batch;
    int r = pd_gpu_alloc(gpu, f->work_bytes, (void **)&f->finder.work, err);
    if (r == 0)
        r = pd_gpu_alloc(gpu, f->capped_bytes, (void **)&f->finder.capped, err);
    if (r == 0)
        r = take_pairs(f, err);
    if (r < 0) {
        pd_gpu_find_destroy(f);
        return r;
    }
    *ret_find = f;
    return 0;
}

void pd_gpu_find_destroy(struct pd_gpu_find *f)
{
    if (!f)
        return;
    pd_gpu_free(f->gpu, f->finder.maxima, f->maxima_bytes);
    pd_gpu_free(f->gpu, f->finder.pairs, f->pairs_bytes);
    pd_gpu_free(f->gpu, f->finder.work, f->work_bytes);
    pd_gpu_free(f->gpu, f->finder.capped, f->capped_bytes);
    free(f);
}

int pd_gpu_find_reserve(struct pd_gpu_find *f, int w, int h, struct pd_err *err)
{
    const size_t bytes = sizeof(pd_key) * pd_maxima_max(w, h) * (size_t)f->finder.n_keypoints * (size_t)f->max_batch;
    if (bytes <= f->maxima_bytes)
        return 0;
    int r = pd_gpu_check(cudaStreamSynchronize(f->gpu->download), "waiting for the device", err);
    if (r < 0)
        return r;
    pd_gpu_free(f->gpu, f->finder.maxima, f->maxima_bytes);
    f->finder.maxima = NULL;
    f->maxima_bytes = 0;
    r = pd_gpu_alloc(f->gpu, bytes, (void **)&f->finder.maxima, err);
    if (r == 0)
        f->maxima_bytes = bytes;
    return r;
}

int pd_gpu_find_run(struct pd_gpu_find *f, struct pd_gpu_batch *b, const struct pd_batch *batch, int n_heat, int n_paf,
                    int w, int h, struct pd_err *err)
{
    struct pd_finder finder = f->finder;
    finder.heat = b->heat;
    finder.paf = b->paf;
    finder.n = batch->n;
    finder.n_heat = n_heat;
    finder.n_paf = n_paf;
    finder.w = w;
    finder.h = h;
    finder.out = b->device_candidates;
    for (int i = 0; i < batch->n; i++)
        finder.params[i] = batch->slot[i].find;
    return pd_gpu_check(pd_cuda_find(&finder, f->gpu->download), "finding peaks and limbs", err);
}
