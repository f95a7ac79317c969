/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/test.h"

#include <stdlib.h>

#include "core/util.h"
#include "daemon/handoff.h"

#define THREADS 4
#define ITEMS 5000

struct item {
    struct pd_handoff_item item;
    int thread, number;
};

static struct {
    uv_loop_t loop;
    struct pd_handoff handoff;
    int next[THREADS];
    int n, longest;
} world;

static void on_closed(uv_handle_t *handle)
{
    (void)handle;
}

static void on_wake(uv_async_t *async)
{
    int n = 0;
    for (struct pd_handoff_item *at = pd_handoff_take(&world.handoff), *next; at; at = next) {
        next = at->next;
        struct item *item = PD_CONTAINER_OF(at, struct item, item);
        assert_int_equal(item->number, world.next[item->thread]);
        world.next[item->thread]++;
        world.n++;
        n++;
        free(item);
    }
    world.longest = PD_MAX(world.longest, n);
    if (world.n == THREADS * ITEMS && !uv_is_closing((uv_handle_t *)async))
        pd_handoff_close(&world.handoff, on_closed);
}

static void post_all(void *user)
{
    for (int i = 0; i < ITEMS; i++) {
        struct item *item = calloc(1, sizeof(*item));
        item->thread = (int)(intptr_t)user;
        item->number = i;
        pd_handoff_post(&world.handoff, &item->item);
    }
}

static void everything_arrives_once_in_each_threads_order_and_bounded(void **state)
{
    uv_thread_t threads[THREADS];
    assert_int_equal(uv_loop_init(&world.loop), 0);
    assert_int_equal(pd_handoff_init(&world.handoff, &world.loop, 16, on_wake), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(uv_thread_create(&threads[i], post_all, (void *)(intptr_t)i), 0);
    uv_run(&world.loop, UV_RUN_DEFAULT);
    for (int i = 0; i < THREADS; i++)
        uv_thread_join(&threads[i]);
    assert_int_equal(world.n, THREADS * ITEMS);
    assert_in_range(world.longest, 1, 16);
    pd_handoff_finish(&world.handoff);
    assert_int_equal(uv_loop_close(&world.loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(everything_arrives_once_in_each_threads_order_and_bounded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
