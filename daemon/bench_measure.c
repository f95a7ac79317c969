/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "daemon/bench.h"
#include "postproc/post.h"

#define RUNS_MAX 1000
#define RUNS_MIN 3
#define SOURCE_WIDTH 1280
#define SOURCE_HEIGHT 720

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double pd_bench_median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof(*v), compare_doubles);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static bool goes_on(int runs, int64_t begin_ns, double seconds)
{
    double gone = (double)(pd_now_ns() - begin_ns) / (double)PD_NS_PER_S;
    return runs < RUNS_MAX && (runs < RUNS_MIN || gone < seconds);
}

static int64_t batch_clock(const struct pd_bench *b)
{
    struct timespec ts;
    if (!b->cpu_time)
        return pd_now_ns();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * PD_NS_PER_S + ts.tv_nsec;
}

double pd_bench_best_fps(const struct pd_bench *bench)
{
    double best = 0;
    for (int i = 0; i < bench->n_batches; i++)
        best = PD_MAX(best, bench->batch[i].fps);
    return best;
}

double pd_bench_camera_hour(const struct pd_bench *bench)
{
    double fps = pd_bench_best_fps(bench);
    return fps > 0 ? bench->price * PD_BENCH_CAMERA_FPS / fps : 0;
}

/* Whether an entry says that it ran layer @k beside its own. */
static bool ran_elsewhere(const struct pd_bench *bench, int k)
{
    for (int i = 0; i < bench->n_layers; i++)
        if (bench->layers[i].with == k + 1)
            return true;
    return false;
}

static double layer_macs(const struct pd_bench *bench, int k)
{
    return pd_layer_macs(bench->net, &bench->net->layers[k], bench->shapes);
}

double pd_bench_layer_gflop(const struct pd_bench *bench, int i)
{
    int end = i + 1 < bench->n_layers ? bench->layers[i + 1].layer : bench->net->n_layers;
    double macs = bench->layers[i].with ? layer_macs(bench, bench->layers[i].with - 1) : 0;
    for (int k = bench->layers[i].layer; k < end; k++)
        if (!ran_elsewhere(bench, k))
            macs += layer_macs(bench, k);
    return 2 * macs / 1e9;
}

int pd_bench_layers(struct pd_bench *bench, struct pd_engine *engine, double seconds, struct pd_err *err)
{
    bench->layers = calloc((size_t)bench->net->n_layers, sizeof(*bench->layers));
    if (!bench->layers)
        return pd_err_set(err, -ENOMEM, "out of memory");
    /* a core is full with one frame, a GPU is not */
    const int frames = bench->layer_batch = bench->caps->device_frames ? bench->caps->max_batch : 1;
    int n = pd_engine_prepare(engine, frames, bench->width, bench->height, err);
    if (n < 0)
        return n;
    int64_t begin = pd_now_ns();
    n = pd_engine_profile(engine, frames, bench->width, bench->height, 1, bench->layers, err);
    if (n == -ENOTSUP)
        return 0;
    if (n < 0)
        return n;
    double once = (double)(pd_now_ns() - begin) / (double)PD_NS_PER_S;
    int repeats = (int)PD_CLAMP(seconds / PD_MAX(once, 1e-6), 1, RUNS_MAX);
    n = pd_engine_profile(engine, frames, bench->width, bench->height, repeats, bench->layers, err);
    bench->n_layers = PD_MAX(n, 0);
    return PD_MIN(n, 0);
}

struct tensors {
    float *input, *heat, *paf;
};

static void free_tensors(struct tensors *t)
{
    free(t->input);
    free(t->heat);
    free(t->paf);
}

/* Input and outputs of @n frames; an even grey, which costs a network as much as any picture. */
static int make_tensors(const struct pd_bench *b, int n, struct tensors *t, struct pd_err *err)
{
    const struct pd_shape *heat = &b->shapes[b->net->heat], none = {0};
    const struct pd_shape *paf = b->net->paf >= 0 ? &b->shapes[b->net->paf] : &none;
    size_t frames = (size_t)n * sizeof(float);
    size_t input_bytes = frames * 3 * (size_t)b->width * (size_t)b->height;
    t->input = pd_alloc_aligned(input_bytes);
    t->heat = pd_alloc_aligned(frames * (size_t)heat->c * (size_t)heat->h * (size_t)heat->w);
    t->paf = pd_alloc_aligned(frames * (size_t)paf->c * (size_t)paf->h * (size_t)paf->w);
    if (!t->input || !t->heat || !t->paf)
        return pd_err_set(err, -ENOMEM, "no memory for %d frames", n);
    for (size_t i = 0; i < input_bytes / sizeof(float); i++)
        t->input[i] = 0.1f;
    return 0;
}

/* One run of the network: by the device's clock where there is one, from host memory to host memory elsewhere. */
static int run_batch(const struct pd_bench *b, struct pd_engine *engine, int n, const struct tensors *t,
                     double *ret_ms, struct pd_err *err)
{
    if (b->device_clock)
        return pd_engine_time_network(engine, n, b->width, b->height, ret_ms, err);
    int64_t from = batch_clock(b);
    int r = pd_engine_forward(engine, n, b->width, b->height, t->input, t->heat, t->paf, err);
    *ret_ms = (double)(batch_clock(b) - from) / (double)PD_NS_PER_MS;
    return r;
}

static int measure_batch(const struct pd_bench *b, struct pd_engine *engine, int n, double seconds,
                         const struct tensors *t, struct pd_bench_batch *row, struct pd_err *err)
{
    double ms[RUNS_MAX];
    int runs = 0;
    int r = pd_engine_prepare(engine, n, b->width, b->height, err);
    if (r == 0)
        r = run_batch(b, engine, n, t, &ms[0], err); /* warms up */
    for (int64_t begin = pd_now_ns(); r == 0 && goes_on(runs, begin, seconds); runs++)
        r = run_batch(b, engine, n, t, &ms[runs], err);
    if (r < 0)
        return r;
    double middle = pd_bench_median(ms, runs); /* sorts */
    *row = (struct pd_bench_batch){.n = n, .runs = runs, .ms = middle, .best_ms = ms[0]};
    row->fps = n * 1e3 / row->ms;
    return 0;
}

int pd_bench_batches(struct pd_bench *bench, struct pd_engine *engine, double seconds, struct pd_err *err)
{
    static const int sizes[PD_BENCH_BATCHES_MAX] = {1, 2, 4, 8, 16, 24, 32};
    const int *wanted = bench->n_wanted ? bench->wanted : sizes;
    const int n = bench->n_wanted ? bench->n_wanted : PD_BENCH_BATCHES_MAX;
    struct tensors t = {0};
    double ms;
    int r = make_tensors(bench, bench->caps->max_batch, &t, err);
    if (r == 0 && !bench->cpu_time)
        bench->device_clock = pd_engine_time_network(engine, wanted[0], bench->width, bench->height, &ms, err) == 0;
    for (int i = 0; r == 0 && i < n && wanted[i] <= bench->caps->max_batch; i++) {
        struct pd_bench_batch *row = &bench->batch[bench->n_batches];
        r = measure_batch(bench, engine, wanted[i], seconds, &t, row, err);
        if (r == 0) {
            row->growth = row->ms / bench->batch[0].ms;
            bench->n_batches++;
        }
    }
    free_tensors(&t);
    return r;
}

/* ---- one camera from picture to people ---- */

static void nothing(struct pd_batch *batch, void *user)
{
}

struct pd_frame *pd_bench_frame(void)
{
    struct pd_frame *f = pd_frame_alloc(PD_PIX_YUV, SOURCE_WIDTH, SOURCE_HEIGHT, 1, 1);
    if (!f)
        return NULL;
    for (int i = 0; i < 3; i++)
        for (int y = 0; y < pd_frame_plane_rows(f, i); y++)
            for (int x = 0; x < pd_frame_plane_row_bytes(f, i); x++)
                ((uint8_t *)f->plane[i])[y * f->stride[i] + x] = (uint8_t)(64 + (x * 7 + y * 13 + i * 31) % 128);
    f->matrix = PD_MATRIX_BT709;
    return f;
}

struct pipeline_times {
    double preprocess[RUNS_MAX], network[RUNS_MAX], post[RUNS_MAX], total[RUNS_MAX];
};

static int run_pipeline(struct pd_engine *engine, struct pd_batch *batch, struct pd_post *post, double seconds,
                        struct pipeline_times *t, int *ret_runs, struct pd_err *err)
{
    const struct pd_post_params params = pd_post_defaults();
    const bool candidates = pd_engine_caps(engine)->candidates;
    PD_CLEANUP(pd_freep) struct pd_people *people = calloc(1, sizeof(*people));
    if (!people)
        return pd_err_set(err, -ENOMEM, "out of memory");
    int runs = -1; /* the first warms up */
    for (int64_t begin = pd_now_ns(); goes_on(runs, begin, seconds); runs++) {
        int r = pd_engine_submit(engine, batch);
        pd_engine_drain(engine);
        if (r < 0 || batch->status < 0)
            return pd_err_set(err, r < 0 ? r : batch->status, "%s", batch->err.text);
        int64_t post_ns = pd_now_ns();
        r = candidates ? pd_post_assemble(post, batch->slot[0].candidates, &params, people)
                       : pd_post_run(post, &batch->slot[0].maps, &params, people);
        if (r < 0)
            return pd_err_set(err, r, "post-processing failed: %s", strerror(-r));
        int64_t end_ns = pd_now_ns();
        if (runs < 0)
            continue;
        t->preprocess[runs] = (double)(batch->preprocessed_ns - batch->started_ns) / 1e6;
        t->network[runs] = (double)(batch->done_ns - batch->preprocessed_ns) / 1e6;
        t->post[runs] = (double)(end_ns - post_ns) / 1e6;
        t->total[runs] = (double)(end_ns - batch->submitted_ns) / 1e6;
    }
    *ret_runs = runs;
    return 0;
}

static int measure_pipeline(struct pd_bench *b, struct pd_engine *engine, struct pd_batch *batch, double seconds,
                            struct pd_err *err)
{
    struct pd_post *post;
    const struct pd_shape *s = &b->shapes[b->net->heat];
    PD_CLEANUP(pd_freep) struct pipeline_times *t = malloc(sizeof(*t));
    int r = t ? pd_post_create(b->net->meta.skeleton, b->net->meta.limbs, s->w, s->h, &post) : -ENOMEM;
    if (r < 0)
        return pd_err_set(err, r, "post-processing: %s", strerror(-r));
    int runs = 0;
    r = run_pipeline(engine, batch, post, seconds, t, &runs, err);
    pd_post_destroy(post);
    if (r < 0)
        return r;
    b->pipeline = (struct pd_bench_pipeline){
        .there = true,
        .src_w = SOURCE_WIDTH,
        .src_h = SOURCE_HEIGHT,
        .preprocess = pd_bench_median(t->preprocess, runs),
        .network = pd_bench_median(t->network, runs),
        .post = pd_bench_median(t->post, runs),
        .total = pd_bench_median(t->total, runs),
    };
    return 0;
}

int pd_bench_pipeline(struct pd_bench *b, struct pd_engine *engine, double seconds, struct pd_err *err)
{
    if (!b->net->meta.skeleton)
        return 0; /* no pose network */
    struct pd_frame *frame = pd_bench_frame();
    PD_CLEANUP(pd_freep) struct pd_batch *batch = calloc(1, sizeof(*batch));
    if (!frame || !batch) {
        pd_frame_unref(&frame);
        return pd_err_set(err, -ENOMEM, "out of memory");
    }
    batch->n = 1;
    batch->width = b->width;
    batch->height = b->height;
    batch->done = nothing;
    const struct pd_post_params params = pd_post_defaults();
    batch->slot[0].frame = frame;
    batch->slot[0].find = pd_post_find_params(&params);
    int r = pd_letterbox_fit(frame->width, frame->height, NULL, b->width, b->height, &batch->slot[0].lb);
    if (r == 0)
        r = pd_engine_batch_init(engine, batch, err);
    if (r == 0) {
        r = measure_pipeline(b, engine, batch, seconds, err);
        pd_engine_batch_finish(engine, batch);
    }
    pd_frame_unref(&frame);
    return r;
}
