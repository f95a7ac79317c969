/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/queue.h"
#include "core/util.h"

#define MS PD_NS_PER_MS

/* ---- a clock that is set by hand, and frames that are only numbers ---- */

static int64_t fake_now;

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

static struct pd_frame *number(int camera, uint64_t seq)
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

static uint64_t dropped_seq;
static int drops;

static void note_drop(const struct pd_frame *frame, void *user)
{
    dropped_seq = frame->seq;
    drops++;
}

static struct pd_queue *queue(int max_batch, int64_t wait_ns)
{
    fake_now = 1000 * MS;
    drops = 0;
    struct pd_queue *q = pd_queue_create(&(struct pd_queue_params){.max_batch = max_batch, .batch_wait_ns = wait_ns,
                                                                   .clock = &fake_clock, .on_drop = note_drop});
    assert_non_null(q);
    return q;
}

static int live(struct pd_queue *q)
{
    int camera = pd_queue_add(q, PD_QUEUE_NEWEST, 0);
    assert_true(camera >= 0);
    pd_queue_set_up(q, camera, true);
    return camera;
}

static void push(struct pd_queue *q, int camera, uint64_t seq)
{
    assert_int_equal(pd_queue_push(q, camera, number(camera, seq)), 0);
}

/* Take what is due, check how many, give the frames back; the batch's cameras and seqs stay readable here. */
static int took_camera[PD_CAMERAS_MAX];
static uint64_t took_seq[PD_CAMERAS_MAX];
static int64_t due;

static int take(struct pd_queue *q)
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

static void finish_clean(struct pd_queue *q)
{
    pd_queue_destroy(q);
    assert_int_equal(frames_alive, 0);
}

/* ---- when a batch leaves ---- */

static void one_camera_never_waits(void **state)
{
    struct pd_queue *q = queue(32, 50 * MS);
    int a = live(q);
    assert_int_equal(take(q), 0);
    assert_true(due == INT64_MAX);
    for (uint64_t seq = 1; seq < 5; seq++) {
        push(q, a, seq);
        assert_int_equal(take(q), 1);
        assert_int_equal(took_seq[0], seq);
    }
    finish_clean(q);
}

static void a_batch_waits_for_live_cameras_until_its_deadline(void **state)
{
    struct pd_queue *q = queue(32, 50 * MS);
    int a = live(q), b = live(q);
    push(q, a, 1);
    assert_int_equal(take(q), 0);
    assert_true(due == fake_now + 50 * MS);
    fake_now += 50 * MS - 1;
    assert_int_equal(take(q), 0);
    fake_now += 1; /* the very nanosecond */
    assert_int_equal(take(q), 1);
    push(q, b, 1);
    push(q, a, 2);
    assert_int_equal(take(q), 2); /* complete: at once */
    finish_clean(q);
}

static void the_deadline_is_the_oldest_frames(void **state)
{
    struct pd_queue *q = queue(32, 50 * MS);
    int a = live(q), b = live(q);
    live(q);
    push(q, a, 1);
    fake_now += 30 * MS;
    push(q, b, 1);
    assert_int_equal(take(q), 0);
    assert_true(due == fake_now + 20 * MS);
    fake_now += 20 * MS;
    assert_int_equal(take(q), 2);
    finish_clean(q);
}

static void a_camera_faster_than_the_wait_cannot_push_its_deadline_away(void **state)
{
    struct pd_queue *q = queue(32, 50 * MS);
    int fast = live(q);
    live(q);
    int64_t first = fake_now;
    push(q, fast, 1);
    for (uint64_t seq = 2; seq < 5; seq++) {
        fake_now += 16 * MS;
        assert_int_equal(pd_queue_push(q, fast, number(fast, seq)), PD_QUEUE_E_DROPPED);
        assert_int_equal(dropped_seq, seq - 1);
        assert_int_equal(take(q), 0);
        assert_true(due == first + 50 * MS);
    }
    fake_now = first + 50 * MS;
    assert_int_equal(take(q), 1);
    assert_int_equal(took_seq[0], 4); /* the newest */
    finish_clean(q);
}

static void no_wait_means_no_wait(void **state)
{
    struct pd_queue *q = queue(32, 0);
    int a = live(q);
    live(q);
    push(q, a, 1);
    assert_int_equal(take(q), 1);
    pd_queue_set_wait(q, 10 * MS);
    push(q, a, 2);
    assert_int_equal(take(q), 0);
    pd_queue_set_wait(q, 0);
    assert_int_equal(take(q), 1);
    finish_clean(q);
}

static void a_camera_that_is_not_up_is_not_waited_for(void **state)
{
    struct pd_queue *q = queue(32, 50 * MS);
    int a = live(q), b = live(q);
    int c = pd_queue_add(q, PD_QUEUE_NEWEST, 0); /* new: down */
    push(q, a, 1);
    push(q, b, 1);
    assert_int_equal(take(q), 2);
    push(q, a, 2);
    assert_int_equal(take(q), 0);
    pd_queue_set_up(q, b, false);
    assert_int_equal(take(q), 1);
    push(q, c, 1); /* down, but what it has is welcome */
    push(q, a, 3);
    assert_int_equal(take(q), 2);
    finish_clean(q);
}

static void removing_the_missing_camera_completes_the_batch(void **state)
{
    struct pd_queue *q = queue(32, 50 * MS);
    int a = live(q), b = live(q);
    push(q, a, 1);
    assert_int_equal(take(q), 0);
    pd_queue_remove(q, b);
    assert_int_equal(take(q), 1);
    finish_clean(q);
}

static void all_dead_is_quiet_and_drains(void **state)
{
    struct pd_queue *q = queue(32, 50 * MS);
    int camera[4];
    for (int i = 0; i < 4; i++)
        camera[i] = live(q);
    push(q, camera[2], 7);
    for (int i = 0; i < 4; i++)
        pd_queue_set_up(q, camera[i], false);
    assert_int_equal(take(q), 1); /* nobody is left to wait for */
    assert_int_equal(take(q), 0);
    assert_true(due == INT64_MAX);
    finish_clean(q);
}

/* ---- fairness ---- */

static void of_33_cameras_the_one_left_out_is_first_next(void **state)
{
    struct pd_queue *q = queue(32, 50 * MS);
    int camera[33], served[33] = {0};
    for (int i = 0; i < 33; i++)
        camera[i] = live(q);
    for (uint64_t round = 1; round <= 33; round++) {
        for (int i = 0; i < 33; i++)
            assert_in_range(pd_queue_push(q, camera[i], number(camera[i], round)), 0, 1);
        assert_int_equal(take(q), 32);
        for (int i = 0; i < 32; i++)
            served[took_camera[i]]++;
    }
    for (int i = 0; i < 33; i++)
        assert_int_equal(served[i], 32); /* each sat out exactly once in 33 rounds */
    finish_clean(q);
}

/* An engine that takes 20 ms a batch, cameras at their own pace: one at 60 FPS, thirty at 5. */
static void a_fast_camera_costs_slow_ones_nothing(void **state)
{
    struct pd_queue *q = queue(32, 10 * MS);
    int fast = live(q), slow[30];
    uint64_t seq[31] = {0}, taken_fast = 0;
    for (int i = 0; i < 30; i++)
        slow[i] = live(q);
    int64_t start = fake_now, engine_free = start;
    for (; fake_now < start + 10 * PD_NS_PER_S; fake_now += MS) {
        int64_t t = (fake_now - start) / MS;
        if (t * 60 / 1000 != (t - 1) * 60 / 1000)
            assert_in_range(pd_queue_push(q, fast, number(fast, ++seq[30])), 0, 1);
        for (int i = 0; i < 30; i++)
            if (t % 200 == i * 6)
                push(q, slow[i], ++seq[i]); /* push() fails the test on any drop */
        if (fake_now < engine_free)
            continue;
        int n = take(q);
        for (int k = 0; k < n; k++)
            taken_fast += took_camera[k] == fast;
        if (n)
            engine_free = fake_now + 20 * MS;
    }
    for (int i = 0; i < 30; i++) {
        struct pd_queue_stats s = pd_queue_stats(q, slow[i]);
        assert_int_equal(s.dropped, 0);
        assert_int_equal(s.pushed, s.taken + (uint64_t)s.depth);
        assert_int_equal(s.pushed, 50);
    }
    struct pd_queue_stats s = pd_queue_stats(q, fast);
    assert_int_equal(s.taken, taken_fast);
    assert_true(s.taken > 250); /* it has what is left: about one frame a batch of 20..30 ms */
    assert_int_equal(s.pushed, s.taken + s.dropped + (uint64_t)s.depth);
    finish_clean(q);
}

/* ---- files ---- */

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

static void finish_makes_an_incomplete_batch_due(void **state)
{
    struct pd_queue *q = queue(32, 50 * MS);
    int a = live(q);
    live(q);
    push(q, a, 1);
    assert_int_equal(take(q), 0);
    pd_queue_finish(q);
    assert_int_equal(take(q), 1);
    finish_clean(q);
}

/* ---- indices ---- */

static void indices_run_out_and_come_back(void **state)
{
    struct pd_queue *q = queue(32, 0);
    for (int i = 0; i < PD_CAMERAS_MAX; i++)
        assert_int_equal(pd_queue_add(q, PD_QUEUE_NEWEST, 0), i);
    assert_int_equal(pd_queue_add(q, PD_QUEUE_NEWEST, 0), -ENOSPC);
    push(q, 17, 1);
    pd_queue_remove(q, 17);
    pd_queue_remove(q, 17);
    assert_int_equal(drops, 1);
    assert_int_equal(pd_queue_stats(q, 17).dropped, 1);
    struct pd_frame *f = number(17, 2);
    assert_int_equal(pd_queue_push(q, 17, f), PD_QUEUE_E_FINISHED);
    pd_frame_unref(&f);
    assert_int_equal(pd_queue_add(q, PD_QUEUE_LOSSLESS, 2), 17);
    assert_int_equal(pd_queue_stats(q, 17).pushed, 0);
    push(q, 17, 1);
    assert_int_equal(take(q), 1);
    finish_clean(q);
}

static void a_freed_index_rests_while_there_are_others(void **state)
{
    struct pd_queue *q = queue(32, 0);
    int a = live(q);
    pd_queue_remove(q, a);
    assert_int_not_equal(live(q), a);
    finish_clean(q);
}

static void indices_that_never_were_are_harmless(void **state)
{
    struct pd_queue *q = queue(32, 0);
    static const int wrong[] = {-1, 0, PD_CAMERAS_MAX, INT32_MAX};
    for (size_t i = 0; i < PD_ARRAY_SIZE(wrong); i++) {
        struct pd_frame *f = number(0, 1);
        assert_int_equal(pd_queue_push(q, wrong[i], f), PD_QUEUE_E_FINISHED);
        pd_frame_unref(&f);
        pd_queue_set_up(q, wrong[i], true);
        pd_queue_remove(q, wrong[i]);
        assert_int_equal(pd_queue_stats(q, wrong[i]).pushed, 0);
    }
    pd_queue_destroy(NULL);
    finish_clean(q);
}

/* ---- everything at once, with real threads ---- */

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
        cmocka_unit_test(one_camera_never_waits),
        cmocka_unit_test(a_batch_waits_for_live_cameras_until_its_deadline),
        cmocka_unit_test(the_deadline_is_the_oldest_frames),
        cmocka_unit_test(a_camera_faster_than_the_wait_cannot_push_its_deadline_away),
        cmocka_unit_test(no_wait_means_no_wait),
        cmocka_unit_test(a_camera_that_is_not_up_is_not_waited_for),
        cmocka_unit_test(removing_the_missing_camera_completes_the_batch),
        cmocka_unit_test(all_dead_is_quiet_and_drains),
        cmocka_unit_test(of_33_cameras_the_one_left_out_is_first_next),
        cmocka_unit_test(a_fast_camera_costs_slow_ones_nothing),
        cmocka_unit_test(files_fill_a_batch_in_turn_and_in_order),
        cmocka_unit_test(a_file_does_not_crowd_out_live_cameras),
        cmocka_unit_test(a_files_next_frame_has_its_own_deadline),
        cmocka_unit_test(a_waiting_push_gets_room_from_take),
        cmocka_unit_test(remove_wakes_a_waiting_push),
        cmocka_unit_test(finish_wakes_a_waiting_push_and_drains),
        cmocka_unit_test(finish_makes_an_incomplete_batch_due),
        cmocka_unit_test(indices_run_out_and_come_back),
        cmocka_unit_test(a_freed_index_rests_while_there_are_others),
        cmocka_unit_test(indices_that_never_were_are_harmless),
        cmocka_unit_test(every_frame_is_accounted_for_under_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
