#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * What a body is made of: keypoints, and the limbs that join them, as const tables. Plain data, any thread.
 *
 * Keypoint and limb order are those of the OpenPose networks (Cao et al., "OpenPose: Realtime Multi-Person 2D Pose
 * Estimation using Part Affinity Fields", arXiv 1812.08008, and the models published with it). Confidence map k belongs
 * to keypoint k; the map after the last keypoint is the background. Limb l goes from keypoint limbs[l].a to limbs[l].b
 * and its part affinity field is the vector (channel paf_x, channel paf_y) of the network's PAF output, in units of the
 * limb's direction.
 */
#include <stdint.h>

#define PD_KEYPOINTS_MAX 25
#define PD_LIMBS_MAX 32

struct pd_limb {
    uint8_t a, b;         /* keypoint indices */
    uint8_t paf_x, paf_y; /* PAF channels as published; a network's metadata may say otherwise */
};

struct pd_skeleton {
    const char *name; /* "coco18", "body25", "mpi15", "trt18" */
    int n_keypoints;
    int n_limbs;
    const char *const *keypoints;   /* n_keypoints names, lower case, '_' between words: "right_shoulder" */
    const struct pd_limb *limbs;    /* n_limbs, in the order in which people are assembled */
    const int8_t *coco17;           /* for each of COCO's 17 keypoints the index here, -1 where there is none */
    const uint8_t *mirror;          /* the keypoint on the other side of the body (itself for nose, neck, ...) */
};

/* NULL when there is no skeleton of that name. */
const struct pd_skeleton *pd_skeleton_by_name(const char *name);
/* The i-th table, NULL past the last: for help texts and tests. */
const struct pd_skeleton *pd_skeleton_at(int i);
