/* SPDX-License-Identifier: Apache-2.0 */
#include "decode/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "core/clock.h"

/* How often the waiting side looks at its deadline. */
#define POLL_NS (20 * PD_NS_PER_MS)

/* Shared by the lookup's thread and the one that waits; the last of them frees it. */
struct lookup {
    _Atomic int refs;
    _Atomic bool done;
    int result; /* getaddrinfo's; written before done */
    char host[256];
};

static void lookup_unref(struct lookup *l)
{
    if (atomic_fetch_sub(&l->refs, 1) == 1)
        free(l);
}

static void *look_up(void *arg)
{
    struct lookup *l = arg;
    struct addrinfo *list = NULL;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    pthread_setname_np(pthread_self(), "dec:dns");
    l->result = getaddrinfo(l->host, NULL, &hints, &list);
    if (l->result == 0)
        freeaddrinfo(list);
    atomic_store(&l->done, true);
    lookup_unref(l);
    return NULL;
}

static int start(struct lookup *l)
{
    pthread_attr_t attr;
    pthread_t thread;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    int r = pthread_create(&thread, &attr, look_up, l);
    pthread_attr_destroy(&attr);
    return -r;
}

/* The host of a URL; false: a literal address, or nothing that fits. */
static bool host_name(const char *url, char *host, size_t cap)
{
    const char *at = strstr(url, "://");
    at = at ? at + 3 : url;
    size_t n = strcspn(at, ":/?#");
    unsigned char address[sizeof(struct in6_addr)];
    if (*at == '[' || n == 0 || n >= cap)
        return false;
    snprintf(host, cap, "%.*s", (int)n, at);
    return inet_pton(AF_INET, host, address) != 1;
}

int pd_resolve(const struct pd_input *input, struct pd_interrupt *interrupt, struct pd_err *err)
{
    /* Behind a proxy it is the proxy that looks names up. */
    bool proxied = input->kind == PD_INPUT_HTTP && getenv("http_proxy");
    char host[256];
    if (proxied || !host_name(input->address, host, sizeof(host)))
        return 0;
    struct lookup *l = calloc(1, sizeof(*l));
    if (!l)
        return pd_err_set(err, -ENOMEM, "%s: out of memory", input->name);
    atomic_init(&l->refs, 2);
    memcpy(l->host, host, sizeof(host));
    int r = start(l);
    if (r < 0) {
        free(l);
        return pd_err_set(err, r, "%s: cannot start a thread: %s", input->name, strerror(-r));
    }
    while (!atomic_load(&l->done) && !pd_interrupt_poll(interrupt))
        nanosleep(&(struct timespec){0, POLL_NS}, NULL);
    if (!atomic_load(&l->done))
        r = interrupt->code;
    else if (l->result != 0)
        r = pd_err_set(err, -EHOSTUNREACH, "%s: host name %s: %s", input->name, host, gai_strerror(l->result));
    lookup_unref(l);
    return r;
}
