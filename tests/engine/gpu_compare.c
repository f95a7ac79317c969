/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/engine/gpu_compare.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/engine/layer_kinds.h"

/* ---- engines ---- */

static int cudnn(void)
{
    for (int i = 0; pd_engine_name(i); i++)
        if (!strcmp(pd_engine_name(i), "cudnn"))
            return i;
    return -1;
}

bool have_gpu(void)
{
    return cudnn() >= 0 && pd_engine_probe(cudnn(), NULL) == 0;
}

int open_engine(const char *name, const struct pd_net *net, enum pd_precision precision, int max_batch, int w,
                int h, struct pd_engine **ret_engine, struct pd_err *err)
{
    const struct pd_engine_params params = {.precision = precision, .width = w, .height = h, .max_batch = max_batch,
                                            .cache_dir = getenv("POSED_CACHE_DIR")};
    return pd_engine_open(name, net, &params, ret_engine, err);
}

bool computes(enum pd_precision precision)
{
    struct pd_err err = {""};
    struct pd_engine *engine = NULL;
    make_kind(0, 8);
    const int r = open_engine("cudnn", &maker.net, precision, 1, W, H, &engine, &err);
    pd_engine_close(engine);
    maker_end(&maker);
    if (r == -ENOTSUP && precision == PD_PRECISION_TF32) {
        printf("# %s\n", err.text);
        return false;
    }
    if (r < 0)
        fail_msg("%s: %s", pd_precision_name(precision), err.text);
    return true;
}

/* ---- outputs ---- */

static float *not_numbers(size_t n)
{
    float *v = malloc(PD_MAX(n, 1) * sizeof(*v));
    assert_non_null(v);
    memset(v, 0xff, n * sizeof(*v)); /* what is not written is seen */
    return v;
}

static size_t floats_of(const struct pd_shape *s)
{
    return (size_t)s->c * (size_t)s->h * (size_t)s->w;
}

struct outputs make_outputs(const struct pd_net *net, int n, int w, int h)
{
    struct pd_err err = {""};
    struct pd_shape *shapes = calloc((size_t)net->n_tensors, sizeof(*shapes));
    assert_non_null(shapes);
    if (pd_net_shapes(net, h, w, shapes, &err) < 0)
        fail_msg("%s", err.text);
    struct outputs o = {.heat_floats = floats_of(&shapes[net->heat]),
                        .paf_floats = net->paf < 0 ? 0 : floats_of(&shapes[net->paf])};
    free(shapes);
    o.heat = not_numbers((size_t)n * o.heat_floats);
    o.paf = o.paf_floats ? not_numbers((size_t)n * o.paf_floats) : NULL;
    return o;
}

void free_outputs(struct outputs *o)
{
    free(o->heat);
    free(o->paf);
}

void forward(struct pd_engine *engine, int first, int n, int w, int h, const float *input, struct outputs *o)
{
    struct pd_err err = {""};
    const size_t skip = (size_t)first;
    if (pd_engine_forward(engine, n, w, h, input + skip * 3 * (size_t)w * (size_t)h, o->heat + skip * o->heat_floats,
                          o->paf ? o->paf + skip * o->paf_floats : NULL, &err) < 0)
        fail_msg("%s", err.text);
}

float *random_input(int n, int w, int h)
{
    const size_t floats = (size_t)n * 3 * (size_t)w * (size_t)h;
    float *input = malloc(floats * sizeof(*input));
    assert_non_null(input);
    for (size_t i = 0; i < floats; i++)
        input[i] = maker_uniform(&maker, -1, 1);
    return input;
}

/* ---- comparison ---- */

static struct distance distance(const float *a, const float *b, size_t n)
{
    double errors = 0, squares = 0, most = 0;
    for (size_t i = 0; i < n; i++) {
        const double e = fabs((double)a[i] - (double)b[i]);
        if (!(e < 1e30))
            return (struct distance){INFINITY, INFINITY};
        errors += e * e;
        squares += (double)b[i] * (double)b[i];
        most = fmax(most, e);
    }
    const double scale = sqrt(squares / (double)n) + 0.02;
    return (struct distance){sqrt(errors / (double)n) / scale, most / scale};
}

struct distance worst(const struct outputs *a, const struct outputs *b, int n)
{
    struct distance all = {0, 0};
    for (int i = 0; i < n; i++) {
        const size_t heat = (size_t)i * a->heat_floats, paf = (size_t)i * a->paf_floats;
        const struct distance d[2] = {distance(a->heat + heat, b->heat + heat, a->heat_floats),
                                      a->paf ? distance(a->paf + paf, b->paf + paf, a->paf_floats) : all};
        for (int k = 0; k < 2; k++) {
            all.mean = fmax(all.mean, d[k].mean);
            all.most = fmax(all.most, d[k].most);
        }
    }
    return all;
}

bool agrees(const struct pd_net *net, enum pd_precision precision, int max_batch, int n, int w, int h,
            double limit, double most, const char *what)
{
    struct pd_err err = {""};
    struct pd_engine *gpu = NULL, *plain = NULL;
    if (open_engine("cudnn", net, precision, max_batch, w, h, &gpu, &err) < 0 ||
        open_engine("reference", net, PD_PRECISION_FP32, n, w, h, &plain, &err) < 0)
        fail_msg("%s: %s", what, err.text);
    float *input = random_input(n, w, h);
    struct outputs a = make_outputs(net, n, w, h), b = make_outputs(net, n, w, h);
    forward(gpu, 0, n, w, h, input, &a);
    forward(plain, 0, n, w, h, input, &b);
    const struct distance d = worst(&a, &b, n);
    const bool ok = d.mean <= limit && d.most <= most;
    printf("# %s, %s, %d of %d: %.1e on average, %.1e at most%s\n", what, pd_precision_name(precision), n, max_batch,
           d.mean, d.most, ok ? "" : "  <-- over the limit");
    fflush(stdout);
    pd_engine_close(gpu);
    pd_engine_close(plain);
    free_outputs(&a);
    free_outputs(&b);
    free(input);
    return ok;
}
