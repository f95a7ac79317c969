/* SPDX-License-Identifier: Apache-2.0
 *
 * The CPU engine on oneDNN: plans by input size, and how a batch is spread over the threads.
 *
 * A batch goes through the network frame by frame: a plan for n frames saves nothing, because one frame of a pose
 * network is enough work for all cores in every layer, and needs n times the activations in cache. With at least as
 * many frames as threads, every thread takes whole frames of its own instead, which spares them waiting for each other
 * at the end of each layer.
 *
 * All entries run on the wrapper's worker thread, so that the OpenMP team is always the same one.
 */
#include <errno.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/engine/cpu.h"
#include "core/engine/onednn_plan.h"
#include "core/engine/onednn_spin.h"

#define SIZES_MAX 4 /* input sizes kept; the one used longest ago goes */

struct sized {
    int width, height; /* 0: free */
    uint64_t used;
    struct pd_dnn_plan *wide;   /* all threads on one frame */
    struct pd_dnn_plan *narrow; /* one thread a frame; NULL until needed */
    struct pd_dnn_instance *wide_instance;
    struct pd_dnn_instance **narrow_instances; /* one a thread */
};

struct onednn {
    const struct pd_net *net;
    struct pd_dnn dnn;
    struct pd_dnn_weights *weights;
    int threads;
    dnnl_data_type_t type;
    uint64_t clock;
    struct sized sizes[SIZES_MAX];
};

/* ---- sizes ---- */

static void forget_size(struct onednn *e, struct sized *s)
{
    pd_dnn_instance_destroy(s->wide_instance);
    for (int i = 0; s->narrow_instances && i < e->threads; i++)
        pd_dnn_instance_destroy(s->narrow_instances[i]);
    free(s->narrow_instances);
    pd_dnn_plan_destroy(s->wide);
    pd_dnn_plan_destroy(s->narrow);
    memset(s, 0, sizeof(*s));
}

static int make_wide(struct onednn *e, struct sized *s, struct pd_err *err)
{
    omp_set_num_threads(e->threads);
    int r = pd_dnn_plan_create(&e->dnn, e->net, e->weights, s->width, s->height, e->type, &s->wide, err);
    return r < 0 ? r : pd_dnn_instance_create(s->wide, &s->wide_instance, err);
}

static int make_narrow(struct onednn *e, struct sized *s, struct pd_err *err)
{
    s->narrow_instances = calloc((size_t)e->threads, sizeof(*s->narrow_instances));
    if (!s->narrow_instances)
        return pd_err_set(err, -ENOMEM, "out of memory");
    omp_set_num_threads(1); /* primitives divide their work for as many threads as there are when they are made */
    int r = pd_dnn_plan_create(&e->dnn, e->net, e->weights, s->width, s->height, e->type, &s->narrow, err);
    omp_set_num_threads(e->threads);
    for (int i = 0; r == 0 && i < e->threads; i++)
        r = pd_dnn_instance_create(s->narrow, &s->narrow_instances[i], err);
    return r;
}

/* Whether @n more frames are spread one a thread: when that leaves less than half of the threads idle. */
static bool goes_narrow(const struct onednn *e, int n)
{
    return e->threads > 1 && n > 1 && n * 2 > e->threads && pd_dnn_uses_openmp();
}

/* Everything that a batch of @n frames of this size needs. */
static int get_size(struct onednn *e, int n, int width, int height, struct sized **ret_size, struct pd_err *err)
{
    struct sized *s = &e->sizes[0];
    for (int i = 0; i < SIZES_MAX; i++) {
        struct sized *at = &e->sizes[i];
        if (at->width == width && at->height == height) {
            s = at;
            break;
        }
        if (at->used < s->used)
            s = at;
    }
    if (s->width != width || s->height != height) {
        forget_size(e, s);
        s->width = width;
        s->height = height;
    }
    s->used = ++e->clock;
    int r = s->wide_instance ? 0 : make_wide(e, s, err);
    if (r == 0 && goes_narrow(e, n) && !s->narrow)
        r = make_narrow(e, s, err);
    if (r < 0)
        forget_size(e, s);
    else
        *ret_size = s;
    return r;
}

/* ---- open and close ---- */

static int onednn_probe(struct pd_err *err)
{
    struct pd_dnn dnn;
    int r = pd_dnn_open(&dnn, err);
    if (r == 0)
        pd_dnn_close(&dnn);
    return r == -ENOTSUP ? pd_err_set(err, r, "oneDNN was built without its CPU engine") : r;
}

static void cpu_model(char *text, size_t size)
{
    char line[256];
    snprintf(text, size, "CPU");
    FILE *f = fopen("/proc/cpuinfo", "re");
    if (!f)
        return;
    while (fgets(line, sizeof(line), f)) {
        char *value = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !value)
            continue;
        value += 1 + strspn(value + 1, " ");
        value[strcspn(value, "\n")] = 0;
        snprintf(text, size, "%s", value);
        break;
    }
    fclose(f);
}

static int pick_type(enum pd_precision precision, dnnl_data_type_t *ret_type, struct pd_err *err)
{
    switch (precision) {
    case PD_PRECISION_AUTO:
    case PD_PRECISION_FP32:
        *ret_type = dnnl_f32;
        return 0;
    case PD_PRECISION_BF16:
        if (!pd_dnn_has_bf16())
            return pd_err_set(err, -ENOTSUP,
                              "precision bf16 needs a processor with AVX512_BF16 and this one has %s; use fp32",
                              pd_dnn_isa());
        *ret_type = dnnl_bf16;
        return 0;
    default:
        return pd_err_set(err, -ENOTSUP, "engine onednn has no precision %s; it has fp32 and bf16",
                          pd_precision_name(precision));
    }
}

static void onednn_close(void *self)
{
    struct onednn *e = self;
    for (int i = 0; i < SIZES_MAX; i++)
        forget_size(e, &e->sizes[i]);
    pd_dnn_weights_destroy(e->weights);
    pd_dnn_close(&e->dnn);
    free(e);
}

static size_t memory_of(const struct onednn *e, const struct sized *s)
{
    size_t bytes = pd_dnn_weights_bytes(e->weights) + s->wide->arena + s->wide->scratchpad;
    if (s->narrow)
        bytes += (size_t)e->threads * (s->narrow->arena + s->narrow->scratchpad);
    return bytes;
}

static int onednn_open(const struct pd_net *net, const struct pd_engine_params *params, struct pd_engine_caps *caps,
                       void **ret_self, struct pd_err *err)
{
    dnnl_data_type_t type = dnnl_f32;
    int r = pick_type(params->precision, &type, err);
    if (r < 0)
        return r;
    struct onednn *e = calloc(1, sizeof(*e));
    if (!e)
        return pd_err_set(err, -ENOMEM, "out of memory");
    e->net = net;
    e->type = type;
    e->threads = pd_cpu_threads(params->threads);
    if (e->threads > 1 && pd_dnn_uses_openmp())
        pd_dnn_shorten_spins(e->threads);
    omp_set_num_threads(e->threads);
    struct sized *s;
    r = pd_dnn_open(&e->dnn, err);
    if (r == 0 && (r = pd_dnn_weights_create(&e->dnn, net->n_layers, &e->weights)) < 0)
        pd_err_set(err, r, "out of memory");
    if (r == 0)
        r = get_size(e, params->max_batch, params->width, params->height, &s, err);
    if (r < 0) {
        onednn_close(e);
        return r;
    }
    char model[96];
    cpu_model(model, sizeof(model));
    snprintf(caps->device, sizeof(caps->device), "%s, %d thread%s, %s", model, e->threads, e->threads == 1 ? "" : "s",
             pd_dnn_isa());
    pd_dnn_version(caps->version, sizeof(caps->version));
    caps->precision = type == dnnl_bf16 ? PD_PRECISION_BF16 : PD_PRECISION_FP32;
    caps->memory_bytes = memory_of(e, s);
    *ret_self = e;
    return 0;
}

/* ---- running ---- */

static int onednn_prepare(void *self, int n, int width, int height, struct pd_err *err)
{
    struct sized *s;
    return get_size(self, n, width, height, &s, err);
}

struct io {
    const float *input;
    float *heat, *paf;
    size_t input_floats, heat_floats, paf_floats; /* of a frame */
};

static struct io io_of_frame(const struct io *io, int i)
{
    return (struct io){io->input + (size_t)i * io->input_floats,
                       io->heat ? io->heat + (size_t)i * io->heat_floats : NULL,
                       io->paf ? io->paf + (size_t)i * io->paf_floats : NULL};
}

struct narrow_work {
    struct sized *size;
    const struct io *io;
    int first;
    int result[PD_BATCH_MAX];
    struct pd_err err[PD_BATCH_MAX];
};

static void run_one_narrow(int i, void *arg)
{
    struct narrow_work *w = arg;
    struct io f = io_of_frame(w->io, w->first + i);
    w->result[i] = pd_dnn_instance_run(w->size->narrow_instances[i], f.input, f.heat, f.paf, NULL, &w->err[i]);
}

/* @n <= threads frames side by side, from frame @first on. */
static int run_narrow(struct sized *s, const struct io *io, int first, int n, struct pd_err *err)
{
    struct narrow_work w = {.size = s, .io = io, .first = first};
    pd_cpu_parallel(n, run_one_narrow, &w);
    for (int i = 0; i < n; i++)
        if (w.result[i] < 0)
            return pd_err_set(err, w.result[i], "%s", w.err[i].text);
    return 0;
}

static size_t floats_of(const struct pd_dnn_plan *plan, int tensor)
{
    if (tensor < 0)
        return 0;
    struct pd_shape s = plan->tensors[tensor].shape;
    return (size_t)s.c * (size_t)s.h * (size_t)s.w;
}

static int onednn_forward(void *self, int n, int width, int height, const float *input, float *heat, float *paf,
                          struct pd_err *err)
{
    struct onednn *e = self;
    struct sized *s;
    int r = get_size(e, n, width, height, &s, err);
    if (r < 0)
        return r;
    omp_set_num_threads(e->threads);
    const struct io io = {input, heat, paf, floats_of(s->wide, e->net->input), floats_of(s->wide, e->net->heat),
                          floats_of(s->wide, e->net->paf)};
    for (int i = 0; r == 0 && i < n;) {
        if (goes_narrow(e, n - i)) {
            int side_by_side = PD_MIN(e->threads, n - i);
            r = run_narrow(s, &io, i, side_by_side, err);
            i += side_by_side;
        } else {
            struct io f = io_of_frame(&io, i++);
            r = pd_dnn_instance_run(s->wide_instance, f.input, f.heat, f.paf, NULL, err);
        }
    }
    return r;
}

/* Times of the steps, added up a layer. */
static int layer_times(const struct pd_dnn_plan *plan, const int64_t *step_ns, double factor,
                       struct pd_layer_time *times)
{
    int n = 0;
    for (int i = 0; i < plan->n_steps; i++) {
        const struct pd_dnn_step *s = &plan->steps[i];
        if (n == 0 || times[n - 1].layer != s->layer)
            times[n++] = (struct pd_layer_time){.layer = s->layer};
        struct pd_layer_time *t = &times[n - 1];
        t->ms += (double)step_ns[i] / 1e6 * factor;
        size_t used = strlen(t->algorithm);
        snprintf(t->algorithm + used, sizeof(t->algorithm) - used, "%s%s", used ? " + " : "",
                 s->kind == PD_DNN_PRIMITIVE ? s->prim.impl : s->kind == PD_DNN_COPY ? "copy" : "gather");
    }
    return n;
}

/* Layers are timed with all threads on one frame, whatever @n: side by side their times could not be told apart. */
static int onednn_profile(void *self, int n, int width, int height, int repeats, struct pd_layer_time *times,
                          struct pd_err *err)
{
    struct onednn *e = self;
    struct sized *s;
    int r = get_size(e, 1, width, height, &s, err);
    if (r < 0)
        return r;
    omp_set_num_threads(e->threads);
    size_t input_bytes = floats_of(s->wide, e->net->input) * sizeof(float);
    PD_CLEANUP(pd_freep) float *input = pd_alloc_aligned(input_bytes);
    PD_CLEANUP(pd_freep) int64_t *step_ns = calloc((size_t)s->wide->n_steps + 1, sizeof(*step_ns));
    if (!input || !step_ns)
        return pd_err_set(err, -ENOMEM, "out of memory");
    memset(input, 0, input_bytes);
    for (int i = 0; i <= repeats && r == 0; i++) /* the first warms up */
        r = pd_dnn_instance_run(s->wide_instance, input, NULL, NULL, i ? step_ns : NULL, err);
    return r < 0 ? r : layer_times(s->wide, step_ns, (double)n / repeats, times);
}

/* All threads on one frame give its line soonest, and few threads lose nothing by it: on two, batches of 2, 4 and 8
 * took 8 to 10 % more processor time a frame with the bundled network. Many threads find too little to do in one
 * frame's layers: then it is a frame a thread. */
#define THREADS_FOR_ONE_FRAME 4
static int onednn_best_batch(const struct pd_engine_params *params)
{
    int threads = pd_cpu_threads(params->threads);
    return threads <= THREADS_FOR_ONE_FRAME ? 1 : PD_MIN(threads, PD_BATCH_MAX);
}

const struct pd_engine_ops pd_engine_onednn = {
    .name = "onednn",
    .automatic = true,
    .probe = onednn_probe,
    .open = onednn_open,
    .close = onednn_close,
    .prepare = onednn_prepare,
    .forward = onednn_forward,
    .profile = onednn_profile,
    .best_batch = onednn_best_batch,
};
