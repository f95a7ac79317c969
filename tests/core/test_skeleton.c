/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/test.h"

#include <stdbool.h>
#include <string.h>

#include "core/skeleton.h"

static void every_table_is_found_by_its_name(void **state)
{
    int n = 0;
    for (const struct pd_skeleton *s; (s = pd_skeleton_at(n)); n++)
        assert_ptr_equal(pd_skeleton_by_name(s->name), s);
    assert_int_equal(n, 4);
    assert_null(pd_skeleton_at(-1));
    assert_null(pd_skeleton_by_name("coco"));
    assert_null(pd_skeleton_by_name(""));
}

static void each_paf_channel_is_used_once(void **state)
{
    const struct pd_skeleton *s;
    for (int i = 0; (s = pd_skeleton_at(i)); i++) {
        bool used[2 * PD_LIMBS_MAX] = {false};
        assert_true(s->n_limbs <= PD_LIMBS_MAX);
        for (int l = 0; l < s->n_limbs; l++) {
            const uint8_t channel[2] = {s->limbs[l].paf_x, s->limbs[l].paf_y};
            assert_int_equal(channel[0] / 2, channel[1] / 2); /* side by side, x or y first */
            assert_int_not_equal(channel[0], channel[1]);
            for (int k = 0; k < 2; k++) {
                assert_true(channel[k] < 2 * s->n_limbs);
                assert_false(used[channel[k]]);
                used[channel[k]] = true;
            }
        }
    }
}

static void limbs_are_distinct_and_join_every_keypoint(void **state)
{
    const struct pd_skeleton *s;
    for (int i = 0; (s = pd_skeleton_at(i)); i++) {
        bool reached[PD_KEYPOINTS_MAX] = {false};
        assert_true(s->n_keypoints <= PD_KEYPOINTS_MAX);
        for (int l = 0; l < s->n_limbs; l++) {
            assert_true(s->limbs[l].a < s->n_keypoints && s->limbs[l].b < s->n_keypoints);
            assert_int_not_equal(s->limbs[l].a, s->limbs[l].b);
            for (int m = 0; m < l; m++)
                assert_false((s->limbs[l].a == s->limbs[m].a && s->limbs[l].b == s->limbs[m].b) ||
                             (s->limbs[l].a == s->limbs[m].b && s->limbs[l].b == s->limbs[m].a));
        }
        reached[1] = true; /* the neck, in all of them */
        for (int round = 0; round < s->n_keypoints; round++)
            for (int l = 0; l < s->n_limbs; l++)
                reached[s->limbs[l].a] = reached[s->limbs[l].b] = reached[s->limbs[l].a] || reached[s->limbs[l].b];
        for (int k = 0; k < s->n_keypoints; k++)
            assert_true(reached[k]);
    }
}

static void names_are_unique_and_mirror_swaps_left_and_right(void **state)
{
    const struct pd_skeleton *s;
    for (int i = 0; (s = pd_skeleton_at(i)); i++)
        for (int k = 0; k < s->n_keypoints; k++) {
            const char *name = s->keypoints[k], *other = s->keypoints[s->mirror[k]];
            for (int m = 0; m < k; m++)
                assert_string_not_equal(name, s->keypoints[m]);
            assert_int_equal(s->mirror[s->mirror[k]], k);
            if (!strncmp(name, "left_", 5)) {
                assert_memory_equal(other, "right_", 6);
                assert_string_equal(other + 6, name + 5);
            } else if (strncmp(name, "right_", 6)) {
                assert_int_equal(s->mirror[k], k);
            }
        }
}

static void mirrored_limbs_are_limbs(void **state)
{
    const struct pd_skeleton *s;
    for (int i = 0; (s = pd_skeleton_at(i)); i++)
        for (int l = 0; l < s->n_limbs; l++) {
            bool found = false;
            for (int m = 0; m < s->n_limbs; m++)
                found |= (s->limbs[m].a == s->mirror[s->limbs[l].a] && s->limbs[m].b == s->mirror[s->limbs[l].b]) ||
                         (s->limbs[m].b == s->mirror[s->limbs[l].a] && s->limbs[m].a == s->mirror[s->limbs[l].b]);
            assert_true(found);
        }
}

static void coco17_names_agree(void **state)
{
    static const char *const names[17] = {
        "nose",       "left_eye",    "right_eye",  "left_ear",    "right_ear", "left_shoulder",
        "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip",
        "right_hip",  "left_knee",   "right_knee", "left_ankle",  "right_ankle",
    };
    const struct pd_skeleton *s;
    for (int i = 0; (s = pd_skeleton_at(i)); i++)
        for (int k = 0; k < 17; k++) {
            if (s->coco17[k] >= 0)
                assert_string_equal(s->keypoints[s->coco17[k]], names[k]);
            else
                assert_string_equal(s->name, "mpi15");
        }
}

/* Spot checks against the published lists, one from the middle of each. */
static void published_pairs_have_published_channels(void **state)
{
    static const struct {
        const char *skeleton;
        int limb;
        struct pd_limb want;
    } known[] = {
        {"coco18", 0, {1, 2, 12, 13}}, {"coco18", 14, {14, 16, 34, 35}}, {"coco18", 18, {5, 17, 26, 27}},
        {"body25", 0, {1, 8, 0, 1}},   {"body25", 15, {15, 17, 36, 37}}, {"body25", 25, {11, 24, 50, 51}},
        {"mpi15", 7, {1, 14, 14, 15}}, {"mpi15", 13, {12, 13, 26, 27}},  {"trt18", 0, {15, 13, 1, 0}},
        {"trt18", 20, {17, 12, 41, 40}},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        assert_memory_equal(&pd_skeleton_by_name(known[i].skeleton)->limbs[known[i].limb], &known[i].want,
                            sizeof(struct pd_limb));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_table_is_found_by_its_name),
        cmocka_unit_test(each_paf_channel_is_used_once),
        cmocka_unit_test(limbs_are_distinct_and_join_every_keypoint),
        cmocka_unit_test(names_are_unique_and_mirror_swaps_left_and_right),
        cmocka_unit_test(mirrored_limbs_are_limbs),
        cmocka_unit_test(coco17_names_agree),
        cmocka_unit_test(published_pairs_have_published_channels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
