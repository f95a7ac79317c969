/* SPDX-License-Identifier: Apache-2.0
 *
 * Figures at known places, rendered as a network would show them at another size or mirrored: whatever looks are
 * averaged, they must be found where they are.
 */
#include "tests/core/test.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"

#include "postproc/average.h"
#include "postproc/post.h"
#include "tests/postproc/scene.h"

#define SRC_W 437 /* such that no look's picture fills whole map samples */
#define SRC_H 331
#define BASE_W 360
#define BASE_H 272

static uint64_t seed;

static int print_seed(void **state)
{
    const char *given = getenv("POSED_TEST_SEED");
    seed = given ? strtoull(given, NULL, 0) : 20261123;
    print_message("# POSED_TEST_SEED=%llu\n", (unsigned long long)seed);
    return 0;
}

/* Two figures in source pixels. */
static struct scene *make_truth(const struct pd_skeleton *skeleton)
{
    uint64_t random = seed;
    struct scene *s = scene_create(skeleton, 1, 1);
    scene_add_person(s, 120, 30, 240, 0, &random);
    scene_add_person(s, 310, 60, 220, 0, &random);
    return s;
}

static struct pd_letterbox fit(int w, int h)
{
    struct pd_letterbox lb;
    assert_int_equal(pd_letterbox_fit(SRC_W, SRC_H, NULL, w, h, &lb), 0);
    return lb;
}

/* What a network of stride 8 shows of @truth through @lb. */
static struct scene *see(const struct scene *truth, const struct pd_letterbox *lb, bool mirrored)
{
    const struct pd_skeleton *sk = truth->skeleton;
    struct scene *s = scene_create(sk, lb->dst_w / 8, lb->dst_h / 8);
    s->n_people = truth->n_people;
    for (int p = 0; p < s->n_people; p++)
        for (int k = 0; k < sk->n_keypoints; k++) {
            struct pd_keypoint kp = truth->truth[p][mirrored ? sk->mirror[k] : k];
            kp.x = (kp.x + 0.5f) * lb->sx - 0.5f;
            kp.y = (kp.y + 0.5f) * lb->sy - 0.5f;
            if (mirrored)
                kp.x = (float)lb->in_w - 1 - kp.x;
            s->truth[p][k] = kp;
        }
    scene_render(s, 9, 8);
    return s;
}

static struct pd_people find(const struct pd_skeleton *sk, const struct pd_maps *maps, const struct pd_letterbox *lb)
{
    static struct pd_people people;
    struct pd_post *post;
    const struct pd_post_params params = pd_post_defaults();
    assert_int_equal(pd_post_create(sk, sk->limbs, maps->w, maps->h, &post), 0);
    assert_int_equal(pd_post_run(post, maps, &params, &people), 0);
    pd_people_to_source(&people, lb);
    pd_post_destroy(post);
    return people;
}

/* How far the found keypoints of both figures are from where they are: on average along x and y, and at most. */
static void compare(const struct scene *truth, const struct pd_people *people, double most_mean, double most)
{
    double sum_x = 0, sum_y = 0, worst = 0;
    int n = 0;
    assert_int_equal(people->n, truth->n_people);
    for (int i = 0; i < people->n; i++) {
        const struct pd_person *p = &people->person[i];
        const struct pd_keypoint *t = truth->truth[fabsf(p->keypoints[1].x - truth->truth[0][1].x) <
                                                           fabsf(p->keypoints[1].x - truth->truth[1][1].x)
                                                       ? 0
                                                       : 1];
        for (int k = 0; k < truth->skeleton->n_keypoints; k++) {
            assert_true(p->keypoints[k].score > 0);
            double dx = (double)(p->keypoints[k].x - t[k].x), dy = (double)(p->keypoints[k].y - t[k].y);
            sum_x += dx;
            sum_y += dy;
            worst = fmax(worst, fmax(fabs(dx), fabs(dy)));
            n++;
        }
    }
    print_message("# off by %.3f, %.3f on average, %.2f at most\n", sum_x / n, sum_y / n, worst);
    assert_true(fabs(sum_x / n) < most_mean && fabs(sum_y / n) < most_mean);
    assert_true(worst < most);
}

static void one_look_is_what_it_was(void **state)
{
    const struct pd_skeleton *sk;
    for (int i = 0; (sk = pd_skeleton_at(i)); i++) {
        struct scene *truth = make_truth(sk);
        struct pd_letterbox lb = fit(BASE_W, BASE_H);
        struct scene *s = see(truth, &lb, false);
        struct pd_average *avg;
        assert_int_equal(pd_average_create(sk, sk->limbs, &avg), 0);
        for (int again = 0; again < 2; again++) {
            assert_int_equal(pd_average_begin(avg, &lb, 8), 0);
            assert_int_equal(pd_average_add(avg, &s->maps, &lb, false), 0);
            struct pd_maps m = pd_average_result(avg);
            assert_int_equal(m.w, s->maps.w);
            assert_int_equal(m.h, s->maps.h);
            assert_float_equal(m.offset, 3.5, 0);
            size_t plane = (size_t)(m.w * m.h);
            assert_memory_equal(m.heat, s->heat, plane * (size_t)sk->n_keypoints * sizeof(float));
            assert_memory_equal(m.paf, s->paf, plane * (size_t)m.n_paf * sizeof(float));
        }
        pd_average_destroy(avg);
        scene_destroy(s);
        scene_destroy(truth);
    }
}

static void other_sizes_find_people_where_they_are(void **state)
{
    static const double scales[] = {0.5, 1, 1.5, 2};
    const struct pd_skeleton *sk;
    for (int i = 0; (sk = pd_skeleton_at(i)); i++) {
        for (unsigned set = 1; set < 1u << PD_ARRAY_SIZE(scales); set++) {
            struct scene *truth = make_truth(sk);
            struct pd_letterbox lb = fit(BASE_W, BASE_H);
            struct pd_average *avg;
            double smallest = 2;
            assert_int_equal(pd_average_create(sk, sk->limbs, &avg), 0);
            assert_int_equal(pd_average_begin(avg, &lb, 4), 0);
            for (size_t k = 0; k < PD_ARRAY_SIZE(scales); k++) {
                if (!(set >> k & 1))
                    continue;
                struct pd_letterbox other = fit((int)(BASE_W * scales[k]) / 8 * 8, (int)(BASE_H * scales[k]) / 8 * 8);
                struct scene *s = see(truth, &other, set & 1);
                assert_int_equal(pd_average_add(avg, &s->maps, &other, set & 1), 0);
                scene_destroy(s);
                smallest = fmin(smallest, scales[k]);
            }
            struct pd_maps m = pd_average_result(avg);
            struct pd_people people = find(sk, &m, &lb);
            /* a map sample is 9.7 source pixels at scale 1; half a sample off would be 4.9, half a pixel 0.6 */
            compare(truth, &people, 0.15 / smallest, 1.2 / smallest);
            pd_average_destroy(avg);
            scene_destroy(truth);
        }
    }
}

static void mirrored_looks_exchange_left_and_right(void **state)
{
    const struct pd_skeleton *sk;
    for (int i = 0; (sk = pd_skeleton_at(i)); i++) {
        struct scene *truth = make_truth(sk);
        struct pd_letterbox lb = fit(BASE_W, BASE_H);
        struct pd_average *avg;
        assert_int_not_equal(lb.in_w % 8, 0);
        assert_int_equal(pd_average_create(sk, sk->limbs, &avg), 0);
        for (int looks = 1; looks <= 2; looks++) {
            assert_int_equal(pd_average_begin(avg, &lb, 8), 0);
            for (int k = 0; k < looks; k++) {
                struct scene *s = see(truth, &lb, k == 0);
                assert_int_equal(pd_average_add(avg, &s->maps, &lb, k == 0), 0);
                scene_destroy(s);
            }
            struct pd_maps m = pd_average_result(avg);
            struct pd_people people = find(sk, &m, &lb);
            compare(truth, &people, 0.4, 1.2);
        }
        /* As if it were not mirrored, left is taken for right: nobody is whole, and nothing is where it is. */
        assert_int_equal(pd_average_begin(avg, &lb, 8), 0);
        struct scene *s = see(truth, &lb, true);
        assert_int_equal(pd_average_add(avg, &s->maps, &lb, false), 0);
        struct pd_maps m = pd_average_result(avg);
        struct pd_people people = find(sk, &m, &lb);
        assert_true(people.n > 0);
        int right = sk->coco17[6];
        assert_true(fabsf(people.person[0].keypoints[right].x - truth->truth[0][right].x) > 5 &&
                    fabsf(people.person[0].keypoints[right].x - truth->truth[1][right].x) > 5);
        scene_destroy(s);
        pd_average_destroy(avg);
        scene_destroy(truth);
    }
}

static void the_mean_is_a_mean(void **state)
{
    const struct pd_skeleton *sk = pd_skeleton_by_name("coco18");
    struct pd_letterbox lb = fit(BASE_W, BASE_H);
    struct scene *s = scene_create(sk, lb.dst_w / 8, lb.dst_h / 8);
    struct pd_average *avg;
    assert_int_equal(pd_average_create(sk, sk->limbs, &avg), 0);
    assert_int_equal(pd_average_begin(avg, &lb, 8 / 1.5f), 0);
    size_t plane = (size_t)(s->maps.w * s->maps.h);
    for (int k = 1; k <= 3; k++) {
        for (size_t i = 0; i < plane * (size_t)s->maps.n_heat; i++)
            s->heat[i] = (float)k;
        for (size_t i = 0; i < plane * (size_t)s->maps.n_paf; i++)
            s->paf[i] = (float)-k;
        assert_int_equal(pd_average_add(avg, &s->maps, &lb, false), 0);
    }
    for (int again = 0; again < 2; again++) { /* asking twice does not divide twice */
        struct pd_maps m = pd_average_result(avg);
        assert_int_equal(m.w, 68); /* 360 / (8 / 1.5), up */
        assert_int_equal(m.h, 51);
        for (int i = 0; i < m.w * m.h * m.n_heat; i++)
            assert_float_equal(m.heat[i], 2, 1e-5);
        for (int i = 0; i < m.w * m.h * m.n_paf; i++)
            assert_float_equal(m.paf[i], -2, 1e-5);
    }
    pd_average_destroy(avg);
    scene_destroy(s);
}

static void what_does_not_fit_is_refused(void **state)
{
    const struct pd_skeleton *sk = pd_skeleton_by_name("coco18");
    struct pd_letterbox lb = fit(BASE_W, BASE_H), other;
    const struct pd_rect part = {10, 10, 100, 100};
    struct scene *s = scene_create(sk, lb.dst_w / 8, lb.dst_h / 8);
    struct pd_average *avg;
    assert_int_equal(pd_average_create(sk, sk->limbs, &avg), 0);
    assert_int_equal(pd_average_begin(avg, &lb, 0), -EINVAL);
    assert_int_equal(pd_average_begin(avg, &lb, NAN), -EINVAL);
    assert_int_equal(pd_average_begin(avg, &lb, 1e-3f), -EINVAL);
    assert_int_equal(pd_average_begin(avg, &lb, 8), 0);
    assert_int_equal(pd_letterbox_fit(SRC_W, SRC_H, &part, BASE_W, BASE_H, &other), 0);
    assert_int_equal(pd_average_add(avg, &s->maps, &other, false), -EINVAL);
    s->maps.n_paf--;
    assert_int_equal(pd_average_add(avg, &s->maps, &lb, false), -EINVAL);
    s->maps.n_paf++;
    s->maps.n_heat = 17;
    assert_int_equal(pd_average_add(avg, &s->maps, &lb, false), -EINVAL);
    pd_average_destroy(avg);
    pd_average_destroy(NULL);
    scene_destroy(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_look_is_what_it_was),
        cmocka_unit_test(other_sizes_find_people_where_they_are),
        cmocka_unit_test(mirrored_looks_exchange_left_and_right),
        cmocka_unit_test(the_mean_is_a_mean),
        cmocka_unit_test(what_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, print_seed, NULL);
}
