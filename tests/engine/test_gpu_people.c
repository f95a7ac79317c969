/* SPDX-License-Identifier: Apache-2.0
 *
 * Candidates that the cudnn engine finds on the device against post-processing of the same maps on the CPU: random
 * networks on noise, the bundled network on the store's clips, one batch at a time and several in flight. Skips, saying
 * so, where there is no GPU.
 *
 *   test-gpu-people [SEED]
 */
#include "tests/core/test.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/engine/engine.h"
#include "decode/reader.h"
#include "postproc/post.h"
#include "tests/engine/netmaker.h"
#include "tests/engine/same_candidates.h"

#define FRAMES 16
#define IN_FLIGHT 3
#define CASES_LEAST 3 /* pictures of the store, under a tool that slows everything down */
#define BATCH_MAX 8

static uint64_t seed = 6000;
static struct maker maker;
static struct pd_candidates want;

static int between(int lo, int hi)
{
    return lo + (int)maker_random(&maker, (uint32_t)(hi - lo + 1));
}

static bool have_gpu(void)
{
    for (int i = 0; pd_engine_name(i); i++)
        if (!strcmp(pd_engine_name(i), "cudnn"))
            return pd_engine_probe(i, NULL) == 0;
    return false;
}

static struct pd_engine *open_engine(const struct pd_net *net, enum pd_precision precision, int w, int h, int max_batch,
                                     bool maps_too)
{
    struct pd_err err = {""};
    struct pd_engine *engine = NULL;
    const struct pd_engine_params params = {
        .precision = precision,
        .width = w,
        .height = h,
        .max_batch = max_batch,
        .in_flight = IN_FLIGHT,
        .cache_dir = getenv("POSED_CACHE_DIR"),
        .candidates = true,
        .maps_too = maps_too,
    };
    if (pd_engine_open("cudnn", net, &params, &engine, &err) < 0)
        fail_msg("%s", err.text);
    assert_true(pd_engine_caps(engine)->candidates);
    return engine;
}

/* ---- pictures ---- */

struct pictures {
    int n;
    struct pd_frame *frame[FRAMES];
    struct pd_post_params post[FRAMES]; /* every frame has its own, as every camera may */
};

static void add_picture(struct pictures *p, struct pd_frame *frame)
{
    struct pd_post_params *post = &p->post[p->n];
    assert_non_null(frame);
    *post = pd_post_defaults();
    if (p->n % 3) {
        post->peak_threshold = maker_uniform(&maker, 0.02f, 0.5f);
        post->limb_threshold = maker_uniform(&maker, 0, 0.3f);
        post->limb_fraction = (float)between(0, 10) / 10.0f;
    }
    p->frame[p->n++] = frame;
}

static void add_noise(struct pictures *p, int n, int w, int h)
{
    while (n-- > 0) {
        struct pd_frame *f = pd_frame_alloc(PD_PIX_RGB24, w, h, 0, 0);
        assert_non_null(f);
        for (int y = 0; y < h; y++)
            for (int x = 0; x < 3 * w; x++)
                ((uint8_t *)f->plane[0])[(size_t)y * (size_t)f->stride[0] + (size_t)x] = (uint8_t)between(0, 255);
        add_picture(p, f);
    }
}

/* Up to @n pictures of a clip, some apart. */
static void add_clip(struct pictures *p, int n, const char *name)
{
    char path[4096];
    struct pd_err err = {""};
    struct pd_reader *reader;
    const char *root = getenv("POSED_SOURCE_ROOT");
    snprintf(path, sizeof(path), "%s/tests/data/store/%s.mp4", root ? root : PD_SOURCE_ROOT, name);
    const struct pd_reader_params params = {.input = path};
    if (pd_reader_open(&params, &reader, &err) < 0)
        fail_msg("%s", err.text);
    for (int i = 0; n > 0; i++) {
        struct pd_frame *f;
        if (pd_reader_next(reader, &f, &err) != 0)
            break;
        if (i % 12) {
            pd_frame_unref(&f);
        } else {
            add_picture(p, f);
            n--;
        }
    }
    pd_reader_close(reader);
}

static void free_pictures(struct pictures *p)
{
    for (int i = 0; i < p->n; i++)
        pd_frame_unref(&p->frame[i]);
    p->n = 0;
}

/* Pictures first.. of @p, round and round. */
static void fill_batch(struct pd_batch *b, const struct pictures *p, int first, int n)
{
    b->n = n;
    for (int i = 0; i < n; i++) {
        const int k = (first + i) % p->n;
        struct pd_slot *s = &b->slot[i];
        s->frame = p->frame[k];
        s->find = pd_post_find_params(&p->post[k]);
        assert_int_equal(pd_letterbox_fit(s->frame->width, s->frame->height, NULL, b->width, b->height, &s->lb), 0);
    }
}

static struct pd_batch *make_batch(struct pd_engine *engine, int w, int h)
{
    struct pd_err err = {""};
    struct pd_batch *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    b->width = w;
    b->height = h;
    if (pd_engine_batch_init(engine, b, &err) < 0)
        fail_msg("%s", err.text);
    return b;
}

static void no_news(struct pd_batch *batch, void *user)
{
    (void)batch, (void)user;
}

static void run_batch(struct pd_engine *engine, struct pd_batch *b)
{
    b->done = no_news;
    const int r = pd_engine_submit(engine, b);
    pd_engine_drain(engine);
    if (r < 0 || b->status < 0)
        fail_msg("%s", b->err.text);
}

/* ---- the same people ---- */

struct totals {
    int frames, peaks, connections, people;
};

static void compare_slot(struct pd_post *post, const struct pd_skeleton *skeleton, const struct pd_slot *slot,
                         const struct pd_post_params *params, const char *where, struct totals *t)
{
    static struct pd_people people[2];
    assert_int_equal(pd_post_find_peaks(post, &slot->maps, params, &want), 0);
    assert_int_equal(pd_post_score_limbs(post, &slot->maps, params, &want), 0);
    if (!same_candidates(skeleton, slot->candidates, &want, where))
        fail_msg("%s: the device found something else than the CPU", where);
    assert_int_equal(pd_post_assemble(post, slot->candidates, params, &people[0]), 0);
    assert_int_equal(pd_post_assemble(post, &want, params, &people[1]), 0);
    assert_int_equal(people[0].n, people[1].n);
    assert_memory_equal(people[0].person, people[1].person, sizeof(people[0].person[0]) * (size_t)people[0].n);
    for (int k = 0; k < skeleton->n_keypoints; k++)
        t->peaks += want.n_peaks[k];
    for (int l = 0; l < skeleton->n_limbs; l++)
        t->connections += want.n_connections[l];
    t->people += people[0].n;
    t->frames++;
}

static void compare_batches(const struct pd_net *net, struct pd_engine *engine, const struct pictures *p, int w, int h,
                            int max_batch, struct totals *t)
{
    struct pd_post *post = NULL;
    struct pd_batch *b = make_batch(engine, w, h);
    for (int first = 0; first < p->n; first += b->n) {
        char where[64];
        const int n = between(1, max_batch);
        fill_batch(b, p, first, PD_MIN(n, p->n - first));
        run_batch(engine, b);
        if (!post)
            assert_int_equal(
                pd_post_create(net->meta.skeleton, net->meta.limbs, b->slot[0].maps.w, b->slot[0].maps.h, &post), 0);
        for (int i = 0; i < b->n; i++) {
            snprintf(where, sizeof(where), "picture %d, %d of a batch of %d", first + i, i, b->n);
            compare_slot(post, net->meta.skeleton, &b->slot[i], &p->post[first + i], where, t);
        }
    }
    pd_engine_batch_finish(engine, b);
    free(b);
    pd_post_destroy(post);
}

/* ---- networks ---- */

static int convolution(int channels, enum pd_act act)
{
    struct pd_layer *l = maker_layer(&maker, PD_LAYER_CONV, maker.net.input, channels);
    l->kh = l->kw = 3;
    l->stride_y = l->stride_x = 2;
    l->pad_top = l->pad_left = l->pad_bottom = l->pad_right = 1;
    l->act = act;
    maker_weights(&maker, l, (size_t)channels * 27, true);
    return l->out;
}

/* Confidences and fields straight from the pixels: of noise, noise. */
static void make_random_network(const struct pd_skeleton *skeleton)
{
    int n_paf = 0;
    for (int l = 0; l < skeleton->n_limbs; l++)
        n_paf = PD_MAX(n_paf, PD_MAX(skeleton->limbs[l].paf_x, skeleton->limbs[l].paf_y) + 1);
    const int paf = convolution(n_paf, PD_ACT_NONE), heat = convolution(skeleton->n_keypoints + 1, PD_ACT_SIGMOID);
    struct pd_net_meta *meta = &maker.net.meta;
    maker.net.paf = paf;
    maker.net.heat = heat;
    meta->skeleton = skeleton;
    memcpy(meta->limbs, skeleton->limbs, sizeof(meta->limbs[0]) * (size_t)skeleton->n_limbs);
    meta->stride = 2;
    meta->offset = 0.5f;
    for (int c = 0; c < 3; c++) {
        meta->input.mean[c] = 128;
        meta->input.scale[c] = 1.0f / 128;
    }
}

static void noise_gives_the_same_candidates_as_on_the_cpu(void **state)
{
    if (!have_gpu())
        SKIP("no GPU");
    struct totals t = {0};
    for (int i = 0; i < cases_of(8); i++) {
        struct pictures p = {0};
        maker_begin(&maker, seed + (uint64_t)i);
        printf("# noise, seed %llu\n", (unsigned long long)seed + (unsigned long long)i);
        make_random_network(pd_skeleton_at(i % 3));
        const int w = 2 * between(4, 40), h = 2 * between(4, 30);
        struct pd_engine *engine =
            open_engine(&maker.net, i % 2 ? PD_PRECISION_FP16 : PD_PRECISION_FP32, w, h, 8, true);
        add_noise(&p, 10, w, h);
        compare_batches(&maker.net, engine, &p, w, h, 8, &t);
        pd_engine_close(engine);
        free_pictures(&p);
        maker_end(&maker);
    }
    printf("# noise: %d frames, %d peaks, %d connections, %d people alike\n", t.frames, t.peaks, t.connections,
           t.people);
    assert_true(cases_of(8) < 8 || (t.peaks > 10000 && t.connections > 1000));
}

/* Under such a tool a quarter of the pixels, and batches that two plans do. */
static bool in_short(void)
{
    return cases_of(FRAMES) < FRAMES;
}

struct size {
    int w, h, batch;
};

static struct size store_size(void)
{
    return in_short() ? (struct size){224, 128, 2} : (struct size){448, 256, BATCH_MAX};
}

/* The bundled network and pictures of the store; NULL where it is not there. */
static struct pd_net *load_store(struct pictures *p)
{
    char path[4096];
    struct pd_net *net;
    const char *root = getenv("POSED_SOURCE_ROOT");
    static const char *const clips[] = {"till", "entrance", "aisle", "back"};
    const int total = PD_MAX(cases_of(FRAMES), CASES_LEAST), each = (total + 3) / 4;
    snprintf(path, sizeof(path), "%s/models/posed-lite.onnx", root ? root : PD_SOURCE_ROOT);
    if (pd_net_load(path, &net, NULL) < 0)
        return NULL;
    for (size_t i = 0; i < PD_ARRAY_SIZE(clips) && p->n < total; i++)
        add_clip(p, PD_MIN(each, total - p->n), clips[i]);
    assert_true(p->n > 0);
    return net;
}

static void the_store_has_the_same_people_as_on_the_cpu(void **state)
{
    if (!have_gpu())
        SKIP("no GPU");
    struct totals t = {0};
    for (int i = 0; i < 2; i++) {
        struct pictures p = {0};
        maker_begin(&maker, seed);
        struct pd_net *net = load_store(&p);
        if (!net)
            SKIP("the bundled network is not there");
        const struct size in = store_size();
        const enum pd_precision precision = i ? PD_PRECISION_FP32 : PD_PRECISION_FP16;
        struct pd_engine *engine = open_engine(net, precision, in.w, in.h, in.batch, true);
        compare_batches(net, engine, &p, in.w, in.h, in.batch, &t);
        pd_engine_close(engine);
        free_pictures(&p);
        pd_net_destroy(net);
        maker_end(&maker);
    }
    printf("# store: %d frames, %d peaks, %d connections, %d people alike\n", t.frames, t.peaks, t.connections,
           t.people);
    assert_true(t.people > 0);
}

/* ---- several in flight ---- */

#define BATCHES 48

static int size_of(int i)
{
    return 1 + i * 5 % store_size().batch;
}

struct flight {
    struct pd_batch *batch;
    sem_t free;
    int number; /* of the batch it carries */
    bool same;  /* written by done(), read after `free` */
    const struct pd_candidates (*expected)[BATCH_MAX];
    const struct pd_skeleton *skeleton;
};

static void compare_flight(struct pd_batch *batch, void *user)
{
    struct flight *f = user;
    f->same &= batch->status == 0;
    for (int i = 0; batch->status == 0 && i < batch->n; i++) {
        char where[64];
        snprintf(where, sizeof(where), "batch %d, picture %d of %d", f->number, i, batch->n);
        f->same &= same_candidates(f->skeleton, &batch->slot[i].candidates[0], &f->expected[f->number % 8][i], where);
    }
    sem_post(&f->free);
}

/* Milliseconds for BATCHES batches, @n_flights of them under way at a time. */
static double fly(struct pd_engine *engine, const struct pictures *p, struct flight *flights, int n_flights)
{
    const int64_t begin = pd_now_ns();
    for (int i = 0; i < cases_of(BATCHES); i++) {
        struct flight *f = &flights[i % n_flights];
        while (sem_wait(&f->free))
            ;
        f->number = i;
        fill_batch(f->batch, p, i % 8, size_of(i % 8));
        f->batch->done = compare_flight;
        f->batch->user = f;
        assert_int_equal(pd_engine_submit(engine, f->batch), 0);
    }
    pd_engine_drain(engine);
    return (double)(pd_now_ns() - begin) / 1e6;
}

static void batches_in_flight_do_not_disturb_each_other(void **state)
{
    if (!have_gpu())
        SKIP("no GPU");
    struct pictures p = {0};
    maker_begin(&maker, seed);
    struct pd_net *net = load_store(&p);
    if (!net)
        SKIP("the bundled network is not there");
    struct pd_candidates(*expected)[BATCH_MAX] = calloc(8, sizeof(*expected));
    assert_non_null(expected);
    const struct size in = store_size();
    struct pd_engine *engine = open_engine(net, PD_PRECISION_FP16, in.w, in.h, in.batch, false);
    struct flight flights[IN_FLIGHT];
    for (int i = 0; i < IN_FLIGHT; i++) {
        flights[i] = (struct flight){
            .batch = make_batch(engine, in.w, in.h),
            .same = true,
            .expected = expected,
            .skeleton = net->meta.skeleton,
        };
        sem_init(&flights[i].free, 0, 1);
    }
    for (int i = 0; i < 8; i++) { /* alone, for comparison */
        fill_batch(flights[0].batch, &p, i, size_of(i));
        run_batch(engine, flights[0].batch);
        for (int k = 0; k < size_of(i); k++)
            expected[i][k] = flights[0].batch->slot[k].candidates[0];
    }
    const double alone = fly(engine, &p, flights, 1), together = fly(engine, &p, flights, IN_FLIGHT);
    printf("# %d batches of 1 to %d: %.1f ms one at a time, %.1f ms with %d in flight\n", cases_of(BATCHES), in.batch,
           alone, together, IN_FLIGHT);
    for (int i = 0; i < IN_FLIGHT; i++) {
        assert_true(flights[i].same);
        pd_engine_batch_finish(engine, flights[i].batch);
        free(flights[i].batch);
        sem_destroy(&flights[i].free);
    }
    pd_engine_close(engine);
    free(expected);
    free_pictures(&p);
    pd_net_destroy(net);
    maker_end(&maker);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(noise_gives_the_same_candidates_as_on_the_cpu),
        cmocka_unit_test(the_store_has_the_same_people_as_on_the_cpu),
        cmocka_unit_test(batches_in_flight_do_not_disturb_each_other),
    };
    if (argc > 1)
        seed = strtoull(argv[1], NULL, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
