/* SPDX-License-Identifier: Apache-2.0
 *
 * Linked into posed-clogged, the program as it is but for its connections: one whose other side has said that it will
 * send no more takes nothing more either, as if what was sent before still filled every buffer on the way. A goodbye
 * then has nowhere to go.
 */
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <time.h>

static struct timespec of_ms(int ms)
{
    return (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
}

static bool has_ended(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};
    return ppoll(&p, 1, &(struct timespec){0}, NULL) == 1 && (p.revents & POLLRDHUP);
}

/* In place of libc's, for libavformat as well. Its own declaration says that @fds is written to and not read. */
int clogged_poll(struct pollfd *fds, nfds_t n, int timeout) __asm__("poll");

int clogged_poll(struct pollfd *fds, nfds_t n, int timeout)
{
    struct timespec ts = of_ms(timeout);
    if (n != 1 || fds->events != POLLOUT || timeout < 0 || !has_ended(fds->fd))
        return ppoll(fds, n, timeout < 0 ? NULL : &ts, NULL);
    fds->revents = 0;
    nanosleep(&ts, NULL);
    return 0;
}
