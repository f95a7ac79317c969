/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows first, then columns: the weighted sum of source rows gives one row of the source's width, which is then summed
 * along x; so every source byte is read once for each output row that it touches, and in order.
 *
 * Chroma siting: chroma samples are taken to lie in the middle of the luma samples that they cover, in both directions
 * (JPEG, MPEG-1). In MPEG-2's siting, which most H.264 cameras use, they lie half a luma pixel further left: ignoring
 * that moves colour, not luma, by less than a fifth of an input pixel at 720p to 456x256.
 */
#include "core/letterbox.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "core/resample.h"
#include "core/util.h"

int pd_letterbox_fit(int src_w, int src_h, const struct pd_rect *roi, int dst_w, int dst_h, struct pd_letterbox *ret_lb)
{
    if (src_w < 1 || src_h < 1 || dst_w < 1 || dst_h < 1)
        return -EINVAL;
    struct pd_rect r = {0, 0, src_w, src_h};
    if (roi && roi->w > 0 && roi->h > 0) {
        int64_t x1 = PD_MIN((int64_t)roi->x + roi->w, src_w), y1 = PD_MIN((int64_t)roi->y + roi->h, src_h);
        int x0 = PD_MAX(roi->x, 0), y0 = PD_MAX(roi->y, 0);
        if (x0 < x1 && y0 < y1)
            r = (struct pd_rect){x0, y0, (int)x1 - x0, (int)y1 - y0};
    }
    double scale = PD_MIN((double)dst_w / r.w, (double)dst_h / r.h);
    struct pd_letterbox lb = {.roi = r, .dst_w = dst_w, .dst_h = dst_h};
    lb.in_w = PD_CLAMP((int)lround(r.w * scale), 1, dst_w);
    lb.in_h = PD_CLAMP((int)lround(r.h * scale), 1, dst_h);
    lb.sx = (float)lb.in_w / (float)r.w;
    lb.sy = (float)lb.in_h / (float)r.h;
    *ret_lb = lb;
    return 0;
}

/* ---- filter tables ---- */

/* An axis with what it was made for, so that it is made again only when the camera's geometry changes. */
struct axis {
    struct pd_resample_axis a;
    int from, length, shift, n_out; /* source rectangle's side in luma samples, subsampling, input pixels */
    int *ints;
    float *weights;
};

static void axis_finish(struct axis *axis)
{
    free(axis->ints);
    free(axis->weights);
    *axis = (struct axis){0};
}

/* Fill output @i: a triangle around its centre, as wide as the shrink factor, over the samples that are there. The
 * centre is at most half a sample outside and the triangle reaches a whole one, so at least one sample has weight. */
static void axis_fill(struct axis *axis, int *start, int *count, float *weight, int i)
{
    double unit = 1 << axis->shift, ratio = (double)axis->length / axis->n_out / unit;
    double half = PD_MAX(ratio, 1.0);
    double centre = (axis->from + (i + 0.5) * (double)axis->length / axis->n_out) / unit - 0.5 - axis->a.first;
    int lo = PD_MAX((int)floor(centre - half) + 1, 0), hi = PD_MIN((int)ceil(centre + half) - 1, axis->a.n_in - 1);
    double sum = 0.0;
    for (int s = lo; s <= hi; s++)
        sum += 1.0 - fabs(s - centre) / half;
    for (int s = lo; s <= hi; s++)
        weight[s - lo] = (float)((1.0 - fabs(s - centre) / half) / sum);
    *start = lo;
    *count = hi - lo + 1;
}

static int axis_set(struct axis *axis, int from, int length, int shift, int n_out)
{
    if (axis->ints && axis->from == from && axis->length == length && axis->shift == shift && axis->n_out == n_out)
        return 0;
    axis_finish(axis);
    int first = from >> shift, last = (from + length - 1) >> shift;
    double half = PD_MAX((double)length / n_out / (1 << shift), 1.0);
    size_t padded = (size_t)n_out + PD_RESAMPLE_LANES - 1;
    size_t taps = (size_t)(2.0 * half) + 2;
    taps = (taps + PD_RESAMPLE_LANES - 1) / PD_RESAMPLE_LANES * PD_RESAMPLE_LANES;
    size_t n_weights;
    if (pd_mul_overflows(padded, taps, &n_weights))
        return -ENOMEM;
    int *ints = calloc(padded, 2 * sizeof(*ints));
    float *weights = calloc(n_weights, sizeof(*weights));
    if (!ints || !weights) {
        free(ints);
        free(weights);
        return -ENOMEM;
    }
    *axis = (struct axis){
        .a = {.first = first, .n_in = last - first + 1, .n_out = n_out, .taps = (int)taps, .start = ints,
              .count = ints + padded, .weight = weights},
        .from = from, .length = length, .shift = shift, .n_out = n_out, .ints = ints, .weights = weights,
    };
    for (int i = 0; i < n_out; i++)
        axis_fill(axis, &ints[i], &ints[padded + (size_t)i], weights + (size_t)i * taps, i);
    return 0;
}

/* ---- the resampler ---- */

struct pd_resampler {
    const struct pd_resample_ops *ops;
    struct axis x[2], y[2]; /* luma, chroma */
    float *rows;            /* room for the row buffers of one output row */
    size_t n_rows;          /* floats in rows */
};

struct pd_resampler *pd_resampler_create(void)
{
    struct pd_resampler *rs = calloc(1, sizeof(*rs));
    if (rs)
        rs->ops = pd_resample_best();
    return rs;
}

void pd_resampler_destroy(struct pd_resampler *rs)
{
    if (!rs)
        return;
    for (int i = 0; i < 2; i++) {
        axis_finish(&rs->x[i]);
        axis_finish(&rs->y[i]);
    }
    free(rs->rows);
    free(rs);
}

void pd_resampler_set_ops(struct pd_resampler *rs, const struct pd_resample_ops *ops)
{
    rs->ops = ops;
}

/* One row of each kind. `sum` holds the weighted sum of source rows, samples still interleaved; `split` the same for
 * one channel, followed by enough zeros that a padded run of taps stays inside; `out` a channel at input width. */
struct rows {
    float *sum, *split[3], *out[3];
};

static int rows_reserve(struct pd_resampler *rs, int n_in_max, int taps_max, int n_out, struct rows *ret_rows)
{
    size_t wide = (size_t)n_in_max + (size_t)taps_max, out = (size_t)n_out + PD_RESAMPLE_LANES;
    size_t need = 3 * wide + 3 * wide + 3 * out;
    if (need > rs->n_rows) {
        free(rs->rows);
        rs->rows = pd_alloc_aligned(need * sizeof(float));
        rs->n_rows = rs->rows ? need : 0;
        if (!rs->rows)
            return -ENOMEM;
    }
    /* Padding meets weight 0 only, but must be finite: 0 times NaN is NaN. */
    memset(rs->rows, 0, need * sizeof(float));
    float *p = rs->rows;
    ret_rows->sum = p;
    p += 3 * wide;
    for (int i = 0; i < 3; i++, p += wide)
        ret_rows->split[i] = p;
    for (int i = 0; i < 3; i++, p += out)
        ret_rows->out[i] = p;
    return 0;
}

/* Row @y of plane @i, which interleaves @channels channels of @sample bytes, into rows->out[@to ...]. */
static void plane_row(const struct pd_resampler *rs, const struct pd_frame *frame, int i, int channels, int sample,
                      int y, int to, const struct rows *rows)
{
    const struct pd_resample_ops *ops = rs->ops;
    const struct pd_resample_axis *ax = &rs->x[i > 0].a, *ay = &rs->y[i > 0].a;
    const float *weight = ay->weight + (size_t)y * (size_t)ay->taps;
    const uint8_t *src = frame->plane[i] + (ptrdiff_t)(ay->first + ay->start[y]) * frame->stride[i] +
                         (ptrdiff_t)ax->first * channels * sample;
    float *sum = channels == 1 ? rows->split[0] : rows->sum;
    if (sample == 1)
        ops->rows_u8(sum, src, frame->stride[i], weight, ay->count[y], ax->n_in * channels);
    else
        ops->rows_u16(sum, (const uint16_t *)(const void *)src, frame->stride[i] / 2, weight, ay->count[y],
                      ax->n_in * channels);
    if (channels == 2)
        ops->split2(rows->split[0], rows->split[1], sum, ax->n_in);
    else if (channels == 3)
        ops->split3(rows->split[0], rows->split[1], rows->split[2], sum, ax->n_in);
    for (int c = 0; c < channels; c++)
        ops->columns(rows->out[to + c], rows->split[c], ax);
}

/* ITU-R BT.601, BT.709 and BT.2020: luma weights of red and blue. */
static void matrix_weights(enum pd_matrix matrix, double *ret_kr, double *ret_kb)
{
    switch (matrix) {
    case PD_MATRIX_BT709:
        *ret_kr = 0.2126, *ret_kb = 0.0722;
        return;
    case PD_MATRIX_BT2020:
        *ret_kr = 0.2627, *ret_kb = 0.0593;
        return;
    case PD_MATRIX_BT601:
        break;
    }
    *ret_kr = 0.299, *ret_kb = 0.114;
}

/* R' = Y' + 2 (1 - Kr) Cr, B' = Y' + 2 (1 - Kb) Cb, G' from the luma equation; Y' in 0..1, Cb and Cr in -0.5..0.5 after
 * the offsets and excursions of the range at the format's depth; times 255. */
static struct pd_resample_colour colour_of(const struct pd_frame *frame, const struct pd_normalise *norm)
{
    double kr, kb;
    matrix_weights(frame->matrix, &kr, &kb);
    bool ten = frame->format == PD_PIX_P010, full = frame->range == PD_RANGE_FULL;
    double unit = ten ? 1.0 / 64.0 : 1.0, depth = ten ? 4.0 : 1.0; /* words to codes; codes per 8-bit code */
    double y_zero = full ? 0.0 : 16.0 * depth, y_span = full ? (ten ? 1023.0 : 255.0) : 219.0 * depth;
    double c_zero = 128.0 * depth, c_span = full ? y_span : 224.0 * depth;

    double kg = 1.0 - kr - kb;
    double rv = 255.0 * 2.0 * (1.0 - kr) / c_span, bu = 255.0 * 2.0 * (1.0 - kb) / c_span;
    double gu = -bu * kb / kg, gv = -rv * kr / kg, yk = 255.0 / y_span;
    struct pd_resample_colour c = {
        .yk = (float)(yk * unit), .rv = (float)(rv * unit), .gu = (float)(gu * unit), .gv = (float)(gv * unit),
        .bu = (float)(bu * unit),
        .r0 = (float)(-yk * y_zero - rv * c_zero), .g0 = (float)(-yk * y_zero - (gu + gv) * c_zero),
        .b0 = (float)(-yk * y_zero - bu * c_zero),
    };
    if (frame->format == PD_PIX_GRAY8)
        c.r0 = c.g0 = c.b0 = (float)(-yk * y_zero);
    for (int i = 0; i < 3; i++) {
        int from = norm->bgr ? 2 - i : i;
        c.mean[i] = norm->mean[from];
        c.scale[i] = norm->scale[from];
    }
    return c;
}

static void output_row(const struct pd_resampler *rs, const struct pd_frame *frame, int y, int n,
                       const struct rows *rows, const struct pd_resample_colour *colour, float *const rgb[3])
{
    const struct pd_resample_ops *ops = rs->ops;
    float *const *out = rows->out;
    switch (frame->format) {
    case PD_PIX_YUV:
        for (int i = 0; i < 3; i++)
            plane_row(rs, frame, i, 1, 1, y, i, rows);
        break;
    case PD_PIX_NV12:
    case PD_PIX_P010: {
        int sample = frame->format == PD_PIX_P010 ? 2 : 1;
        plane_row(rs, frame, 0, 1, sample, y, 0, rows);
        plane_row(rs, frame, 1, 2, sample, y, 1, rows);
        break;
    }
    case PD_PIX_RGB24:
    case PD_PIX_BGR24:
        plane_row(rs, frame, 0, 3, 1, y, 0, rows);
        for (int i = 0; i < 3; i++) {
            int c = frame->format == PD_PIX_BGR24 ? 2 - i : i;
            ops->normalise(rgb[c], out[i], n, colour->mean[c], colour->scale[c]);
        }
        return;
    case PD_PIX_GRAY8:
        plane_row(rs, frame, 0, 1, 1, y, 0, rows);
        ops->grey(rgb[0], rgb[1], rgb[2], out[0], n, colour);
        return;
    }
    ops->yuv(rgb[0], rgb[1], rgb[2], out[0], out[1], out[2], n, colour);
}

/* ---- checks ---- */

static bool belongs(const struct pd_letterbox *lb, const struct pd_frame *frame)
{
    const struct pd_rect *r = &lb->roi;
    if (frame->width < 1 || frame->height < 1 || frame->width > PD_FRAME_SIDE_MAX ||
        frame->height > PD_FRAME_SIDE_MAX || frame->chroma_shift_x < 0 || frame->chroma_shift_x > 2 ||
        frame->chroma_shift_y < 0 || frame->chroma_shift_y > 2)
        return false;
    if (r->x < 0 || r->y < 0 || r->w < 1 || r->h < 1 || r->x > frame->width - r->w || r->y > frame->height - r->h)
        return false;
    if (lb->in_w < 1 || lb->in_h < 1 || lb->in_w > lb->dst_w || lb->in_h > lb->dst_h ||
        lb->dst_w > PD_FRAME_SIDE_MAX || lb->dst_h > PD_FRAME_SIDE_MAX)
        return false;
    int planes = pd_frame_planes(frame->format);
    for (int i = 0; i < planes; i++)
        if (!frame->plane[i] || frame->stride[i] < pd_frame_plane_row_bytes(frame, i) ||
            (frame->format == PD_PIX_P010 && frame->stride[i] % 2))
            return false;
    return planes > 0;
}

static int set_axes(struct pd_resampler *rs, const struct pd_letterbox *lb, const struct pd_frame *frame)
{
    const struct pd_rect *r = &lb->roi;
    int rc = axis_set(&rs->x[0], r->x, r->w, 0, lb->in_w);
    if (!rc)
        rc = axis_set(&rs->y[0], r->y, r->h, 0, lb->in_h);
    if (rc || pd_frame_planes(frame->format) == 1)
        return rc;
    bool yuv = frame->format == PD_PIX_YUV;
    rc = axis_set(&rs->x[1], r->x, r->w, yuv ? frame->chroma_shift_x : 1, lb->in_w);
    return rc ? rc : axis_set(&rs->y[1], r->y, r->h, yuv ? frame->chroma_shift_y : 1, lb->in_h);
}

int pd_letterbox_run(struct pd_resampler *rs, const struct pd_letterbox *lb, const struct pd_frame *frame,
                     const struct pd_normalise *norm, const uint8_t *mask, float *dst)
{
    if (frame->mem != PD_MEM_HOST || !belongs(lb, frame))
        return -EINVAL;
    struct rows rows;
    int rc = set_axes(rs, lb, frame);
    if (!rc)
        rc = rows_reserve(rs, rs->x[0].a.n_in, PD_MAX(rs->x[0].a.taps, rs->x[1].a.taps), lb->in_w, &rows);
    if (rc)
        return rc;

    const struct pd_resample_colour colour = colour_of(frame, norm);
    const size_t w = (size_t)lb->dst_w, plane = w * (size_t)lb->dst_h, inside = (size_t)lb->in_w;
    for (int y = 0; y < lb->dst_h; y++) {
        float *channel[3] = {dst + (size_t)y * w, dst + plane + (size_t)y * w, dst + 2 * plane + (size_t)y * w};
        float *rgb[3] = {channel[norm->bgr ? 2 : 0], channel[1], channel[norm->bgr ? 0 : 2]};
        size_t used = y < lb->in_h ? inside : 0;
        if (used)
            output_row(rs, frame, y, lb->in_w, &rows, &colour, rgb);
        const uint8_t *mask_row = mask ? mask + (size_t)y * w : NULL;
        for (int c = 0; c < 3; c++) {
            memset(channel[c] + used, 0, (w - used) * sizeof(float));
            for (size_t x = 0; mask_row && x < used; x++)
                if (mask_row[x])
                    channel[c][x] = 0.0f;
        }
    }
    return 0;
}
