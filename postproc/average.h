#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * The mean of the maps of several looks at one picture: at other sizes (arXiv 1812.08008, 5.1: "multi-scale"),
 * and mirrored.
 * Every look has a letterbox of its own, so its samples are found through the source picture: a sample of the mean is a
 * place in the picture, and each look is read there by a cubic through its four nearest samples on each axis. In a
 * mirrored look left and right keypoints change places, and fields point the other way along x.
 * No I/O, no threads; memory is taken by begin and kept. One object a thread.
 */
#include "core/letterbox.h"
#include "core/pose.h"

struct pd_average;

/* @limbs: skeleton->n_limbs entries with the network's PAF channels (copied). 0; -EINVAL when a limb has no counterpart
 * on the other side of the body; -ENOMEM. */
int pd_average_create(const struct pd_skeleton *skeleton, const struct pd_limb *limbs, struct pd_average **ret_average);
void pd_average_destroy(struct pd_average *average); /* NULL is fine */

/* Begin a picture. The mean's samples are @stride network input pixels apart in the input that @lb describes; results
 * are in its pixels. Returns 0, -EINVAL, -ENOMEM. */
int pd_average_begin(struct pd_average *average, const struct pd_letterbox *lb, float stride);

/* Take in the maps of one look, whose input was letterboxed by @lb (the same source rectangle); with @mirrored what lb
 * describes as the picture was mirrored in place. -EINVAL when maps or letterbox do not fit, -ENOMEM. */
int pd_average_add(struct pd_average *average, const struct pd_maps *maps, const struct pd_letterbox *lb,
                   bool mirrored);

/* The mean of what was added, until the next begin: keypoint maps without background, PAF channels where the network
 * has them. */
struct pd_maps pd_average_result(struct pd_average *average);
