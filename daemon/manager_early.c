/* SPDX-License-Identifier: Apache-2.0
 *
 * Signals that come before there is a loop to answer them, while the engine opens: for seconds, or minutes at a first
 * start on a GPU.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/command.h"
#include "daemon/manager.h"

static char socket_path[sizeof((struct sockaddr_un){0}.sun_path)];
static volatile sig_atomic_t bound;

/* No line has been promised to anybody yet: the end is the end. In a container, whose first process dies of no signal
 * that it does not handle, it would not come at all. */
static void on_end(int number)
{
    if (bound)
        unlink(socket_path);
    _exit(PD_EXIT_OK);
}

static void mask(int how, int first, int second)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, first);
    sigaddset(&set, second);
    pthread_sigmask(how, &set, NULL);
}

void pd_manager_catch_early_signals(void)
{
    const struct sigaction end = {.sa_handler = on_end};
    /* Who asks for a reload meanwhile changed what has been read already: the loop answers it later. */
    mask(SIG_BLOCK, SIGHUP, SIGHUP);
    sigaction(SIGTERM, &end, NULL);
    sigaction(SIGINT, &end, NULL);
}

void pd_manager_pass_signals_to_loop(void)
{
    mask(SIG_UNBLOCK, SIGHUP, SIGHUP);
}

int pd_manager_bind(struct pd_manager *m, struct pd_err *err)
{
    const struct pd_config *config = m->tree->config;
    mask(SIG_BLOCK, SIGTERM, SIGINT); /* a socket that is there is known to on_end() */
    int r = pd_listen_bind(config->socket, config->socket_mode, config->socket_group, &m->listen, err);
    if (r == 0) {
        snprintf(socket_path, sizeof(socket_path), "%s", m->listen.path);
        bound = 1;
    }
    mask(SIG_UNBLOCK, SIGTERM, SIGINT);
    return r;
}
