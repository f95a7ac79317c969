#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * One camera while it runs: its source, its place in the queue, its state over time, and the count of its frames.
 *
 * The count. `decoded` is the sequence number of the newest frame; `settled` counts the frames whose fate is known:
 * published, dropped in the queue, or failed in the engine. A pose is posted to the loop before its frame is settled,
 * so once the two are equal everything there is to say about the camera has been posted.
 */
#include <stdatomic.h>

#include "core/queue.h"
#include "core/stats.h"
#include "daemon/config.h"
#include "daemon/handoff.h"
#include "daemon/line.h"
#include "daemon/mask.h"
#include "daemon/motion.h"
#include "daemon/watchdog.h"
#include "decode/source.h"
#include "postproc/track.h"

/* A loaded configuration, alive as long as a camera that came from it. Loop thread. */
struct pd_tree {
    int refs;
    struct pd_config *config;
};
struct pd_tree *pd_tree_new(struct pd_config *config); /* takes @config; NULL: out of memory, @config is destroyed */
struct pd_tree *pd_tree_ref(struct pd_tree *tree);
void pd_tree_unref(struct pd_tree *tree); /* NULL is fine */

/* What crosses into the loop. */
enum pd_event_kind {
    PD_EVENT_POSE,  /* camera, seq, line, arrived_ns, posted_ns */
    PD_EVENT_STATE, /* camera, state, reason, retry_s */
    PD_EVENT_FATAL, /* status, reason: the engine cannot go on */
};
struct pd_event {
    struct pd_handoff_item item; /* first */
    enum pd_event_kind kind;
    struct pd_camera *camera;
    uint64_t seq;
    struct pd_line *line;
    int64_t arrived_ns, posted_ns;
    enum pd_source_state state;
    double retry_s;
    int64_t wall_us;
    int status;
    char reason[256];
};
struct pd_event *pd_event_new(enum pd_event_kind kind, struct pd_camera *camera); /* NULL: out of memory */
/* The same for what nobody tells again, on a thread that may wait: tries for a second while memory is short. */
struct pd_event *pd_event_new_patiently(enum pd_event_kind kind, struct pd_camera *camera);
void pd_event_free(struct pd_event *event);

struct pd_camera {
    /* set at creation, then read-only */
    struct pd_tree *tree;
    const struct pd_camera_config *config;
    struct pd_queue *queue;
    struct pd_handoff *handoff;
    int index;          /* in the queue; frame->camera */
    int hub;            /* in the hub */
    int worker;         /* of the pool that advances tracker and smoother */
    bool live;
    bool device_frames;
    int cuda_device;
    uint64_t base;      /* sequence number of the last frame before this run of the camera */

    /* atomic */
    _Atomic uint64_t decoded;  /* newest sequence number; written by the decode thread */
    _Atomic uint64_t settled;  /* base + frames whose fate is known */
    _Atomic uint64_t published, dropped, failed;
    _Atomic int64_t latency_ns; /* packet in to line out, smoothed over some frames; 0: none yet */

    /* scheduler thread */
    int src_w, src_h;
    struct pd_letterbox lb;
    struct pd_mask *mask; /* NULL: nothing masked */

    /* its worker's thread */
    struct pd_tracker *tracker;
    struct pd_smoother *smoother;
    struct pd_motion motion;

    /* loop thread */
    struct pd_source *source;
    enum pd_source_state state;
    char reason[256];
    double retry_s;
    int64_t since_us;
    uint64_t past_corrupt, past_skipped; /* what the sources of this camera's ended runs counted */
    uint32_t past_reconnects;
    char told[256];      /* the reason of the last line that said it is down, "" since it was up */
    int64_t told_ns;
    bool end_waits;      /* the file has ended; told once its last frames are settled */
    bool state_untold;   /* for want of memory; tried again each second */
    bool stopping;       /* the source is being destroyed, or waits for its frames to settle */
    bool source_gone;
    struct pd_watchdog_call late; /* of the decode thread, beyond its deadline */
    struct pd_tree *next_tree; /* stopping: what to start instead, NULL: nothing */
    const struct pd_camera_config *next_config;
    struct pd_camera *next;
};

struct pd_camera_params {
    struct pd_tree *tree; /* a reference is taken */
    const struct pd_camera_config *config;
    struct pd_queue *queue;
    struct pd_handoff *handoff;
    const struct pd_skeleton *skeleton;
    _Atomic int64_t *next_id;
    int hub, worker;
    bool device_frames; /* the engine takes frames that are in its memory: hwaccel auto is cuda */
    int cuda_device;    /* that decodes it then */
    const struct pd_camera *before; /* the run of the same camera that this one continues, NULL: none */
};

/* Joins the queue; does not start the source yet. */
int pd_camera_create(const struct pd_camera_params *params, struct pd_camera **ret_camera, struct pd_err *err);
/* The source is gone and every frame is settled. Leaves the queue. NULL is fine. */
void pd_camera_destroy(struct pd_camera *camera);
/* The same of the queue alone, for who still reads the camera's counts. */
void pd_camera_leave_queue(struct pd_camera *camera);
int pd_camera_start(struct pd_camera *camera, struct pd_err *err);

/* A frame's fate is known. Any thread; after whatever was posted about it. */
static inline void pd_camera_settle(struct pd_camera *camera)
{
    atomic_fetch_add_explicit(&camera->settled, 1, memory_order_release);
}
void pd_camera_drop(struct pd_camera *camera); /* the queue let a frame go */
void pd_camera_fail(struct pd_camera *camera); /* the engine did */

/* Highest sequence number up to which everything is settled and posted; only when nothing is under way (else 0). Call
 * before pd_handoff_take(). Any thread. */
uint64_t pd_camera_settled(struct pd_camera *camera);

/* Letterbox and mask for a frame of @w x @h. Scheduler thread. 0, -EINVAL, -ENOMEM. */
int pd_camera_fit(struct pd_camera *camera, int w, int h, int dst_w, int dst_h);
