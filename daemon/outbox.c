/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/outbox_impl.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "core/util.h"

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

static struct pd_item *append(struct pd_outbox *ob, enum pd_item_kind kind, int camera, struct pd_line *line)
{
    struct pd_item *item = malloc(sizeof(*item));
    if (!item)
        return NULL;
    *item = (struct pd_item){.prev = ob->last, .line = line ? pd_line_ref(line) : NULL, .camera = camera, .kind = kind};
    *(ob->last ? &ob->last->next : &ob->first) = item;
    ob->last = item;
    ob->bytes += cost(item);
    if (kind == PD_ITEM_REPLY)
        ob->reply_bytes += cost(item);
    return item;
}

void pd_outbox_discard(struct pd_outbox *ob, struct pd_item *item)
{
    *(item->prev ? &item->prev->next : &ob->first) = item->next;
    *(item->next ? &item->next->prev : &ob->last) = item->prev;
    ob->bytes -= cost(item);
    if (item->kind == PD_ITEM_REPLY)
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
    pd_outbox_discard(ob, item);
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
        pd_outbox_discard(ob, stream->status);
    *stream = (struct pd_stream){0};
}

void pd_outbox_finish(struct pd_outbox *ob)
{
    while (ob->first)
        pd_outbox_discard(ob, ob->first);
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
    item->kind = PD_ITEM_MARK;
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
        if (item->kind != PD_ITEM_POSE)
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
    if (stream->due_ns > now_ns + ob->interval_ns)
        stream->due_ns = now_ns; /* that of a slower subscription before */
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
    item->kind = PD_ITEM_POSE;
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
    if (stream->last && stream->last->kind == PD_ITEM_MARK) {
        mark_to_pose(ob, stream, line, seq);
        return;
    }
    struct pd_item *item = append(ob, PD_ITEM_POSE, camera, line);
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
    uint64_t told = !last ? stream->next : last->kind == PD_ITEM_POSE ? last->seq + 1 : last->seq;
    if (told + stream->thinned == stream->end)
        return; /* nothing was lost since the last queued line */
    if (stream->last && stream->last->kind == PD_ITEM_MARK) {
        stream->last->seq = seq + 1;
        stream->last->thinned += stream->thinned;
        stream->thinned = 0;
        return;
    }
    struct pd_item *item = append(ob, PD_ITEM_MARK, camera, NULL);
    if (item)
        stream_append(stream, item, seq + 1);
}

int pd_outbox_status(struct pd_outbox *ob, int camera, struct pd_line *line)
{
    struct pd_stream *stream = &ob->streams[camera];
    if (!stream->on || !(ob->types & PD_TYPE_STATUS))
        return 0;
    struct pd_item *item = append(ob, PD_ITEM_STATUS, camera, line);
    if (!item)
        return -ENOMEM;
    if (stream->status)
        pd_outbox_discard(ob, stream->status);
    stream->status = item;
    return 0;
}

int pd_outbox_reply(struct pd_outbox *ob, struct pd_line *line)
{
    return append(ob, PD_ITEM_REPLY, -1, line) ? 0 : -ENOMEM;
}
