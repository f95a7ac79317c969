/* SPDX-License-Identifier: Apache-2.0
 *
 * The promise of outbox.h, held by a model: random publishers, losses, subscriptions and readers; every byte that comes
 * out is parsed and booked against what the promise says must have come.
 */
#include "tests/core/test.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/util.h"
#include "daemon/hub.h"

#define CAMERAS 5
#define READERS 6
#define FRAMES_MAX 4000

/* What a reader knows of one camera, from its lines alone. */
struct view {
    uint64_t next;      /* 0: first line not seen */
    uint64_t delivered, lost, skipped;
    bool got[FRAMES_MAX];
    char state[16];
};

struct reader {
    struct pd_subscriber sub;
    char buf[1 << 20];
    size_t len;
    struct view view[CAMERAS];
    double max_fps;
    unsigned types;
    bool all;
    int lines, replies;
    uint64_t delivered, delivered_at_state; /* poses, over all cameras; when the last state came */
};

static struct pd_line *line_of(int camera, uint64_t seq, size_t pad)
{
    char text[8192];
    int n = snprintf(text, sizeof(text), "{\"type\":\"pose\",\"camera\":\"cam%d\",\"seq\":%llu,\"pad\":\"%0*d\"}\n",
                     camera, (unsigned long long)seq, (int)pad, 0);
    return pd_line_new(text, (size_t)n);
}

static void see_pose(struct reader *r, struct view *v, json_t *line)
{
    uint64_t seq = (uint64_t)json_integer_value(json_object_get(line, "seq"));
    assert_in_range(seq, 1, FRAMES_MAX - 1);
    assert_true(seq >= v->next);
    if (v->next && !r->max_fps)
        assert_int_equal(seq, v->next);
    if (v->next)
        v->skipped += seq - v->next;
    v->next = seq + 1;
    v->delivered++;
    r->delivered++;
    v->got[seq] = true;
}

static void see_gap(struct reader *r, struct view *v, json_t *line)
{
    uint64_t from = (uint64_t)json_integer_value(json_object_get(line, "from"));
    uint64_t to = (uint64_t)json_integer_value(json_object_get(line, "to"));
    uint64_t lost = (uint64_t)json_integer_value(json_object_get(line, "lost"));
    assert_true(to >= from && lost >= 1 && lost <= to - from + 1);
    assert_string_not_equal(v->state, "removed");
    if (v->next)
        assert_int_equal(from, v->next);
    if (!r->max_fps)
        assert_int_equal(lost, to - from + 1);
    v->lost += lost;
    v->skipped += to - from + 1 - lost;
    v->next = to + 1;
}

static void see_line(struct reader *r, const char *text, size_t len)
{
    json_error_t error;
    json_t *line = json_loadb(text, len, 0, &error);
    if (!line)
        fail_msg("bad line: %.*s", (int)PD_MIN(len, 200), text);
    const char *type = json_string_value(json_object_get(line, "type"));
    const char *camera = json_string_value(json_object_get(line, "camera"));
    r->lines++;
    struct view *v = camera ? &r->view[atoi(camera + 3)] : NULL;
    if (!strcmp(type, "pose")) {
        see_pose(r, v, line);
    } else if (!strcmp(type, "gap")) {
        see_gap(r, v, line);
    } else if (!strcmp(type, "status")) {
        snprintf(v->state, sizeof(v->state), "%s", json_string_value(json_object_get(line, "state")));
        r->delivered_at_state = r->delivered;
    } else {
        r->replies++;
    }
    json_decref(line);
}

static void take_bytes(struct reader *r, const char *bytes, size_t n)
{
    assert_true(r->len + n <= sizeof(r->buf));
    memcpy(r->buf + r->len, bytes, n);
    r->len += n;
    char *at = r->buf, *end;
    while ((end = memchr(at, '\n', r->len - (size_t)(at - r->buf)))) {
        see_line(r, at, (size_t)(end - at));
        at = end + 1;
    }
    r->len -= (size_t)(at - r->buf);
    memmove(r->buf, at, r->len);
}

/* The kernel's part: takes @room bytes at most. Returns how many it took. */
static size_t read_some(struct pd_hub *hub, struct reader *r, size_t room, int max)
{
    struct pd_gather g;
    pd_outbox_gather(&r->sub.outbox, pd_hub_gaps(hub), max, &g);
    size_t taken = 0;
    for (int i = 0; i < g.n && taken < room; i++) {
        size_t n = PD_MIN(g.iov[i].iov_len, room - taken);
        if (n)
            take_bytes(r, g.iov[i].iov_base, n);
        taken += n;
    }
    pd_outbox_commit(&r->sub.outbox, &g, taken);
    return taken;
}

/* As the server does when the socket is full: an asynchronous write owns the next line. */
static void read_async(struct pd_hub *hub, struct reader *r)
{
    struct pd_outbox *ob = &r->sub.outbox;
    if (!pd_outbox_start(ob, pd_hub_gaps(hub)))
        return;
    take_bytes(r, ob->current->text + ob->current_offset, ob->current->len - ob->current_offset);
    pd_outbox_current_done(ob);
}

static void read_all(struct pd_hub *hub, struct reader *r)
{
    while (!pd_outbox_empty(&r->sub.outbox))
        read_some(hub, r, SIZE_MAX, PD_OUTBOX_GATHER_MAX);
    assert_int_equal(r->len, 0);
    assert_int_equal(r->sub.outbox.bytes, 0);
}

static void status(struct pd_hub *hub, int camera, const char *state)
{
    struct pd_camera_status s = {.camera = pd_hub_camera_name(hub, camera), .state = state, .reason = ""};
    pd_hub_status(hub, camera, pd_json_status(&s));
}

static void subscribe(struct pd_hub *hub, struct reader *r, bool all, unsigned types, double max_fps)
{
    static struct pd_request request;
    request = (struct pd_request){.kind = PD_REQUEST_SUBSCRIBE, .all = all, .types = types, .max_fps = max_fps};
    if (!all) {
        request.n_cameras = 3;
        strcpy(request.cameras[0], "cam1");
        strcpy(request.cameras[1], "cam3");
        strcpy(request.cameras[2], "nobody");
    }
    r->types = types;
    r->max_fps = max_fps;
    r->all = all;
    assert_int_equal(pd_hub_subscribe(hub, &r->sub, &request), 0);
}

static struct pd_hub *hub_with(size_t client_cap, int cameras)
{
    struct pd_hub_params params = {.client_cap = client_cap};
    struct pd_hub *hub = pd_hub_create(&params);
    assert_non_null(hub);
    for (int i = 0; i < cameras; i++) {
        char name[16];
        snprintf(name, sizeof(name), "cam%d", i);
        assert_int_equal(pd_hub_add_camera(hub, name), i);
    }
    return hub;
}

static struct reader *reader_of(struct pd_hub *hub)
{
    struct reader *r = calloc(1, sizeof(*r));
    assert_non_null(r);
    assert_int_equal(pd_hub_join(hub, &r->sub), 0);
    return r;
}

static void leave(struct pd_hub *hub, struct reader *r)
{
    pd_hub_leave(hub, &r->sub);
    free(r);
}

static void publish(struct pd_hub *hub, int camera, uint64_t seq, size_t pad, int64_t now)
{
    struct pd_line *line = line_of(camera, seq, pad);
    pd_hub_publish(hub, camera, seq, line, now);
    pd_line_unref(line);
}

static void publish_at_once(struct pd_hub *hub, int camera, uint64_t seq, size_t pad, int64_t now)
{
    publish(hub, camera, seq, pad, now);
    pd_hub_spread(hub, NULL);
}

/* ---- the promise ---- */

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

/* ---- single facts ---- */

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
        cmocka_unit_test(everything_decoded_is_told_of_exactly_once),
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
