#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * `posed run` from configuration to exit code: the only part that knows the whole pipeline. manager.c runs and stops
 * it, manager_start.c opens its parts, manager_cameras.c starts, replaces and removes cameras and carries events,
 * manager_reload.c takes over a changed configuration, manager_watch.c looks after health and memory, manager_report.c
 * answers questions, manager_metrics.c those of Prometheus.
 *
 * Loop thread, all of it.
 */
#include <uv.h>

#include "daemon/http.h"
#include "daemon/listen.h"
#include "daemon/metrics.h"
#include "daemon/pipeline.h"
#include "daemon/server.h"
#include "daemon/watchdog.h"

struct pd_run_options {
    const char *config;  /* path of posed.json */
    const char *socket, *engine, *network; /* NULL: as configured */
    bool exit_when_done; /* end once every camera is a file that has ended */
};

struct pd_manager {
    struct pd_run_options options;
    struct pd_tree *start; /* the configuration that engine and socket were opened with */
    struct pd_tree *tree;  /* and the one of now */
    struct pd_net *net;
    struct pd_pipeline *pipeline;
    struct pd_hub *hub;
    struct pd_server *server;
    struct pd_listen listen;
    struct pd_http *http; /* NULL: no endpoint */
    struct pd_stats stats;
    _Atomic int64_t next_id; /* of tracked people */
    char boot[33];
    int width, height;       /* network input */
    int64_t started_ns, started_wall_us;

    uv_loop_t loop;
    struct pd_handoff handoff;
    uv_timer_t tick, second, deadline;
    uv_signal_t on_term, on_int, on_hup;
    uv_work_t stopper;
    int stops_under_way;     /* sources being destroyed on libuv's threads */

    struct pd_camera *cameras;
    int next_worker;
    unsigned next_decoder; /* lane of the pipeline that the next new camera decodes beside */
    uint64_t gone_decoded, gone_published, gone_dropped, gone_failed; /* of cameras that were removed */
    uint32_t reloads, bad_reloads;

    bool stopping;
    bool stopped_pipeline;   /* the stopper is done */
    bool closing;            /* the server says its byes */
    const char *bye;
    int grace_ms;
    int exit_code;
    int64_t watchdog_ns, watchdog_fed_ns;
    int64_t stuck_told_ns; /* when the log last said why it is not fed; 0: never */
    int64_t trim_ns; /* when the heap is trimmed next */
    struct pd_watchdog watchdog;
    struct pd_watchdog_call batch[PD_DEVICES_MAX];
};

/* Run until told to stop. Returns the process's exit code. */
int pd_manager_run(const struct pd_run_options *options);

/* ---- manager.c, for the others ---- */
void pd_manager_stop(struct pd_manager *m, int exit_code, const char *reason);
/* While stopping: another source has gone. */
void pd_manager_go_on_stopping(struct pd_manager *m);

/* ---- manager_start.c: exit codes, PD_EXIT_OK when all is well ---- */
#define PD_MANAGER_RUN "posed run" /* whom the log names when a start fails */
int pd_manager_raise_fd_limit(struct pd_err *err); /* 0 or a negative errno */
/* pd_config_load(), then what the command line says instead. */
int pd_manager_read_config(const struct pd_manager *m, pd_config_report_fn report, struct pd_config **ret_config);
int pd_manager_load_config(struct pd_manager *m);  /* says in the log what is wrong */
/* Network, socket, engine, cameras. What was opened before a failure is closed by a stop, or by the end of the run. */
int pd_manager_start(struct pd_manager *m, struct pd_err *err);
void pd_manager_log_start(const struct pd_manager *m);

/* ---- manager_cameras.c ---- */
int pd_manager_start_cameras(struct pd_manager *m, struct pd_err *err);
/* A camera of @tree. @before: the run of the same camera that this one continues, NULL: none. */
int pd_manager_start_camera(struct pd_manager *m, struct pd_tree *tree, const struct pd_camera_config *config,
                            const struct pd_camera *before, struct pd_err *err);
/* It goes once its frames are settled; then its next_config is started, if there is one. */
void pd_manager_stop_camera(struct pd_manager *m, struct pd_camera *camera);
/* States that could not be told for want of memory. */
void pd_manager_tell_again(struct pd_manager *m);
void pd_manager_on_event(struct pd_manager *m, struct pd_event *event);
/* Take what was posted, settle cameras with nothing under way, go on with those that stop. */
void pd_manager_drain(struct pd_manager *m);
/* All sources asked to end, all destroyed: on the stopper's thread. */
void pd_manager_destroy_sources(struct pd_manager *m);
/* After the pipeline has stopped: tell of the last losses and free all cameras. */
void pd_manager_finish_cameras(struct pd_manager *m);
bool pd_manager_all_ended(const struct pd_manager *m);

/* File descriptors to be kept from clients: RTSP over UDP takes five a camera. */
static inline int pd_manager_fd_reserve(const struct pd_config *config)
{
    return 64 + 5 * config->n_cameras;
}

/* ---- manager_early.c ---- */
/* Before the first thread: until the loop has its own handlers, SIGTERM and SIGINT end the process with 0 and without
 * its socket, and SIGHUP waits. */
void pd_manager_catch_early_signals(void);
void pd_manager_pass_signals_to_loop(void);
/* Bind the configured socket into m->listen. As pd_listen_bind(). */
int pd_manager_bind(struct pd_manager *m, struct pd_err *err);

/* ---- manager_reload.c ---- */
/* What pd_config_load() reports, with the priority that it has. */
void pd_manager_log_problem(const char *context, const char *line);
/* SIGHUP: read everything anew; on any mistake nothing changes. */
void pd_manager_reload(struct pd_manager *m);

/* ---- manager_watch.c ---- */
/* Before the first thread. */
void pd_manager_keep_heap_small(void);
void pd_manager_on_second(uv_timer_t *timer);

/* ---- manager_report.c ---- */
/* All zero of a source that may be on its way out. */
struct pd_source_stats pd_manager_source_stats(const struct pd_manager *m, const struct pd_camera *camera);
/* What is told of a camera; @source: its numbers at this moment. */
struct pd_camera_numbers pd_manager_camera_numbers(const struct pd_camera *camera,
                                                   const struct pd_source_stats *source);
extern const struct pd_server_ops pd_manager_server_ops;
struct pd_totals {
    int cameras, up;
    uint64_t decoded, published, dropped, failed;
    double fps; /* decoded, measured */
};
struct pd_totals pd_manager_totals(const struct pd_manager *m);

/* ---- manager_metrics.c ---- */
char *pd_manager_metrics(void *user); /* @user: the manager; the caller frees the text. NULL: out of memory */
