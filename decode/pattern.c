/* SPDX-License-Identifier: Apache-2.0
 *
 * Synthetic input without libav: the same frames each time, on every machine. "people" are walking stick figures,
 * "bars" colour bars with a ball that says which frame it is.
 *
 *   test:NAME?size=WxH&rate=R&frames=N     defaults 640x360, 25, 0 (for ever)
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "decode/reader_impl.h"

struct pattern {
    struct pd_reader base;
    struct pd_input input;
    struct pd_interrupt interrupt;
    int width, height;
    double rate;
    int64_t frames, at;
    void (*draw)(struct pd_frame *f, double t);
};

struct colour {
    uint8_t y, u, v;
};

static struct pattern *pattern_of(struct pd_reader *reader)
{
    return PD_CONTAINER_OF(reader, struct pattern, base);
}

/* Paint pixels [x0, x1) of row @y; chroma goes to the sample that covers them. */
static void paint(struct pd_frame *f, int y, int x0, int x1, struct colour c)
{
    x0 = PD_MAX(x0, 0);
    x1 = PD_MIN(x1, f->width);
    if (y < 0 || y >= f->height || x0 >= x1)
        return;
    memset((uint8_t *)f->plane[0] + (ptrdiff_t)y * f->stride[0] + x0, c.y, (size_t)(x1 - x0));
    size_t n = (size_t)((x1 + 1) / 2 - x0 / 2);
    memset((uint8_t *)f->plane[1] + (ptrdiff_t)(y / 2) * f->stride[1] + x0 / 2, c.u, n);
    memset((uint8_t *)f->plane[2] + (ptrdiff_t)(y / 2) * f->stride[2] + x0 / 2, c.v, n);
}

/* A thick line with round ends; with both ends equal, a disc. */
static void capsule(struct pd_frame *f, double ax, double ay, double bx, double by, double r, struct colour c)
{
    int y0 = (int)floor(fmin(ay, by) - r), y1 = (int)ceil(fmax(ay, by) + r);
    int x0 = (int)floor(fmin(ax, bx) - r), x1 = (int)ceil(fmax(ax, bx) + r);
    double dx = bx - ax, dy = by - ay, len2 = dx * dx + dy * dy;
    for (int y = PD_MAX(y0, 0); y <= PD_MIN(y1, f->height - 1); y++) {
        int from = -1, to = -1; /* the shape is convex: one run a row */
        for (int x = PD_MAX(x0, 0); x <= PD_MIN(x1, f->width - 1); x++) {
            double t = len2 > 0 ? PD_CLAMP(((x - ax) * dx + (y - ay) * dy) / len2, 0, 1) : 0;
            double ex = x - ax - t * dx, ey = y - ay - t * dy;
            if (ex * ex + ey * ey > r * r)
                continue;
            from = from < 0 ? x : from;
            to = x + 1;
        }
        if (from >= 0)
            paint(f, y, from, to, c);
    }
}

/* One walker, @size pixels tall, feet at (x, y); @phase in strides. */
static void figure(struct pd_frame *f, double x, double y, double size, double phase, struct colour shirt)
{
    static const struct colour skin = {170, 110, 150}, trousers = {60, 140, 120};
    double swing = 0.12 * size * sin(phase * 2 * M_PI), limb = 0.035 * size;
    double hip = y - 0.48 * size, shoulder = y - 0.80 * size, half = 0.11 * size;
    for (int side = -1; side <= 1; side += 2) {
        double s = swing * side;
        capsule(f, x + 0.05 * size * side, hip, x + 0.05 * size * side + s * 0.5, y - 0.24 * size, limb, trousers);
        capsule(f, x + 0.05 * size * side + s * 0.5, y - 0.24 * size, x + 0.05 * size * side + s, y, limb, trousers);
        capsule(f, x + half * side, shoulder, x + half * side - s * 0.4, y - 0.62 * size, limb, shirt);
        capsule(f, x + half * side - s * 0.4, y - 0.62 * size, x + half * side - s, y - 0.46 * size, limb, skin);
    }
    capsule(f, x, shoulder + 0.03 * size, x, hip, 0.09 * size, shirt);
    capsule(f, x, y - 0.92 * size, x, y - 0.90 * size, 0.06 * size, skin);
}

static void draw_people(struct pd_frame *f, double t)
{
    static const struct colour wall = {200, 126, 130}, floor_ = {130, 120, 136};
    static const struct {
        double start, speed, depth; /* of the width; widths a second; 0 far .. 1 near */
        struct colour shirt;
    } walkers[] = {
        {0.1, 0.06, 0.1, {90, 170, 110}}, {0.7, -0.08, 0.5, {120, 100, 190}}, {0.4, 0.05, 0.9, {80, 110, 90}},
    };
    for (int y = 0; y < f->height; y++)
        paint(f, y, 0, f->width, y < f->height * 2 / 5 ? wall : floor_);
    for (size_t i = 0; i < PD_ARRAY_SIZE(walkers); i++) {
        double pos = walkers[i].start + walkers[i].speed * t;
        pos -= floor(pos);
        figure(f, pos * f->width, f->height * (0.70 + 0.25 * walkers[i].depth),
               f->height * (0.45 + 0.25 * walkers[i].depth), t * 0.9 + (double)i * 0.3, walkers[i].shirt);
    }
}

static void draw_bars(struct pd_frame *f, double t)
{
    static const struct colour bars[] = {
        {180, 128, 128}, {162, 44, 142}, {131, 156, 44}, {112, 72, 58},
        {84, 184, 198},  {65, 100, 212}, {35, 212, 114}, {16, 128, 128},
    }; /* 75 % white, yellow, cyan, green, magenta, red, blue, black of BT.601 */
    int n = (int)PD_ARRAY_SIZE(bars);
    for (int y = 0; y < f->height; y++)
        for (int i = 0; i < n; i++)
            paint(f, y, (i * f->width / n) & ~1, i == n - 1 ? f->width : ((i + 1) * f->width / n) & ~1, bars[i]);
    double r = f->height * 0.08, x = t * 0.2;
    capsule(f, (x - floor(x)) * f->width, f->height * 0.5, (x - floor(x)) * f->width, f->height * 0.5, r,
            (struct colour){235, 128, 128});
}

static int pattern_next(struct pd_reader *reader, struct pd_frame **ret_frame, struct pd_err *err)
{
    struct pattern *p = pattern_of(reader);
    if (pd_interrupt_poll(&p->interrupt))
        return pd_err_set(err, p->interrupt.code, "%s: stopped", p->input.name);
    if (p->frames && p->at == p->frames)
        return PD_READER_E_END;
    struct pd_frame *f = pd_frame_alloc(PD_PIX_YUV, p->width, p->height, 1, 1);
    if (!f)
        return pd_err_set(err, -ENOMEM, "%s: out of memory", p->input.name);
    f->range = PD_RANGE_LIMITED;
    f->matrix = PD_MATRIX_BT601;
    p->draw(f, (double)p->at / p->rate);
    f->pts_us = (int64_t)((double)p->at * 1e6 / p->rate + 0.5);
    f->captured_us = f->pts_us;
    f->arrived_ns = pd_now_ns();
    f->time_source = PD_TIME_FILE;
    p->at++;
    if (reader->progress)
        reader->progress(reader->progress_user);
    *ret_frame = f;
    return 0;
}

static int pattern_rewind(struct pd_reader *reader, struct pd_err *err)
{
    pattern_of(reader)->at = 0;
    return 0;
}

static void pattern_close(struct pd_reader *reader)
{
    struct pattern *p = pattern_of(reader);
    pd_input_finish(&p->input);
    free(p);
}

static const struct pd_reader_ops pattern_ops = {
    .next = pattern_next,
    .rewind = pattern_rewind,
    .close = pattern_close,
};

/* "key=value" of the query. */
static bool set_option(struct pattern *p, const char *option)
{
    int n = 0;
    long long frames;
    if (sscanf(option, "size=%dx%d%n", &p->width, &p->height, &n) == 2 && !option[n])
        return p->width > 0 && p->height > 0 && p->width <= 8192 && p->height <= 8192;
    if (sscanf(option, "rate=%lf%n", &p->rate, &n) == 1 && !option[n])
        return p->rate >= 0.001 && p->rate <= 1000; /* as of files: below it times overflow */
    if (sscanf(option, "frames=%lld%n", &frames, &n) == 1 && !option[n]) {
        p->frames = frames;
        return frames >= 0;
    }
    return false;
}

static int configure(struct pattern *p, struct pd_err *err)
{
    PD_CLEANUP(pd_freep) char *text = strdup(p->input.address);
    if (!text)
        return pd_err_set(err, -ENOMEM, "out of memory");
    char *query = strchr(text, '?'), *save = NULL;
    if (query)
        *query++ = 0;
    if (!strcmp(text, "people"))
        p->draw = draw_people;
    else if (!strcmp(text, "bars"))
        p->draw = draw_bars;
    else
        return pd_err_set(err, -EINVAL, "test:%s: no such pattern; there are test:people and test:bars", text);
    for (char *o = query ? strtok_r(query, "&", &save) : NULL; o; o = strtok_r(NULL, "&", &save))
        if (!set_option(p, o))
            return pd_err_set(err, -EINVAL,
                              "%s: bad option '%s'; expected size=WxH (up to 8192), rate=R (0.001 to 1000) or frames=N",
                              p->input.name, o);
    return 0;
}

int pd_reader_open_pattern(const struct pd_reader_params *params, struct pd_input *input,
                           struct pd_reader **ret_reader, struct pd_err *err)
{
    struct pattern *p = calloc(1, sizeof(*p));
    if (!p)
        return pd_err_set(err, -ENOMEM, "out of memory");
    p->base.ops = &pattern_ops;
    p->interrupt = (struct pd_interrupt){params->interrupt, params->user, 0};
    p->width = 640;
    p->height = 360;
    p->rate = 25;
    p->input = *input;
    int r = configure(p, err);
    if (r < 0) {
        free(p);
        return r;
    }
    memset(input, 0, sizeof(*input));
    p->base.info = (struct pd_reader_info){
        .width = p->width, .height = p->height, .fps = p->rate, .frames = p->frames, .codec = "test"};
    p->base.current = p->input.name;
    *ret_reader = &p->base;
    return 0;
}
