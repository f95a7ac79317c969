/* SPDX-License-Identifier: Apache-2.0
 *
 * Three batches go round: one is being filled while two are in the engine. The caller's thread decodes, post-processes
 * and writes; the engine computes beside it. Results come out in the order in which frames went in. With --scales or
 * --flip a frame is done with before the next is taken, see detect_looks.c.
 */
#include <errno.h>
#include <semaphore.h>
#include <string.h>

#include "daemon/detect.h"
#include "postproc/track.h"

#define IN_FLIGHT 2
#define WORKS (IN_FLIGHT + 1)
/* Network inputs that are not asked for by number. Photographs have smaller people than a camera's picture. */
#define VIDEO_HEIGHT 256
#define PICTURE_HEIGHT 368
/* No input is wider than this many heights, nor higher than this many widths: a panorama is letterboxed instead. */
#define ASPECT_MAX 4
/* Frames of a video in a batch. On a CPU more than one is no quicker: 2, 4 and 8 took 8 to 10 % more processor time a
 * frame with the bundled network, as their activations leave the cache. */
#define CPU_BATCH 1
#define GPU_BATCH 16

struct work {
    struct pd_batch batch;
    struct pd_detect_item item[PD_BATCH_MAX];
    sem_t done;
    bool ready; /* pd_engine_batch_init has run */
};

struct pd_detect_pipe {
    const struct pd_detect_options *options;
    const struct pd_net *net;
    pd_detect_emit_fn emit;
    void *user;
    struct pd_engine *engine; /* opened for the first frame's size */
    int batch;                /* frames of a video in one batch */
    struct work *work[WORKS];
    int filling, in_flight;   /* index; the in_flight works before it are the engine's */
    struct pd_post *post;
    int post_w, post_h;       /* maps that post can take */
    struct pd_looks *looks;   /* NULL: one look is enough */
    struct pd_tracker *tracker;
    int tracked_input;
    _Atomic int64_t next_id;
    struct pd_people people;
};

/* ---- create, destroy ---- */

int pd_detect_pipe_create(const struct pd_detect_options *options, const struct pd_net *net, pd_detect_emit_fn emit,
                          void *user, struct pd_detect_pipe **ret_pipe, struct pd_err *err)
{
    struct pd_detect_pipe *p = calloc(1, sizeof(*p));
    if (!p)
        return pd_err_set(err, -ENOMEM, "out of memory");
    p->options = options;
    p->net = net;
    p->emit = emit;
    p->user = user;
    p->tracked_input = -1;
    p->next_id = 1;
    if (options->n_scales || options->flip) {
        int rc = pd_looks_create(options, net, &p->looks, err);
        if (rc) {
            pd_detect_pipe_destroy(p);
            return rc;
        }
    }
    for (int i = 0; i < WORKS; i++) {
        p->work[i] = calloc(1, sizeof(*p->work[i]));
        if (!p->work[i]) {
            pd_detect_pipe_destroy(p);
            return pd_err_set(err, -ENOMEM, "out of memory");
        }
        sem_init(&p->work[i]->done, 0, 0);
    }
    *ret_pipe = p;
    return 0;
}

static void clear(struct work *w)
{
    for (int i = 0; i < w->batch.n; i++) {
        pd_frame_unref(&w->item[i].frame);
        free(w->item[i].name);
    }
    w->batch.n = 0;
}

void pd_detect_pipe_destroy(struct pd_detect_pipe *p)
{
    if (!p)
        return;
    if (p->engine)
        pd_engine_drain(p->engine);
    for (int i = 0; i < WORKS && p->work[i]; i++) {
        clear(p->work[i]);
        if (p->work[i]->ready)
            pd_engine_batch_finish(p->engine, &p->work[i]->batch);
        sem_destroy(&p->work[i]->done);
        free(p->work[i]);
    }
    pd_engine_close(p->engine);
    pd_looks_destroy(p->looks);
    pd_post_destroy(p->post);
    pd_tracker_destroy(p->tracker);
    free(p);
}

/* ---- sizes ---- */

void pd_detect_size(const struct pd_detect_options *options, const struct pd_net *net, bool picture, int w, int h,
                    int *ret_width, int *ret_height)
{
    const struct pd_cli *cli = &options->cli;
    double aspect = PD_CLAMP((double)w / h, 1.0 / ASPECT_MAX, (double)ASPECT_MAX);
    int width = cli->width, height = cli->height;
    if (!height)
        height = width ? (int)(width / aspect + 0.5) : picture ? PICTURE_HEIGHT : VIDEO_HEIGHT;
    height = pd_cli_round(net, height);
    if (!width)
        width = (int)(height * aspect + 0.5);
    *ret_width = pd_cli_round(net, width);
    *ret_height = height;
}

/* Whether the engine that will be opened is a GPU's: asked before, as opening one takes seconds. */
static bool on_gpu(const struct pd_cli *cli)
{
    if (strcmp(cli->engine, "auto"))
        return !strcmp(cli->engine, "cudnn");
    const char *first = pd_engine_name(0);
    return first && !strcmp(first, "cudnn") && !pd_engine_probe(0, NULL);
}

static int open_engine(struct pd_detect_pipe *p, int width, int height, bool picture, struct pd_err *err)
{
    const struct pd_cli *cli = &p->options->cli;
    int batch = cli->batch ? cli->batch : picture ? 1 : on_gpu(cli) ? GPU_BATCH : CPU_BATCH;
    if (p->looks) {
        batch = p->options->flip ? 2 : 1;
        pd_looks_largest(p->options, p->net, &width, &height);
    }
    int rc = pd_cli_open(cli, p->net, width, height, batch, IN_FLIGHT, &p->engine, err);
    if (!rc)
        p->batch = PD_MIN(batch, pd_engine_caps(p->engine)->max_batch);
    return rc;
}

/* ---- results ---- */

static int fit_post(struct pd_detect_pipe *p, const struct pd_maps *maps, struct pd_err *err)
{
    if (p->post && maps->w <= p->post_w && maps->h <= p->post_h)
        return 0;
    pd_post_destroy(p->post);
    p->post = NULL;
    p->post_w = PD_MAX(p->post_w, maps->w);
    p->post_h = PD_MAX(p->post_h, maps->h);
    int rc = pd_post_create(p->net->meta.skeleton, p->net->meta.limbs, p->post_w, p->post_h, &p->post);
    return rc ? pd_err_set(err, rc, "post-processing: %s", strerror(-rc)) : 0;
}

static int find_people(struct pd_detect_pipe *p, const struct pd_slot *slot, struct pd_err *err)
{
    struct pd_maps none = {.w = 1, .h = 1};
    bool assembled = pd_engine_caps(p->engine)->candidates && !p->looks;
    int rc = fit_post(p, assembled ? &none : &slot->maps, err);
    if (rc)
        return rc;
    rc = assembled ? pd_post_assemble(p->post, slot->candidates, &p->options->post, &p->people)
                   : pd_post_run(p->post, &slot->maps, &p->options->post, &p->people);
    if (rc)
        return pd_err_set(err, rc, "the network's maps do not fit its skeleton %s", p->net->meta.skeleton->name);
    pd_people_to_source(&p->people, &slot->lb);
    return 0;
}

static int follow(struct pd_detect_pipe *p, const struct pd_detect_item *item, struct pd_err *err)
{
    if (p->tracked_input != item->input) {
        pd_tracker_destroy(p->tracker);
        p->tracker = pd_tracker_create(p->net->meta.skeleton, &p->next_id);
        p->tracked_input = item->input;
        if (!p->tracker)
            return pd_err_set(err, -ENOMEM, "out of memory");
    }
    const struct pd_frame *f = item->frame;
    double rate = item->fps > 0.0 ? item->fps : 25.0;
    int64_t t = f->pts_us != PD_PTS_NONE ? f->pts_us : (int64_t)((double)f->seq * 1e6 / rate);
    pd_tracker_update(p->tracker, &p->people, t);
    return 0;
}

static int finish(struct pd_detect_pipe *p, const struct pd_detect_item *item, const struct pd_slot *slot,
                  struct pd_err *err)
{
    int rc = find_people(p, slot, err);
    if (!rc && p->options->track)
        rc = follow(p, item, err);
    return rc ? rc : p->emit(item, &p->people, p->user, err);
}

/* Wait for the oldest batch, emit its frames, make it free. */
static int collect(struct pd_detect_pipe *p, struct pd_err *err)
{
    struct work *w = p->work[(p->filling + WORKS - p->in_flight) % WORKS];
    while (sem_wait(&w->done) && errno == EINTR)
        ;
    p->in_flight--;
    int rc = w->batch.status;
    if (rc)
        pd_err_set(err, rc, "%s: %s", pd_engine_caps(p->engine)->name,
                   w->batch.err.text[0] ? w->batch.err.text : strerror(-rc));
    for (int i = 0; i < w->batch.n && !rc; i++)
        rc = finish(p, &w->item[i], &w->batch.slot[i], err);
    clear(w);
    return rc;
}

/* ---- frames in ---- */

static void batch_done(struct pd_batch *batch, void *user)
{
    sem_post(&((struct work *)user)->done);
}

/* Hand the batch that is being filled to the engine, and make the next one free. */
static int submit(struct pd_detect_pipe *p, struct pd_err *err)
{
    struct work *w = p->work[p->filling];
    struct pd_batch *b = &w->batch;
    b->done = batch_done;
    b->user = w;
    int rc = 0;
    if (!w->ready) {
        rc = pd_engine_batch_init(p->engine, b, err);
        if (rc)
            return rc;
        w->ready = true;
    }
    rc = pd_engine_submit(p->engine, b);
    if (rc)
        return pd_err_set(err, rc, "%s took no batch: %s", pd_engine_caps(p->engine)->name, strerror(-rc));
    p->filling = (p->filling + 1) % WORKS;
    p->in_flight++;
    return p->in_flight == WORKS ? collect(p, err) : 0;
}

/* Emit what is ready without waiting, so that lines of a live input are not held back by a slow next frame. */
static int collect_ready(struct pd_detect_pipe *p, struct pd_err *err)
{
    while (p->in_flight) {
        struct work *w = p->work[(p->filling + WORKS - p->in_flight) % WORKS];
        if (sem_trywait(&w->done))
            return 0;
        sem_post(&w->done);
        int rc = collect(p, err);
        if (rc)
            return rc;
    }
    return 0;
}

static int add(struct pd_detect_pipe *p, const struct pd_detect_item *item, int width, int height, struct pd_err *err)
{
    struct work *w = p->work[p->filling];
    struct pd_slot *slot = &w->batch.slot[w->batch.n];
    char *name = strdup(item->name);
    if (!name)
        return pd_err_set(err, -ENOMEM, "out of memory");
    int rc = pd_letterbox_fit(item->frame->width, item->frame->height, NULL, width, height, &slot->lb);
    if (rc) {
        free(name);
        return pd_err_set(err, rc, "%s: a frame of %dx%d", item->name, item->frame->width, item->frame->height);
    }
    slot->frame = item->frame;
    slot->mask = NULL;
    w->batch.width = width;
    w->batch.height = height;
    w->item[w->batch.n] = *item;
    w->item[w->batch.n++].name = name;
    return 0;
}

static int look(struct pd_detect_pipe *p, const struct pd_detect_item *item, int width, int height,
                struct pd_err *err)
{
    struct pd_slot slot = {0};
    int rc = pd_looks_run(p->looks, p->engine, item->frame, width, height, &slot.maps, &slot.lb, err);
    return rc ? rc : finish(p, item, &slot, err);
}

int pd_detect_pipe_push(struct pd_detect_pipe *p, const struct pd_detect_item *item, struct pd_err *err)
{
    struct pd_frame *frame = item->frame;
    int width, height;
    pd_detect_size(p->options, p->net, item->picture, frame->width, frame->height, &width, &height);
    int rc = p->engine ? 0 : open_engine(p, width, height, item->picture, err);
    if (p->looks) {
        if (!rc)
            rc = look(p, item, width, height, err);
        pd_frame_unref(&frame);
        return rc;
    }
    if (!rc)
        rc = collect_ready(p, err);
    const struct pd_batch *b = &p->work[p->filling]->batch;
    if (!rc && b->n && (b->width != width || b->height != height))
        rc = submit(p, err);
    if (!rc)
        rc = add(p, item, width, height, err);
    if (rc) {
        pd_frame_unref(&frame);
        return rc;
    }
    /* Pictures differ in size, so a batch of one each unless somebody asked for more. */
    int full = item->picture && !p->options->cli.batch ? 1 : p->batch;
    return p->work[p->filling]->batch.n >= full ? submit(p, err) : 0;
}

int pd_detect_pipe_flush(struct pd_detect_pipe *p, struct pd_err *err)
{
    int rc = p->work[p->filling]->batch.n ? submit(p, err) : 0;
    while (!rc && p->in_flight)
        rc = collect(p, err);
    return rc;
}
