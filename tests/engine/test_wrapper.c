/* SPDX-License-Identifier: Apache-2.0
 *
 * The promises of the wrapper, held against a backend that can be told to fail, to wait, or to finish out of order.
 */
#include "tests/engine/fake_backend.h"

#include <errno.h>
#include <string.h>

#include "core/log.h"

static void every_entry_of_a_synchronous_backend_runs_on_one_thread(void **state)
{
    struct pd_engine *e = open_fake(&synchronous);
    struct pd_batch b;
    float heat[3 * 4 * 8];
    struct pd_err err;
    make_batch(e, &b, 1);
    assert_int_equal(pd_engine_submit(e, &b), 0);
    pd_engine_drain(e);
    assert_int_equal(pd_engine_forward(e, 1, 64, 32, heat, heat, NULL, &err), 0);
    pd_engine_batch_finish(e, &b);
    pd_engine_close(e);
    for (int i = 1; i < 6; i++)
        assert_true(pthread_equal(fake.thread[0], fake.thread[i]));
    assert_false(pthread_equal(fake.thread[0], pthread_self()));
    assert_int_equal(fake.n_init, 1);
    assert_int_equal(fake.n_finish, 1);
    assert_int_equal(fake.n_close, 1);
}

static void batches_come_back_once_in_order_with_times(void **state)
{
    struct pd_engine *e = open_fake(&synchronous);
    static struct pd_batch b[MANY];
    for (int i = 0; i < MANY; i++) {
        make_batch(e, &b[i], 1 + i % 4);
        assert_int_equal(pd_engine_submit(e, &b[i]), 0);
    }
    pd_engine_drain(e);
    assert_int_equal(seen.n, MANY);
    for (int i = 0; i < MANY; i++) {
        assert_ptr_equal(seen.batch[i], &b[i]);
        assert_int_equal(b[i].status, 0);
        assert_true(b[i].submitted_ns > 0 && b[i].submitted_ns <= b[i].started_ns);
        assert_true(b[i].started_ns <= b[i].preprocessed_ns && b[i].preprocessed_ns <= b[i].done_ns);
        pd_engine_batch_finish(e, &b[i]);
    }
    pd_engine_close(e);
}

struct submitter {
    struct pd_engine *engine;
    struct pd_batch *batch;
    _Atomic bool returned;
};

static void *submit_one(void *arg)
{
    struct submitter *s = arg;
    pd_engine_submit(s->engine, s->batch);
    s->returned = true;
    return NULL;
}

static void submit_blocks_at_the_bound_on_batches_in_flight(void **state)
{
    struct pd_engine *e = open_fake(&synchronous);
    struct pd_batch b[3];
    hold(true);
    for (int i = 0; i < 3; i++)
        make_batch(e, &b[i], 1);
    assert_int_equal(pd_engine_submit(e, &b[0]), 0);
    assert_int_equal(pd_engine_submit(e, &b[1]), 0);
    wait_entered(1);
    struct submitter s = {.engine = e, .batch = &b[2]};
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, submit_one, &s), 0);
    /* The third cannot get in while the first is held: it has not when the first has not finished. */
    for (int i = 0; i < 100; i++) {
        sched_yield();
        assert_false(s.returned);
    }
    hold(false);
    pthread_join(t, NULL);
    pd_engine_drain(e);
    assert_int_equal(seen.n, 3);
    for (int i = 0; i < 3; i++)
        pd_engine_batch_finish(e, &b[i]);
    pd_engine_close(e);
}

static void a_failing_run_comes_back_with_its_code_and_a_line(void **state)
{
    struct pd_engine *e = open_fake(&synchronous);
    struct pd_batch b;
    make_batch(e, &b, 1);
    fake.run_result = -ENODEV;
    assert_int_equal(pd_engine_submit(e, &b), 0);
    pd_engine_drain(e);
    assert_int_equal(seen.n, 1);
    assert_int_equal(b.status, -ENODEV);
    assert_non_null(strstr(b.err.text, "fake"));
    fake.run_result = 3; /* no code of the contract */
    assert_int_equal(pd_engine_submit(e, &b), 0);
    pd_engine_drain(e);
    assert_int_equal(b.status, -EIO);
    fake.run_result = 0;
    assert_int_equal(pd_engine_submit(e, &b), 0);
    pd_engine_drain(e);
    assert_int_equal(b.status, 0);
    assert_string_equal(b.err.text, "");
    pd_engine_batch_finish(e, &b);
    pd_engine_close(e);
}

static void failing_open_and_init_are_passed_up_with_their_line(void **state)
{
    struct pd_engine *e;
    struct pd_err err = {""};
    fake.open_result = -ENODEV;
    assert_int_equal(pd_engine_open_ops(&synchronous, &net, &params, &e, &err), -ENODEV);
    assert_string_equal(err.text, "the device is on fire");
    assert_int_equal(fake.n_close, 0);
    fake.open_result = 0;
    fake.init_result = -ENOMEM;
    e = open_fake(&synchronous);
    struct pd_batch b = {.n = 1, .width = 64, .height = 32, .done = on_done};
    assert_int_equal(pd_engine_batch_init(e, &b, &err), -ENOMEM);
    assert_string_equal(err.text, "no memory on the device");
    assert_int_equal(pd_engine_submit(e, &b), -EINVAL); /* not initialised: refused, done() not called */
    assert_int_equal(seen.n, 0);
    pd_engine_close(e);
}

static void close_hands_back_what_is_in_flight(void **state)
{
    struct pd_engine *e = open_fake(&synchronous);
    struct pd_batch b[2];
    for (int i = 0; i < 2; i++)
        make_batch(e, &b[i], 1);
    hold(true);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pd_engine_submit(e, &b[i]), 0);
    wait_entered(1);
    hold(false); /* close may come before or after the second one has begun: both end with every batch back */
    pd_engine_close(e);
    assert_int_equal(seen.n, 2);
    assert_int_equal(seen.status[0], 0);
    assert_true(seen.status[1] == 0 || seen.status[1] == -ECANCELED);
    assert_int_equal(fake.n_close, 1);
}

static void wrong_batches_are_refused_without_done(void **state)
{
    struct pd_engine *e = open_fake(&synchronous);
    struct pd_batch b;
    make_batch(e, &b, 1);
    b.n = 5;
    assert_int_equal(pd_engine_submit(e, &b), -EINVAL);
    b.n = 0;
    assert_int_equal(pd_engine_submit(e, &b), -EINVAL);
    b.n = 1;
    b.width = 60;
    assert_int_equal(pd_engine_submit(e, &b), -EINVAL);
    assert_non_null(strstr(b.err.text, "multiples of 8"));
    b.width = 72;
    assert_int_equal(pd_engine_submit(e, &b), -EINVAL); /* letterbox is for another size */
    b.width = 64;
    b.slot[0].frame = NULL;
    assert_int_equal(pd_engine_submit(e, &b), -EINVAL);
    struct pd_frame device = {.refs = 1, .mem = PD_MEM_CUDA};
    b.slot[0].frame = &device;
    assert_int_equal(pd_engine_submit(e, &b), -EINVAL);
    assert_non_null(strstr(b.err.text, "GPU"));
    assert_int_equal(seen.n, 0);
    pd_engine_batch_finish(e, &b);
    pd_engine_close(e);
}

static int three(const struct pd_engine_params *p)
{
    return 3;
}

static void without_a_largest_batch_the_backend_chooses(void **state)
{
    struct pd_engine *e;
    struct pd_err err;
    struct pd_engine_params p = params;
    struct pd_engine_ops ops = synchronous;
    p.max_batch = 0;
    assert_int_equal(pd_engine_open_ops(&ops, &net, &p, &e, &err), 0);
    assert_int_equal(pd_engine_caps(e)->max_batch, PD_BATCH_MAX);
    assert_true(pd_engine_caps(e)->synchronous);
    pd_engine_close(e);
    ops.best_batch = three;
    assert_int_equal(pd_engine_open_ops(&ops, &net, &p, &e, &err), 0);
    assert_int_equal(pd_engine_caps(e)->max_batch, 3);
    pd_engine_close(e);
}

static void wrong_parameters_are_refused_with_what_is_right(void **state)
{
    struct pd_engine *e;
    struct pd_err err;
    struct pd_engine_params p = params;
    p.max_batch = 33;
    assert_int_equal(pd_engine_open_ops(&synchronous, &net, &p, &e, &err), -EINVAL);
    assert_non_null(strstr(err.text, "to 32"));
    p = params;
    p.width = 65;
    assert_int_equal(pd_engine_open_ops(&synchronous, &net, &p, &e, &err), -EINVAL);
    assert_non_null(strstr(err.text, "multiples of 8"));
    p = params;
    p.in_flight = 5;
    assert_int_equal(pd_engine_open_ops(&synchronous, &net, &p, &e, &err), -EINVAL);
    assert_int_equal(pd_engine_open("fast", &net, &params, &e, &err), -EINVAL);
    assert_non_null(strstr(err.text, "no engine 'fast'"));
    for (int i = 0; pd_engine_name(i); i++)
        assert_non_null(strstr(err.text, pd_engine_name(i)));
}

static void asynchronous_batches_are_handed_over_in_order(void **state)
{
    struct pd_engine_params p = params;
    p.in_flight = 4;
    struct pd_engine *e;
    struct pd_err err;
    assert_int_equal(pd_engine_open_ops(&asynchronous, &net, &p, &e, &err), 0);
    struct pd_batch b[4];
    for (int i = 0; i < 4; i++) {
        make_batch(e, &b[i], 1);
        assert_int_equal(pd_engine_submit(e, &b[i]), 0);
    }
    pd_engine_done(&b[2], -EIO);
    pd_engine_done(&b[1], 0);
    assert_int_equal(seen.n, 0);
    pd_engine_done(&b[0], 0);
    assert_int_equal(seen.n, 3);
    enum pd_log_level level = pd_log_get_level();
    pd_log_set_level(-1);
    pd_engine_done(&b[0], 0); /* twice: told in the log, not handed over again */
    pd_log_set_level(level);
    assert_int_equal(seen.n, 3);
    pd_engine_done(&b[3], 0);
    pd_engine_close(e);
    assert_int_equal(seen.n, 4);
    for (int i = 0; i < 4; i++)
        assert_ptr_equal(seen.batch[i], &b[i]);
    assert_int_equal(seen.status[2], -EIO);
}

static void a_failing_asynchronous_submit_leaves_nothing_in_flight(void **state)
{
    struct pd_engine *e = open_fake(&asynchronous);
    struct pd_batch b;
    make_batch(e, &b, 1);
    fake.submit_result = -EIO;
    for (int i = 0; i < 5; i++)
        assert_int_equal(pd_engine_submit(e, &b), -EIO);
    assert_string_equal(b.err.text, "the stream is closed");
    pd_engine_drain(e);
    assert_int_equal(seen.n, 0);
    pd_engine_batch_finish(e, &b);
    pd_engine_close(e);
}

static void a_backend_with_forward_alone_gets_batches_run(void **state)
{
    struct pd_engine *e = open_fake(&forward_only);
    struct pd_batch b;
    make_batch(e, &b, 3);
    assert_int_equal(pd_engine_submit(e, &b), 0);
    pd_engine_drain(e);
    assert_int_equal(b.status, 0);
    for (int i = 0; i < 3; i++) {
        const struct pd_maps *m = &b.slot[i].maps;
        assert_int_equal(m->w, 8);
        assert_int_equal(m->h, 4);
        assert_int_equal(m->n_heat, 3);
        assert_int_equal(m->n_paf, 0);
        assert_true(m->stride == 8 && m->offset == 3.5f);
        assert_true(m->heat[0] == 3 && m->heat[95] == 3);
    }
    /* a larger input makes the batch's memory grow */
    b.width = 128;
    for (int i = 0; i < 3; i++)
        assert_int_equal(pd_letterbox_fit(64, 32, NULL, 128, 32, &b.slot[i].lb), 0);
    assert_int_equal(pd_engine_submit(e, &b), 0);
    pd_engine_drain(e);
    assert_int_equal(b.status, 0);
    assert_int_equal(b.slot[2].maps.w, 16);
    pd_engine_batch_finish(e, &b);
    pd_engine_close(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_entry_of_a_synchronous_backend_runs_on_one_thread, reset),
        cmocka_unit_test_setup(batches_come_back_once_in_order_with_times, reset),
        cmocka_unit_test_setup(submit_blocks_at_the_bound_on_batches_in_flight, reset),
        cmocka_unit_test_setup(a_failing_run_comes_back_with_its_code_and_a_line, reset),
        cmocka_unit_test_setup(failing_open_and_init_are_passed_up_with_their_line, reset),
        cmocka_unit_test_setup(close_hands_back_what_is_in_flight, reset),
        cmocka_unit_test_setup(wrong_batches_are_refused_without_done, reset),
        cmocka_unit_test_setup(without_a_largest_batch_the_backend_chooses, reset),
        cmocka_unit_test_setup(wrong_parameters_are_refused_with_what_is_right, reset),
        cmocka_unit_test_setup(asynchronous_batches_are_handed_over_in_order, reset),
        cmocka_unit_test_setup(a_failing_asynchronous_submit_leaves_nothing_in_flight, reset),
        cmocka_unit_test_setup(a_backend_with_forward_alone_gets_batches_run, reset),
    };
    return cmocka_run_group_tests(tests, NULL, drop_frame);
}
