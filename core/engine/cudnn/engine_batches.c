/* SPDX-License-Identifier: Apache-2.0
 *
 * A batch's way over the device: its memory, what is queued for it, and where its results will be.
 */
#include "core/engine/cudnn/engine_impl.h"

/* ---- results ---- */

static int copy_map(struct pd_gpu_engine *e, const struct pd_gpu_size *s, int tensor, int n, float *device,
                    struct pd_err *err)
{
    const struct pd_view v = pd_gpu_view(e->gpu, s->net.memory, tensor, n);
    return pd_gpu_check(pd_cuda_to_nchw(e->gpu->elem, &v, device, e->gpu->compute), "reading the maps", err);
}

/* Queue the network's outputs into the batch's own memory, where the download stream may read them while the next
 * batch's network runs. */
static int queue_outputs(struct pd_gpu_engine *e, const struct pd_gpu_size *s, struct pd_gpu_batch *b, int n,
                         struct pd_err *err)
{
    int r = copy_map(e, s, e->net->heat, n, b->heat, err);
    if (r == 0 && e->net->paf >= 0)
        r = copy_map(e, s, e->net->paf, n, b->paf, err);
    if (r == 0)
        r = pd_gpu_check(cudaEventRecord(b->computed, e->gpu->compute), "reading the maps", err);
    if (r == 0)
        r = pd_gpu_check(cudaStreamWaitEvent(e->gpu->download, b->computed, 0), "reading the maps", err);
    return r;
}

static int queue_download(struct pd_gpu_engine *e, const struct pd_gpu_size *s, struct pd_gpu_batch *b, int n,
                          struct pd_err *err)
{
    const size_t heat = pd_gpu_size_floats(s, e->net->heat) * (size_t)n * sizeof(float);
    const size_t paf = e->net->paf < 0 ? 0 : pd_gpu_size_floats(s, e->net->paf) * (size_t)n * sizeof(float);
    int r = pd_gpu_check(cudaMemcpyAsync(b->host_heat, b->heat, heat, cudaMemcpyDeviceToHost, e->gpu->download),
                         "downloading the maps", err);
    if (r == 0 && paf)
        r = pd_gpu_check(cudaMemcpyAsync(b->host_paf, b->paf, paf, cudaMemcpyDeviceToHost, e->gpu->download),
                         "downloading the maps", err);
    return r;
}

static int queue_search(struct pd_gpu_engine *e, const struct pd_gpu_size *s, struct pd_gpu_batch *b,
                        const struct pd_batch *batch, struct pd_err *err)
{
    const struct pd_shape *heat = &s->net.memory->shapes[e->net->heat];
    return pd_gpu_find_run(e->find, b, batch, heat->c, s->net.memory->shapes[e->net->paf].c, heat->w, heat->h, err);
}

int pd_gpu_engine_queue_results(struct pd_gpu_engine *e, const struct pd_gpu_size *s, struct pd_gpu_batch *b,
                                const struct pd_batch *batch, int n, struct pd_err *err)
{
    int r = queue_outputs(e, s, b, n, err);
    if (r == 0 && batch && e->find)
        r = queue_search(e, s, b, batch, err);
    if (r == 0 && (!batch || e->maps))
        r = queue_download(e, s, b, n, err);
    if (r == 0)
        r = pd_gpu_check(cudaEventRecord(b->downloaded, e->gpu->download), "downloading the results", err);
    return r;
}

int pd_gpu_engine_reserve_maps(struct pd_gpu_engine *e, const struct pd_gpu_size *s, struct pd_gpu_batch *b,
                               bool host_maps, struct pd_err *err)
{
    const size_t per = (size_t)e->sizes.max_batch * sizeof(float);
    return pd_gpu_batch_reserve(b, pd_gpu_size_floats(s, e->net->heat) * per,
                                e->net->paf < 0 ? 0 : pd_gpu_size_floats(s, e->net->paf) * per, host_maps, err);
}

static int reserve_results(struct pd_gpu_engine *e, const struct pd_gpu_size *s, struct pd_gpu_batch *b,
                           struct pd_err *err)
{
    const struct pd_shape *heat = &s->net.memory->shapes[e->net->heat];
    int r = pd_gpu_engine_reserve_maps(e, s, b, e->maps, err);
    if (r == 0 && e->find)
        r = pd_gpu_batch_reserve_candidates(b, e->sizes.max_batch, err);
    if (r == 0 && e->find)
        r = pd_gpu_find_reserve(e->find, heat->w, heat->h, err);
    return r;
}

static void set_results(const struct pd_gpu_engine *e, const struct pd_gpu_size *s, const struct pd_gpu_batch *b,
                        struct pd_batch *batch)
{
    const struct pd_shape *heat = &s->net.memory->shapes[e->net->heat];
    for (int i = 0; i < batch->n; i++)
        batch->slot[i].candidates = e->find ? b->candidates + i : NULL;
    for (int i = 0; e->maps && i < batch->n; i++)
        batch->slot[i].maps = (struct pd_maps){
            .w = heat->w,
            .h = heat->h,
            .n_heat = heat->c,
            .n_paf = e->net->paf < 0 ? 0 : s->net.memory->shapes[e->net->paf].c,
            .heat = b->host_heat + pd_gpu_size_floats(s, e->net->heat) * (size_t)i,
            .paf = e->net->paf < 0 ? NULL : b->host_paf + pd_gpu_size_floats(s, e->net->paf) * (size_t)i,
            .stride = (float)e->net->meta.stride,
            .offset = e->net->meta.offset,
        };
}

/* ---- batches ---- */

int pd_gpu_engine_batch_init(void *self, struct pd_batch *batch, struct pd_err *err)
{
    struct pd_gpu_engine *e = self;
    struct pd_gpu_batch *b;
    struct pd_gpu_size *s;
    int r = pd_gpu_engine_enter(e, err);
    if (r == 0)
        r = pd_gpu_sizes_get(&e->sizes, batch->width, batch->height, false, &s, err);
    if (r == 0)
        r = pd_gpu_batch_create(e->gpu, &b, err);
    if (r < 0)
        return pd_gpu_engine_note(e, r, err);
    /* now: it stops the device, where other batches may be under way later */
    r = pd_gpu_engine_note(e, reserve_results(e, s, b, err), err);
    if (r < 0)
        pd_gpu_engine_drop_batch(e, b);
    else
        batch->engine_private = b;
    return r;
}

void pd_gpu_engine_batch_finish(void *self, struct pd_batch *batch)
{
    struct pd_gpu_engine *e = self;
    if (pd_gpu_engine_enter(e, NULL) == 0)
        pd_gpu_batch_destroy(batch->engine_private);
    batch->engine_private = NULL;
}

int pd_gpu_engine_queue_batch(struct pd_gpu_engine *e, struct pd_batch *batch, struct pd_err *err)
{
    struct pd_gpu_batch *b = batch->engine_private;
    struct pd_gpu_size *s;
    struct pd_gpu_plan *plan;
    int r = pd_gpu_engine_enter(e, err);
    if (r == 0)
        r = pd_gpu_sizes_get(&e->sizes, batch->width, batch->height, false, &s, err);
    if (r == 0)
        r = pd_gpu_sizes_plan(&e->sizes, s, batch->n, &plan, err);
    if (r == 0)
        r = reserve_results(e, s, b, err);
    if (r < 0)
        return r;
    const struct pd_view input = pd_gpu_view(e->gpu, s->net.memory, e->net->input, plan->n);
    r = pd_gpu_batch_preprocess(b, batch, &e->net->meta.input, &input, err);
    if (r == 0)
        r = pd_gpu_plan_run(&s->net, plan, err);
    if (r == 0)
        r = pd_gpu_engine_queue_results(e, s, b, batch, batch->n, err);
    if (r == 0)
        set_results(e, s, b, batch);
    return r;
}
