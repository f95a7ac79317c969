/* SPDX-License-Identifier: Apache-2.0 */
#include "core/engine/cpu.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"

#define THREADS_MAX 512

#ifdef _OPENMP
#include <omp.h>
#endif

/* The thread sanitizer does not see how GNU OpenMP starts and joins a team; these say it. */
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
static char team_began, team_ended;
#define TEAM_RELEASE(tag) __tsan_release(&(tag))
#define TEAM_ACQUIRE(tag) __tsan_acquire(&(tag))
#define TEAM_STARTER __attribute__((no_sanitize("thread"))) /* what the compiler itself hands to the team */
#else
#define TEAM_STARTER
#define TEAM_RELEASE(tag) ((void)0)
#define TEAM_ACQUIRE(tag) ((void)0)
#endif

struct pd_cpu {
    const struct pd_net *net;
    int max_batch;
    struct pd_shape *shapes; /* scratch for pd_net_shapes */
    int n_resamplers;        /* one a thread, so that frames of a batch are letterboxed side by side */
    struct pd_resampler *resampler[];
};

struct cpu_batch {
    int width, height; /* what the memory was taken for */
    struct pd_shape heat_shape, paf_shape;
    float *input, *heat, *paf; /* max_batch frames each */
};

/* Whole CPUs of the control group's quota, 0 when there is none. Version 2 of the hierarchy only: that is what systemd
 * sets CPUQuota= in. */
static int cgroup_quota(void)
{
    char line[256], path[512];
    FILE *f = fopen("/proc/self/cgroup", "re");
    if (!f)
        return 0;
    path[0] = 0;
    while (fgets(line, sizeof(line), f)) {
        if (strncmp(line, "0::", 3) != 0)
            continue;
        line[strcspn(line, "\n")] = 0;
        snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cpu.max", line + 3);
    }
    fclose(f);
    if (!path[0] || !(f = fopen(path, "re")))
        return 0;
    long quota = 0, period = 0;
    int n = fscanf(f, "%ld %ld", &quota, &period); /* "max 100000" matches nothing */
    fclose(f);
    if (n != 2 || quota <= 0 || period <= 0)
        return 0;
    return (int)PD_CLAMP((quota + period - 1) / period, 1, THREADS_MAX);
}

int pd_cpu_threads(int requested)
{
    if (requested > 0)
        return PD_MIN(requested, THREADS_MAX);
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
    int quota = cgroup_quota();
    if (quota > 0)
        n = PD_MIN(n, quota);
    return PD_CLAMP(n, 1, THREADS_MAX);
}

TEAM_STARTER void pd_cpu_parallel(int n, void (*fn)(int i, void *arg), void *arg)
{
#ifdef _OPENMP
    if (n > 1) {
        TEAM_RELEASE(team_began);
#pragma omp parallel num_threads(n)
        {
            TEAM_ACQUIRE(team_began);
            /* fewer threads than asked for, should there be no more, share what there is to do */
            for (int i = omp_get_thread_num(), step = omp_get_num_threads(); i < n; i += step)
                fn(i, arg);
            TEAM_RELEASE(team_ended);
        }
        TEAM_ACQUIRE(team_ended);
        return;
    }
#endif
    for (int i = 0; i < n; i++)
        fn(i, arg);
}

int pd_cpu_create(const struct pd_net *net, int max_batch, int threads, struct pd_cpu **ret_cpu)
{
    int n = PD_MIN(pd_cpu_threads(threads), max_batch);
    struct pd_cpu *cpu = calloc(1, sizeof(*cpu) + (size_t)n * sizeof(cpu->resampler[0]));
    if (!cpu)
        return -ENOMEM;
    cpu->net = net;
    cpu->max_batch = max_batch;
    cpu->shapes = calloc((size_t)net->n_tensors, sizeof(*cpu->shapes));
    if (!cpu->shapes)
        goto fail;
    for (int i = 0; i < n; i++) {
        cpu->resampler[i] = pd_resampler_create();
        if (!cpu->resampler[i])
            goto fail;
        cpu->n_resamplers++;
    }
    *ret_cpu = cpu;
    return 0;
fail:
    pd_cpu_destroy(cpu);
    return -ENOMEM;
}

void pd_cpu_destroy(struct pd_cpu *cpu)
{
    if (!cpu)
        return;
    for (int i = 0; i < cpu->n_resamplers; i++)
        pd_resampler_destroy(cpu->resampler[i]);
    free(cpu->shapes);
    free(cpu);
}

/* Bytes of @n frames of @s as floats; true when that does not fit. */
static bool frames_bytes(int n, struct pd_shape s, size_t *ret_bytes)
{
    size_t bytes = sizeof(float);
    bool overflow = pd_mul_overflows(bytes, (size_t)n, &bytes) || pd_mul_overflows(bytes, (size_t)s.c, &bytes) ||
                    pd_mul_overflows(bytes, (size_t)s.h, &bytes) || pd_mul_overflows(bytes, (size_t)s.w, &bytes);
    *ret_bytes = bytes;
    return overflow;
}

static void release_memory(struct cpu_batch *b)
{
    free(b->input);
    free(b->heat);
    free(b->paf);
    b->input = b->heat = b->paf = NULL;
    b->width = b->height = 0;
}

static int reserve(struct pd_cpu *cpu, struct cpu_batch *b, int width, int height, struct pd_err *err)
{
    if (b->width == width && b->height == height)
        return 0;
    const struct pd_net *net = cpu->net;
    int r = pd_net_shapes(net, height, width, cpu->shapes, err);
    if (r < 0)
        return r;
    release_memory(b);
    struct pd_shape none = {0};
    b->heat_shape = cpu->shapes[net->heat];
    b->paf_shape = net->paf >= 0 ? cpu->shapes[net->paf] : none;
    size_t input, heat, paf;
    if (frames_bytes(cpu->max_batch, (struct pd_shape){3, height, width}, &input) ||
        frames_bytes(cpu->max_batch, b->heat_shape, &heat) || frames_bytes(cpu->max_batch, b->paf_shape, &paf))
        return pd_err_set(err, -EINVAL, "an input of %dx%d is too large", width, height);
    b->input = pd_alloc_aligned(input);
    b->heat = pd_alloc_aligned(heat);
    b->paf = pd_alloc_aligned(paf);
    if (!b->input || !b->heat || !b->paf) {
        release_memory(b);
        return pd_err_set(err, -ENOMEM, "no memory for a batch of %d frames of %dx%d", cpu->max_batch, width, height);
    }
    b->width = width;
    b->height = height;
    return 0;
}

int pd_cpu_batch_init(struct pd_cpu *cpu, struct pd_batch *batch, struct pd_err *err)
{
    struct cpu_batch *b = calloc(1, sizeof(*b));
    if (!b)
        return pd_err_set(err, -ENOMEM, "out of memory");
    int r = reserve(cpu, b, batch->width, batch->height, err);
    if (r < 0) {
        free(b);
        return r;
    }
    batch->engine_private = b;
    return 0;
}

void pd_cpu_batch_finish(struct pd_cpu *cpu, struct pd_batch *batch)
{
    struct cpu_batch *b = batch->engine_private;
    if (!b)
        return;
    release_memory(b);
    free(b);
    batch->engine_private = NULL;
}

struct letterbox_work {
    struct pd_cpu *cpu;
    struct pd_batch *batch;
    float *input;
    int n_workers;
    int result[PD_BATCH_MAX];
};

/* Every n_workers-th frame from @worker on, with the worker's own resampler. */
static void letterbox_some(int worker, void *arg)
{
    struct letterbox_work *w = arg;
    size_t frame_floats = (size_t)3 * (size_t)w->batch->width * (size_t)w->batch->height;
    for (int i = worker; i < w->batch->n; i += w->n_workers) {
        struct pd_slot *slot = &w->batch->slot[i];
        w->result[i] = pd_letterbox_run(w->cpu->resampler[worker], &slot->lb, slot->frame, &w->cpu->net->meta.input,
                                        slot->mask, w->input + (size_t)i * frame_floats);
    }
}

/* Letterbox all frames of the batch; returns the first failing slot's code and its index. */
static int letterbox(struct pd_cpu *cpu, struct pd_batch *batch, float *input, int *ret_slot)
{
    struct letterbox_work w = {cpu, batch, input, PD_MIN(cpu->n_resamplers, batch->n), {0}};
    pd_cpu_parallel(w.n_workers, letterbox_some, &w);
    for (int i = 0; i < batch->n; i++) {
        if (w.result[i] < 0) {
            *ret_slot = i;
            return w.result[i];
        }
    }
    return 0;
}

int pd_cpu_batch_run(struct pd_cpu *cpu, const struct pd_engine_ops *ops, void *self, struct pd_batch *batch)
{
    struct cpu_batch *b = batch->engine_private;
    int r = reserve(cpu, b, batch->width, batch->height, &batch->err);
    if (r < 0)
        return r;
    int slot = 0;
    r = letterbox(cpu, batch, b->input, &slot);
    if (r < 0)
        return pd_err_set(&batch->err, r, "cannot letterbox frame %d of the batch: %s", slot, strerror(-r));
    batch->preprocessed_ns = pd_now_ns();
    r = ops->forward(self, batch->n, batch->width, batch->height, b->input, b->heat, b->paf, &batch->err);
    if (r < 0)
        return r;

    const struct pd_shape *hs = &b->heat_shape, *ps = &b->paf_shape;
    size_t heat_floats = (size_t)hs->c * (size_t)hs->h * (size_t)hs->w;
    size_t paf_floats = (size_t)ps->c * (size_t)ps->h * (size_t)ps->w;
    for (int i = 0; i < batch->n; i++) {
        batch->slot[i].maps = (struct pd_maps){
            .w = hs->w, .h = hs->h, .n_heat = hs->c, .n_paf = ps->c,
            .heat = b->heat + (size_t)i * heat_floats, .paf = b->paf + (size_t)i * paf_floats,
            .stride = (float)cpu->net->meta.stride, .offset = cpu->net->meta.offset,
        };
    }
    return 0;
}
