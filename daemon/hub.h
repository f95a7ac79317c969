#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Who gets which line: the cameras with the state that a new subscriber needs, and every subscriber's outbox. A line is
 * made once; a subscriber costs a reference to it.
 *
 * No sockets and no clock in here: the server writes what outboxes hold, tests read it. Loop thread.
 */
#include "daemon/json.h"
#include "daemon/outbox.h"

#define PD_HUB_CLIENT_CAP (256 * 1024)      /* bytes of pose lines one subscriber may leave unread */
#define PD_HUB_TOTAL_CAP (64 * 1024 * 1024) /* bytes of lines alive at all; above it the slowest are let go */

struct pd_hub;
struct pd_subscriber;

struct pd_hub_params {
    size_t client_cap, total_cap; /* 0: as above */
};

struct pd_hub *pd_hub_create(const struct pd_hub_params *params); /* NULL: out of memory */
void pd_hub_destroy(struct pd_hub *hub); /* all subscribers have left */

/* A camera index; subscribers of "*" and those who named it get it from now on. -ENOMEM, -ENOSPC. */
int pd_hub_add_camera(struct pd_hub *hub, const char *name);
/* The camera is gone for good: nothing more is published of it. What subscribers have queued of it still goes out; its
 * number is given to another camera only after that. */
void pd_hub_remove_camera(struct pd_hub *hub, int camera);
const char *pd_hub_camera_name(const struct pd_hub *hub, int camera);
/* Index of the camera called @name, -1: none. */
int pd_hub_find_camera(const struct pd_hub *hub, const char *name);

/* Publish the pose line of frame @seq, which is above all before it. The caller keeps its reference. The line reaches
 * the outboxes with the next pd_hub_spread(): a thousand subscribers one after the other, each with all lines since the
 * last time, is several times cheaper than a thousand for each line, since a subscriber's memory is then in the cache.
 */
void pd_hub_publish(struct pd_hub *hub, int camera, uint64_t seq, struct pd_line *line, int64_t now_ns);
/* Put what was published into the outboxes. Everything below that lines must not overtake does so by itself. @each, if
 * not NULL, is called for every subscriber when its lines are in; it must not change the list of subscribers. */
void pd_hub_spread(struct pd_hub *hub, void (*each)(struct pd_subscriber *sub));
/* All frames up to and including @seq have been published or are lost: tells subscribers of a loss at the end. */
void pd_hub_settle(struct pd_hub *hub, int camera, uint64_t seq);
/* The highest sequence number published or settled. */
uint64_t pd_hub_last_seq(const struct pd_hub *hub, int camera);
/* Send the camera's new state to those who want status lines, and keep it for those who come later. Takes @line.
 * NULL, for want of memory: subscribers are evicted, those who come later are told of no state. */
void pd_hub_status(struct pd_hub *hub, int camera, struct pd_line *line);

/* A subscriber. Its outbox belongs to the hub's list from join to leave. */
struct pd_subscriber {
    struct pd_outbox outbox;
    bool subscribed;
    bool evicted;                      /* the hub needs its memory: to be closed */
    uint64_t n_spread;                 /* lines ever published, up to which they are in the outbox */
    int n_names;                       /* cameras asked for by name */
    char (*names)[PD_REQUEST_NAME_MAX];
    struct pd_subscriber *prev, *next; /* hub's list */
};

int pd_hub_join(struct pd_hub *hub, struct pd_subscriber *sub); /* 0 or -ENOMEM */
void pd_hub_leave(struct pd_hub *hub, struct pd_subscriber *sub); /* frees what the outbox holds */
/* Carry out a subscribe request, a later one replacing the one before, and queue the answer and the current states.
 * Cameras in both keep their place, so nothing is told twice or not at all. -ENOMEM: close the subscriber. */
int pd_hub_subscribe(struct pd_hub *hub, struct pd_subscriber *sub, const struct pd_request *request);
/* Queue nothing more for it; what is queued still goes out. */
void pd_hub_end(struct pd_hub *hub, struct pd_subscriber *sub);

int pd_hub_subscribers(const struct pd_hub *hub);
static inline struct pd_client_numbers pd_subscriber_numbers(const struct pd_subscriber *sub)
{
    const struct pd_outbox *ob = &sub->outbox;
    return (struct pd_client_numbers){ob->delivered, ob->lost, ob->thinned, ob->bytes};
}
/* For gather and start. */
const struct pd_outbox_gaps *pd_hub_gaps(const struct pd_hub *hub);
/* Pose lines left unread and dropped, over all subscribers that ever were. */
uint64_t pd_hub_lost_total(const struct pd_hub *hub);
