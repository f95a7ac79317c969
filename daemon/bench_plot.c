/* SPDX-License-Identifier: Apache-2.0
 *
 * Time of a batch against its size, measured beside what it would be if frames cost the same one by one.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "daemon/bench.h"

enum { WIDTH = 760, HEIGHT = 460, LEFT = 80, RIGHT = 30, TOP = 60, BOTTOM = 60 };

/* The next of 1, 2, 5, 10, 20, 50, ... that splits @most into at most six steps. */
static double tick_step(double most)
{
    double step = pow(10, floor(log10(most / 6)));
    while (most / step > 6)
        step *= most / step > 30 ? 10 : most / step > 12 ? 5 : 2;
    return step;
}

static double px(double n, double most)
{
    return LEFT + (WIDTH - LEFT - RIGHT) * n / most;
}

static double py(double ms, double most)
{
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * ms / most;
}

/* Names come from files and devices: nothing of them may become markup. */
static void put_text(FILE *f, const char *s)
{
    for (; *s; s++) {
        if (*s == '<' || *s == '>' || *s == '&')
            fprintf(f, "&#%d;", *s);
        else if ((unsigned char)*s >= 0x20)
            fputc(*s, f);
    }
}

static void put_axes(const struct pd_bench *b, FILE *f, double most_n, double most_ms)
{
    double step = tick_step(most_ms);
    for (double v = 0; v <= most_ms; v += step) {
        fprintf(f, "<line x1='%d' y1='%.1f' x2='%d' y2='%.1f' stroke='#ddd'/>\n", LEFT, py(v, most_ms), WIDTH - RIGHT,
                py(v, most_ms));
        fprintf(f, "<text x='%d' y='%.1f' text-anchor='end'>%g</text>\n", LEFT - 8, py(v, most_ms) + 4, v);
    }
    for (int i = 0; i < b->n_batches; i++)
        fprintf(f, "<text x='%.1f' y='%d' text-anchor='middle'>%d</text>\n", px(b->batch[i].n, most_n),
                HEIGHT - BOTTOM + 20, b->batch[i].n);
    fprintf(f, "<line x1='%d' y1='%d' x2='%d' y2='%d' stroke='#333'/>\n", LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT,
            HEIGHT - BOTTOM);
    fprintf(f, "<text x='%d' y='%d' text-anchor='middle'>frames in the batch</text>\n", (LEFT + WIDTH - RIGHT) / 2,
            HEIGHT - 16);
    fprintf(f, "<text x='20' y='%d' text-anchor='middle' transform='rotate(-90 20 %d)'>ms a batch</text>\n",
            (TOP + HEIGHT - BOTTOM) / 2, (TOP + HEIGHT - BOTTOM) / 2);
}

static void put_lines(const struct pd_bench *b, FILE *f, double most_n, double most_ms)
{
    double one = b->batch[0].ms / b->batch[0].n;
    fprintf(f, "<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' stroke='#999' stroke-dasharray='6 4'/>\n", px(0, most_n),
            py(0, most_ms), px(most_n, most_n), py(one * most_n, most_ms));
    fputs("<polyline fill='none' stroke='#0b5fa5' stroke-width='2.5' points='", f);
    for (int i = 0; i < b->n_batches; i++)
        fprintf(f, "%.1f,%.1f ", px(b->batch[i].n, most_n), py(b->batch[i].ms, most_ms));
    fputs("'/>\n", f);
    for (int i = 0; i < b->n_batches; i++) {
        const struct pd_bench_batch *r = &b->batch[i];
        fprintf(f, "<circle cx='%.1f' cy='%.1f' r='4' fill='#0b5fa5'><title>batch %d: %.2f ms, %.1f frames/s</title>"
                "</circle>\n", px(r->n, most_n), py(r->ms, most_ms), r->n, r->ms, r->fps);
    }
}

static void put_drawing(const struct pd_bench *b, FILE *f)
{
    double most_n = b->batch[b->n_batches - 1].n, most_ms = b->batch[0].ms / b->batch[0].n * most_n;
    for (int i = 0; i < b->n_batches; i++)
        most_ms = PD_MAX(most_ms, b->batch[i].ms);
    fprintf(f, "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %d %d' font-family='sans-serif' font-size='13'>\n"
            "<rect width='100%%' height='100%%' fill='white'/>\n<text x='%d' y='26' font-size='16'>",
            WIDTH, HEIGHT, LEFT);
    put_text(f, b->net->meta.name);
    fprintf(f, " at %dx%d: %.1f frames/s at best</text>\n<text x='%d' y='46' fill='#555'>", b->width, b->height,
            pd_bench_best_fps(b), LEFT);
    put_text(f, b->caps->name);
    fputs(", ", f);
    put_text(f, b->caps->device);
    fputs("; dashed: batch 1 times the frames</text>\n", f);
    put_axes(b, f, most_n, most_ms);
    put_lines(b, f, most_n, most_ms);
    fputs("</svg>\n", f);
}

int pd_bench_plot(const struct pd_bench *b, const char *path, struct pd_err *err)
{
    if (b->n_batches < 1)
        return pd_err_set(err, -EINVAL, "%s: nothing was measured that could be drawn", path);
    FILE *f = fopen(path, "we");
    if (!f)
        return pd_err_set(err, -errno, "cannot write %s: %s", path, strerror(errno));
    put_drawing(b, f);
    bool bad = ferror(f) != 0;
    if (fclose(f) != 0 || bad)
        return pd_err_set(err, -EIO, "cannot write %s: is the disk full?", path);
    return 0;
}
