/* SPDX-License-Identifier: Apache-2.0 */
#include "core/engine/cudnn/gpu_size.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const int plan_sizes[PD_GPU_PLANS_MAX] = {1, 2, 4, 8, 16, 24, 32};

size_t pd_gpu_size_floats(const struct pd_gpu_size *s, int tensor)
{
    const struct pd_shape *m = &s->net.memory->shapes[tensor];
    return (size_t)m->c * (size_t)m->h * (size_t)m->w;
}

static void destroy_size(struct pd_gpu_sizes *z, struct pd_gpu_size *s)
{
    if (!s)
        return;
    for (int i = 0; i < PD_GPU_PLANS_MAX; i++)
        pd_gpu_plan_destroy(s->plans[i]);
    pd_gpu_memory_destroy(z->gpu, s->net.memory);
    free(s);
}

static int create_size(struct pd_gpu_sizes *z, int width, int height, int max_batch, struct pd_gpu_size **ret,
                       struct pd_err *err)
{
    struct pd_gpu_size *s = calloc(1, sizeof(*s));
    if (!s)
        return pd_err_set(err, -ENOMEM, "out of memory");
    s->net = (struct pd_gpu_net){.gpu = z->gpu, .net = z->net, .weights = z->weights};
    int r = pd_gpu_memory_create(z->gpu, z->net, width, height, max_batch, &s->net.memory, err);
    if (r == 0) /* candidates are timed on what lies here */
        r = pd_gpu_check(pd_cuda_fill_random(z->gpu->elem, s->net.memory->arena,
                                             s->net.memory->arena_bytes / z->gpu->elem_bytes, 1, z->gpu->compute),
                         "preparing the network's memory", err);
    if (r < 0) {
        destroy_size(z, s);
        return r;
    }
    *ret = s;
    return 0;
}

int pd_gpu_sizes_get(struct pd_gpu_sizes *z, int width, int height, bool expected, struct pd_gpu_size **ret,
                     struct pd_err *err)
{
    int victim = 0;
    for (int i = 0; i < PD_GPU_SIZES_MAX; i++) {
        struct pd_gpu_size *s = z->sizes[i];
        if (s && s->net.memory->width == width && s->net.memory->height == height) {
            s->used = ++z->clock;
            s->net.guess &= !expected;
            *ret = s;
            return 0;
        }
        if (!s || (z->sizes[victim] && s->used < z->sizes[victim]->used))
            victim = i;
    }
    /* batches under way still use the one that goes */
    int r = pd_gpu_check(cudaStreamSynchronize(z->gpu->compute), "waiting for the device", err);
    if (r < 0)
        return r;
    destroy_size(z, z->sizes[victim]);
    z->sizes[victim] = NULL;
    r = create_size(z, width, height, z->max_batch, &z->sizes[victim], err);
    if (r < 0)
        return r;
    z->sizes[victim]->used = ++z->clock;
    z->sizes[victim]->net.guess = !expected;
    *ret = z->sizes[victim];
    return 0;
}

/* A larger workspace moved: graphs that know the old one are captured again, all of them, as one that is not must not
 * run; @fresh knows the new one. A plan of which that fails has no graph until its turn comes. */
static int capture_again(struct pd_gpu_sizes *z, const struct pd_gpu_plan *fresh, struct pd_err *err)
{
    int r = 0;
    for (int i = 0; i < PD_GPU_SIZES_MAX; i++)
        for (int k = 0; z->sizes[i] && k < PD_GPU_PLANS_MAX; k++)
            if (z->sizes[i]->plans[k] && z->sizes[i]->plans[k] != fresh) {
                int one = pd_gpu_plan_capture(&z->sizes[i]->net, z->sizes[i]->plans[k], err);
                r = r < 0 ? r : one;
            }
    return r;
}

static size_t plan_workspace(const struct pd_gpu_plan *plan)
{
    size_t bytes = 0;
    for (int i = 0; plan && i < plan->n_steps; i++)
        bytes = PD_MAX(bytes, pd_gpu_step_workspace(&plan->steps[i]));
    return bytes;
}

/* In fp32 the scratch of candidates that were tried is large; what no plan needs goes back. */
static void trim_workspace(struct pd_gpu_sizes *z, const struct pd_gpu_plan *fresh)
{
    size_t bytes = plan_workspace(fresh);
    if (z->gpu->math != PD_CUDNN_FP32)
        return;
    for (int i = 0; i < PD_GPU_SIZES_MAX; i++)
        for (int k = 0; z->sizes[i] && k < PD_GPU_PLANS_MAX; k++)
            bytes = PD_MAX(bytes, plan_workspace(z->sizes[i]->plans[k]));
    pd_gpu_trim_workspace(z->gpu, bytes);
}

static int make_plan(struct pd_gpu_sizes *z, struct pd_gpu_size *s, int i, struct pd_err *err)
{
    const void *workspace = z->gpu->workspace;
    struct pd_gpu_plan *p = NULL;
    /* a batch that is not a plan's size, on a device that only had memory for that: a plan of its own */
    int r = pd_gpu_plan_create(&s->net, PD_MIN(plan_sizes[i], s->net.memory->max_batch), &p, err);
    trim_workspace(z, r == 0 ? p : NULL);
    if (r == 0)
        r = pd_gpu_plan_capture(&s->net, p, err);
    int again = 0;
    if (z->gpu->workspace != workspace) /* also when it came to nothing */
        again = capture_again(z, p, r < 0 ? NULL : err);
    if (r < 0) {
        pd_gpu_plan_destroy(p);
        return r;
    }
    s->plans[i] = p; /* whatever became of the others: finding its kernels took long */
    return again;
}

int pd_gpu_sizes_plan(struct pd_gpu_sizes *z, struct pd_gpu_size *s, int n, struct pd_gpu_plan **ret,
                      struct pd_err *err)
{
    int i = 0;
    while (i < PD_GPU_PLANS_MAX - 1 && plan_sizes[i] < n)
        i++;
    int r = 0;
    if (!s->plans[i])
        r = make_plan(z, s, i, err);
    else if (!s->plans[i]->graph)
        r = pd_gpu_plan_capture(&s->net, s->plans[i], err);
    *ret = s->plans[i];
    return r;
}

/* What batches of @n take beside the network's own memory, with frames that software decoded and sizes as large as
 * common: their planes and maps for each in flight, the layers' weights in a few layouts, cuDNN's scratch. */
static size_t memory_beside(const struct pd_gpu_sizes *z, const struct pd_gpu_size *s, int n)
{
    const size_t frame = (size_t)1920 * 1080 * 3 / 2, scratch = (size_t)64 << 20, layouts = 3;
    size_t weights = 0, maps = pd_gpu_size_floats(s, z->net->heat) * sizeof(float);
    for (int i = 0; i < z->net->n_layers; i++)
        weights += z->net->layers[i].n_weight * z->gpu->elem_bytes;
    if (z->net->paf >= 0)
        maps += pd_gpu_size_floats(s, z->net->paf) * sizeof(float);
    return PD_GPU_FLIGHTS_MAX * (size_t)n * (frame + maps) + layouts * weights + scratch;
}

/* Memory for batches of @n, and enough left for what comes later: then is too late to take less. */
static int take_size(struct pd_gpu_sizes *z, int width, int height, int n, struct pd_err *err)
{
    size_t left = 0, total = 0;
    int r = create_size(z, width, height, n, &z->sizes[0], err);
    if (r < 0)
        return r;
    r = pd_gpu_check(cudaMemGetInfo(&left, &total), "asking for free memory", err);
    const size_t beside = memory_beside(z, z->sizes[0], n);
    if (r == 0 && n > 1 && left < beside)
        r = pd_err_set(err, -ENOMEM, "%s has %zu of %zu MiB left, batches of %d take %zu more", z->gpu->name,
                       left >> 20, total >> 20, n, beside >> 20);
    if (r < 0) {
        destroy_size(z, z->sizes[0]);
        z->sizes[0] = NULL;
    }
    return r;
}

int pd_gpu_sizes_take(struct pd_gpu_sizes *z, const struct pd_gpu_host *host, int width, int height, int max_batch,
                      struct pd_err *err)
{
    int r = -ENOMEM;
    for (int n = max_batch; n >= 1 && r == -ENOMEM; n /= 2) {
        z->max_batch = n;
        r = take_size(z, width, height, n, err);
        if (r == -ENOMEM) {
            char line[700];
            snprintf(line, sizeof(line), "%s; trying batches of %d instead of %d", err ? err->text : "no memory", n / 2,
                     n);
            if (n > 1)
                host->info(line);
        }
    }
    return r;
}

void pd_gpu_sizes_finish(struct pd_gpu_sizes *z)
{
    for (int i = 0; i < PD_GPU_SIZES_MAX; i++)
        destroy_size(z, z->sizes[i]);
}
