/* SPDX-License-Identifier: Apache-2.0
 *
 * Who makes and who reads each tensor while layers are folded away.
 */
#include "core/net/lower.h"

int pd_lower_uses(struct pd_lower *lw, struct pd_uses *ret_uses)
{
    size_t n = (size_t)lw->n_tensors;
    struct pd_uses u = {.count = pd_arena_alloc(lw->arena, n, sizeof(int)),
                        .reader = pd_arena_alloc(lw->arena, n, sizeof(int)),
                        .producer = pd_arena_alloc(lw->arena, n, sizeof(int))};
    if (!u.count || !u.reader || !u.producer)
        return pd_lower_no_memory(lw);
    pd_lower_recount(lw, &u);
    *ret_uses = u;
    return 0;
}

void pd_lower_recount(const struct pd_lower *lw, struct pd_uses *u)
{
    for (int t = 0; t < lw->n_tensors; t++) {
        u->count[t] = t == lw->heat || t == lw->paf;
        u->reader[t] = u->producer[t] = -1;
    }
    for (int i = 0; i < lw->n_layers; i++) {
        const struct pd_layer *l = &lw->layers[i];
        if (l->out < 0)
            continue;
        u->producer[l->out] = i;
        for (int k = 0; k < l->n_in; k++) {
            u->count[l->in[k]]++;
            u->reader[l->in[k]] = i;
        }
        if (l->residual >= 0) {
            u->count[l->residual]++;
            u->reader[l->residual] = i;
        }
    }
}

int pd_lower_prune(struct pd_lower *lw)
{
    struct pd_uses u;
    int r = pd_lower_uses(lw, &u);
    if (r < 0)
        return r;
    /* Backwards, so that what only a dropped layer read is dropped too. */
    for (int i = lw->n_layers - 1; i >= 0; i--) {
        struct pd_layer *l = &lw->layers[i];
        if (l->out < 0 || u.count[l->out] > 0)
            continue;
        l->out = -1;
        for (int k = 0; k < l->n_in; k++)
            u.count[l->in[k]]--;
        if (l->residual >= 0)
            u.count[l->residual]--;
    }
    return 0;
}
