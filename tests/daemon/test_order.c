/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/util.h"
#include "daemon/order.h"

#define CAMERAS 5
#define UNDER_WAY 24
#define ROUNDS 20000

struct frame {
    struct pd_order_entry entry;
    int camera, seq;
    bool out;
};

static struct pd_order order;

static void frames_of_one_camera_wait_for_each_other(void **state)
{
    struct pd_order_entry a1, a2, a3;
    memset(&order, 0, sizeof(order));
    pd_order_add(&order, &a1, 7);
    pd_order_add(&order, &a2, 7);
    pd_order_add(&order, &a3, 7);
    assert_null(pd_order_finish(&order, &a3));
    assert_null(pd_order_finish(&order, &a2));
    assert_ptr_equal(pd_order_finish(&order, &a1), &a1);
    assert_ptr_equal(a1.next, &a2);
    assert_ptr_equal(a2.next, &a3);
    assert_null(a3.next);
}

static void nobody_waits_for_another_camera(void **state)
{
    struct pd_order_entry a1, b1, a2, b2;
    memset(&order, 0, sizeof(order));
    pd_order_add(&order, &a1, 0);
    pd_order_add(&order, &b1, PD_CAMERAS_MAX - 1);
    pd_order_add(&order, &a2, 0);
    pd_order_add(&order, &b2, PD_CAMERAS_MAX - 1);
    assert_ptr_equal(pd_order_finish(&order, &b1), &b1);
    assert_null(b1.next);
    assert_ptr_equal(pd_order_finish(&order, &b2), &b2);
    assert_null(pd_order_finish(&order, &a2));
    assert_ptr_equal(pd_order_finish(&order, &a1), &a1);
}

/* Frames come and are done at random; what comes out is compared with the rule itself. */
static void random_ends_come_out_in_order_and_as_early_as_they_may(void **state)
{
    static struct frame frames[UNDER_WAY];
    int added[CAMERAS] = {0}, released[CAMERAS] = {0}, total = 0;
    bool done[CAMERAS][UNDER_WAY] = {{false}}; /* by seq, modulo: frames of a camera under way differ */
    unsigned seed = (unsigned)time(NULL);
    print_message("# seed %u\n", seed);
    srandom(seed);
    memset(&order, 0, sizeof(order));
    for (int round = 0; round < ROUNDS; round++) {
        struct frame *f = &frames[random() % UNDER_WAY];
        if (!f->out) {
            f->camera = (int)(random() % CAMERAS);
            f->seq = added[f->camera]++;
            f->out = true;
            done[f->camera][f->seq % UNDER_WAY] = false;
            pd_order_add(&order, &f->entry, f->camera);
            continue;
        }
        if (f->entry.finished)
            continue; /* waits for an earlier one */
        done[f->camera][f->seq % UNDER_WAY] = true;
        struct pd_order_entry *e = pd_order_finish(&order, &f->entry);
        for (struct pd_order_entry *next; e; e = next) {
            next = e->next;
            struct frame *free_again = PD_CONTAINER_OF(e, struct frame, entry);
            assert_int_equal(free_again->camera, f->camera);
            assert_int_equal(free_again->seq, released[f->camera]++);
            free_again->out = false;
            total++;
        }
        bool next_is_out = released[f->camera] < added[f->camera];
        assert_false(next_is_out && done[f->camera][released[f->camera] % UNDER_WAY]);
    }
    assert_true(total > ROUNDS / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_of_one_camera_wait_for_each_other),
        cmocka_unit_test(nobody_waits_for_another_camera),
        cmocka_unit_test(random_ends_come_out_in_order_and_as_early_as_they_may),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
