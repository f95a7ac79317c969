/* SPDX-License-Identifier: Apache-2.0
 *
 * Video decoded on the GPU: the engine's view of a surface against the CPU's letterbox of the same frame decoded in
 * software, within a grey level. Skips, saying so, without a GPU or without a video decoder on it.
 *
 * usage: test-engine-gpu-video [CLIP...]    a rendered one unless others are given; of 60 frames or more each
 */
#include "tests/core/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/engine/engine.h"
#include "decode/reader.h"
#include "tests/engine/netmaker.h"

enum { W = 328, H = 184, FRAMES = 60, EACH = 3 * W * H };
#define LEVEL (1.0f / 256)

static struct maker maker;

static void no_news(struct pd_batch *batch, void *user)
{
    (void)batch, (void)user;
}

/* A network whose output is its input shows what the letterbox made. */
static void build_identity(void)
{
    maker_begin(&maker, 1);
    struct pd_layer *l = maker_layer(&maker, PD_LAYER_CONV, maker.net.input, 3);
    maker_weights(&maker, l, 9, false);
    for (int i = 0; i < 9; i++)
        ((float *)l->weight)[i] = i % 4 == 0;
    for (int c = 0; c < 3; c++) {
        maker.net.meta.input.mean[c] = 128;
        maker.net.meta.input.scale[c] = LEVEL;
    }
}

static struct pd_reader *open_clip(const char *path, const char *hwaccel)
{
    struct pd_err err = {""};
    struct pd_reader *reader = NULL;
    const struct pd_reader_params params = {.input = path, .hwaccel = hwaccel};
    if (pd_reader_open(&params, &reader, &err) < 0)
        printf("# %s\n", err.text);
    return reader;
}

static struct pd_frame *next(struct pd_reader *reader)
{
    struct pd_frame *frame = NULL;
    return pd_reader_next(reader, &frame, NULL) == 0 ? frame : NULL;
}

static float largest_difference(const float *a, const float *b)
{
    float most = 0;
    for (int i = 0; i < EACH; i++)
        most = isfinite(a[i]) ? fmaxf(most, fabsf(a[i] - b[i])) : INFINITY;
    return most;
}

/* What the engine sees of @surface against the CPU's letterbox of @host; a negative value when something failed. */
static float compare(struct pd_engine *engine, struct pd_batch *batch, struct pd_resampler *rs,
                     struct pd_frame *surface, const struct pd_frame *host, float *expected)
{
    struct pd_letterbox lb;
    if (surface->width != host->width || surface->height != host->height ||
        pd_letterbox_fit(host->width, host->height, NULL, W, H, &lb) < 0 ||
        pd_letterbox_run(rs, &lb, host, &maker.net.meta.input, NULL, expected) < 0)
        return -1;
    batch->slot[0] = (struct pd_slot){.frame = surface, .lb = lb};
    if (pd_engine_submit(engine, batch) < 0)
        return -1;
    pd_engine_drain(engine);
    if (batch->status < 0) {
        printf("# %s\n", batch->err.text);
        return -1;
    }
    return largest_difference(batch->slot[0].maps.heat, expected);
}

/* Frame by frame; *ret_surfaces: how many the GPU decoded. */
static bool compare_clip(struct pd_engine *engine, const char *path, int *ret_surfaces)
{
    struct pd_reader *gpu = open_clip(path, "cuda"), *cpu = open_clip(path, "none");
    struct pd_resampler *rs = pd_resampler_create();
    struct pd_batch *batch = calloc(1, sizeof(*batch));
    float *expected = malloc(EACH * sizeof(float)), most = 0;
    bool ok = gpu && cpu && rs && batch && expected;
    if (ok) {
        batch->n = 1;
        batch->width = W;
        batch->height = H;
        batch->done = no_news;
        ok = pd_engine_batch_init(engine, batch, NULL) == 0;
    }
    for (int i = 0; ok && i < cases_of(FRAMES); i++) {
        struct pd_frame *a = next(gpu), *b = next(cpu);
        ok = a && b && a->pts_us == b->pts_us;
        const float d = ok ? compare(engine, batch, rs, a, b, expected) : -1;
        *ret_surfaces += a && a->mem == PD_MEM_CUDA;
        most = fmaxf(most, d);
        if (d < 0 || d > LEVEL) {
            printf("# frame %d: off by %g grey levels\n", i, (double)(d / LEVEL));
            ok = false;
        }
        pd_frame_unref(&a);
        pd_frame_unref(&b);
    }
    printf("# %d of %d frames decoded on the GPU; at most %.3f grey levels off\n", *ret_surfaces, cases_of(FRAMES),
           (double)(most / LEVEL));
    if (batch && batch->engine)
        pd_engine_batch_finish(engine, batch);
    free(batch);
    free(expected);
    pd_resampler_destroy(rs);
    pd_reader_close(gpu);
    pd_reader_close(cpu);
    return ok;
}

static bool have_gpu(struct pd_err *err)
{
    for (int i = 0; pd_engine_name(i); i++)
        if (!strcmp(pd_engine_name(i), "cudnn"))
            return pd_engine_probe(i, err) == 0;
    pd_err_set(err, -1, "this build has no cudnn engine");
    return false;
}

static int test_clip(struct pd_engine *engine, const char *path, int number)
{
    int surfaces = 0;
    const bool ok = compare_clip(engine, path, &surfaces);
    printf("%sok %d - %s: frames decoded on the GPU equal those decoded on the CPU within a grey level%s\n",
           ok ? "" : "not ", number, strrchr(path, '/') ? strrchr(path, '/') + 1 : path,
           ok && surfaces == 0 ? " # SKIP no video decoder on this GPU" : "");
    return !ok;
}

int main(int argc, char **argv)
{
    struct pd_err err = {""};
    struct pd_engine *engine;
    const char *root = getenv("POSED_SOURCE_ROOT");
    const struct pd_engine_params params = {
        .precision = PD_PRECISION_FP32, .width = W, .height = H, .max_batch = 1,
        .cache_dir = getenv("POSED_CACHE_DIR")};
    char path[4096];
    int failed = 0;
    snprintf(path, sizeof(path), "%s/tests/data/store/till.mp4", root ? root : PD_SOURCE_ROOT);
    if (!have_gpu(&err)) {
        printf("1..0 # SKIP no GPU: %s\n", err.text);
        return 0;
    }
    build_identity();
    if (pd_engine_open("cudnn", &maker.net, &params, &engine, &err) < 0) {
        printf("not ok 1 - an engine on the GPU: %s\n1..1\n", err.text);
        return 1;
    }
    for (int i = 1; i < argc; i++)
        failed += test_clip(engine, argv[i], i);
    if (argc < 2)
        failed = test_clip(engine, path, 1);
    printf("1..%d\n", argc < 2 ? 1 : argc - 1);
    pd_engine_close(engine);
    maker_end(&maker);
    return failed > 0;
}
