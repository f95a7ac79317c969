/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/camera.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/log.h"

/* Frames of a file that wait before its reader does: enough to fill batches, few enough to start and stop quickly. */
#define FILE_DEPTH 8
#define EVENT_TRIES 50
#define SMOOTH_BETA 0.7 /* One-Euro: how fast the cutoff rises with speed; a walking person follows within two frames */

struct pd_tree *pd_tree_new(struct pd_config *config)
{
    struct pd_tree *tree = malloc(sizeof(*tree));
    if (!tree) {
        pd_config_destroy(config);
        return NULL;
    }
    *tree = (struct pd_tree){1, config};
    return tree;
}

struct pd_tree *pd_tree_ref(struct pd_tree *tree)
{
    tree->refs++;
    return tree;
}

void pd_tree_unref(struct pd_tree *tree)
{
    if (!tree || --tree->refs)
        return;
    pd_config_destroy(tree->config);
    free(tree);
}

struct pd_event *pd_event_new(enum pd_event_kind kind, struct pd_camera *camera)
{
    struct pd_event *event = calloc(1, sizeof(*event));
    if (event) {
        event->kind = kind;
        event->camera = camera;
    }
    return event;
}

struct pd_event *pd_event_new_patiently(enum pd_event_kind kind, struct pd_camera *camera)
{
    struct pd_event *event = pd_event_new(kind, camera);
    for (int i = 0; !event && i < EVENT_TRIES; i++) {
        nanosleep(&(struct timespec){0, PD_NS_PER_S / EVENT_TRIES}, NULL);
        event = pd_event_new(kind, camera);
    }
    return event;
}

void pd_event_free(struct pd_event *event)
{
    pd_line_unref(event->line);
    free(event);
}

/* ---- decode thread ---- */

static void on_frame(struct pd_frame *frame, void *user)
{
    struct pd_camera *camera = user;
    uint64_t seq = atomic_load_explicit(&camera->decoded, memory_order_relaxed) + 1;
    frame->camera = camera->index;
    frame->seq = seq;
    atomic_store_explicit(&camera->decoded, seq, memory_order_release);
    if (pd_queue_push(camera->queue, camera->index, frame) != PD_QUEUE_E_FINISHED)
        return;
    pd_frame_unref(&frame);
    pd_camera_drop(camera);
}

static void on_state(enum pd_source_state state, const char *reason, double retry_s, void *user)
{
    struct pd_camera *camera = user;
    pd_queue_set_up(camera->queue, camera->index, state == PD_SOURCE_UP);
    struct pd_event *event = pd_event_new_patiently(PD_EVENT_STATE, camera);
    if (!event)
        return; /* the next change will be told, if there is one; the state itself is in the source's stats */
    event->state = state;
    event->retry_s = retry_s;
    event->wall_us = pd_wall_us();
    snprintf(event->reason, sizeof(event->reason), "%s", reason);
    pd_handoff_post(camera->handoff, &event->item);
}

/* ---- any thread ---- */

void pd_camera_drop(struct pd_camera *camera)
{
    pd_count(&camera->dropped, 1);
    pd_camera_settle(camera);
}

void pd_camera_fail(struct pd_camera *camera)
{
    pd_count(&camera->failed, 1);
    pd_camera_settle(camera);
}

uint64_t pd_camera_settled(struct pd_camera *camera)
{
    /* In this order: settled never exceeds decoded, so if decoded is not above it now, nothing was under way then. */
    uint64_t settled = atomic_load_explicit(&camera->settled, memory_order_acquire);
    uint64_t decoded = atomic_load_explicit(&camera->decoded, memory_order_acquire);
    return settled == decoded ? settled : 0;
}

/* ---- scheduler thread ---- */

int pd_camera_fit(struct pd_camera *camera, int w, int h, int dst_w, int dst_h)
{
    if (w == camera->src_w && h == camera->src_h)
        return 0;
    const struct pd_camera_config *config = camera->config;
    const float *roi = config->roi;
    /* A pixel at least, and inside: of an empty area pd_letterbox_fit() would make the whole frame. */
    struct pd_rect rect = {PD_MIN((int)(roi[0] * (float)w + 0.5f), w - 1),
                           PD_MIN((int)(roi[1] * (float)h + 0.5f), h - 1),
                           PD_MAX((int)(roi[2] * (float)w + 0.5f), 1), PD_MAX((int)(roi[3] * (float)h + 0.5f), 1)};
    bool whole = roi[2] <= 0 || roi[3] <= 0;
    struct pd_letterbox lb;
    int r = pd_letterbox_fit(w, h, whole ? NULL : &rect, dst_w, dst_h, &lb);
    if (r < 0)
        return r;
    struct pd_mask *mask = NULL;
    if (config->n_mask) {
        mask = pd_mask_create(config->mask, config->n_mask, &lb, w, h);
        if (!mask)
            return -ENOMEM;
    }
    pd_mask_unref(camera->mask);
    camera->mask = mask;
    camera->lb = lb;
    camera->src_w = w;
    camera->src_h = h;
    return 0;
}

/* ---- loop thread ---- */

static struct pd_source_config source_config(const struct pd_camera *camera)
{
    const struct pd_camera_config *c = camera->config;
    /* an engine that computes on the CPU cannot read what lies on a GPU */
    bool gpu = camera->device_frames && strcmp(c->hwaccel, "none") != 0;
    return (struct pd_source_config){
        .name = c->name, .url = c->url, .username = c->username, .password = c->password, .transport = c->transport,
        .ca_file = c->ca_file, .tls_name = c->tls_name,
        .loop = c->loop, .realtime = c->realtime, .max_fps = c->max_fps,
        .hwaccel = gpu ? "cuda" : "none",
        .cuda_device = camera->cuda_device,
        .open_timeout_s = c->open_timeout_s, .read_timeout_s = c->read_timeout_s,
    };
}

/* Numbers go on from those of the run @before, NULL: from none. */
static void take_counts(struct pd_camera *camera, const struct pd_camera *before)
{
    camera->base = before ? atomic_load(&before->decoded) : 0;
    atomic_init(&camera->decoded, camera->base);
    atomic_init(&camera->settled, camera->base);
    atomic_init(&camera->published, before ? atomic_load(&before->published) : 0);
    atomic_init(&camera->dropped, before ? atomic_load(&before->dropped) : 0);
    atomic_init(&camera->failed, before ? atomic_load(&before->failed) : 0);
    camera->past_corrupt = before ? before->past_corrupt : 0;
    camera->past_skipped = before ? before->past_skipped : 0;
    camera->past_reconnects = before ? before->past_reconnects : 0;
}

int pd_camera_create(const struct pd_camera_params *params, struct pd_camera **ret_camera, struct pd_err *err)
{
    struct pd_camera *camera = calloc(1, sizeof(*camera));
    if (!camera)
        return pd_err_set(err, -ENOMEM, "out of memory");
    const struct pd_camera_config *config = params->config;
    camera->tree = pd_tree_ref(params->tree);
    camera->config = config;
    camera->queue = params->queue;
    camera->handoff = params->handoff;
    camera->hub = params->hub;
    camera->worker = params->worker;
    camera->device_frames = params->device_frames;
    camera->cuda_device = params->cuda_device;
    camera->index = -1;
    camera->source_gone = true;
    camera->since_us = pd_wall_us();
    take_counts(camera, params->before);
    struct pd_source_config source = source_config(camera);
    camera->live = pd_source_is_live(&source);
    if (config->track || config->smooth > 0)
        camera->tracker = pd_tracker_create(params->skeleton, params->next_id);
    if (config->smooth > 0)
        camera->smoother = pd_smoother_create(config->smooth, SMOOTH_BETA);
    if ((config->track && !camera->tracker) || (config->smooth > 0 && (!camera->tracker || !camera->smoother))) {
        pd_camera_destroy(camera);
        return pd_err_set(err, -ENOMEM, "out of memory");
    }
    camera->index = pd_queue_add(params->queue, camera->live ? PD_QUEUE_NEWEST : PD_QUEUE_LOSSLESS, FILE_DEPTH);
    if (camera->index < 0) {
        int r = camera->index;
        pd_camera_destroy(camera);
        return r == -ENOSPC ? pd_err_set(err, r, "at most %d cameras", PD_CAMERAS_MAX)
                            : pd_err_set(err, r, "out of memory");
    }
    *ret_camera = camera;
    return 0;
}

void pd_camera_leave_queue(struct pd_camera *camera)
{
    if (camera->index >= 0)
        pd_queue_remove(camera->queue, camera->index);
    camera->index = -1;
}

void pd_camera_destroy(struct pd_camera *camera)
{
    if (!camera)
        return;
    pd_camera_leave_queue(camera);
    pd_tracker_destroy(camera->tracker);
    pd_smoother_destroy(camera->smoother);
    pd_mask_unref(camera->mask);
    pd_tree_unref(camera->tree);
    pd_tree_unref(camera->next_tree);
    free(camera);
}

int pd_camera_start(struct pd_camera *camera, struct pd_err *err)
{
    struct pd_source_config source = source_config(camera);
    const struct pd_source_sink sink = {on_frame, on_state, camera};
    int r = pd_source_start(&source, camera->index, &sink, &camera->source, err);
    if (r == 0)
        camera->source_gone = false;
    return r;
}
