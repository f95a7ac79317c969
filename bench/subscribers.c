/* SPDX-License-Identifier: Apache-2.0
 *
 * Many subscribers of one posed, some of which never read: how much arrives, how late, and whether every loss was told.
 *
 *     subscribers SOCKET [SUBSCRIBERS [STALLED [SECONDS]]]
 *
 * The healthy ones read as fast as they can; ten of them look at every line: its sequence number against the one before
 * (a gap line explains a jump), and its time of capture against the clock. For meaningful delays the cameras have to be
 * live ("realtime") on this machine. Processor time is the daemon's and this program's own while it measures: it tells
 * of the cost where other work on the machine makes delays mean little. Exit 1 when a loss was not told of.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define OBSERVERS 10
#define CAMERAS_MAX 256
#define DELAYS_MAX (1 << 20)
#define BUFFER (256 * 1024)

struct subscriber {
    int fd;
    int stalled, observer;
    size_t len;
    char *buf; /* observers */
    struct {
        char name[64];
        long long next;
    } camera[CAMERAS_MAX];
    int n_cameras;
};

static struct {
    long long bytes, lines, lost, untold;
    int n_delays;
    float delays[DELAYS_MAX]; /* ms */
} seen;

static double now(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Seconds of processor time that a thread, or (tid 0) all of process @pid, has had. */
static double cpu_of(pid_t pid, pid_t tid)
{
    char path[64], text[512] = "";
    snprintf(path, sizeof(path), tid ? "/proc/%d/task/%d/stat" : "/proc/%d/stat", pid, tid);
    FILE *file = fopen(path, "r");
    if (file && !fgets(text, sizeof(text), file))
        *text = 0;
    if (file)
        fclose(file);
    unsigned long user, system;
    const char *rest = strrchr(text, ')'); /* the name may hold anything */
    if (!rest || sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        return 0;
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

struct cpu {
    double daemon, loop, self;
};

static struct cpu cpu_now(pid_t daemon)
{
    return (struct cpu){cpu_of(daemon, 0), cpu_of(daemon, daemon), now(CLOCK_PROCESS_CPUTIME_ID)};
}

static pid_t peer_of(int fd)
{
    struct ucred cred = {0};
    socklen_t len = sizeof(cred);
    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
    return cred.pid;
}

static int connect_to(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(addr.sun_path))
        return -1;
    strcpy(addr.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    static const char hello[] = "{\"subscribe\":{\"cameras\":\"*\",\"types\":[\"pose\"]}}\n";
    if (fd < 0 || connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 ||
        write(fd, hello, sizeof(hello) - 1) < 0)
        return -1;
    return fd;
}

static long long number_after(const char *line, const char *key)
{
    const char *at = strstr(line, key);
    return at ? atoll(at + strlen(key)) : -1;
}

static void note_delay(const char *line)
{
    const char *at = strstr(line, "\"time\":\"");
    struct tm tm = {0};
    const char *rest = at ? strptime(at + 8, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
    if (rest && seen.n_delays < DELAYS_MAX)
        seen.delays[seen.n_delays++] = (float)((now(CLOCK_REALTIME) - (double)timegm(&tm) - atof(rest)) * 1e3);
}

static void look_at(struct subscriber *s, char *line)
{
    int pose = !strncmp(line, "{\"type\":\"pose\"", 14), gap = !strncmp(line, "{\"type\":\"gap\"", 13);
    const char *name = pose || gap ? strstr(line, "\"camera\":\"") : NULL;
    if (!name)
        return;
    name += 10;
    size_t n = strcspn(name, "\"");
    int i = 0;
    while (i < s->n_cameras && (strncmp(s->camera[i].name, name, n) || s->camera[i].name[n]))
        i++;
    if (i == CAMERAS_MAX || n >= sizeof(s->camera[i].name))
        return;
    long long from = number_after(line, pose ? "\"seq\":" : "\"from\":");
    if (i == s->n_cameras) {
        memcpy(s->camera[s->n_cameras++].name, name, n);
        s->camera[i].next = from;
    }
    seen.untold += from != s->camera[i].next;
    s->camera[i].next = (pose ? from : number_after(line, "\"to\":")) + 1;
    if (pose)
        note_delay(line);
    else
        seen.lost += number_after(line, "\"lost\":");
}

/* False when the daemon has hung up. */
static int read_one(struct subscriber *s)
{
    static char scratch[BUFFER];
    char *to = s->observer ? s->buf + s->len : scratch;
    ssize_t n = read(s->fd, to, s->observer ? BUFFER - s->len - 1 : BUFFER);
    if (n <= 0)
        return 0;
    seen.bytes += n;
    for (char *at = to, *end = to + n; (at = memchr(at, '\n', (size_t)(end - at))); at++)
        seen.lines++;
    if (!s->observer)
        return 1;
    s->len += (size_t)n;
    char *at = s->buf, *end;
    while ((end = memchr(at, '\n', s->len - (size_t)(at - s->buf)))) {
        *end = 0;
        look_at(s, at);
        at = end + 1;
    }
    s->len -= (size_t)(at - s->buf);
    memmove(s->buf, at, s->len);
    return 1;
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: subscribers SOCKET [SUBSCRIBERS [STALLED [SECONDS]]]\n");
        return 2;
    }
    int n = argc > 2 ? atoi(argv[2]) : 1000, stalled = argc > 3 ? atoi(argv[3]) : 100;
    double seconds = argc > 4 ? atof(argv[4]) : 10;
    struct rlimit limit = {(rlim_t)n + 64, (rlim_t)n + 64};
    setrlimit(RLIMIT_NOFILE, &limit);
    struct subscriber *all = calloc((size_t)n, sizeof(*all));
    int poll = epoll_create1(EPOLL_CLOEXEC);
    double begin = now(CLOCK_MONOTONIC);
    for (int i = 0; all && i < n; i++) {
        struct subscriber *s = &all[i];
        s->fd = connect_to(argv[1]);
        s->stalled = i < stalled;
        s->observer = i >= n - OBSERVERS;
        s->buf = s->observer ? malloc(BUFFER) : NULL;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = s};
        if (s->fd < 0 || (s->observer && !s->buf) ||
            (!s->stalled && epoll_ctl(poll, EPOLL_CTL_ADD, s->fd, &event) < 0)) {
            fprintf(stderr, "subscribers: %s: subscriber %d: %s\n", argv[1], i, strerror(errno));
            return 1;
        }
    }
    printf("%d connected in %.2f s\n", n, now(CLOCK_MONOTONIC) - begin);
    pid_t daemon = n > 0 ? peer_of(all[0].fd) : 0;
    struct cpu before = cpu_now(daemon);
    begin = now(CLOCK_MONOTONIC);
    while (now(CLOCK_MONOTONIC) < begin + seconds) {
        struct epoll_event events[64];
        int ready = epoll_wait(poll, events, 64, 100);
        for (int i = 0; i < ready; i++)
            if (!read_one(events[i].data.ptr)) {
                fprintf(stderr, "subscribers: a healthy one was hung up on\n");
                return 1;
            }
    }
    struct cpu after = cpu_now(daemon);
    qsort(seen.delays, (size_t)seen.n_delays, sizeof(seen.delays[0]), by_value);
    double took = now(CLOCK_MONOTONIC) - begin;
    printf("%.0f lines/s, %.1f MB/s; observers: %d lines, %lld frames lost and told, %lld untold\n",
           (double)seen.lines / took, (double)seen.bytes / took / 1e6, seen.n_delays, seen.lost, seen.untold);
    if (seen.n_delays)
        printf("capture to client: p50 %.1f ms, p99 %.1f ms, max %.1f ms\n", (double)seen.delays[seen.n_delays / 2],
               (double)seen.delays[(int)((double)seen.n_delays * 0.99)], (double)seen.delays[seen.n_delays - 1]);
    if (seen.lines)
        printf("processor time: daemon %.2f s (its loop %.2f s: %.2f us a line), this program %.2f s\n",
               after.daemon - before.daemon, after.loop - before.loop,
               (after.loop - before.loop) * 1e6 / (double)seen.lines, after.self - before.self);
    return seen.untold != 0;
}
