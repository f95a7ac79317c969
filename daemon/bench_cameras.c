/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "daemon/bench.h"
#include "postproc/post.h"

/* Two with the engine and one whose people are looked for, or that is being filled. */
#define BATCHES 3
#define LATENCIES_MAX 100000

struct cameras {
    struct pd_engine *engine;
    struct pd_post *post; /* used by the engine's thread alone, as are people and latencies */
    struct pd_people *people;
    struct pd_post_params params;
    double *latencies; /* of the first LATENCIES_MAX frames */
    long frames;
    atomic_int failed; /* negative errno; err says why */
    struct pd_err err;

    pthread_mutex_t lock;
    pthread_cond_t returned;
    bool busy[BATCHES]; /* lock */
    struct pd_batch *batch[BATCHES];
};

static int people_of(struct cameras *c, const struct pd_slot *slot)
{
    return pd_engine_caps(c->engine)->candidates ? pd_post_assemble(c->post, slot->candidates, &c->params, c->people)
                                                 : pd_post_run(c->post, &slot->maps, &c->params, c->people);
}

static void batch_done(struct pd_batch *batch, void *user)
{
    struct cameras *c = user;
    int r = batch->status;
    if (r < 0 && !c->failed)
        c->err = batch->err;
    for (int i = 0; r == 0 && i < batch->n; i++) {
        r = people_of(c, &batch->slot[i]);
        if (r < 0)
            pd_err_set(&c->err, r, "post-processing failed: %s", strerror(-r));
        else if (c->frames < LATENCIES_MAX)
            c->latencies[c->frames] = (double)(pd_now_ns() - batch->submitted_ns) / (double)PD_NS_PER_MS;
        c->frames++;
    }
    pthread_mutex_lock(&c->lock);
    if (r < 0)
        c->failed = r;
    for (int i = 0; i < BATCHES; i++)
        if (c->batch[i] == batch)
            c->busy[i] = false;
    pthread_cond_signal(&c->returned);
    pthread_mutex_unlock(&c->lock);
}

/* A batch that nobody uses; -1 once something failed. */
static int free_batch(struct cameras *c)
{
    int found = -1;
    pthread_mutex_lock(&c->lock);
    while (found < 0 && !c->failed) {
        for (int i = 0; i < BATCHES && found < 0; i++)
            if (!c->busy[i])
                found = i;
        if (found < 0)
            pthread_cond_wait(&c->returned, &c->lock);
    }
    if (found >= 0)
        c->busy[found] = !c->failed;
    if (c->failed)
        found = -1;
    pthread_mutex_unlock(&c->lock);
    return found;
}

/* Frames of @n cameras in turn, as many at once as the engine takes. */
static int submit_round(struct cameras *c, int n, int max_batch)
{
    for (int left = n; left > 0;) {
        const int i = free_batch(c);
        if (i < 0)
            return 0;
        c->batch[i]->n = PD_MIN(left, max_batch);
        left -= c->batch[i]->n;
        const int r = pd_engine_submit(c->engine, c->batch[i]);
        if (r < 0)
            return pd_err_set(&c->err, r, "the engine took no batch: %s", strerror(-r));
    }
    return 0;
}

static int run(struct pd_bench *b, struct cameras *c, int n, double seconds, struct pd_err *err)
{
    int r = submit_round(c, n, b->caps->max_batch); /* warms up */
    pd_engine_drain(c->engine);
    c->frames = 0;
    const int64_t begin = pd_now_ns(), end = begin + (int64_t)(seconds * (double)PD_NS_PER_S);
    do
        r = r < 0 ? r : submit_round(c, n, b->caps->max_batch);
    while (r == 0 && !c->failed && pd_now_ns() < end);
    pd_engine_drain(c->engine);
    r = r < 0 ? r : c->failed;
    if (r < 0)
        return pd_err_set(err, r, "%s", c->err.text);
    const int told = (int)PD_MIN(c->frames, LATENCIES_MAX);
    b->cameras = (struct pd_bench_cameras){
        .n = n, .src_w = c->batch[0]->slot[0].frame->width, .src_h = c->batch[0]->slot[0].frame->height};
    b->cameras.fps = (double)c->frames * (double)PD_NS_PER_S / (double)(pd_now_ns() - begin);
    b->cameras.median_ms = pd_bench_median(c->latencies, told); /* sorts */
    b->cameras.p99_ms = c->latencies[(int)((double)(told - 1) * 0.99)];
    return 0;
}

/* Memory for the batches, all slots with @frame; undone by free_batches also after a failure. */
static int make_batches(const struct pd_bench *b, struct cameras *c, struct pd_frame *frame, struct pd_err *err)
{
    struct pd_letterbox lb;
    int r = pd_letterbox_fit(frame->width, frame->height, NULL, b->width, b->height, &lb);
    for (int i = 0; r == 0 && i < BATCHES; i++) {
        struct pd_batch *batch = calloc(1, sizeof(*batch));
        if (!batch)
            return pd_err_set(err, -ENOMEM, "out of memory");
        batch->n = b->caps->max_batch;
        batch->width = b->width;
        batch->height = b->height;
        batch->done = batch_done;
        batch->user = c;
        for (int k = 0; k < batch->n; k++)
            batch->slot[k] = (struct pd_slot){.frame = frame, .lb = lb, .find = pd_post_find_params(&c->params)};
        r = pd_engine_batch_init(c->engine, batch, err);
        if (r == 0)
            c->batch[i] = batch;
        else
            free(batch);
    }
    return r;
}

static void free_batches(struct cameras *c)
{
    for (int i = 0; i < BATCHES; i++) {
        if (c->batch[i])
            pd_engine_batch_finish(c->engine, c->batch[i]);
        free(c->batch[i]);
    }
}

int pd_bench_cameras(struct pd_bench *b, struct pd_engine *engine, int n, double seconds, struct pd_err *err)
{
    struct cameras c = {.engine = engine,
                        .params = pd_post_defaults(),
                        .lock = PTHREAD_MUTEX_INITIALIZER,
                        .returned = PTHREAD_COND_INITIALIZER};
    const struct pd_shape *s = &b->shapes[b->net->heat];
    if (!b->net->meta.skeleton)
        return pd_err_set(err, -EINVAL, "--cameras needs a network that finds people; %s finds none",
                          b->net->meta.name);
    PD_CLEANUP(pd_freep) struct pd_people *people = c.people = calloc(1, sizeof(*people));
    PD_CLEANUP(pd_freep) double *latencies = c.latencies = calloc(LATENCIES_MAX, sizeof(*latencies));
    struct pd_frame *frame = pd_bench_frame();
    int r = people && latencies && frame ? 0 : -ENOMEM;
    if (r == 0)
        r = pd_post_create(b->net->meta.skeleton, b->net->meta.limbs, s->w, s->h, &c.post);
    if (r < 0)
        pd_err_set(err, r, "%d cameras: %s", n, strerror(-r));
    else
        r = make_batches(b, &c, frame, err);
    if (r == 0)
        r = run(b, &c, n, seconds, err);
    free_batches(&c);
    pd_post_destroy(c.post);
    pd_frame_unref(&frame);
    return r;
}
