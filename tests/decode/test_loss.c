/* SPDX-License-Identifier: Apache-2.0
 *
 * Streams of which packets are missing: decoders conceal that, and of H.265 do not even say so. What is handed on must
 * be what was sent, sample for sample.
 */
#include "tests/core/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decode/reader.h"
#include "tests/decode/camera.h"
#include "tests/decode/clip.h"
#include "tests/decode/record.h"

#define FRAMES 120
#define GOP 20
#define WIDTH 160
#define HEIGHT 128
#define TS_PACKET 188
#define SEEDS 12

struct sent {
    uint8_t *luma[FRAMES]; /* WIDTH x HEIGHT each */
};

static int number_of(const struct pd_frame *f)
{
    assert_true(f->pts_us >= 0 && f->pts_us < FRAMES * 40000);
    return (int)((f->pts_us + 20000) / 40000);
}

static bool same(const uint8_t *luma, const struct pd_frame *f)
{
    for (int y = 0; y < HEIGHT; y++)
        if (memcmp(luma + y * WIDTH, f->plane[0] + (ptrdiff_t)y * f->stride[0], WIDTH))
            return false;
    return true;
}

static struct pd_reader *open_reader(const char *path)
{
    struct pd_reader *reader;
    struct pd_err err;
    if (pd_reader_open(&(struct pd_reader_params){.input = path}, &reader, &err) < 0)
        fail_msg("%s", err.text);
    return reader;
}

static void read_whole(const char *path, struct sent *ret)
{
    struct pd_reader *reader = open_reader(path);
    struct pd_frame *f;
    int n = 0;
    for (; pd_reader_next(reader, &f, NULL) == 0; n++) {
        uint8_t *luma = malloc(WIDTH * HEIGHT);
        for (int y = 0; y < HEIGHT; y++)
            memcpy(luma + y * WIDTH, f->plane[0] + (ptrdiff_t)y * f->stride[0], WIDTH);
        assert_int_equal(number_of(f), n);
        ret->luma[n] = luma;
        pd_frame_unref(&f);
    }
    assert_int_equal(n, FRAMES);
    pd_reader_close(reader);
}

static void forget(struct sent *sent)
{
    for (int i = 0; i < FRAMES; i++)
        free(sent->luma[i]);
}

/* Take @holes runs of 1 to 7 packets, a datagram's worth, out of the file, anywhere but in its first frames. */
static void punch(const char *from, const char *to, int holes, uint32_t seed)
{
    long size;
    uint8_t *bytes = clip_load(from, &size);
    const long n = size / TS_PACKET;
    bool *gone = calloc((size_t)n, sizeof(*gone));
    for (int i = 0; i < holes; i++) {
        seed = seed * 1664525u + 1013904223u;
        long at = n / 10 + (long)(seed >> 8) % (n * 8 / 10), run = 1 + (long)(seed >> 5) % 7;
        for (long k = at; k < at + run; k++)
            gone[k] = true;
    }
    long kept = 0;
    for (long i = 0; i < n; i++)
        if (!gone[i])
            memmove(bytes + TS_PACKET * kept++, bytes + TS_PACKET * i, TS_PACKET);
    clip_save(to, bytes, TS_PACKET * kept);
    free(gone);
    free(bytes);
}

static void check_punched(const char *what, const struct sent *sent)
{
    for (uint32_t seed = 1; seed <= SEEDS; seed++) {
        const char *holed = clip_path("holed.ts");
        punch(clip_path("whole.ts"), holed, 3, seed);
        struct pd_reader *reader = open_reader(holed);
        struct pd_frame *f;
        int n = 0;
        for (; pd_reader_next(reader, &f, NULL) == 0; n++) {
            if (!same(sent->luma[number_of(f)], f))
                fail_msg("%s, seed %u: frame %d is not what was sent", what, seed, number_of(f));
            pd_frame_unref(&f);
        }
        const int corrupt = (int)pd_reader_corrupt(reader);
        pd_reader_close(reader);
        /* a hole may swallow a few pictures whole, and each costs the rest of its group */
        if (n < FRAMES - 4 * GOP || n + corrupt < FRAMES - 12 || n + corrupt > FRAMES || !corrupt)
            fail_msg("%s, seed %u: of %d frames %d came and %d were left out", what, seed, FRAMES, n, corrupt);
    }
}

static struct clip clip_of(const char *path, const char *codec, const char *options)
{
    return (struct clip){.path = path, .codec = codec, .options = options, .pix_fmt = "yuv420p", .width = WIDTH,
                         .height = HEIGHT, .fps = 25, .frames = FRAMES, .gop = GOP, .texture = true};
}

static void a_transport_stream_with_holes_gives_what_was_sent(void **state)
{
    static const struct {
        const char *codec, *options;
    } cases[] = {
        {"mpeg2video", "b=4000000"},
        {"libx264", "bf=0"},
        {"libx264", "bf=2:x264-params=open-gop=1"},
        {"libx265", "x265-params=log-level=none\\:bframes=0"},
        {"libx265", "x265-params=log-level=none\\:bframes=3\\:open-gop=0"},
        {"libx265", "x265-params=log-level=none\\:bframes=3\\:open-gop=1"},
    };
    for (size_t i = 0; i < PD_ARRAY_SIZE(cases); i++) {
        struct sent sent = {{NULL}};
        struct clip c = clip_of(clip_path("whole.ts"), cases[i].codec, cases[i].options);
        if (clip_write(&c) == -ENOTSUP) {
            print_message("# this FFmpeg has no %s\n", c.codec);
            continue;
        }
        read_whole(c.path, &sent);
        check_punched(c.options, &sent);
        forget(&sent);
    }
}

/* ---- cameras ---- */

struct lossy {
    struct record r;
    struct pd_source *source;
    const struct sent *sent;
    int wrong;
};

static void look(struct record *r, const struct pd_frame *f)
{
    struct lossy *l = r->look_user;
    int n = 0;
    while (n < FRAMES && !same(l->sent->luma[n], f))
        n++;
    l->wrong += n == FRAMES;
}

static void a_camera_whose_packets_get_lost_gives_what_was_sent(void **state)
{
    /* of 1000 packets so many, the same ones each time */
    static const char *const paths[] = {"lose:4", "lose:12", "lose:20", "lose-hevc:7", "lose-hevc:13", "lose-hevc:19"};
    const struct clip avc = clip_of(clip_path("a.h264"), "libx264", "bf=0:qp=20");
    const struct clip hevc = clip_of(clip_path("b.hevc"), "libx265", "x265-params=log-level=none\\:bframes=0\\:qp=20");
    struct sent sent[2] = {{{NULL}}};
    struct lossy l[PD_ARRAY_SIZE(paths)] = {0};
    struct camera camera;
    if (clip_write(&avc) == -ENOTSUP || clip_write(&hevc) == -ENOTSUP)
        SKIP("this FFmpeg lacks libx264 or libx265");
    read_whole(avc.path, &sent[0]);
    read_whole(hevc.path, &sent[1]);
    assert_true(camera_start(&camera, "bad_camera.py", (const char *[]){avc.path, avc.path, hevc.path, NULL}));
    for (size_t i = 0; i < PD_ARRAY_SIZE(paths); i++) {
        struct pd_source_config config = {.name = paths[i], .url = camera_url(&camera, paths[i])};
        l[i].sent = &sent[strstr(paths[i], "hevc") != NULL];
        l[i].source = record_start_looking(&l[i].r, &config, look, &l[i]);
    }
    for (size_t i = 0; i < PD_ARRAY_SIZE(paths); i++)
        record_wait_frames(&l[i].r, 120);
    for (size_t i = 0; i < PD_ARRAY_SIZE(paths); i++) {
        record_destroy(l[i].source);
        if (l[i].wrong)
            fail_msg("%s: %d of %d frames are not what was sent", paths[i], l[i].wrong, l[i].r.frames);
    }
    camera_kill(&camera);
    forget(&sent[0]);
    forget(&sent[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_transport_stream_with_holes_gives_what_was_sent),
        cmocka_unit_test(a_camera_whose_packets_get_lost_gives_what_was_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
