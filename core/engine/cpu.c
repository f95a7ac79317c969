/* SPDX-License-Identifier: Apache-2.0 */
#include "core/engine/cpu.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"

#define THREADS_MAX 512

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

/* Letterbox all frames of the batch; returns the first failing slot's code and its index. */
static int letterbox(struct pd_cpu *cpu, struct pd_batch *batch, float *input, int *ret_slot)
{
    size_t frame_floats = (size_t)3 * (size_t)batch->width * (size_t)batch->height;
    const struct pd_normalise *norm = &cpu->net->meta.input;
    int n_workers = PD_MIN(cpu->n_resamplers, batch->n);
    int result[PD_BATCH_MAX];
#pragma omp parallel for num_threads(n_workers) schedule(static, 1) if (n_workers > 1)
    for (int k = 0; k < n_workers; k++)
        for (int i = k; i < batch->n; i += n_workers) {
            struct pd_slot *slot = &batch->slot[i];
            result[i] = pd_letterbox_run(cpu->resampler[k], &slot->lb, slot->frame, norm, slot->mask,
                                         input + (size_t)i * frame_floats);
        }
    for (int i = 0; i < batch->n; i++) {
        if (result[i] < 0) {
            *ret_slot = i;
            return result[i];
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
