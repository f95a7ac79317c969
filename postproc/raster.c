/* SPDX-License-Identifier: Apache-2.0 */
#include "postproc/raster.h"

#include <math.h>
#include <string.h>

#include "core/util.h"

#define FAR 1e7f /* pixels */

static inline void blend(uint8_t *px, struct pd_colour c, float alpha)
{
    int a = (int)(alpha * 256.0f + 0.5f);
    px[0] = (uint8_t)(px[0] + (((int)c.r - px[0]) * a >> 8));
    px[1] = (uint8_t)(px[1] + (((int)c.g - px[1]) * a >> 8));
    px[2] = (uint8_t)(px[2] + (((int)c.b - px[2]) * a >> 8));
}

static inline uint8_t *pixel(const struct pd_canvas *canvas, int x, int y)
{
    return canvas->rgb + (ptrdiff_t)y * canvas->stride + (ptrdiff_t)x * 3;
}

/* Narrow [*t0, *t1] to where lo <= p + t * d <= hi. False when nothing is left. */
static bool clip_slab(double p, double d, double lo, double hi, double *t0, double *t1)
{
    if (fabs(d) < 1e-12)
        return p >= lo && p <= hi;
    double near = (lo - p) / d, far = (hi - p) / d;
    *t0 = fmax(*t0, fmin(near, far));
    *t1 = fmin(*t1, fmax(near, far));
    return *t0 <= *t1;
}

struct capsule {
    double ax, ay, dx, dy; /* start, and the way to the end */
    double inv_len2;       /* 0 for a disc */
    double radius;
};

static double distance(const struct capsule *s, double x, double y)
{
    double px = x - s->ax, py = y - s->ay;
    double t = PD_CLAMP((px * s->dx + py * s->dy) * s->inv_len2, 0.0, 1.0);
    px -= t * s->dx;
    py -= t * s->dy;
    return sqrt(px * px + py * py);
}

/* One row: only the part of the segment within reach of the row can touch it, which keeps long diagonals cheap. */
static void capsule_row(const struct pd_canvas *canvas, const struct capsule *s, int y, struct pd_colour colour,
                        float opacity)
{
    double reach = s->radius + 0.5, t0 = 0.0, t1 = 1.0;
    if (!clip_slab(s->ay, s->dy, y - reach, y + reach, &t0, &t1))
        return;
    double x0 = s->ax + t0 * s->dx, x1 = s->ax + t1 * s->dx;
    int from = (int)fmax(0.0, ceil(fmin(x0, x1) - reach));
    int to = (int)fmin(canvas->width - 1.0, floor(fmax(x0, x1) + reach));
    for (int x = from; x <= to; x++) {
        double cover = reach - distance(s, x, y);
        if (cover > 0.0)
            blend(pixel(canvas, x, y), colour, opacity * (float)fmin(cover, 1.0));
    }
}

void pd_raster_capsule(const struct pd_canvas *canvas, float ax, float ay, float bx, float by, float radius,
                       struct pd_colour colour, float opacity)
{
    if (!isfinite(ax) || !isfinite(ay) || !isfinite(bx) || !isfinite(by) || !(radius > 0.0f))
        return;
    /* Cut the segment to what can be seen, so that far ends cost nothing; absurd ones are brought to where doubles
     * still tell pixels apart. */
    ax = PD_CLAMP(ax, -FAR, FAR);
    ay = PD_CLAMP(ay, -FAR, FAR);
    bx = PD_CLAMP(bx, -FAR, FAR);
    by = PD_CLAMP(by, -FAR, FAR);
    double m = radius + 1.0, t0 = 0.0, t1 = 1.0, dx = (double)bx - ax, dy = (double)by - ay;
    if (!clip_slab(ax, dx, -m, canvas->width - 1 + m, &t0, &t1) ||
        !clip_slab(ay, dy, -m, canvas->height - 1 + m, &t0, &t1))
        return;
    struct capsule s = {ax + t0 * dx, ay + t0 * dy, (t1 - t0) * dx, (t1 - t0) * dy, 0.0, radius};
    double len2 = s.dx * s.dx + s.dy * s.dy;
    s.inv_len2 = len2 > 1e-9 ? 1.0 / len2 : 0.0;
    int top = (int)fmax(0.0, ceil(fmin(s.ay, s.ay + s.dy) - m));
    int bottom = (int)fmin(canvas->height - 1.0, floor(fmax(s.ay, s.ay + s.dy) + m));
    for (int y = top; y <= bottom; y++)
        capsule_row(canvas, &s, y, colour, opacity);
}

void pd_raster_box(const struct pd_canvas *canvas, int x, int y, int w, int h, struct pd_colour colour, float opacity)
{
    int64_t right = PD_MIN((int64_t)x + w, canvas->width), bottom = PD_MIN((int64_t)y + h, canvas->height);
    for (int64_t py = PD_MAX(y, 0); py < bottom; py++) {
        for (int64_t px = PD_MAX(x, 0); px < right; px++)
            blend(pixel(canvas, (int)px, (int)py), colour, opacity);
    }
}

/* Five dots a row, the leftmost the highest bit. */
static const struct glyph {
    char c;
    uint8_t rows[PD_GLYPH_H];
} font[] = {
    {'0', {14, 17, 17, 17, 17, 17, 14}}, {'1', {4, 12, 4, 4, 4, 4, 14}},    {'2', {14, 17, 1, 6, 8, 16, 31}},
    {'3', {14, 17, 1, 6, 1, 17, 14}},    {'4', {2, 6, 10, 18, 31, 2, 2}},   {'5', {31, 16, 30, 1, 1, 17, 14}},
    {'6', {6, 8, 16, 30, 17, 17, 14}},   {'7', {31, 1, 2, 2, 4, 4, 4}},     {'8', {14, 17, 17, 14, 17, 17, 14}},
    {'9', {14, 17, 17, 15, 1, 2, 12}},   {'#', {10, 10, 31, 10, 31, 10, 10}}, {'.', {0, 0, 0, 0, 0, 12, 12}},
    {'%', {24, 25, 2, 4, 8, 19, 3}},     {'-', {0, 0, 0, 14, 0, 0, 0}},
};

static const uint8_t *glyph_rows(char c)
{
    for (size_t i = 0; i < PD_ARRAY_SIZE(font); i++) {
        if (font[i].c == c)
            return font[i].rows;
    }
    return NULL;
}

void pd_raster_text(const struct pd_canvas *canvas, int x, int y, int dot, const char *text, struct pd_colour colour)
{
    for (; *text; text++, x += PD_GLYPH_W * dot) {
        const uint8_t *rows = glyph_rows(*text);
        for (int r = 0; rows && r < PD_GLYPH_H; r++) {
            for (int c = 0; c < PD_GLYPH_W - 1; c++) {
                if (rows[r] >> (PD_GLYPH_W - 2 - c) & 1)
                    pd_raster_box(canvas, x + c * dot, y + r * dot, dot, dot, colour, 1.0f);
            }
        }
    }
}
