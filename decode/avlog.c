/* SPDX-License-Identifier: Apache-2.0 */
#include "decode/avlog.h"

#include <inttypes.h>
#include <libavutil/log.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/log.h"
#include "decode/av.h"

/* Lines a thread may write in one window; the rest is counted and told with the next window's first line. */
#define LINES_MAX 5
#define WINDOW_NS (10 * PD_NS_PER_S)

static _Thread_local struct {
    const char *context;
    int print_prefix;
    int64_t window_ns;
    unsigned lines, dropped;
    unsigned lost, parts;
    bool ended;
    int status;
    char complaint[128]; /* of TLS */
} tls = {.print_prefix = 1};

void pd_av_log_context(const char *name)
{
    tls.context = name;
}

unsigned pd_av_log_take_lost(void)
{
    unsigned lost = tls.lost;
    tls.lost = 0;
    return lost;
}

unsigned pd_av_log_take_parts(void)
{
    unsigned parts = tls.parts;
    tls.parts = 0;
    return parts;
}

bool pd_av_log_take_ended(void)
{
    bool ended = tls.ended;
    tls.ended = false;
    return ended;
}

int pd_av_log_take_status(void)
{
    int status = tls.status;
    tls.status = 0;
    return status;
}

bool pd_av_log_take_tls(char *text, size_t cap)
{
    snprintf(text, cap, "%s", tls.complaint);
    tls.complaint[0] = 0;
    return *text;
}

void pd_av_log_forget(void)
{
    tls.lost = tls.parts = 0;
    tls.ended = false;
    tls.status = 0;
    tls.complaint[0] = 0;
}

/* Which part of libav it is that speaks. */
static bool is_from(void *ctx, const char *part)
{
    const AVClass *class = ctx ? *(const AVClass **)ctx : NULL;
    return class && class->item_name && !strcmp(class->item_name(ctx), part);
}

/* That packets are missing (rtpdec.c) or a part of a playlist (hls.c), which status a server answered (rtsp.c, http.c)
 * and what TLS has against its peer (tls_*.c) reaches us in no other way. The format string decides what the arguments
 * are. tests/decode/test_hostile.c, test_damage.c and tests/e2e/test_tls.py fail when libav changes its words. */
static void note_facts(void *ctx, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

static void note_facts(void *ctx, const char *fmt, va_list ap)
{
    static const char ended[] = "Stream ends prematurely at %" PRIu64 ", should be %" PRIu64;
    va_list args;
    va_copy(args, ap);
    if (is_from(ctx, "tls") && !tls.complaint[0]) {
        vsnprintf(tls.complaint, sizeof(tls.complaint), fmt, args);
        tls.complaint[strcspn(tls.complaint, "\r\n")] = 0;
        va_end(args);
        return;
    }
    if (!strncmp(fmt, "RTP: missed %d", 14)) {
        tls.lost++;
    } else if (!strncmp(fmt, "Failed to open segment %", 24) && strstr(fmt, " of playlist")) {
        tls.parts++;
    } else if (!strncmp(fmt, ended, sizeof(ended) - 1)) {
        (void)va_arg(args, uint64_t);
        tls.ended = va_arg(args, uint64_t) == UINT64_MAX;
    } else if (!strncmp(fmt, "method %s failed: %d", 20)) {
        (void)va_arg(args, const char *);
        tls.status = va_arg(args, int);
    } else if (!strncmp(fmt, "HTTP error %d", 13)) {
        tls.status = va_arg(args, int);
    }
    va_end(args);
}

static bool may_write(void)
{
    int64_t now = pd_now_ns();
    if (!tls.window_ns || now - tls.window_ns >= WINDOW_NS) {
        if (tls.dropped)
            pd_log_debug(tls.context, "libav: %u more lines not shown", tls.dropped);
        tls.window_ns = now;
        tls.lines = tls.dropped = 0;
    }
    if (tls.lines == LINES_MAX) {
        tls.dropped++;
        return false;
    }
    tls.lines++;
    return true;
}

/* Everything libav says is a detail here: what matters to people comes back as an error and is told once, in our words.
 * So its lines are debug lines, and TRACE, the one level that prints Authorization headers, is never passed on. */
static void log_callback(void *ctx, int level, const char *fmt, va_list ap)
{
    if (level > AV_LOG_WARNING)
        return;
    note_facts(ctx, fmt, ap);
    if (pd_log_get_level() < PD_LOG_DEBUG)
        return;
    char line[512];
    av_log_format_line2(ctx, level, fmt, ap, line, (int)sizeof(line), &tls.print_prefix);
    size_t n = strcspn(line, "\r\n");
    line[n] = 0;
    if (n && may_write())
        pd_log_debug(tls.context, "libav: %s", line);
}

void pd_avlog_install(void)
{
    av_log_set_level(AV_LOG_WARNING);
    av_log_set_callback(log_callback);
}
