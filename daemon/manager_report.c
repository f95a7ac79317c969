/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/manager.h"

#include <errno.h>
#include <string.h>

#include "core/clock.h"

struct pd_source_stats pd_manager_source_stats(const struct pd_manager *m, const struct pd_camera *camera)
{
    struct pd_source_stats stats = {0};
    if (camera->source && !camera->stopping && !m->stopping) /* else it may be on its way out on another thread */
        pd_source_get_stats(camera->source, &stats);
    return stats;
}

struct pd_camera_numbers pd_manager_camera_numbers(const struct pd_camera *camera,
                                                   const struct pd_source_stats *source)
{
    int64_t latency = atomic_load_explicit(&camera->latency_ns, memory_order_relaxed);
    return (struct pd_camera_numbers){
        .decoded = atomic_load(&camera->decoded),
        .published = pd_counted(&camera->published),
        .dropped = pd_counted(&camera->dropped),
        .failed = pd_counted(&camera->failed),
        .corrupt = camera->past_corrupt + source->corrupt,
        .skipped = camera->past_skipped + source->skipped,
        .reconnects = camera->past_reconnects + (source->connects ? source->connects - 1 : 0),
        .width = source->width,
        .height = source->height,
        .fps = source->fps,
        .age_s = source->last_frame_ns ? (double)(pd_now_ns() - source->last_frame_ns) / 1e9 : -1,
        .latency_ms = latency ? (double)latency / 1e6 : -1,
        .codec = source->codec,
        .hardware = source->hardware,
    };
}

struct pd_totals pd_manager_totals(const struct pd_manager *m)
{
    struct pd_totals t = {.decoded = m->gone_decoded, .published = m->gone_published, .dropped = m->gone_dropped,
                          .failed = m->gone_failed};
    for (const struct pd_camera *camera = m->cameras; camera; camera = camera->next) {
        struct pd_source_stats source = pd_manager_source_stats(m, camera);
        t.cameras++;
        t.up += camera->state == PD_SOURCE_UP;
        t.decoded += atomic_load(&camera->decoded);
        t.published += pd_counted(&camera->published);
        t.dropped += pd_counted(&camera->dropped);
        t.failed += pd_counted(&camera->failed);
        t.fps += source.fps;
    }
    return t;
}

/* ---- hello ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static struct pd_line *hello(void *user)
{
    const struct pd_manager *m = user;
    const char *names[PD_CAMERAS_MAX];
    int n = 0;
    for (const struct pd_camera *camera = m->cameras; camera && n < PD_CAMERAS_MAX; camera = camera->next)
        names[n++] = camera->config->name;
    qsort(names, (size_t)n, sizeof(names[0]), by_name);
    const struct pd_hello h = {
        .boot = m->boot, .skeleton = m->net->meta.skeleton, .engine = pd_pipeline_caps(m->pipeline)->name,
        .network = m->net->meta.name, .n_cameras = n, .cameras = names,
    };
    return pd_json_hello(&h);
}

/* ---- status ---- */

static int reply_camera(const struct pd_manager *m, const struct pd_camera *camera, struct pd_subscriber *sub)
{
    struct pd_source_stats source = pd_manager_source_stats(m, camera);
    struct pd_camera_numbers numbers = pd_manager_camera_numbers(camera, &source);
    const struct pd_camera_status status = {
        .camera = camera->config->name, .state = pd_source_state_name(camera->state), .reason = camera->reason,
        .since_us = camera->since_us, .retry_s = camera->retry_s, .numbers = &numbers,
    };
    struct pd_line *line = pd_json_status(&status);
    int r = line ? pd_outbox_reply(&sub->outbox, line) : -ENOMEM;
    pd_line_unref(line);
    return r;
}

static int status(struct pd_subscriber *sub, void *user)
{
    struct pd_manager *m = user;
    for (const struct pd_camera *camera = m->cameras; camera; camera = camera->next)
        if (reply_camera(m, camera, sub) < 0)
            return -ENOMEM;
    const struct pd_engine_caps *caps = pd_pipeline_caps(m->pipeline);
    struct pd_totals t = pd_manager_totals(m);
    struct pd_histogram_values total;
    pd_histogram_read(&m->stats.stage[PD_STAGE_TOTAL], &total);
    uint64_t batches = pd_counted(&m->stats.batches);
    struct pd_device_numbers devices[PD_DEVICES_MAX];
    int n_devices = pd_pipeline_devices(m->pipeline);
    for (int i = 0; i < n_devices; i++) {
        struct pd_pipeline_device d;
        pd_pipeline_get_device(m->pipeline, i, &d);
        devices[i] = (struct pd_device_numbers){
            .device = d.caps->device, .frames = d.frames, .batches = d.batches, .failed_batches = d.failed_batches,
            .busy_s = (double)d.busy_ns / 1e9,
        };
    }
    const struct pd_daemon_status s = {
        .uptime_s = (double)(pd_now_ns() - m->started_ns) / 1e9, .engine = caps->name, .device = caps->device,
        .precision = pd_precision_name(caps->precision), .network = m->net->meta.name, .width = m->width,
        .height = m->height, .max_batch = caps->max_batch, .cameras = t.cameras, .cameras_up = t.up,
        .clients = pd_hub_subscribers(m->hub), .decoded = t.decoded, .published = t.published, .dropped = t.dropped,
        .failed = t.failed, .batches = batches,
        .batch_mean = batches ? (double)pd_counted(&m->stats.frames) / (double)batches : 0,
        .latency_p50_ms = total.count ? (double)pd_histogram_percentile(&total, 0.5) / 1e6 : -1,
        .latency_p99_ms = total.count ? (double)pd_histogram_percentile(&total, 0.99) / 1e6 : -1,
        .n_devices = n_devices, .devices = devices, .client = pd_subscriber_numbers(sub),
    };
    struct pd_line *line = pd_json_daemon(&s);
    int r = line ? pd_outbox_reply(&sub->outbox, line) : -ENOMEM;
    pd_line_unref(line);
    return r;
}

const struct pd_server_ops pd_manager_server_ops = {hello, status, pd_manager_metrics};
