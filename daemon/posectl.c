/* SPDX-License-Identifier: Apache-2.0
 *
 * posectl: a light client of a running posed.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "core/queue.h"
#include "core/util.h"
#include "daemon/command.h"
#include "daemon/posectl_link.h"

#define DEFAULT_SOCKET "/run/posed/posed.sock"

struct options {
    const char *socket;
    bool json;
    double max_fps;
    long count; /* watch: end after so many pose lines; 0: never */
    int n_cameras;
    char **cameras;
};

static struct pd_link the_link; /* over 128 KiB: not for a stack */

static void usage(FILE *out)
{
    fprintf(out, "usage: posectl [--socket PATH] status|watch|metrics [OPTION...]\n\n"
                 "Ask a running posed.\n\n"
                 "  status                the daemon and its cameras, as a table\n"
                 "  watch [CAMERA...]     what the cameras see, as it comes; without names all of them\n"
                 "  metrics               counters in the text format of Prometheus\n\n"
                 "  --socket PATH   the daemon's socket (default $POSED_SOCKET or " DEFAULT_SOCKET ")\n"
                 "  --json          status, watch: the lines as the daemon sends them\n"
                 "  --max-fps N     watch: at most N lines a second of each camera\n"
                 "  --count N       watch: end after N pose lines\n"
                 "  -h, --help      this text\n"
                 "  -V, --version   version\n\n"
                 "Exit status: 0 done, 1 no daemon or it ended, 2 wrong usage. Example:\n"
                 "  posectl watch entrance --max-fps 2\n");
}

static int fail(const struct pd_err *err)
{
    fflush(stdout);
    fprintf(stderr, "posectl: %s\n", err->text);
    return PD_EXIT_FAILURE;
}

/* A full disk must not be taken for a success, by who keeps what comes in a file. */
static int finish_output(struct pd_err *err)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return PD_EXIT_OK;
    pd_err_set(err, -EIO, "cannot write to standard output");
    return fail(err);
}

static const char *text_at(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static double number_at(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static bool is_type(const json_t *line, const char *type)
{
    return !strcmp(text_at(line, "type"), type);
}

/* ---- status ---- */

static void print_camera(const json_t *line)
{
    const json_t *n = json_object_get(line, "numbers");
    char size[32] = "-", latency[32] = "-";
    if (number_at(n, "width") > 0)
        snprintf(size, sizeof(size), "%.0fx%.0f", number_at(n, "width"), number_at(n, "height"));
    if (json_is_number(json_object_get(n, "latency_ms")))
        snprintf(latency, sizeof(latency), "%.1f", number_at(n, "latency_ms"));
    printf("%-20s %-10s %7.1f %10.0f %10.0f %8.0f %7.0f %9s %11s  %s\n", text_at(line, "camera"),
           text_at(line, "state"), number_at(n, "fps"), number_at(n, "decoded"), number_at(n, "published"),
           number_at(n, "dropped"), number_at(n, "failed"), latency, size, text_at(line, "reason"));
}

static void print_daemon(const json_t *line)
{
    const json_t *engine = json_object_get(line, "engine"), *network = json_object_get(line, "network");
    const json_t *latency = json_object_get(line, "latency_ms"), *batches = json_object_get(line, "batches");
    printf("\nposed %s, up %.0f s, engine %s (%s, %s), network %s %.0fx%.0f\n", text_at(line, "version"),
           number_at(line, "uptime_s"), text_at(engine, "name"), text_at(engine, "device"),
           text_at(engine, "precision"), text_at(network, "name"), number_at(network, "width"),
           number_at(network, "height"));
    printf("%.0f batches of %.1f frames, latency p50 %.1f ms, p99 %.1f ms, %.0f clients\n",
           number_at(batches, "count"), number_at(batches, "mean"), number_at(latency, "p50"),
           number_at(latency, "p99"), number_at(line, "clients"));
    const json_t *devices = json_object_get(line, "devices"), *device;
    size_t i;
    json_array_foreach(devices, i, device) {
        if (json_array_size(devices) > 1) /* of a single one, all that there is to say stands above */
            printf("%s: %.0f batches (%.0f failed), %.0f frames, busy %.0f %% of the time\n", text_at(device, "device"),
                   number_at(device, "batches"), number_at(device, "failed_batches"), number_at(device, "frames"),
                   100 * number_at(device, "busy_s") / PD_MAX(number_at(line, "uptime_s"), 1));
    }
}

static int by_camera(const void *a, const void *b)
{
    return strcmp(text_at(*(json_t *const *)a, "camera"), text_at(*(json_t *const *)b, "camera"));
}

static int print_table(json_t **cameras, size_t n, const json_t *daemon)
{
    printf("%-20s %-10s %7s %10s %10s %8s %7s %9s %11s\n", "CAMERA", "STATE", "FPS", "DECODED", "PUBLISHED", "DROPPED",
           "FAILED", "LATENCY", "SIZE");
    qsort(cameras, n, sizeof(*cameras), by_camera);
    for (size_t i = 0; i < n; i++)
        print_camera(cameras[i]);
    print_daemon(daemon);
    return PD_EXIT_OK;
}

static int status(struct pd_link *link, const struct options *o, struct pd_err *err)
{
    json_t *cameras[PD_CAMERAS_MAX];
    size_t n = 0;
    int code = -1;
    if (pd_link_send(link, "{\"request\":\"status\"}\n", err) < 0)
        return fail(err);
    while (code < 0) {
        const char *text;
        json_t *line;
        if (pd_link_next(link, &text, &line, err) < 0) {
            code = fail(err);
            break;
        }
        bool last = is_type(line, "daemon");
        if (o->json)
            puts(text);
        else if (last)
            code = print_table(cameras, n, line);
        else if (is_type(line, "status") && n < PD_ARRAY_SIZE(cameras))
            cameras[n++] = json_incref(line);
        if (last && o->json)
            code = PD_EXIT_OK;
        json_decref(line);
    }
    while (n)
        json_decref(cameras[--n]);
    return code;
}

/* ---- watch ---- */

/* Time of day of a line's "time", to the millisecond. */
static void print_clock(const json_t *line)
{
    const char *time = text_at(line, "time");
    printf("%.12s", strlen(time) > 23 ? time + 11 : "            ");
}

static void print_person(const json_t *person)
{
    double x = 0, y = 0;
    int found = 0;
    size_t i;
    json_t *keypoint;
    json_array_foreach(json_object_get(person, "keypoints"), i, keypoint) {
        if (!json_is_array(keypoint))
            continue;
        x += json_number_value(json_array_get(keypoint, 0));
        y += json_number_value(json_array_get(keypoint, 1));
        found++;
    }
    printf("  ");
    if (json_object_get(person, "id"))
        printf("#%lld ", (long long)json_integer_value(json_object_get(person, "id")));
    printf("%d joints at %.0f,%.0f (%.2f)", found, found ? x / found : 0, found ? y / found : 0,
           number_at(person, "score"));
}

static void print_line(const json_t *line)
{
    const char *camera = text_at(line, "camera");
    if (is_type(line, "pose")) {
        const json_t *people = json_object_get(line, "people");
        print_clock(line);
        printf("  %-16s %8.0f  %zu people", camera, number_at(line, "seq"), json_array_size(people));
        for (size_t i = 0; i < json_array_size(people); i++)
            print_person(json_array_get(people, i));
        printf("\n");
    } else if (is_type(line, "gap")) {
        printf("              %-16s %8.0f  %.0f frames lost\n", camera, number_at(line, "from"),
               number_at(line, "lost"));
    } else if (is_type(line, "status")) {
        const char *reason = text_at(line, "reason");
        printf("              %-16s           is %s%s%s\n", camera, text_at(line, "state"),
               *reason ? ": " : "", reason);
    }
}

static int subscribe(struct pd_link *link, const struct options *o, struct pd_err *err)
{
    json_t *cameras = o->n_cameras ? json_array() : json_string("*");
    for (int i = 0; i < o->n_cameras && cameras; i++) {
        if (json_array_append_new(cameras, json_string(o->cameras[i])) < 0) { /* without it others would be watched */
            json_decref(cameras);
            cameras = NULL;
        }
    }
    json_t *request = json_pack("{s:{s:o, s:o}}", "subscribe", "cameras", cameras, "max_fps",
                                o->max_fps > 0 ? json_real(o->max_fps) : json_null());
    char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
    int r = text ? pd_link_send(link, text, err)
                 : pd_err_set(err, -1, "the cameras' names cannot be sent: are they UTF-8?");
    if (r == 0)
        r = pd_link_send(link, "\n", err);
    free(text);
    json_decref(request);
    return r;
}

static int watch(struct pd_link *link, const struct options *o, struct pd_err *err)
{
    long poses = 0;
    if (subscribe(link, o, err) < 0)
        return fail(err);
    for (;;) {
        const char *text;
        json_t *line;
        if (pd_link_next(link, &text, &line, err) < 0)
            return fail(err);
        size_t i;
        json_t *name;
        json_array_foreach(json_object_get(line, "unknown"), i, name)
            fprintf(stderr, "posectl: there is no camera '%s' (yet)\n", json_string_value(name));
        if (is_type(line, "error") || is_type(line, "bye")) {
            pd_err_set(err, -1, "the daemon says: %s%s", text_at(line, "message"), text_at(line, "reason"));
            json_decref(line);
            return fail(err);
        }
        if (o->json)
            puts(text);
        else
            print_line(line);
        poses += is_type(line, "pose");
        json_decref(line);
        int code = finish_output(err);
        if (code != PD_EXIT_OK || (o->count && poses >= o->count))
            return code;
    }
}

/* ---- metrics ---- */

static int metrics(struct pd_link *link, const struct options *o, struct pd_err *err)
{
    if (pd_link_send(link, "{\"request\":\"metrics\"}\n", err) < 0)
        return fail(err);
    for (;;) {
        const char *text;
        json_t *line;
        if (pd_link_next(link, &text, &line, err) < 0)
            return fail(err);
        bool last = is_type(line, "metrics") && number_at(line, "part") >= number_at(line, "parts");
        fputs(text_at(line, "text"), stdout);
        json_decref(line);
        if (last)
            return PD_EXIT_OK;
    }
}

static const struct {
    const char *name;
    int (*run)(struct pd_link *link, const struct options *o, struct pd_err *err);
} commands[] = {{"status", status}, {"watch", watch}, {"metrics", metrics}};

/* @text as a number in lo..hi, or -1 with a line on stderr. */
static double number(const char *option, const char *text, double lo, double hi)
{
    char *end;
    double v = strtod(text, &end);
    if (end != text && !*end && v >= lo && v <= hi)
        return v;
    fprintf(stderr, "posectl: --%s wants a number from %g to %g, not '%s'\n", option, lo, hi, text);
    return -1;
}

static int run_command(const char *name, const struct options *o)
{
    for (size_t i = 0; i < PD_ARRAY_SIZE(commands); i++) {
        if (strcmp(commands[i].name, name))
            continue;
        if (o->n_cameras > 0 && commands[i].run != watch) {
            fprintf(stderr, "posectl: %s takes no arguments\n", name);
            return PD_EXIT_USAGE;
        }
        struct pd_err err;
        json_t *hello;
        if (pd_link_open(&the_link, o->socket, &hello, &err) < 0)
            return fail(&err);
        json_decref(hello);
        int code = commands[i].run(&the_link, o, &err);
        pd_link_close(&the_link);
        return code == PD_EXIT_OK ? finish_output(&err) : code;
    }
    fprintf(stderr, "posectl: no command '%s'; see posectl --help\n", name);
    return PD_EXIT_USAGE;
}

int main(int argc, char **argv)
{
    enum { SOCKET = 256, JSON, MAX_FPS, COUNT };
    static const struct option long_options[] = {
        {"socket", required_argument, NULL, SOCKET}, {"json", no_argument, NULL, JSON},
        {"max-fps", required_argument, NULL, MAX_FPS}, {"count", required_argument, NULL, COUNT},
        {"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'V'}, {0},
    };
    const char *from_environment = getenv("POSED_SOCKET");
    struct options o = {.socket = from_environment ? from_environment : DEFAULT_SOCKET};
    int opt;
    while ((opt = getopt_long(argc, argv, "hV", long_options, NULL)) != -1) {
        if (opt == SOCKET)
            o.socket = optarg;
        else if (opt == JSON)
            o.json = true;
        else if (opt == MAX_FPS && (o.max_fps = number("max-fps", optarg, 0.001, 1000)) < 0)
            return PD_EXIT_USAGE;
        else if (opt == COUNT && (o.count = (long)number("count", optarg, 1, 1e9)) < 0)
            return PD_EXIT_USAGE;
        else if (opt == 'h')
            return usage(stdout), PD_EXIT_OK;
        else if (opt == 'V')
            return printf("posectl %s\n", PD_VERSION), PD_EXIT_OK;
        else if (opt == '?')
            return fprintf(stderr, "posectl: see posectl --help\n"), PD_EXIT_USAGE;
    }
    o.n_cameras = argc - optind - 1;
    o.cameras = argv + optind + 1;
    if (optind < argc)
        return run_command(argv[optind], &o);
    usage(stderr);
    return PD_EXIT_USAGE;
}
