#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * The plain data that flows from the engine through post-processing to the wire. No functions, any thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/skeleton.h"

#define PD_PEOPLE_MAX 128     /* people reported in one frame */
#define PD_PEAKS_MAX 256      /* peaks kept of one confidence map */
#define PD_CONNECTIONS_MAX 256 /* accepted connections of one limb */

/* The maps of one frame, fp32, channel-major (c, h, w), rows dense. Sample (x, y) of a map lies at network input pixel
 * x * stride + offset (both axes; centre of pixel (0,0) is 0,0). */
struct pd_maps {
    int w, h;
    int n_heat, n_paf;
    const float *heat; /* n_heat x h x w confidence maps; background last, if the network has one */
    const float *paf;  /* n_paf x h x w part affinity fields */
    float stride, offset;
};

/* What the search for peaks and limbs goes by; postproc/post.h tells more. */
struct pd_find_params {
    float peak_threshold; /* confidence a peak must reach */
    float limb_threshold; /* PAF projection that a sample on the limb must reach */
    float limb_fraction;  /* share of samples on the limb that must reach it, 0..1 */
};

struct pd_peak {
    float x, y; /* network input pixels, sub-pixel */
    float score;
};

struct pd_connection {
    uint16_t a, b; /* peak indices of the limb's two keypoints */
    float score;   /* mean of the PAF along the limb, plus the paper's distance prior if used */
};

/* What is left of a frame once peaks are found and limbs are scored. A GPU engine produces this on the device, the CPU
 * path in postproc; assembly into people is the same for both. About 200 KiB: never on a stack. */
struct pd_candidates {
    int n_peaks[PD_KEYPOINTS_MAX];
    int n_connections[PD_LIMBS_MAX];
    struct pd_peak peaks[PD_KEYPOINTS_MAX][PD_PEAKS_MAX];
    struct pd_connection connections[PD_LIMBS_MAX][PD_CONNECTIONS_MAX]; /* greedily matched, best first */
    uint32_t capped_peaks;       /* peaks that did not fit: the weakest were let go */
    uint32_t capped_connections;
};

struct pd_keypoint {
    float x, y;  /* source pixels once the letterbox is undone; network input pixels before */
    float score; /* 0: missing */
};

struct pd_person {
    int64_t id;  /* with tracking on, from 1, never reused while the process lives; 0: not tracked */
    float score; /* 0..1 */
    int n_found; /* keypoints with score > 0 */
    struct pd_keypoint keypoints[PD_KEYPOINTS_MAX];
};

struct pd_people {
    int n;
    int n_keypoints;
    struct pd_person person[PD_PEOPLE_MAX]; /* best score first */
    uint32_t capped_peaks, capped_connections, capped_people; /* what the caps let go in this frame */
};
