#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * A queue for tests: its clock is set by hand, its frames are only numbers, and what it drops and hands out is noted.
 */
#include "tests/core/test.h"

#include "core/queue.h"
#include "core/util.h"

#define MS PD_NS_PER_MS

extern int64_t fake_now; /* what the queue's clock says */

/* With nothing dropped yet. */
struct pd_queue *queue(int max_batch, int64_t wait_ns);
void finish_clean(struct pd_queue *q); /* every frame there ever was must be back */

int live(struct pd_queue *q); /* a camera that is up; returns its index */
struct pd_frame *number(int camera, uint64_t seq);
void push(struct pd_queue *q, int camera, uint64_t seq); /* nothing may be dropped for it */

/* Take what is due, give the frames back and return how many. The batch's cameras and seqs stay readable here, and when
 * the next batch is due. */
int take(struct pd_queue *q);
extern int took_camera[PD_CAMERAS_MAX];
extern uint64_t took_seq[PD_CAMERAS_MAX];
extern int64_t due;

extern int drops;
extern uint64_t dropped_seq; /* the last one's */
