/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/manager.h"

#include <stdio.h>
#include <unistd.h>

#include "core/clock.h"

/* ---- cameras ---- */

/* One metric of every camera: how to get it from what is known of one. */
struct camera_metric {
    const char *name, *type, *help;
    double (*value)(const struct pd_camera *camera, const struct pd_camera_numbers *n);
};

static double value_up(const struct pd_camera *camera, const struct pd_camera_numbers *n)
{
    return camera->state == PD_SOURCE_UP;
}

#define NUMBER_METRIC(field)                                                                                           \
    static double value_##field(const struct pd_camera *camera, const struct pd_camera_numbers *n)                     \
    {                                                                                                                  \
        return (double)n->field;                                                                                       \
    }
NUMBER_METRIC(decoded)
NUMBER_METRIC(published)
NUMBER_METRIC(dropped)
NUMBER_METRIC(failed)
NUMBER_METRIC(corrupt)
NUMBER_METRIC(skipped)
NUMBER_METRIC(reconnects)
NUMBER_METRIC(fps)
NUMBER_METRIC(age_s)

static const struct camera_metric camera_metrics[] = {
    {"posed_camera_up", "gauge", "1 while frames come.", value_up},
    {"posed_camera_decoded_total", "counter", "Frames decoded; the sequence number of the newest.", value_decoded},
    {"posed_camera_published_total", "counter", "Pose lines made.", value_published},
    {"posed_camera_dropped_total", "counter", "Frames that a newer one replaced before the network.", value_dropped},
    {"posed_camera_failed_total", "counter", "Frames lost to an error of the engine.", value_failed},
    {"posed_camera_corrupt_total", "counter", "Damaged frames that were not used.", value_corrupt},
    {"posed_camera_skipped_total", "counter", "Frames left out because of max_fps.", value_skipped},
    {"posed_camera_reconnects_total", "counter", "Times the input was opened again.", value_reconnects},
    {"posed_camera_fps", "gauge", "Decoded frames a second, over the last seconds.", value_fps},
    {"posed_camera_frame_age_seconds", "gauge", "Since the newest frame; -1 before the first.", value_age_s},
};

static void add_cameras(const struct pd_manager *m, struct pd_metrics *out)
{
    char label[2 * PD_CAMERA_NAME_MAX + 16];
    for (size_t i = 0; i < PD_ARRAY_SIZE(camera_metrics); i++) {
        const struct camera_metric *metric = &camera_metrics[i];
        pd_metrics_begin(out, metric->name, metric->type, metric->help);
        for (const struct pd_camera *camera = m->cameras; camera; camera = camera->next) {
            struct pd_source_stats source = pd_manager_source_stats(m, camera);
            struct pd_camera_numbers numbers = pd_manager_camera_numbers(camera, &source);
            pd_metrics_label(label, sizeof(label), "camera", camera->config->name);
            pd_metrics_add(out, metric->name, label, metric->value(camera, &numbers));
        }
    }
}

static void add_states(const struct pd_manager *m, struct pd_metrics *out)
{
    static const enum pd_source_state states[] = {PD_SOURCE_CONNECTING, PD_SOURCE_UP, PD_SOURCE_DOWN, PD_SOURCE_ENDED};
    char name[2 * PD_CAMERA_NAME_MAX + 16], labels[sizeof(name) + 32];
    pd_metrics_begin(out, "posed_camera_state", "gauge", "1 for the state that the camera is in, 0 for the others.");
    for (const struct pd_camera *camera = m->cameras; camera; camera = camera->next) {
        pd_metrics_label(name, sizeof(name), "camera", camera->config->name);
        for (size_t i = 0; i < PD_ARRAY_SIZE(states); i++) {
            snprintf(labels, sizeof(labels), "%s,state=\"%s\"", name, pd_source_state_name(states[i]));
            pd_metrics_count(out, "posed_camera_state", labels, camera->state == states[i]);
        }
    }
}

/* ---- queue ---- */

static void add_queue(const struct pd_manager *m, struct pd_metrics *out)
{
    int depth = 0;
    for (const struct pd_camera *camera = m->cameras; camera; camera = camera->next)
        depth += pd_queue_stats(camera->queue, camera->index).depth;
    pd_metrics_begin(out, "posed_queue_frames", "gauge", "Frames that wait for a batch.");
    pd_metrics_count(out, "posed_queue_frames", NULL, (uint64_t)depth);
    pd_metrics_begin(out, "posed_people_total", "counter", "People found, frame by frame.");
    pd_metrics_count(out, "posed_people_total", NULL, pd_counted(&m->stats.people));
    pd_metrics_begin(out, "posed_capped_total", "counter", "What a cap on a crowded frame let go.");
    pd_metrics_count(out, "posed_capped_total", "of=\"peaks\"", pd_counted(&m->stats.capped_peaks));
    pd_metrics_count(out, "posed_capped_total", "of=\"connections\"", pd_counted(&m->stats.capped_connections));
    pd_metrics_count(out, "posed_capped_total", "of=\"people\"", pd_counted(&m->stats.capped_people));
}

/* ---- engine and devices ---- */

/* One metric of every device: how to get it. */
struct device_metric {
    const char *name, *type, *help;
    double (*value)(const struct pd_pipeline_device *d);
};

static double device_memory(const struct pd_pipeline_device *d)
{
    return (double)d->caps->memory_bytes;
}

static double device_frames(const struct pd_pipeline_device *d)
{
    return (double)d->frames;
}

static double device_batches(const struct pd_pipeline_device *d)
{
    return (double)d->batches;
}

static double device_failed(const struct pd_pipeline_device *d)
{
    return (double)d->failed_batches;
}

static double device_busy(const struct pd_pipeline_device *d)
{
    return (double)d->busy_ns / 1e9;
}

static double device_in_flight(const struct pd_pipeline_device *d)
{
    return (double)d->in_flight;
}

static const struct device_metric device_metrics[] = {
    {"posed_engine_memory_bytes", "gauge", "Memory that the engine took on the device at start.", device_memory},
    {"posed_device_frames_total", "counter", "Frames that the device has computed.", device_frames},
    {"posed_device_batches_total", "counter", "Batches that the device has finished, well or not.", device_batches},
    {"posed_device_failed_batches_total", "counter", "Batches that failed on the device.", device_failed},
    {"posed_device_busy_seconds_total", "counter", "Time with a batch in the device's engine.", device_busy},
    {"posed_device_in_flight", "gauge", "Batches in the device's engine.", device_in_flight},
};

static void add_devices(const struct pd_manager *m, struct pd_metrics *out)
{
    char label[340];
    for (size_t i = 0; i < PD_ARRAY_SIZE(device_metrics); i++) {
        const struct device_metric *metric = &device_metrics[i];
        pd_metrics_begin(out, metric->name, metric->type, metric->help);
        for (int k = 0; k < pd_pipeline_devices(m->pipeline); k++) {
            struct pd_pipeline_device device;
            pd_pipeline_get_device(m->pipeline, k, &device);
            pd_metrics_label(label, sizeof(label), "device", device.caps->device);
            pd_metrics_add(out, metric->name, label, metric->value(&device));
        }
    }
}

static void add_engine(const struct pd_manager *m, struct pd_metrics *out)
{
    const struct pd_engine_caps *caps = pd_pipeline_caps(m->pipeline);
    const struct pd_stats *stats = &m->stats;
    char labels[640], name[64], device[340], network[200];
    pd_metrics_label(name, sizeof(name), "engine", caps->name);
    pd_metrics_label(network, sizeof(network), "network", m->net->meta.name);
    pd_metrics_begin(out, "posed_engine_info", "gauge", "Which engine runs which network where; always 1.");
    for (int i = 0; i < pd_pipeline_devices(m->pipeline); i++) {
        struct pd_pipeline_device d;
        pd_pipeline_get_device(m->pipeline, i, &d);
        pd_metrics_label(device, sizeof(device), "device", d.caps->device);
        snprintf(labels, sizeof(labels), "%s,%s,%s", name, device, network);
        pd_metrics_count(out, "posed_engine_info", labels, 1);
    }
    pd_metrics_begin(out, "posed_failed_batches_total", "counter", "Batches that the engine failed on.");
    pd_metrics_count(out, "posed_failed_batches_total", NULL, pd_counted(&stats->failed_batches));
    pd_metrics_begin(out, "posed_batch_frames", "histogram", "Frames in a batch.");
    uint64_t sum = 0;
    for (int n = 1; n <= PD_STATS_BATCH_MAX; n++) {
        sum += pd_counted(&stats->batch_size[n]);
        snprintf(name, sizeof(name), "le=\"%d\"", n);
        if ((n & (n - 1)) == 0 || n == 24)
            pd_metrics_count(out, "posed_batch_frames_bucket", name, sum);
    }
    pd_metrics_count(out, "posed_batch_frames_bucket", "le=\"+Inf\"", sum);
    pd_metrics_count(out, "posed_batch_frames_sum", NULL, pd_counted(&stats->frames));
    pd_metrics_count(out, "posed_batch_frames_count", NULL, sum);
    pd_metrics_begin(out, "posed_stage_seconds", "histogram", "Where a frame's time goes.");
    for (int i = 0; i < PD_STAGE_COUNT; i++) {
        pd_metrics_label(name, sizeof(name), "stage", pd_stage_name((enum pd_stage)i));
        pd_metrics_histogram(out, "posed_stage_seconds", name, &stats->stage[i]);
    }
}

/* ---- the server and the process ---- */

static uint64_t resident_bytes(void)
{
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file && fscanf(file, "%*u %llu", &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void add_server(const struct pd_manager *m, struct pd_metrics *out)
{
    struct pd_server_stats s;
    pd_server_get_stats(m->server, &s);
    const struct {
        const char *name, *type, *help;
        uint64_t value;
    } rows[] = {
        {"posed_clients", "gauge", "Clients connected.", (uint64_t)s.clients},
        {"posed_subscribers", "gauge", "Of these, subscribed.", (uint64_t)s.subscribed},
        {"posed_clients_accepted_total", "counter", "Clients that ever connected.", s.accepted},
        {"posed_clients_refused_total", "counter", "Clients turned away because of max_clients.", s.refused},
        {"posed_clients_closed_slow_total", "counter", "Clients closed for taking nothing.", s.closed_slow},
        {"posed_bad_requests_total", "counter", "Client lines that were no request.", s.bad_requests},
        {"posed_clients_queued_bytes", "gauge", "Waiting for clients; shared lines count for each.", s.queued_bytes},
        {"posed_lines_bytes", "gauge", "Memory of all lines alive.", pd_line_live_bytes()},
        {"posed_lines_lost_total", "counter", "Frames told of in gap lines, over all clients.",
         pd_hub_lost_total(m->hub)},
        {"posed_reloads_total", "counter", "Configurations taken over after SIGHUP.", m->reloads},
        {"posed_bad_reloads_total", "counter", "Configurations refused after SIGHUP.", m->bad_reloads},
    };
    for (size_t i = 0; i < PD_ARRAY_SIZE(rows); i++) {
        pd_metrics_begin(out, rows[i].name, rows[i].type, rows[i].help);
        pd_metrics_count(out, rows[i].name, NULL, rows[i].value);
    }
    pd_metrics_begin(out, "process_start_time_seconds", "gauge", "When the daemon started, since 1970.");
    pd_metrics_add(out, "process_start_time_seconds", NULL, (double)(m->started_wall_us / 1000) / 1e3);
    pd_metrics_begin(out, "process_resident_memory_bytes", "gauge", "Memory that the daemon occupies.");
    pd_metrics_count(out, "process_resident_memory_bytes", NULL, resident_bytes());
    pd_metrics_begin(out, "posed_uptime_seconds", "gauge", "Since the start.");
    pd_metrics_add(out, "posed_uptime_seconds", NULL, (double)(pd_now_ns() - m->started_ns) / 1e9);
}

/* ---- all of them ---- */

char *pd_manager_metrics(void *user)
{
    const struct pd_manager *m = user;
    struct pd_metrics out = {0};
    add_cameras(m, &out);
    add_states(m, &out);
    add_queue(m, &out);
    add_engine(m, &out);
    add_devices(m, &out);
    add_server(m, &out);
    return pd_metrics_finish(&out);
}
