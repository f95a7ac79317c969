/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "daemon/config_doc.h"
#include "daemon/config_listen.h"
#include "daemon/config_secret.h"
#include "daemon/config_table.h"
#include "daemon/config_url.h"
#include "daemon/config_value.h"

/* One load under way. */
struct loading {
    struct pd_config *config;
    pd_config_report_fn report;
    void *user;
    int n_problems;
};

/* ---- one file ---- */

struct filling {
    struct pd_config_doc *doc;
    enum pd_config_scope scope;
    void *base;
    /* lines of keys that are looked at again when all are known; 0: not there */
    int url_line, password_line, socket_line, cameras_dir_line, loop_line, metrics_line, ca_line, tls_name_line;
};

static void remember_line(struct filling *f, const struct pd_config_member *m)
{
    const struct {
        const char *key;
        int *line;
    } wanted[] = {{"url", &f->url_line},
                  {"password_file", &f->password_line},
                  {"socket", &f->socket_line},
                  {"cameras_dir", &f->cameras_dir_line},
                  {"loop", &f->loop_line},
                  {"ca_file", &f->ca_line},
                  {"tls_name", &f->tls_name_line},
                  {"metrics_listen", &f->metrics_line}};
    for (size_t i = 0; i < PD_ARRAY_SIZE(wanted); i++)
        if (!strcmp(m->key, wanted[i].key))
            *wanted[i].line = m->line;
}

static void unknown_key(const struct filling *f, const struct pd_config_member *m)
{
    const char *near = pd_option_nearest(f->scope, m->key);
    enum pd_config_scope other = f->scope == PD_SCOPE_DAEMON ? PD_SCOPE_CAMERA : PD_SCOPE_DAEMON;
    char key[64];
    snprintf(key, sizeof(key), "%.60s", m->key);
    if (pd_option_find(other, m->key))
        pd_config_problem(f->doc, m->line, key, "found a key of %s, expected it there",
                          other == PD_SCOPE_CAMERA ? "a camera's file (cameras.d/NAME.json)" : "posed.json");
    else if (near)
        pd_config_problem(f->doc, m->line, key, "found an unknown key, expected perhaps \"%s\"", near);
    else
        pd_config_problem(f->doc, m->line, key, "found an unknown key, expected one of those in posed.conf(5)");
}

static int fill_one(const struct pd_config_member *m, void *user)
{
    struct filling *f = user;
    const struct pd_option *opt = pd_option_find(f->scope, m->key);
    if (!opt) {
        unknown_key(f, m);
        return 0;
    }
    remember_line(f, m);
    return pd_option_set(opt, f->base, f->doc, m);
}

/* ---- posed.json ---- */

/* Relative paths that came from the table's defaults, not from the file. */
static int absolute_paths(struct pd_config *config)
{
    const struct pd_option *opt;
    for (int i = 0; (opt = pd_option_at(PD_SCOPE_DAEMON, i)); i++) {
        if (opt->type != PD_OPT_PATH)
            continue;
        char **at = (char **)(void *)((char *)config + opt->offset);
        if (!*at || **at == '/')
            continue;
        char *full = pd_config_path(config->dir, *at);
        if (!full)
            return -ENOMEM;
        free(*at);
        *at = full;
    }
    return 0;
}

static int load_daemon(struct loading *l, const char *path, int *ret_cameras_dir_line)
{
    struct pd_config_doc doc;
    struct pd_config *config = l->config;
    struct filling f = {.doc = &doc, .scope = PD_SCOPE_DAEMON, .base = config};
    int r = pd_config_doc_open(&doc, path, l->report, l->user);
    if (r < 0)
        goto out;
    if (doc.dir && !(config->dir = strdup(doc.dir))) {
        r = -ENOMEM;
        goto out;
    }
    if (doc.root)
        r = pd_config_doc_each(&doc, fill_one, &f);
    if (r == 0 && config->dir)
        r = absolute_paths(config);
    if (r < 0)
        goto out;
    struct sockaddr_un address;
    if (strlen(config->socket) >= sizeof(address.sun_path))
        pd_config_problem(&doc, f.socket_line, "socket", "found a path of %zu bytes, expected at most %zu",
                          strlen(config->socket), sizeof(address.sun_path) - 1);
    const char *fault = pd_config_listen_fault(config->metrics_listen, config->metrics_remote);
    if (fault)
        pd_config_problem(&doc, f.metrics_line, "metrics_listen", "%s", fault);
    *ret_cameras_dir_line = f.cameras_dir_line;
out:
    l->n_problems += doc.n_problems;
    pd_config_doc_close(&doc);
    return r;
}

/* ---- cameras.d ---- */

static void check_tls(const struct filling *f, const struct pd_camera_config *camera)
{
    if (camera->ca_file && camera->url && !pd_config_url_is_tls(camera->url))
        pd_config_problem(f->doc, f->ca_line, "ca_file", "found with a url that is not encrypted, expected rtsps:// or "
                          "https://");
    if (camera->tls_name && !camera->ca_file)
        pd_config_problem(f->doc, f->tls_name_line, "tls_name", "found without ca_file, expected it with one");
}

/* What only the whole file shows. */
static int check_camera(struct filling *f, struct pd_camera_config *camera, const char *root_dir)
{
    if (!f->url_line)
        pd_config_problem(f->doc, 1, "url", "found none, expected the camera's URL or a path");
    if (camera->url && camera->loop && !pd_config_url_path(camera->url))
        pd_config_warning(f->doc, f->loop_line, "loop", "found with an input that never ends; it is for files");
    check_tls(f, camera);
    camera->track |= camera->smooth > 0;
    return pd_config_read_password(camera, root_dir, f->doc, PD_MAX(f->password_line, 1));
}

static int load_camera(struct loading *l, const char *path, struct pd_camera_config *camera)
{
    struct pd_config_doc doc;
    struct filling f = {.doc = &doc, .scope = PD_SCOPE_CAMERA, .base = camera};
    int r = pd_config_doc_open(&doc, path, l->report, l->user);
    if (r == 0)
        r = pd_options_defaults(PD_SCOPE_CAMERA, camera);
    if (r == 0 && doc.root) {
        r = pd_config_doc_each(&doc, fill_one, &f);
        if (r == 0)
            r = check_camera(&f, camera, l->config->dir);
    }
    l->n_problems += doc.n_problems;
    pd_config_doc_close(&doc);
    return r;
}

static void report_path(struct loading *l, const char *path, int line, const char *key, const char *what)
{
    struct pd_config_doc doc = {.path = path, .report = l->report, .user = l->user};
    pd_config_problem(&doc, line, key, "%s", what);
    l->n_problems += doc.n_problems;
}

/* NAME of NAME.json into @name, which stays empty after a report. */
static void set_camera_name(struct loading *l, const char *path, const char *file, char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t len = strlen(file) - strlen(".json");
    bool too_long = len >= PD_CAMERA_NAME_MAX;
    if (!too_long && strspn(file, allowed) == strlen(file)) {
        memcpy(name, file, len);
        name[len] = 0;
        return;
    }
    char what[128];
    snprintf(what, sizeof(what), "found a camera name %s, expected 1..%d of A-Z a-z 0-9 . _ -",
             too_long ? "that is too long" : "with other characters", PD_CAMERA_NAME_MAX - 1);
    report_path(l, path, 0, "file name", what);
}

static int wanted_file(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    return entry->d_name[0] != '.' && len > 5 && !strcmp(entry->d_name + len - 5, ".json");
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int load_named_camera(struct loading *l, const char *file)
{
    struct pd_config *config = l->config;
    struct pd_camera_config *camera = &config->cameras[config->n_cameras];
    if (asprintf(&camera->file, "%s/%s", config->cameras_dir, file) < 0) {
        camera->file = NULL;
        return -ENOMEM;
    }
    config->n_cameras++; /* from here on destroy() knows it */
    set_camera_name(l, camera->file, file, camera->name);
    return load_camera(l, camera->file, camera);
}

static int compare_cameras(const void *a, const void *b)
{
    return strcmp(((const struct pd_camera_config *)a)->name, ((const struct pd_camera_config *)b)->name);
}

static int load_cameras(struct loading *l, const char *path, int cameras_dir_line)
{
    struct pd_config *config = l->config;
    struct dirent **entries = NULL;
    int n = scandir(config->cameras_dir, &entries, wanted_file, by_name);
    if (n < 0) {
        int r = pd_config_passes(-errno) ? -errno : 0;
        if (r == -ENOMEM)
            return r;
        /* the default directory need not be there: a daemon without cameras waits for a reload */
        if (errno != ENOENT || cameras_dir_line) {
            char what[512];
            snprintf(what, sizeof(what), "found a directory that cannot be read: %.400s: %s", config->cameras_dir,
                     strerror(errno));
            report_path(l, path, cameras_dir_line, "cameras_dir", what);
        }
        return r;
    }
    int r = 0;
    if (n > PD_CAMERAS_MAX) {
        char what[96];
        snprintf(what, sizeof(what), "found %d camera files, expected at most %d", n, PD_CAMERAS_MAX);
        report_path(l, config->cameras_dir, 0, "cameras_dir", what);
    }
    int kept = PD_MIN(n, PD_CAMERAS_MAX);
    config->cameras = calloc((size_t)PD_MAX(kept, 1), sizeof(*config->cameras));
    if (!config->cameras)
        r = -ENOMEM;
    for (int i = 0; i < kept && r == 0; i++)
        r = load_named_camera(l, entries[i]->d_name);
    for (int i = 0; i < n; i++)
        free(entries[i]);
    free(entries);
    /* "a.json" sorts after "a-b.json" as a file, "a" before "a-b" as a name */
    if (r == 0)
        qsort(config->cameras, (size_t)config->n_cameras, sizeof(*config->cameras), compare_cameras);
    return r;
}

/* ---- the whole ---- */

int pd_config_load(const char *path, pd_config_report_fn report, void *user, struct pd_config **ret_config)
{
    struct loading l = {.config = calloc(1, sizeof(*l.config)), .report = report, .user = user};
    int cameras_dir_line = 0;
    int r = l.config ? pd_options_defaults(PD_SCOPE_DAEMON, l.config) : -ENOMEM;
    if (r == 0)
        r = load_daemon(&l, path, &cameras_dir_line);
    /* a file that is not there has no directory to look for cameras in; one with a syntax error has */
    if (r == 0 && l.config->dir)
        r = load_cameras(&l, path, cameras_dir_line);
    if (r == 0 && l.n_problems > 0)
        r = -EINVAL;
    if (r < 0) {
        pd_config_destroy(l.config);
        return r;
    }
    *ret_config = l.config;
    return 0;
}

void pd_config_destroy(struct pd_config *config)
{
    if (!config)
        return;
    for (int i = 0; i < config->n_cameras; i++) {
        struct pd_camera_config *camera = &config->cameras[i];
        pd_options_finish(PD_SCOPE_CAMERA, camera);
        if (camera->password)
            explicit_bzero(camera->password, strlen(camera->password));
        free(camera->password);
        pd_config_release_secret(camera->hidden);
        free(camera->file);
    }
    free(config->cameras);
    pd_options_finish(PD_SCOPE_DAEMON, config);
    free(config->dir);
    free(config);
}

bool pd_camera_config_equal(const struct pd_camera_config *a, const struct pd_camera_config *b)
{
    const struct pd_option *opt;
    for (int i = 0; (opt = pd_option_at(PD_SCOPE_CAMERA, i)); i++)
        if (!pd_option_equal(opt, a, b))
            return false;
    bool same_password = a->password && b->password ? !strcmp(a->password, b->password) : a->password == b->password;
    return same_password && !strcmp(a->name, b->name);
}
