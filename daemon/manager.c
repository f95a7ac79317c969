/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/manager.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "core/log.h"
#include "daemon/command.h"
#include "daemon/notify.h"

#define HANDOFF_CAPACITY 4096
#define TICK_MS 50        /* how soon a loss that no line follows is told */
#define DEADLINE_MS 600   /* of a stop, for everything but the byes; with their 200 ms well under a second, as long as
                           * the loop gets to run: an engine that computes on every core takes time from it */
#define GRACE_MS 200
#define DONE_GRACE_MS 10000
#define DONE "done"

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
 * 2. ask every source to end                         run_stopper, on a thread of libuv's
 * 3. finish the queue; what no batch has is let go   pd_pipeline_let_go, the same thread
 * 4. wait for the sources, drain the engine, join the post-processing
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
    uv_timer_start(&m->second, pd_manager_on_second, 0, 1000);
    uv_signal_start(&m->on_term, on_stop_signal, SIGTERM);
    uv_signal_start(&m->on_int, on_stop_signal, SIGINT);
    uv_signal_start(&m->on_hup, on_reload_signal, SIGHUP);
    m->watchdog_ns = pd_notify_watchdog_ns();
    pd_watchdog_start(&m->watchdog, m->watchdog_ns + m->watchdog_ns / 2, pd_now_ns());
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
    pd_tree_unref(m->start);
    uv_loop_close(&m->loop);
}

static struct pd_manager *create(const struct pd_run_options *options)
{
    struct pd_manager *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    m->options = *options;
    m->listen.fd = -1;
    m->started_ns = pd_now_ns();
    m->started_wall_us = pd_wall_us();
    atomic_init(&m->next_id, 1);
    make_boot_id(m->boot);
    return m;
}

static void prepare_process(void)
{
    pd_manager_keep_heap_small();
    signal(SIGPIPE, SIG_IGN); /* a client that goes away is an error of its write, no more */
    pd_manager_catch_early_signals();
    pd_notify_take_log();
}

/* Up to the loop, of which nothing has to be closed when this fails. */
static int prepare(struct pd_manager *m, struct pd_err *err)
{
    int code = pd_manager_raise_fd_limit(err) < 0 ? PD_EXIT_FAILURE : pd_manager_load_config(m);
    if (code == PD_EXIT_OK && init_loop(m, err) < 0)
        code = PD_EXIT_FAILURE;
    return code;
}

/* Run the loop to its end, which comes at once when the start fails. */
static int run(struct pd_manager *m)
{
    struct pd_err err = {""};
    int code = pd_manager_start(m, &err);
    bool started = code == PD_EXIT_OK;
    if (started) {
        pd_manager_log_start(m);
        start_watching(m);
        pd_notify("READY=1");
        pd_manager_pass_signals_to_loop();
    } else {
        pd_log_err(PD_MANAGER_RUN, "%s", err.text);
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
    return code;
}

int pd_manager_run(const struct pd_run_options *options)
{
    struct pd_err err = {""};
    struct pd_manager *m = create(options);
    if (!m) {
        pd_log_err(PD_MANAGER_RUN, "out of memory");
        return PD_EXIT_TEMPFAIL;
    }
    prepare_process();
    int code = prepare(m, &err);
    if (code == PD_EXIT_OK) {
        code = run(m);
    } else {
        if (err.text[0])
            pd_log_err(PD_MANAGER_RUN, "%s", err.text);
        pd_tree_unref(m->tree);
        pd_tree_unref(m->start);
    }
    free(m);
    return code;
}
