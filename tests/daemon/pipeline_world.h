#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * A pipeline for tests, with file cameras of which a thread each pushes frames into its queue as a decode thread would;
 * what reaches the loop is counted.
 */
#include "tests/core/test.h"

#include <pthread.h>

#include "core/clock.h"
#include "core/net/net.h"
#include "daemon/pipeline.h"

#define CAMERAS 6
#define FRAMES 60

struct feeder {
    pthread_t thread;
    struct pd_camera *camera;
    uint64_t last_seq, lines;
};

struct world {
    uv_loop_t loop;
    uv_timer_t tick;
    struct pd_handoff handoff;
    struct pd_net *net;
    struct pd_tree *tree;
    struct pd_stats stats;
    _Atomic int64_t next_id;
    struct pd_pipeline *pipeline;
    struct feeder feeders[CAMERAS];
    int fatal;
    char dir[64];
};
extern struct world world;

/* Group setup and teardown: configuration and network. */
int world_make_site(void **state);
int world_remove_site(void **state);

/* One engine for each of @n_devices. */
void world_start(int n_devices);
void world_feed(void);
bool world_all_settled(void);
/* What was posted to the loop; holds the order of each camera's lines. */
void world_drain(void);
/* Also with frames under way. Each has been published, dropped or failed afterwards. */
void world_stop(void);
struct pd_pipeline_device world_device(int i);
