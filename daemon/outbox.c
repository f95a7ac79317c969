/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/outbox.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "core/util.h"

enum kind { POSE, MARK, STATUS, REPLY };

struct pd_item {
    struct pd_item *prev, *next; /* the outbox's order */
    struct pd_item *stream_next; /* POSE, MARK: the same camera's next */
    struct pd_line *line;        /* NULL: MARK */
    uint64_t seq;                /* POSE: its number; MARK: one past the last that was dealt with */
    uint64_t thinned;            /* POSE, MARK: left out on request since the camera's item before this one */
    int camera;
    enum kind kind;
};

/* Whatever a mark turns into counts like a line, so that marks cannot make the queue outgrow its cap. */
#define MARK_BYTES 128

static size_t cost(const struct pd_item *item)
{
    return sizeof(*item) + (item->line ? item->line->len : MARK_BYTES);
}

void pd_outbox_init(struct pd_outbox *ob, size_t cap)
{
    *ob = (struct pd_outbox){.cap = cap};
}

int pd_outbox_grow(struct pd_outbox *ob, int n)
{
    if (n <= ob->n_streams)
        return 0;
    struct pd_stream *streams = realloc(ob->streams, (size_t)n * sizeof(*streams));
    if (!streams)
        return -ENOMEM;
    memset(streams + ob->n_streams, 0, (size_t)(n - ob->n_streams) * sizeof(*streams));
    ob->streams = streams;
    ob->n_streams = n;
    return 0;
}

static struct pd_item *append(struct pd_outbox *ob, enum kind kind, int camera, struct pd_line *line)
{
    struct pd_item *item = malloc(sizeof(*item));
    if (!item)
        return NULL;
    *item = (struct pd_item){.prev = ob->last, .line = line ? pd_line_ref(line) : NULL, .camera = camera, .kind = kind};
    *(ob->last ? &ob->last->next : &ob->first) = item;
    ob->last = item;
    ob->bytes += cost(item);
    if (kind == REPLY)
        ob->reply_bytes += cost(item);
    return item;
}

/* Take @item out of the outbox's order and free it; the stream's list is the caller's business. */
static void discard(struct pd_outbox *ob, struct pd_item *item)
{
    *(item->prev ? &item->prev->next : &ob->first) = item->next;
    *(item->next ? &item->next->prev : &ob->last) = item->prev;
    ob->bytes -= cost(item);
    if (item->kind == REPLY)
        ob->reply_bytes -= cost(item);
    pd_line_unref(item->line);
    free(item);
}

static void stream_append(struct pd_stream *stream, struct pd_item *item, uint64_t seq)
{
    item->seq = seq;
    item->thinned = stream->thinned;
    stream->thinned = 0;
    *(stream->last ? &stream->last->stream_next : &stream->first) = item;
    stream->last = item;
}

/* Drop the oldest item of a stream unsent. What was thinned before it is now before its successor. */
static void stream_drop_first(struct pd_outbox *ob, struct pd_stream *stream)
{
    struct pd_item *item = stream->first;
    stream->first = item->stream_next;
    if (stream->first) {
        stream->first->thinned += item->thinned;
    } else {
        stream->last = NULL;
        stream->thinned += item->thinned;
    }
    discard(ob, item);
}

void pd_outbox_stream_on(struct pd_outbox *ob, int camera, uint64_t next)
{
    struct pd_stream *stream = &ob->streams[camera];
    if (!stream->on)
        *stream = (struct pd_stream){.on = true, .next = next};
}

void pd_outbox_stream_off(struct pd_outbox *ob, int camera)
{
    if (camera >= ob->n_streams)
        return;
    struct pd_stream *stream = &ob->streams[camera];
    while (stream->first)
        stream_drop_first(ob, stream);
    if (stream->status)
        discard(ob, stream->status);
    *stream = (struct pd_stream){0};
}

void pd_outbox_finish(struct pd_outbox *ob)
{
    while (ob->first)
        discard(ob, ob->first);
    pd_line_unref(ob->current);
    free(ob->streams);
    *ob = (struct pd_outbox){0};
}

/* The camera's only item, a line, gives way: its mark takes the place, so that the loss is told before a status that
 * waits behind it. After "removed" a gap could be taken for one of the next camera of that name. */
static void pose_to_mark(struct pd_outbox *ob, struct pd_stream *stream)
{
    struct pd_item *item = stream->first;
    ob->bytes -= cost(item);
    pd_line_unref(item->line);
    item->line = NULL;
    item->kind = MARK;
    item->seq = stream->end;
    item->thinned += stream->thinned;
    stream->thinned = 0;
    ob->bytes += cost(item);
}

/* Make room for @need bytes: the same camera's oldest lines go first, then the oldest of any camera. */
static bool make_room(struct pd_outbox *ob, struct pd_stream *stream, size_t need)
{
    while (ob->bytes + need > ob->cap && stream->first)
        stream_drop_first(ob, stream);
    for (struct pd_item *item = ob->first, *next; item && ob->bytes + need > ob->cap; item = next) {
        next = item->next;
        if (item->kind != POSE)
            continue;
        struct pd_stream *other = &ob->streams[item->camera];
        assert(other->first == item); /* the outbox's order is also each stream's */
        if (other->last == item)
            pose_to_mark(ob, other);
        else
            stream_drop_first(ob, other);
    }
    return ob->bytes + need <= ob->cap;
}

/* Whether max_fps lets a line pass now. The due time advances by whole intervals, so that the mean rate is met exactly
 * although frames come at their own times. */
static bool is_due(struct pd_outbox *ob, struct pd_stream *stream, int64_t now_ns)
{
    if (!ob->interval_ns)
        return true;
    if (now_ns < stream->due_ns)
        return false;
    stream->due_ns += ob->interval_ns;
    if (stream->due_ns <= now_ns)
        stream->due_ns = now_ns + ob->interval_ns;
    return true;
}

/* The gap before the line covers what the mark stood for, so the line takes its place; marks are only ever last. */
static void mark_to_pose(struct pd_outbox *ob, struct pd_stream *stream, struct pd_line *line, uint64_t seq)
{
    struct pd_item *item = stream->last;
    ob->bytes -= cost(item);
    item->kind = POSE;
    item->line = pd_line_ref(line);
    item->seq = seq;
    item->thinned += stream->thinned;
    stream->thinned = 0;
    ob->bytes += cost(item);
}

void pd_outbox_pose(struct pd_outbox *ob, int camera, uint64_t seq, struct pd_line *line, int64_t now_ns)
{
    struct pd_stream *stream = &ob->streams[camera];
    if (!stream->on || !(ob->types & PD_TYPE_POSE))
        return;
    stream->end = seq + 1;
    if (!is_due(ob, stream, now_ns)) {
        stream->thinned++;
        ob->thinned++;
        return;
    }
    if (!make_room(ob, stream, sizeof(struct pd_item) + line->len)) {
        pd_outbox_mark(ob, camera, seq);
        return;
    }
    if (stream->last && stream->last->kind == MARK) {
        mark_to_pose(ob, stream, line, seq);
        return;
    }
    struct pd_item *item = append(ob, POSE, camera, line);
    if (item)
        stream_append(stream, item, seq);
}

void pd_outbox_mark(struct pd_outbox *ob, int camera, uint64_t seq)
{
    struct pd_stream *stream = &ob->streams[camera];
    if (!stream->on || !(ob->types & PD_TYPE_POSE))
        return;
    stream->end = seq + 1;
    const struct pd_item *last = stream->last;
    uint64_t told = !last ? stream->next : last->kind == POSE ? last->seq + 1 : last->seq;
    if (told + stream->thinned == stream->end)
        return; /* nothing was lost since the last queued line */
    if (stream->last && stream->last->kind == MARK) {
        stream->last->seq = seq + 1;
        stream->last->thinned += stream->thinned;
        stream->thinned = 0;
        return;
    }
    struct pd_item *item = append(ob, MARK, camera, NULL);
    if (item)
        stream_append(stream, item, seq + 1);
}

int pd_outbox_status(struct pd_outbox *ob, int camera, struct pd_line *line)
{
    struct pd_stream *stream = &ob->streams[camera];
    if (!stream->on || !(ob->types & PD_TYPE_STATUS))
        return 0;
    struct pd_item *item = append(ob, STATUS, camera, line);
    if (!item)
        return -ENOMEM;
    if (stream->status)
        discard(ob, stream->status);
    stream->status = item;
    return 0;
}

int pd_outbox_reply(struct pd_outbox *ob, struct pd_line *line)
{
    return append(ob, REPLY, -1, line) ? 0 : -ENOMEM;
}

/* ---- to the kernel ---- */

static void add_part(struct pd_gather *g, struct pd_line *line, size_t offset, struct pd_item *item, uint64_t lost)
{
    g->iov[g->n] = line ? (struct iovec){line->text + offset, line->len - offset} : (struct iovec){0};
    g->bytes += g->iov[g->n].iov_len;
    g->part[g->n].line = line;
    g->part[g->n].item = item;
    g->part[g->n].lost = lost;
    g->n++;
}

/* What would be lost before @item if everything gathered so far gets out. */
static uint64_t lost_before(struct pd_outbox *ob, const struct pd_item *item)
{
    struct pd_stream *stream = &ob->streams[item->camera];
    if (stream->round != ob->round) {
        stream->round = ob->round;
        stream->ahead = stream->next;
    }
    uint64_t from = stream->ahead;
    stream->ahead = item->kind == POSE ? item->seq + 1 : item->seq;
    assert(item->seq >= from + item->thinned);
    return item->seq - from - item->thinned;
}

void pd_outbox_gather(struct pd_outbox *ob, const struct pd_outbox_gaps *gaps, int max, struct pd_gather *g)
{
    g->n = 0;
    g->bytes = 0;
    ob->round++;
    if (ob->current)
        add_part(g, pd_line_ref(ob->current), ob->current_offset, NULL, 0);
    for (struct pd_item *item = ob->first; item && g->n < max; item = item->next) {
        bool numbered = item->kind == POSE || item->kind == MARK;
        uint64_t lost = numbered ? lost_before(ob, item) : 0;
        if (lost) {
            uint64_t from = item->seq - lost - item->thinned;
            struct pd_line *gap = gaps->make(item->camera, from, item->seq - 1, lost, gaps->user);
            if (!gap)
                return; /* no memory now: nothing may pass its gap */
            add_part(g, gap, 0, item, lost);
        }
        if (item->kind == MARK && !lost)
            add_part(g, NULL, 0, item, 0); /* not needed after all; goes when what is before it has gone */
        else if (item->kind != MARK && g->n < max)
            add_part(g, pd_line_ref(item->line), 0, item, 0);
    }
}

/* The kernel has, or is sure to get, the line of part @i: from here on it counts as told. */
static void settle_part(struct pd_outbox *ob, struct pd_gather *g, int i)
{
    struct pd_item *item = g->part[i].item;
    struct pd_stream *stream = item && item->camera >= 0 ? &ob->streams[item->camera] : NULL;
    if (!item)
        return;
    switch (item->kind) {
    case REPLY:
        discard(ob, item);
        return;
    case STATUS:
        stream->status = NULL;
        discard(ob, item);
        return;
    case POSE:
    case MARK:
        ob->lost += g->part[i].lost;
        stream->next = item->seq;
        item->thinned = 0;
        if (item->kind == POSE && g->part[i].lost)
            return; /* the gap; the line itself is the next part */
        if (item->kind == POSE) {
            stream->next++;
            ob->delivered++;
        }
        stream->first = item->stream_next;
        if (!stream->first)
            stream->last = NULL;
        discard(ob, item);
        return;
    }
}

static void make_current(struct pd_outbox *ob, struct pd_gather *g, int i, size_t offset)
{
    if (!g->part[i].item) {
        ob->current_offset += offset; /* it is the current line already */
        return;
    }
    settle_part(ob, g, i);
    ob->current = pd_line_ref(g->part[i].line);
    ob->current_offset = offset;
}

static void release_parts(struct pd_gather *g)
{
    for (int i = 0; i < g->n; i++)
        pd_line_unref(g->part[i].line);
    g->n = 0;
}

void pd_outbox_commit(struct pd_outbox *ob, struct pd_gather *g, size_t written)
{
    for (int i = 0; i < g->n; i++) {
        if (written < g->iov[i].iov_len) {
            if (written)
                make_current(ob, g, i, written);
            break;
        }
        written -= g->iov[i].iov_len;
        if (g->part[i].item)
            settle_part(ob, g, i);
        else
            pd_outbox_current_done(ob);
    }
    release_parts(g);
}

bool pd_outbox_start(struct pd_outbox *ob, const struct pd_outbox_gaps *gaps)
{
    struct pd_gather g;
    while (!ob->current) {
        pd_outbox_gather(ob, gaps, 1, &g);
        if (g.n && g.bytes)
            make_current(ob, &g, 0, 0);
        else if (g.n)
            settle_part(ob, &g, 0);
        else
            return false;
        release_parts(&g);
    }
    return true;
}

void pd_outbox_current_done(struct pd_outbox *ob)
{
    pd_line_unref(ob->current);
    ob->current = NULL;
    ob->current_offset = 0;
}
