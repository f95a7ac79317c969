#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Readers of a hub for tests: every byte that comes out is parsed, and booked against what the promise of outbox.h says
 * of it. And what makes a hub speak: cameras named cam0, cam1 and so on, with lines of any length.
 */
#include "tests/core/test.h"

#include "daemon/hub.h"

#define CAMERAS 5
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

/* 0: the usual bound on what waits for one client. */
struct pd_hub *hub_with(size_t client_cap, int cameras);
void status(struct pd_hub *hub, int camera, const char *state);
/* A pose line, in which a number has @pad digits. */
void publish(struct pd_hub *hub, int camera, uint64_t seq, size_t pad, int64_t now);
void publish_at_once(struct pd_hub *hub, int camera, uint64_t seq, size_t pad, int64_t now); /* and spread it */

/* One who has joined. */
struct reader *reader_of(struct pd_hub *hub);
/* To @all cameras, or to cam1, cam3 and one that there is not. */
void subscribe(struct pd_hub *hub, struct reader *r, bool all, unsigned types, double max_fps);
void leave(struct pd_hub *hub, struct reader *r);

/* The kernel's part: takes @room bytes at most. Returns how many it took. */
size_t read_some(struct pd_hub *hub, struct reader *r, size_t room, int max);
/* As the server does when the socket is full: an asynchronous write owns the next line. */
void read_async(struct pd_hub *hub, struct reader *r);
void read_all(struct pd_hub *hub, struct reader *r); /* nothing is left then, nor half a line */
