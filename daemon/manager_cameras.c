/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/manager.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "daemon/command.h"

#define TELL_AGAIN_NS (60 * PD_NS_PER_S)

/* ---- states ---- */

static void publish_state(struct pd_manager *m, struct pd_camera *camera)
{
    const struct pd_camera_status status = {
        .camera = camera->config->name, .state = pd_source_state_name(camera->state), .reason = camera->reason,
        .since_us = camera->since_us, .retry_s = camera->retry_s,
    };
    struct pd_line *line = pd_json_status(&status);
    if (!line && camera->state_untold)
        return; /* who is there now was told of no state */
    camera->state_untold = !line;
    pd_hub_status(m->hub, camera->hub, line);
}

void pd_manager_tell_again(struct pd_manager *m)
{
    for (struct pd_camera *camera = m->cameras; camera; camera = camera->next)
        if (camera->state_untold)
            publish_state(m, camera);
}

/* That it is down is told at once, and again when the reason becomes another one: the password may be changed while the
 * power is off. At most once a minute, since there are two reasons for a network that comes and goes. */
static bool down_is_news(const struct pd_camera *camera)
{
    if (!camera->told[0])
        return true;
    return strcmp(camera->told, camera->reason) != 0 && pd_now_ns() - camera->told_ns >= TELL_AGAIN_NS;
}

static void log_state(struct pd_camera *camera)
{
    char context[PD_CAMERA_NAME_MAX + 8];
    snprintf(context, sizeof(context), "camera %s", camera->config->name);
    if (camera->state == PD_SOURCE_UP) {
        pd_log_info(context, "up");
        camera->told[0] = 0;
    } else if (camera->state == PD_SOURCE_ENDED) {
        pd_log_info(context, "ended%s%s", *camera->reason ? ": " : "", camera->reason);
    } else if (camera->state == PD_SOURCE_DOWN && down_is_news(camera)) {
        pd_log_warn(context, "down: %s", camera->reason);
        memcpy(camera->told, camera->reason, sizeof(camera->told));
        camera->told_ns = pd_now_ns();
    } else if (camera->state == PD_SOURCE_DOWN) {
        pd_log_debug(context, "still down: %s; next try in %.1f s", camera->reason, camera->retry_s);
    }
}

static void on_state(struct pd_manager *m, const struct pd_event *event)
{
    struct pd_camera *camera = event->camera;
    enum pd_source_state before = camera->state;
    if (event->state == PD_SOURCE_STOPPED || camera->stopping)
        return; /* what follows is told by whoever stopped it */
    if (event->state != before)
        camera->since_us = event->wall_us;
    camera->state = event->state;
    camera->retry_s = event->retry_s;
    memcpy(camera->reason, event->reason, sizeof(camera->reason));
    if (event->state == PD_SOURCE_ENDED)
        camera->end_waits = true; /* told behind its last line */
    else
        publish_state(m, camera);
    log_state(camera);
}

static void on_pose(struct pd_manager *m, struct pd_event *event)
{
    struct pd_camera *camera = event->camera;
    int64_t now = pd_now_ns();
    pd_hub_publish(m->hub, camera->hub, event->seq, event->line, now);
    pd_histogram_add(&m->stats.stage[PD_STAGE_PUBLISH], now - event->posted_ns);
    pd_histogram_add(&m->stats.stage[PD_STAGE_TOTAL], now - event->arrived_ns);
    int64_t mean = atomic_load_explicit(&camera->latency_ns, memory_order_relaxed);
    int64_t latency = now - event->arrived_ns;
    atomic_store_explicit(&camera->latency_ns, mean ? mean + (latency - mean) / 16 : latency, memory_order_relaxed);
}

static void on_fatal(struct pd_manager *m, const struct pd_event *event)
{
    if (m->stopping)
        return;
    pd_log_err("engine", "giving up: %s", event->reason);
    pd_manager_stop(m, PD_EXIT_TEMPFAIL, "engine failed");
}

void pd_manager_on_event(struct pd_manager *m, struct pd_event *event)
{
    if (event->kind == PD_EVENT_POSE)
        on_pose(m, event);
    else if (event->kind == PD_EVENT_STATE)
        on_state(m, event);
    else
        on_fatal(m, event);
    pd_event_free(event);
}

/* ---- start ---- */

/* Decoders are shared out among the GPUs that have an engine; one on another fetches the frame. A camera stays where
 * it is when it starts again. */
static int decoding_device(struct pd_manager *m, const struct pd_camera *before)
{
    if (before)
        return before->cuda_device;
    struct pd_pipeline_device device;
    const unsigned lanes = (unsigned)pd_pipeline_devices(m->pipeline);
    pd_pipeline_get_device(m->pipeline, (int)(m->next_decoder++ % lanes), &device);
    return device.number;
}

int pd_manager_start_camera(struct pd_manager *m, struct pd_tree *tree, const struct pd_camera_config *config,
                            const struct pd_camera *before, struct pd_err *err)
{
    struct pd_camera *camera = NULL;
    int hub = before ? before->hub : pd_hub_add_camera(m->hub, config->name);
    if (hub == -ENOSPC) /* which strerror() has about disks */
        return pd_err_set(err, hub, "camera %s: at most %d cameras", config->name, PD_CAMERAS_MAX);
    if (hub < 0)
        return pd_err_set(err, hub, "camera %s: %s", config->name, strerror(-hub));
    const struct pd_camera_params params = {
        .tree = tree, .config = config, .queue = pd_pipeline_queue(m->pipeline), .handoff = &m->handoff,
        .skeleton = m->net->meta.skeleton, .next_id = &m->next_id, .hub = hub,
        .device_frames = pd_pipeline_caps(m->pipeline)->device_frames,
        .cuda_device = decoding_device(m, before),
        .worker = m->next_worker++ % pd_pipeline_workers(m->pipeline), .before = before,
    };
    int r = pd_camera_create(&params, &camera, err);
    if (r < 0)
        goto fail;
    pd_pipeline_set_camera(m->pipeline, camera->index, camera);
    r = pd_camera_start(camera, err);
    if (r < 0)
        goto fail;
    camera->next = m->cameras;
    m->cameras = camera;
    publish_state(m, camera);
    return 0;
fail:
    pd_camera_destroy(camera);
    if (!before)
        pd_hub_remove_camera(m->hub, hub);
    return pd_err_prefix(err, r, "camera %s", config->name);
}

int pd_manager_start_cameras(struct pd_manager *m, struct pd_err *err)
{
    const struct pd_config *config = m->tree->config;
    for (int i = config->n_cameras - 1; i >= 0; i--) { /* the list is built from its end: sorted by name */
        if (!config->cameras[i].enabled)
            continue;
        int r = pd_manager_start_camera(m, m->tree, &config->cameras[i], NULL, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- stop one ---- */

struct farewell {
    uv_work_t work;
    struct pd_manager *manager;
    struct pd_camera *camera;
};

/* A decode thread may be inside a name look-up that nothing can interrupt: it is waited for off the loop. */
static void destroy_source(uv_work_t *work)
{
    struct farewell *f = work->data;
    pd_source_destroy(f->camera->source);
}

static void on_source_destroyed(uv_work_t *work, int status)
{
    struct farewell *f = work->data;
    struct pd_manager *m = f->manager;
    f->camera->source = NULL;
    f->camera->source_gone = true;
    m->stops_under_way--;
    free(f);
    pd_manager_drain(m);
    pd_manager_go_on_stopping(m);
}

/* Its source is not asked any more, and the counts are those since the daemon started. */
static void keep_counts(const struct pd_manager *m, struct pd_camera *camera)
{
    struct pd_source_stats source = pd_manager_source_stats(m, camera);
    struct pd_camera_numbers numbers = pd_manager_camera_numbers(camera, &source);
    camera->past_corrupt = numbers.corrupt;
    camera->past_skipped = numbers.skipped;
    camera->past_reconnects = numbers.reconnects;
}

void pd_manager_stop_camera(struct pd_manager *m, struct pd_camera *camera)
{
    if (camera->stopping)
        return;
    struct farewell *f = malloc(sizeof(*f));
    keep_counts(m, camera);
    camera->stopping = true;
    pd_source_stop(camera->source);
    if (!f) { /* then the loop has to wait */
        pd_source_destroy(camera->source);
        camera->source = NULL;
        camera->source_gone = true;
        return;
    }
    *f = (struct farewell){.work.data = f, .manager = m, .camera = camera};
    m->stops_under_way++;
    uv_queue_work(&m->loop, &f->work, destroy_source, on_source_destroyed);
}

static void tell_removed(struct pd_manager *m, const struct pd_camera *camera)
{
    const struct pd_camera_status status = {
        .camera = camera->config->name, .state = "removed", .reason = "", .since_us = pd_wall_us(),
    };
    pd_hub_status(m->hub, camera->hub, pd_json_status(&status));
    pd_hub_remove_camera(m->hub, camera->hub);
}

static void unlink_camera(struct pd_manager *m, struct pd_camera *camera)
{
    struct pd_camera **at = &m->cameras;
    while (*at != camera)
        at = &(*at)->next;
    *at = camera->next;
}

static void count_gone(struct pd_manager *m, const struct pd_camera *camera)
{
    m->gone_published += atomic_load(&camera->published);
    m->gone_dropped += atomic_load(&camera->dropped);
    m->gone_failed += atomic_load(&camera->failed);
    m->gone_decoded += atomic_load(&camera->decoded);
}

/* Source gone, frames settled: what was to come of it comes now. */
static void finish_stop(struct pd_manager *m, struct pd_camera *camera)
{
    unlink_camera(m, camera);
    pd_camera_leave_queue(camera); /* with as many cameras as there can be, its place is the only one */
    struct pd_err err;
    bool again = camera->next_config != NULL;
    if (again && pd_manager_start_camera(m, camera->next_tree, camera->next_config, camera, &err) < 0) {
        pd_log_err("reload", "%s; this camera is not watched", err.text);
        again = false;
    }
    if (!again) {
        tell_removed(m, camera);
        count_gone(m, camera);
    }
    pd_camera_destroy(camera);
}

void pd_manager_drain(struct pd_manager *m)
{
    uint64_t settled[PD_CAMERAS_MAX];
    int i = 0;
    for (struct pd_camera *camera = m->cameras; camera; camera = camera->next)
        settled[i++] = pd_camera_settled(camera);
    for (struct pd_handoff_item *item = pd_handoff_take(&m->handoff), *next; item; item = next) {
        next = item->next;
        pd_manager_on_event(m, PD_CONTAINER_OF(item, struct pd_event, item));
    }
    i = 0;
    for (struct pd_camera *camera = m->cameras, *next; camera; camera = next) {
        next = camera->next;
        uint64_t seq = settled[i++];
        bool idle = seq || !atomic_load(&camera->decoded);
        if (seq)
            pd_hub_settle(m->hub, camera->hub, seq);
        if (idle && camera->end_waits) {
            camera->end_waits = false;
            publish_state(m, camera);
        }
        if (idle && camera->stopping && camera->source_gone && !m->stopping)
            finish_stop(m, camera);
    }
    if (m->server)
        pd_server_flush(m->server);
}

/* ---- stop all ---- */

void pd_manager_destroy_sources(struct pd_manager *m)
{
    for (struct pd_camera *camera = m->cameras; camera; camera = camera->next)
        if (!camera->stopping)
            pd_source_stop(camera->source);
    pd_pipeline_let_go(m->pipeline); /* the sources of files may be waiting for room, one batch after the other */
    for (struct pd_camera *camera = m->cameras; camera; camera = camera->next)
        if (!camera->stopping)
            pd_source_destroy(camera->source);
}

void pd_manager_finish_cameras(struct pd_manager *m)
{
    while (m->cameras) {
        struct pd_camera *camera = m->cameras;
        unlink_camera(m, camera);
        count_gone(m, camera);
        pd_hub_settle(m->hub, camera->hub, atomic_load(&camera->decoded));
        pd_camera_destroy(camera);
    }
}

bool pd_manager_all_ended(const struct pd_manager *m)
{
    for (const struct pd_camera *camera = m->cameras; camera; camera = camera->next)
        if (camera->state != PD_SOURCE_ENDED || camera->end_waits || camera->state_untold)
            return false;
    return m->cameras != NULL;
}
