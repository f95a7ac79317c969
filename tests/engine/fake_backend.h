#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * A backend that can be told to fail, to wait, or to finish out of order, and what came back from it.
 */
#include "tests/core/test.h"

#include <pthread.h>

#include "core/engine/engine.h"

#define MANY 40

extern const struct pd_net net; /* only a size */

struct fake {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* guarded by lock */
    bool hold;              /* run waits while set */
    int n_entered, n_finished;
    int open_result, init_result, run_result, submit_result;
    int n_init, n_finish, n_close;
    struct pd_batch *accepted[MANY]; /* asynchronous: what came, in order */
    int n_accepted;
    pthread_t thread[8];    /* who ran open, init, run, forward, finish, close */
};
extern struct fake fake;

extern const struct pd_engine_ops synchronous, asynchronous, forward_only;

void hold(bool on);       /* runs wait */
void wait_entered(int n); /* until so many runs have begun */

struct seen {
    struct pd_batch *batch[MANY];
    int status[MANY];
    int n;
};
extern struct seen seen; /* each batch that came back, in order */
void on_done(struct pd_batch *batch, void *user);

/* Setup of each test, and teardown of the group. */
int reset(void **state);
int drop_frame(void **state);

extern struct pd_frame *frame; /* 64 x 32, of one colour */
extern const struct pd_engine_params params;
struct pd_engine *open_fake(const struct pd_engine_ops *ops);
/* Of @n times the frame. */
void make_batch(struct pd_engine *e, struct pd_batch *b, int n);
