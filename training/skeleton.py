# SPDX-License-Identifier: Apache-2.0
"""COCO-18, as OpenPose orders it: keypoints, limbs, and which two channels hold each limb's field."""
from typing import List, Tuple

KEYPOINTS = ("nose neck r_shoulder r_elbow r_wrist l_shoulder l_elbow l_wrist r_hip r_knee r_ankle "
             "l_hip l_knee l_ankle r_eye l_eye r_ear l_ear").split()
N_KEYPOINTS = len(KEYPOINTS)
NECK, R_SHOULDER, L_SHOULDER = 1, 2, 5

# (from, to, first of its two channels)
LIMBS: List[Tuple[int, int, int]] = [
    (1, 2, 12), (1, 5, 20), (2, 3, 14), (3, 4, 16), (5, 6, 22), (6, 7, 24), (1, 8, 0), (8, 9, 2), (9, 10, 4),
    (1, 11, 6), (11, 12, 8), (12, 13, 10), (1, 0, 28), (0, 14, 30), (14, 16, 34), (0, 15, 32), (15, 17, 36),
    (2, 16, 18), (5, 17, 26)]
N_LIMBS = len(LIMBS)
N_HEAT, N_PAF = N_KEYPOINTS + 1, 2 * N_LIMBS  # the last confidence map is the background
LIMBS_BY_CHANNEL = sorted(LIMBS, key=lambda limb: limb[2])

# The keypoint that each becomes in a mirrored picture.
OTHER_SIDE = {"r_": "l_", "l_": "r_"}
MIRRORED = [KEYPOINTS.index(OTHER_SIDE.get(n[:2], n[:2]) + n[2:]) for n in KEYPOINTS]

# COCO's 17 (nose, eyes, ears, shoulders ... left before right) as indices into KEYPOINTS; the neck is not among them.
FROM_COCO = [KEYPOINTS.index(n) for n in (
    "nose l_eye r_eye l_ear r_ear l_shoulder r_shoulder l_elbow r_elbow l_wrist r_wrist l_hip r_hip l_knee r_knee "
    "l_ankle r_ankle").split()]

STRIDE = 8
OFFSET = (STRIDE - 1) / 2  # input pixel of map sample 0
SIGMA = 7.0                # of a keypoint's bump in the maps, input pixels (OpenPose's)
LIMB_WIDTH = 8.0           # half of a limb's breadth in the fields, input pixels: one map sample (OpenPose's)
