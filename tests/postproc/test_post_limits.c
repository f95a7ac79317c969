/* SPDX-License-Identifier: Apache-2.0
 *
 * What post-processing promises whatever the maps hold: bounds, counts, order, and what may change the result.
 */
#include "tests/core/test.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/letterbox.h"
#include "postproc/post.h"
#include "tests/postproc/scene.h"

static struct pd_candidates cand;
static struct pd_people people;

static const struct pd_skeleton *coco(void)
{
    return pd_skeleton_by_name("coco18");
}

static struct pd_post *open_post(const struct scene *s)
{
    struct pd_post *post = NULL;
    assert_int_equal(pd_post_create(s->skeleton, s->skeleton->limbs, s->maps.w, s->maps.h, &post), 0);
    return post;
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Run, check what holds of any result, and return the CPU time taken. */
static double run(const struct scene *s, const struct pd_post_params *params)
{
    struct pd_post *post = open_post(s);
    double before = cpu_seconds();
    assert_int_equal(pd_post_run(post, &s->maps, params, &people), 0);
    double took = cpu_seconds() - before;
    assert_in_range(people.n, 0, params->max_people);
    for (int i = 0; i < people.n; i++) {
        const struct pd_person *p = &people.person[i];
        int found = 0;
        assert_true(p->score >= params->min_score && p->score <= 1.0f);
        assert_true(i == 0 || people.person[i - 1].score >= p->score);
        assert_int_equal(p->id, 0);
        for (int k = 0; k < s->skeleton->n_keypoints; k++) {
            assert_true(p->keypoints[k].score >= 0.0f && p->keypoints[k].score <= 1.0f);
            found += p->keypoints[k].score > 0.0f;
            assert_true(p->keypoints[k].x >= 0.0f && p->keypoints[k].x <= (float)(s->maps.w * 8));
            assert_true(p->keypoints[k].y >= 0.0f && p->keypoints[k].y <= (float)(s->maps.h * 8));
        }
        assert_int_equal(p->n_found, found);
        assert_true(found >= params->min_keypoints);
    }
    pd_post_destroy(post);
    return took;
}

static void fill(struct scene *s, float heat, float paf)
{
    for (int i = 0; i < s->maps.w * s->maps.h * s->maps.n_heat; i++)
        s->heat[i] = heat;
    for (int i = 0; i < s->maps.w * s->maps.h * s->maps.n_paf; i++)
        s->paf[i] = paf;
}

/* The bound is loose because sanitizers and busy machines are slow; a plain build takes a few milliseconds. */
static void saturated_maps_are_one_peak_each_and_take_no_time(void **state)
{
    struct scene *s = scene_create(coco(), 82, 46);
    struct pd_post_params params = pd_post_defaults();
    float values[] = {1.0f, 1e30f, INFINITY};
    for (int i = 0; i < 3; i++) {
        fill(s, values[i], values[i]);
        assert_true(run(s, &params) < 0.5);
        assert_true(people.n <= 1);
    }
    struct pd_post *post = open_post(s);
    assert_int_equal(pd_post_find_peaks(post, &s->maps, &params, &cand), 0);
    for (int k = 0; k < 18; k++) {
        assert_int_equal(cand.n_peaks[k], 1);
        assert_float_equal(cand.peaks[k][0].x, 3.5, 0); /* a flat top is its first sample */
        assert_float_equal(cand.peaks[k][0].y, 3.5, 0);
    }
    pd_post_destroy(post);
    scene_destroy(s);
}

/* The worst there is: a peak on every fourth sample of every map, every pair of them a limb. */
static void a_map_of_nothing_but_peaks_is_bounded_and_what_is_let_go_is_counted(void **state)
{
    struct scene *s = scene_create(coco(), 82, 46);
    struct pd_post_params params = pd_post_defaults();
    params.limb_threshold = 0.0f;
    params.limb_fraction = 0.0f;
    params.min_score = 0.0f;
    params.min_keypoints = 1;
    fill(s, 0.0f, 0.5f);
    for (int k = 0; k < 18; k++) {
        for (int y = 0; y < 46; y += 2) {
            for (int x = 0; x < 82; x += 2)
                s->heat[(k * 46 + y) * 82 + x] = 0.5f + 0.0001f * (float)(y * 82 + x);
        }
    }
    double took = run(s, &params);
    printf("# %.1f ms\n", took * 1e3);
    assert_true(took < 10.0);
    assert_int_equal(people.capped_peaks, 18 * (41 * 23 - PD_PEAKS_MAX));
    assert_int_equal(people.n, PD_PEOPLE_MAX);
    assert_true(people.capped_people > 0);
    assert_int_equal(people.capped_connections, 0);
    struct pd_post *post = open_post(s);
    assert_int_equal(pd_post_find_peaks(post, &s->maps, &params, &cand), 0);
    for (int i = 0; i < PD_PEAKS_MAX; i++) /* the weakest were let go: the values grow in reading order */
        assert_true(cand.peaks[0][i].y >= 32.0f * 8);
    pd_post_destroy(post);
    scene_destroy(s);
}

static void max_people_keeps_the_best_and_counts_the_rest(void **state)
{
    uint64_t random = 7;
    struct scene *s = scene_create(coco(), 82, 46);
    struct pd_post_params params = pd_post_defaults();
    for (int i = 0; i < 6; i++)
        scene_add_person(s, 60 + 110 * i, 20, 120 + 35 * i, 0, &random);
    scene_render(s, 8, 8);
    run(s, &params);
    assert_int_equal(people.n, 6);
    static struct pd_people all;
    all = people;
    params.max_people = 2;
    run(s, &params);
    assert_int_equal(people.n, 2);
    assert_int_equal(people.capped_people, 4);
    assert_memory_equal(people.person, all.person, 2 * sizeof(all.person[0]));
    scene_destroy(s);
}

/* Everyone of a clean crowd is found, each joint where it was put. */
static void fifty_people_are_all_found(void **state)
{
    uint64_t random = 50;
    struct scene *s = scene_create(coco(), 164, 92);
    struct pd_post_params params = pd_post_defaults();
    for (int i = 0; i < 50; i++)
        scene_add_person(s, 70 + 130 * (i % 10), 8 + 145 * (i / 10.0 - i % 10 / 10.0), 135, 0, &random);
    scene_render(s, 7, 5);
    double took = run(s, &params);
    printf("# 50 people: %.2f ms\n", took * 1e3);
    assert_int_equal(people.n, 50);
    bool seen[50] = {false};
    for (int i = 0; i < 50; i++) {
        assert_int_equal(people.person[i].n_found, 18);
        for (int p = 0; p < 50; p++) {
            double most = 0;
            for (int k = 0; k < 18; k++)
                most = fmax(most, hypot(people.person[i].keypoints[k].x - s->truth[p][k].x,
                                        people.person[i].keypoints[k].y - s->truth[p][k].y));
            if (most < 4.0) {
                assert_false(seen[p]);
                seen[p] = true;
            }
        }
    }
    for (int p = 0; p < 50; p++)
        assert_true(seen[p]);
    scene_destroy(s);
}

/* A Gaussian's top between samples is found to a small part of a sample. */
static void peaks_are_found_between_samples(void **state)
{
    struct scene *s = scene_create(coco(), 40, 40);
    struct pd_post_params params = pd_post_defaults();
    struct pd_post *post = open_post(s);
    uint64_t random = 3;
    double worst = 0, sum = 0;
    s->n_people = 1;
    for (int i = 0; i < 200; i++) {
        s->truth[0][0] =
            (struct pd_keypoint){(float)scene_uniform(&random, 100, 200), (float)scene_uniform(&random, 100, 200), 1};
        scene_render(s, 10, 8);
        assert_int_equal(pd_post_find_peaks(post, &s->maps, &params, &cand), 0);
        assert_int_equal(cand.n_peaks[0], 1);
        double d = hypot(cand.peaks[0][0].x - s->truth[0][0].x, cand.peaks[0][0].y - s->truth[0][0].y);
        worst = fmax(worst, d);
        sum += d / 200;
    }
    printf("# off by %.2f pixels on average, %.2f at most, of a sample's 8\n", sum, worst);
    assert_true(worst < 1.0 && sum < 0.5);
    pd_post_destroy(post);
    scene_destroy(s);
}

static void bad_values_anywhere_harm_no_one_else(void **state)
{
    float odd[] = {NAN, -NAN, INFINITY, -INFINITY, 3.4e38f, -3.4e38f, 1e-45f, -0.0f};
    struct pd_post_params params = pd_post_defaults();
    uint64_t random = 99;
    for (int round = 0; round < 60; round++) {
        struct scene *s = scene_create(coco(), 57, 32);
        scene_add_person(s, 120, 20, 200, 0, &random);
        scene_render(s, 9, 9);
        /* the right half is spoilt, more of it each round */
        for (int c = 0; c < s->maps.n_heat + s->maps.n_paf; c++) {
            float *map = c < s->maps.n_heat ? s->heat + c * 57 * 32 : s->paf + (c - s->maps.n_heat) * 57 * 32;
            for (int i = 0; i < 57 * 32; i++) {
                if (i % 57 > 30 && scene_uniform(&random, 0, 60) < round)
                    map[i] = odd[scene_random(&random) % 8];
            }
        }
        assert_true(run(s, &params) < 5.0);
        bool there = false;
        for (int i = 0; i < people.n; i++) {
            bool same = people.person[i].n_found == 18;
            for (int k = 0; same && k < 18; k++)
                same = hypot(people.person[i].keypoints[k].x - s->truth[0][k].x,
                             people.person[i].keypoints[k].y - s->truth[0][k].y) < 4.0;
            there |= same;
        }
        assert_true(there);
        scene_destroy(s);
    }
}

static void random_bits_are_survived(void **state)
{
    struct pd_post_params params = pd_post_defaults();
    for (uint64_t seed = 1; seed <= 40; seed++) {
        uint64_t random = seed;
        int w = 1 + (int)(scene_random(&random) % 40), h = 1 + (int)(scene_random(&random) % 40);
        struct scene *s = scene_create(coco(), w, h);
        for (int i = 0; i < w * h * (s->maps.n_heat + s->maps.n_paf); i++) {
            uint32_t bits = (uint32_t)scene_random(&random);
            float *to = i < w * h * s->maps.n_heat ? s->heat + i : s->paf + (i - w * h * s->maps.n_heat);
            memcpy(to, &bits, sizeof(bits));
        }
        assert_true(run(s, &params) < 5.0);
        scene_destroy(s);
    }
}

/* The order of PAF channels is the network's business: limbs name them. */
static void channel_order_does_not_matter(void **state)
{
    uint64_t random = 11;
    struct scene *s = scene_create(coco(), 57, 32);
    struct pd_post_params params = pd_post_defaults();
    for (int i = 0; i < 3; i++)
        scene_add_person(s, 80 + 140 * i, 10 + 8 * i, 210, 0.1, &random);
    scene_render(s, 9, 8);
    scene_add_noise(s, 0.05, &random);
    run(s, &params);
    static struct pd_people before;
    before = people;
    size_t plane = 57 * 32;
    float *turned = malloc(sizeof(float) * plane * 38);
    struct pd_limb limbs[PD_LIMBS_MAX];
    assert_non_null(turned);
    for (size_t c = 0; c < 38; c++)
        memcpy(turned + (37 - c) * plane, s->paf + c * plane, sizeof(float) * plane);
    for (int l = 0; l < 19; l++) {
        limbs[l] = coco()->limbs[l];
        limbs[l].paf_x = (uint8_t)(37 - limbs[l].paf_x);
        limbs[l].paf_y = (uint8_t)(37 - limbs[l].paf_y);
    }
    struct pd_post *post = NULL;
    s->maps.paf = turned;
    assert_int_equal(pd_post_create(coco(), limbs, 57, 32, &post), 0);
    assert_int_equal(pd_post_run(post, &s->maps, &params, &people), 0);
    assert_int_equal(people.n, before.n);
    assert_memory_equal(people.person, before.person, sizeof(before.person[0]) * (size_t)before.n);
    pd_post_destroy(post);
    free(turned);
    scene_destroy(s);
}

/* Peaks may come in any order, as from a device: the people are the same. */
static void order_of_peaks_does_not_matter(void **state)
{
    uint64_t random = 12;
    struct scene *s = scene_create(coco(), 57, 32);
    struct pd_post_params params = pd_post_defaults();
    static struct pd_candidates turned;
    static struct pd_people before;
    for (int i = 0; i < 4; i++)
        scene_add_person(s, 60 + 110 * i, 10 + 8 * i, 200, 0.1, &random);
    scene_render(s, 9, 8);
    scene_add_noise(s, 0.03, &random);
    struct pd_post *post = open_post(s);
    assert_int_equal(pd_post_find_peaks(post, &s->maps, &params, &cand), 0);
    turned = cand;
    for (int k = 0; k < 18; k++) {
        for (int i = 0; i < cand.n_peaks[k]; i++)
            turned.peaks[k][i] = cand.peaks[k][cand.n_peaks[k] - 1 - i];
    }
    assert_int_equal(pd_post_score_limbs(post, &s->maps, &params, &cand), 0);
    assert_int_equal(pd_post_assemble(post, &cand, &params, &before), 0);
    assert_int_equal(pd_post_score_limbs(post, &s->maps, &params, &turned), 0);
    assert_int_equal(pd_post_assemble(post, &turned, &params, &people), 0);
    assert_int_equal(before.n, 4);
    assert_int_equal(people.n, before.n);
    assert_memory_equal(people.person, before.person, sizeof(before.person[0]) * (size_t)before.n);
    pd_post_destroy(post);
    scene_destroy(s);
}

/* Confidences halved and their threshold halved give the same peaks; a stride doubled gives the same places doubled. */
static void thresholds_and_places_scale(void **state)
{
    uint64_t random = 13;
    struct scene *s = scene_create(coco(), 57, 32);
    struct pd_post_params params = pd_post_defaults();
    static struct pd_candidates half;
    for (int i = 0; i < 4; i++)
        scene_add_person(s, 60 + 110 * i, 10 + 8 * i, 200, 0.1, &random);
    scene_render(s, 9, 8);
    scene_add_noise(s, 0.1, &random);
    struct pd_post *post = open_post(s);
    params.peak_threshold = 0.25f;
    assert_int_equal(pd_post_find_peaks(post, &s->maps, &params, &cand), 0);
    for (int i = 0; i < 57 * 32 * 19; i++)
        s->heat[i] *= 0.5f;
    params.peak_threshold = 0.125f;
    s->maps.stride = 16;
    s->maps.offset = 7;
    assert_int_equal(pd_post_find_peaks(post, &s->maps, &params, &half), 0);
    for (int k = 0; k < 18; k++) {
        assert_int_equal(half.n_peaks[k], cand.n_peaks[k]);
        for (int i = 0; i < cand.n_peaks[k]; i++) {
            assert_float_equal(half.peaks[k][i].x, cand.peaks[k][i].x * 2, 1e-3);
            assert_float_equal(half.peaks[k][i].y, cand.peaks[k][i].y * 2, 1e-3);
            assert_float_equal(half.peaks[k][i].score, cand.peaks[k][i].score / 2, 0);
        }
    }
    pd_post_destroy(post);
    scene_destroy(s);
}

static void a_higher_peak_threshold_gives_a_subset(void **state)
{
    uint64_t random = 14;
    struct scene *s = scene_create(coco(), 57, 32);
    struct pd_post_params params = pd_post_defaults();
    struct pd_post *post = open_post(s);
    int last = 57 * 32 * 18;
    scene_add_noise(s, 1.0, &random);
    for (float threshold = 0.0f; threshold < 1.2f; threshold += 0.1f) {
        int n = 0;
        params.peak_threshold = threshold;
        assert_int_equal(pd_post_find_peaks(post, &s->maps, &params, &cand), 0);
        for (int k = 0; k < 18; k++) {
            n += cand.n_peaks[k];
            for (int i = 0; i < cand.n_peaks[k]; i++)
                assert_true(cand.peaks[k][i].score >= threshold);
        }
        assert_true(n <= last);
        last = n;
    }
    assert_int_equal(last, 0);
    pd_post_destroy(post);
    scene_destroy(s);
}

static void maps_that_do_not_fit_are_refused(void **state)
{
    struct scene *s = scene_create(coco(), 20, 10);
    struct pd_post_params params = pd_post_defaults();
    struct pd_post *post = open_post(s);
    struct pd_maps good = s->maps, bad;
    assert_int_equal(pd_post_run(post, &good, &params, &people), 0);
#define REFUSED(change)                                                                                                \
    do {                                                                                                               \
        bad = good;                                                                                                    \
        bad.change;                                                                                                    \
        assert_int_equal(pd_post_run(post, &bad, &params, &people), -EINVAL);                                          \
        assert_int_equal(pd_post_find_peaks(post, &bad, &params, &cand), -EINVAL);                                     \
        assert_int_equal(pd_post_score_limbs(post, &bad, &params, &cand), -EINVAL);                                    \
    } while (0)
    REFUSED(w = 21);
    REFUSED(h = 11);
    REFUSED(w = 0);
    REFUSED(h = -1);
    REFUSED(n_heat = 17);
    REFUSED(n_paf = 37);
    REFUSED(heat = NULL);
    REFUSED(paf = NULL);
    REFUSED(stride = 0);
    REFUSED(stride = NAN);
    REFUSED(offset = INFINITY);
#undef REFUSED
    pd_post_destroy(post);
    scene_destroy(s);
}

static void candidates_that_lie_are_refused(void **state)
{
    struct scene *s = scene_create(coco(), 20, 10);
    struct pd_post_params params = pd_post_defaults();
    struct pd_post *post = open_post(s);
    memset(&cand, 0, sizeof(cand));
    assert_int_equal(pd_post_assemble(post, &cand, &params, &people), 0);
    assert_int_equal(people.n, 0);
    cand.n_connections[3] = 1; /* a connection of peaks that are not there */
    assert_int_equal(pd_post_assemble(post, &cand, &params, &people), -EINVAL);
    cand.n_connections[3] = PD_CONNECTIONS_MAX + 1;
    assert_int_equal(pd_post_assemble(post, &cand, &params, &people), -EINVAL);
    cand.n_connections[3] = 0;
    cand.n_peaks[17] = -1;
    assert_int_equal(pd_post_assemble(post, &cand, &params, &people), -EINVAL);
    assert_int_equal(pd_post_score_limbs(post, &s->maps, &params, &cand), -EINVAL);
    pd_post_destroy(post);
    scene_destroy(s);
}

static void sizes_and_tables_that_make_no_sense_are_refused(void **state)
{
    struct pd_post *post = NULL;
    struct pd_limb limbs[PD_LIMBS_MAX];
    memcpy(limbs, coco()->limbs, 19 * sizeof(limbs[0]));
    assert_int_equal(pd_post_create(coco(), limbs, 0, 10, &post), -EINVAL);
    assert_int_equal(pd_post_create(coco(), limbs, 10, INT32_MAX, &post), -EINVAL);
    assert_int_equal(pd_post_create(NULL, limbs, 10, 10, &post), -EINVAL);
    limbs[5].b = 18;
    assert_int_equal(pd_post_create(coco(), limbs, 10, 10, &post), -EINVAL);
    assert_null(post);
    pd_post_destroy(NULL);
}

static void the_letterbox_is_undone_and_its_edge_holds(void **state)
{
    struct pd_letterbox lb;
    struct pd_rect roi = {100, 50, 800, 400};
    assert_int_equal(pd_letterbox_fit(1280, 720, &roi, 656, 368, &lb), 0);
    memset(&people, 0, sizeof(people));
    people.n = 1;
    people.n_keypoints = 18;
    struct pd_keypoint *kp = people.person[0].keypoints;
    kp[0] = (struct pd_keypoint){(300 - 100 + 0.5f) * lb.sx - 0.5f, (200 - 50 + 0.5f) * lb.sy - 0.5f, 1};
    kp[1] = (struct pd_keypoint){-50, -50, 1};
    kp[2] = (struct pd_keypoint){2000, 2000, 1};
    kp[3] = (struct pd_keypoint){0, 0, 0}; /* missing: stays as it is */
    pd_people_to_source(&people, &lb);
    assert_float_equal(kp[0].x, 300, 1e-3);
    assert_float_equal(kp[0].y, 200, 1e-3);
    assert_float_equal(kp[1].x, 100, 0);
    assert_float_equal(kp[1].y, 50, 0);
    assert_float_equal(kp[2].x, 899, 0);
    assert_float_equal(kp[2].y, 449, 0);
    assert_float_equal(kp[3].x, 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(saturated_maps_are_one_peak_each_and_take_no_time),
        cmocka_unit_test(a_map_of_nothing_but_peaks_is_bounded_and_what_is_let_go_is_counted),
        cmocka_unit_test(max_people_keeps_the_best_and_counts_the_rest),
        cmocka_unit_test(fifty_people_are_all_found),
        cmocka_unit_test(peaks_are_found_between_samples),
        cmocka_unit_test(bad_values_anywhere_harm_no_one_else),
        cmocka_unit_test(random_bits_are_survived),
        cmocka_unit_test(channel_order_does_not_matter),
        cmocka_unit_test(order_of_peaks_does_not_matter),
        cmocka_unit_test(thresholds_and_places_scale),
        cmocka_unit_test(a_higher_peak_threshold_gives_a_subset),
        cmocka_unit_test(maps_that_do_not_fit_are_refused),
        cmocka_unit_test(candidates_that_lie_are_refused),
        cmocka_unit_test(sizes_and_tables_that_make_no_sense_are_refused),
        cmocka_unit_test(the_letterbox_is_undone_and_its_edge_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
