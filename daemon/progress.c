/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/util.h"

#define REDRAW_NS (PD_NS_PER_S / 10)
#define WIDTH_DEFAULT 80

void pd_progress_start(struct pd_progress *p, bool quiet)
{
    struct winsize size;
    *p = (struct pd_progress){.on = !quiet && isatty(STDERR_FILENO), .width = WIDTH_DEFAULT, .started_ns = pd_now_ns()};
    if (p->on && !ioctl(STDERR_FILENO, TIOCGWINSZ, &size) && size.ws_col > 0)
        p->width = size.ws_col;
}

void pd_progress_input(struct pd_progress *p, const char *name, int64_t total)
{
    const char *slash = strrchr(name, '/');
    snprintf(p->name, sizeof(p->name), "%s", slash && slash[1] ? slash + 1 : name);
    for (char *c = p->name; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    p->total = total;
}

static void duration(double seconds, char *text, size_t size)
{
    unsigned s = seconds < 359999.0 ? (unsigned)(seconds + 0.5) : 359999u;
    if (s >= 3600)
        snprintf(text, size, "%u:%02u:%02u", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(text, size, "%u:%02u", s / 60, s % 60);
}

void pd_progress_text(const struct pd_progress *p, int64_t now_ns, char *text, size_t size)
{
    double elapsed = (double)(now_ns - p->started_ns) / 1e9;
    double rate = elapsed > 0.0 ? (double)p->done / elapsed : 0.0;
    if (p->total <= 0 || p->done > (uint64_t)p->total) {
        snprintf(text, size, "%.24s  %" PRIu64 " frames  %.1f/s", p->name, p->done, rate);
        return;
    }
    char left[24] = "?", bar[41];
    if (rate > 0.0)
        duration(((double)p->total - (double)p->done) / rate, left, sizeof(left));
    /* What is left of the line when names and numbers have their room. */
    int n = PD_CLAMP(p->width - 70, 5, 40), filled = (int)((double)n * (double)p->done / (double)p->total);
    memset(bar, '.', (size_t)n);
    memset(bar, '#', (size_t)filled);
    bar[n] = 0;
    snprintf(text, size, "%.24s  [%s] %" PRIu64 "/%" PRId64 "  %.1f/s  %s left", p->name, bar, p->done, p->total, rate,
             left);
}

void pd_progress_add(struct pd_progress *p, uint64_t n, int64_t now_ns)
{
    p->done += n;
    if (!p->on || now_ns - p->drawn_ns < REDRAW_NS)
        return;
    p->drawn_ns = now_ns;
    char text[200];
    pd_progress_text(p, now_ns, text, sizeof(text));
    fprintf(stderr, "\r\033[K%.*s", p->width - 1, text);
    fflush(stderr);
}

void pd_progress_clear(struct pd_progress *p)
{
    if (p->on && p->drawn_ns) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
}
