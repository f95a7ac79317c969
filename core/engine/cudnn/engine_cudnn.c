/* SPDX-License-Identifier: Apache-2.0
 *
 * The cudnn engine: batches in flight on networks prepared for an input size (gpu_size.h), and the thread that hands
 * finished ones back. The scheduler's thread queues everything; the completion thread only waits for events.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/engine/cudnn/gpu_find.h"
#include "core/engine/cudnn/gpu_size.h"
#include "core/engine/cudnn/plugin.h"

#define FLIGHTS_MAX PD_GPU_FLIGHTS_MAX

struct cudnn_engine {
    struct pd_gpu *gpu;
    const struct pd_net *net;
    bool maps;                      /* results are downloaded as maps */
    struct pd_gpu_find *find;       /* results are candidates; or NULL */
    struct pd_gpu_weights *weights; /* by layer, shared by all sizes */
    struct pd_gpu_sizes sizes;
    bool told_save; /* that the choices cannot be written */

    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock;
    pthread_cond_t news;
    /* guarded by lock */
    struct pd_batch *flights[FLIGHTS_MAX];
    int head, count;
    bool stop;
    bool lost; /* the context, and with it all that was made in it */
    struct pd_err why;
};

static const struct pd_gpu_host *host;

/* ---- a context that is lost ----
 * What lived in it is left alone, for good: CUDA may make another context for the asking, where the old one's streams,
 * graphs and memory are addresses that nobody checks. The process is about to end, and the driver takes all of it back
 * then. */

/* Look at @r, what an entry came to: -ENODEV is the last word of the context. The first time keeps its reason. */
static int note(struct cudnn_engine *e, int r, const struct pd_err *err)
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
static int check_lost(struct cudnn_engine *e, struct pd_err *err)
{
    pthread_mutex_lock(&e->lock);
    int r = e->lost ? pd_err_set(err, -ENODEV, "%s", e->why.text[0] ? e->why.text : "the GPU is lost") : 0;
    pthread_mutex_unlock(&e->lock);
    return r;
}

/* What every entry begins with. */
static int enter(struct cudnn_engine *e, struct pd_err *err)
{
    int r = check_lost(e, err);
    return r < 0 ? r : note(e, pd_gpu_check(cudaSetDevice(e->gpu->device), "selecting the device", err), err);
}

static void drop_batch(struct cudnn_engine *e, struct pd_gpu_batch *b)
{
    if (check_lost(e, NULL) == 0)
        pd_gpu_batch_destroy(b);
}

/* ---- batches ---- */

static int copy_map(struct cudnn_engine *e, const struct pd_gpu_size *s, int tensor, int n, float *device,
                    struct pd_err *err)
{
    const struct pd_view v = pd_gpu_view(e->gpu, s->net.memory, tensor, n);
    return pd_gpu_check(pd_cuda_to_nchw(e->gpu->elem, &v, device, e->gpu->compute), "reading the maps", err);
}

/* Queue the network's outputs into the batch's own memory, where the download stream may read them while the next
 * batch's network runs. */
static int queue_outputs(struct cudnn_engine *e, const struct pd_gpu_size *s, struct pd_gpu_batch *b, int n,
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

static int queue_download(struct cudnn_engine *e, const struct pd_gpu_size *s, struct pd_gpu_batch *b, int n,
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

static int queue_search(struct cudnn_engine *e, const struct pd_gpu_size *s, struct pd_gpu_batch *b,
                        const struct pd_batch *batch, struct pd_err *err)
{
    const struct pd_shape *heat = &s->net.memory->shapes[e->net->heat];
    return pd_gpu_find_run(e->find, b, batch, heat->c, s->net.memory->shapes[e->net->paf].c, heat->w, heat->h, err);
}

/* Queue all that follows the network. @batch: NULL when it is the maps alone that are wanted. */
static int queue_results(struct cudnn_engine *e, const struct pd_gpu_size *s, struct pd_gpu_batch *b,
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

static int reserve_maps(struct cudnn_engine *e, const struct pd_gpu_size *s, struct pd_gpu_batch *b, bool host_maps,
                        struct pd_err *err)
{
    const size_t per = (size_t)e->sizes.max_batch * sizeof(float);
    return pd_gpu_batch_reserve(b, pd_gpu_size_floats(s, e->net->heat) * per,
                                e->net->paf < 0 ? 0 : pd_gpu_size_floats(s, e->net->paf) * per, host_maps, err);
}

static int reserve_results(struct cudnn_engine *e, const struct pd_gpu_size *s, struct pd_gpu_batch *b,
                           struct pd_err *err)
{
    const struct pd_shape *heat = &s->net.memory->shapes[e->net->heat];
    int r = reserve_maps(e, s, b, e->maps, err);
    if (r == 0 && e->find)
        r = pd_gpu_batch_reserve_candidates(b, e->sizes.max_batch, err);
    if (r == 0 && e->find)
        r = pd_gpu_find_reserve(e->find, heat->w, heat->h, err);
    return r;
}

static void set_results(const struct cudnn_engine *e, const struct pd_gpu_size *s, const struct pd_gpu_batch *b,
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

static int batch_init(void *self, struct pd_batch *batch, struct pd_err *err)
{
    struct cudnn_engine *e = self;
    struct pd_gpu_batch *b;
    struct pd_gpu_size *s;
    int r = enter(e, err);
    if (r == 0)
        r = pd_gpu_sizes_get(&e->sizes, batch->width, batch->height, false, &s, err);
    if (r == 0)
        r = pd_gpu_batch_create(e->gpu, &b, err);
    if (r < 0)
        return note(e, r, err);
    /* now: it stops the device, where other batches may be under way later */
    r = note(e, reserve_results(e, s, b, err), err);
    if (r < 0)
        drop_batch(e, b);
    else
        batch->engine_private = b;
    return r;
}

static void batch_finish(void *self, struct pd_batch *batch)
{
    struct cudnn_engine *e = self;
    if (enter(e, NULL) == 0)
        pd_gpu_batch_destroy(batch->engine_private);
    batch->engine_private = NULL;
}

static int queue_batch(struct cudnn_engine *e, struct pd_batch *batch, struct pd_err *err)
{
    struct pd_gpu_batch *b = batch->engine_private;
    struct pd_gpu_size *s;
    struct pd_gpu_plan *plan;
    int r = enter(e, err);
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
        r = queue_results(e, s, b, batch, batch->n, err);
    if (r == 0)
        set_results(e, s, b, batch);
    return r;
}

static int submit(void *self, struct pd_batch *batch)
{
    struct cudnn_engine *e = self;
    batch->started_ns = pd_now_ns();
    int r = note(e, queue_batch(e, batch, &batch->err), &batch->err);
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
static int complete(struct cudnn_engine *e, struct pd_batch *batch)
{
    const struct pd_gpu_batch *b = batch->engine_private;
    int r = check_lost(e, &batch->err);
    if (r == 0)
        r = pd_gpu_check(cudaEventSynchronize(b->downloaded), "running a batch", &batch->err);
    note(e, r, &batch->err);
    if (r == 0)
        set_times(b, batch);
    return r;
}

static void *completion_main(void *arg)
{
    struct cudnn_engine *e = arg;
    struct pd_err err;
    enter(e, &err);
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

static void free_device(struct cudnn_engine *e)
{
    pd_gpu_sizes_finish(&e->sizes);
    for (int i = 0; e->weights && i < e->net->n_layers; i++)
        pd_gpu_weights_finish(e->gpu, &e->weights[i]);
    pd_gpu_find_destroy(e->find);
    pd_gpu_close(e->gpu);
}

static void close_engine(void *self)
{
    struct cudnn_engine *e = self;
    if (e->has_thread) {
        pthread_mutex_lock(&e->lock);
        e->stop = true;
        pthread_cond_broadcast(&e->news);
        pthread_mutex_unlock(&e->lock);
        pthread_join(e->thread, NULL);
    }
    if (e->gpu && enter(e, NULL) == 0)
        free_device(e);
    free(e->weights);
    pthread_cond_destroy(&e->news);
    pthread_mutex_destroy(&e->lock);
    free(e);
}

static int upload_constants(struct cudnn_engine *e, struct pd_err *err)
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
    struct cudnn_engine *e = calloc(1, sizeof(*e));
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
    if (note(e, r, err) < 0) {
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

/* The plan for batches of @n, ready to run. */
static int get_ready(struct cudnn_engine *e, int n, int width, int height, struct pd_gpu_size **ret_size,
                     struct pd_gpu_plan **ret_plan, struct pd_err *err)
{
    int r = enter(e, err);
    if (r == 0)
        r = pd_gpu_sizes_get(&e->sizes, width, height, true, ret_size, err);
    if (r == 0)
        r = pd_gpu_sizes_plan(&e->sizes, *ret_size, n, ret_plan, err);
    return note(e, r, err);
}

static int prepare(void *self, int n, int width, int height, struct pd_err *err)
{
    struct cudnn_engine *e = self;
    struct pd_gpu_size *s;
    struct pd_gpu_plan *plan;
    int r = get_ready(e, n, width, height, &s, &plan, err);
    if (r == 0)
        r = pd_gpu_plan_run(&s->net, plan, err);
    if (r == 0)
        r = pd_gpu_check(cudaStreamSynchronize(e->gpu->compute), "running the network", err);
    note(e, r, err);
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
    struct cudnn_engine *e = self;
    return enter(e, NULL) == 0 ? pd_gpu_taken(e->gpu) : 0;
}

static int time_network(void *self, int n, int width, int height, double *ret_ms, struct pd_err *err)
{
    struct cudnn_engine *e = self;
    struct pd_gpu_size *s;
    struct pd_gpu_plan *plan;
    struct pd_gpu_batch *b = NULL;
    float ms = 0;
    int r = get_ready(e, n, width, height, &s, &plan, err);
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
    note(e, r, err);
    drop_batch(e, b);
    *ret_ms = (double)ms;
    return r;
}

/* Input to the device, the graph, and the maps back; all waited for. */
static int forward(void *self, int n, int width, int height, const float *input, float *heat, float *paf,
                   struct pd_err *err)
{
    struct cudnn_engine *e = self;
    struct pd_gpu_size *s;
    struct pd_gpu_plan *plan;
    struct pd_gpu_batch *b = NULL;
    float *device = NULL;
    const size_t bytes = (size_t)n * 3 * (size_t)height * (size_t)width * sizeof(float);
    int r = enter(e, err);
    if (r == 0)
        r = pd_gpu_sizes_get(&e->sizes, width, height, false, &s, err);
    if (r == 0)
        r = pd_gpu_sizes_plan(&e->sizes, s, n, &plan, err);
    if (r == 0)
        r = pd_gpu_batch_create(e->gpu, &b, err);
    if (r == 0)
        r = reserve_maps(e, s, b, true, err);
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
        r = queue_results(e, s, b, NULL, n, err);
    if (r == 0)
        r = pd_gpu_check(cudaEventSynchronize(b->downloaded), "running the network", err);
    if (r == 0 && heat)
        memcpy(heat, b->host_heat, pd_gpu_size_floats(s, e->net->heat) * (size_t)n * sizeof(float));
    if (r == 0 && paf && e->net->paf >= 0)
        memcpy(paf, b->host_paf, pd_gpu_size_floats(s, e->net->paf) * (size_t)n * sizeof(float));
    if (note(e, r, err) != -ENODEV)
        pd_gpu_free(e->gpu, device, bytes);
    drop_batch(e, b);
    return r;
}

static int by_layer(const void *a, const void *b)
{
    return ((const struct pd_layer_time *)a)->layer - ((const struct pd_layer_time *)b)->layer;
}

static int profile(void *self, int n, int width, int height, int repeats, struct pd_layer_time *times,
                   struct pd_err *err)
{
    struct cudnn_engine *e = self;
    struct pd_gpu_size *s;
    struct pd_gpu_plan *plan;
    int r = get_ready(e, n, width, height, &s, &plan, err), found = 0;
    for (int i = 0; r == 0 && i < plan->n_steps; i++) {
        const struct pd_gpu_step *step = &plan->steps[i];
        float ms;
        if (step->method == PD_GPU_NOTHING)
            continue;
        r = pd_gpu_step_time(&s->net, step, plan->n, repeats, &ms);
        if (r < 0)
            return pd_err_set(err, r, "timing layer '%s' failed", e->net->layers[step->layer[0]].name);
        times[found].layer = step->layer[0];
        times[found].with = step->n_layers > 1 ? step->layer[1] + 1 : 0;
        times[found].ms = (double)ms;
        snprintf(times[found].algorithm, sizeof(times[found].algorithm), "%s", step->algorithm);
        found++;
    }
    qsort(times, (size_t)found, sizeof(*times), by_layer);
    return r < 0 ? r : found;
}

static const struct pd_engine_ops ops = {
    .name = "cudnn",
    .automatic = true,
    .per_device = true,
    .probe = probe,
    .open = open_engine,
    .close = close_engine,
    .batch_init = batch_init,
    .batch_finish = batch_finish,
    .submit = submit,
    .prepare = prepare,
    .forward = forward,
    .profile = profile,
    .time_network = time_network,
    .memory = memory,
};

const struct pd_engine_ops *pd_cudnn_plugin(const struct pd_gpu_host *with, const char *version)
{
    if (strcmp(version, PD_VERSION) != 0)
        return NULL;
    host = with;
    return &ops;
}
