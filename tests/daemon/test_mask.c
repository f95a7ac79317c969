/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/test.h"

#include <math.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/util.h"
#include "daemon/mask.h"

#define ON_EDGE 1e-5f /* of the frame: far less than a sample, and far more than what rounding moves an edge by */

/* Even-odd rule for one point, straight from its definition. *@on_edge is set where it may come out either way. */
static bool is_inside(const struct pd_polygon *p, float x, float y, bool *on_edge)
{
    bool inside = false;
    for (int i = 0, k = p->n - 1; i < p->n; k = i++) {
        if ((p->y[i] > y) == (p->y[k] > y))
            continue;
        float cross = p->x[i] + (y - p->y[i]) * (p->x[k] - p->x[i]) / (p->y[k] - p->y[i]);
        inside ^= x < cross;
        *on_edge |= fabsf(x - cross) < ON_EDGE;
    }
    return inside;
}

static void it_is_the_even_odd_rule_at_every_sample(void **state)
{
    const char *given = getenv("POSED_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)pd_now_ns();
    print_message("# seed %u\n", seed);
    for (int round = 0; round < 200; round++) {
        struct pd_polygon polygons[3];
        int n = 1 + rand_r(&seed) % 3;
        for (int p = 0; p < n; p++) {
            polygons[p].n = 3 + rand_r(&seed) % 8;
            for (int i = 0; i < polygons[p].n; i++) {
                polygons[p].x[i] = (float)(rand_r(&seed) % 1001) / 1000;
                polygons[p].y[i] = (float)(rand_r(&seed) % 1001) / 1000;
            }
        }
        int w = 50 + rand_r(&seed) % 500, h = 50 + rand_r(&seed) % 500;
        struct pd_rect roi = {rand_r(&seed) % 20, rand_r(&seed) % 20, 30, 30};
        struct pd_letterbox lb;
        assert_int_equal(pd_letterbox_fit(w, h, rand_r(&seed) % 2 ? &roi : NULL, 64, 48, &lb), 0);
        struct pd_mask *mask = pd_mask_create(polygons, n, &lb, w, h);
        assert_non_null(mask);
        int wrong = 0;
        for (int y = 0; y < 48; y++)
            for (int x = 0; x < 64; x++) {
                float sx, sy;
                pd_letterbox_to_source(&lb, (float)x, (float)y, &sx, &sy);
                bool covered = false, on_edge = false; /* of a vertical one there may be a whole column */
                for (int p = 0; p < n; p++)
                    covered |= is_inside(&polygons[p], (sx + 0.5f) / (float)w, (sy + 0.5f) / (float)h, &on_edge);
                covered &= x < lb.in_w && y < lb.in_h;
                wrong += !on_edge && covered != mask->cover[y * 64 + x];
            }
        assert_int_equal(wrong, 0);
        pd_mask_unref(mask);
    }
}

static void the_whole_frame_covers_the_picture_and_not_the_border(void **state)
{
    const struct pd_polygon all = {4, {0, 1, 1, 0}, {0, 0, 1, 1}};
    struct pd_letterbox lb;
    assert_int_equal(pd_letterbox_fit(100, 50, NULL, 64, 64, &lb), 0);
    struct pd_mask *mask = pd_mask_create(&all, 1, &lb, 100, 50);
    assert_non_null(mask);
    for (int y = 0; y < 64; y++)
        for (int x = 0; x < 64; x++)
            assert_int_equal(mask->cover[y * 64 + x], x < lb.in_w && y < lb.in_h);
    pd_mask_unref(mask);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_the_even_odd_rule_at_every_sample),
        cmocka_unit_test(the_whole_frame_covers_the_picture_and_not_the_border),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
