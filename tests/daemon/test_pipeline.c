/* SPDX-License-Identifier: Apache-2.0
 *
 * The pipeline on several devices, which the null engine poses as, at different speeds.
 */
#include "tests/daemon/pipeline_world.h"

#include <stdlib.h>

static void two_devices_share_the_work_and_every_cameras_order_holds(void **state)
{
    setenv("POSED_NULL_BATCH_MS", "40,8", 1);
    world_start(2);
    assert_int_equal(pd_pipeline_devices(world.pipeline), 2);
    world_feed();
    while (!world_all_settled())
        uv_run(&world.loop, UV_RUN_ONCE);
    world_drain();
    for (int i = 0; i < CAMERAS; i++)
        assert_int_equal(world.feeders[i].lines, FRAMES);
    /* three people a camera, and each is who they were all along */
    assert_int_equal(atomic_load(&world.next_id) - 1, 3 * CAMERAS);
    struct pd_pipeline_device slow = world_device(0), fast = world_device(1);
    assert_int_equal(slow.frames + fast.frames, CAMERAS * FRAMES);
    assert_true(slow.batches > 0);
    assert_true(fast.batches > slow.batches); /* whichever is free */
    assert_true(slow.busy_ns >= (int64_t)slow.batches * 40000000);
    print_message("# %d frames on the slow device, %d on the fast one\n", (int)slow.frames, (int)fast.frames);
    world_stop();
    unsetenv("POSED_NULL_BATCH_MS");
}

static void equal_devices_get_equal_shares(void **state)
{
    setenv("POSED_NULL_BATCH_MS", "25", 1); /* much longer than a busy machine lets a thread wait */
    world_start(8);
    assert_int_equal(pd_pipeline_devices(world.pipeline), 8);
    world_feed();
    while (!world_all_settled())
        uv_run(&world.loop, UV_RUN_ONCE);
    uint64_t least = UINT64_MAX, most = 0;
    for (int i = 0; i < 8; i++) {
        least = PD_MIN(least, world_device(i).batches);
        most = PD_MAX(most, world_device(i).batches);
    }
    print_message("# %d to %d batches a device\n", (int)least, (int)most);
    assert_true(most <= 3 * least + 4); /* whoever is always asked first would have all but a few */
    world_stop();
    unsetenv("POSED_NULL_BATCH_MS");
}

static void batches_that_fail_are_counted_and_the_order_holds(void **state)
{
    setenv("POSED_NULL_BATCH_MS", "6,2", 1);
    setenv("POSED_NULL_FAIL_EVERY", "4,3", 1);
    world_start(2);
    world_feed();
    while (!world_all_settled())
        uv_run(&world.loop, UV_RUN_ONCE);
    struct pd_pipeline_device a = world_device(0), b = world_device(1);
    assert_true(a.number == 0 && b.number == 1);
    assert_true(a.failed_batches > 0 && b.failed_batches > 0);
    assert_int_equal(world.fatal, 0); /* never ten in a row */
    world_stop();
    unsetenv("POSED_NULL_BATCH_MS");
    unsetenv("POSED_NULL_FAIL_EVERY");
}

static void one_lost_device_is_the_end(void **state)
{
    setenv("POSED_NULL_BATCH_MS", "2", 1);
    setenv("POSED_NULL_LOST_AFTER", ",9", 1);
    world_start(2);
    world_feed();
    while (!world.fatal)
        uv_run(&world.loop, UV_RUN_ONCE);
    assert_int_equal(world.fatal, -ENODEV);
    world_stop();
    unsetenv("POSED_NULL_BATCH_MS");
    unsetenv("POSED_NULL_LOST_AFTER");
}

static void a_stop_with_batches_under_way_on_every_device_loses_none_unsaid(void **state)
{
    struct pd_pipeline_health health = {0};
    setenv("POSED_NULL_BATCH_MS", "80,50", 1);
    world_start(2);
    world_feed();
    while (health.device[0].since_ns == 0 || health.device[1].since_ns == 0) {
        uv_run(&world.loop, UV_RUN_ONCE);
        pd_pipeline_get_health(world.pipeline, &health);
    }
    assert_int_equal(health.n_devices, 2);
    assert_int_equal(health.in_flight, 2);
    world_stop();
    unsetenv("POSED_NULL_BATCH_MS");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_devices_share_the_work_and_every_cameras_order_holds),
        cmocka_unit_test(equal_devices_get_equal_shares),
        cmocka_unit_test(batches_that_fail_are_counted_and_the_order_holds),
        cmocka_unit_test(one_lost_device_is_the_end),
        cmocka_unit_test(a_stop_with_batches_under_way_on_every_device_loses_none_unsaid),
    };
    return cmocka_run_group_tests(tests, world_make_site, world_remove_site);
}
