#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Per-camera state over time: stable ids, and smoothing with the real time between frames. One object a camera,
 * advanced in sequence order by one thread at a time. Bounded memory; no allocation after create.
 */
#include <stdatomic.h>

#include "core/pose.h"

struct pd_tracker;

/* @next_id: shared by all cameras of the process, so that no id is given twice; starts at 1. NULL: out of memory. */
struct pd_tracker *pd_tracker_create(const struct pd_skeleton *skeleton, _Atomic int64_t *next_id);
void pd_tracker_destroy(struct pd_tracker *tracker);
/* Give every person of @people (source pixels) an id: the one it had in the last frames, or a new one. @t_us: capture
 * time, microseconds; a step back or a gap of over two seconds begins afresh. */
void pd_tracker_update(struct pd_tracker *tracker, struct pd_people *people, int64_t t_us);

struct pd_smoother;

/* One-Euro filter per tracked keypoint (Casiez et al., CHI 2012) with the frames' real spacing. @min_cutoff_hz > 0. */
struct pd_smoother *pd_smoother_create(double min_cutoff_hz, double beta);
void pd_smoother_destroy(struct pd_smoother *smoother);
/* Smooth in place; people must have ids. State of ids that are gone is dropped after two seconds. */
void pd_smoother_update(struct pd_smoother *smoother, struct pd_people *people, int64_t t_us);
