/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "postproc/draw.h"

#define GUARD 64
#define GROUND 100

/* A canvas inside a larger block, so that a byte written outside of it, padding between rows included, is seen. */
struct picture {
    struct pd_canvas canvas;
    uint8_t *block;
    size_t size;
};

static struct picture picture(int w, int h, int padding)
{
    struct picture p;
    int stride = w * 3 + padding;
    p.size = (size_t)stride * (size_t)h + 2 * GUARD;
    p.block = malloc(p.size);
    assert_non_null(p.block);
    memset(p.block, GROUND, p.size);
    p.canvas = (struct pd_canvas){p.block + GUARD, w, h, stride};
    return p;
}

static int changed_pixels(const struct picture *p)
{
    int n = 0;
    for (int y = 0; y < p->canvas.height; y++) {
        for (int x = 0; x < p->canvas.width; x++) {
            const uint8_t *px = p->canvas.rgb + (ptrdiff_t)y * p->canvas.stride + x * 3;
            n += px[0] != GROUND || px[1] != GROUND || px[2] != GROUND;
        }
    }
    return n;
}

static void finish(struct picture *p)
{
    for (int i = 0; i < GUARD; i++) {
        assert_int_equal(p->block[i], GROUND);
        assert_int_equal(p->block[p->size - 1 - (size_t)i], GROUND);
    }
    for (int y = 0; y + 1 < p->canvas.height; y++) {
        const uint8_t *row = p->canvas.rgb + (ptrdiff_t)y * p->canvas.stride;
        for (int i = p->canvas.width * 3; i < p->canvas.stride; i++)
            assert_int_equal(row[i], GROUND);
    }
    free(p->block);
}

static const struct pd_skeleton *skeleton(void)
{
    return pd_skeleton_by_name("coco18");
}

static struct pd_people *crowd(int n, float cx, float cy, float spread)
{
    static struct pd_people people;
    memset(&people, 0, sizeof(people));
    people.n = n;
    people.n_keypoints = 18;
    for (int i = 0; i < n; i++) {
        struct pd_person *p = &people.person[i];
        p->id = 1 + i;
        p->score = 0.83f;
        p->n_found = 18;
        for (int k = 0; k < 18; k++)
            p->keypoints[k] = (struct pd_keypoint){cx + spread * sinf(7.0f * (float)(k + i)),
                                                   cy + spread * cosf(5.0f * (float)(k + 3 * i)), 0.9f};
    }
    return &people;
}

static void people_leave_marks(void **state)
{
    struct picture p = picture(200, 100, 5);
    struct pd_draw_params params = {.labels = true};
    pd_draw_people(&p.canvas, skeleton(), crowd(1, 100, 50, 40), &params);
    assert_true(changed_pixels(&p) > 300);
    finish(&p);
}

static void nobody_leaves_none(void **state)
{
    struct picture p = picture(50, 50, 0);
    struct pd_draw_params params = {.labels = true};
    struct pd_people *none = crowd(2, 25, 25, 20);
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < 18; k++)
            none->person[i].keypoints[k].score = 0;
    }
    pd_draw_people(&p.canvas, skeleton(), none, &params);
    assert_int_equal(changed_pixels(&p), 0);
    none->n = 0;
    pd_draw_people(&p.canvas, skeleton(), none, &params);
    assert_int_equal(changed_pixels(&p), 0);
    finish(&p);
}

static void every_edge_and_every_small_size_clips(void **state)
{
    struct pd_draw_params params = {.labels = true};
    for (int w = 1; w <= 12; w++) {
        for (int h = 1; h <= 12; h++) {
            for (int at = 0; at < 9; at++) {
                struct picture p = picture(w, h, at % 4);
                params.line_width = (float)at;
                pd_draw_people(&p.canvas, skeleton(), crowd(3, (float)(at % 3 * w) / 2, (float)(at / 3 * h) / 2, 9),
                               &params);
                finish(&p);
            }
        }
    }
}

static void one_pixel_can_be_drawn_on(void **state)
{
    struct picture p = picture(1, 1, 0);
    struct pd_draw_params params = {.line_width = 3};
    pd_draw_people(&p.canvas, skeleton(), crowd(1, 0, 0, 0.2f), &params);
    assert_int_equal(changed_pixels(&p), 1);
    finish(&p);
}

static void people_outside_leave_the_picture_alone(void **state)
{
    float far[][2] = {{-500, 50}, {700, 50}, {100, -500}, {100, 700}, {1e9f, 1e9f}, {-3e38f, 3e38f}};
    struct pd_draw_params params = {.labels = true};
    for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
        struct picture p = picture(200, 100, 0);
        pd_draw_people(&p.canvas, skeleton(), crowd(5, far[i][0], far[i][1], 40), &params);
        assert_int_equal(changed_pixels(&p), 0);
        finish(&p);
    }
}

static void a_limb_across_the_whole_world_is_cut_to_the_picture(void **state)
{
    struct picture p = picture(200, 100, 0);
    struct pd_draw_params params = {.line_width = 4};
    struct pd_people *people = crowd(1, 0, 0, 0);
    for (int k = 0; k < 18; k++)
        people->person[0].keypoints[k].score = 0;
    people->person[0].keypoints[1] = (struct pd_keypoint){-1e30f, 50, 1};
    people->person[0].keypoints[2] = (struct pd_keypoint){1e30f, 50, 1};
    pd_draw_people(&p.canvas, skeleton(), people, &params);
    int n = changed_pixels(&p);
    assert_true(n >= 200 * 4 && n <= 200 * 8); /* a bar through the picture */
    finish(&p);
}

static void nan_and_infinity_are_not_drawn(void **state)
{
    struct picture p = picture(200, 100, 0);
    struct pd_draw_params params = {.labels = true, .line_width = NAN};
    struct pd_people *people = crowd(4, 100, 50, 30);
    float odd[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 4; i++) {
        for (int k = 0; k < 18; k++) {
            people->person[i].keypoints[k].x = odd[k % 3];
            people->person[i].score = odd[i % 3];
        }
    }
    pd_draw_people(&p.canvas, skeleton(), people, &params);
    assert_int_equal(changed_pixels(&p), 0);
    people->person[0].keypoints[5] = (struct pd_keypoint){100, 50, 1}; /* one good joint is a dot and a label */
    pd_draw_people(&p.canvas, skeleton(), people, &params);
    assert_true(changed_pixels(&p) > 10);
    finish(&p);
}

static void a_line_is_as_wide_as_asked_and_soft_at_its_rim(void **state)
{
    struct picture p = picture(60, 60, 0);
    struct pd_draw_params params = {.line_width = 7};
    struct pd_people *people = crowd(1, 0, 0, 0);
    for (int k = 0; k < 18; k++)
        people->person[0].keypoints[k].score = 0;
    people->person[0].keypoints[1] = (struct pd_keypoint){30, -50, 1};
    people->person[0].keypoints[2] = (struct pd_keypoint){30, 120, 1};
    pd_draw_people(&p.canvas, skeleton(), people, &params);
    const uint8_t *row = p.canvas.rgb + 30 * p.canvas.stride;
    for (int x = 27; x <= 33; x++)
        assert_memory_equal(row + 3 * x, row + 3 * 30, 3); /* 7 pixels of the limb's colour */
    assert_true(row[3 * 26] < GROUND && row[3 * 34] < GROUND); /* a dark rim on both sides */
    assert_memory_equal(row + 3 * 26, row + 3 * 34, 3);
    assert_int_equal(row[3 * 24], GROUND);
    assert_int_equal(row[3 * 36], GROUND);
    finish(&p);
}

static void labels_are_there_only_when_asked_for(void **state)
{
    struct pd_draw_params params = {.line_width = 2};
    struct picture without = picture(200, 200, 0), with = picture(200, 200, 0);
    pd_draw_people(&without.canvas, skeleton(), crowd(1, 100, 120, 30), &params);
    params.labels = true;
    pd_draw_people(&with.canvas, skeleton(), crowd(1, 100, 120, 30), &params);
    assert_true(changed_pixels(&with) > changed_pixels(&without) + 200);
    finish(&without);
    finish(&with);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(people_leave_marks),
        cmocka_unit_test(nobody_leaves_none),
        cmocka_unit_test(every_edge_and_every_small_size_clips),
        cmocka_unit_test(one_pixel_can_be_drawn_on),
        cmocka_unit_test(people_outside_leave_the_picture_alone),
        cmocka_unit_test(a_limb_across_the_whole_world_is_cut_to_the_picture),
        cmocka_unit_test(nan_and_infinity_are_not_drawn),
        cmocka_unit_test(a_line_is_as_wide_as_asked_and_soft_at_its_rim),
        cmocka_unit_test(labels_are_there_only_when_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
