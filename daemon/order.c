/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/order.h"

#include <stddef.h>

void pd_order_add(struct pd_order *order, struct pd_order_entry *entry, int camera)
{
    *entry = (struct pd_order_entry){.camera = camera};
    if (order->line[camera].first)
        order->line[camera].last->next = entry;
    else
        order->line[camera].first = entry;
    order->line[camera].last = entry;
}

struct pd_order_entry *pd_order_finish(struct pd_order *order, struct pd_order_entry *entry)
{
    struct pd_order_entry *first = order->line[entry->camera].first, *last = NULL;
    entry->finished = true;
    for (struct pd_order_entry *e = first; e && e->finished; e = e->next)
        last = e;
    if (!last)
        return NULL;
    order->line[entry->camera].first = last->next;
    last->next = NULL;
    return first;
}
