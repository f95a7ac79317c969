#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * What the three steps of post.h share: the scratch object. Private to postproc/.
 */
#include "postproc/post.h"

#define PD_PAIRS_MAX (PD_PEAKS_MAX * PD_PEAKS_MAX)
/* Every person in the making owns two or more peaks, and no peak has two owners. */
#define PD_MAKING_MAX (PD_KEYPOINTS_MAX * PD_PEAKS_MAX / 2)

struct pd_cell {
    float value;
    int32_t at; /* y * w + x */
};

struct pd_pair {
    uint32_t key; /* grows with the score; for sorting */
    uint16_t a, b;
    float score;
};

struct pd_making { /* a person in the making */
    int16_t peak[PD_KEYPOINTS_MAX]; /* -1: none */
    int n_found;
    float limb_sum;
    int n_limbs;
};

struct pd_post {
    /* set at create, then read-only */
    const struct pd_skeleton *skeleton;
    struct pd_limb limbs[PD_LIMBS_MAX];
    bool bridge[PD_LIMBS_MAX]; /* a limb whose two keypoints earlier limbs join already: it never starts a person */
    int max_w, max_h;

    /* scratch of one call */
    struct pd_cell *cells;                 /* local maxima of one map: max_w * max_h */
    struct pd_pair *pairs, *pairs_spare;   /* candidate pairs of one limb: PD_PAIRS_MAX each */
    int16_t (*owner)[PD_PEAKS_MAX];        /* person that holds a peak, -1: none; n_keypoints rows */
    struct pd_making *making;              /* PD_MAKING_MAX */
    struct pd_candidates cand;             /* of pd_post_run() */
};

/* 0, or -EINVAL when @maps cannot be read with this scratch. */
int pd_post_check(const struct pd_post *post, const struct pd_maps *maps);

/* Which limbs join two keypoints that earlier ones join already, like shoulder and ear in COCO-18. */
void pd_post_mark_bridges(const struct pd_limb *limbs, int n_limbs, bool *ret_bridge);
