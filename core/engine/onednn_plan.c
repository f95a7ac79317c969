/* SPDX-License-Identifier: Apache-2.0 */
#include "core/engine/onednn_plan.h"

#include <errno.h>
#include <string.h>

/* Arena parts begin at whole cache lines, and at different places within a page, so that the blocks of one layer's
 * input and output do not all compete for the same cache sets. */
#define ALIGN 64

int pd_dnn_plan_buffer(struct pd_dnn_plan *plan, size_t bytes, int first, int last)
{
    if (plan->n_buffers == plan->cap_buffers) {
        int cap = PD_MAX(64, plan->cap_buffers * 2);
        struct pd_dnn_buffer *buffers = realloc(plan->buffers, (size_t)cap * sizeof(*buffers));
        if (!buffers)
            return -ENOMEM;
        plan->buffers = buffers;
        plan->cap_buffers = cap;
    }
    bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    plan->buffers[plan->n_buffers] = (struct pd_dnn_buffer){.bytes = bytes, .first = first, .last = last};
    return plan->n_buffers++;
}

struct pd_dnn_step *pd_dnn_plan_step(struct pd_dnn_plan *plan, enum pd_dnn_step_kind kind, int layer)
{
    if (plan->n_steps == plan->cap_steps) {
        int cap = PD_MAX(64, plan->cap_steps * 2);
        struct pd_dnn_step *steps = realloc(plan->steps, (size_t)cap * sizeof(*steps));
        if (!steps)
            return NULL;
        plan->steps = steps;
        plan->cap_steps = cap;
    }
    struct pd_dnn_step *s = &plan->steps[plan->n_steps++];
    memset(s, 0, sizeof(*s));
    s->kind = kind;
    s->layer = layer;
    return s;
}

/* The tensors with their shapes, and room for their channel arrangements. */
static int make_tensors(struct pd_dnn_plan *plan, struct pd_err *err)
{
    const struct pd_net *net = plan->net;
    PD_CLEANUP(pd_freep) struct pd_shape *shapes = calloc((size_t)net->n_tensors, sizeof(*shapes));
    plan->tensors = calloc((size_t)net->n_tensors, sizeof(*plan->tensors));
    if (!shapes || !plan->tensors)
        return pd_err_set(err, -ENOMEM, "out of memory");
    int r = pd_net_shapes(net, plan->height, plan->width, shapes, err);
    if (r < 0)
        return r;
    int most = 0;
    for (int i = 0; i < net->n_tensors; i++) {
        struct pd_dnn_tensor *t = &plan->tensors[i];
        t->shape = shapes[i];
        t->phys = calloc((size_t)PD_MAX(shapes[i].c, 1), sizeof(*t->phys));
        if (!t->phys)
            return pd_err_set(err, -ENOMEM, "out of memory");
        most = PD_MAX(most, shapes[i].c);
    }
    plan->identity = calloc((size_t)most + 1, sizeof(*plan->identity));
    if (!plan->identity)
        return pd_err_set(err, -ENOMEM, "out of memory");
    for (int i = 0; i < most; i++)
        plan->identity[i] = i;
    return 0;
}

void pd_dnn_plan_destroy(struct pd_dnn_plan *plan)
{
    if (!plan)
        return;
    for (int i = 0; i < plan->n_steps; i++)
        pd_dnn_prim_destroy(&plan->steps[i].prim);
    for (int i = 0; plan->tensors && i < plan->net->n_tensors; i++)
        free(plan->tensors[i].phys);
    free(plan->tensors);
    free(plan->identity);
    free(plan->buffers);
    free(plan->steps);
    free(plan);
}

int pd_dnn_plan_create(struct pd_dnn *dnn, const struct pd_net *net, struct pd_dnn_weights *weights, int width,
                       int height, dnnl_data_type_t type, struct pd_dnn_plan **ret_plan, struct pd_err *err)
{
    struct pd_dnn_plan *plan = calloc(1, sizeof(*plan));
    if (!plan)
        return pd_err_set(err, -ENOMEM, "out of memory");
    plan->dnn = dnn;
    plan->net = net;
    plan->weights = weights;
    plan->width = width;
    plan->height = height;
    plan->type = type;
    plan->block = pd_dnn_block();
    int r = make_tensors(plan, err);
    if (r == 0)
        r = pd_dnn_place_tensors(plan, err);
    for (int i = 0; r == 0 && i < net->n_layers; i++)
        r = pd_dnn_add_layer(plan, i, err);
    if (r == 0)
        r = pd_dnn_place_arena(plan, err);
    if (r < 0) {
        pd_dnn_plan_destroy(plan);
        return r;
    }
    for (int i = 0; i < plan->n_steps; i++)
        plan->scratchpad = PD_MAX(plan->scratchpad, plan->steps[i].prim.scratchpad);
    *ret_plan = plan;
    return 0;
}
