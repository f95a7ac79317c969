/* SPDX-License-Identifier: Apache-2.0
 *
 * scene: films a store that does not exist. Raw RGB frames go to a file or a pipe, the exact joints of everybody in
 * them to another file. The same arguments give the same bytes, whatever the number of threads.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "motion.h"
#include "truth.h"

#define SIZE_MAX_PIXELS 8192

struct options {
    int width, height, camera, first, end, fps, seed, people, threads;
    bool variety, list_ids;
    const char *out, *truth;
};

static const char usage[] =
    "usage: scene [options]\n"
    "Films a store that does not exist: raw rgb24 frames, and where everybody's joints are.\n"
    "\n"
    "  --width N, --height N  size of the picture (640, 360)\n"
    "  --camera K             1 door, 2 middle aisle, 3 back wall, 4 right aisle and till (1)\n"
    "  --frames A:B           first frame and the one after the last (0:1); the world repeats every 24 s\n"
    "  --fps N                frames a second (10)\n"
    "  --seed N               other people (0)\n"
    "  --people N             at most so many (0: all, or some with --variety)\n"
    "  --variety              another store, camera, light and crowd for every frame: pictures for training\n"
    "  --out FILE             - is standard output (-)\n"
    "  --truth FILE           a JSON line a frame: id, bbox, visible share, COCO-18 keypoints of everybody\n"
    "  --ids                  write who is seen at each pixel (1 byte, 0: nobody) instead of the picture\n"
    "  --threads N            (number of processors)\n"
    "\n"
    "example: scene --camera 2 --frames 0:240 | ffmpeg -f rawvideo -pix_fmt rgb24 -s 640x360 -r 10 -i - aisle.mp4\n";

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "scene: %s: %s\n", what, why);
    return 1;
}

static bool parse_number(const char *text, int lo, int hi, int *ret)
{
    char *end;
    errno = 0;
    long v = strtol(text, &end, 10);
    if (errno || end == text || *end || v < lo || v > hi)
        return false;
    *ret = (int)v;
    return true;
}

static bool parse_range(const char *text, int *ret_first, int *ret_end)
{
    char copy[32], *colon;
    if (strlen(text) >= sizeof(copy))
        return false;
    strcpy(copy, text);
    colon = strchr(copy, ':');
    if (!colon)
        return false;
    *colon = 0;
    return parse_number(copy, 0, 100000000, ret_first) && parse_number(colon + 1, 0, 100000000, ret_end) &&
           *ret_first < *ret_end;
}

static int parse_options(int argc, char **argv, struct options *o)
{
    enum { WIDTH = 1, HEIGHT, CAMERA, FRAMES, FPS, SEED, PEOPLE, VARIETY, OUT, TRUTH, IDS, THREADS, HELP };
    static const struct option names[] = {{"width", 1, 0, WIDTH},   {"height", 1, 0, HEIGHT},
                                          {"camera", 1, 0, CAMERA}, {"frames", 1, 0, FRAMES},
                                          {"fps", 1, 0, FPS},       {"seed", 1, 0, SEED},
                                          {"people", 1, 0, PEOPLE}, {"variety", 0, 0, VARIETY},
                                          {"out", 1, 0, OUT},       {"truth", 1, 0, TRUTH},
                                          {"ids", 0, 0, IDS},       {"threads", 1, 0, THREADS},
                                          {"help", 0, 0, HELP},     {0}};
    struct {
        int lo, hi, *value;
    } numbers[HELP + 1] = {[WIDTH] = {16, SIZE_MAX_PIXELS, &o->width}, [HEIGHT] = {16, SIZE_MAX_PIXELS, &o->height},
                           [CAMERA] = {1, DEMO_CAMERAS, &o->camera},   [FPS] = {1, 240, &o->fps},
                           [SEED] = {0, 1000000000, &o->seed},         [PEOPLE] = {0, SCENE_PEOPLE_MAX, &o->people},
                           [THREADS] = {1, 256, &o->threads}};
    int index, c;

    while ((c = getopt_long(argc, argv, "", names, &index)) != -1) {
        bool ok = true;
        if (c == '?')
            return 2;
        if (numbers[c].value)
            ok = parse_number(optarg, numbers[c].lo, numbers[c].hi, numbers[c].value);
        else if (c == FRAMES)
            ok = parse_range(optarg, &o->first, &o->end);
        else if (c == VARIETY)
            o->variety = true;
        else if (c == IDS)
            o->list_ids = true;
        else if (c == OUT)
            o->out = optarg;
        else if (c == TRUTH)
            o->truth = optarg;
        else
            return -1;
        if (!ok) {
            fprintf(stderr, "scene: --%s %s: not a value it can take; see --help\n", names[index].name, optarg);
            return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "scene: %s: unexpected argument; see --help\n", argv[optind]);
        return 2;
    }
    return 0;
}

static int write_frame(FILE *out, const struct render *render, const struct options *o, uint8_t *rgb)
{
    size_t pixels = (size_t)o->width * (size_t)o->height;
    if (!o->list_ids)
        return fwrite(rgb, 3, pixels, out) == pixels ? 0 : -EIO;
    for (int y = 0; y < o->height; y++)
        for (int x = 0; x < o->width; x++)
            rgb[(size_t)y * (size_t)o->width + (size_t)x] = (uint8_t)(render_id(render, x, y) + 1);
    return fwrite(rgb, 1, pixels, out) == pixels ? 0 : -EIO;
}

static int film(const struct options *o, struct render *render, struct scene *scene, uint8_t *rgb, FILE *out,
                FILE *truth)
{
    struct camera camera;
    if (!o->variety) {
        scene_demo(scene, (uint32_t)o->seed, o->people);
        camera_demo(&camera, o->camera, o->width, o->height);
        render_background(render, scene, &camera);
    }
    for (int frame = o->first; frame < o->end; frame++) {
        double time = (double)frame / o->fps;
        if (o->variety) {
            scene_variety(scene, &camera, hash32((uint32_t)o->seed * 7919U) + (uint32_t)frame, o->people, o->width,
                          o->height);
            render_background(render, scene, &camera);
        } else {
            scene_at(scene, (float)time);
        }
        render_frame(render, scene, frame * 8 + o->camera, rgb);
        if (write_frame(out, render, o, rgb) < 0)
            return fail(o->out, "cannot write the frame; is the disk full or the reader gone?");
        if (truth && truth_write(truth, render, scene, &camera, frame, time) < 0)
            return fail(o->truth, "cannot write; is the disk full?");
    }
    return 0;
}

static int run(const struct options *o)
{
    int r = 1;
    bool to_stdout = strcmp(o->out, "-") == 0;
    FILE *out = to_stdout ? stdout : fopen(o->out, "wb"), *truth = o->truth ? fopen(o->truth, "w") : NULL;
    struct render *render = render_create(o->width, o->height, o->threads);
    struct scene *scene = calloc(1, sizeof(*scene));
    uint8_t *rgb = malloc((size_t)o->width * (size_t)o->height * 3);

    if (!out)
        fail(o->out, strerror(errno));
    else if (o->truth && !truth)
        fail(o->truth, strerror(errno));
    else if (!render || !scene || !rgb)
        fail("memory", "not enough for pictures of this size");
    else
        r = film(o, render, scene, rgb, out, truth);
    if (out && (to_stdout ? fflush(out) : fclose(out)) != 0 && r == 0)
        r = fail(o->out, strerror(errno));
    if (truth && fclose(truth) != 0 && r == 0)
        r = fail(o->truth, strerror(errno));
    render_destroy(render);
    free(scene);
    free(rgb);
    return r;
}

int main(int argc, char **argv)
{
    struct options o = {.width = 640, .height = 360, .camera = 1, .end = 1, .fps = 10, .out = "-"};
    o.threads = (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (o.threads < 1)
        o.threads = 1;
    int r = parse_options(argc, argv, &o);
    if (r < 0) {
        fputs(usage, stdout);
        return 0;
    }
    return r ? r : run(&o);
}
