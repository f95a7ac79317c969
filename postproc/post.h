#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * From maps to people, in three steps that can be used alone (a GPU engine does the first two on the device):
 *   peaks       local maxima of each confidence map, refined below a map sample       (arXiv 1812.08008, 3.1, 3.2)
 *   limbs       line integral of the PAF between peak pairs, greedy matching per limb  (ibid. 3.2, 3.3, eq. 10-12);
 *               pairs are matched in the order of their score plus half the mean of their peaks' confidences
 *   assembly    limbs that share a keypoint become people                              (ibid. 3.3)
 * Pure functions on arrays with a scratch object: no I/O, no threads, no allocation after create. Input values may be
 * anything, NaN and infinities included; time and memory are bounded by the caps in pose.h, and what a cap let go is
 * counted. One scratch per thread.
 */
#include "core/pose.h"

struct pd_post_params { /* pd_post_defaults() fills it; a camera's config overrides */
    float peak_threshold;    /* confidence a peak must reach */
    float limb_threshold;    /* PAF projection that a sample on the limb must reach */
    float limb_fraction;     /* share of samples on the limb that must reach it, 0..1 */
    int min_keypoints;       /* people with fewer are not reported */
    float min_score;         /* people with less are not reported */
    int max_people;          /* 1..PD_PEOPLE_MAX */
};

/* The part of @p that an engine with caps.candidates needs of each frame. */
static inline struct pd_find_params pd_post_find_params(const struct pd_post_params *p)
{
    return (struct pd_find_params){p->peak_threshold, p->limb_threshold, p->limb_fraction};
}

struct pd_post;

struct pd_post_params pd_post_defaults(void);

/* Scratch for maps of at most max_w x max_h samples. @limbs: skeleton->n_limbs entries with the network's PAF channels
 * (copied). Returns 0, -ENOMEM or -EINVAL. */
int pd_post_create(const struct pd_skeleton *skeleton, const struct pd_limb *limbs, int max_w, int max_h,
                   struct pd_post **ret_post);
void pd_post_destroy(struct pd_post *post);

/* All three steps. Coordinates come out in network input pixels; pd_people_to_source() undoes the letterbox.
 * -EINVAL when the maps do not fit the skeleton or the scratch. */
int pd_post_run(struct pd_post *post, const struct pd_maps *maps, const struct pd_post_params *params,
                struct pd_people *ret_people);

/* The steps. find_peaks fills peaks, score_limbs connections; assemble needs only candidates. */
int pd_post_find_peaks(struct pd_post *post, const struct pd_maps *maps, const struct pd_post_params *params,
                       struct pd_candidates *cand);
int pd_post_score_limbs(struct pd_post *post, const struct pd_maps *maps, const struct pd_post_params *params,
                        struct pd_candidates *cand);
int pd_post_assemble(struct pd_post *post, const struct pd_candidates *cand, const struct pd_post_params *params,
                     struct pd_people *ret_people);

struct pd_letterbox;
/* Network input pixels -> source pixels; keypoints outside the letterbox's picture are clamped to its edge. */
void pd_people_to_source(struct pd_people *people, const struct pd_letterbox *lb);
