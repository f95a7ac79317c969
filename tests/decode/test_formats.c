/* SPDX-License-Identifier: Apache-2.0
 *
 * What comes out of pixels: formats, ranges, matrices, directions. Expected colours are computed here from the
 * definitions (ITU-R BT.601, BT.709, BT.2020), not with libswscale.
 */
#include "tests/core/test.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libavcodec/codec_id.h>
#include <libavutil/frame.h>
#include <libavutil/hwcontext.h>

#include "decode/avframe.h"
#include "decode/reader.h"
#include "decode/writer.h"
#include "tests/decode/clip.h"

static struct pd_frame *first_frame(const char *path)
{
    struct pd_reader *reader;
    struct pd_frame *f;
    struct pd_err err;
    if (pd_reader_open(&(struct pd_reader_params){.input = path}, &reader, &err) < 0 ||
        pd_reader_next(reader, &f, &err) != 0)
        fail_msg("%s", err.text);
    pd_reader_close(reader); /* the frame outlives its reader */
    return f;
}

/* Frame 9 of @c, through the converter. */
static struct pd_frame *converted(const struct clip *c)
{
    struct pd_converter converter = {0};
    struct pd_err err = {""};
    struct pd_frame *f;
    AVFrame *av = clip_frame(c, 9);
    assert_non_null(av);
    if (pd_avframe_to_frame(&converter, av, AV_CODEC_ID_RAWVIDEO, &f, &err) < 0)
        fail_msg("%s: %s", c->pix_fmt, err.text);
    pd_converter_finish(&converter);
    av_frame_free(&av); /* the frame outlives it */
    return f;
}

static void expected_rgb(enum pd_matrix matrix, enum pd_range range, double y, double u, double v, double rgb[3])
{
    static const double kr[] = {0.299, 0.2126, 0.2627}, kb[] = {0.114, 0.0722, 0.0593};
    double r = kr[matrix], b = kb[matrix];
    if (range == PD_RANGE_LIMITED) {
        y = (y - 16) / 219;
        u = (u - 128) / 224;
        v = (v - 128) / 224;
    } else {
        y /= 255;
        u = (u - 128) / 255;
        v = (v - 128) / 255;
    }
    rgb[0] = y + 2 * (1 - r) * v;
    rgb[2] = y + 2 * (1 - b) * u;
    rgb[1] = (y - r * rgb[0] - b * rgb[2]) / (1 - r - b);
    for (int i = 0; i < 3; i++)
        rgb[i] = PD_CLAMP(rgb[i], 0, 1) * 255;
}

static void check_rgb(const char *what, const struct pd_frame *f, const double want[3], int tolerance)
{
    struct pd_frame *rgb = pd_frame_to_rgb(f);
    assert_non_null(rgb);
    for (int at = 0; at < 3; at++) {
        int x = at * (f->width - 1) / 2, y = at * (f->height - 1) / 2;
        const uint8_t *p = rgb->plane[0] + y * rgb->stride[0] + 3 * x;
        for (int i = 0; i < 3; i++)
            if (fabs(p[i] - want[i]) > tolerance)
                fail_msg("%s: at %d,%d %d %d %d, expected %.0f %.0f %.0f", what, x, y, p[0], p[1], p[2], want[0],
                         want[1], want[2]);
    }
    pd_frame_unref(&rgb);
}

static void every_pixel_format_keeps_its_colour(void **state)
{
    static const struct {
        const char *name;
        enum pd_pix format;
        int shift_x, shift_y;
        enum pd_range range;
    } cases[] = {
        {"yuv420p", PD_PIX_YUV, 1, 1},       {"yuv422p", PD_PIX_YUV, 1, 0},      {"yuv444p", PD_PIX_YUV, 0, 0},
        {"yuv440p", PD_PIX_YUV, 0, 1},       {"yuv411p", PD_PIX_YUV, 2, 0},      {"yuv410p", PD_PIX_YUV, 2, 2},
        {"yuvj420p", PD_PIX_YUV, 1, 1, PD_RANGE_FULL},
        {"yuvj422p", PD_PIX_YUV, 1, 0, PD_RANGE_FULL},
        {"yuvj444p", PD_PIX_YUV, 0, 0, PD_RANGE_FULL},
        {"nv24", PD_PIX_YUV, 0, 0},          {"y210le", PD_PIX_YUV, 1, 0},       {"p016le", PD_PIX_YUV, 1, 1},
        {"nv12", PD_PIX_NV12},               {"nv21", PD_PIX_YUV, 1, 1},         {"p010le", PD_PIX_P010},
        {"yuyv422", PD_PIX_YUV, 1, 0},       {"uyvy422", PD_PIX_YUV, 1, 0},
        {"yuv420p10le", PD_PIX_YUV, 1, 1},   {"yuv422p10le", PD_PIX_YUV, 1, 0},  {"yuv444p12le", PD_PIX_YUV, 0, 0},
        {"yuv420p16be", PD_PIX_YUV, 1, 1},
        {"rgb24", PD_PIX_RGB24, 0, 0, PD_RANGE_FULL},
        {"bgr24", PD_PIX_BGR24, 0, 0, PD_RANGE_FULL},
        {"rgba", PD_PIX_RGB24, 0, 0, PD_RANGE_FULL},
        {"abgr", PD_PIX_RGB24, 0, 0, PD_RANGE_FULL},
        {"bgr0", PD_PIX_RGB24, 0, 0, PD_RANGE_FULL},
        {"gbrp", PD_PIX_RGB24, 0, 0, PD_RANGE_FULL},
        {"gbrp10le", PD_PIX_RGB24, 0, 0, PD_RANGE_FULL},
        {"rgb48le", PD_PIX_RGB24, 0, 0, PD_RANGE_FULL},
        {"rgb565le", PD_PIX_RGB24, 0, 0, PD_RANGE_FULL},
        {"gray", PD_PIX_GRAY8, 0, 0, PD_RANGE_FULL},
        {"gray16le", PD_PIX_GRAY8, 0, 0, PD_RANGE_FULL},
        {"gray10le", PD_PIX_GRAY8, 0, 0, PD_RANGE_FULL},
        {"yuva420p", PD_PIX_RGB24, 0, 0, PD_RANGE_FULL},
        {"yuva444p10le", PD_PIX_RGB24, 0, 0, PD_RANGE_FULL},
        {"ya8", PD_PIX_RGB24, 0, 0, PD_RANGE_FULL},
    };
    for (size_t i = 0; i < PD_ARRAY_SIZE(cases); i++) {
        struct clip c = {.pix_fmt = cases[i].name, .width = 37, .height = 21, .u = 90, .v = 160};
        struct pd_frame *f = converted(&c);
        if (f->format != cases[i].format || f->chroma_shift_x != cases[i].shift_x ||
            f->chroma_shift_y != cases[i].shift_y || f->range != cases[i].range)
            fail_msg("%s: format %d, shifts %d %d, range %d", cases[i].name, f->format, f->chroma_shift_x,
                     f->chroma_shift_y, f->range);
        double want[3] = {clip_luma(9), 90, 160};
        if (f->format == PD_PIX_GRAY8 || !strcmp(cases[i].name, "ya8"))
            want[1] = want[2] = want[0];
        else if (strchr(cases[i].name, 'y') || cases[i].name[0] == 'n' || cases[i].name[0] == 'p')
            expected_rgb(PD_MATRIX_BT601, cases[i].name[3] == 'j' ? PD_RANGE_FULL : PD_RANGE_LIMITED,
                         clip_luma(9), 90, 160, want);
        check_rgb(cases[i].name, f, want, !strcmp(cases[i].name, "rgb565le") ? 8 : 2);
        for (int p = 0; p < pd_frame_planes(f->format); p++)
            assert_true(f->stride[p] >= pd_frame_plane_row_bytes(f, p));
        pd_frame_unref(&f);
    }
}

static void range_and_matrix_are_the_streams_or_a_players_guess(void **state)
{
    static const struct {
        const char *codec, *pix_fmt;
        int width, height, range, space;
        enum pd_range want_range;
        enum pd_matrix want_matrix;
    } cases[] = {
        {"libx264", "yuv420p", 64, 64, 0, 0, PD_RANGE_LIMITED, PD_MATRIX_BT601},
        {"libx264", "yuv420p", 64, 720, 0, 0, PD_RANGE_LIMITED, PD_MATRIX_BT709},
        {"libx264", "yuv420p", 64, 64, 0, AVCOL_SPC_BT709, PD_RANGE_LIMITED, PD_MATRIX_BT709},
        {"libx264", "yuv420p", 64, 720, 0, AVCOL_SPC_SMPTE170M, PD_RANGE_LIMITED, PD_MATRIX_BT601},
        {"libx264", "yuv420p", 64, 64, 0, AVCOL_SPC_BT2020_NCL, PD_RANGE_LIMITED, PD_MATRIX_BT2020},
        {"libx264", "yuv420p", 64, 720, AVCOL_RANGE_JPEG, AVCOL_SPC_BT709, PD_RANGE_FULL, PD_MATRIX_BT709},
        {"mjpeg", "yuvj420p", 64, 720, AVCOL_RANGE_JPEG, 0, PD_RANGE_FULL, PD_MATRIX_BT601},
    };
    for (size_t i = 0; i < PD_ARRAY_SIZE(cases); i++) {
        struct clip c = {.path = clip_path("range.mp4"), .codec = cases[i].codec, .pix_fmt = cases[i].pix_fmt,
                         .width = cases[i].width, .height = cases[i].height, .fps = 25, .frames = 2, .first = 8,
                         .u = 100, .v = 150, .color_range = cases[i].range, .color_space = cases[i].space};
        int w = clip_write(&c);
        if (w == -ENOTSUP) {
            print_message("# no encoder %s\n", c.codec);
            continue;
        }
        assert_int_equal(w, 0);
        struct pd_frame *f = first_frame(c.path);
        if (f->range != cases[i].want_range || f->matrix != cases[i].want_matrix)
            fail_msg("case %zu: range %d, matrix %d", i, f->range, f->matrix);
        double want[3];
        expected_rgb(f->matrix, f->range, clip_luma(8), 100, 150, want);
        check_rgb("range", f, want, 4);
        pd_frame_unref(&f);
    }
}

/* The colour under a transparent pixel is nobody's picture: it is often garbage that no viewer shows. */
static void transparent_pixels_are_black(void **state)
{
    static const char *const names[] = {"rgba", "yuva444p", "ya8"};
    for (size_t i = 0; i < PD_ARRAY_SIZE(names); i++) {
        struct clip c = {.pix_fmt = names[i], .width = 33, .height = 32, .u = 90, .v = 160, .transparent = true};
        struct pd_frame *f = converted(&c);
        check_rgb(names[i], f, (const double[3]){0, 0, 0}, 1);
        pd_frame_unref(&f);
    }
}

static void a_picture_stored_bottom_up_comes_out_upright(void **state)
{
    struct clip c = {.pix_fmt = "bgr24", .width = 32, .height = 32, .u = 90, .v = 160, .mark = true};
    AVFrame *av = clip_frame(&c, 9);
    av->data[0] += (ptrdiff_t)31 * av->linesize[0];
    av->linesize[0] = -av->linesize[0];
    struct pd_converter converter = {0};
    struct pd_frame *f;
    assert_int_equal(pd_avframe_to_frame(&converter, av, AV_CODEC_ID_RAWVIDEO, &f, NULL), 0);
    assert_true(f->stride[0] >= 96);
    assert_int_equal(f->plane[0][31 * f->stride[0] + 2], clip_luma(9) - 9); /* the mark's row 0 is the last now */
    assert_int_equal(f->plane[0][2], clip_luma(9));
    pd_frame_unref(&f);
    av_frame_free(&av);
    pd_converter_finish(&converter);
}

/* Which quarter of the picture is the dark one: 0 top left, 1 top right, 2 bottom left, 3 bottom right. */
static int dark_quarter(const struct pd_frame *f)
{
    int darkest = 0, level = 256;
    for (int q = 0; q < 4; q++) {
        int x = f->width * (q & 1 ? 3 : 1) / 4, y = f->height * (q & 2 ? 3 : 1) / 4;
        int v = f->plane[0][y * f->stride[0] + x];
        if (v < level) {
            level = v;
            darkest = q;
        }
    }
    return darkest;
}

static void videos_filmed_sideways_are_turned_upright(void **state)
{
    static const struct {
        int degrees, quarter; /* where the mark of the top left goes when turned clockwise */
    } cases[] = {{0, 0}, {90, 1}, {180, 3}, {270, 2}};
    for (size_t i = 0; i < PD_ARRAY_SIZE(cases); i++) {
        struct clip c = {.path = clip_path("turn.mp4"), .codec = "mpeg4", .pix_fmt = "yuv420p", .width = 96,
                         .height = 64, .fps = 25, .frames = 2, .first = 12, .mark = true, .rotate = cases[i].degrees};
        assert_int_equal(clip_write(&c), 0);
        struct pd_frame *f = first_frame(c.path);
        assert_int_equal(f->width, i & 1 ? 64 : 96);
        assert_int_equal(f->height, i & 1 ? 96 : 64);
        if (dark_quarter(f) != cases[i].quarter)
            fail_msg("turned %d: the mark is in quarter %d, expected %d", cases[i].degrees, dark_quarter(f),
                     cases[i].quarter);
        pd_frame_unref(&f);
    }
}

/* An APP1 segment that holds nothing but an orientation, put behind the start of a JPEG. */
static void add_exif(const char *path, int orientation)
{
    uint8_t app1[] = {0xff, 0xe1, 0, 34, 'E', 'x', 'i', 'f', 0, 0, 'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1,
                      0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, (uint8_t)orientation, 0, 0, 0, 0, 0, 0};
    long size;
    uint8_t *jpeg = clip_load(path, &size);
    uint8_t *all = malloc((size_t)size + sizeof(app1));
    memcpy(all, jpeg, 2);
    memcpy(all + 2, app1, sizeof(app1));
    memcpy(all + 2 + sizeof(app1), jpeg + 2, (size_t)size - 2);
    clip_save(path, all, size + (long)sizeof(app1));
    free(all);
    free(jpeg);
}

static void exif_orientation_turns_photos_upright(void **state)
{
    /* EXIF says where row 0 and column 0 of the file are in the scene: 1 top left, 2 top right, 3 bottom right,
     * 4 bottom left, then the same four sideways: 5 left top, 6 right top, 7 right bottom, 8 left bottom. */
    static const int quarter[9] = {0, 0, 1, 3, 2, 0, 1, 3, 2};
    for (int o = 1; o <= 8; o++) {
        struct clip c = {.path = clip_path("photo.jpg"), .codec = "mjpeg", .pix_fmt = "yuvj422p", .width = 96,
                         .height = 64, .fps = 25, .frames = 1, .first = 12, .mark = true};
        assert_int_equal(clip_write(&c), 0);
        add_exif(c.path, o);
        struct pd_frame *f = first_frame(c.path);
        assert_int_equal(f->width, o >= 5 ? 64 : 96);
        if (dark_quarter(f) != quarter[o])
            fail_msg("orientation %d: the mark is in quarter %d, expected %d", o, dark_quarter(f), quarter[o]);
        if (o >= 5) {
            assert_int_equal(f->chroma_shift_x, 0);
            assert_int_equal(f->chroma_shift_y, 1);
        }
        pd_frame_unref(&f);
    }
}

static void a_size_that_changes_in_the_stream_changes_the_frames(void **state)
{
    struct clip c = {.path = clip_path("change.h264"), .codec = "libx264", .pix_fmt = "yuv420p", .width = 96,
                     .height = 64, .fps = 25, .frames = 10, .tail_width = 160, .tail_height = 112, .tail_frames = 10};
    int w = clip_write(&c);
    if (w == -ENOTSUP)
        SKIP("this FFmpeg has no libx264");
    assert_int_equal(w, 0);
    for (int threads = 1; threads <= 4; threads += 3) {
        struct pd_reader *reader;
        struct pd_frame *f;
        struct pd_err err = {""};
        assert_int_equal(pd_reader_open(&(struct pd_reader_params){.input = c.path, .threads = threads}, &reader, &err),
                         0);
        for (int n = 0; n < 20; n++) {
            assert_int_equal(pd_reader_next(reader, &f, &err), 0);
            assert_int_equal(f->width, n < 10 ? 96 : 160);
            assert_int_equal(f->height, n < 10 ? 64 : 112);
            assert_int_equal(clip_number(f), n);
            pd_frame_unref(&f);
        }
        assert_int_equal(pd_reader_next(reader, &f, &err), PD_READER_E_END);
        pd_reader_close(reader);
    }
}

/* Software takes the margin off; the whole picture is known by its mark, whose corner is in the middle of it. */
static void what_a_stream_cuts_off_is_not_there(void **state)
{
    struct clip c = {.path = clip_path("cut.h264"), .codec = "libx264", .pix_fmt = "yuv420p", .width = 96, .height = 64,
                     .fps = 25, .frames = 1, .first = 12, .mark = true, .options = "x264-params=crop-rect=26,10,2,4"};
    int w = clip_write(&c);
    if (w == -ENOTSUP)
        SKIP("this FFmpeg has no libx264");
    assert_int_equal(w, 0);
    struct pd_frame *f = first_frame(c.path);
    assert_int_equal(f->width, 96 - 26 - 2);
    assert_int_equal(f->height, 64 - 10 - 4);
    const uint8_t *row = f->plane[0];
    int columns = 0, rows = 0;
    while (columns < f->width && row[columns] < clip_luma(12) - 4)
        columns++;
    while (rows < f->height && row[(ptrdiff_t)rows * f->stride[0]] < clip_luma(12) - 4)
        rows++;
    assert_in_range(columns, 96 / 2 - 26 - 1, 96 / 2 - 26 + 1);
    assert_in_range(rows, 64 / 2 - 10 - 1, 64 / 2 - 10 + 1);
    pd_frame_unref(&f);
}

/* A surface as libav hands it over, at addresses that nobody reads. NULL: this FFmpeg knows no CUDA. */
static AVFrame *surface(enum AVPixelFormat format, int width, int height)
{
    AVBufferRef *device = av_hwdevice_ctx_alloc(AV_HWDEVICE_TYPE_CUDA);
    AVFrame *av = device ? av_frame_alloc() : NULL;
    if (av) {
        av->format = AV_PIX_FMT_CUDA;
        av->width = width;
        av->height = height;
        av->hw_frames_ctx = av_hwframe_ctx_alloc(device);
        ((AVHWFramesContext *)av->hw_frames_ctx->data)->sw_format = format;
        av->buf[0] = av_buffer_alloc(1);
        for (int i = 0; i < 2; i++) {
            av->data[i] = (uint8_t *)((uintptr_t)(i + 1) << 20);
            av->linesize[i] = 512;
        }
    }
    av_buffer_unref(&device);
    return av;
}

static void surfaces_are_cut_on_all_four_sides(void **state)
{
    static const struct {
        enum AVPixelFormat format;
        int bytes;
    } cases[] = {{AV_PIX_FMT_NV12, 1}, {AV_PIX_FMT_P010LE, 2}};
    for (size_t i = 0; i < PD_ARRAY_SIZE(cases); i++) {
        AVFrame *av = surface(cases[i].format, 94, 60); /* right and bottom are taken off already */
        if (!av)
            SKIP("this FFmpeg knows no CUDA");
        av->crop_left = 26;
        av->crop_top = 10;
        struct pd_converter converter = {0};
        struct pd_err err;
        struct pd_frame *f;
        assert_int_equal(pd_avframe_to_frame(&converter, av, AV_CODEC_ID_H264, &f, &err), 0);
        assert_int_equal(f->mem, PD_MEM_CUDA);
        assert_int_equal(f->width, 68);
        assert_int_equal(f->height, 50);
        assert_int_equal(f->plane[0] - av->data[0], 10 * 512 + 26 * cases[i].bytes);
        assert_int_equal(f->plane[1] - av->data[1], 5 * 512 + 26 * cases[i].bytes);
        pd_frame_unref(&f);
        av->crop_left = 94; /* nothing is left */
        assert_int_equal(pd_avframe_to_frame(&converter, av, AV_CODEC_ID_H264, &f, &err), -ENOTSUP);
        av_frame_free(&av);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pixel_format_keeps_its_colour),
        cmocka_unit_test(transparent_pixels_are_black),
        cmocka_unit_test(a_picture_stored_bottom_up_comes_out_upright),
        cmocka_unit_test(range_and_matrix_are_the_streams_or_a_players_guess),
        cmocka_unit_test(videos_filmed_sideways_are_turned_upright),
        cmocka_unit_test(exif_orientation_turns_photos_upright),
        cmocka_unit_test(a_size_that_changes_in_the_stream_changes_the_frames),
        cmocka_unit_test(what_a_stream_cuts_off_is_not_there),
        cmocka_unit_test(surfaces_are_cut_on_all_four_sides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
