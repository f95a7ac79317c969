/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/manager.h"

#include <string.h>

#include "core/log.h"
#include "daemon/config_diff.h"
#include "daemon/notify.h"

struct reload {
    struct pd_manager *manager;
    struct pd_tree *tree;
    int added, changed, removed;
};

static struct pd_camera *find_camera(const struct pd_manager *m, const char *name)
{
    for (struct pd_camera *camera = m->cameras; camera; camera = camera->next)
        if (!strcmp(camera->config->name, name))
            return camera;
    return NULL;
}

static void on_camera_diff(const struct pd_camera_config *before, const struct pd_camera_config *after, void *user)
{
    struct reload *reload = user;
    struct pd_manager *m = reload->manager;
    const char *name = before ? before->name : after->name;
    struct pd_camera *camera = find_camera(m, name);
    bool want = after && after->enabled;
    if (!camera)
        return; /* started by start_missing() */
    pd_tree_unref(camera->next_tree);
    camera->next_tree = want ? pd_tree_ref(reload->tree) : NULL;
    camera->next_config = want ? after : NULL;
    pd_manager_stop_camera(m, camera);
    *(want ? &reload->changed : &reload->removed) += 1;
}

/* New ones, and those that could not be started when they were new or had changed. */
static void start_missing(struct reload *reload)
{
    const struct pd_config *config = reload->tree->config;
    for (int i = 0; i < config->n_cameras; i++) {
        const struct pd_camera_config *camera = &config->cameras[i];
        struct pd_err err;
        if (!camera->enabled || find_camera(reload->manager, camera->name))
            continue;
        if (pd_manager_start_camera(reload->manager, reload->tree, camera, NULL, &err) < 0)
            pd_log_err("reload", "%s; this camera is not watched", err.text);
        else
            reload->added++;
    }
}

static void on_key_diff(const char *key, bool live, void *user)
{
    if (!live)
        pd_log_warn("reload", "%s has changed and takes effect at the next restart", key);
}

void pd_manager_log_problem(const char *context, const char *line)
{
    if (strstr(line, ": warning: "))
        pd_log_warn(context, "%s", line);
    else
        pd_log_err(context, "%s", line);
}

static void report_problem(const char *line, void *user)
{
    pd_manager_log_problem("reload", line);
}

static void apply_live_keys(struct pd_manager *m, const struct pd_config *config)
{
    enum pd_log_level level;
    if (pd_log_level_parse(config->log_level, &level) == 0)
        pd_log_set_level(level);
    pd_queue_set_wait(pd_pipeline_queue(m->pipeline), (int64_t)(config->batch_wait_ms * 1e6));
    pd_server_set_limits(m->server, config->max_clients, pd_manager_fd_reserve(config));
}

void pd_manager_reload(struct pd_manager *m)
{
    struct pd_config *config = NULL;
    pd_notify("RELOADING=1\nMONOTONIC_USEC=%lld", (long long)(pd_now_ns() / 1000));
    int r = pd_manager_read_config(m, report_problem, &config);
    struct pd_tree *tree = r == 0 ? pd_tree_new(config) : NULL;
    if (!tree) {
        m->bad_reloads++;
        pd_log_err("reload", "%s: nothing was changed", m->options.config);
        pd_notify("READY=1");
        return;
    }
    struct reload reload = {.manager = m, .tree = tree};
    const struct pd_config_diff diff = {on_camera_diff, on_key_diff, &reload};
    pd_config_diff(m->start->config, m->tree->config, config, &diff);
    start_missing(&reload);
    apply_live_keys(m, config);
    pd_tree_unref(m->tree);
    m->tree = tree;
    m->reloads++;
    if (config->n_cameras == 0) /* a folder that was moved or is not mounted looks like that, too */
        pd_log_warn("reload", "no camera in %s; nothing is watched until there is one and a reload",
                    config->cameras_dir);
    pd_log_info("reload", "%d cameras added, %d restarted, %d removed", reload.added, reload.changed, reload.removed);
    pd_manager_drain(m);
    pd_notify("READY=1");
}
