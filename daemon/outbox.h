#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * What one subscriber has yet to be sent: a bounded queue of shared lines that knows exactly what it left out.
 *
 * The promise. For each camera of the subscription, from the moment of subscribing, every sequence number is told of
 * exactly once: by a pose line, by a gap line whose range holds it, or by having been thinned because the subscriber
 * asked for max_fps. It holds by construction: `next` is the first sequence number not told of; it moves only when a
 * line is given to the kernel, and a gap line is made at that moment from the distance between `next` and the line's
 * own number. So whatever was lost on the way (dropped before the network, failed in the engine, pushed out of this
 * queue) needs no bookkeeping of its own.
 *
 * Three kinds of lines: poses (may be dropped, oldest of the same camera first), the newest status of each camera
 * (replaced, never dropped), and replies (never dropped; the owner stops reading requests while many wait).
 *
 * Pure data, no I/O, no clock of its own. Loop thread.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "daemon/line.h"

#define PD_OUTBOX_GATHER_MAX 64

struct pd_item;

/* One camera as one subscriber sees it. */
struct pd_stream {
    bool on;
    uint64_t next;                /* first sequence number not told of */
    uint64_t end;                 /* one past the last that was published or settled */
    uint64_t thinned;             /* left out on request since the last queued item */
    int64_t due_ns;               /* max_fps: a line before this is thinned */
    struct pd_item *first, *last; /* queued poses and marks of this camera, oldest first */
    struct pd_item *status;       /* queued status line */
    uint64_t ahead, round;        /* pd_outbox_gather: what next will be once the parts so far are out */
};

struct pd_outbox {
    size_t cap;                   /* bytes of pose lines that may wait */
    int64_t interval_ns;          /* 1 / max_fps; 0: every line */
    unsigned types;               /* enum pd_line_type bits */
    bool all;                     /* cameras added later are part of the subscription */

    int n_streams;
    struct pd_stream *streams;    /* by the hub's camera index */
    struct pd_item *first, *last; /* everything queued, oldest first */
    size_t bytes;                 /* queued, items included */
    size_t reply_bytes;           /* of these, replies */

    struct pd_line *current;      /* partly given to the kernel, or owned by a write that is under way */
    size_t current_offset;

    uint64_t delivered, lost, thinned; /* poses */
    uint64_t round;
};

enum pd_line_type { PD_TYPE_POSE = 1, PD_TYPE_STATUS = 2 };

void pd_outbox_init(struct pd_outbox *ob, size_t cap);
void pd_outbox_finish(struct pd_outbox *ob);
/* Room for cameras 0..n-1. -ENOMEM. */
int pd_outbox_grow(struct pd_outbox *ob, int n);

/* Begin with sequence number @next; keeps its place when the stream is already on. */
void pd_outbox_stream_on(struct pd_outbox *ob, int camera, uint64_t next);
/* Forget the camera and what is queued of it. */
void pd_outbox_stream_off(struct pd_outbox *ob, int camera);

/* Queue a pose line (a reference is taken) published at @now_ns. Without memory the line is lost, and the gap tells. */
void pd_outbox_pose(struct pd_outbox *ob, int camera, uint64_t seq, struct pd_line *line, int64_t now_ns);
/* Every frame up to and including @seq has been dealt with: what was not delivered of them is lost for good, and a gap
 * line says so without waiting for the next pose. */
void pd_outbox_mark(struct pd_outbox *ob, int camera, uint64_t seq);
/* The two below return -ENOMEM when the line could not be queued. */
int pd_outbox_status(struct pd_outbox *ob, int camera, struct pd_line *line);
int pd_outbox_reply(struct pd_outbox *ob, struct pd_line *line);

static inline bool pd_outbox_empty(const struct pd_outbox *ob)
{
    return !ob->first && !ob->current;
}

/* The next lines to write, gap lines among them, as vectors that stay valid until pd_outbox_commit(). */
struct pd_gather {
    int n;
    size_t bytes;
    struct iovec iov[PD_OUTBOX_GATHER_MAX];
    struct {
        struct pd_line *line;  /* one reference; NULL: nothing to write, only to settle */
        struct pd_item *item;  /* whose line, or before whose line the gap goes */
        uint64_t lost;         /* > 0: a gap line */
    } part[PD_OUTBOX_GATHER_MAX];
};

/* Makes gap lines (one reference; NULL: out of memory): the hub knows the cameras' names, and that most subscribers
 * miss the same. */
struct pd_outbox_gaps {
    struct pd_line *(*make)(int camera, uint64_t from, uint64_t to, uint64_t lost, void *user);
    void *user;
};

/* Fill @g with at most @max lines (<= PD_OUTBOX_GATHER_MAX); first what is left of the current line. */
void pd_outbox_gather(struct pd_outbox *ob, const struct pd_outbox_gaps *gaps, int max, struct pd_gather *g);
/* The kernel took the first @written bytes of @g. A line of which it took a part becomes the current one. */
void pd_outbox_commit(struct pd_outbox *ob, struct pd_gather *g, size_t written);
/* Nothing could be written: make the next line the current one, so that an asynchronous write can own it. False when
 * there is nothing to write (or no memory for a gap line). */
bool pd_outbox_start(struct pd_outbox *ob, const struct pd_outbox_gaps *gaps);
/* The current line has been written whole. */
void pd_outbox_current_done(struct pd_outbox *ob);
