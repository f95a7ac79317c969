/* SPDX-License-Identifier: Apache-2.0 - one at a time: warm-up, bare forward pass, profile. */
#include "core/engine/engine_impl.h"

#include <errno.h>

struct size_call {
    int n, width, height, repeats;
    const float *input;
    float *heat, *paf;
    struct pd_layer_time *times;
    double *ms;
    struct pd_err *err;
};

static int check_call(const struct pd_engine *e, const struct size_call *c)
{
    if (c->n < 1 || c->n > e->caps.max_batch)
        return pd_err_set(c->err, -EINVAL, "a batch of %d frames is out of range: the engine was opened for 1..%d",
                          c->n, e->caps.max_batch);
    return pd_engine_check_size(e->net, c->width, c->height, c->err);
}

static int prepare(struct pd_engine *e, void *arg)
{
    struct size_call *c = arg;
    return e->ops->prepare(e->self, c->n, c->width, c->height, c->err);
}

static int forward(struct pd_engine *e, void *arg)
{
    struct size_call *c = arg;
    return e->ops->forward(e->self, c->n, c->width, c->height, c->input, c->heat, c->paf, c->err);
}

static int profile(struct pd_engine *e, void *arg)
{
    struct size_call *c = arg;
    return e->ops->profile(e->self, c->n, c->width, c->height, c->repeats, c->times, c->err);
}

static int time_network(struct pd_engine *e, void *arg)
{
    struct size_call *c = arg;
    return e->ops->time_network(e->self, c->n, c->width, c->height, c->ms, c->err);
}

int pd_engine_prepare(struct pd_engine *e, int n, int width, int height, struct pd_err *err)
{
    struct size_call c = {.n = n, .width = width, .height = height, .err = err};
    int r = check_call(e, &c);
    if (r < 0 || !e->ops->prepare)
        return r;
    return pd_engine_call(e, prepare, &c);
}

static int update_memory(struct pd_engine *e, void *arg)
{
    e->caps.memory_bytes = e->ops->memory(e->self);
    return 0;
}

void pd_engine_update_memory(struct pd_engine *e)
{
    if (e->ops->memory)
        pd_engine_call(e, update_memory, NULL);
}

int pd_engine_forward(struct pd_engine *e, int n, int width, int height, const float *input, float *heat, float *paf,
                      struct pd_err *err)
{
    struct size_call c = {.n = n, .width = width, .height = height, .input = input, .heat = heat, .paf = paf,
                          .err = err};
    int r = check_call(e, &c);
    return r < 0 ? r : pd_engine_call(e, forward, &c);
}

int pd_engine_profile(struct pd_engine *e, int n, int width, int height, int repeats, struct pd_layer_time *times,
                      struct pd_err *err)
{
    struct size_call c = {.n = n, .width = width, .height = height, .repeats = repeats, .times = times, .err = err};
    int r = check_call(e, &c);
    if (r < 0)
        return r;
    if (!e->ops->profile || repeats < 1)
        return pd_err_set(err, e->ops->profile ? -EINVAL : -ENOTSUP, "engine %s cannot time single layers",
                          e->ops->name);
    return pd_engine_call(e, profile, &c);
}

int pd_engine_time_network(struct pd_engine *e, int n, int width, int height, double *ret_ms, struct pd_err *err)
{
    struct size_call c = {.n = n, .width = width, .height = height, .ms = ret_ms, .err = err};
    int r = check_call(e, &c);
    if (r < 0)
        return r;
    if (!e->ops->time_network)
        return pd_err_set(err, -ENOTSUP, "engine %s cannot time the network alone", e->ops->name);
    return pd_engine_call(e, time_network, &c);
}
