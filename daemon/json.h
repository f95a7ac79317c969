#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * The wire's lines: the only place, with json_pose, that knows field names. docs/posed-protocol.7 says what they mean,
 * docs/protocol.schema.json what they look like.
 *
 * Functions that make a line return it with one reference, or NULL when out of memory. Pure, any thread.
 */
#include "core/err.h"
#include "core/skeleton.h"
#include "daemon/json_pose.h"
#include "daemon/line.h"

#define PD_PROTOCOL 1
#define PD_REQUEST_LINE_MAX 4096 /* bytes of a client's line with its newline */
#define PD_REQUEST_CAMERAS_MAX 256
#define PD_REQUEST_NAME_MAX 64

struct pd_hello {
    const char *boot; /* differs each time the daemon starts */
    const struct pd_skeleton *skeleton;
    const char *engine, *network;
    int n_cameras;
    const char *const *cameras;
};
struct pd_line *pd_json_hello(const struct pd_hello *hello);

struct pd_camera_numbers {
    uint64_t decoded, published, dropped, failed, corrupt, skipped;
    uint32_t reconnects;
    int width, height;
    double fps;         /* decoded frames a second, measured */
    double age_s;       /* since the last decoded frame; < 0: none yet */
    double latency_ms;  /* of recent lines, mean; < 0: none yet */
    const char *codec;
    bool hardware;
};

struct pd_camera_status {
    const char *camera;
    const char *state;  /* "connecting", "up", "down", "ended", "removed" */
    const char *reason; /* "" when there is nothing to say */
    int64_t since_us;   /* UTC */
    double retry_s;     /* 0: none */
    const struct pd_camera_numbers *numbers; /* NULL: left out; there in the answer to a status request */
};
struct pd_line *pd_json_status(const struct pd_camera_status *status);

struct pd_line *pd_json_gap(const char *camera, uint64_t from, uint64_t to, uint64_t lost);

/* What a subscriber got and did not get, in its bye and in its answer to a status request. */
struct pd_client_numbers {
    uint64_t delivered, lost, thinned;
    size_t queued_bytes;
};

/* One of the devices that the engine runs on. */
struct pd_device_numbers {
    const char *device;
    uint64_t frames, batches, failed_batches;
    double busy_s; /* with a batch in the engine */
};

struct pd_daemon_status {
    double uptime_s;
    const char *engine, *device, *precision, *network;
    int width, height, max_batch;
    int cameras, cameras_up, clients;
    uint64_t decoded, published, dropped, failed, batches;
    double batch_mean;                    /* frames a batch; 0: none yet */
    double latency_p50_ms, latency_p99_ms; /* < 0: none yet */
    int n_devices;
    const struct pd_device_numbers *devices;
    struct pd_client_numbers client;
};
/* Ends the answer to a status request. */
struct pd_line *pd_json_daemon(const struct pd_daemon_status *status);

/* Prometheus text, cut at line ends into parts that fit a line: @ret_lines is a NULL-terminated array that the caller
 * frees, with one reference each. */
int pd_json_metrics(const char *text, struct pd_line ***ret_lines);

struct pd_line *pd_json_bye(const char *reason, const struct pd_client_numbers *client);
struct pd_line *pd_json_error(const char *message);

enum pd_request_kind { PD_REQUEST_SUBSCRIBE, PD_REQUEST_STATUS, PD_REQUEST_METRICS, PD_REQUEST_PING };

struct pd_request {
    enum pd_request_kind kind;
    /* subscribe */
    bool all;                 /* "*": all cameras, later ones too */
    int n_cameras;
    char cameras[PD_REQUEST_CAMERAS_MAX][PD_REQUEST_NAME_MAX];
    unsigned types;           /* enum pd_line_type bits */
    double max_fps;           /* 0: every line */
    /* ping */
    bool has_n;
    int64_t n;
};

/* Read one client line (newline gone). -EINVAL or -ENOMEM leaves in @err what the error line shall
 * say. @text may be any bytes. */
int pd_json_parse_request(const char *text, size_t len, struct pd_request *ret_request, struct pd_err *err);

/* The answer to a subscribe: what it came to. @unknown: names that no camera has (yet). */
struct pd_line *pd_json_subscribed(const struct pd_request *request, int n_unknown, const char *const *unknown);
struct pd_line *pd_json_pong(const struct pd_request *request);
