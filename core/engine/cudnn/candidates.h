#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Peaks and limbs on the device: from the maps of a batch to struct pd_candidates, bit for bit what postproc/ makes of
 * the same maps. Two kernels, one after the other on a stream; all arithmetic is core/pose_rules.h.
 */
#include "core/pose.h"

#define PD_FINDER_FRAMES 32 /* in one call */
#define PD_PAIRS_MAX (PD_PEAKS_MAX * PD_PEAKS_MAX)

typedef unsigned long long pd_key; /* the type that atomicMax() wants; greater is better, 0 is none */

struct pd_finder {
    /* maps in device memory, as struct pd_maps describes those of one frame; n frames one after the other */
    const float *heat, *paf;
    int n, n_heat, n_paf, w, h;
    float stride, offset;

    int n_keypoints, n_limbs; /* the skeleton's; n_limbs >= 1, all channels within n_heat and n_paf */
    struct pd_limb limbs[PD_LIMBS_MAX];
    struct pd_find_params params[PD_FINDER_FRAMES]; /* by frame */

    /* scratch in device memory, for one batch at a time */
    pd_key *maxima;             /* n x n_keypoints x pd_maxima_max(w, h) */
    pd_key *pairs;              /* n_pair_blocks x PD_PAIRS_MAX */
    int n_pair_blocks;          /* >= 1: limbs that are matched at the same time */
    struct pd_candidates *work; /* n */
    int *capped;                /* n x PD_KEYPOINTS_MAX */

    /* n: where the result goes. Only what exists is written, so this may be the host's memory, seen from the device:
     * then just these bytes cross the bus. */
    struct pd_candidates *out;
};

#ifdef __cplusplus
extern "C" {
#endif

/* Queue both kernels on @stream (a cudaStream_t); returns a cudaError_t. */
int pd_cuda_find(const struct pd_finder *finder, void *stream);

#ifdef __cplusplus
}
#endif
