/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/test.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/letterbox.h"
#include "core/resample.h"
#include "core/util.h"

static const struct pd_normalise raw = {{0, 0, 0}, {1, 1, 1}, false};

static uint64_t rng;

static uint32_t next_random(void)
{
    rng = rng * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(rng >> 33);
}

static int between(int lo, int hi)
{
    return lo + (int)(next_random() % (uint32_t)(hi - lo + 1));
}

static struct pd_frame *random_frame(enum pd_pix format, int w, int h, int shift_x, int shift_y)
{
    struct pd_frame *f = pd_frame_alloc(format, w, h, shift_x, shift_y);
    assert_non_null(f);
    for (int i = 0; i < pd_frame_planes(format); i++)
        for (int y = 0; y < pd_frame_plane_rows(f, i); y++) {
            uint8_t *row = (uint8_t *)f->plane[i] + (ptrdiff_t)y * f->stride[i];
            for (int x = 0; x < pd_frame_plane_row_bytes(f, i); x++)
                row[x] = (uint8_t)next_random();
            for (int x = 0; format == PD_PIX_P010 && x < pd_frame_plane_row_bytes(f, i); x += 2)
                row[x] &= 0xc0; /* the low six bits of a word are zero */
        }
    return f;
}

/* ---- the slow way: every sample of the plane for every output, in double ---- */

struct plane_view {
    const struct pd_frame *frame;
    int i, channels, channel, bytes, shift_x, shift_y;
};

static double sample_at(const struct plane_view *p, int x, int y)
{
    const uint8_t *at = p->frame->plane[p->i] + (ptrdiff_t)y * p->frame->stride[p->i] +
                        (x * p->channels + p->channel) * p->bytes;
    return p->bytes == 1 ? at[0] : (at[0] | at[1] << 8) / 64;
}

/* Triangle weight of plane sample @s for an output whose middle is at luma edge position @pos; 0 outside the side. */
static double weight_of(int s, double pos, double ratio, int shift, int from, int length)
{
    if (s < (from >> shift) || s > ((from + length - 1) >> shift))
        return 0.0;
    double scale = ldexp(1.0, shift), reach = fmax(1.0, ratio / scale);
    return fmax(0.0, 1.0 - fabs(s + 0.5 - pos / scale) / reach);
}

static double slow_sample(const struct plane_view *p, const struct pd_letterbox *lb, int x, int y)
{
    double rx = (double)lb->roi.w / lb->in_w, ry = (double)lb->roi.h / lb->in_h, sum = 0.0, total = 0.0;
    double px = lb->roi.x + (x + 0.5) * rx, py = lb->roi.y + (y + 0.5) * ry;
    int w = ((p->frame->width - 1) >> p->shift_x) + 1, h = ((p->frame->height - 1) >> p->shift_y) + 1;
    for (int sy = 0; sy < h; sy++) {
        double wy = weight_of(sy, py, ry, p->shift_y, lb->roi.y, lb->roi.h);
        for (int sx = 0; wy > 0.0 && sx < w; sx++) {
            double k = wy * weight_of(sx, px, rx, p->shift_x, lb->roi.x, lb->roi.w);
            total += k;
            sum += k > 0.0 ? k * sample_at(p, sx, sy) : 0.0;
        }
    }
    assert_true(total > 0.0);
    return sum / total;
}

static void slow_yuv_to_rgb(const struct pd_frame *f, double y, double u, double v, double rgb[3])
{
    static const double kr_of[] = {0.299, 0.2126, 0.2627}, kb_of[] = {0.114, 0.0722, 0.0593};
    double kr = kr_of[f->matrix], kb = kb_of[f->matrix];
    double top = f->format == PD_PIX_P010 ? 1023.0 : 255.0, unit = f->format == PD_PIX_P010 ? 4.0 : 1.0;
    bool full = f->range == PD_RANGE_FULL;
    double luma = full ? y / top : (y - 16.0 * unit) / (219.0 * unit);
    double cb = (u - 128.0 * unit) / (full ? top : 224.0 * unit), cr = (v - 128.0 * unit) / (full ? top : 224.0 * unit);
    rgb[0] = luma + 2.0 * (1.0 - kr) * cr;
    rgb[2] = luma + 2.0 * (1.0 - kb) * cb;
    rgb[1] = (luma - kr * rgb[0] - kb * rgb[2]) / (1.0 - kr - kb);
    for (int i = 0; i < 3; i++)
        rgb[i] = fmin(fmax(rgb[i] * 255.0, 0.0), 255.0);
}

static void slow_pixel(const struct pd_letterbox *lb, const struct pd_frame *f, int x, int y, double rgb[3])
{
    struct plane_view p[3] = {{f, 0, 1, 0, 1, 0, 0}, {f, 1, 1, 0, 1, f->chroma_shift_x, f->chroma_shift_y},
                              {f, 2, 1, 0, 1, f->chroma_shift_x, f->chroma_shift_y}};
    if (f->format == PD_PIX_RGB24 || f->format == PD_PIX_BGR24) {
        for (int c = 0; c < 3; c++) {
            struct plane_view one = {f, 0, 3, f->format == PD_PIX_RGB24 ? c : 2 - c, 1, 0, 0};
            rgb[c] = slow_sample(&one, lb, x, y);
        }
        return;
    }
    if (f->format == PD_PIX_NV12 || f->format == PD_PIX_P010) {
        int bytes = f->format == PD_PIX_P010 ? 2 : 1;
        p[0].bytes = bytes;
        p[1] = (struct plane_view){f, 1, 2, 0, bytes, 1, 1};
        p[2] = (struct plane_view){f, 1, 2, 1, bytes, 1, 1};
    }
    double v[3] = {slow_sample(&p[0], lb, x, y), 128.0, 128.0};
    for (int i = 1; f->format != PD_PIX_GRAY8 && i < 3; i++)
        v[i] = slow_sample(&p[i], lb, x, y);
    slow_yuv_to_rgb(f, v[0], v[1], v[2], rgb);
}

static void compare_with_slow(const struct pd_letterbox *lb, const struct pd_frame *f, const struct pd_normalise *norm,
                              const uint8_t *mask, const float *got)
{
    size_t plane = (size_t)lb->dst_w * (size_t)lb->dst_h;
    for (int y = 0; y < lb->dst_h; y++)
        for (int x = 0; x < lb->dst_w; x++) {
            size_t at = (size_t)y * (size_t)lb->dst_w + (size_t)x;
            double rgb[3] = {0};
            bool shows = x < lb->in_w && y < lb->in_h && !(mask && mask[at]);
            if (shows)
                slow_pixel(lb, f, x, y, rgb);
            for (int c = 0; c < 3; c++) {
                double want = shows ? (rgb[norm->bgr ? 2 - c : c] - norm->mean[c]) * norm->scale[c] : 0.0;
                if (fabs(got[(size_t)c * plane + at] - want) > 2e-3)
                    fail_msg("format %d, %dx%d roi %d,%d %dx%d to %dx%d: pixel %d,%d channel %d is %g, should be %g",
                             f->format, f->width, f->height, lb->roi.x, lb->roi.y, lb->roi.w, lb->roi.h, lb->in_w,
                             lb->in_h, x, y, c, (double)got[(size_t)c * plane + at], want);
            }
        }
}

static void random_case(struct pd_resampler *rs)
{
    enum pd_pix format = (enum pd_pix)between(PD_PIX_YUV, PD_PIX_GRAY8);
    struct pd_frame *f = random_frame(format, between(1, 90), between(1, 60), between(0, 2), between(0, 2));
    f->matrix = (enum pd_matrix)between(0, 2);
    f->range = (enum pd_range)between(0, 1);
    struct pd_rect roi = {between(-5, f->width), between(-5, f->height), between(0, f->width), between(0, f->height)};
    struct pd_letterbox lb;
    assert_int_equal(pd_letterbox_fit(f->width, f->height, &roi, between(1, 70), between(1, 50), &lb), 0);
    struct pd_normalise norm = {{1.5f, 100.0f, -3.0f}, {1.0f, 0.5f, 0.25f}, between(0, 1)};
    size_t plane = (size_t)lb.dst_w * (size_t)lb.dst_h;
    float *dst = malloc(3 * plane * sizeof(float));
    uint8_t *mask = between(0, 2) ? NULL : malloc(plane);
    assert_non_null(dst);
    for (size_t i = 0; mask && i < plane; i++)
        mask[i] = next_random() % 4 == 0;
    const struct pd_resample_ops *ops[] = {&pd_resample_plain, pd_resample_best()};
    for (size_t k = 0; k < PD_ARRAY_SIZE(ops); k++) {
        pd_resampler_set_ops(rs, ops[k]);
        memset(dst, 0xff, 3 * plane * sizeof(float)); /* NaN: whatever is not written shows */
        assert_int_equal(pd_letterbox_run(rs, &lb, f, &norm, mask, dst), 0);
        compare_with_slow(&lb, f, &norm, mask, dst);
    }
    free(mask);
    free(dst);
    pd_frame_unref(&f);
}

static void fast_paths_agree_with_the_slow_way(void **state)
{
    const char *given = getenv("POSED_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)pd_now_ns();
    print_message("# seed %llu (POSED_TEST_SEED repeats it), %s\n", (unsigned long long)seed, pd_resample_best()->name);
    rng = seed;
    struct pd_resampler *rs = pd_resampler_create();
    assert_non_null(rs);
    for (int i = 0; i < 400; i++)
        random_case(rs);
    pd_resampler_destroy(rs);
}

/* ---- particular cases ---- */

static float *run(const struct pd_frame *f, const struct pd_letterbox *lb, const struct pd_normalise *norm)
{
    struct pd_resampler *rs = pd_resampler_create();
    float *dst = malloc(3 * sizeof(float) * (size_t)lb->dst_w * (size_t)lb->dst_h);
    assert_non_null(rs);
    assert_non_null(dst);
    assert_int_equal(pd_letterbox_run(rs, lb, f, norm, NULL, dst), 0);
    pd_resampler_destroy(rs);
    return dst;
}

static void scale_one_is_exact(void **state)
{
    rng = 1;
    struct pd_frame *f = random_frame(PD_PIX_RGB24, 37, 19, 0, 0);
    struct pd_letterbox lb;
    assert_int_equal(pd_letterbox_fit(37, 19, NULL, 37, 19, &lb), 0);
    float *dst = run(f, &lb, &raw);
    for (int y = 0; y < 19; y++)
        for (int x = 0; x < 37; x++)
            for (int c = 0; c < 3; c++)
                assert_true(dst[(c * 19 + y) * 37 + x] == (float)f->plane[0][y * f->stride[0] + 3 * x + c]);
    free(dst);
    pd_frame_unref(&f);
}

static void a_flat_picture_stays_flat_at_any_size(void **state)
{
    struct pd_frame *f = pd_frame_alloc(PD_PIX_GRAY8, 641, 359, 0, 0);
    f->range = PD_RANGE_FULL;
    memset((uint8_t *)f->plane[0], 200, (size_t)f->stride[0] * 359);
    static const int sizes[][2] = {{1, 1}, {8, 8}, {456, 256}, {640, 368}, {1000, 700}};
    for (size_t i = 0; i < PD_ARRAY_SIZE(sizes); i++) {
        struct pd_letterbox lb;
        assert_int_equal(pd_letterbox_fit(641, 359, NULL, sizes[i][0], sizes[i][1], &lb), 0);
        float *dst = run(f, &lb, &raw);
        for (int y = 0; y < lb.dst_h; y++)
            for (int x = 0; x < lb.dst_w; x++)
                assert_true(fabsf(dst[y * lb.dst_w + x] - (x < lb.in_w && y < lb.in_h ? 200.0f : 0.0f)) < 1e-3f);
        free(dst);
    }
    pd_frame_unref(&f);
}

static void known_colours_come_out(void **state)
{
    static const struct {
        enum pd_matrix matrix;
        enum pd_range range;
        uint8_t yuv[3];
        float rgb[3];
    } known[] = {
        {PD_MATRIX_BT601, PD_RANGE_LIMITED, {16, 128, 128}, {0, 0, 0}},
        {PD_MATRIX_BT601, PD_RANGE_LIMITED, {235, 128, 128}, {255, 255, 255}},
        {PD_MATRIX_BT601, PD_RANGE_LIMITED, {81, 90, 240}, {255, 0, 0}},
        {PD_MATRIX_BT601, PD_RANGE_LIMITED, {145, 54, 34}, {0, 255, 0}},
        {PD_MATRIX_BT601, PD_RANGE_LIMITED, {41, 240, 110}, {0, 0, 255}},
        {PD_MATRIX_BT709, PD_RANGE_LIMITED, {63, 102, 240}, {255, 0, 0}},
        {PD_MATRIX_BT709, PD_RANGE_LIMITED, {173, 42, 26}, {0, 255, 0}},
        {PD_MATRIX_BT709, PD_RANGE_LIMITED, {32, 240, 118}, {0, 0, 255}},
        {PD_MATRIX_BT2020, PD_RANGE_LIMITED, {74, 97, 240}, {255, 0, 0}},
        {PD_MATRIX_BT601, PD_RANGE_FULL, {76, 85, 255}, {255, 0, 0}},
        {PD_MATRIX_BT601, PD_RANGE_FULL, {150, 44, 21}, {0, 255, 0}},
        {PD_MATRIX_BT601, PD_RANGE_FULL, {255, 128, 128}, {255, 255, 255}},
        {PD_MATRIX_BT709, PD_RANGE_FULL, {54, 99, 255}, {255, 0, 0}},
    };
    struct pd_frame *f = pd_frame_alloc(PD_PIX_YUV, 4, 4, 1, 1);
    struct pd_letterbox lb;
    assert_int_equal(pd_letterbox_fit(4, 4, NULL, 4, 4, &lb), 0);
    for (size_t i = 0; i < PD_ARRAY_SIZE(known); i++) {
        f->matrix = known[i].matrix;
        f->range = known[i].range;
        for (int p = 0; p < 3; p++)
            memset((uint8_t *)f->plane[p], known[i].yuv[p], (size_t)f->stride[p] * (size_t)pd_frame_plane_rows(f, p));
        float *dst = run(f, &lb, &raw);
        for (int c = 0; c < 3; c++)
            assert_true(fabsf(dst[16 * c + 5] - known[i].rgb[c]) < 2.5f); /* the triples are rounded to whole codes */
        free(dst);
    }
    pd_frame_unref(&f);
}

static void channel_order_mean_and_scale_are_the_networks(void **state)
{
    struct pd_frame *f = pd_frame_alloc(PD_PIX_RGB24, 1, 1, 0, 0);
    memcpy((uint8_t *)f->plane[0], (uint8_t[]){10, 20, 30}, 3);
    struct pd_letterbox lb;
    assert_int_equal(pd_letterbox_fit(1, 1, NULL, 1, 1, &lb), 0);
    float *dst = run(f, &lb, &(struct pd_normalise){{1, 2, 3}, {2, 3, 4}, false});
    assert_true(dst[0] == 18.0f && dst[1] == 54.0f && dst[2] == 108.0f);
    free(dst);
    dst = run(f, &lb, &(struct pd_normalise){{1, 2, 3}, {2, 3, 4}, true});
    assert_true(dst[0] == 58.0f && dst[1] == 54.0f && dst[2] == 28.0f);
    free(dst);
    pd_frame_unref(&f);
}

static void one_pixel_fills_its_part(void **state)
{
    struct pd_frame *f = pd_frame_alloc(PD_PIX_NV12, 1, 1, 0, 0);
    f->range = PD_RANGE_FULL;
    ((uint8_t *)f->plane[0])[0] = 77;
    memset((uint8_t *)f->plane[1], 128, 2);
    struct pd_letterbox lb;
    assert_int_equal(pd_letterbox_fit(1, 1, NULL, 16, 8, &lb), 0);
    assert_int_equal(lb.in_w, 8);
    assert_int_equal(lb.in_h, 8);
    float *dst = run(f, &lb, &raw);
    for (int x = 0; x < 16; x++)
        assert_true(fabsf(dst[3 * 16 + x] - (x < 8 ? 77.0f : 0.0f)) < 1e-3f);
    free(dst);
    pd_frame_unref(&f);
}

static void nothing_outside_the_region_leaks_in(void **state)
{
    struct pd_frame *f = pd_frame_alloc(PD_PIX_RGB24, 64, 48, 0, 0);
    memset((uint8_t *)f->plane[0], 255, (size_t)f->stride[0] * 48);
    for (int y = 40; y < 48; y++)
        memset((uint8_t *)f->plane[0] + y * f->stride[0] + 3 * 50, 9, 3 * 14);
    struct pd_letterbox lb;
    assert_int_equal(pd_letterbox_fit(64, 48, &(struct pd_rect){50, 40, 100, 100}, 5, 3, &lb), 0);
    assert_int_equal(lb.roi.w, 14);
    assert_int_equal(lb.roi.h, 8);
    float *dst = run(f, &lb, &raw);
    for (int y = 0; y < lb.in_h; y++)
        for (int x = 0; x < lb.in_w; x++)
            assert_true(fabsf(dst[y * 5 + x] - 9.0f) < 1e-4f);
    free(dst);
    pd_frame_unref(&f);
}

static void fit_touches_one_side_and_keeps_the_aspect(void **state)
{
    struct pd_letterbox lb;
    assert_int_equal(pd_letterbox_fit(1280, 720, NULL, 456, 256, &lb), 0);
    assert_int_equal(lb.in_w, 455);
    assert_int_equal(lb.in_h, 256);
    assert_int_equal(pd_letterbox_fit(720, 1280, NULL, 456, 256, &lb), 0);
    assert_int_equal(lb.in_w, 144);
    assert_int_equal(lb.in_h, 256);
    assert_int_equal(pd_letterbox_fit(10000, 1, NULL, 456, 256, &lb), 0);
    assert_int_equal(lb.in_h, 1);
    assert_int_equal(pd_letterbox_fit(0, 720, NULL, 456, 256, &lb), -EINVAL);
    assert_int_equal(pd_letterbox_fit(1280, 720, NULL, 456, 0, &lb), -EINVAL);
    struct pd_rect far = {INT32_MAX - 1, 0, INT32_MAX, 5}; /* outside: the whole frame, and no overflow */
    assert_int_equal(pd_letterbox_fit(1280, 720, &far, 456, 256, &lb), 0);
    assert_int_equal(lb.roi.w, 1280);
}

static void coordinates_go_there_and_back(void **state)
{
    struct pd_letterbox lb;
    assert_int_equal(pd_letterbox_fit(1920, 1080, &(struct pd_rect){301, 77, 999, 641}, 456, 256, &lb), 0);
    for (int i = 0; i < 50; i++) {
        float x = 301.0f + (float)i * 19.0f, y = 77.0f + (float)i * 12.0f, bx, by;
        float nx = (x - (float)lb.roi.x + 0.5f) * lb.sx - 0.5f, ny = (y - (float)lb.roi.y + 0.5f) * lb.sy - 0.5f;
        pd_letterbox_to_source(&lb, nx, ny, &bx, &by);
        assert_true(fabsf(bx - x) < 1e-2f && fabsf(by - y) < 1e-2f);
    }
}

/* A ramp's value is its coordinate, so resampling it must give what pd_letterbox_to_source says. */
static void pixels_land_where_the_formula_says(void **state)
{
    struct pd_frame *f = pd_frame_alloc(PD_PIX_GRAY8, 200, 60, 0, 0);
    f->range = PD_RANGE_FULL;
    for (int y = 0; y < 60; y++)
        for (int x = 0; x < 200; x++)
            ((uint8_t *)f->plane[0])[y * f->stride[0] + x] = (uint8_t)x;
    static const int widths[] = {40, 77, 144, 320, 611};
    for (size_t i = 0; i < PD_ARRAY_SIZE(widths); i++) {
        struct pd_letterbox lb;
        assert_int_equal(pd_letterbox_fit(200, 60, NULL, widths[i], 400, &lb), 0);
        float *dst = run(f, &lb, &raw);
        for (int x = 0; x < lb.in_w; x++) {
            float sx, sy;
            pd_letterbox_to_source(&lb, (float)x, 0.0f, &sx, &sy);
            /* Away from edges, where the filter is cut. A triangle of fractional width is off by up to 0.1 of a sample.
             */
            if (sx > 6.0f && sx < 193.0f)
                assert_true(fabsf(dst[x] - sx) < 0.1f);
        }
        free(dst);
    }
    pd_frame_unref(&f);
}

static void what_does_not_belong_is_refused(void **state)
{
    struct pd_frame *f = pd_frame_alloc(PD_PIX_RGB24, 16, 16, 0, 0);
    struct pd_resampler *rs = pd_resampler_create();
    struct pd_letterbox lb, bad;
    float dst[3 * 64];
    assert_int_equal(pd_letterbox_fit(16, 16, NULL, 8, 8, &lb), 0);
    assert_int_equal(pd_letterbox_run(rs, &lb, f, &raw, NULL, dst), 0);
    f->mem = PD_MEM_CUDA;
    assert_int_equal(pd_letterbox_run(rs, &lb, f, &raw, NULL, dst), -EINVAL);
    f->mem = PD_MEM_HOST;
    bad = lb, bad.roi.x = 1;
    assert_int_equal(pd_letterbox_run(rs, &bad, f, &raw, NULL, dst), -EINVAL);
    bad = lb, bad.in_w = 9;
    assert_int_equal(pd_letterbox_run(rs, &bad, f, &raw, NULL, dst), -EINVAL);
    int stride = f->stride[0];
    f->stride[0] = 47;
    assert_int_equal(pd_letterbox_run(rs, &lb, f, &raw, NULL, dst), -EINVAL);
    f->stride[0] = stride;
    pd_resampler_destroy(rs);
    pd_resampler_destroy(NULL);
    pd_frame_unref(&f);
}

/* Not a pass mark: says what a frame costs, so that a slow path shows in the test log. */
static void a_720p_frame_is_timed(void **state)
{
    rng = 7;
    struct pd_frame *f = random_frame(PD_PIX_YUV, 1280, 720, 1, 1);
    struct pd_resampler *rs = pd_resampler_create();
    struct pd_letterbox lb;
    float *dst = malloc(sizeof(float) * 3 * 456 * 256);
    assert_int_equal(pd_letterbox_fit(1280, 720, NULL, 456, 256, &lb), 0);
    const struct pd_resample_ops *ops[] = {&pd_resample_plain, pd_resample_best()};
    for (size_t k = 0; k < PD_ARRAY_SIZE(ops); k++) {
        pd_resampler_set_ops(rs, ops[k]);
        int64_t best = INT64_MAX;
        for (int i = 0; i < 20; i++) {
            int64_t from = pd_now_ns();
            assert_int_equal(pd_letterbox_run(rs, &lb, f, &raw, NULL, dst), 0);
            best = PD_MIN(best, pd_now_ns() - from);
        }
        print_message("# 1280x720 4:2:0 to 456x256, %s: %.2f ms\n", ops[k]->name, (double)best / 1e6);
    }
    free(dst);
    pd_resampler_destroy(rs);
    pd_frame_unref(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fast_paths_agree_with_the_slow_way),
        cmocka_unit_test(scale_one_is_exact),
        cmocka_unit_test(a_flat_picture_stays_flat_at_any_size),
        cmocka_unit_test(known_colours_come_out),
        cmocka_unit_test(channel_order_mean_and_scale_are_the_networks),
        cmocka_unit_test(one_pixel_fills_its_part),
        cmocka_unit_test(nothing_outside_the_region_leaks_in),
        cmocka_unit_test(fit_touches_one_side_and_keeps_the_aspect),
        cmocka_unit_test(coordinates_go_there_and_back),
        cmocka_unit_test(pixels_land_where_the_formula_says),
        cmocka_unit_test(what_does_not_belong_is_refused),
        cmocka_unit_test(a_720p_frame_is_timed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
