#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * What the cudnn engine makes of images, compared with what the reference engine makes of them, or with its own. Fails
 * the test where an engine does.
 */
#include "tests/core/test.h"

#include "core/engine/engine.h"

bool have_gpu(void);
int open_engine(const char *name, const struct pd_net *net, enum pd_precision precision, int max_batch, int w,
                int h, struct pd_engine **ret_engine, struct pd_err *err);
/* Older GPUs have no tf32, and say so. */
bool computes(enum pd_precision precision);

struct outputs {
    size_t heat_floats, paf_floats; /* of an image */
    float *heat, *paf;              /* paf: NULL where there is none */
};

/* Of @n images; freed with free_outputs(). What is not written is no number. */
struct outputs make_outputs(const struct pd_net *net, int n, int w, int h);
void free_outputs(struct outputs *o);
float *random_input(int n, int w, int h); /* the caller frees it */
/* @n images from the @first of @o on. */
void forward(struct pd_engine *engine, int first, int n, int w, int h, const float *input, struct outputs *o);

struct distance {
    double mean, most; /* root of the mean square, and the largest; in units of what is usual there, and 0.02 */
};

/* Image by image: a batch must not hide the one that is wrong. The worst of all. */
struct distance worst(const struct outputs *a, const struct outputs *b, int n);
/* The engine, opened for batches of @max_batch, on @n images against the reference. False when they are more than
 * @limit apart on average, or @most anywhere. */
bool agrees(const struct pd_net *net, enum pd_precision precision, int max_batch, int n, int w, int h,
            double limit, double most, const char *what);
