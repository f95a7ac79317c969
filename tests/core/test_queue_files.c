/* SPDX-License-Identifier: Apache-2.0 - the queue with files, of which nothing is dropped: whoever pushes waits. */
#include "tests/core/queue_world.h"

#include <pthread.h>

static void files_fill_a_batch_in_turn_and_in_order(void **state)
{
    struct pd_queue *q = queue(8, 50 * MS);
    int a = pd_queue_add(q, PD_QUEUE_LOSSLESS, 4), b = pd_queue_add(q, PD_QUEUE_LOSSLESS, 4);
    for (uint64_t seq = 1; seq <= 4; seq++)
        push(q, a, seq);
    push(q, b, 1);
    assert_int_equal(take(q), 5);
    static const uint64_t want_seq[] = {1, 1, 2, 3, 4};
    const int want_camera[] = {a, b, a, a, a};
    for (int i = 0; i < 5; i++) {
        assert_int_equal(took_camera[i], want_camera[i]);
        assert_int_equal(took_seq[i], want_seq[i]);
    }
    finish_clean(q);
}

static void a_file_does_not_crowd_out_live_cameras(void **state)
{
    struct pd_queue *q = queue(4, 50 * MS);
    int file = pd_queue_add(q, PD_QUEUE_LOSSLESS, 8), camera[3];
    for (uint64_t seq = 1; seq <= 8; seq++)
        push(q, file, seq);
    for (int i = 0; i < 3; i++) {
        camera[i] = live(q);
        push(q, camera[i], 1);
    }
    assert_int_equal(take(q), 4);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pd_queue_stats(q, camera[i]).taken, 1);
    assert_int_equal(pd_queue_stats(q, file).taken, 1);
    finish_clean(q);
}

static void a_files_next_frame_has_its_own_deadline(void **state)
{
    struct pd_queue *q = queue(2, 50 * MS);
    int file = pd_queue_add(q, PD_QUEUE_LOSSLESS, 4);
    live(q);
    push(q, file, 1);
    push(q, file, 2);
    fake_now += 10 * MS;
    push(q, file, 3);
    assert_int_equal(take(q), 2);
    assert_int_equal(take(q), 0);
    assert_true(due == fake_now + 50 * MS);
    finish_clean(q);
}

struct pusher {
    struct pd_queue *q;
    int camera, rc;
    uint64_t seq;
};

static void *push_thread(void *arg)
{
    struct pusher *p = arg;
    struct pd_frame *f = number(p->camera, p->seq);
    p->rc = pd_queue_push(p->q, p->camera, f);
    if (p->rc == PD_QUEUE_E_FINISHED)
        pd_frame_unref(&f);
    return NULL;
}

/* The thread is asleep in push() when this returns, or about to be: each case below ends either way. */
static pthread_t start_push(struct pusher *p)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, push_thread, p), 0);
    return thread;
}

static void a_waiting_push_gets_room_from_take(void **state)
{
    struct pd_queue *q = queue(1, 0);
    int file = pd_queue_add(q, PD_QUEUE_LOSSLESS, 1);
    push(q, file, 1);
    struct pusher p = {q, file, -1, 2};
    pthread_t thread = start_push(&p);
    assert_int_equal(take(q), 1);
    pthread_join(thread, NULL);
    assert_int_equal(p.rc, 0);
    assert_int_equal(take(q), 1);
    assert_int_equal(took_seq[0], 2);
    finish_clean(q);
}

static void remove_wakes_a_waiting_push(void **state)
{
    struct pd_queue *q = queue(1, 0);
    int file = pd_queue_add(q, PD_QUEUE_LOSSLESS, 1);
    push(q, file, 1);
    struct pusher p = {q, file, -1, 2};
    pthread_t thread = start_push(&p);
    pd_queue_remove(q, file);
    pthread_join(thread, NULL);
    assert_int_equal(p.rc, PD_QUEUE_E_FINISHED);
    assert_int_equal(drops, 1);
    assert_int_equal(dropped_seq, 1);
    assert_int_equal(take(q), 0);
    finish_clean(q);
}

static void finish_wakes_a_waiting_push_and_drains(void **state)
{
    struct pd_queue *q = queue(1, 0);
    int file = pd_queue_add(q, PD_QUEUE_LOSSLESS, 1);
    push(q, file, 1);
    struct pusher p = {q, file, -1, 2};
    pthread_t thread = start_push(&p);
    pd_queue_finish(q);
    pthread_join(thread, NULL);
    assert_int_equal(p.rc, PD_QUEUE_E_FINISHED);
    struct pd_frame *f = number(file, 3), *frames[1];
    assert_int_equal(pd_queue_push(q, file, f), PD_QUEUE_E_FINISHED);
    pd_frame_unref(&f);
    assert_int_equal(pd_queue_take(q, frames), 1);
    assert_int_equal(frames[0]->seq, 1);
    pd_frame_unref(&frames[0]);
    assert_int_equal(pd_queue_take(q, frames), 0);
    assert_int_equal(pd_queue_take(q, frames), 0);
    finish_clean(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_fill_a_batch_in_turn_and_in_order),
        cmocka_unit_test(a_file_does_not_crowd_out_live_cameras),
        cmocka_unit_test(a_files_next_frame_has_its_own_deadline),
        cmocka_unit_test(a_waiting_push_gets_room_from_take),
        cmocka_unit_test(remove_wakes_a_waiting_push),
        cmocka_unit_test(finish_wakes_a_waiting_push_and_drains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
