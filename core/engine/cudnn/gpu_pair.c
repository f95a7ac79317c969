/* SPDX-License-Identifier: Apache-2.0 */
#include "core/engine/cudnn/gpu_conv.h"

#include <stdio.h>
#include <string.h>

static bool same_geometry(const struct pd_conv_shape *a, const struct pd_conv_shape *b)
{
    struct pd_conv_shape c = *b;
    c.co = a->co;
    return !memcmp(a, &c, sizeof(c)) && (a->co + 127) / 128 == (b->co + 127) / 128;
}

static int make_pair(struct pd_gpu_net *g, const struct pd_gpu_step *a, const struct pd_gpu_step *b, int choice,
                     struct pd_gpu_step *ret, struct pd_err *err)
{
    const struct pd_sm90_problem p[2] = {pd_gpu_conv_sm90_problem(a), pd_gpu_conv_sm90_problem(b)};
    *ret = *a;
    ret->layer[1] = b->layer[0];
    ret->n_layers = 2;
    snprintf(ret->algorithm, sizeof(ret->algorithm), "sm90 wgmma tile %d%s, two branches", choice & 0xffff,
             choice >> 16 ? "x2" : "");
    return pd_gpu_check(pd_sm90_prepare(&a->shape, p, 2, choice, g->gpu->sms, &ret->sm90), "preparing a convolution",
                        err);
}

/* The choice with which both take the least, if that is less than apart; else -1. Returns 1 when they cannot be timed
 * at all. */
static int measure(struct pd_gpu_net *g, int n, const struct pd_gpu_step *a, const struct pd_gpu_step *b,
                   const int *choices, int found, int *ret_best, struct pd_err *err)
{
    float apart[2], least = 0, ms;
    *ret_best = -1;
    if (pd_gpu_step_time(g, a, n, PD_GPU_REPEATS, &apart[0]) < 0 ||
        pd_gpu_step_time(g, b, n, PD_GPU_REPEATS, &apart[1]) < 0)
        return 1;
    for (int i = 0; i < PD_MIN(found, PD_GPU_SM90_TRIED); i++) {
        struct pd_gpu_step pair;
        int r = make_pair(g, a, b, choices[i], &pair, err);
        if (r < 0)
            return r;
        if (pd_gpu_step_time(g, &pair, n, PD_GPU_REPEATS, &ms) == 0 && ms < apart[0] + apart[1] &&
            (*ret_best < 0 || ms < least)) {
            *ret_best = choices[i];
            least = ms;
        }
    }
    return 0;
}

/* As measure(), from the file if it is there. */
static int choose(struct pd_gpu_net *g, int n, const struct pd_gpu_step *a, const struct pd_gpu_step *b, int *ret_best,
                  struct pd_err *err)
{
    char key[256], value[32], known[96];
    int choices[PD_SM90_CHOICES], was = -1, r = 0;
    const int found = pd_sm90_choices(&a->shape, 2, g->gpu->sms, choices);
    *ret_best = -1;
    pd_gpu_choose_key(g, a, 2, key, sizeof(key));
    if (pd_gpu_choices_get(g->gpu->choices, key, known, sizeof(known))) {
        if (sscanf(known, "pair %d", &was) == 1)
            for (int i = 0; i < found; i++)
                *ret_best = choices[i] == was ? was : *ret_best;
    } else if (g->guess) {
        *ret_best = found > 0 ? choices[0] : -1;
    } else {
        r = measure(g, n, a, b, choices, found, ret_best, err);
        if (r == 0) {
            snprintf(value, sizeof(value), *ret_best < 0 ? "apart" : "pair %d", *ret_best);
            pd_gpu_choices_put(g->gpu->choices, key, value);
        }
    }
    return r < 0 ? r : 0;
}

int pd_gpu_step_pair(struct pd_gpu_net *g, int n, struct pd_gpu_step *a, struct pd_gpu_step *b, struct pd_err *err)
{
    struct pd_gpu_step pair;
    int best;
    if (a->method != PD_GPU_BY_SM90 || b->method != PD_GPU_BY_SM90 || a->n_layers != 1 || b->n_layers != 1 ||
        a->act_apart || b->act_apart || !same_geometry(&a->shape, &b->shape))
        return 0;
    int r = choose(g, n, a, b, &best, err);
    if (r < 0 || best < 0)
        return r;
    r = make_pair(g, a, b, best, &pair, err);
    if (r == 0) {
        *a = pair;
        b->method = PD_GPU_NOTHING;
    }
    return r;
}
