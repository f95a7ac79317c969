/* SPDX-License-Identifier: Apache-2.0
 *
 * Keypoint names, limb pairs and PAF channels as published with OpenPose's networks (its poseParameters: body part
 * pairs and map index of COCO, BODY_25 and MPI_15), and with trt_pose. PAF channels are counted from the first PAF
 * channel.
 */
#include "core/skeleton.h"

#include <stddef.h>
#include <string.h>

#include "core/util.h"

/* ---- COCO-18: COCO's 17 keypoints and the neck, midway between the shoulders ---- */

static const char *const coco18_keypoints[] = {
    "nose",       "neck",      "right_shoulder", "right_elbow", "right_wrist", "left_shoulder",
    "left_elbow", "left_wrist", "right_hip",     "right_knee",  "right_ankle", "left_hip",
    "left_knee",  "left_ankle", "right_eye",     "left_eye",    "right_ear",   "left_ear",
};

static const struct pd_limb coco18_limbs[] = {
    {1, 2, 12, 13},  {1, 5, 20, 21},   {2, 3, 14, 15},  {3, 4, 16, 17},   {5, 6, 22, 23},
    {6, 7, 24, 25},  {1, 8, 0, 1},     {8, 9, 2, 3},    {9, 10, 4, 5},    {1, 11, 6, 7},
    {11, 12, 8, 9},  {12, 13, 10, 11}, {1, 0, 28, 29},  {0, 14, 30, 31},  {14, 16, 34, 35},
    {0, 15, 32, 33}, {15, 17, 36, 37}, {2, 16, 18, 19}, {5, 17, 26, 27},
};

static const int8_t coco18_coco17[17] = {0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10};
static const uint8_t coco18_mirror[] = {0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16};

/* ---- BODY_25: COCO-18 with the middle of the hips and three points a foot ---- */

static const char *const body25_keypoints[] = {
    "nose",           "neck",      "right_shoulder", "right_elbow",     "right_wrist",
    "left_shoulder",  "left_elbow", "left_wrist",    "mid_hip",         "right_hip",
    "right_knee",     "right_ankle", "left_hip",     "left_knee",       "left_ankle",
    "right_eye",      "left_eye",  "right_ear",      "left_ear",        "left_big_toe",
    "left_small_toe", "left_heel", "right_big_toe",  "right_small_toe", "right_heel",
};

static const struct pd_limb body25_limbs[] = {
    {1, 8, 0, 1},     {1, 2, 14, 15},   {1, 5, 22, 23},   {2, 3, 16, 17},   {3, 4, 18, 19},   {5, 6, 24, 25},
    {6, 7, 26, 27},   {8, 9, 6, 7},     {9, 10, 2, 3},    {10, 11, 4, 5},   {8, 12, 8, 9},    {12, 13, 10, 11},
    {13, 14, 12, 13}, {1, 0, 30, 31},   {0, 15, 32, 33},  {15, 17, 36, 37}, {0, 16, 34, 35},  {16, 18, 38, 39},
    {2, 17, 20, 21},  {5, 18, 28, 29},  {14, 19, 40, 41}, {19, 20, 42, 43}, {14, 21, 44, 45}, {11, 22, 46, 47},
    {22, 23, 48, 49}, {11, 24, 50, 51},
};

static const int8_t body25_coco17[17] = {0, 16, 15, 18, 17, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11};
static const uint8_t body25_mirror[] = {0,  1,  5,  6,  7,  2,  3,  4,  8,  12, 13, 14, 9,
                                        10, 11, 16, 15, 18, 17, 22, 23, 24, 19, 20, 21};

/* ---- MPI-15: no face; the chest joins neck and hips ---- */

static const char *const mpi15_keypoints[] = {
    "head", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip",  "right_knee", "right_ankle",   "left_hip",    "left_knee",   "left_ankle",    "chest",
};

static const struct pd_limb mpi15_limbs[] = {
    {0, 1, 0, 1},     {1, 2, 2, 3},     {2, 3, 4, 5},     {3, 4, 6, 7},      {1, 5, 8, 9},
    {5, 6, 10, 11},   {6, 7, 12, 13},   {1, 14, 14, 15},  {14, 8, 16, 17},   {8, 9, 18, 19},
    {9, 10, 20, 21},  {14, 11, 22, 23}, {11, 12, 24, 25}, {12, 13, 26, 27},
};

static const int8_t mpi15_coco17[17] = {-1, -1, -1, -1, -1, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10};
static const uint8_t mpi15_mirror[] = {0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 14};

/* ---- trt_pose: COCO's own order, then the neck; fields come as y, x (its human_pose.json and generate_paf) ---- */

static const char *const trt18_keypoints[] = {
    "nose",           "left_eye",   "right_eye",   "left_ear",   "right_ear",   "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip",
    "right_hip",      "left_knee",  "right_knee",  "left_ankle", "right_ankle", "neck",
};

static const struct pd_limb trt18_limbs[] = {
    {15, 13, 1, 0},  {13, 11, 3, 2},   {16, 14, 5, 4},   {14, 12, 7, 6}, {11, 12, 9, 8},  {5, 7, 11, 10},
    {6, 8, 13, 12},  {7, 9, 15, 14},   {8, 10, 17, 16},  {1, 2, 19, 18}, {0, 1, 21, 20},  {0, 2, 23, 22},
    {1, 3, 25, 24},  {2, 4, 27, 26},   {3, 5, 29, 28},   {4, 6, 31, 30}, {17, 0, 33, 32}, {17, 5, 35, 34},
    {17, 6, 37, 36}, {17, 11, 39, 38}, {17, 12, 41, 40},
};

static const int8_t trt18_coco17[17] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
static const uint8_t trt18_mirror[] = {0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15, 17};

#define SKELETON(id)                                                                                                   \
    {                                                                                                                  \
        .name = #id, .n_keypoints = PD_ARRAY_SIZE(id##_keypoints), .n_limbs = PD_ARRAY_SIZE(id##_limbs),               \
        .keypoints = id##_keypoints, .limbs = id##_limbs, .coco17 = id##_coco17, .mirror = id##_mirror,                \
    }

static const struct pd_skeleton skeletons[] = {SKELETON(coco18), SKELETON(body25), SKELETON(mpi15), SKELETON(trt18)};

_Static_assert(PD_ARRAY_SIZE(coco18_keypoints) == PD_ARRAY_SIZE(coco18_mirror), "one mirror a keypoint");
_Static_assert(PD_ARRAY_SIZE(body25_keypoints) == PD_ARRAY_SIZE(body25_mirror), "one mirror a keypoint");
_Static_assert(PD_ARRAY_SIZE(mpi15_keypoints) == PD_ARRAY_SIZE(mpi15_mirror), "one mirror a keypoint");
_Static_assert(PD_ARRAY_SIZE(body25_keypoints) <= PD_KEYPOINTS_MAX, "arrays hold the largest table");
_Static_assert(PD_ARRAY_SIZE(body25_limbs) <= PD_LIMBS_MAX, "arrays hold the largest table");

const struct pd_skeleton *pd_skeleton_at(int i)
{
    return i >= 0 && (size_t)i < PD_ARRAY_SIZE(skeletons) ? &skeletons[i] : NULL;
}

const struct pd_skeleton *pd_skeleton_by_name(const char *name)
{
    for (size_t i = 0; i < PD_ARRAY_SIZE(skeletons); i++)
        if (!strcmp(name, skeletons[i].name))
            return &skeletons[i];
    return NULL;
}
