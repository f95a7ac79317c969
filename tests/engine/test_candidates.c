/* SPDX-License-Identifier: Apache-2.0
 *
 * The kernels that find peaks and limbs against postproc/: the same maps must give the same bytes, for maps as networks
 * make them and for such as only broken ones do. Built twice: with the kernels run by threads of the CPU, and
 * (ON_DEVICE) with the GPU's, where there is one.
 *
 *   test-candidates [SEED]
 */
#include "tests/core/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "postproc/post.h"
#include "tests/engine/candidates_backend.h"
#include "tests/engine/same_candidates.h"
#include "tests/postproc/scene.h"

#define FRAMES_MAX 4

static uint64_t seed = 4000;
static struct pd_candidates got[FRAMES_MAX], want;

/* ---- maps ---- */

struct maps { /* of several frames */
    const struct pd_skeleton *skeleton;
    int n, n_heat, n_paf, w, h;
    float *heat, *paf;
};

static struct maps make_maps(const struct pd_skeleton *skeleton, int n, int w, int h)
{
    struct scene *s = scene_create(skeleton, 1, 1);
    struct maps m = {skeleton, n, s->maps.n_heat, s->maps.n_paf, w, h, NULL, NULL};
    scene_destroy(s);
    m.heat = calloc((size_t)(n * m.n_heat * w * h), sizeof(float));
    m.paf = calloc((size_t)(n * m.n_paf * w * h), sizeof(float));
    assert_true(m.heat && m.paf);
    return m;
}

static void free_maps(struct maps *m)
{
    free(m->heat);
    free(m->paf);
}

static int between(uint64_t *random, int lo, int hi)
{
    return lo + (int)(scene_random(random) % (uint64_t)(hi - lo + 1));
}

static const struct pd_skeleton *any_skeleton(uint64_t *random)
{
    int n = 0;
    while (pd_skeleton_at(n))
        n++;
    return pd_skeleton_at(between(random, 0, n - 1));
}

/* @fill gives each value of every map. */
static struct maps filled_maps(const struct pd_skeleton *skeleton, int n, int w, int h,
                               float (*fill)(bool paf, int x, int y, uint64_t *random), uint64_t *random)
{
    struct maps m = make_maps(skeleton, n, w, h);
    for (int i = 0; i < n * m.n_heat * w * h; i++)
        m.heat[i] = fill(false, i % w, i / w % h, random);
    for (int i = 0; i < n * m.n_paf * w * h; i++)
        m.paf[i] = fill(true, i % w, i / w % h, random);
    return m;
}

static struct maps scene_maps(const struct pd_skeleton *skeleton, int n, int w, int h, int people, double noise,
                              uint64_t *random)
{
    struct maps m = make_maps(skeleton, n, w, h);
    for (int f = 0; f < n; f++) {
        struct scene *s = scene_create(skeleton, w, h);
        for (int i = between(random, people / 2, people); i > 0; i--) {
            const double height = scene_uniform(random, 40, h * 8.0);
            scene_add_person(s, scene_uniform(random, 0, w * 8.0), scene_uniform(random, -30, h * 8.0 - 0.6 * height),
                             height, 0.1, random);
        }
        scene_render(s, scene_uniform(random, 5, 14), scene_uniform(random, 5, 12));
        scene_add_noise(s, noise, random);
        memcpy(m.heat + (size_t)(f * m.n_heat * w * h), s->heat, sizeof(float) * (size_t)(m.n_heat * w * h));
        memcpy(m.paf + (size_t)(f * m.n_paf * w * h), s->paf, sizeof(float) * (size_t)(m.n_paf * w * h));
        scene_destroy(s);
    }
    return m;
}

/* ---- comparison ---- */

struct totals {
    int frames, peaks, connections, people;
    unsigned capped;
};

/* Put @m through both, every frame with its own thresholds. */
static void compare(const struct maps *m, const struct pd_post_params *params, uint64_t *random, struct totals *t)
{
    static struct pd_people people[2];
    struct pd_post *post = NULL;
    const float stride = 8, offset = 3.5f;
    struct pd_finder f = {
        .heat = m->heat,
        .paf = m->paf,
        .n = m->n,
        .n_heat = m->n_heat,
        .n_paf = m->n_paf,
        .w = m->w,
        .h = m->h,
        .stride = stride,
        .offset = offset,
        .n_keypoints = m->skeleton->n_keypoints,
        .n_limbs = m->skeleton->n_limbs,
        .n_pair_blocks = between(random, 1, 5),
    };
    memcpy(f.limbs, m->skeleton->limbs, sizeof(f.limbs[0]) * (size_t)f.n_limbs);
    for (int i = 0; i < m->n; i++)
        f.params[i] = pd_post_find_params(&params[i]);
    memset(got, 0xa5, sizeof(got));
    backend_find(&f, got, random);
    assert_int_equal(pd_post_create(m->skeleton, m->skeleton->limbs, m->w, m->h, &post), 0);
    for (int i = 0; i < m->n; i++) {
        const struct pd_maps one = {m->w,
                                    m->h,
                                    m->n_heat,
                                    m->n_paf,
                                    m->heat + (size_t)(i * m->n_heat * m->w * m->h),
                                    m->paf + (size_t)(i * m->n_paf * m->w * m->h),
                                    stride,
                                    offset};
        assert_int_equal(pd_post_find_peaks(post, &one, &params[i], &want), 0);
        assert_int_equal(pd_post_score_limbs(post, &one, &params[i], &want), 0);
        char where[32];
        snprintf(where, sizeof(where), "frame %d", i);
        assert_true(same_candidates(m->skeleton, &got[i], &want, where));
        assert_int_equal(pd_post_assemble(post, &got[i], &params[i], &people[0]), 0);
        assert_int_equal(pd_post_assemble(post, &want, &params[i], &people[1]), 0);
        assert_int_equal(people[0].n, people[1].n);
        assert_memory_equal(people[0].person, people[1].person, sizeof(people[0].person[0]) * (size_t)people[0].n);
        for (int k = 0; k < m->skeleton->n_keypoints; k++)
            t->peaks += want.n_peaks[k];
        for (int l = 0; l < m->skeleton->n_limbs; l++)
            t->connections += want.n_connections[l];
        t->people += people[0].n;
        t->capped += want.capped_peaks;
        t->frames++;
    }
    pd_post_destroy(post);
}

static void random_params(struct pd_post_params *params, uint64_t *random)
{
    for (int i = 0; i < FRAMES_MAX; i++) {
        params[i] = pd_post_defaults();
        if (between(random, 0, 1))
            continue;
        params[i].peak_threshold = between(random, 0, 2) ? (float)scene_uniform(random, 0, 0.5) : 0.0f;
        params[i].limb_threshold = (float)scene_uniform(random, 0, 0.3);
        params[i].limb_fraction = (float)between(random, 0, 10) / 10.0f;
        params[i].min_keypoints = between(random, 1, 6);
        params[i].min_score = (float)scene_uniform(random, 0, 0.3);
    }
}

static void tell(const char *what, const struct totals *t)
{
    printf("# %s: %d frames, %d peaks (%u more let go), %d connections, %d people alike\n", what, t->frames, t->peaks,
           t->capped, t->connections, t->people);
}

/* ---- cases ---- */

#define SKIP_WITHOUT_BACKEND()                                                                                         \
    do {                                                                                                               \
        if (!backend_ready())                                                                                          \
            SKIP("no GPU");                                                                                            \
    } while (0)

static void people_of_every_skeleton_come_out_the_same(void **state)
{
    SKIP_WITHOUT_BACKEND();
    struct totals t = {0};
    for (int i = 0; i < cases_of(CASES); i++) {
        uint64_t random = seed + (uint64_t)i;
        struct pd_post_params params[FRAMES_MAX];
        printf("# scenes, seed %llu\n", (unsigned long long)random);
        random_params(params, &random);
        const struct pd_skeleton *skeleton = any_skeleton(&random);
        struct maps m = scene_maps(skeleton, between(&random, 1, FRAMES_MAX), between(&random, 8, 60),
                                   between(&random, 8, 46), 6, i % 3 ? scene_uniform(&random, 0, 0.12) : 0, &random);
        compare(&m, params, &random, &t);
        free_maps(&m);
    }
    tell("scenes", &t);
    assert_true(t.people > t.frames / 2);
}

static void a_crowd_comes_out_the_same(void **state)
{
    SKIP_WITHOUT_BACKEND();
    struct totals t = {0};
    uint64_t random = seed + 100;
    struct pd_post_params params[FRAMES_MAX];
    random_params(params, &random);
    struct maps m = scene_maps(pd_skeleton_by_name("coco18"), 2, 82, 46, 60, 0.02, &random);
    compare(&m, params, &random, &t);
    free_maps(&m);
    tell("crowd", &t);
    assert_true(t.people > 20);
}

static float noise(bool paf, int x, int y, uint64_t *random)
{
    return (float)scene_uniform(random, paf ? -1 : 0, 1);
}

/* Few values: flat tops and equal scores everywhere, so that only the order of reading decides. */
static float steps(bool paf, int x, int y, uint64_t *random)
{
    return (float)between(random, paf ? -2 : 0, 2) * 0.5f;
}

static float signed_zeros(bool paf, int x, int y, uint64_t *random)
{
    return between(random, 0, 1) ? (paf ? 0.5f : 0.0f) : -0.0f;
}

static float bad_values(bool paf, int x, int y, uint64_t *random)
{
    const float bad[] = {NAN, -NAN, INFINITY, -INFINITY, 1e38f, -1e38f, 1e-42f, -0.0f, 5.0f, 4.0f};
    return between(random, 0, 3) ? noise(paf, x, y, random) : bad[between(random, 0, 9)];
}

static float any_bits(bool paf, int x, int y, uint64_t *random)
{
    const uint32_t bits = (uint32_t)scene_random(random);
    float v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

static float ones(bool paf, int x, int y, uint64_t *random)
{
    return 1.0f;
}

static float very_much(bool paf, int x, int y, uint64_t *random)
{
    return INFINITY;
}

static float nothing(bool paf, int x, int y, uint64_t *random)
{
    return NAN;
}

/* A peak at every other sample of every other row: as many as there can be. */
static float grid_of_peaks(bool paf, int x, int y, uint64_t *random)
{
    return paf ? (float)scene_uniform(random, 0.2, 1) : x % 2 || y % 2 ? 0.0f : (float)scene_uniform(random, 0.1, 1);
}

/* The same with all alike: who is kept, and whom with, is a matter of order alone. */
static float even_grid_of_peaks(bool paf, int x, int y, uint64_t *random)
{
    return paf ? 0.7f : x % 2 || y % 2 ? 0.0f : 0.5f;
}

static void compare_filled(const char *what, float (*fill)(bool, int, int, uint64_t *), int cases, int w_max, int h_max)
{
    struct totals t = {0};
    for (int i = 0; i < cases; i++) {
        uint64_t random = seed + 1000 + (uint64_t)i;
        struct pd_post_params params[FRAMES_MAX];
        printf("# %s, seed %llu\n", what, (unsigned long long)random);
        random_params(params, &random);
        const struct pd_skeleton *skeleton = any_skeleton(&random);
        const int small = i % 3 == 0, n = between(&random, 1, FRAMES_MAX);
        struct maps m = filled_maps(skeleton, n, between(&random, 1, small ? 4 : w_max),
                                    between(&random, 1, small ? 4 : h_max), fill, &random);
        compare(&m, params, &random, &t);
        free_maps(&m);
    }
    tell(what, &t);
}

static void noise_of_any_size_comes_out_the_same(void **state)
{
    SKIP_WITHOUT_BACKEND();
    compare_filled("noise", noise, cases_of(CASES), 30, 24);
}

static void equal_values_are_taken_in_the_same_order(void **state)
{
    SKIP_WITHOUT_BACKEND();
    compare_filled("steps", steps, cases_of(CASES), 30, 24);
    compare_filled("signed zeros", signed_zeros, cases_of(CASES), 16, 12);
}

static void bad_values_come_out_the_same(void **state)
{
    SKIP_WITHOUT_BACKEND();
    compare_filled("bad values", bad_values, cases_of(CASES), 30, 24);
    compare_filled("any bits", any_bits, cases_of(CASES), 30, 24);
}

static void flat_maps_come_out_the_same(void **state)
{
    SKIP_WITHOUT_BACKEND();
    compare_filled("ones", ones, cases_of(4), 50, 50);
    compare_filled("infinities", very_much, cases_of(4), 50, 50);
    compare_filled("no numbers", nothing, cases_of(4), 50, 50);
}

/* More peaks than are kept, and with them as many pairs as there can be. */
static void compare_full(float (*fill)(bool, int, int, uint64_t *))
{
    struct totals t = {0};
    uint64_t random = seed + 2000;
    struct pd_post_params params[FRAMES_MAX];
    for (int i = 0; i < FRAMES_MAX; i++) {
        params[i] = pd_post_defaults();
        params[i].limb_threshold = -1;
    }
    struct maps m = filled_maps(pd_skeleton_by_name("mpi15"), 1, 47, 45, fill, &random);
    compare(&m, params, &random, &t);
    free_maps(&m);
    tell("full maps", &t);
    assert_int_equal(t.peaks, 15 * PD_PEAKS_MAX);
    assert_int_equal(t.capped, 15 * (24 * 23 - PD_PEAKS_MAX));
    assert_true(t.connections > 14 * 100);
}

static void what_the_cap_lets_go_is_the_same(void **state)
{
    SKIP_WITHOUT_BACKEND();
    compare_full(grid_of_peaks);
}

static void what_the_cap_lets_go_of_equals_is_the_same(void **state)
{
    SKIP_WITHOUT_BACKEND();
    compare_full(even_grid_of_peaks);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(people_of_every_skeleton_come_out_the_same),
        cmocka_unit_test(a_crowd_comes_out_the_same),
        cmocka_unit_test(noise_of_any_size_comes_out_the_same),
        cmocka_unit_test(equal_values_are_taken_in_the_same_order),
        cmocka_unit_test(bad_values_come_out_the_same),
        cmocka_unit_test(flat_maps_come_out_the_same),
        cmocka_unit_test(what_the_cap_lets_go_is_the_same),
        cmocka_unit_test(what_the_cap_lets_go_of_equals_is_the_same),
    };
    if (argc > 1)
        seed = strtoull(argv[1], NULL, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
