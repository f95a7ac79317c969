/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/pipeline_impl.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "core/log.h"

/* ---- start ---- */

static void on_drop(const struct pd_frame *frame, void *user)
{
    struct pd_pipeline *p = user;
    pd_camera_drop(atomic_load_explicit(&p->cameras[frame->camera], memory_order_acquire));
}

static int make_pool(struct pd_pipeline *p, struct pd_err *err)
{
    const struct pd_net *net = p->params.net;
    struct pd_shape *shapes = calloc((size_t)net->n_tensors, sizeof(*shapes));
    if (!shapes)
        return pd_err_set(err, -ENOMEM, "out of memory");
    int r = pd_net_shapes(net, p->height, p->width, shapes, err);
    p->heat = shapes[net->heat];
    p->paf = shapes[net->paf];
    const struct pd_pool_params params = {
        .workers = PD_CLAMP(p->params.post_threads, 1, PD_POOL_WORKERS_MAX), .net = net,
        .max_w = p->heat.w, .max_h = p->heat.h, .candidates = pd_pipeline_caps(p)->candidates,
        .handoff = p->params.handoff, .stats = p->params.stats, .finished = pd_pipeline_on_job_finished, .user = p,
    };
    free(shapes);
    return r < 0 ? r : pd_pool_create(&params, &p->pool, err);
}

static int start_scheduler(struct pd_pipeline *p, struct pd_err *err)
{
    const struct pd_queue_params params = {
        .max_batch = pd_pipeline_caps(p)->max_batch, .batch_wait_ns = p->params.batch_wait_ns, .on_drop = on_drop,
        .user = p,
    };
    p->queue = pd_queue_create(&params);
    if (!p->queue)
        return pd_err_set(err, -ENOMEM, "out of memory");
    if (pthread_create(&p->scheduler, NULL, pd_pipeline_schedule, p))
        return pd_err_set(err, -EAGAIN, "cannot start the scheduler's thread");
    p->started = true;
    pthread_setname_np(p->scheduler, "scheduler");
    return 0;
}

/* The next lane, on device @device. *@name: the engine asked for; afterwards the one that opened, even if it failed
 * then. */
static int add_lane(struct pd_pipeline *p, int device, const char **name, const char *after, struct pd_err *err)
{
    struct pd_lane *lane = &p->lanes[p->n_lanes];
    struct pd_engine_params params = p->params.engine_params;
    params.n_devices = PD_MIN(params.n_devices, 1);
    params.devices[0] = device;
    params.after = after;
    int r = pd_lane_open(lane, *name, p->params.net, &params, pd_pipeline_on_batch_done, p, err);
    const struct pd_engine_caps *caps = lane->engine ? pd_engine_caps(lane->engine) : NULL;
    if (caps)
        *name = caps->name;
    if (r < 0) {
        pd_lane_finish(lane);
        return r;
    }
    lane->device = device;
    if (p->n_lanes++ == 0) {
        p->caps = *caps;
    } else {
        p->caps.max_batch = PD_MIN(p->caps.max_batch, caps->max_batch);
        p->caps.memory_bytes += caps->memory_bytes;
    }
    return 0;
}

/* An engine for each device; on those after the first the very one that the first got, whatever was asked for. Under
 * `auto` such a one that fails is left out: the first computes faster alone than the next engine would. */
static int add_lanes(struct pd_pipeline *p, const char **name, const char *after, struct pd_err *err)
{
    const struct pd_engine_params *params = &p->params.engine_params;
    const int wanted = PD_CLAMP(params->n_devices, 1, PD_DEVICES_MAX);
    const bool automatic = !strcmp(p->params.engine, "auto");
    for (int i = 0; i < wanted; i++) {
        int r = add_lane(p, params->devices[i], name, after, err);
        if (r < 0 && (!automatic || i == 0 || r == -EINVAL))
            return r;
        if (r < 0) {
            pd_log_warn("engine", "device %d is left out: %s", params->devices[i], err->text);
        } else if (!p->caps.per_device && wanted > 1) {
            pd_log_warn("engine", "%s computes on the CPU: `devices` means nothing to it", *name);
            break;
        }
    }
    return 0;
}

/* An engine that opens may still fail at its first batch. `auto` then takes the next, as it does when one does not
 * open, but for mistakes of the configuration, which are the same for all. No lane is open when it goes on. */
static int open_lanes(struct pd_pipeline *p, struct pd_err *err)
{
    const bool automatic = !strcmp(p->params.engine, "auto");
    const char *after = NULL;
    for (;;) {
        const char *name = p->params.engine;
        int r = add_lanes(p, &name, after, err);
        const bool opened = strcmp(name, "auto") != 0;
        if (r == 0 || r == -EINVAL || !automatic || !opened || !pd_engine_has_next(name))
            return r;
        pd_log_warn("engine", "%s cannot be used: %s; trying the next one", name, err->text);
        after = name;
    }
}

int pd_pipeline_open(const struct pd_pipeline_params *params, struct pd_pipeline **ret_pipeline, struct pd_err *err)
{
    static_assert(PD_DEVICES_MAX == PD_ARRAY_SIZE(params->engine_params.devices), "a lane for each device");
    struct pd_pipeline *p = calloc(1, sizeof(*p));
    if (!p)
        return pd_err_set(err, -ENOMEM, "out of memory");
    p->params = *params;
    p->width = params->engine_params.width;
    p->height = params->engine_params.height;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->room, NULL);
    int r = open_lanes(p, err);
    if (r == 0)
        r = make_pool(p, err);
    if (r == 0)
        r = start_scheduler(p, err);
    if (r < 0) {
        pd_pipeline_destroy(p);
        return r;
    }
    *ret_pipeline = p;
    return 0;
}

/* ---- while it runs ---- */

const struct pd_engine_caps *pd_pipeline_caps(const struct pd_pipeline *pipeline)
{
    return &pipeline->caps;
}

int pd_pipeline_devices(const struct pd_pipeline *pipeline)
{
    return pipeline->n_lanes;
}

void pd_pipeline_get_device(struct pd_pipeline *pipeline, int i, struct pd_pipeline_device *ret_device)
{
    struct pd_lane *lane = &pipeline->lanes[i];
    pthread_mutex_lock(&pipeline->lock);
    int in_flight = lane->in_flight;
    pthread_mutex_unlock(&pipeline->lock);
    *ret_device = (struct pd_pipeline_device){
        .caps = pd_engine_caps(lane->engine),
        .number = lane->device,
        .frames = pd_counted(&lane->frames),
        .batches = pd_counted(&lane->batches),
        .failed_batches = pd_counted(&lane->failed_batches),
        .busy_ns = (int64_t)pd_counted(&lane->busy_ns),
        .in_flight = in_flight,
    };
}

struct pd_queue *pd_pipeline_queue(struct pd_pipeline *pipeline)
{
    return pipeline->queue;
}

int pd_pipeline_workers(const struct pd_pipeline *pipeline)
{
    return PD_CLAMP(pipeline->params.post_threads, 1, PD_POOL_WORKERS_MAX);
}

void pd_pipeline_set_camera(struct pd_pipeline *pipeline, int index, struct pd_camera *camera)
{
    atomic_store_explicit(&pipeline->cameras[index], camera, memory_order_release);
}

void pd_pipeline_get_health(struct pd_pipeline *pipeline, struct pd_pipeline_health *ret_health)
{
    *ret_health = (struct pd_pipeline_health){.n_devices = pipeline->n_lanes};
    pthread_mutex_lock(&pipeline->lock);
    for (int i = 0; i < pipeline->n_lanes; i++) {
        const struct pd_lane *lane = &pipeline->lanes[i];
        ret_health->in_flight += lane->in_flight;
        ret_health->device[i].since_ns = lane->in_flight ? lane->submitted_ns[0] : 0;
        ret_health->device[i].longest_ns = lane->longest_ns;
    }
    pthread_mutex_unlock(&pipeline->lock);
}

/* ---- stop ---- */

void pd_pipeline_let_go(struct pd_pipeline *pipeline)
{
    atomic_store_explicit(&pipeline->stopping, true, memory_order_relaxed);
    if (pipeline->queue)
        pd_queue_finish(pipeline->queue);
}

void pd_pipeline_stop(struct pd_pipeline *pipeline)
{
    if (pipeline->stopped)
        return;
    pipeline->stopped = true;
    pd_pipeline_let_go(pipeline);
    if (pipeline->started)
        pthread_join(pipeline->scheduler, NULL);
    for (int i = 0; i < pipeline->n_lanes; i++)
        if (pipeline->lanes[i].engine)
            pd_engine_drain(pipeline->lanes[i].engine);
    pd_pool_destroy(pipeline->pool);
    pipeline->pool = NULL;
}

void pd_pipeline_destroy(struct pd_pipeline *pipeline)
{
    if (!pipeline)
        return;
    pd_pipeline_stop(pipeline);
    for (int i = 0; i < pipeline->n_lanes; i++)
        pd_lane_finish(&pipeline->lanes[i]);
    pd_queue_destroy(pipeline->queue);
    pthread_cond_destroy(&pipeline->room);
    pthread_mutex_destroy(&pipeline->lock);
    free(pipeline);
}
