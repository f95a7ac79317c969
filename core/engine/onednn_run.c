/* SPDX-License-Identifier: Apache-2.0
 *
 * Running a plan: an arena, and every step's memory objects pointing into it.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "core/clock.h"
#include "core/engine/onednn_plan.h"

#define HUGE_PAGE ((size_t)2 << 20)

struct pd_dnn_instance {
    const struct pd_dnn_plan *plan;
    char *arena;
    void *scratch;
    dnnl_memory_t scratch_memory;
    int n_owned, n_inputs;
    dnnl_memory_t *owned;   /* memory objects over the arena or the caller's input */
    dnnl_memory_t *inputs;  /* of them, those over the caller's input */
    dnnl_exec_arg_t (*args)[PD_DNN_ARGS_MAX + 1]; /* a row a step */
};

/* Activations are walked from end to end by every layer; huge pages spare it the address translation. */
static void *alloc_arena(size_t bytes)
{
    if (bytes < 2 * HUGE_PAGE)
        return pd_alloc_aligned(bytes);
    size_t padded;
    if (pd_add_overflows(bytes, HUGE_PAGE - 1, &padded))
        return NULL;
    padded &= ~(HUGE_PAGE - 1);
    void *p = aligned_alloc(HUGE_PAGE, padded);
    if (p)
        madvise(p, padded, MADV_HUGEPAGE);
    return p;
}

void pd_dnn_instance_destroy(struct pd_dnn_instance *in)
{
    if (!in)
        return;
    for (int i = 0; i < in->n_owned; i++)
        dnnl_memory_destroy(in->owned[i]);
    if (in->scratch_memory)
        dnnl_memory_destroy(in->scratch_memory);
    free(in->owned);
    free(in->inputs);
    free(in->args);
    free(in->arena);
    free(in->scratch);
    free(in);
}

static int bind(struct pd_dnn_instance *in, const struct pd_dnn_ref *ref, dnnl_memory_t *ret_memory, struct pd_err *err)
{
    if (ref->place == PD_DNN_WEIGHTS) {
        *ret_memory = ref->weights;
        return 0;
    }
    char *base = ref->place == PD_DNN_INPUT ? in->arena : in->arena + in->plan->buffers[ref->buffer].offset;
    int r = pd_dnn_memory(in->plan->dnn, &ref->md, base + ref->offset, ret_memory, err);
    if (r < 0)
        return r;
    in->owned[in->n_owned++] = *ret_memory;
    if (ref->place == PD_DNN_INPUT)
        in->inputs[in->n_inputs++] = *ret_memory;
    return 0;
}

static int bind_steps(struct pd_dnn_instance *in, struct pd_err *err)
{
    for (int i = 0; i < in->plan->n_steps; i++) {
        const struct pd_dnn_step *s = &in->plan->steps[i];
        for (int k = 0; k < s->n_args; k++) {
            in->args[i][k].arg = s->arg[k];
            int r = bind(in, &s->ref[k], &in->args[i][k].memory, err);
            if (r < 0)
                return r;
        }
        in->args[i][s->n_args] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, in->scratch_memory};
    }
    return 0;
}

int pd_dnn_instance_create(const struct pd_dnn_plan *plan, struct pd_dnn_instance **ret_instance, struct pd_err *err)
{
    struct pd_dnn_instance *in = calloc(1, sizeof(*in));
    if (!in)
        return pd_err_set(err, -ENOMEM, "out of memory");
    size_t n = (size_t)plan->n_steps + 1;
    in->plan = plan;
    in->owned = calloc(n * PD_DNN_ARGS_MAX, sizeof(dnnl_memory_t));
    in->inputs = calloc(n * PD_DNN_ARGS_MAX, sizeof(dnnl_memory_t));
    in->args = calloc(n, sizeof(*in->args));
    in->arena = alloc_arena(plan->arena);
    in->scratch = alloc_arena(plan->scratchpad);
    int64_t scratch_bytes = (int64_t)plan->scratchpad;
    struct pd_dnn_md scratch_md;
    int r = in->owned && in->inputs && in->args && in->arena && in->scratch
                ? 0
                : pd_err_set(err, -ENOMEM, "no memory for the network at %dx%d: %zu MiB", plan->width, plan->height,
                             (plan->arena + plan->scratchpad) >> 20);
    if (r == 0)
        r = pd_dnn_dense(&scratch_md, 1, &scratch_bytes, dnnl_u8);
    if (r == 0)
        r = pd_dnn_memory(plan->dnn, &scratch_md, in->scratch, &in->scratch_memory, err);
    if (r == 0)
        r = bind_steps(in, err);
    if (r < 0) {
        pd_dnn_instance_destroy(in);
        return r;
    }
    *ret_instance = in;
    return 0;
}

/* ---- copies of ours ---- */

static float bf16_to_float(uint16_t v)
{
    uint32_t bits = (uint32_t)v << 16;
    float f;
    memcpy(&f, &bits, sizeof(f));
    return f;
}

static uint16_t float_to_bf16(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof(bits));
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(bits >> 16 | 0x40); /* NaN stays one */
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* Element 0 of physical channel @c; the next samples follow at block elements' distance. */
static size_t channel_at(const struct pd_dnn_channels *ch, int c, int area)
{
    size_t block = (size_t)ch->block;
    return (size_t)c / block * block * (size_t)area + (size_t)c % block;
}

static void gather_channel(const struct pd_dnn_channels *from, const void *src, size_t src_at,
                           const struct pd_dnn_channels *to, void *dst, size_t dst_at, int area)
{
    size_t a = (size_t)from->block, b = (size_t)to->block;
    if (from->type == dnnl_f32 && to->type == dnnl_f32) {
        const float *x = (const float *)src + src_at;
        float *y = (float *)dst + dst_at;
        for (size_t i = 0; i < (size_t)area; i++)
            y[i * b] = x[i * a];
        return;
    }
    for (size_t i = 0; i < (size_t)area; i++) {
        float v = from->type == dnnl_f32 ? ((const float *)src)[src_at + i * a]
                                         : bf16_to_float(((const uint16_t *)src)[src_at + i * a]);
        if (to->type == dnnl_f32)
            ((float *)dst)[dst_at + i * b] = v;
        else
            ((uint16_t *)dst)[dst_at + i * b] = float_to_bf16(v);
    }
}

static void gather(const struct pd_dnn_channels *from, const void *src, const struct pd_dnn_channels *to, void *dst,
                   int n_channels, int area)
{
    if (to->n_physical > n_channels) /* what no logical channel fills must still be finite */
        memset(dst, 0, (size_t)to->n_physical * (size_t)area * dnnl_data_type_size(to->type));
    for (int c = 0; c < n_channels; c++)
        gather_channel(from, src, channel_at(from, from->phys[c], area), to, dst, channel_at(to, to->phys[c], area),
                       area);
}

static char *data_at(const struct pd_dnn_instance *in, const struct pd_dnn_ref *ref, const float *input)
{
    if (ref->place == PD_DNN_INPUT)
        return (char *)input + ref->offset;
    return in->arena + in->plan->buffers[ref->buffer].offset + ref->offset;
}

/* A tensor as the caller wants it: fp32, channel-major, dense. */
static void put_out(const struct pd_dnn_instance *in, int tensor, const float *input, float *dst)
{
    const struct pd_dnn_plan *plan = in->plan;
    const struct pd_dnn_tensor *t = &plan->tensors[tensor];
    int at, root = pd_dnn_root(plan, tensor, &at), area = t->shape.h * t->shape.w;
    int buffer = plan->tensors[root].buffer;
    const char *src = buffer < 0 ? (const char *)input : in->arena + plan->buffers[buffer].offset;
    src += (size_t)at * (size_t)area * dnnl_data_type_size(t->type);
    struct pd_dnn_channels from = {t->plain ? 1 : plan->block, t->channels, t->type, t->phys};
    struct pd_dnn_channels to = {1, t->shape.c, dnnl_f32, plan->identity};
    gather(&from, src, &to, dst, t->shape.c, area);
}

static int run_step(struct pd_dnn_instance *in, int i, const float *input, struct pd_err *err)
{
    const struct pd_dnn_step *s = &in->plan->steps[i];
    switch (s->kind) {
    case PD_DNN_PRIMITIVE:
        return pd_dnn_execute(in->plan->dnn, &s->prim, s->n_args + 1, in->args[i], err);
    case PD_DNN_COPY:
        memcpy(data_at(in, &s->ref[1], input), data_at(in, &s->ref[0], input), s->bytes);
        return 0;
    case PD_DNN_GATHER:
        gather(&s->from, data_at(in, &s->ref[0], input), &s->to, data_at(in, &s->ref[1], input), s->n_channels,
               s->area);
        return 0;
    }
    return -EINVAL;
}

int pd_dnn_instance_run(struct pd_dnn_instance *in, const float *input, float *heat, float *paf, int64_t *step_ns,
                        struct pd_err *err)
{
    const struct pd_net *net = in->plan->net;
    for (int i = 0; i < in->n_inputs; i++)
        if (dnnl_memory_set_data_handle(in->inputs[i], (void *)input) != dnnl_success)
            return pd_err_set(err, -EIO, "oneDNN refused the input's memory");
    for (int i = 0; i < in->plan->n_steps; i++) {
        int64_t begin = step_ns ? pd_now_ns() : 0;
        int r = run_step(in, i, input, err);
        if (r < 0)
            return r == -ENOTSUP ? pd_err_set(err, -EIO, "oneDNN could not run %s", in->plan->steps[i].prim.impl) : r;
        if (step_ns)
            step_ns[i] += pd_now_ns() - begin;
    }
    if (heat)
        put_out(in, net->heat, input, heat);
    if (paf && net->paf >= 0)
        put_out(in, net->paf, input, paf);
    return 0;
}
