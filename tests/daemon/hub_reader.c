/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/daemon/hub_reader.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"

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

size_t read_some(struct pd_hub *hub, struct reader *r, size_t room, int max)
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

void read_async(struct pd_hub *hub, struct reader *r)
{
    struct pd_outbox *ob = &r->sub.outbox;
    if (!pd_outbox_start(ob, pd_hub_gaps(hub)))
        return;
    take_bytes(r, ob->current->text + ob->current_offset, ob->current->len - ob->current_offset);
    pd_outbox_current_done(ob);
}

void read_all(struct pd_hub *hub, struct reader *r)
{
    while (!pd_outbox_empty(&r->sub.outbox))
        read_some(hub, r, SIZE_MAX, PD_OUTBOX_GATHER_MAX);
    assert_int_equal(r->len, 0);
    assert_int_equal(r->sub.outbox.bytes, 0);
}

void status(struct pd_hub *hub, int camera, const char *state)
{
    struct pd_camera_status s = {.camera = pd_hub_camera_name(hub, camera), .state = state, .reason = ""};
    pd_hub_status(hub, camera, pd_json_status(&s));
}

void subscribe(struct pd_hub *hub, struct reader *r, bool all, unsigned types, double max_fps)
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

struct pd_hub *hub_with(size_t client_cap, int cameras)
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

struct reader *reader_of(struct pd_hub *hub)
{
    struct reader *r = calloc(1, sizeof(*r));
    assert_non_null(r);
    assert_int_equal(pd_hub_join(hub, &r->sub), 0);
    return r;
}

void leave(struct pd_hub *hub, struct reader *r)
{
    pd_hub_leave(hub, &r->sub);
    free(r);
}

void publish(struct pd_hub *hub, int camera, uint64_t seq, size_t pad, int64_t now)
{
    struct pd_line *line = line_of(camera, seq, pad);
    pd_hub_publish(hub, camera, seq, line, now);
    pd_line_unref(line);
}

void publish_at_once(struct pd_hub *hub, int camera, uint64_t seq, size_t pad, int64_t now)
{
    publish(hub, camera, seq, pad, now);
    pd_hub_spread(hub, NULL);
}
