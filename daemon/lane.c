/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/lane.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"

/* ---- batches going round ---- */

bool pd_lane_has_room(const struct pd_lane *lane)
{
    return lane->free && lane->in_flight < lane->in_flight_max;
}

struct pd_flight *pd_lane_get(struct pd_lane *lane)
{
    struct pd_flight *f = lane->free;
    lane->free = f->next;
    return f;
}

void pd_lane_put(struct pd_flight *flight)
{
    flight->next = flight->lane->free;
    flight->lane->free = flight;
}

void pd_lane_enter(struct pd_lane *lane, int64_t now_ns)
{
    lane->submitted_ns[lane->in_flight++] = now_ns;
}

void pd_lane_leave(struct pd_lane *lane, int64_t now_ns)
{
    int64_t took = now_ns - lane->submitted_ns[0];
    pd_count(&lane->busy_ns, (uint64_t)PD_MAX(took, 0));
    lane->in_flight--;
    memmove(lane->submitted_ns, lane->submitted_ns + 1, (size_t)lane->in_flight * sizeof(lane->submitted_ns[0]));
    if (lane->in_flight)
        lane->submitted_ns[0] = now_ns; /* its own time begins when the one before it is done */
}

void pd_lane_withdraw(struct pd_lane *lane)
{
    lane->in_flight--;
}

/* ---- start ---- */

struct trial {
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool is_done;
};

static void on_trial_done(struct pd_batch *batch, void *user)
{
    struct trial *trial = user;
    pthread_mutex_lock(&trial->lock);
    trial->is_done = true;
    pthread_cond_signal(&trial->done);
    pthread_mutex_unlock(&trial->lock);
}

static bool are_finite(const float *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(values[i]))
            return false;
    return true;
}

static int not_finite(struct pd_err *err)
{
    return pd_err_set(err, -EIO, "a grey picture came out as numbers that are not finite; the network or the device is "
                                 "broken");
}

static int look_at_maps(const struct pd_maps *maps, struct pd_err *err)
{
    size_t plane = (size_t)maps->w * (size_t)maps->h;
    bool finite = are_finite(maps->heat, plane * (size_t)maps->n_heat) &&
                  are_finite(maps->paf, plane * (size_t)maps->n_paf);
    return finite ? 0 : not_finite(err);
}

static size_t values_of(const struct pd_shape *s)
{
    return (size_t)s->c * (size_t)s->h * (size_t)s->w;
}

/* An engine that gives candidates hides its maps, where NaN looks like nobody being there: ask for them once. */
static int look_behind_candidates(struct pd_lane *lane, const struct pd_net *net, int width, int height,
                                  struct pd_err *err)
{
    PD_CLEANUP(pd_freep) struct pd_shape *shapes = calloc((size_t)net->n_tensors, sizeof(*shapes));
    int r = shapes ? pd_net_shapes(net, height, width, shapes, err) : pd_err_set(err, -ENOMEM, "out of memory");
    if (r < 0)
        return r;
    const size_t n_heat = values_of(&shapes[net->heat]), n_paf = values_of(&shapes[net->paf]);
    PD_CLEANUP(pd_freep) float *input = calloc((size_t)3 * (size_t)width * (size_t)height, sizeof(*input));
    PD_CLEANUP(pd_freep) float *maps = calloc(n_heat + n_paf, sizeof(*maps));
    if (!input || !maps)
        return pd_err_set(err, -ENOMEM, "out of memory");
    r = pd_engine_forward(lane->engine, 1, width, height, input, maps, maps + n_heat, err);
    return r < 0 || are_finite(maps, n_heat + n_paf) ? r : not_finite(err);
}

static int run_trial(struct pd_lane *lane, const struct pd_net *net, struct pd_batch *batch, struct pd_err *err)
{
    struct trial trial = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
    batch->done = on_trial_done;
    batch->user = &trial;
    int r = pd_letterbox_fit(batch->width, batch->height, NULL, batch->width, batch->height, &batch->slot[0].lb);
    if (r == 0)
        r = pd_engine_submit(lane->engine, batch);
    if (r < 0)
        return pd_err_set(err, r, "the engine refuses its first batch: %s", strerror(-r));
    pthread_mutex_lock(&trial.lock);
    while (!trial.is_done)
        pthread_cond_wait(&trial.done, &trial.lock);
    pthread_mutex_unlock(&trial.lock);
    pd_engine_drain(lane->engine);
    const struct pd_engine_caps *caps = pd_engine_caps(lane->engine);
    lane->longest_ns = (batch->done_ns - batch->submitted_ns) * caps->max_batch;
    if (batch->status < 0)
        return pd_err_set(err, batch->status, "%s", batch->err.text);
    return caps->candidates ? look_behind_candidates(lane, net, batch->width, batch->height, err)
                            : look_at_maps(&batch->slot[0].maps, err);
}

/* One grey frame all the way through the engine: what starts after this has worked once. */
static int try_one(struct pd_lane *lane, const struct pd_net *net, struct pd_err *err)
{
    struct pd_batch *batch = &lane->flights[0]->batch;
    struct pd_frame *frame = pd_frame_alloc(PD_PIX_GRAY8, batch->width, batch->height, 0, 0);
    if (!frame)
        return pd_err_set(err, -ENOMEM, "out of memory");
    for (int y = 0; y < batch->height; y++)
        memset((uint8_t *)frame->plane[0] + (ptrdiff_t)y * frame->stride[0], 128, (size_t)batch->width);
    batch->n = 1;
    batch->slot[0].frame = frame;
    batch->slot[0].mask = NULL;
    const struct pd_post_params post = pd_post_defaults();
    batch->slot[0].find = pd_post_find_params(&post);
    int r = run_trial(lane, net, batch, err);
    pd_frame_unref(&batch->slot[0].frame);
    return r;
}

/* The largest batch as well where the table lacks it: a GPU runs those above the table's last smaller one in a plan of
 * that size, and frames would be lost while the first of them made it. */
static int warm_up(struct pd_lane *lane, const struct pd_net *net, const struct pd_engine_params *params,
                   struct pd_err *err)
{
    static const int sizes[] = {1, 2, 4, 8, 16, 24, 32};
    const int max = pd_engine_caps(lane->engine)->max_batch;
    int r = 0;
    for (size_t i = 0; r == 0 && i < PD_ARRAY_SIZE(sizes) && sizes[i] < max; i++)
        r = pd_engine_prepare(lane->engine, sizes[i], params->width, params->height, err);
    if (r == 0)
        r = pd_engine_prepare(lane->engine, max, params->width, params->height, err);
    if (r == 0)
        r = try_one(lane, net, err);
    if (r == 0)
        pd_engine_update_memory(lane->engine);
    return r;
}

static int make_flight(struct pd_lane *lane, const struct pd_engine_params *params, struct pd_flight **ret_flight,
                       struct pd_err *err)
{
    struct pd_flight *f = calloc(1, sizeof(*f));
    if (!f)
        return pd_err_set(err, -ENOMEM, "out of memory");
    f->lane = lane;
    f->batch.width = params->width;
    f->batch.height = params->height;
    int r = pd_engine_batch_init(lane->engine, &f->batch, err);
    if (r < 0) {
        free(f);
        return r;
    }
    *ret_flight = f;
    return 0;
}

int pd_lane_open(struct pd_lane *lane, const char *engine, const struct pd_net *net,
                 const struct pd_engine_params *params, void (*done)(struct pd_batch *batch, void *user), void *user,
                 struct pd_err *err)
{
    struct pd_engine_params p = *params;
    p.in_flight = PD_LANE_IN_FLIGHT;
    int r = pd_engine_open(engine, net, &p, &lane->engine, err);
    if (r < 0)
        return r;
    lane->in_flight_max = pd_engine_caps(lane->engine)->synchronous ? 1 : PD_LANE_IN_FLIGHT;
    for (int i = 0; r == 0 && i < PD_LANE_BATCHES; i++)
        r = make_flight(lane, params, &lane->flights[i], err);
    if (r == 0)
        r = warm_up(lane, net, params, err);
    for (int i = 0; r == 0 && i < PD_LANE_BATCHES; i++) {
        lane->flights[i]->batch.done = done;
        lane->flights[i]->batch.user = user;
        pd_lane_put(lane->flights[i]);
    }
    return r;
}

void pd_lane_finish(struct pd_lane *lane)
{
    for (int i = 0; i < PD_LANE_BATCHES; i++) {
        if (lane->flights[i])
            pd_engine_batch_finish(lane->engine, &lane->flights[i]->batch);
        free(lane->flights[i]);
    }
    pd_engine_close(lane->engine);
    *lane = (struct pd_lane){0};
}
