/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/manager.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "core/log.h"
#include "daemon/cli.h"
#include "daemon/command.h"
#include "daemon/notify.h"

#define FD_LIMIT 65536 /* of open files, where the hard limit allows it */
#define FD_NEEDED 32   /* by a daemon without cameras and clients */

/* The soft limit is low for the sake of programs that use select(). Below FD_NEEDED libuv may abort, which says
 * nothing. */
int pd_manager_raise_fd_limit(struct pd_err *err)
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

static void report_problem(const char *line, void *user)
{
    pd_manager_log_problem(PD_MANAGER_RUN, line);
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

int pd_manager_read_config(const struct pd_manager *m, pd_config_report_fn report, struct pd_config **ret_config)
{
    struct pd_config *config = NULL;
    int r = pd_config_load(m->options.config, report, NULL, &config);
    if (r < 0)
        return r;
    if (replace(&config->socket, m->options.socket) < 0 || replace(&config->engine, m->options.engine) < 0 ||
        replace(&config->network, m->options.network) < 0) {
        pd_config_destroy(config);
        return -ENOMEM;
    }
    *ret_config = config;
    return 0;
}

int pd_manager_load_config(struct pd_manager *m)
{
    struct pd_config *config = NULL;
    int r = pd_manager_read_config(m, report_problem, &config);
    if (r < 0) {
        if (r == -ENOMEM)
            pd_log_err(PD_MANAGER_RUN, "%s: %s", m->options.config, strerror(-r));
        return pd_config_passes(r) ? PD_EXIT_TEMPFAIL : PD_EXIT_CONFIG;
    }
    m->tree = pd_tree_new(config);
    if (m->tree)
        m->start = pd_tree_ref(m->tree);
    else
        pd_log_err(PD_MANAGER_RUN, "out of memory");
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
        return pd_config_passes(r) ? PD_EXIT_TEMPFAIL : PD_EXIT_CONFIG;
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
    int r = pd_manager_bind(m, err);
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

static int open_http(struct pd_manager *m, struct pd_err *err)
{
    const struct pd_http_params params = {
        .loop = &m->loop, .listen = m->tree->config->metrics_listen,
        .metrics = pd_manager_server_ops.metrics, .user = m,
    };
    int r = params.listen ? pd_http_start(&params, &m->http, err) : 0;
    return r == 0 ? PD_EXIT_OK : r == -ENOTSUP ? PD_EXIT_CONFIG : PD_EXIT_FAILURE;
}

int pd_manager_start(struct pd_manager *m, struct pd_err *err)
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

void pd_manager_log_start(const struct pd_manager *m)
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
    if (config->n_cameras == 0)
        pd_log_warn(NULL, "no camera in %s; waiting for a NAME.json there and a reload", config->cameras_dir);
    if (m->http)
        pd_log_info(NULL, "metrics at %s", pd_http_url(m->http));
}
