/* SPDX-License-Identifier: Apache-2.0 */
#include "parallel.h"

#include <pthread.h>
#include <stdatomic.h>

#define THREADS_MAX 256

struct job {
    void (*work)(void *context, int i);
    void *context;
    int n;
    atomic_int next;
};

static void *take_turns(void *arg)
{
    struct job *job = arg;
    for (int i = atomic_fetch_add(&job->next, 1); i < job->n; i = atomic_fetch_add(&job->next, 1))
        job->work(job->context, i);
    return NULL;
}

void parallel_for(int threads, int n, void (*work)(void *context, int i), void *context)
{
    pthread_t helpers[THREADS_MAX];
    struct job job = {.work = work, .context = context, .n = n};
    int started = 0;

    while (started < threads - 1 && started < THREADS_MAX &&
           pthread_create(&helpers[started], NULL, take_turns, &job) == 0)
        started++;
    take_turns(&job);
    for (int i = 0; i < started; i++)
        pthread_join(helpers[i], NULL);
}
