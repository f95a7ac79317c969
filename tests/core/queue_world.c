/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/queue_world.h"

#include <stdlib.h>

int64_t fake_now;

static int64_t read_fake(void *user)
{
    return fake_now;
}

static const struct pd_clock fake_clock = {read_fake, NULL};
static _Atomic int frames_alive;

static void release_number(struct pd_frame *frame)
{
    frames_alive--;
    free(frame);
}

struct pd_frame *number(int camera, uint64_t seq)
{
    struct pd_frame *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    atomic_init(&f->refs, 1);
    f->camera = camera;
    f->seq = seq;
    f->release = release_number;
    frames_alive++;
    return f;
}

uint64_t dropped_seq;
int drops;

static void note_drop(const struct pd_frame *frame, void *user)
{
    dropped_seq = frame->seq;
    drops++;
}

struct pd_queue *queue(int max_batch, int64_t wait_ns)
{
    fake_now = 1000 * MS;
    drops = 0;
    struct pd_queue *q = pd_queue_create(&(struct pd_queue_params){.max_batch = max_batch, .batch_wait_ns = wait_ns,
                                                                   .clock = &fake_clock, .on_drop = note_drop});
    assert_non_null(q);
    return q;
}

int live(struct pd_queue *q)
{
    int camera = pd_queue_add(q, PD_QUEUE_NEWEST, 0);
    assert_true(camera >= 0);
    pd_queue_set_up(q, camera, true);
    return camera;
}

void push(struct pd_queue *q, int camera, uint64_t seq)
{
    assert_int_equal(pd_queue_push(q, camera, number(camera, seq)), 0);
}

int took_camera[PD_CAMERAS_MAX];
uint64_t took_seq[PD_CAMERAS_MAX];
int64_t due;

int take(struct pd_queue *q)
{
    struct pd_frame *frames[PD_CAMERAS_MAX];
    due = -1;
    int n = pd_queue_try_take(q, frames, &due);
    for (int i = 0; i < n; i++) {
        took_camera[i] = frames[i]->camera;
        took_seq[i] = frames[i]->seq;
        pd_frame_unref(&frames[i]);
    }
    return n;
}

void finish_clean(struct pd_queue *q)
{
    pd_queue_destroy(q);
    assert_int_equal(frames_alive, 0);
}
