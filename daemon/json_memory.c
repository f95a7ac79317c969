/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/json_memory.h"

#include <pthread.h>
#include <stdlib.h>

#include <jansson.h>

static _Thread_local bool starved;

static void *allocate(size_t size)
{
    void *p = malloc(size);
    starved |= !p;
    return p;
}

static void install(void)
{
    json_set_alloc_funcs(allocate, free);
}

void pd_json_watch(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
    starved = false;
}

bool pd_json_starved(void)
{
    bool was = starved;
    starved = false;
    return was;
}
