/* SPDX-License-Identifier: Apache-2.0
 *
 * An engine that does not take every batch. pd_engine_open() is wrapped: whatever is asked for, the one below opens,
 * which does as the test says.
 */
#include "tests/daemon/pipeline_world.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int __wrap_pd_engine_open(const char *name, const struct pd_net *net, const struct pd_engine_params *params,
                          struct pd_engine **ret_engine, struct pd_err *err);

/* ---- the engine: a batch that it holds is done when the test says so, any other at once ---- */

static struct {
    struct pd_shape heat, paf;
    float *zeros; /* nobody is in any picture */

    pthread_mutex_t lock;
    pthread_cond_t news;
    /* protected by lock */
    int n;                /* batches that came, taken or not, after the trial */
    int (*decide)(int n); /* of the nth: 0 done, 1 held, a negative errno refused */
    bool go;              /* see two_are_held() */
    struct pd_batch *held[2];
    int n_held;
    int refused, refused_frames;
} engine = {.lock = PTHREAD_MUTEX_INITIALIZER, .news = PTHREAD_COND_INITIALIZER};

static int engine_open(const struct pd_net *net, const struct pd_engine_params *params, struct pd_engine_caps *caps,
                       void **ret_self, struct pd_err *err)
{
    struct pd_shape *shapes = calloc((size_t)net->n_tensors, sizeof(*shapes));
    assert_non_null(shapes);
    assert_int_equal(pd_net_shapes(net, params->height, params->width, shapes, err), 0);
    engine.heat = shapes[net->heat];
    engine.paf = shapes[net->paf];
    free(shapes);
    size_t area = (size_t)engine.heat.w * (size_t)engine.heat.h;
    engine.zeros = calloc(area * (size_t)PD_MAX(engine.heat.c, engine.paf.c), sizeof(*engine.zeros));
    assert_non_null(engine.zeros);
    strcpy(caps->device, "one that is hard to please");
    *ret_self = &engine;
    return 0;
}

static void engine_close(void *self)
{
    free(engine.zeros);
}

static int engine_batch_init(void *self, struct pd_batch *batch, struct pd_err *err)
{
    return 0;
}

static void engine_batch_finish(void *self, struct pd_batch *batch)
{
}

static void end(struct pd_batch *batch)
{
    for (int i = 0; i < batch->n; i++)
        batch->slot[i].maps = (struct pd_maps){
            .w = engine.heat.w, .h = engine.heat.h, .n_heat = engine.heat.c, .n_paf = engine.paf.c,
            .heat = engine.zeros, .paf = engine.zeros, .stride = 8,
        };
    pd_engine_done(batch, 0);
}

static int engine_submit(void *self, struct pd_batch *batch)
{
    pthread_mutex_lock(&engine.lock);
    if (engine.decide)
        engine.n++;
    pthread_cond_broadcast(&engine.news); /* also before decide(): it may wait for who waits for this */
    int what = engine.decide ? engine.decide(engine.n) : 0;
    if (what == 1) {
        engine.held[engine.n_held++ % 2] = batch;
    } else if (what < 0) {
        engine.refused++;
        engine.refused_frames += batch->n;
    }
    pthread_cond_broadcast(&engine.news);
    pthread_mutex_unlock(&engine.lock);
    if (what == 0)
        end(batch);
    return PD_MIN(what, 0);
}

static const struct pd_engine_ops ops = {
    .name = "picky", .open = engine_open, .close = engine_close, .batch_init = engine_batch_init,
    .batch_finish = engine_batch_finish, .submit = engine_submit,
};

int __wrap_pd_engine_open(const char *name, const struct pd_net *net, const struct pd_engine_params *params,
                          struct pd_engine **ret_engine, struct pd_err *err)
{
    return pd_engine_open_ops(&ops, net, params, ret_engine, err);
}

static void start(int (*decide)(int n))
{
    engine.decide = NULL; /* the trial is taken */
    world_start(1);
    pthread_mutex_lock(&engine.lock);
    engine.n = engine.refused = engine.refused_frames = 0;
    engine.decide = decide;
    pthread_mutex_unlock(&engine.lock);
    world_feed();
}

/* Until *@count, one of the engine's, is @n. */
static void wait_for(const int *count, int n)
{
    pthread_mutex_lock(&engine.lock);
    while (*count < n)
        pthread_cond_wait(&engine.news, &engine.lock);
    pthread_mutex_unlock(&engine.lock);
}

/* Or until the engine is given up. */
static void run_until_settled(void)
{
    while (!world.fatal && !world_all_settled())
        uv_run(&world.loop, UV_RUN_ONCE);
    world_drain();
}

/* ---- tests ---- */

static int every_third(int n)
{
    return n % 3 ? 0 : -EIO;
}

static void refused_batches_are_failures_of_their_frames_and_of_no_other(void **state)
{
    start(every_third);
    run_until_settled();
    uint64_t failed = 0;
    for (int i = 0; i < CAMERAS; i++) {
        struct feeder *f = &world.feeders[i];
        assert_int_equal(f->lines + atomic_load(&f->camera->failed), FRAMES);
        failed += atomic_load(&f->camera->failed);
    }
    struct pd_pipeline_device d = world_device(0);
    assert_true(engine.refused > 0);
    assert_int_equal(failed, engine.refused_frames);
    assert_int_equal(d.failed_batches, engine.refused);
    assert_int_equal(d.batches, engine.n);
    assert_int_equal(d.frames + failed, CAMERAS * FRAMES);
    assert_int_equal(d.in_flight, 0);
    assert_int_equal(world.fatal, 0); /* never ten in a row */
    world_stop();
}

static int always(int n)
{
    return -EIO;
}

static void an_engine_that_refuses_everything_is_given_up(void **state)
{
    start(always);
    run_until_settled();
    assert_int_equal(world.fatal, -EIO);
    world_stop();
    assert_true(engine.refused >= 10);
}

static int lost_once(int n)
{
    return n == 5 ? -ENODEV : 0;
}

static void a_device_that_is_lost_at_a_submit_is_the_end(void **state)
{
    start(lost_once);
    run_until_settled();
    assert_int_equal(world.fatal, -ENODEV);
    world_stop();
}

/* The first and the fourth: all that an engine gets at once. Those between are refused, when the test has looked. */
static int two_are_held(int n)
{
    while (n == 2 && !engine.go)
        pthread_cond_wait(&engine.news, &engine.lock);
    return n == 1 || n == 4 ? 1 : n < 4 ? -EIO : 0;
}

static void go_on(void)
{
    pthread_mutex_lock(&engine.lock);
    engine.go = true;
    pthread_cond_broadcast(&engine.news);
    pthread_mutex_unlock(&engine.lock);
}

/* The watchdog takes the age of the oldest batch for the engine's. */
static void a_refusal_leaves_the_times_of_the_batch_before_it_alone(void **state)
{
    struct pd_pipeline_health before, after;
    start(two_are_held);
    wait_for(&engine.n, 2);
    pd_pipeline_get_health(world.pipeline, &before);
    int64_t busy_before = world_device(0).busy_ns;
    go_on();
    wait_for(&engine.n_held, 2);
    pd_pipeline_get_health(world.pipeline, &after);
    assert_int_equal(world_device(0).failed_batches, 2);
    assert_int_equal(after.in_flight, 2);
    assert_true(before.device[0].since_ns > 0);
    assert_int_equal(after.device[0].since_ns, before.device[0].since_ns);
    assert_int_equal(world_device(0).busy_ns, busy_before);
    end(engine.held[0]);
    end(engine.held[1]);
    run_until_settled();
    world_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_batches_are_failures_of_their_frames_and_of_no_other),
        cmocka_unit_test(an_engine_that_refuses_everything_is_given_up),
        cmocka_unit_test(a_device_that_is_lost_at_a_submit_is_the_end),
        cmocka_unit_test(a_refusal_leaves_the_times_of_the_batch_before_it_alone),
    };
    return cmocka_run_group_tests(tests, world_make_site, world_remove_site);
}
