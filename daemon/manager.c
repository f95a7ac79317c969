/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/manager.h"

#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/log.h"
#include "daemon/cli.h"
#include "daemon/command.h"
#include "daemon/notify.h"

#define HANDOFF_CAPACITY 4096
#define TICK_MS 50        /* how soon a loss that no line follows is told */
#define DEADLINE_MS 600   /* of a stop, for everything but the byes; with their 200 ms well under a second, as long as
                           * the loop gets to run: an engine that computes on every core takes time from it */
#define GRACE_MS 200
#define FD_LIMIT 65536    /* of open files, where the hard limit allows it */
#define FD_NEEDED 32      /* by a daemon without cameras and clients */
#define DONE_GRACE_MS 10000
#define TRIM_EVERY_NS (60 * PD_NS_PER_S)
#define DONE "done"
#define RUN "posed run" /* whom the log names when a start fails */

/* ---- what the loop looks at ---- */

static void on_wake(uv_async_t *async)
{
    pd_manager_drain(PD_CONTAINER_OF(async, struct pd_manager, handoff.async));
}

static void on_tick(uv_timer_t *timer)
{
    struct pd_manager *m = timer->data;
    pd_manager_drain(m);
    if (m->options.exit_when_done && !m->stopping && pd_manager_all_ended(m))
        pd_manager_stop(m, PD_EXIT_OK, DONE);
}

/* Each engine has to come to an end of its batch, though frames may come out of the others. */
static bool engines_move(struct pd_manager *m, const struct pd_pipeline_health *health, struct pd_err *why)
{
    bool move = true;
    for (int i = 0; i < health->n_devices; i++) {
        int64_t age = pd_watchdog_age(&m->watchdog, &m->batch[i], health->device[i].since_ns);
        if (pd_watchdog_allows(&m->watchdog, age, health->device[i].longest_ns))
            continue;
        struct pd_pipeline_device device;
        pd_pipeline_get_device(m->pipeline, i, &device);
        pd_err_set(why, 0, "no batch has come out of %s for %.0f s", device.caps->device, (double)age / 1e9);
        move = false;
    }
    return move;
}

static bool decoders_move(struct pd_manager *m, int64_t now, struct pd_err *why)
{
    bool move = true;
    for (struct pd_camera *camera = m->cameras; camera; camera = camera->next) {
        int64_t deadline = pd_manager_source_stats(m, camera).deadline_ns;
        int64_t age = pd_watchdog_age(&m->watchdog, &camera->late, deadline && now > deadline ? deadline : 0);
        if (pd_watchdog_allows(&m->watchdog, age, 0))
            continue;
        pd_err_set(why, 0, "the decoder of camera %s has been stuck for %.0f s", camera->config->name,
                   (double)age / 1e9);
        move = false;
    }
    return move;
}

/* @why: what is wrong when it is not. Looks at everything each time, so that no age stands still. */
static bool is_healthy(struct pd_manager *m, int64_t now, struct pd_err *why)
{
    struct pd_pipeline_health health;
    pd_pipeline_get_health(m->pipeline, &health);
    uint64_t came_out = 0;
    int waiting = health.in_flight;
    for (const struct pd_camera *camera = m->cameras; camera; camera = camera->next) {
        came_out += pd_counted(&camera->published) + pd_counted(&camera->failed);
        waiting += pd_queue_stats(camera->queue, camera->index).depth;
    }
    bool healthy = pd_watchdog_look(&m->watchdog, came_out, waiting, health.longest_ns, now);
    pd_err_set(why, 0, "frames wait and none comes out");
    healthy &= engines_move(m, &health, why);
    healthy &= decoders_move(m, now, why);
    return healthy;
}

/*
 * A heap for each decode thread would keep their free memory apart, and glibc keeps ever larger blocks inside the heap
 * once one of them was freed: cameras that come and go would leave it full of holes.
 */
static void keep_heap_small(void)
{
    mallopt(M_ARENA_MAX, 4);
    mallopt(M_MMAP_THRESHOLD, 128 * 1024);
}

/* Cameras, clients and reloads come and go for a year and leave holes in the heaps, of which glibc by itself gives back
 * only the last one of each. Takes 0.1 to 0.8 ms with 30 MB. */
static void give_memory_back(struct pd_manager *m, int64_t now)
{
    if (now - m->trimmed_ns < TRIM_EVERY_NS)
        return;
    malloc_trim(0);
    m->trimmed_ns = now;
}

static void on_second(uv_timer_t *timer)
{
    struct pd_manager *m = timer->data;
    if (m->stopping)
        return;
    struct pd_totals t = pd_manager_totals(m);
    pd_notify("STATUS=%d/%d cameras up, %.0f frames/s, %d clients", t.up, t.cameras, t.fps,
              pd_hub_subscribers(m->hub));
    int64_t now = pd_now_ns();
    give_memory_back(m, now);
    struct pd_err why;
    bool healthy = is_healthy(m, now, &why);
    if (!m->watchdog_ns || now - m->watchdog_fed_ns < m->watchdog_ns / 4)
        return;
    if (healthy) {
        pd_notify("WATCHDOG=1");
        m->watchdog_fed_ns = now;
    } else {
        pd_log_err("watchdog", "%s; the service manager is left to restart the daemon", why.text);
    }
}

static void on_stop_signal(uv_signal_t *handle, int signum)
{
    struct pd_manager *m = handle->data;
    if (m->closing && m->server)
        pd_server_hurry(m->server);
    else
        pd_manager_stop(m, PD_EXIT_OK, signum == SIGINT ? "interrupted" : "terminated");
}

static void on_reload_signal(uv_signal_t *handle, int signum)
{
    struct pd_manager *m = handle->data;
    if (!m->stopping)
        pd_manager_reload(m);
}

/* ---- stop ----
 * 1. accept no more clients                          pd_manager_stop
 * 2. ask every source to end, wait for it            run_stopper, on a thread of libuv's
 * 3. finish the queue; what no batch has is let go   pd_pipeline_stop, the same thread
 * 4. drain the engine, join the post-processing
 * 5. publish what was posted, tell the last losses   on_stopper_done, the loop again
 * 6. say bye, give the lines some time, close         pd_server_close
 * 7. close what the loop still holds; it ends        on_server_closed
 * A source or an engine that does not end in time is left behind: steps 5 and 6 are done without it, then _exit(). */

static void on_handle_closed(uv_handle_t *handle)
{
    (void)handle;
}

static void close_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, on_handle_closed);
}

static void close_handles(struct pd_manager *m)
{
    close_handle((uv_handle_t *)&m->tick);
    close_handle((uv_handle_t *)&m->second);
    close_handle((uv_handle_t *)&m->deadline);
    close_handle((uv_handle_t *)&m->on_term);
    close_handle((uv_handle_t *)&m->on_int);
    close_handle((uv_handle_t *)&m->on_hup);
    pd_handoff_close(&m->handoff, on_handle_closed);
}

static void on_server_closed(void *user)
{
    struct pd_manager *m = user;
    m->server = NULL;
    pd_listen_remove(&m->listen);
    if (!m->stopped_pipeline || m->stops_under_way) {
        pd_log_warn(NULL, "a camera or the engine did not stop in time and is left behind");
        _exit(m->exit_code);
    }
    close_handles(m);
}

static void say_goodbye(struct pd_manager *m)
{
    uv_timer_stop(&m->deadline);
    uv_timer_stop(&m->tick);
    pd_manager_drain(m);
    for (struct pd_camera *camera = m->cameras; camera; camera = camera->next)
        pd_hub_settle(m->hub, camera->hub, atomic_load(&camera->decoded));
    m->closing = true;
    pd_server_close(m->server, m->bye, m->grace_ms, on_server_closed);
}

static void on_deadline(uv_timer_t *timer)
{
    say_goodbye(timer->data);
}

static void run_stopper(uv_work_t *work)
{
    struct pd_manager *m = work->data;
    const int64_t begin = pd_now_ns();
    pd_hwaccel_forsake();
    pd_manager_destroy_sources(m);
    const int64_t sources = pd_now_ns();
    pd_pipeline_stop(m->pipeline);
    pd_log_debug(NULL, "stopped the cameras in %.0f ms, the engine in %.0f ms", (double)(sources - begin) / 1e6,
                 (double)(pd_now_ns() - sources) / 1e6);
}

void pd_manager_go_on_stopping(struct pd_manager *m)
{
    if (m->stopped_pipeline && !m->stops_under_way && uv_is_active((uv_handle_t *)&m->deadline))
        say_goodbye(m);
}

static void on_stopper_done(uv_work_t *work, int status)
{
    struct pd_manager *m = work->data;
    m->stopped_pipeline = true;
    pd_manager_go_on_stopping(m); /* unless a camera that a reload stopped is still on its way out */
}

void pd_manager_stop(struct pd_manager *m, int exit_code, const char *reason)
{
    if (m->stopping)
        return;
    m->stopping = true;
    m->exit_code = exit_code;
    m->bye = reason;
    /* Nobody waits for the end of a run that ends by itself: its last lines have the time that any slow client has. */
    m->grace_ms = m->options.exit_when_done && exit_code == PD_EXIT_OK && !strcmp(reason, DONE)
                      ? DONE_GRACE_MS : GRACE_MS;
    pd_notify("STOPPING=1");
    pd_log_info(NULL, "stopping: %s", reason);
    pd_server_stop_accepting(m->server);
    pd_http_close(m->http);
    m->http = NULL;
    pd_handoff_open_gates(&m->handoff);
    uv_update_time(&m->loop);
    uv_timer_start(&m->deadline, on_deadline, DEADLINE_MS, 0);
    m->stopper.data = m;
    uv_queue_work(&m->loop, &m->stopper, run_stopper, on_stopper_done);
}

/* ---- start ---- */

static void report_problem(const char *line, void *user)
{
    pd_manager_log_problem(RUN, line);
}

static int replace(char **string, const char *with)
{
    char *copy = with ? strdup(with) : NULL;
    if (with && !copy)
        return -ENOMEM;
    if (with) {
        free(*string);
        *string = copy;
    }
    return 0;
}

/* No mistake of whoever wrote the configuration: the next start may find what this one lacked. */
static bool is_passing(int r)
{
    return r == -ENOMEM || r == -EMFILE || r == -ENFILE || r == -EIO;
}

static int load_config(struct pd_manager *m)
{
    struct pd_config *config = NULL;
    int r = pd_config_load(m->options.config, report_problem, NULL, &config);
    if (r < 0) {
        if (r != -EINVAL)
            pd_log_err(RUN, "%s: %s", m->options.config, strerror(-r));
        return is_passing(r) ? PD_EXIT_TEMPFAIL : PD_EXIT_CONFIG;
    }
    if (replace(&config->socket, m->options.socket) < 0 || replace(&config->engine, m->options.engine) < 0 ||
        replace(&config->network, m->options.network) < 0) {
        pd_config_destroy(config);
        pd_log_err(RUN, "out of memory");
        return PD_EXIT_TEMPFAIL;
    }
    m->tree = pd_tree_new(config);
    if (!m->tree)
        pd_log_err(RUN, "out of memory");
    enum pd_log_level level;
    if (m->tree && pd_log_level_parse(config->log_level, &level) == 0)
        pd_log_set_level(level);
    return m->tree ? PD_EXIT_OK : PD_EXIT_TEMPFAIL;
}

static int load_network(struct pd_manager *m, struct pd_err *err)
{
    const struct pd_config *config = m->tree->config;
    int r = pd_net_load(config->network, &m->net, err);
    if (r < 0)
        return is_passing(r) ? PD_EXIT_TEMPFAIL : PD_EXIT_CONFIG;
    if (!m->net->meta.skeleton) {
        pd_err_set(err, -EINVAL, "%s: this network finds no poses", config->network);
        return PD_EXIT_CONFIG;
    }
    m->width = pd_cli_round(m->net, config->width);
    m->height = pd_cli_round(m->net, config->height);
    return PD_EXIT_OK;
}

/* The socket comes before the engine, which may take long: a mistake in its path is told at once, and clients that come
 * early wait in the backlog. */
static int open_socket(struct pd_manager *m, struct pd_err *err)
{
    const struct pd_config *config = m->tree->config;
    int fd = pd_notify_listen_fd();
    if (fd == -EINVAL) {
        pd_err_set(err, -EINVAL, "socket activation: expected exactly one listening Unix stream socket");
        return PD_EXIT_CONFIG;
    }
    if (fd >= 0) {
        m->listen = (struct pd_listen){.fd = fd};
        return PD_EXIT_OK;
    }
    int r = pd_listen_bind(config->socket, config->socket_mode, config->socket_group, &m->listen, err);
    if (r == 0 && listen(m->listen.fd, 1024) < 0)
        r = pd_err_set(err, -errno, "socket %s: %s", config->socket, strerror(errno));
    if (r < 0)
        return r == -ENAMETOOLONG || r == -EEXIST || r == -EINVAL ? PD_EXIT_CONFIG : PD_EXIT_FAILURE;
    return PD_EXIT_OK;
}

static int open_engine(struct pd_manager *m, struct pd_err *err)
{
    const struct pd_config *config = m->tree->config;
    struct pd_pipeline_params params = {
        .net = m->net, .engine = config->engine, .batch_wait_ns = (int64_t)(config->batch_wait_ms * 1e6),
        .post_threads = config->post_threads, .handoff = &m->handoff, .stats = &m->stats,
        .engine_params = {
            .precision = config->precision, .width = m->width, .height = m->height, .max_batch = config->batch,
            .threads = config->threads, .n_devices = config->n_devices, .cache_dir = config->cache_dir,
            .candidates = true,
        },
    };
    static_assert(sizeof(params.engine_params.devices) == sizeof(config->devices), "as many devices as configured");
    memcpy(params.engine_params.devices, config->devices, sizeof(config->devices));
    int r = pd_pipeline_open(&params, &m->pipeline, err);
    if (r == 0)
        return PD_EXIT_OK;
    /* What is written wrong stays wrong; a device or memory may be there at the next try. */
    return r == -EINVAL || r == -ENOTSUP || r == -ENOENT ? PD_EXIT_CONFIG : PD_EXIT_TEMPFAIL;
}

static int init_loop(struct pd_manager *m, struct pd_err *err)
{
    int r = uv_loop_init(&m->loop);
    if (r < 0)
        return pd_err_set(err, r, "event loop: %s", uv_strerror(r));
    r = pd_handoff_init(&m->handoff, &m->loop, HANDOFF_CAPACITY, on_wake);
    if (r < 0)
        return pd_err_set(err, r, "event loop: %s", uv_strerror(r));
    uv_timer_init(&m->loop, &m->tick);
    uv_timer_init(&m->loop, &m->second);
    uv_timer_init(&m->loop, &m->deadline);
    uv_signal_init(&m->loop, &m->on_term);
    uv_signal_init(&m->loop, &m->on_int);
    uv_signal_init(&m->loop, &m->on_hup);
    m->tick.data = m->second.data = m->deadline.data = m->on_term.data = m->on_int.data = m->on_hup.data = m;
    return 0;
}

static void start_watching(struct pd_manager *m)
{
    uv_update_time(&m->loop);
    uv_timer_start(&m->tick, on_tick, TICK_MS, TICK_MS);
    uv_timer_start(&m->second, on_second, 0, 1000);
    uv_signal_start(&m->on_term, on_stop_signal, SIGTERM);
    uv_signal_start(&m->on_int, on_stop_signal, SIGINT);
    uv_signal_start(&m->on_hup, on_reload_signal, SIGHUP);
    m->watchdog_ns = pd_notify_watchdog_ns();
    pd_watchdog_start(&m->watchdog, m->watchdog_ns + m->watchdog_ns / 2, pd_now_ns());
}

static void log_start(const struct pd_manager *m)
{
    const struct pd_config *config = m->tree->config;
    const struct pd_engine_caps *caps = pd_pipeline_caps(m->pipeline);
    pd_log_info(NULL, "posed " PD_VERSION ", engine %s (%s, %s, %.0f MiB), network %s at %dx%d, batches of up to %d",
                caps->name, caps->device, pd_precision_name(caps->precision),
                (double)caps->memory_bytes / (1024 * 1024), m->net->meta.name, m->width, m->height, caps->max_batch);
    for (int i = 1; i < pd_pipeline_devices(m->pipeline); i++) {
        struct pd_pipeline_device device;
        pd_pipeline_get_device(m->pipeline, i, &device);
        pd_log_info(NULL, "engine %s as well on %s", caps->name, device.caps->device);
    }
    if (m->net->meta.non_commercial)
        pd_log_warn(NULL, "the licence of network %s forbids commercial use", m->net->meta.name);
    pd_log_info(NULL, "%d cameras from %s, socket %s", pd_manager_totals(m).cameras, config->cameras_dir,
                m->listen.path ? m->listen.path : "(from the service manager)");
    if (m->http)
        pd_log_info(NULL, "metrics at %s", pd_http_url(m->http));
}

static int open_http(struct pd_manager *m, struct pd_err *err)
{
    const struct pd_http_params params = {
        .loop = &m->loop, .listen = m->tree->config->metrics_listen,
        .metrics = pd_manager_server_ops.metrics, .user = m,
    };
    int r = params.listen ? pd_http_start(&params, &m->http, err) : 0;
    return r == 0 ? PD_EXIT_OK : r == -ENOTSUP ? PD_EXIT_CONFIG : PD_EXIT_FAILURE;
}

static int start(struct pd_manager *m, struct pd_err *err)
{
    int code = load_network(m, err);
    if (code == PD_EXIT_OK)
        code = open_socket(m, err);
    if (code == PD_EXIT_OK)
        code = open_engine(m, err);
    if (code != PD_EXIT_OK)
        return code;
    m->hub = pd_hub_create(NULL);
    if (!m->hub) {
        pd_err_set(err, -ENOMEM, "out of memory");
        return PD_EXIT_FAILURE;
    }
    const struct pd_server_params params = {
        .loop = &m->loop, .hub = m->hub, .fd = m->listen.fd, .max_clients = m->tree->config->max_clients,
        .fd_reserve = pd_manager_fd_reserve(m->tree->config),
        .ops = &pd_manager_server_ops, .user = m,
    };
    m->listen.fd = -1;
    if (pd_server_start(&params, &m->server, err) < 0 || pd_manager_start_cameras(m, err) < 0)
        return PD_EXIT_FAILURE;
    return open_http(m, err);
}

static void log_summary(struct pd_manager *m)
{
    double s = (double)(pd_now_ns() - m->started_ns) / 1e9;
    pd_log_info(NULL, "%llu frames decoded, %llu lines published (%.1f a second), %llu dropped, %llu failed in %.1f s",
                (unsigned long long)m->gone_decoded, (unsigned long long)m->gone_published,
                (double)m->gone_published / PD_MAX(s, 1e-3), (unsigned long long)m->gone_dropped,
                (unsigned long long)m->gone_failed, s);
}

static void make_boot_id(char boot[33])
{
    unsigned char bytes[16];
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes)) {
        int64_t t[2] = {pd_wall_us(), pd_now_ns()};
        memcpy(bytes, t, sizeof(bytes));
    }
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(boot + 2 * i, 3, "%02x", bytes[i]);
}

static void finish(struct pd_manager *m)
{
    if (m->pipeline)
        pd_pipeline_stop(m->pipeline);
    pd_pipeline_destroy(m->pipeline);
    pd_handoff_finish(&m->handoff);
    pd_hub_destroy(m->hub);
    if (m->listen.fd >= 0)
        close(m->listen.fd);
    pd_listen_remove(&m->listen);
    pd_net_destroy(m->net);
    pd_tree_unref(m->tree);
    uv_loop_close(&m->loop);
}

/* The soft limit is low for the sake of programs that use select(). Below FD_NEEDED libuv may abort, which says
 * nothing. */
static int raise_fd_limit(struct pd_err *err)
{
    struct rlimit limit = {0};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < FD_LIMIT) {
        limit.rlim_cur = PD_MIN(limit.rlim_max, (rlim_t)FD_LIMIT);
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < FD_NEEDED)
        return pd_err_set(err, -EMFILE,
                          "the limit of %llu open files (ulimit -n, LimitNOFILE=) is too low: at least %d are needed, "
                          "and some for each camera and client", (unsigned long long)limit.rlim_cur, FD_NEEDED);
    return 0;
}

int pd_manager_run(const struct pd_run_options *options)
{
    struct pd_err err = {""};
    struct pd_manager *m = calloc(1, sizeof(*m));
    if (!m) {
        pd_log_err(RUN, "out of memory");
        return PD_EXIT_TEMPFAIL;
    }
    m->options = *options;
    m->listen.fd = -1;
    m->started_ns = pd_now_ns();
    m->started_wall_us = pd_wall_us();
    atomic_init(&m->next_id, 1);
    make_boot_id(m->boot);
    keep_heap_small();
    signal(SIGPIPE, SIG_IGN); /* a client that goes away is an error of its write, no more */
    signal(SIGHUP, SIG_IGN);  /* until the loop can answer it */
    pd_notify_take_log();
    int code = raise_fd_limit(&err) < 0 ? PD_EXIT_FAILURE : load_config(m);
    if (code == PD_EXIT_OK && init_loop(m, &err) < 0)
        code = PD_EXIT_FAILURE;
    if (code != PD_EXIT_OK) {
        if (err.text[0])
            pd_log_err(RUN, "%s", err.text);
        pd_tree_unref(m->tree);
        free(m);
        return code;
    }
    code = start(m, &err);
    bool started = code == PD_EXIT_OK;
    if (started) {
        log_start(m);
        start_watching(m);
        pd_notify("READY=1");
    } else {
        pd_log_err(RUN, "%s", err.text);
        m->exit_code = code;
        if (m->server)
            pd_manager_stop(m, code, "start failed");
        else
            close_handles(m);
    }
    uv_run(&m->loop, UV_RUN_DEFAULT);
    code = m->exit_code;
    pd_manager_finish_cameras(m);
    if (started)
        log_summary(m);
    if (started && pd_pipeline_caps(m->pipeline)->device_frames)
        _exit(code); /* the driver frees a GPU's memory, graphs and decoders quicker than they can be taken apart */
    finish(m);
    free(m);
    return code;
}
