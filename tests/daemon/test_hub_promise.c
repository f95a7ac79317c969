/* SPDX-License-Identifier: Apache-2.0
 *
 * The promise of outbox.h, held by a model: random publishers, losses, subscriptions and readers, and what came is
 * compared with what the promise says must have come.
 */
#include "tests/daemon/hub_reader.h"

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/util.h"

#define READERS 6

struct world {
    unsigned seed;
    struct pd_hub *hub;
    int64_t now;
    int unspread; /* lines published and not spread: few, so that the fast reader's cap holds them */
    uint64_t decoded[CAMERAS];
    bool published[CAMERAS][FRAMES_MAX];
    struct reader *readers[READERS];
};

static int dice(struct world *w, int sides)
{
    return rand_r(&w->seed) % sides;
}

static void pong(struct reader *r)
{
    struct pd_line *line = pd_json_pong(&(struct pd_request){.has_n = true, .n = 5});
    assert_int_equal(pd_outbox_reply(&r->sub.outbox, line), 0);
    pd_line_unref(line);
}

static void one_step(struct world *w)
{
    int camera = dice(w, CAMERAS);
    w->now += dice(w, 20) * PD_NS_PER_MS;
    switch (dice(w, 12)) {
    case 0: /* lost before the network, or in the engine */
        w->decoded[camera] += (uint64_t)dice(w, 4);
        break;
    case 1:
        pd_hub_settle(w->hub, camera, w->decoded[camera]);
        break;
    case 2:
        status(w->hub, camera, dice(w, 2) ? "up" : "down");
        break;
    default:
        w->decoded[camera]++;
        w->published[camera][w->decoded[camera]] = true;
        publish(w->hub, camera, w->decoded[camera], (size_t)(1 + dice(w, 400)), w->now);
        w->unspread++;
    }
    if (w->unspread == 3 || dice(w, 2)) {
        pd_hub_spread(w->hub, NULL);
        w->unspread = 0;
    }
    for (int i = 0; i < READERS; i++) {
        struct reader *r = w->readers[i];
        if (i == 0)
            read_all(w->hub, r); /* the fast one */
        else if (dice(w, 30) < i)
            read_some(w->hub, r, (size_t)dice(w, 3000), 1 + dice(w, PD_OUTBOX_GATHER_MAX));
        else if (dice(w, 40) == 0)
            read_async(w->hub, r);
        else if (dice(w, 200) == 0)
            pong(r);
    }
}

static void check_reader(struct world *w, int i)
{
    struct reader *r = w->readers[i];
    uint64_t delivered = 0, lost = 0, skipped = 0;
    for (int c = 0; c < CAMERAS; c++) {
        struct view *v = &r->view[c];
        bool wanted = r->all || c == 1 || c == 3;
        if (!wanted || !(r->types & PD_TYPE_POSE)) {
            assert_int_equal(v->delivered + v->lost, 0);
            continue;
        }
        /* The equation: everything decoded has been told of. A max_fps reader may end on a thinned frame. */
        uint64_t end = v->next ? v->next - 1 : 0;
        v->skipped += w->decoded[c] - end;
        assert_int_equal(v->delivered + v->lost + v->skipped, w->decoded[c]);
        for (uint64_t s = 1; s <= w->decoded[c]; s++)
            if (v->got[s])
                assert_true(w->published[c][s]);
            else if (i == 0)
                assert_false(w->published[c][s]);
        delivered += v->delivered;
        lost += v->lost;
        skipped += v->skipped;
    }
    assert_int_equal(delivered, r->sub.outbox.delivered);
    assert_int_equal(lost, r->sub.outbox.lost);
    assert_int_equal(skipped, r->sub.outbox.thinned);
    if (!r->max_fps)
        assert_int_equal(skipped, 0);
}

static void everything_decoded_is_told_of_exactly_once(void **state)
{
    unsigned seed = (unsigned)pd_now_ns();
    const char *given = getenv("POSED_SEED");
    if (given)
        seed = (unsigned)strtoul(given, NULL, 10);
    print_message("# seed %u\n", seed);
    static struct world w;
    for (int round = 0; round < 20; round++) {
        memset(&w, 0, sizeof(w));
        w.seed = seed + (unsigned)round;
        w.hub = hub_with((size_t)(2000 + 2000 * round), CAMERAS);
        for (int i = 0; i < READERS; i++) {
            w.readers[i] = reader_of(w.hub);
            subscribe(w.hub, w.readers[i], i != 2, i == 3 ? PD_TYPE_STATUS : PD_TYPE_POSE | PD_TYPE_STATUS,
                      i == 4 ? 7 : 0);
        }
        for (int step = 0; step < 3000; step++)
            one_step(&w);
        for (int c = 0; c < CAMERAS; c++)
            pd_hub_settle(w.hub, c, w.decoded[c]);
        pd_hub_spread(w.hub, NULL);
        for (int i = 0; i < READERS; i++) {
            read_all(w.hub, w.readers[i]);
            check_reader(&w, i);
            leave(w.hub, w.readers[i]);
        }
        pd_hub_destroy(w.hub);
        assert_int_equal(pd_line_live_bytes(), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_decoded_is_told_of_exactly_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
