/* SPDX-License-Identifier: Apache-2.0
 *
 * The cudnn engine: batches in flight on networks prepared for an input size (gpu_size.h), and the thread that hands
 * finished ones back. The scheduler's thread queues everything; the completion thread only waits for events.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/engine/cudnn/engine_impl.h"
#include "core/engine/cudnn/plugin.h"

#define FLIGHTS_MAX PD_GPU_FLIGHTS_MAX

static const struct pd_gpu_host *host;

/* ---- a context that is lost ----
 * What lived in it is left alone, for good: CUDA may make another context for the asking, where the old one's streams,
 * graphs and memory are addresses that nobody checks. The process is about to end, and the driver takes all of it back
 * then. */

int pd_gpu_engine_note(struct pd_gpu_engine *e, int r, const struct pd_err *err)
{
    if (r != -ENODEV)
        return r;
    pthread_mutex_lock(&e->lock);
    if (!e->lost && err)
        e->why = *err;
    e->lost = true;
    pthread_mutex_unlock(&e->lock);
    return r;
}

/* 0, or -ENODEV and the reason. */
static int check_lost(struct pd_gpu_engine *e, struct pd_err *err)
{
    pthread_mutex_lock(&e->lock);
    int r = e->lost ? pd_err_set(err, -ENODEV, "%s", e->why.text[0] ? e->why.text : "the GPU is lost") : 0;
    pthread_mutex_unlock(&e->lock);
    return r;
}

int pd_gpu_engine_enter(struct pd_gpu_engine *e, struct pd_err *err)
{
    int r = check_lost(e, err);
    return r < 0 ? r
                 : pd_gpu_engine_note(e, pd_gpu_check(cudaSetDevice(e->gpu->device), "selecting the device", err), err);
}

void pd_gpu_engine_drop_batch(struct pd_gpu_engine *e, struct pd_gpu_batch *b)
{
    if (check_lost(e, NULL) == 0)
        pd_gpu_batch_destroy(b);
}

/* ---- batches in flight ---- */

static int submit(void *self, struct pd_batch *batch)
{
    struct pd_gpu_engine *e = self;
    batch->started_ns = pd_now_ns();
    int r = pd_gpu_engine_note(e, pd_gpu_engine_queue_batch(e, batch, &batch->err), &batch->err);
    if (r < 0) {
        if (check_lost(e, NULL) == 0)
            cudaDeviceSynchronize(); /* what was queued may read the batch's memory */
        return r;
    }
    pthread_mutex_lock(&e->lock);
    while (e->count == FLIGHTS_MAX)
        pthread_cond_wait(&e->news, &e->lock);
    e->flights[(e->head + e->count++) % FLIGHTS_MAX] = batch;
    pthread_cond_broadcast(&e->news);
    pthread_mutex_unlock(&e->lock);
    return 0;
}

/* Place the device's events on the host's clock, backwards from the moment the last one was seen. */
static void set_times(const struct pd_gpu_batch *b, struct pd_batch *batch)
{
    const int64_t now = pd_now_ns();
    float whole = 0, network = 0;
    if (cudaEventElapsedTime(&whole, b->started, b->downloaded) != cudaSuccess ||
        cudaEventElapsedTime(&network, b->preprocessed, b->downloaded) != cudaSuccess)
        return;
    batch->started_ns = PD_MAX(batch->started_ns, now - (int64_t)(whole * 1e6f));
    batch->preprocessed_ns = PD_MAX(batch->started_ns, now - (int64_t)(network * 1e6f));
}

/* Wait until @batch is through. */
static int complete(struct pd_gpu_engine *e, struct pd_batch *batch)
{
    const struct pd_gpu_batch *b = batch->engine_private;
    int r = check_lost(e, &batch->err);
    if (r == 0)
        r = pd_gpu_check(cudaEventSynchronize(b->downloaded), "running a batch", &batch->err);
    pd_gpu_engine_note(e, r, &batch->err);
    if (r == 0)
        set_times(b, batch);
    return r;
}

static void *completion_main(void *arg)
{
    struct pd_gpu_engine *e = arg;
    struct pd_err err;
    pd_gpu_engine_enter(e, &err);
    pthread_mutex_lock(&e->lock);
    for (;;) {
        while (e->count == 0 && !e->stop)
            pthread_cond_wait(&e->news, &e->lock);
        if (e->count == 0)
            break;
        struct pd_batch *batch = e->flights[e->head];
        pthread_mutex_unlock(&e->lock);
        int r = complete(e, batch);
        pthread_mutex_lock(&e->lock);
        e->head = (e->head + 1) % FLIGHTS_MAX;
        e->count--;
        pthread_cond_broadcast(&e->news);
        pthread_mutex_unlock(&e->lock);
        host->done(batch, r);
        pthread_mutex_lock(&e->lock);
    }
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

/* ---- entries ---- */

static int probe(struct pd_err *err)
{
    int n = 0, driver = 0, runtime = 0;
    const cudaError_t e = cudaGetDeviceCount(&n);
    cudaDriverGetVersion(&driver);
    cudaRuntimeGetVersion(&runtime);
    if (driver == 0)
        return pd_err_set(err, -ENODEV, "no NVIDIA driver is loaded: install it, or use engine onednn");
    if (e == cudaErrorInsufficientDriver)
        return pd_err_set(err, -ENODEV, "the NVIDIA driver knows CUDA %d.%d, this build needs %d.%d: update the driver",
                          driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
    if (e != cudaSuccess || n == 0)
        return pd_err_set(err, -ENODEV, "no CUDA device: %s",
                          e != cudaSuccess ? cudaGetErrorString(e) : "the driver lists none");
    const size_t cudnn = cudnnGetVersion(), major = cudnn < 10000 ? cudnn / 1000 : cudnn / 10000; /* 8904, 91900 */
    if (major != CUDNN_MAJOR)
        return pd_err_set(err, -ENODEV, "cuDNN %zu is loaded, this build needs %d.x: install that", major, CUDNN_MAJOR);
    return 0;
}

static void free_device(struct pd_gpu_engine *e)
{
    pd_gpu_sizes_finish(&e->sizes);
    for (int i = 0; e->weights && i < e->net->n_layers; i++)
        pd_gpu_weights_finish(e->gpu, &e->weights[i]);
    pd_gpu_find_destroy(e->find);
    pd_gpu_close(e->gpu);
}

static void close_engine(void *self)
{
    struct pd_gpu_engine *e = self;
    if (e->has_thread) {
        pthread_mutex_lock(&e->lock);
        e->stop = true;
        pthread_cond_broadcast(&e->news);
        pthread_mutex_unlock(&e->lock);
        pthread_join(e->thread, NULL);
    }
    if (e->gpu && pd_gpu_engine_enter(e, NULL) == 0)
        free_device(e);
    free(e->weights);
    pthread_cond_destroy(&e->news);
    pthread_mutex_destroy(&e->lock);
    free(e);
}

static int upload_constants(struct pd_gpu_engine *e, struct pd_err *err)
{
    e->weights = calloc((size_t)e->net->n_layers, sizeof(*e->weights));
    if (!e->weights)
        return pd_err_set(err, -ENOMEM, "out of memory");
    e->sizes = (struct pd_gpu_sizes){.gpu = e->gpu, .net = e->net, .weights = e->weights};
    for (int i = 0; i < e->net->n_layers; i++) {
        const struct pd_layer *l = &e->net->layers[i];
        int r = pd_gpu_weights_init(e->gpu, l, e->net->tensors[l->out].channels, &e->weights[i], err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int open_engine(const struct pd_net *net, const struct pd_engine_params *params, struct pd_engine_caps *caps,
                       void **ret_self, struct pd_err *err)
{
    int r = probe(err);
    if (r < 0)
        return r;
    struct pd_gpu_engine *e = calloc(1, sizeof(*e));
    if (!e)
        return pd_err_set(err, -ENOMEM, "out of memory");
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->news, NULL);
    e->net = net;
    r = pd_gpu_open(host, params->n_devices ? params->devices[0] : 0, params->precision, params->cache_dir, &e->gpu,
                    err);
    if (r == 0)
        r = upload_constants(e, err);
    if (r == 0)
        r = pd_gpu_sizes_take(&e->sizes, host, params->width, params->height, params->max_batch, err);
    if (r == 0 && params->candidates && pd_gpu_find_fits(net))
        r = pd_gpu_find_create(e->gpu, net, e->sizes.max_batch, &e->find, err);
    e->maps = !e->find || params->maps_too;
    if (r == 0) {
        r = -pthread_create(&e->thread, NULL, completion_main, e);
        e->has_thread = r == 0;
        if (r < 0)
            pd_err_set(err, r, "cannot start the engine's thread: %s", strerror(-r));
    }
    if (pd_gpu_engine_note(e, r, err) < 0) {
        close_engine(e);
        return r;
    }
    snprintf(caps->device, sizeof(caps->device), "%.100s (GPU %d, %d SMs)", e->gpu->name, e->gpu->device, e->gpu->sms);
    snprintf(caps->version, sizeof(caps->version), "%s", e->gpu->version);
    caps->precision = e->gpu->precision;
    caps->max_batch = e->sizes.max_batch;
    caps->candidates = e->find;
    caps->device_frames = true;
    caps->memory_bytes = pd_gpu_taken(e->gpu);
    *ret_self = e;
    return 0;
}

int pd_gpu_engine_get_ready(struct pd_gpu_engine *e, int n, int width, int height, struct pd_gpu_size **ret_size,
                            struct pd_gpu_plan **ret_plan, struct pd_err *err)
{
    int r = pd_gpu_engine_enter(e, err);
    if (r == 0)
        r = pd_gpu_sizes_get(&e->sizes, width, height, true, ret_size, err);
    if (r == 0)
        r = pd_gpu_sizes_plan(&e->sizes, *ret_size, n, ret_plan, err);
    return pd_gpu_engine_note(e, r, err);
}

static int prepare(void *self, int n, int width, int height, struct pd_err *err)
{
    struct pd_gpu_engine *e = self;
    struct pd_gpu_size *s;
    struct pd_gpu_plan *plan;
    int r = pd_gpu_engine_get_ready(e, n, width, height, &s, &plan, err);
    if (r == 0)
        r = pd_gpu_plan_run(&s->net, plan, err);
    if (r == 0)
        r = pd_gpu_check(cudaStreamSynchronize(e->gpu->compute), "running the network", err);
    pd_gpu_engine_note(e, r, err);
    int saved = r == 0 ? pd_gpu_choices_save(e->gpu->choices) : 0; /* now: a daemon may end without closing */
    if (saved < 0 && !e->told_save) {
        char line[200];
        snprintf(line, sizeof(line), "cannot remember what was measured (%s): the next start will take as long",
                 strerror(-saved));
        host->info(line);
        e->told_save = true;
    }
    return r;
}

static size_t memory(void *self)
{
    struct pd_gpu_engine *e = self;
    return pd_gpu_engine_enter(e, NULL) == 0 ? pd_gpu_taken(e->gpu) : 0;
}

static const struct pd_engine_ops ops = {
    .name = "cudnn",
    .automatic = true,
    .per_device = true,
    .probe = probe,
    .open = open_engine,
    .close = close_engine,
    .batch_init = pd_gpu_engine_batch_init,
    .batch_finish = pd_gpu_engine_batch_finish,
    .submit = submit,
    .prepare = prepare,
    .forward = pd_gpu_engine_forward,
    .profile = pd_gpu_engine_profile,
    .time_network = pd_gpu_engine_time_network,
    .memory = memory,
};

const struct pd_engine_ops *pd_cudnn_plugin(const struct pd_gpu_host *with, const char *version)
{
    if (strcmp(version, PD_VERSION) != 0)
        return NULL;
    host = with;
    return &ops;
}
