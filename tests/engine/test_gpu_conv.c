/* SPDX-License-Identifier: Apache-2.0
 *
 * Every way in which the cudnn engine can run a convolution, not only the fastest: each candidate for each convolution
 * of random networks takes its place in the plan, which runs as a CUDA graph, and what comes out is what the reference
 * engine computes. And what is chosen where memory is short, or where a choice is remembered. Skips, saying so, where
 * there is no GPU.
 *
 *   test-engine-gpu-conv [SEED [COUNT [fp32|tf32|fp16]]]
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/engine/cudnn/gpu_conv.h"
#include "core/engine/engine.h"
#include "tests/core/test.h"
#include "tests/engine/randomnet.h"

/* ---- a device that seems to have little memory left: the linker leads calls here ---- */

static size_t largest = SIZE_MAX; /* block that can be had */

cudaError_t __real_cudaMalloc(void **p, size_t bytes);
cudaError_t __wrap_cudaMalloc(void **p, size_t bytes);

cudaError_t __wrap_cudaMalloc(void **p, size_t bytes)
{
    return bytes > largest ? cudaErrorMemoryAllocation : __real_cudaMalloc(p, bytes);
}

/* ---- a network on the device ---- */

static struct maker maker;

static int between(int lo, int hi)
{
    return randomnet_between(&maker, lo, hi);
}

static void no_batch(struct pd_batch *batch, int status)
{
    (void)batch, (void)status;
}

static void tell(const char *line)
{
    printf("# %s\n", line);
}

static const struct pd_gpu_host host = {.done = no_batch, .info = tell};

struct rig {
    struct pd_gpu *gpu;
    struct pd_gpu_net net;
    struct pd_gpu_plan *plan;
    int n, w, h;
    float *input, *maps;  /* device; NCHW */
    float *expected, *got;
    size_t n_input, n_maps;
    const char *what;
    int step; /* of the plan, which candidates stand in for */
    double limit;
    struct pd_err err;
    int tried, nchw, left_out, failed;
};

/* Input into NCHW on the device, and what the reference makes of it. */
static bool prepare_data(struct rig *r)
{
    const struct pd_engine_params p = {.precision = PD_PRECISION_FP32, .width = r->w, .height = r->h,
                                       .max_batch = r->n};
    struct pd_engine *ref = NULL;
    const struct pd_shape *out = &r->net.memory->shapes[maker.net.heat];
    r->n_input = (size_t)r->n * 3 * (size_t)r->h * (size_t)r->w;
    r->n_maps = (size_t)r->n * (size_t)out->c * (size_t)out->h * (size_t)out->w;
    PD_CLEANUP(pd_freep) float *input = malloc(r->n_input * sizeof(float));
    r->expected = malloc(r->n_maps * sizeof(float));
    r->got = malloc(r->n_maps * sizeof(float));
    if (!input || !r->expected || !r->got)
        return false;
    for (size_t i = 0; i < r->n_input; i++)
        input[i] = maker_uniform(&maker, -1.0f, 1.0f);
    bool ok = pd_engine_open("reference", &maker.net, &p, &ref, &r->err) == 0 &&
              pd_engine_forward(ref, r->n, r->w, r->h, input, r->expected, NULL, &r->err) == 0;
    pd_engine_close(ref);
    return ok && pd_gpu_alloc(r->gpu, r->n_input * sizeof(float), (void **)&r->input, &r->err) == 0 &&
           pd_gpu_alloc(r->gpu, r->n_maps * sizeof(float), (void **)&r->maps, &r->err) == 0 &&
           pd_gpu_copy_in(r->gpu, r->input, input, r->n_input * sizeof(float), "uploading", &r->err) == 0;
}

static bool begin(struct rig *r, struct pd_gpu *gpu, int n, int w, int h)
{
    const struct pd_net *net = &maker.net;
    r->gpu = gpu;
    r->n = n;
    r->w = w;
    r->h = h;
    r->net = (struct pd_gpu_net){.gpu = gpu, .net = net};
    r->net.weights = calloc((size_t)net->n_layers, sizeof(*r->net.weights));
    if (!r->net.weights || pd_gpu_memory_create(gpu, net, w, h, n, &r->net.memory, &r->err) < 0)
        return false;
    for (int i = 0; i < net->n_layers; i++) {
        const struct pd_layer *l = &net->layers[i];
        if (pd_gpu_weights_init(gpu, l, net->tensors[l->out].channels, &r->net.weights[i], &r->err) < 0)
            return false;
    }
    return pd_gpu_check(pd_cuda_fill_random(gpu->elem, r->net.memory->arena,
                                            r->net.memory->arena_bytes / gpu->elem_bytes, 1, gpu->compute),
                        "preparing memory", &r->err) == 0;
}

static void end(struct rig *r)
{
    largest = SIZE_MAX;
    pd_gpu_plan_destroy(r->plan);
    for (int i = 0; r->net.weights && i < maker.net.n_layers; i++)
        pd_gpu_weights_finish(r->gpu, &r->net.weights[i]);
    free(r->net.weights);
    pd_gpu_memory_destroy(r->gpu, r->net.memory);
    pd_gpu_free(r->gpu, r->input, r->n_input * sizeof(float));
    pd_gpu_free(r->gpu, r->maps, r->n_maps * sizeof(float));
    free(r->expected);
    free(r->got);
}

/* ---- candidates ---- */

/* Other numbers everywhere, and NaN where the step under test writes and what it calculates in. */
static int poison(struct rig *r, const struct pd_gpu_step *s)
{
    struct pd_gpu *gpu = r->gpu;
    const size_t elem = gpu->elem_bytes, pixels = (size_t)s->out.n * (size_t)s->out.h * (size_t)s->out.w;
    int e = pd_cuda_fill_random(gpu->elem, r->net.memory->arena, r->net.memory->arena_bytes / elem,
                                maker_random(&maker, 1u << 30), gpu->compute);
    if (e == cudaSuccess)
        e = cudaMemset2DAsync(s->out.data, (size_t)s->out.stride * elem, 0xff, (size_t)s->out.c * elem, pixels,
                              gpu->compute);
    if (e == cudaSuccess && gpu->workspace)
        e = cudaMemsetAsync(gpu->workspace, 0xff, gpu->workspace_bytes, gpu->compute);
    return e;
}

/* The plan as it stands, as a graph, from the input to r->got. */
static int run(struct rig *r, const struct pd_gpu_step *s)
{
    struct pd_gpu *gpu = r->gpu;
    const struct pd_view in = pd_gpu_view(gpu, r->net.memory, maker.net.input, r->n);
    const struct pd_view out = pd_gpu_view(gpu, r->net.memory, maker.net.heat, r->n);
    memset(r->got, 0xff, r->n_maps * sizeof(float));
    int e = pd_gpu_plan_capture(&r->net, r->plan, &r->err);
    if (e == 0)
        e = pd_gpu_check(poison(r, s), "poisoning", &r->err);
    if (e == 0)
        e = pd_gpu_check(pd_cuda_from_nchw(gpu->elem, r->input, &in, gpu->compute), "input", &r->err);
    if (e == 0)
        e = pd_gpu_plan_run(&r->net, r->plan, &r->err);
    if (e == 0)
        e = pd_gpu_check(pd_cuda_to_nchw(gpu->elem, &out, r->maps, gpu->compute), "maps", &r->err);
    if (e == 0)
        e = pd_gpu_check(cudaMemcpyAsync(r->got, r->maps, r->n_maps * sizeof(float), cudaMemcpyDeviceToHost,
                                         gpu->compute), "maps", &r->err);
    return e < 0 ? e : pd_gpu_check(cudaStreamSynchronize(gpu->compute), "running", &r->err);
}

/* What the choice would not take either: engines of cuDNN's that do not run, or not in a graph. */
static bool out_of_question(struct rig *r, const struct pd_gpu_step *s)
{
    float ms;
    if (s->method != PD_GPU_BY_CUDNN && s->method != PD_GPU_BY_NCHW)
        return false;
    return pd_gpu_step_time(&r->net, s, r->n, 1, &ms) < 0 || !pd_gpu_step_captures(&r->net, s, r->n);
}

static bool stand_in(struct pd_gpu_search *search, struct pd_gpu_step *s)
{
    struct rig *r = search->user;
    if (out_of_question(r, s)) {
        printf("# %s: %s does not run\n", r->what, s->algorithm);
        r->left_out++;
        pd_gpu_step_finish(s);
        return false;
    }
    const struct pd_gpu_step before = r->plan->steps[r->step];
    r->plan->steps[r->step] = *s;
    /* what they do with the numbers before they multiply costs digits */
    const bool transforms = strstr(s->algorithm, "winograd") || strstr(s->algorithm, "fft");
    const double limit = transforms ? PD_MAX(r->limit, 1e-4) : r->limit;
    int e = run(r, s);
    const double d = e < 0 ? INFINITY : randomnet_difference(r->got, r->expected, r->n_maps);
    if (!(d <= limit)) {
        printf("# %s n%d %dx%d, layer %d by %s: %.2e%s%s\n", r->what, r->n, r->w, r->h, s->layer[0], s->algorithm, d,
               e < 0 ? ": " : "", e < 0 ? r->err.text : "");
        r->failed++;
    }
    r->tried++;
    r->nchw += s->method == PD_GPU_BY_NCHW;
    r->plan->steps[r->step] = before;
    pd_gpu_step_finish(s);
    return false;
}

static void try_all(struct rig *r)
{
    for (int i = 0; i < r->plan->n_steps; i++) {
        const struct pd_gpu_step *s = &r->plan->steps[i];
        const enum pd_layer_kind kind = maker.net.layers[s->layer[0]].kind;
        if (s->n_layers != 1 || s->method == PD_GPU_NOTHING || (kind != PD_LAYER_CONV && kind != PD_LAYER_FC))
            continue;
        struct pd_gpu_search search = {.g = &r->net, .layer = s->layer[0], .n = r->n, .offer = stand_in, .user = r};
        r->step = i;
        if (pd_gpu_search(&search, &r->err) < 0 || search.no_room) {
            printf("# %s: %s\n", r->what, r->err.text);
            r->failed++;
        }
    }
}

/* All candidates of a random network's convolutions. Adds to what @total counts. */
static void random_case(struct pd_gpu *gpu, uint64_t seed, double limit, struct rig *total)
{
    char what[160], label[192];
    randomnet_build(&maker, seed, what, sizeof(what));
    snprintf(label, sizeof(label), "seed %llu: %s", (unsigned long long)seed, what);
    struct rig r = {.what = label, .limit = limit};
    bool ok = begin(&r, gpu, between(1, 3), between(8, 48), between(8, 32)) && prepare_data(&r);
    r.net.guess = true; /* any plan will do, its steps are replaced */
    ok = ok && pd_gpu_plan_create(&r.net, r.n, &r.plan, &r.err) == 0;
    r.net.guess = false;
    r.net.n_twins = 0;
    if (ok)
        try_all(&r);
    else
        printf("# %s: %s\n", label, r.err.text);
    total->failed += r.failed + !ok;
    total->tried += r.tried;
    total->nchw += r.nchw;
    total->left_out += r.left_out;
    end(&r);
    maker_end(&maker);
    fflush(stdout);
}

/* ---- the choice ---- */

#define SIDE 64

/* One 3x3 convolution of 64 channels behind the first layer. */
static bool begin_plain(struct rig *r, struct pd_gpu *gpu)
{
    maker_begin(&maker, 5);
    const int in = maker_conv(&maker, maker.net.input, 64, 3, 1, 1);
    maker_conv(&maker, in, 64, 3, 1, 1);
    return begin(r, gpu, 2, SIDE, SIDE);
}

/* Keeps the first candidate that is cuDNN's through NCHW. */
static bool find_nchw(struct pd_gpu_search *search, struct pd_gpu_step *s)
{
    struct rig *r = search->user;
    if (s->method != PD_GPU_BY_NCHW || r->nchw || out_of_question(r, s)) {
        pd_gpu_step_finish(s);
        return false;
    }
    char key[256], value[96];
    pd_gpu_choose_key(&r->net, s, 1, key, sizeof(key));
    snprintf(value, sizeof(value), "cudnn-nchw %s", pd_cudnn_plan_name(s->plan));
    pd_gpu_choices_put(r->gpu->choices, key, value);
    r->nchw = 1;
    pd_gpu_step_finish(s);
    return true;
}

/* What the file says goes through NCHW does, in the next start's plan too. */
static bool remembered(struct pd_gpu *gpu)
{
    struct rig r = {.what = "remembered", .limit = 2e-5};
    struct pd_gpu_step s = {0};
    bool ok = begin_plain(&r, gpu);
    struct pd_gpu_search search = {.g = &r.net, .layer = 1, .n = r.n, .offer = find_nchw, .user = &r};
    ok = ok && pd_gpu_search(&search, &r.err) == 0 && r.nchw &&
         pd_gpu_step_choose(&r.net, 1, r.n, &s, &r.err) == 0;
    const bool as_told = ok && s.method == PD_GPU_BY_NCHW && strstr(s.algorithm, "nchw");
    if (!as_told)
        printf("# remembered: %s%s\n", s.algorithm, r.err.text);
    pd_gpu_step_finish(&s);
    end(&r);
    maker_end(&maker);
    return as_told;
}

/* What does not fit is passed over, and what is taken instead is not remembered. */
static bool little_memory(struct rig *r)
{
    struct pd_gpu_step s = {0};
    char key[256], value[96];
    largest = (size_t)2 * SIDE * SIDE * 64 * sizeof(float); /* room for the weights, and for one of two tensors */
    bool ok = pd_gpu_step_choose(&r->net, 1, r->n, &s, &r->err) == 0 && s.method != PD_GPU_BY_NCHW && !r->err.text[0];
    pd_gpu_choose_key(&r->net, &s, 1, key, sizeof(key));
    if (!ok || pd_gpu_choices_get(r->gpu->choices, key, value, sizeof(value))) {
        printf("# little memory: %s %s\n", ok ? "remembered" : r->err.text, s.algorithm);
        ok = false;
    }
    pd_gpu_step_finish(&s);
    return ok;
}

/* Where nothing fits, it is memory that is said to be short. */
static bool no_memory(struct rig *r)
{
    struct pd_gpu_weights *w = &r->net.weights[1];
    struct pd_gpu_step s;
    for (int i = 0; i < PD_GPU_LAYOUTS; i++) { /* what is there needs no room */
        pd_gpu_free(r->gpu, w->weight[i], w->bytes[i]);
        w->weight[i] = NULL;
    }
    largest = 0;
    r->err.text[0] = 0;
    const int e = pd_gpu_step_choose(&r->net, 1, r->n, &s, &r->err);
    if (e == -ENOMEM && strstr(r->err.text, "no room"))
        return true;
    printf("# no memory: %d, %s\n", e, r->err.text);
    if (e == 0)
        pd_gpu_step_finish(&s);
    return false;
}

static bool short_of_memory(struct pd_gpu *gpu)
{
    struct rig r = {.what = "short of memory"};
    bool ok = begin_plain(&r, gpu);
    if (!ok)
        printf("# %s\n", r.err.text);
    ok = ok && little_memory(&r) && no_memory(&r);
    end(&r);
    maker_end(&maker);
    return ok;
}

static int report(int number, bool ok, const char *what)
{
    printf("%sok %d - %s\n", ok ? "" : "not ", number, what);
    fflush(stdout);
    return !ok;
}

static struct pd_gpu *open_gpu(enum pd_precision precision)
{
    struct pd_err err = {""};
    struct pd_gpu *gpu = NULL;
    if (pd_gpu_open(&host, 0, precision, NULL, &gpu, &err) < 0)
        printf("# %s\n", err.text);
    return gpu;
}

/* With a device of its own, whose workspace is still empty. */
static bool on_fresh_gpu(bool (*test)(struct pd_gpu *))
{
    struct pd_gpu *gpu = open_gpu(PD_PRECISION_FP32);
    const bool ok = gpu && test(gpu);
    pd_gpu_close(gpu);
    return ok;
}

int main(int argc, char **argv)
{
    const uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)pd_wall_us();
    const int count = cases_of(argc > 2 ? atoi(argv[2]) : 40);
    const char *name = argc > 3 ? argv[3] : "fp32";
    const enum pd_precision precision = !strcmp(name, "fp16")   ? PD_PRECISION_FP16
                                        : !strcmp(name, "tf32") ? PD_PRECISION_TF32
                                                                : PD_PRECISION_FP32;
    const bool fp32 = precision == PD_PRECISION_FP32;
    struct rig total = {0};
    char what[200];
    int devices = 0, failed = 0;
    if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
        printf("1..0 # SKIP no GPU\n");
        return 0;
    }
    printf("# seed %llu\n", (unsigned long long)seed);
    struct pd_gpu *gpu = open_gpu(precision);
    for (int i = 0; gpu && i < count; i++)
        random_case(gpu, seed + (uint64_t)i * 7919, fp32 ? 2e-5 : 3e-3, &total);
    pd_gpu_close(gpu);
    snprintf(what, sizeof(what), "%d candidates of %d networks in %s agree with the reference (%d through NCHW; %d do "
             "not run)", total.tried, count, name, total.nchw, total.left_out);
    failed += report(1, gpu && total.tried && !total.failed && (total.nchw > 0) == fp32, what);
    failed += report(2, on_fresh_gpu(remembered), "a remembered way through NCHW is taken");
    failed += report(3, on_fresh_gpu(short_of_memory), "what does not fit is passed over");
    printf("1..3\n");
    return failed ? 1 : 0;
}
