/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/hub.h"

#include <errno.h>
#include <string.h>

#include "core/queue.h"
#include "core/util.h"

struct camera {
    bool used;
    bool closing;           /* removed, but some subscriber has lines of it to be sent */
    char name[PD_REQUEST_NAME_MAX];
    uint64_t last_seq;
    bool settled;           /* subscribers have been told of losses up to last_seq */
    struct pd_line *status; /* current state, NULL: none yet */
    struct pd_line *gap;    /* the gap line made last: what one subscriber missed, most missed */
    uint64_t gap_from, gap_to, gap_lost;
};

/* A line that is published and in nobody's outbox yet. */
struct pending {
    struct pd_line *line; /* one reference */
    int camera;
    uint64_t seq;
    int64_t now_ns;
};

/* Four frames of 32 cameras: what comes between two rounds of writing. */
#define PENDING_MAX 128

struct pd_hub {
    struct pd_hub_params params;
    struct pd_outbox_gaps gaps;
    int n_cameras; /* entries ever used */
    struct camera cameras[PD_CAMERAS_MAX];
    int n_subscribers;
    struct pd_subscriber *subscribers;
    int n_thinned; /* subscribers with max_fps */
    uint64_t published; /* lines, ever */
    int n_pending;      /* the last ones of these */
    struct pending pending[PENDING_MAX];
    uint64_t lost_by_the_gone;
};

static struct pd_line *gap_line(int camera, uint64_t from, uint64_t to, uint64_t lost, void *user)
{
    struct pd_hub *hub = user;
    struct camera *cam = &hub->cameras[camera];
    if (cam->gap && cam->gap_from == from && cam->gap_to == to && cam->gap_lost == lost)
        return pd_line_ref(cam->gap);
    struct pd_line *line = pd_json_gap(cam->name, from, to, lost);
    if (!line)
        return NULL;
    pd_line_unref(cam->gap);
    cam->gap = pd_line_ref(line);
    cam->gap_from = from;
    cam->gap_to = to;
    cam->gap_lost = lost;
    return line;
}

struct pd_hub *pd_hub_create(const struct pd_hub_params *params)
{
    struct pd_hub *hub = calloc(1, sizeof(*hub));
    if (!hub)
        return NULL;
    if (params)
        hub->params = *params;
    if (!hub->params.client_cap)
        hub->params.client_cap = PD_HUB_CLIENT_CAP;
    if (!hub->params.total_cap)
        hub->params.total_cap = PD_HUB_TOTAL_CAP;
    hub->gaps = (struct pd_outbox_gaps){gap_line, hub};
    return hub;
}

void pd_hub_destroy(struct pd_hub *hub)
{
    if (!hub)
        return;
    for (int i = 0; i < hub->n_pending; i++)
        pd_line_unref(hub->pending[i].line);
    for (int i = 0; i < hub->n_cameras; i++) {
        pd_line_unref(hub->cameras[i].status);
        pd_line_unref(hub->cameras[i].gap);
    }
    free(hub);
}

static bool wants(const struct pd_subscriber *sub, const char *name)
{
    if (!sub->subscribed)
        return false;
    if (sub->outbox.all)
        return true;
    for (int i = 0; i < sub->n_names; i++)
        if (!strcmp(sub->names[i], name))
            return true;
    return false;
}

/* A removed camera's place is free once nobody has lines of it waiting. */
static bool is_free(struct pd_hub *hub, int i)
{
    if (!hub->cameras[i].used)
        return true;
    if (!hub->cameras[i].closing)
        return false;
    for (const struct pd_subscriber *sub = hub->subscribers; sub; sub = sub->next)
        if (sub->outbox.streams[i].first || sub->outbox.streams[i].status)
            return false;
    for (struct pd_subscriber *sub = hub->subscribers; sub; sub = sub->next)
        pd_outbox_stream_off(&sub->outbox, i);
    pd_line_unref(hub->cameras[i].status);
    pd_line_unref(hub->cameras[i].gap);
    hub->cameras[i] = (struct camera){0};
    return true;
}

int pd_hub_add_camera(struct pd_hub *hub, const char *name)
{
    int i = 0;
    pd_hub_spread(hub, NULL);
    while (i < hub->n_cameras && !is_free(hub, i))
        i++;
    if (i == PD_CAMERAS_MAX)
        return -ENOSPC;
    if (strlen(name) >= sizeof(hub->cameras[i].name))
        return -EINVAL;
    for (struct pd_subscriber *sub = hub->subscribers; sub; sub = sub->next)
        if (pd_outbox_grow(&sub->outbox, i + 1) < 0)
            return -ENOMEM;
    hub->n_cameras = PD_MAX(hub->n_cameras, i + 1);
    hub->cameras[i] = (struct camera){.used = true};
    strcpy(hub->cameras[i].name, name);
    for (struct pd_subscriber *sub = hub->subscribers; sub; sub = sub->next)
        if (wants(sub, name))
            pd_outbox_stream_on(&sub->outbox, i, 1);
    return i;
}

void pd_hub_remove_camera(struct pd_hub *hub, int camera)
{
    hub->cameras[camera].closing = true;
}

const char *pd_hub_camera_name(const struct pd_hub *hub, int camera)
{
    return hub->cameras[camera].name;
}

int pd_hub_find_camera(const struct pd_hub *hub, const char *name)
{
    for (int i = 0; i < hub->n_cameras; i++)
        if (hub->cameras[i].used && !hub->cameras[i].closing && !strcmp(hub->cameras[i].name, name))
            return i;
    return -1;
}

/* Lines are shared, so what they cost is known only for all together; above the cap whoever holds most has to go. */
static void evict_if_needed(struct pd_hub *hub)
{
    if (pd_line_live_bytes() <= hub->params.total_cap)
        return;
    struct pd_subscriber *worst = NULL;
    for (struct pd_subscriber *sub = hub->subscribers; sub; sub = sub->next)
        if (!sub->evicted && (!worst || sub->outbox.bytes > worst->outbox.bytes))
            worst = sub;
    if (worst)
        worst->evicted = true;
}

void pd_hub_publish(struct pd_hub *hub, int camera, uint64_t seq, struct pd_line *line, int64_t now_ns)
{
    struct camera *cam = &hub->cameras[camera];
    if (!cam->used || seq <= cam->last_seq)
        return;
    cam->last_seq = seq;
    cam->settled = false;
    hub->pending[hub->n_pending++] = (struct pending){pd_line_ref(line), camera, seq, now_ns};
    hub->published++;
    if (hub->n_pending == PENDING_MAX)
        pd_hub_spread(hub, NULL);
}

/* @each may lead to requests that spread as well: who has what is known from each subscriber's own count. */
static void spread_to(const struct pd_hub *hub, struct pd_subscriber *sub)
{
    uint64_t missing = PD_MIN(hub->published - sub->n_spread, (uint64_t)hub->n_pending);
    for (int i = hub->n_pending - (int)missing; i < hub->n_pending; i++) {
        const struct pending *p = &hub->pending[i];
        pd_outbox_pose(&sub->outbox, p->camera, p->seq, p->line, p->now_ns);
    }
    sub->n_spread = hub->published;
}

void pd_hub_spread(struct pd_hub *hub, void (*each)(struct pd_subscriber *sub))
{
    for (struct pd_subscriber *sub = hub->subscribers; sub; sub = sub->next) {
        spread_to(hub, sub);
        if (each)
            each(sub);
    }
    if (!hub->n_pending)
        return;
    for (int i = 0; i < hub->n_pending; i++)
        pd_line_unref(hub->pending[i].line);
    hub->n_pending = 0;
    evict_if_needed(hub);
}

void pd_hub_settle(struct pd_hub *hub, int camera, uint64_t seq)
{
    struct camera *cam = &hub->cameras[camera];
    if (!cam->used || seq < cam->last_seq || (seq == cam->last_seq && cam->settled))
        return;
    /* Without a new loss only those with max_fps can be owed a gap: of a loss before a line that was thinned. */
    bool news = seq > cam->last_seq;
    cam->last_seq = seq;
    cam->settled = true;
    if (!news && !hub->n_thinned)
        return;
    pd_hub_spread(hub, NULL);
    for (struct pd_subscriber *sub = hub->subscribers; sub; sub = sub->next)
        if (news || sub->outbox.interval_ns)
            pd_outbox_mark(&sub->outbox, camera, seq);
}

uint64_t pd_hub_last_seq(const struct pd_hub *hub, int camera)
{
    return hub->cameras[camera].last_seq;
}

void pd_hub_status(struct pd_hub *hub, int camera, struct pd_line *line)
{
    struct camera *cam = &hub->cameras[camera];
    pd_hub_spread(hub, NULL); /* behind the poses that were published before it */
    pd_line_unref(cam->status);
    cam->status = line;
    for (struct pd_subscriber *sub = hub->subscribers; sub; sub = sub->next)
        if (line ? pd_outbox_status(&sub->outbox, camera, line) < 0 : sub->subscribed)
            sub->evicted = true; /* a state that is never told would be a lie */
}

int pd_hub_join(struct pd_hub *hub, struct pd_subscriber *sub)
{
    *sub = (struct pd_subscriber){.next = hub->subscribers};
    pd_outbox_init(&sub->outbox, hub->params.client_cap);
    if (pd_outbox_grow(&sub->outbox, hub->n_cameras) < 0)
        return -ENOMEM;
    if (hub->subscribers)
        hub->subscribers->prev = sub;
    hub->subscribers = sub;
    hub->n_subscribers++;
    return 0;
}

void pd_hub_leave(struct pd_hub *hub, struct pd_subscriber *sub)
{
    *(sub->prev ? &sub->prev->next : &hub->subscribers) = sub->next;
    if (sub->next)
        sub->next->prev = sub->prev;
    hub->n_subscribers--;
    hub->n_thinned -= sub->outbox.interval_ns > 0;
    hub->lost_by_the_gone += sub->outbox.lost;
    pd_outbox_finish(&sub->outbox);
    free(sub->names);
    *sub = (struct pd_subscriber){0};
}

static int keep_names(struct pd_subscriber *sub, const struct pd_request *request)
{
    size_t bytes = (size_t)request->n_cameras * sizeof(request->cameras[0]);
    char(*names)[PD_REQUEST_NAME_MAX] = malloc(bytes ? bytes : 1);
    if (!names)
        return -ENOMEM;
    memcpy(names, request->cameras, bytes);
    free(sub->names);
    sub->names = names;
    sub->n_names = request->n_cameras;
    return 0;
}

static int answer_subscribe(struct pd_hub *hub, struct pd_subscriber *sub, const struct pd_request *request)
{
    const char *unknown[PD_REQUEST_CAMERAS_MAX];
    int n_unknown = 0;
    for (int i = 0; i < request->n_cameras; i++)
        if (pd_hub_find_camera(hub, request->cameras[i]) < 0)
            unknown[n_unknown++] = request->cameras[i];
    struct pd_line *answer = pd_json_subscribed(request, n_unknown, unknown);
    int r = answer ? pd_outbox_reply(&sub->outbox, answer) : -ENOMEM;
    pd_line_unref(answer);
    return r;
}

int pd_hub_subscribe(struct pd_hub *hub, struct pd_subscriber *sub, const struct pd_request *request)
{
    struct pd_outbox *ob = &sub->outbox;
    if (keep_names(sub, request) < 0)
        return -ENOMEM;
    pd_hub_spread(hub, NULL); /* what is pending belongs to the subscription before */
    bool same_types = (ob->types & PD_TYPE_POSE) == (request->types & PD_TYPE_POSE);
    sub->subscribed = true;
    ob->all = request->all;
    ob->types = request->types;
    hub->n_thinned -= ob->interval_ns > 0;
    ob->interval_ns = request->max_fps > 0 ? (int64_t)(1e9 / request->max_fps) : 0;
    hub->n_thinned += ob->interval_ns > 0;
    int r = answer_subscribe(hub, sub, request);
    for (int i = 0; r == 0 && i < hub->n_cameras; i++) {
        const struct camera *cam = &hub->cameras[i];
        if (cam->closing)
            continue; /* what is queued of it is still true */
        bool want = cam->used && wants(sub, cam->name);
        if (!want || !same_types)
            pd_outbox_stream_off(ob, i);
        if (want)
            pd_outbox_stream_on(ob, i, cam->last_seq + 1);
        if (want && cam->status)
            r = pd_outbox_status(ob, i, cam->status);
    }
    return r;
}

void pd_hub_end(struct pd_hub *hub, struct pd_subscriber *sub)
{
    pd_hub_spread(hub, NULL);
    sub->outbox.types = 0;
}

int pd_hub_subscribers(const struct pd_hub *hub)
{
    return hub->n_subscribers;
}

const struct pd_outbox_gaps *pd_hub_gaps(const struct pd_hub *hub)
{
    return &hub->gaps;
}

uint64_t pd_hub_lost_total(const struct pd_hub *hub)
{
    uint64_t lost = hub->lost_by_the_gone;
    for (const struct pd_subscriber *sub = hub->subscribers; sub; sub = sub->next)
        lost += sub->outbox.lost;
    return lost;
}
