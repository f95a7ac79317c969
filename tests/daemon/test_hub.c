/* SPDX-License-Identifier: Apache-2.0 - single facts of the hub: what subscribers are told of, and in which order. */
#include "tests/daemon/hub_reader.h"

#include "core/clock.h"

static void a_stalled_reader_gets_the_newest_lines(void **state)
{
    struct pd_hub *hub = hub_with(4000, 1);
    struct reader *r = reader_of(hub);
    subscribe(hub, r, true, PD_TYPE_POSE, 0);
    for (uint64_t seq = 1; seq <= 1000; seq++) {
        publish_at_once(hub, 0, seq, 300, 0);
        assert_true(r->sub.outbox.bytes <= 4000 + 400);
    }
    read_all(hub, r);
    assert_true(r->view[0].got[1000] && r->view[0].got[999] && !r->view[0].got[1]);
    assert_int_equal(r->view[0].delivered + r->view[0].lost, 1000);
    leave(hub, r);
    pd_hub_destroy(hub);
}

static void a_loss_at_the_end_is_told(void **state)
{
    struct pd_hub *hub = hub_with(0, 1);
    struct reader *r = reader_of(hub);
    subscribe(hub, r, true, PD_TYPE_POSE, 0);
    publish_at_once(hub, 0, 1, 10, 0);
    pd_hub_settle(hub, 0, 5);
    pd_hub_settle(hub, 0, 5);
    read_all(hub, r);
    assert_int_equal(r->view[0].lost, 4);
    assert_int_equal(r->view[0].next, 6);
    leave(hub, r);
    pd_hub_destroy(hub);
}

static void a_late_subscriber_hears_of_nothing_before_it(void **state)
{
    struct pd_hub *hub = hub_with(0, 1);
    publish_at_once(hub, 0, 41, 10, 0);
    struct reader *r = reader_of(hub);
    subscribe(hub, r, true, PD_TYPE_POSE, 0);
    publish_at_once(hub, 0, 44, 10, 0);
    read_all(hub, r);
    assert_int_equal(r->view[0].lost, 2);
    assert_int_equal(r->view[0].delivered, 1);
    leave(hub, r);
    pd_hub_destroy(hub);
}

static void subscribing_again_keeps_the_place(void **state)
{
    struct pd_hub *hub = hub_with(0, CAMERAS);
    struct reader *r = reader_of(hub);
    subscribe(hub, r, true, PD_TYPE_POSE, 0);
    publish_at_once(hub, 1, 1, 10, 0);
    publish_at_once(hub, 2, 1, 10, 0);
    subscribe(hub, r, false, PD_TYPE_POSE, 0);
    publish_at_once(hub, 1, 3, 10, 0);
    publish_at_once(hub, 2, 2, 10, 0);
    read_all(hub, r);
    assert_int_equal(r->view[1].delivered, 2);
    assert_int_equal(r->view[1].lost, 1);
    assert_int_equal(r->view[2].delivered, 0);
    leave(hub, r);
    pd_hub_destroy(hub);
}

static void max_fps_is_the_mean_rate(void **state)
{
    struct pd_hub *hub = hub_with(0, 1);
    struct reader *r = reader_of(hub);
    subscribe(hub, r, true, PD_TYPE_POSE, 10);
    for (uint64_t seq = 1; seq <= 1500; seq++) { /* 25 a second for a minute */
        publish_at_once(hub, 0, seq, 10, (int64_t)seq * 40 * PD_NS_PER_MS);
        read_all(hub, r);
    }
    assert_in_range(r->view[0].delivered, 598, 602);
    assert_int_equal(r->view[0].lost, 0);
    assert_int_equal(r->sub.outbox.thinned, 1500 - r->view[0].delivered);
    leave(hub, r);
    pd_hub_destroy(hub);
}

static void a_quicker_max_fps_waits_for_no_slower_one(void **state)
{
    struct pd_hub *hub = hub_with(0, 1);
    struct reader *r = reader_of(hub);
    subscribe(hub, r, true, PD_TYPE_POSE, 0.001);
    publish_at_once(hub, 0, 1, 10, PD_NS_PER_S);
    subscribe(hub, r, true, PD_TYPE_POSE, 10);
    for (uint64_t seq = 2; seq <= 251; seq++) { /* 25 a second for ten seconds */
        publish_at_once(hub, 0, seq, 10, PD_NS_PER_S + (int64_t)seq * 40 * PD_NS_PER_MS);
        read_all(hub, r);
    }
    assert_in_range(r->view[0].delivered, 99, 103);
    assert_int_equal(r->view[0].lost, 0);
    leave(hub, r);
    pd_hub_destroy(hub);
}

static void only_the_newest_state_waits(void **state)
{
    struct pd_hub *hub = hub_with(0, 1);
    struct reader *r = reader_of(hub);
    status(hub, 0, "connecting");
    subscribe(hub, r, true, PD_TYPE_STATUS, 0);
    read_all(hub, r);
    assert_string_equal(r->view[0].state, "connecting");
    int before = r->lines;
    for (int i = 0; i < 100; i++)
        status(hub, 0, i % 2 ? "down" : "up");
    read_all(hub, r);
    assert_int_equal(r->lines, before + 1);
    assert_string_equal(r->view[0].state, "down");
    leave(hub, r);
    pd_hub_destroy(hub);
}

static void a_removed_camera_is_finished_and_its_number_used_again(void **state)
{
    struct pd_hub *hub = hub_with(0, 2);
    struct reader *r = reader_of(hub);
    subscribe(hub, r, true, PD_TYPE_POSE | PD_TYPE_STATUS, 0);
    publish_at_once(hub, 1, 1, 10, 0);
    pd_hub_settle(hub, 1, 3);
    status(hub, 1, "removed");
    pd_hub_remove_camera(hub, 1);
    assert_int_equal(pd_hub_find_camera(hub, "cam1"), -1);
    assert_int_equal(pd_hub_add_camera(hub, "cam2"), 2); /* cam1's lines still wait */
    read_all(hub, r);
    assert_int_equal(r->view[1].delivered, 1);
    assert_int_equal(r->view[1].lost, 2);
    assert_string_equal(r->view[1].state, "removed");
    assert_int_equal(pd_hub_add_camera(hub, "cam3"), 1);
    publish_at_once(hub, 1, 1, 10, 0);
    publish_at_once(hub, 2, 2, 10, 0);
    pd_hub_settle(hub, 2, 2);
    leave(hub, r);
    pd_hub_destroy(hub);
}

static void a_removed_camera_is_finished_however_little_room_there_is(void **state)
{
    struct pd_hub *hub = hub_with(4000, 2);
    struct reader *r = reader_of(hub);
    subscribe(hub, r, true, PD_TYPE_POSE | PD_TYPE_STATUS, 0);
    publish_at_once(hub, 1, 1, 300, 0);
    publish_at_once(hub, 1, 2, 300, 0);
    status(hub, 1, "removed");
    pd_hub_remove_camera(hub, 1);
    for (uint64_t seq = 1; seq <= 100; seq++)
        publish_at_once(hub, 0, seq, seq % 2 ? 3600 : 10, 0); /* cam1's lines have to go */
    read_all(hub, r);
    assert_int_equal(r->view[1].lost, 2); /* and not after the status, which see_gap() would not take */
    assert_string_equal(r->view[1].state, "removed");
    leave(hub, r);
    pd_hub_destroy(hub);
}

static void names_asked_for_before_they_exist_arrive_later(void **state)
{
    struct pd_hub *hub = hub_with(0, 0);
    struct reader *r = reader_of(hub);
    subscribe(hub, r, false, PD_TYPE_POSE, 0);
    assert_int_equal(pd_hub_add_camera(hub, "cam0"), 0);
    assert_int_equal(pd_hub_add_camera(hub, "cam1"), 1);
    publish_at_once(hub, 0, 1, 10, 0);
    publish_at_once(hub, 1, 2, 10, 0);
    read_all(hub, r);
    assert_int_equal(r->view[0].delivered, 0);
    assert_int_equal(r->view[1].delivered, 1);
    assert_int_equal(r->view[1].lost, 1);
    leave(hub, r);
    pd_hub_destroy(hub);
}

static void lines_keep_their_order_however_late_they_are_spread(void **state)
{
    struct pd_hub *hub = hub_with(0, 2);
    struct reader *early = reader_of(hub), *late = reader_of(hub);
    subscribe(hub, early, true, PD_TYPE_POSE | PD_TYPE_STATUS, 0);
    for (uint64_t seq = 1; seq <= 1000; seq++) /* more than wait at a time */
        publish(hub, 0, seq, 10, 0);
    publish(hub, 1, 1, 10, 0);
    subscribe(hub, late, true, PD_TYPE_POSE | PD_TYPE_STATUS, 0);
    publish(hub, 1, 2, 10, 0);
    status(hub, 1, "down");
    pd_hub_settle(hub, 1, 4);
    read_all(hub, early);
    read_all(hub, late);
    assert_int_equal(early->view[0].delivered, 1000);
    assert_int_equal(early->view[1].delivered, 2);
    assert_int_equal(early->view[1].lost, 2);
    assert_string_equal(early->view[1].state, "down");
    assert_int_equal(early->delivered_at_state, 1002);
    assert_int_equal(late->view[0].delivered, 0);
    assert_int_equal(late->view[1].delivered, 1);
    assert_int_equal(late->view[1].lost, 2);
    leave(hub, early);
    leave(hub, late);
    pd_hub_destroy(hub);
}

static struct {
    struct pd_hub *hub;
    struct reader *reader;
    int calls;
} nested;

static void spread_again(struct pd_subscriber *sub)
{
    if (++nested.calls == 1)
        subscribe(nested.hub, nested.reader, true, PD_TYPE_POSE, 0);
}

static void spreading_inside_a_spread_tells_nothing_twice(void **state)
{
    nested.hub = hub_with(0, 2);
    struct reader *readers[3];
    for (int i = 0; i < 3; i++) {
        readers[i] = reader_of(nested.hub);
        subscribe(nested.hub, readers[i], true, PD_TYPE_POSE, 0);
    }
    nested.reader = readers[1];
    nested.calls = 0;
    for (uint64_t seq = 1; seq <= 5; seq++)
        publish(nested.hub, (int)(seq % 2), seq, 10, 0);
    pd_hub_spread(nested.hub, spread_again);
    assert_int_equal(nested.calls, 3);
    for (int i = 0; i < 3; i++) {
        read_all(nested.hub, readers[i]);
        assert_int_equal(readers[i]->view[0].delivered, 2);
        assert_int_equal(readers[i]->view[1].delivered, 3);
        leave(nested.hub, readers[i]);
    }
    pd_hub_destroy(nested.hub);
}

static void subscribers_who_miss_the_same_share_the_line_that_says_so(void **state)
{
    struct pd_hub *hub = hub_with(0, 1);
    struct reader *a = reader_of(hub), *b = reader_of(hub);
    subscribe(hub, a, true, PD_TYPE_POSE, 0);
    subscribe(hub, b, true, PD_TYPE_POSE, 0);
    read_all(hub, a);
    read_all(hub, b);
    pd_hub_settle(hub, 0, 9);
    struct pd_gather ga, gb;
    pd_outbox_gather(&a->sub.outbox, pd_hub_gaps(hub), 4, &ga);
    pd_outbox_gather(&b->sub.outbox, pd_hub_gaps(hub), 4, &gb);
    assert_int_equal(ga.n, 1);
    assert_ptr_equal(ga.part[0].line, gb.part[0].line);
    pd_outbox_commit(&a->sub.outbox, &ga, ga.bytes);
    pd_outbox_commit(&b->sub.outbox, &gb, gb.bytes);
    leave(hub, a);
    leave(hub, b);
    pd_hub_destroy(hub);
    assert_int_equal(pd_line_live_bytes(), 0);
}

static void above_the_total_the_slowest_is_let_go(void **state)
{
    struct pd_hub_params params = {.client_cap = 100000, .total_cap = 20000};
    struct pd_hub *hub = pd_hub_create(&params);
    assert_int_equal(pd_hub_add_camera(hub, "cam0"), 0);
    struct reader *fast = reader_of(hub), *slow = reader_of(hub);
    subscribe(hub, fast, true, PD_TYPE_POSE, 0);
    subscribe(hub, slow, true, PD_TYPE_POSE, 0);
    for (uint64_t seq = 1; seq <= 100 && !slow->sub.evicted; seq++) {
        publish_at_once(hub, 0, seq, 1000, 0);
        read_all(hub, fast);
    }
    assert_true(slow->sub.evicted);
    assert_false(fast->sub.evicted);
    leave(hub, slow);
    leave(hub, fast);
    pd_hub_destroy(hub);
}

static void a_state_that_cannot_be_told_is_no_old_one(void **state)
{
    struct pd_hub *hub = hub_with(100000, 2);
    struct reader *told = reader_of(hub), *asks = reader_of(hub);
    subscribe(hub, told, true, PD_TYPE_STATUS, 0);
    status(hub, 0, "up");
    read_all(hub, told);
    pd_hub_status(hub, 0, NULL);
    assert_true(told->sub.evicted);
    assert_false(asks->sub.evicted); /* it has subscribed to nothing */

    subscribe(hub, asks, true, PD_TYPE_STATUS, 0);
    read_all(hub, asks);
    assert_string_equal(asks->view[0].state, "");
    status(hub, 0, "down");
    read_all(hub, asks);
    assert_string_equal(asks->view[0].state, "down");
    leave(hub, told);
    leave(hub, asks);
    pd_hub_destroy(hub);
    assert_int_equal(pd_line_live_bytes(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stalled_reader_gets_the_newest_lines),
        cmocka_unit_test(a_loss_at_the_end_is_told),
        cmocka_unit_test(a_late_subscriber_hears_of_nothing_before_it),
        cmocka_unit_test(subscribing_again_keeps_the_place),
        cmocka_unit_test(max_fps_is_the_mean_rate),
        cmocka_unit_test(a_quicker_max_fps_waits_for_no_slower_one),
        cmocka_unit_test(only_the_newest_state_waits),
        cmocka_unit_test(a_removed_camera_is_finished_and_its_number_used_again),
        cmocka_unit_test(a_removed_camera_is_finished_however_little_room_there_is),
        cmocka_unit_test(names_asked_for_before_they_exist_arrive_later),
        cmocka_unit_test(lines_keep_their_order_however_late_they_are_spread),
        cmocka_unit_test(spreading_inside_a_spread_tells_nothing_twice),
        cmocka_unit_test(subscribers_who_miss_the_same_share_the_line_that_says_so),
        cmocka_unit_test(above_the_total_the_slowest_is_let_go),
        cmocka_unit_test(a_state_that_cannot_be_told_is_no_old_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
