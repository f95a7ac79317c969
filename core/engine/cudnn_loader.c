/* SPDX-License-Identifier: Apache-2.0
 *
 * The cudnn engine's place in the program: opens the plug-in that holds it when it is first asked for. Looked for in
 * $POSED_PLUGIN_DIR, in the build folder that the program was built in, and where `meson install` puts it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/engine/cudnn/plugin.h"
#include "core/engine/engine.h"
#include "core/log.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* guarded by lock until it is set, then read-only */
static const struct pd_engine_ops *plugin;

static void log_info(const char *line)
{
    pd_log_info("engine cudnn", "%s", line);
}

static const struct pd_gpu_host host = {.done = pd_engine_done, .info = log_info};

/* BUILD/core/engine/cudnn of a program at BUILD/daemon/posed; "" for any other. Found from the program's own path, so
 * an installed program never looks into a build folder. */
static void beside_program(char *dir, size_t cap)
{
    char exe[4096];
    const ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    if (n <= 0)
        return;
    exe[n] = 0;
    char *end = strstr(exe, "/daemon/posed");
    if (!end || strcmp(end, "/daemon/posed") != 0)
        return;
    *end = 0;
    snprintf(dir, cap, "%s/core/engine/cudnn", exe);
}

/* What dlopen says of the first file that exists is worth telling; "no such file" of the others is not. */
static void *open_first(struct pd_err *err)
{
    char built[4096 + 64] = "";
    beside_program(built, sizeof(built));
    const char *const dirs[] = {getenv("POSED_PLUGIN_DIR"), built, PD_PLUGINDIR};
    pd_err_set(err, -ENODEV, "the GPU plug-in posed-cudnn.so is not in %s: build with -Dcuda=enabled and install",
               PD_PLUGINDIR);
    for (size_t i = 0; i < PD_ARRAY_SIZE(dirs); i++) {
        char path[4096 + 128];
        if (!dirs[i] || !*dirs[i] || snprintf(path, sizeof(path), "%s/posed-cudnn.so", dirs[i]) >= (int)sizeof(path))
            continue;
        FILE *f = fopen(path, "re");
        if (!f)
            continue;
        fclose(f);
        void *so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (so)
            return so;
        pd_err_set(err, -ENODEV, "cannot load the GPU engine: %s: install CUDA's runtime and cuDNN 9", dlerror());
        return NULL;
    }
    return NULL;
}

static int load(const struct pd_engine_ops **ret_plugin, struct pd_err *err)
{
    int r = 0;
    pthread_mutex_lock(&lock);
    if (!plugin) {
        void *so = open_first(err);
        pd_cudnn_plugin_fn get = so ? (pd_cudnn_plugin_fn)dlsym(so, "pd_cudnn_plugin") : NULL;
        plugin = get ? get(&host, PD_VERSION) : NULL;
        if (!plugin) {
            r = -ENODEV;
            if (so) {
                pd_err_set(err, r, "posed-cudnn.so is not of posed %s: install both from one build", PD_VERSION);
                dlclose(so);
            }
        }
    }
    *ret_plugin = plugin;
    pthread_mutex_unlock(&lock);
    return r;
}

static int probe(struct pd_err *err)
{
    const struct pd_engine_ops *p;
    int r = load(&p, err);
    return r < 0 ? r : p->probe(err);
}

static int open_engine(const struct pd_net *net, const struct pd_engine_params *params, struct pd_engine_caps *caps,
                       void **ret_self, struct pd_err *err)
{
    const struct pd_engine_ops *p;
    int r = load(&p, err);
    return r < 0 ? r : p->open(net, params, caps, ret_self, err);
}

/* The rest is only called on an engine that open_engine() made, so the plug-in is there. */
static void close_engine(void *self)
{
    plugin->close(self);
}

static int batch_init(void *self, struct pd_batch *batch, struct pd_err *err)
{
    return plugin->batch_init(self, batch, err);
}

static void batch_finish(void *self, struct pd_batch *batch)
{
    plugin->batch_finish(self, batch);
}

static int submit(void *self, struct pd_batch *batch)
{
    return plugin->submit(self, batch);
}

static int prepare(void *self, int n, int width, int height, struct pd_err *err)
{
    return plugin->prepare(self, n, width, height, err);
}

static int forward(void *self, int n, int width, int height, const float *input, float *heat, float *paf,
                   struct pd_err *err)
{
    return plugin->forward(self, n, width, height, input, heat, paf, err);
}

static int profile(void *self, int n, int width, int height, int repeats, struct pd_layer_time *times,
                   struct pd_err *err)
{
    return plugin->profile(self, n, width, height, repeats, times, err);
}

static int time_network(void *self, int n, int width, int height, double *ret_ms, struct pd_err *err)
{
    return plugin->time_network(self, n, width, height, ret_ms, err);
}

static size_t memory(void *self)
{
    return plugin->memory(self);
}

const struct pd_engine_ops pd_engine_cudnn = {
    .name = "cudnn",
    .automatic = true,
    .per_device = true,
    .probe = probe,
    .open = open_engine,
    .close = close_engine,
    .batch_init = batch_init,
    .batch_finish = batch_finish,
    .submit = submit,
    .prepare = prepare,
    .forward = forward,
    .profile = profile,
    .time_network = time_network,
    .memory = memory,
};
