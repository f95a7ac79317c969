/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs of the network by itself, which the caller waits for: its time, its maps, the time of each layer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/engine/cudnn/engine_impl.h"

int pd_gpu_engine_time_network(void *self, int n, int width, int height, double *ret_ms, struct pd_err *err)
{
    struct pd_gpu_engine *e = self;
    struct pd_gpu_size *s;
    struct pd_gpu_plan *plan;
    struct pd_gpu_batch *b = NULL;
    float ms = 0;
    int r = pd_gpu_engine_get_ready(e, n, width, height, &s, &plan, err);
    if (r == 0)
        r = pd_gpu_batch_create(e->gpu, &b, err); /* for its events */
    if (r == 0)
        r = pd_gpu_check(cudaEventRecord(b->started, e->gpu->compute), "timing the network", err);
    if (r == 0)
        r = pd_gpu_plan_run(&s->net, plan, err);
    if (r == 0)
        r = pd_gpu_check(cudaEventRecord(b->computed, e->gpu->compute), "timing the network", err);
    if (r == 0)
        r = pd_gpu_check(cudaEventSynchronize(b->computed), "running the network", err);
    if (r == 0)
        r = pd_gpu_check(cudaEventElapsedTime(&ms, b->started, b->computed), "timing the network", err);
    pd_gpu_engine_note(e, r, err);
    pd_gpu_engine_drop_batch(e, b);
    *ret_ms = (double)ms;
    return r;
}

/* Input to the device, the graph, and the maps back; all waited for. */
int pd_gpu_engine_forward(void *self, int n, int width, int height, const float *input, float *heat, float *paf,
                          struct pd_err *err)
{
    struct pd_gpu_engine *e = self;
    struct pd_gpu_size *s;
    struct pd_gpu_plan *plan;
    struct pd_gpu_batch *b = NULL;
    float *device = NULL;
    const size_t bytes = (size_t)n * 3 * (size_t)height * (size_t)width * sizeof(float);
    int r = pd_gpu_engine_enter(e, err);
    if (r == 0)
        r = pd_gpu_sizes_get(&e->sizes, width, height, false, &s, err);
    if (r == 0)
        r = pd_gpu_sizes_plan(&e->sizes, s, n, &plan, err);
    if (r == 0)
        r = pd_gpu_batch_create(e->gpu, &b, err);
    if (r == 0)
        r = pd_gpu_engine_reserve_maps(e, s, b, true, err);
    if (r == 0)
        r = pd_gpu_alloc(e->gpu, bytes, (void **)&device, err);
    if (r == 0)
        r = pd_gpu_copy_in(e->gpu, device, input, bytes, "uploading the input", err);
    if (r == 0) {
        const struct pd_view in = pd_gpu_view(e->gpu, s->net.memory, e->net->input, n);
        r = pd_gpu_check(pd_cuda_from_nchw(e->gpu->elem, device, &in, e->gpu->compute), "preparing the input", err);
    }
    if (r == 0)
        r = pd_gpu_plan_run(&s->net, plan, err);
    if (r == 0)
        r = pd_gpu_engine_queue_results(e, s, b, NULL, n, err);
    if (r == 0)
        r = pd_gpu_check(cudaEventSynchronize(b->downloaded), "running the network", err);
    if (r == 0 && heat)
        memcpy(heat, b->host_heat, pd_gpu_size_floats(s, e->net->heat) * (size_t)n * sizeof(float));
    if (r == 0 && paf && e->net->paf >= 0)
        memcpy(paf, b->host_paf, pd_gpu_size_floats(s, e->net->paf) * (size_t)n * sizeof(float));
    if (pd_gpu_engine_note(e, r, err) != -ENODEV)
        pd_gpu_free(e->gpu, device, bytes);
    pd_gpu_engine_drop_batch(e, b);
    return r;
}

static int by_layer(const void *a, const void *b)
{
    return ((const struct pd_layer_time *)a)->layer - ((const struct pd_layer_time *)b)->layer;
}

int pd_gpu_engine_profile(void *self, int n, int width, int height, int repeats, struct pd_layer_time *times,
                          struct pd_err *err)
{
    struct pd_gpu_engine *e = self;
    struct pd_gpu_size *s;
    struct pd_gpu_plan *plan;
    int r = pd_gpu_engine_get_ready(e, n, width, height, &s, &plan, err), found = 0;
    for (int i = 0; r == 0 && i < plan->n_steps; i++) {
        const struct pd_gpu_step *step = &plan->steps[i];
        float ms;
        if (step->method == PD_GPU_NOTHING)
            continue;
        r = pd_gpu_step_time(&s->net, step, plan->n, repeats, &ms);
        if (r < 0) { /* what cannot be timed is told apart from a device that is lost */
            r = pd_gpu_engine_note(e, pd_gpu_check(cudaStreamSynchronize(e->gpu->compute), "timing a layer", err), err);
            return r < 0 ? r
                         : pd_err_set(err, -EIO, "timing layer '%s' failed", e->net->layers[step->layer[0]].name);
        }
        times[found].layer = step->layer[0];
        times[found].with = step->n_layers > 1 ? step->layer[1] + 1 : 0;
        times[found].ms = (double)ms;
        snprintf(times[found].algorithm, sizeof(times[found].algorithm), "%s", step->algorithm);
        found++;
    }
    qsort(times, (size_t)found, sizeof(*times), by_layer);
    return r < 0 ? r : found;
}
