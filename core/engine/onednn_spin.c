/* SPDX-License-Identifier: Apache-2.0
 *
 * GNU OpenMP lets a thread that waits for its team spin for milliseconds, which is right for a machine of one's own and
 * ruinous here: decoders and post-processing want the same cores, and whoever spins keeps them from the very thread it
 * waits for. Measured beside nine busy processes on two cores: 680-920 ms a frame, 130-260 ms with short spins.
 *
 * The spin length can be set only in the environment and only before the process starts. But the library's manual also
 * says that the spins are short (100 instead of 300,000 turns) while there are more OpenMP threads than processors. So
 * we see to it that there are: a few threads that belong to a team and sleep for ever.
 */
#include "core/engine/onednn_spin.h"

#include <omp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/engine/cpu.h"

/* More sleepers than this are not worth it: then the team leaves so many processors free that others have room. */
#define SLEEPERS_MAX 16

static _Atomic bool asleep;

static void join_team(int i, void *arg)
{
}

static void *sleep_for_ever(void *arg)
{
    pd_cpu_parallel((int)(intptr_t)arg, join_team, NULL);
    for (;;)
        pause();
    return NULL;
}

void pd_dnn_shorten_spins(int threads)
{
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT"))
        return; /* somebody has decided */
    int n = omp_get_num_procs() - threads + 2; /* members of a team beside its first thread, which is not counted */
    if (n < 2)
        n = 2;
    if (n > SLEEPERS_MAX || atomic_exchange(&asleep, true))
        return;
    pthread_t t;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals belong to the program's own threads */
    if (pthread_create(&t, NULL, sleep_for_ever, (void *)(intptr_t)n) == 0)
        pthread_detach(t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}
