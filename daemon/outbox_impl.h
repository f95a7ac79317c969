#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * What the two parts of the outbox share: outbox.c holds the lines that wait and lets go of those for which there is no
 * room, outbox_write.c gives them to the kernel, with the gap lines that are due by then.
 */
#include "daemon/outbox.h"

enum pd_item_kind { PD_ITEM_POSE, PD_ITEM_MARK, PD_ITEM_STATUS, PD_ITEM_REPLY };

struct pd_item {
    struct pd_item *prev, *next; /* the outbox's order */
    struct pd_item *stream_next; /* POSE, MARK: the same camera's next */
    struct pd_line *line;        /* NULL: MARK */
    uint64_t seq;                /* POSE: its number; MARK: one past the last that was dealt with */
    uint64_t thinned;            /* POSE, MARK: left out on request since the camera's item before this one */
    int camera;
    enum pd_item_kind kind;
};

/* Take @item out of the outbox's order and free it; the stream's list is the caller's business. */
void pd_outbox_discard(struct pd_outbox *ob, struct pd_item *item);
