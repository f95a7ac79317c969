/* SPDX-License-Identifier: Apache-2.0 - the queue with everything at once, and real threads. */
#include "tests/core/queue_world.h"

#include <pthread.h>

#define STRESS_CAMERAS 6
#define STRESS_FRAMES 4000

static struct {
    struct pd_queue *q;
    int camera[STRESS_CAMERAS];
    _Atomic uint64_t dropped;
} stress;

static void stress_drop(const struct pd_frame *frame, void *user)
{
    stress.dropped++;
}

static void *stress_push(void *arg)
{
    int i = (int)(intptr_t)arg;
    for (uint64_t seq = 1; seq <= STRESS_FRAMES; seq++) {
        struct pd_frame *f = number(stress.camera[i], seq);
        int rc = pd_queue_push(stress.q, stress.camera[i], f);
        if (rc == PD_QUEUE_E_FINISHED)
            pd_frame_unref(&f);
        if (seq % 97 == 0)
            pd_queue_set_up(stress.q, stress.camera[i], seq % 2);
    }
    pd_queue_set_up(stress.q, stress.camera[i], false);
    return NULL;
}

static void *stress_take(void *arg)
{
    uint64_t last[PD_CAMERAS_MAX] = {0}, *total = arg;
    struct pd_frame *frames[4];
    for (int n; (n = pd_queue_take(stress.q, frames));)
        for (int i = 0; i < n; i++) {
            if (frames[i]->seq <= last[frames[i]->camera])
                return NULL; /* out of order: the total below will not add up */
            last[frames[i]->camera] = frames[i]->seq;
            ++*total;
            pd_frame_unref(&frames[i]);
        }
    return NULL;
}

static void every_frame_is_accounted_for_under_load(void **state)
{
    stress.q =
        pd_queue_create(&(struct pd_queue_params){.max_batch = 4, .batch_wait_ns = 20000, .on_drop = stress_drop});
    assert_non_null(stress.q);
    stress.dropped = 0;
    pthread_t pusher[STRESS_CAMERAS], taker;
    uint64_t total = 0, taken = 0, dropped = 0;
    for (int i = 0; i < STRESS_CAMERAS; i++) {
        stress.camera[i] = pd_queue_add(stress.q, i % 2 ? PD_QUEUE_LOSSLESS : PD_QUEUE_NEWEST, 3);
        pd_queue_set_up(stress.q, stress.camera[i], true);
    }
    assert_int_equal(pthread_create(&taker, NULL, stress_take, &total), 0);
    for (int i = 0; i < STRESS_CAMERAS; i++)
        assert_int_equal(pthread_create(&pusher[i], NULL, stress_push, (void *)(intptr_t)i), 0);
    for (int i = 0; i < STRESS_CAMERAS; i++)
        pthread_join(pusher[i], NULL);
    pd_queue_finish(stress.q);
    pthread_join(taker, NULL);
    for (int i = 0; i < STRESS_CAMERAS; i++) {
        struct pd_queue_stats s = pd_queue_stats(stress.q, stress.camera[i]);
        assert_int_equal(s.pushed, STRESS_FRAMES);
        assert_int_equal(s.pushed, s.taken + s.dropped);
        assert_int_equal(s.depth, 0);
        assert_true(i % 2 == 0 || s.dropped == 0);
        taken += s.taken;
        dropped += s.dropped;
    }
    assert_int_equal(total, taken);
    assert_int_equal(stress.dropped, dropped);
    finish_clean(stress.q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_frame_is_accounted_for_under_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
