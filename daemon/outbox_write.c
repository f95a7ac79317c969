/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/outbox_impl.h"

#include <assert.h>

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
    stream->ahead = item->kind == PD_ITEM_POSE ? item->seq + 1 : item->seq;
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
        bool numbered = item->kind == PD_ITEM_POSE || item->kind == PD_ITEM_MARK;
        uint64_t lost = numbered ? lost_before(ob, item) : 0;
        if (lost) {
            uint64_t from = item->seq - lost - item->thinned;
            struct pd_line *gap = gaps->make(item->camera, from, item->seq - 1, lost, gaps->user);
            if (!gap)
                return; /* no memory now: nothing may pass its gap */
            add_part(g, gap, 0, item, lost);
        }
        if (item->kind == PD_ITEM_MARK && !lost)
            add_part(g, NULL, 0, item, 0); /* not needed after all; goes when what is before it has gone */
        else if (item->kind != PD_ITEM_MARK && g->n < max)
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
    case PD_ITEM_REPLY:
        pd_outbox_discard(ob, item);
        return;
    case PD_ITEM_STATUS:
        stream->status = NULL;
        pd_outbox_discard(ob, item);
        return;
    case PD_ITEM_POSE:
    case PD_ITEM_MARK:
        ob->lost += g->part[i].lost;
        stream->next = item->seq;
        item->thinned = 0;
        if (item->kind == PD_ITEM_POSE && g->part[i].lost)
            return; /* the gap; the line itself is the next part */
        if (item->kind == PD_ITEM_POSE) {
            stream->next++;
            ob->delivered++;
        }
        stream->first = item->stream_next;
        if (!stream->first)
            stream->last = NULL;
        pd_outbox_discard(ob, item);
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
