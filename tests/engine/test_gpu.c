/* SPDX-License-Identifier: Apache-2.0
 *
 * The cudnn engine against the reference engine: layers with random shapes and batch sizes, and frames of every pixel
 * format against the CPU's letterbox. Skips, saying so, where there is no GPU.
 *
 *   test-engine-gpu [SEED [COUNT]]
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/engine/engine.h"
#include "tests/engine/randomnet.h"

static struct maker maker; /* also draws the inputs */

static int between(int lo, int hi)
{
    return randomnet_between(&maker, lo, hi);
}

/* ---- comparison ---- */

/* The first image alone is another plan, for which the scratch that all plans share may move. Both must be right after
 * that: how far they are off. */
static double after_another_plan(struct pd_engine *gpu, int n, int w, int h, const float *input, float *heat,
                                 const float *expected, size_t n_heat, struct pd_err *err)
{
    const int batches[] = {1, n};
    double most = 0;
    for (int i = 0; i < 2; i++) {
        memset(heat, 0xff, n_heat * sizeof(float));
        if (pd_engine_forward(gpu, batches[i], w, h, input, heat, NULL, err) < 0)
            return INFINITY;
        const double d = randomnet_difference(heat, expected, n_heat / (size_t)n * (size_t)batches[i]);
        most = d > most ? d : most;
    }
    return most;
}

static int compare(const struct pd_net *net, enum pd_precision precision, int n, int w, int h, double limit,
                   const char *what)
{
    struct pd_err err = {""};
    struct pd_engine *gpu = NULL, *ref = NULL;
    struct pd_engine_params p = {.precision = precision, .width = w, .height = h, .max_batch = n,
                                 .cache_dir = getenv("POSED_CACHE_DIR")};
    struct pd_engine_params q = {.precision = PD_PRECISION_FP32, .width = w, .height = h, .max_batch = n};
    struct pd_shape *shapes = calloc((size_t)net->n_tensors, sizeof(*shapes));
    int failed = 1;
    float *input = NULL, *heat[2] = {0}, *paf[2] = {0};
    if (!shapes || pd_net_shapes(net, h, w, shapes, &err) < 0 || pd_engine_open("cudnn", net, &p, &gpu, &err) < 0 ||
        pd_engine_open("reference", net, &q, &ref, &err) < 0)
        goto out;
    const struct pd_shape *sh = &shapes[net->heat], *sp = net->paf >= 0 ? &shapes[net->paf] : NULL;
    const size_t nh = (size_t)n * (size_t)sh->c * (size_t)sh->h * (size_t)sh->w;
    const size_t np = sp ? (size_t)n * (size_t)sp->c * (size_t)sp->h * (size_t)sp->w : 0;
    input = malloc((size_t)n * 3 * (size_t)w * (size_t)h * sizeof(float));
    for (size_t i = 0; i < (size_t)n * 3 * (size_t)w * (size_t)h; i++)
        input[i] = maker_uniform(&maker, -1.0f, 1.0f);
    for (int i = 0; i < 2; i++) {
        heat[i] = malloc(nh * sizeof(float));
        paf[i] = malloc((np + 1) * sizeof(float));
        memset(heat[i], 0xff, nh * sizeof(float)); /* NaN: what is not written is seen */
        memset(paf[i], 0xff, np * sizeof(float));
    }
    if (pd_engine_forward(gpu, n, w, h, input, heat[0], np ? paf[0] : NULL, &err) < 0 ||
        pd_engine_forward(ref, n, w, h, input, heat[1], np ? paf[1] : NULL, &err) < 0)
        goto out;
    const double dh = randomnet_difference(heat[0], heat[1], nh);
    const double dp = np ? randomnet_difference(paf[0], paf[1], np) : 0;
    const double again = precision == PD_PRECISION_FP32
                             ? after_another_plan(gpu, n, w, h, input, heat[0], heat[1], nh, &err) : 0;
    failed = !(dh <= limit && dp <= limit && again <= limit);
    if (failed)
        printf("# %s n%d %dx%d %s: heat %.2e paf %.2e again %.2e  <-- over the limit\n", what, n, w, h,
               pd_precision_name(precision), dh, dp, again);
    if (again == INFINITY)
        goto out;
    err.text[0] = 0;
out:
    if (err.text[0])
        printf("# %s n%d %dx%d: %s\n", what, n, w, h, err.text);
    pd_engine_close(gpu);
    pd_engine_close(ref);
    free(shapes);
    free(input);
    for (int i = 0; i < 2; i++) {
        free(heat[i]);
        free(paf[i]);
    }
    fflush(stdout);
    return failed;
}

static int random_layers(uint64_t seed, int count)
{
    int failed = 0;
    for (int i = 0; i < count; i++) {
        char what[128], where[192];
        randomnet_build(&maker, seed + (uint64_t)i * 7919, what, sizeof(what));
        snprintf(where, sizeof(where), "case %d: %s", i, what);
        const enum pd_precision p = i % 5 ? PD_PRECISION_FP16 : PD_PRECISION_FP32;
        const double limit = p == PD_PRECISION_FP16 ? 3e-3 : 2e-5;
        failed += compare(&maker.net, p, between(1, 6), between(8, 70), between(8, 40), limit, where);
        maker_end(&maker);
    }
    return failed;
}

/* ---- frames through the letterbox ---- */

#define FRAMES 5 /* no plan's size: the plan for 8 runs with three idle images */

struct pictures {
    struct pd_frame *frame[FRAMES];
    struct pd_letterbox lb[FRAMES];
    uint8_t *mask[FRAMES];
    float *expected[FRAMES]; /* 3 x h x w */
};

static struct pd_frame *random_frame(void)
{
    const enum pd_pix format = (enum pd_pix)between(PD_PIX_YUV, PD_PIX_GRAY8);
    struct pd_frame *f = pd_frame_alloc(format, between(1, 400), between(1, 300), between(0, 2), between(0, 2));
    if (!f)
        return NULL;
    f->range = between(0, 1) ? PD_RANGE_FULL : PD_RANGE_LIMITED;
    f->matrix = (enum pd_matrix)between(PD_MATRIX_BT601, PD_MATRIX_BT2020);
    const int lowest = format == PD_PIX_P010 ? 64 : 1; /* P010's low bits are zero */
    for (int i = 0; i < pd_frame_planes(format); i++)
        for (int y = 0; y < pd_frame_plane_rows(f, i); y++) {
            uint8_t *row = (uint8_t *)f->plane[i] + (size_t)y * (size_t)f->stride[i];
            for (int x = 0; x < pd_frame_plane_row_bytes(f, i); x++)
                row[x] = (uint8_t)(lowest > 1 && x % 2 == 0 ? between(0, 3) * lowest : between(0, 255));
        }
    return f;
}

static bool make_pictures(struct pictures *p, const struct pd_normalise *norm, int w, int h)
{
    struct pd_resampler *rs = pd_resampler_create();
    bool ok = rs != NULL;
    for (int i = 0; ok && i < FRAMES; i++) {
        p->frame[i] = random_frame();
        p->expected[i] = malloc((size_t)w * (size_t)h * 3 * sizeof(float));
        if (!p->frame[i] || !p->expected[i]) {
            ok = false;
            break;
        }
        const int fw = p->frame[i]->width, fh = p->frame[i]->height;
        const struct pd_rect roi = {between(0, fw - 1), between(0, fh - 1), between(1, fw), between(1, fh)};
        if (!between(0, 2) && (p->mask[i] = malloc((size_t)w * (size_t)h)))
            for (int k = 0; k < w * h; k++)
                p->mask[i][k] = (uint8_t)between(0, 1);
        ok = pd_letterbox_fit(fw, fh, between(0, 1) ? &roi : NULL, w, h, &p->lb[i]) == 0 &&
             pd_letterbox_run(rs, &p->lb[i], p->frame[i], norm, p->mask[i], p->expected[i]) == 0;
    }
    pd_resampler_destroy(rs);
    return ok;
}

static void free_pictures(struct pictures *p)
{
    for (int i = 0; i < FRAMES; i++) {
        pd_frame_unref(&p->frame[i]);
        free(p->mask[i]);
        free(p->expected[i]);
    }
}

static void no_news(struct pd_batch *batch, void *user)
{
    (void)batch, (void)user;
}

/* Frames first.. (n of them) as one batch; true when every value is within @limit of what the CPU makes of them. */
static bool same_as_cpu(struct pd_engine *engine, const struct pictures *p, int first, int n, int w, int h, float limit)
{
    struct pd_err err = {""};
    struct pd_batch *b = calloc(1, sizeof(*b));
    if (!b)
        return false;
    b->n = n;
    b->width = w;
    b->height = h;
    b->done = no_news;
    for (int i = 0; i < n; i++)
        b->slot[i] = (struct pd_slot){.frame = p->frame[first + i], .lb = p->lb[first + i], .mask = p->mask[first + i]};
    bool ok = pd_engine_batch_init(engine, b, &err) == 0 && pd_engine_submit(engine, b) == 0;
    pd_engine_drain(engine);
    ok = ok && b->status == 0;
    if (!ok)
        printf("# %s%s\n", err.text, b->err.text);
    for (int i = 0; ok && i < n; i++)
        for (int k = 0; ok && k < 3 * w * h; k++)
            if (!(fabsf(b->slot[i].maps.heat[k] - p->expected[first + i][k]) <= limit)) {
                const struct pd_frame *f = p->frame[first + i];
                printf("# frame %d of %d, format %d, %dx%d, to %dx%d of %dx%d: channel %d at %d,%d is %g, not %g\n", i,
                       n, (int)f->format, f->width, f->height, p->lb[first + i].in_w, p->lb[first + i].in_h, w, h,
                       k / (w * h), k % w, k / w % h, (double)b->slot[i].maps.heat[k],
                       (double)p->expected[first + i][k]);
                ok = false;
            }
    pd_engine_batch_finish(engine, b);
    free(b);
    return ok;
}

/* A network whose output is its input shows what the letterbox made. */
static bool letterbox_case(uint64_t seed, enum pd_precision precision)
{
    struct pd_err err = {""};
    struct pd_engine *engine = NULL;
    struct pictures p = {0};
    maker_begin(&maker, seed);
    struct pd_layer *l = maker_layer(&maker, PD_LAYER_CONV, maker.net.input, 3);
    maker_weights(&maker, l, 9, false);
    for (int i = 0; i < 9; i++)
        ((float *)l->weight)[i] = i % 4 == 0;
    struct pd_normalise *norm = &maker.net.meta.input;
    const float step = 1.0f / 256; /* of one grey level */
    for (int c = 0; c < 3; c++) {
        norm->mean[c] = maker_uniform(&maker, 0, 255);
        norm->scale[c] = step;
    }
    norm->bgr = between(0, 1);
    const int w = between(8, 200), h = between(8, 150);
    const struct pd_engine_params q = {.precision = precision, .width = w, .height = h, .max_batch = 8,
                                       .cache_dir = getenv("POSED_CACHE_DIR")};
    bool ok = make_pictures(&p, norm, w, h) && pd_engine_open("cudnn", &maker.net, &q, &engine, &err) == 0;
    if (!ok)
        printf("# seed %llu: %s\n", (unsigned long long)seed, err.text);
    ok = ok && same_as_cpu(engine, &p, 0, FRAMES, w, h, step);
    for (int i = 0; ok && i < FRAMES; i++)
        ok = same_as_cpu(engine, &p, i, 1, w, h, step);
    pd_engine_close(engine);
    free_pictures(&p);
    maker_end(&maker);
    return ok;
}

static int random_frames(uint64_t seed, int count)
{
    int failed = 0;
    for (int i = 0; i < count; i++)
        failed += !letterbox_case(seed + (uint64_t)i * 104729, i % 2 ? PD_PRECISION_FP16 : PD_PRECISION_FP32);
    return failed;
}

int main(int argc, char **argv)
{
    struct pd_err err = {""};
    const uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)pd_wall_us();
    const int count = argc > 2 ? atoi(argv[2]) : 60;
    int failed = 0, gpu = -1;
    for (int i = 0; pd_engine_name(i); i++)
        if (!strcmp(pd_engine_name(i), "cudnn"))
            gpu = i;
    if (gpu < 0 || pd_engine_probe(gpu, &err) < 0) {
        printf("1..0 # SKIP no GPU: %s\n", gpu < 0 ? "this build has no cudnn engine" : err.text);
        return 0;
    }
    printf("# seed %llu\n", (unsigned long long)seed);
    failed += random_layers(seed, count);
    printf("%sok 1 - %d random layers agree with the reference\n", failed ? "not " : "", count);
    const int frames_failed = random_frames(seed, PD_MAX(count / 3, 1));
    printf("%sok 2 - frames of every format become the input that the CPU makes of them\n",
           frames_failed ? "not " : "");
    failed += frames_failed;
    printf("1..2\n");
    return failed ? 1 : 0;
}
