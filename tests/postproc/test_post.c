/* SPDX-License-Identifier: Apache-2.0
 *
 * The fast path against the plain one of slow.c, step by step, on random scenes of every skeleton.
 */
#include "tests/core/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "postproc/post.h"
#include "tests/postproc/scene.h"
#include "tests/postproc/slow.h"

#define ROUNDING 2e-6 /* decisions closer than this may fall either way */

struct totals {
    int scenes, unclear, peaks, lines, people;
};

static void compare_peaks(const struct scene *s, const struct pd_post_params *params, const struct pd_candidates *cand,
                          struct totals *t)
{
    static struct pd_peak want[PD_PEAKS_MAX];
    for (int k = 0; k < s->skeleton->n_keypoints; k++) {
        int n = slow_find_peaks(&s->maps, k, params->peak_threshold, want);
        assert_int_equal(cand->n_peaks[k], n);
        for (int i = 0; i < n; i++) {
            assert_float_equal(cand->peaks[k][i].x, want[i].x, 8e-3); /* a thousandth of a sample */
            assert_float_equal(cand->peaks[k][i].y, want[i].y, 8e-3);
            assert_float_equal(cand->peaks[k][i].score, want[i].score, 0);
        }
        t->peaks += n;
    }
}

static void compare_limbs(const struct scene *s, const struct pd_post_params *params, const struct pd_candidates *cand,
                          struct totals *t)
{
    static struct pd_connection want[PD_PEAKS_MAX];
    for (int l = 0; l < s->skeleton->n_limbs; l++) {
        double margin = INFINITY;
        int n = slow_match(&s->maps, &s->skeleton->limbs[l], cand, params, want, &margin);
        if (margin < ROUNDING) {
            t->unclear++;
            continue;
        }
        assert_int_equal(cand->n_connections[l], n);
        for (int i = 0; i < n; i++) { /* as sets: the order of two that share no peak may hang on rounding */
            int j = 0;
            while (j < n && cand->connections[l][j].a != want[i].a)
                j++;
            assert_true(j < n);
            assert_int_equal(cand->connections[l][j].b, want[i].b);
            assert_float_equal(cand->connections[l][j].score, want[i].score, 1e-5);
        }
        t->lines += n;
    }
}

static double person_distance(const struct pd_person *a, const struct pd_person *b, int n_keypoints)
{
    double most = fabs((double)a->score - b->score);
    if (a->n_found != b->n_found)
        return INFINITY;
    for (int k = 0; k < n_keypoints; k++) {
        const struct pd_keypoint *p = &a->keypoints[k], *q = &b->keypoints[k];
        if ((p->score > 0) != (q->score > 0))
            return INFINITY;
        if (p->score > 0)
            most =
                fmax(most, fabs((double)p->x - q->x) + fabs((double)p->y - q->y) + fabs((double)p->score - q->score));
    }
    return most;
}

static void compare_people(const struct scene *s, const struct pd_post_params *params, const struct pd_candidates *cand,
                           const struct pd_people *got, struct totals *t)
{
    static struct pd_people want;
    double margin = INFINITY;
    slow_assemble(s->skeleton, cand, params, &want, &margin);
    if (margin < ROUNDING) {
        t->unclear++;
        return;
    }
    assert_int_equal(got->n, want.n);
    assert_int_equal(got->n_keypoints, s->skeleton->n_keypoints);
    for (int i = 0; i < want.n; i++) {
        double nearest = INFINITY;
        for (int j = 0; j < got->n; j++)
            nearest = fmin(nearest, person_distance(&want.person[i], &got->person[j], want.n_keypoints));
        assert_true(nearest < 1e-4);
        assert_true(i == 0 || got->person[i - 1].score >= got->person[i].score);
    }
    t->people += want.n;
}

static void random_people(struct scene *s, uint64_t *random)
{
    int n = (int)scene_uniform(random, 0, 9);
    double missing = scene_uniform(random, 0, 1) < 0.5 ? 0 : 0.25;
    for (int i = 0; i < n; i++) {
        double height = scene_uniform(random, 60, s->maps.h * 8.0);
        double x = scene_uniform(random, 0, s->maps.w * 8.0),
               y = scene_uniform(random, -30, s->maps.h * 8.0 - 0.6 * height);
        scene_add_person(s, x, y, height, missing, random);
    }
}

static void compare_scene(const struct pd_skeleton *skeleton, uint64_t seed, struct totals *t)
{
    static struct pd_candidates cand;
    static struct pd_people people, at_once;
    uint64_t random = seed;
    int w = (int)scene_uniform(&random, 1, 60), h = (int)scene_uniform(&random, 1, 46);
    struct scene *s = scene_create(skeleton, w, h);
    struct pd_post *post = NULL;
    struct pd_post_params params = pd_post_defaults();
    random_people(s, &random);
    scene_render(s, scene_uniform(&random, 5, 14), scene_uniform(&random, 5, 12));
    scene_add_noise(s, scene_uniform(&random, 0, 1) < 0.3 ? 0 : scene_uniform(&random, 0, 0.12), &random);
    if (scene_uniform(&random, 0, 1) < 0.3) {
        params.peak_threshold = (float)scene_uniform(&random, 0.02, 0.5);
        params.limb_threshold = (float)scene_uniform(&random, 0, 0.3);
        params.limb_fraction = (float)((int)scene_uniform(&random, 0, 11)) / 10.0f;
        params.min_keypoints = (int)scene_uniform(&random, 1, 6);
        params.min_score = (float)scene_uniform(&random, 0, 0.3);
    }
    assert_int_equal(pd_post_create(skeleton, skeleton->limbs, w, h, &post), 0);
    memset(&cand, 0xa5, sizeof(cand));
    assert_int_equal(pd_post_find_peaks(post, &s->maps, &params, &cand), 0);
    compare_peaks(s, &params, &cand, t);
    assert_int_equal(pd_post_score_limbs(post, &s->maps, &params, &cand), 0);
    compare_limbs(s, &params, &cand, t);
    assert_int_equal(pd_post_assemble(post, &cand, &params, &people), 0);
    compare_people(s, &params, &cand, &people, t);
    assert_int_equal(pd_post_run(post, &s->maps, &params, &at_once), 0);
    assert_int_equal(at_once.n, people.n);
    assert_memory_equal(at_once.person, people.person, sizeof(people.person[0]) * (size_t)people.n);
    t->scenes++;
    pd_post_destroy(post);
    scene_destroy(s);
}

static void compare_scenes(const char *name, uint64_t seed, int n)
{
    const struct pd_skeleton *skeleton = pd_skeleton_by_name(name);
    struct totals t = {0};
    assert_non_null(skeleton);
    for (int i = 0; i < n; i++) {
        printf("# %s seed %llu\n", name, (unsigned long long)seed + (unsigned long long)i);
        compare_scene(skeleton, seed + (uint64_t)i, &t);
    }
    printf("# %s: %d scenes, %d peaks, %d connections, %d people alike; %d too close to call\n", name, t.scenes,
           t.peaks, t.lines, t.people, t.unclear);
    assert_true(t.people > n); /* the scenes are not empty */
    assert_true(t.unclear < n * skeleton->n_limbs / 4);
}

static void coco18_agrees_with_the_plain_decoder(void **state)
{
    compare_scenes("coco18", 1000, 30);
}

static void body25_agrees_with_the_plain_decoder(void **state)
{
    compare_scenes("body25", 2000, 20);
}

static void mpi15_agrees_with_the_plain_decoder(void **state)
{
    compare_scenes("mpi15", 3000, 30);
}

static void trt18_agrees_with_the_plain_decoder(void **state)
{
    compare_scenes("trt18", 4000, 20);
}

/* The mean of peaks and limbs over the joints found, halved, weighted by the extent: known numbers in, known out. */
static void a_persons_score_is_what_the_formula_says(void **state)
{
    static struct pd_candidates cand;
    static struct pd_people people;
    const struct pd_skeleton *skeleton = pd_skeleton_by_name("coco18");
    const struct pd_limb *limb = &skeleton->limbs[0];
    struct pd_post_params params = pd_post_defaults();
    struct pd_post *post = NULL;
    params.min_keypoints = 1;
    params.min_score = 0;
    memset(&cand, 0, sizeof(cand));
    cand.n_peaks[limb->a] = cand.n_peaks[limb->b] = cand.n_connections[0] = 2;
    cand.peaks[limb->a][0] = (struct pd_peak){100, 50, 0.8f};
    cand.peaks[limb->b][0] = (struct pd_peak){90, 146, 0.6f}; /* 96 pixels tall */
    cand.peaks[limb->a][1] = (struct pd_peak){300, 50, 0.8f};
    cand.peaks[limb->b][1] = (struct pd_peak){492, 60, 0.6f}; /* 192 pixels wide */
    cand.connections[0][0] = (struct pd_connection){0, 0, 0.5f};
    cand.connections[0][1] = (struct pd_connection){1, 1, 0.5f};
    assert_int_equal(pd_post_create(skeleton, skeleton->limbs, 80, 46, &post), 0);
    assert_int_equal(pd_post_assemble(post, &cand, &params, &people), 0);
    assert_int_equal(people.n, 2);
    const double certain = (0.8 + 0.6 + 0.5) / 2 / 2;
    assert_float_equal(people.person[0].score, certain * 192 / (192 + 64), 1e-6); /* the larger comes first */
    assert_float_equal(people.person[1].score, certain * 96 / (96 + 64), 1e-6);
    pd_post_destroy(post);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(coco18_agrees_with_the_plain_decoder),
        cmocka_unit_test(body25_agrees_with_the_plain_decoder),
        cmocka_unit_test(mpi15_agrees_with_the_plain_decoder),
        cmocka_unit_test(trt18_agrees_with_the_plain_decoder),
        cmocka_unit_test(a_persons_score_is_what_the_formula_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
