/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/engine/fake_backend.h"

#include <string.h>

/* ---- a network that is only a size ---- */

static struct pd_tensor tensors[] = {{"in", 3, -1}, {"heat", 3, 0}};
static struct pd_layer layers[] = {{.kind = PD_LAYER_MAXPOOL, .n_in = 1, .in = {0}, .out = 1, .kh = 8, .kw = 8,
                                    .stride_y = 8, .stride_x = 8, .dilation_y = 1, .dilation_x = 1, .groups = 1,
                                    .residual = -1}};
const struct pd_net net = {
    .meta = {.name = "fake", .stride = 8, .offset = 3.5f, .input = {.scale = {1, 1, 1}}},
    .n_tensors = 2, .n_layers = 1, .tensors = tensors, .layers = layers, .input = 0, .heat = 1, .paf = -1,
};

/* ---- the fake backend ---- */

struct fake fake = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static int fake_probe(struct pd_err *err)
{
    return 0;
}

static int fake_open(const struct pd_net *n, const struct pd_engine_params *p, struct pd_engine_caps *caps,
                     void **ret_self, struct pd_err *err)
{
    fake.thread[0] = pthread_self();
    if (fake.open_result)
        return pd_err_set(err, fake.open_result, "the device is on fire");
    *ret_self = &fake;
    return 0;
}

static void fake_close(void *self)
{
    fake.thread[5] = pthread_self();
    fake.n_close++;
}

static int fake_init(void *self, struct pd_batch *batch, struct pd_err *err)
{
    fake.thread[1] = pthread_self();
    if (fake.init_result)
        return pd_err_set(err, fake.init_result, "no memory on the device");
    fake.n_init++;
    return 0;
}

static void fake_finish(void *self, struct pd_batch *batch)
{
    fake.thread[4] = pthread_self();
    fake.n_finish++;
}

static int fake_run(void *self, struct pd_batch *batch)
{
    pthread_mutex_lock(&fake.lock);
    fake.thread[2] = pthread_self();
    fake.n_entered++;
    pthread_cond_broadcast(&fake.changed);
    while (fake.hold)
        pthread_cond_wait(&fake.changed, &fake.lock);
    fake.n_finished++;
    int r = fake.run_result;
    pthread_mutex_unlock(&fake.lock);
    return r;
}

static int fake_submit(void *self, struct pd_batch *batch)
{
    if (fake.submit_result)
        return pd_err_set(&batch->err, fake.submit_result, "the stream is closed");
    fake.accepted[fake.n_accepted++] = batch;
    return 0;
}

static int fake_forward(void *self, int n, int width, int height, const float *input, float *heat, float *paf,
                        struct pd_err *err)
{
    fake.thread[3] = pthread_self();
    for (int i = 0; i < n * 3 * (height / 8) * (width / 8); i++)
        heat[i] = (float)n;
    return fake.run_result;
}

const struct pd_engine_ops synchronous = {
    .name = "fake", .probe = fake_probe, .open = fake_open, .close = fake_close, .batch_init = fake_init,
    .batch_finish = fake_finish, .run = fake_run, .forward = fake_forward,
};
const struct pd_engine_ops asynchronous = {
    .name = "fake-async", .probe = fake_probe, .open = fake_open, .close = fake_close, .batch_init = fake_init,
    .batch_finish = fake_finish, .submit = fake_submit, .forward = fake_forward,
};
const struct pd_engine_ops forward_only = {
    .name = "fake-forward", .probe = fake_probe, .open = fake_open, .close = fake_close, .forward = fake_forward,
};

void hold(bool on)
{
    pthread_mutex_lock(&fake.lock);
    fake.hold = on;
    pthread_cond_broadcast(&fake.changed);
    pthread_mutex_unlock(&fake.lock);
}

void wait_entered(int n)
{
    pthread_mutex_lock(&fake.lock);
    while (fake.n_entered < n)
        pthread_cond_wait(&fake.changed, &fake.lock);
    pthread_mutex_unlock(&fake.lock);
}

/* ---- what came back ---- */

struct seen seen;

void on_done(struct pd_batch *batch, void *user)
{
    seen.status[seen.n] = batch->status;
    seen.batch[seen.n++] = batch;
}

struct pd_frame *frame;

int reset(void **state)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
    fake = (struct fake){.lock = lock, .changed = changed};
    memset(&seen, 0, sizeof(seen));
    if (!frame)
        frame = pd_frame_alloc(PD_PIX_RGB24, 64, 32, 0, 0);
    memset((uint8_t *)frame->plane[0], 7, (size_t)frame->stride[0] * 32);
    return frame ? 0 : -1;
}

int drop_frame(void **state)
{
    pd_frame_unref(&frame);
    return 0;
}

const struct pd_engine_params params = {.width = 64, .height = 32, .max_batch = 4};

struct pd_engine *open_fake(const struct pd_engine_ops *ops)
{
    struct pd_engine *e;
    struct pd_err err = {""};
    assert_int_equal(pd_engine_open_ops(ops, &net, &params, &e, &err), 0);
    return e;
}

void make_batch(struct pd_engine *e, struct pd_batch *b, int n)
{
    struct pd_err err;
    memset(b, 0, sizeof(*b));
    b->n = n;
    b->width = params.width;
    b->height = params.height;
    b->done = on_done;
    for (int i = 0; i < n; i++) {
        b->slot[i].frame = frame;
        assert_int_equal(pd_letterbox_fit(64, 32, NULL, b->width, b->height, &b->slot[i].lb), 0);
    }
    assert_int_equal(pd_engine_batch_init(e, b, &err), 0);
}
