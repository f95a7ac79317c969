#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Post-processing a second time, written from the paper (arXiv 1812.08008) and the words of post.h in the plainest way:
 * doubles, all pairs, no early exits, people as labels on peaks. Finite maps only; as many peaks as fit.
 *
 * Each step takes the fast path's result of the step before, so that a difference is seen where it arises. Decisions
 * that hang on less than rounding are no differences: *margin is lowered to the smallest distance of a deciding value
 * from what it was compared with.
 */
#include "postproc/post.h"

int slow_find_peaks(const struct pd_maps *maps, int keypoint, double threshold, struct pd_peak *ret_peaks);

/* Score of the limb between two peaks, or a negative number when it is none. */
double slow_line(const struct pd_maps *maps, const struct pd_limb *limb, const struct pd_peak *a,
                 const struct pd_peak *b, double threshold, double fraction, double *margin);

int slow_match(const struct pd_maps *maps, const struct pd_limb *limb, const struct pd_candidates *cand,
               const struct pd_post_params *params, struct pd_connection *ret_connections, double *margin);

void slow_assemble(const struct pd_skeleton *skeleton, const struct pd_candidates *cand,
                   const struct pd_post_params *params, struct pd_people *ret_people, double *margin);
