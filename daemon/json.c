/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/json.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "core/util.h"
#include "daemon/json_memory.h"
#include "daemon/outbox.h"

/* Text of a metrics part: escaped to at most twice its size (quotes, newlines), it fits a line. */
#define METRICS_PART_MAX (PD_LINE_MAX / 2 - 256)

/* A double's own digits, not those of its nearest binary neighbour: 0.1, not 0.10000000000000001. */
#define JSON_FLAGS (JSON_COMPACT | JSON_REAL_PRECISION(15))

/* Takes @object, which may be NULL, or lack what there was no memory for: any failure while it was built ends here. */
static struct pd_line *line_of(json_t *object)
{
    if (pd_json_starved() || !object) {
        json_decref(object);
        return NULL;
    }
    struct pd_line *line = NULL;
    size_t len = json_dumpb(object, NULL, 0, JSON_FLAGS);
    char *text = len && len < PD_LINE_MAX ? malloc(len + 1) : NULL;
    if (text && json_dumpb(object, text, len, JSON_FLAGS) == len) {
        text[len] = '\n';
        line = pd_line_new(text, len + 1);
    }
    free(text);
    json_decref(object);
    return line;
}

/* Three decimals are enough for any number a person reads here; what is not finite is null. */
static json_t *rounded(double v)
{
    double thousandths = round(v * 1000);
    return isfinite(thousandths) ? json_real(thousandths / 1000) : json_null();
}

static json_t *known(double v)
{
    return v < 0 ? json_null() : rounded(v);
}

/* Text from outside (a decoder's message, a client's own words) may be cut inside a character or be no UTF-8 at all. */
static json_t *text_of(const char *text)
{
    json_t *string = json_string(text);
    if (string)
        return string;
    char ascii[sizeof(((struct pd_err *)NULL)->text)];
    size_t n = strnlen(text, sizeof(ascii) - 1);
    for (size_t i = 0; i < n; i++)
        ascii[i] = (signed char)text[i] < 0x20 ? '?' : text[i];
    ascii[n] = 0;
    return json_string(ascii);
}

static json_t *count(uint64_t v)
{
    return json_integer((json_int_t)PD_MIN(v, (uint64_t)INT64_MAX));
}

static json_t *names_of(int n, const char *const *names)
{
    json_t *list = json_array();
    for (int i = 0; list && i < n; i++)
        json_array_append_new(list, json_string(names[i]));
    return list;
}

struct pd_line *pd_json_hello(const struct pd_hello *hello)
{
    const struct pd_skeleton *skeleton = hello->skeleton;
    json_t *limbs = json_array();
    for (int i = 0; limbs && i < skeleton->n_limbs; i++)
        json_array_append_new(limbs, json_pack("[i,i]", skeleton->limbs[i].a, skeleton->limbs[i].b));
    return line_of(json_pack("{s:s, s:s, s:s, s:i, s:s, s:s, s:o, s:{s:s, s:o, s:o}, s:i, s:o}",
                             "type", "hello", "server", "posed", "version", PD_VERSION, "protocol", PD_PROTOCOL,
                             "boot", hello->boot, "engine", hello->engine, "network", text_of(hello->network),
                             "skeleton", "name", skeleton->name,
                             "keypoints", names_of(skeleton->n_keypoints, skeleton->keypoints), "limbs", limbs,
                             "max_line", PD_REQUEST_LINE_MAX, "cameras", names_of(hello->n_cameras, hello->cameras)));
}

static json_t *numbers_of(const struct pd_camera_numbers *n)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:i, s:i, s:o, s:o, s:o, s:o, s:b}",
                     "decoded", count(n->decoded), "published", count(n->published), "dropped", count(n->dropped),
                     "failed", count(n->failed), "corrupt", count(n->corrupt), "skipped", count(n->skipped),
                     "reconnects", (json_int_t)n->reconnects, "width", n->width, "height", n->height,
                     "fps", rounded(n->fps), "age_s", known(n->age_s), "latency_ms", known(n->latency_ms),
                     "codec", text_of(n->codec), "hardware", n->hardware);
}

struct pd_line *pd_json_status(const struct pd_camera_status *status)
{
    char since[PD_TIME_TEXT];
    pd_time_text(status->since_us, since);
    json_t *object = json_pack("{s:s, s:s, s:s, s:o, s:s}", "type", "status", "camera", status->camera,
                               "state", status->state, "reason", text_of(status->reason), "since", since);
    if (object && status->retry_s > 0)
        json_object_set_new(object, "retry_s", rounded(status->retry_s));
    if (object && status->numbers)
        json_object_set_new(object, "numbers", numbers_of(status->numbers));
    return line_of(object);
}

struct pd_line *pd_json_gap(const char *camera, uint64_t from, uint64_t to, uint64_t lost)
{
    return line_of(json_pack("{s:s, s:s, s:o, s:o, s:o}", "type", "gap", "camera", camera, "from", count(from),
                             "to", count(to), "lost", count(lost)));
}

static json_t *client_of(const struct pd_client_numbers *client)
{
    return json_pack("{s:o, s:o, s:o, s:o}", "delivered", count(client->delivered), "lost", count(client->lost),
                     "thinned", count(client->thinned), "queued_bytes", count(client->queued_bytes));
}

static json_t *devices_of(const struct pd_daemon_status *s)
{
    json_t *list = json_array();
    for (int i = 0; list && i < s->n_devices; i++) {
        const struct pd_device_numbers *d = &s->devices[i];
        json_t *device = json_pack("{s:s, s:o, s:o, s:o, s:o}", "device", d->device, "frames", count(d->frames),
                                   "batches", count(d->batches), "failed_batches", count(d->failed_batches), "busy_s",
                                   rounded(d->busy_s));
        if (json_array_append_new(list, device) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

struct pd_line *pd_json_daemon(const struct pd_daemon_status *s)
{
    return line_of(json_pack(
        "{s:s, s:s, s:o, s:{s:s, s:o, s:s, s:i}, s:{s:o, s:i, s:i}, s:{s:i, s:i}, s:i, s:{s:o, s:o, s:o, s:o},"
        " s:{s:o, s:o}, s:{s:o, s:o}, s:o, s:o}",
        "type", "daemon", "version", PD_VERSION, "uptime_s", rounded(s->uptime_s),
        "engine", "name", s->engine, "device", text_of(s->device), "precision", s->precision, "max_batch", s->max_batch,
        "network", "name", text_of(s->network), "width", s->width, "height", s->height,
        "cameras", "all", s->cameras, "up", s->cameras_up, "clients", s->clients,
        "frames", "decoded", count(s->decoded), "published", count(s->published), "dropped", count(s->dropped),
        "failed", count(s->failed),
        "batches", "count", count(s->batches), "mean", rounded(s->batch_mean),
        "latency_ms", "p50", known(s->latency_p50_ms), "p99", known(s->latency_p99_ms),
        "devices", devices_of(s), "client", client_of(&s->client)));
}

/* Bytes of @text that make the next part: whole lines, at most METRICS_PART_MAX. */
static size_t part_length(const char *text)
{
    size_t len = strlen(text);
    if (len <= METRICS_PART_MAX)
        return len;
    const char *end = memrchr(text, '\n', METRICS_PART_MAX);
    return end ? (size_t)(end - text) + 1 : METRICS_PART_MAX;
}

int pd_json_metrics(const char *text, struct pd_line ***ret_lines)
{
    int parts = 0;
    const char *at = text;
    do {
        at += part_length(at);
        parts++;
    } while (*at);
    struct pd_line **lines = calloc((size_t)parts + 1, sizeof(struct pd_line *));
    if (!lines)
        return -ENOMEM;
    at = text;
    for (int i = 0; i < parts; i++) {
        size_t n = part_length(at);
        lines[i] = line_of(json_pack("{s:s, s:i, s:i, s:s%}", "type", "metrics", "part", i + 1, "parts", parts,
                                     "text", at, n));
        at += n;
        if (lines[i])
            continue;
        while (i--)
            pd_line_unref(lines[i]);
        free(lines);
        return -ENOMEM;
    }
    *ret_lines = lines;
    return 0;
}

struct pd_line *pd_json_bye(const char *reason, const struct pd_client_numbers *client)
{
    return line_of(json_pack("{s:s, s:s, s:o}", "type", "bye", "reason", reason, "client", client_of(client)));
}

struct pd_line *pd_json_error(const char *message)
{
    return line_of(json_pack("{s:s, s:o}", "type", "error", "message", text_of(message)));
}

/* ---- requests ---- */

static const struct {
    const char *name;
    unsigned type;
} type_names[] = {{"pose", PD_TYPE_POSE}, {"status", PD_TYPE_STATUS}};

static int parse_cameras(const json_t *cameras, struct pd_request *request, struct pd_err *err)
{
    if (!cameras || (json_is_string(cameras) && !strcmp(json_string_value(cameras), "*"))) {
        request->all = true;
        return 0;
    }
    if (!json_is_array(cameras))
        return pd_err_set(err, -EINVAL, "subscribe: cameras must be a list of names or \"*\"");
    if (json_array_size(cameras) > PD_REQUEST_CAMERAS_MAX)
        return pd_err_set(err, -EINVAL, "subscribe: at most %d cameras", PD_REQUEST_CAMERAS_MAX);
    for (size_t i = 0; i < json_array_size(cameras); i++) {
        const char *name = json_string_value(json_array_get(cameras, i));
        if (!name || !*name || strlen(name) >= PD_REQUEST_NAME_MAX)
            return pd_err_set(err, -EINVAL, "subscribe: cameras[%zu] must be a name of 1 to %d bytes", i,
                              PD_REQUEST_NAME_MAX - 1);
        strcpy(request->cameras[request->n_cameras++], name);
    }
    return 0;
}

static int parse_types(const json_t *types, struct pd_request *request, struct pd_err *err)
{
    if (!types) {
        request->types = PD_TYPE_POSE | PD_TYPE_STATUS;
        return 0;
    }
    for (size_t i = 0; i < json_array_size(types); i++) {
        const char *name = json_string_value(json_array_get(types, i));
        unsigned type = 0;
        for (size_t k = 0; name && k < PD_ARRAY_SIZE(type_names); k++)
            if (!strcmp(name, type_names[k].name))
                type = type_names[k].type;
        if (!type)
            return pd_err_set(err, -EINVAL, "subscribe: types[%zu] must be \"pose\" or \"status\"", i);
        request->types |= type;
    }
    if (!request->types)
        return pd_err_set(err, -EINVAL, "subscribe: types must be a list of \"pose\" and \"status\"");
    return 0;
}

static int parse_subscribe(const json_t *body, struct pd_request *request, struct pd_err *err)
{
    if (!json_is_object(body))
        return pd_err_set(err, -EINVAL, "subscribe must be an object: {\"cameras\":\"*\"}");
    int r = parse_cameras(json_object_get(body, "cameras"), request, err);
    if (r < 0)
        return r;
    r = parse_types(json_object_get(body, "types"), request, err);
    if (r < 0)
        return r;
    const json_t *max_fps = json_object_get(body, "max_fps");
    if (!max_fps || json_is_null(max_fps))
        return 0;
    request->max_fps = json_number_value(max_fps);
    if (!json_is_number(max_fps) || request->max_fps < 0.001 || request->max_fps > 1000)
        return pd_err_set(err, -EINVAL, "subscribe: max_fps must be a number from 0.001 to 1000");
    return 0;
}

static int parse_object(const json_t *object, struct pd_request *request, struct pd_err *err)
{
    const json_t *subscribe = json_object_get(object, "subscribe");
    if (subscribe) {
        request->kind = PD_REQUEST_SUBSCRIBE;
        return parse_subscribe(subscribe, request, err);
    }
    const char *name = json_string_value(json_object_get(object, "request"));
    if (!name)
        return pd_err_set(err, -EINVAL, "expected {\"subscribe\":{...}} or {\"request\":\"status|metrics|ping\"}");
    if (!strcmp(name, "status")) {
        request->kind = PD_REQUEST_STATUS;
    } else if (!strcmp(name, "metrics")) {
        request->kind = PD_REQUEST_METRICS;
    } else if (!strcmp(name, "ping")) {
        const json_t *n = json_object_get(object, "n");
        if (n && !json_is_integer(n))
            return pd_err_set(err, -EINVAL, "ping: n must be an integer");
        request->kind = PD_REQUEST_PING;
        request->has_n = n != NULL;
        request->n = json_integer_value(n);
    } else {
        return pd_err_set(err, -EINVAL, "no request '%.40s': there are status, metrics and ping", name);
    }
    return 0;
}

int pd_json_parse_request(const char *text, size_t len, struct pd_request *ret_request, struct pd_err *err)
{
    json_error_t error;
    pd_json_watch();
    json_t *object = json_loadb(text, len, 0, &error);
    if (pd_json_starved()) {
        json_decref(object);
        return pd_err_set(err, -ENOMEM, "out of memory, try again");
    }
    if (!object)
        return pd_err_set(err, -EINVAL, "not a JSON object: %s (column %d)", error.text, error.column);
    memset(ret_request, 0, sizeof(*ret_request));
    int r = json_is_object(object) ? parse_object(object, ret_request, err)
                                   : pd_err_set(err, -EINVAL, "not a JSON object");
    json_decref(object);
    return r;
}

struct pd_line *pd_json_subscribed(const struct pd_request *request, int n_unknown, const char *const *unknown)
{
    json_t *cameras = request->all ? json_string("*") : json_array();
    for (int i = 0; cameras && i < request->n_cameras; i++)
        json_array_append_new(cameras, json_string(request->cameras[i]));
    json_t *types = json_array();
    for (size_t k = 0; types && k < PD_ARRAY_SIZE(type_names); k++)
        if (request->types & type_names[k].type)
            json_array_append_new(types, json_string(type_names[k].name));
    return line_of(json_pack("{s:s, s:o, s:o, s:o, s:o}", "type", "subscribed", "cameras", cameras, "types", types,
                             "max_fps", request->max_fps > 0 ? json_real(request->max_fps) : json_null(),
                             "unknown", names_of(n_unknown, unknown)));
}

struct pd_line *pd_json_pong(const struct pd_request *request)
{
    json_t *object = json_pack("{s:s}", "type", "pong");
    if (object && request->has_n)
        json_object_set_new(object, "n", json_integer(request->n));
    return line_of(object);
}
