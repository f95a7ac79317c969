/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "daemon/detect.h"
#include "daemon/progress.h"
#include "decode/reader.h"

enum {
    OPT_FORMAT = PD_CLI_OWN,
    OPT_ANNOTATIONS,
    OPT_PEAK,
    OPT_LIMB,
    OPT_LIMB_FRACTION,
    OPT_MIN_SCORE,
    OPT_MIN_KEYPOINTS,
    OPT_MAX_PEOPLE,
    OPT_TRACK,
    OPT_FRAMES,
    OPT_SCALES,
    OPT_FLIP,
};

static const struct option options[] = {
    PD_CLI_OPTIONS,
    {"format", required_argument, NULL, OPT_FORMAT},
    {"output", required_argument, NULL, 'o'},
    {"draw", required_argument, NULL, 'd'},
    {"annotations", required_argument, NULL, OPT_ANNOTATIONS},
    {"peak-threshold", required_argument, NULL, OPT_PEAK},
    {"limb-threshold", required_argument, NULL, OPT_LIMB},
    {"limb-fraction", required_argument, NULL, OPT_LIMB_FRACTION},
    {"min-score", required_argument, NULL, OPT_MIN_SCORE},
    {"min-keypoints", required_argument, NULL, OPT_MIN_KEYPOINTS},
    {"max-people", required_argument, NULL, OPT_MAX_PEOPLE},
    {"track", no_argument, NULL, OPT_TRACK},
    {"frames", required_argument, NULL, OPT_FRAMES},
    {"scales", required_argument, NULL, OPT_SCALES},
    {"flip", no_argument, NULL, OPT_FLIP},
    {"quiet", no_argument, NULL, 'q'},
    {0},
};

/* Evaluation ranks people by score and wants the doubtful ones, too: they come last. */
#define COCO_MIN_SCORE 0.05f

static void help(void)
{
    struct pd_post_params d = pd_post_defaults();
    printf("usage: posed detect [OPTION...] INPUT...\n\n"
           "Finds the people in pictures, folders of pictures, videos and streams: every frame, in order.\n"
           "An INPUT is a file, a folder, a URL (rtsp, http, https) or v4l2:/dev/video0.\n\n"
           "  --format NAME       jsonl (a line a frame), openpose (a file a frame), coco (one results array) or none\n"
           "                      (default: jsonl)\n"
           "  -o, --output PATH   file to write to, a folder for openpose (default: standard output)\n"
           "  -d, --draw OUT      draw the skeletons: an MP4, a PNG or JPEG of one picture, or a folder of\n"
           "                      pictures, one that is there or a name with / at its end\n"
           "  --annotations FILE  coco: take image_id from these annotations, not from the digits of file names\n"
           "  --track             give people ids that last over the frames of a video\n"
           "  --frames N          stop after N frames of each input\n"
           "  --scales LIST       look at the picture in these sizes and average, as in 0.5,1,1.5; 1 is --height\n"
           "  --flip              look at it mirrored, too, and average\n"
           "  -q, --quiet         no progress bar\n\n"
           "  --peak-threshold X  confidence of a keypoint, 0..1 (default: %g)\n"
           "  --limb-threshold X  strength of a limb at a sample, 0..1 (default: %g)\n"
           "  --limb-fraction X   share of samples that must reach it, 0..1 (default: %g)\n"
           "  --min-score X       people below this score are left out, 0..1 (default: %g; coco: %g)\n"
           "  --min-keypoints N   people with fewer keypoints are left out (default: %d)\n"
           "  --max-people N      at most this many in a frame (default: %d)\n\n"
           "%s\n"
           "Without --height and --width pictures are looked at 368 pixels high, videos 256; the width follows.\n\n"
           "Example: posed detect clip.mp4 --draw drawn.mp4 --output poses.jsonl\n",
           (double)d.peak_threshold, (double)d.limb_threshold, (double)d.limb_fraction, (double)d.min_score,
           (double)COCO_MIN_SCORE, d.min_keypoints, d.max_people, pd_cli_options_help);
}

/* ---- options ---- */

static int set_format(struct pd_detect_options *o, const char *name, struct pd_err *err)
{
    static const char *const names[] = {
        [PD_DETECT_JSONL] = "jsonl", [PD_DETECT_OPENPOSE] = "openpose", [PD_DETECT_COCO] = "coco",
        [PD_DETECT_NONE] = "none",
    };
    for (size_t i = 0; i < PD_ARRAY_SIZE(names); i++)
        if (!strcmp(name, names[i])) {
            o->format = (enum pd_detect_format)i;
            return 0;
        }
    return pd_err_set(err, -EINVAL, "--format is '%s', jsonl, openpose, coco or none was expected", name);
}

#define SCALE_MIN 0.1
#define SCALE_MAX 4.0

/* "0.5,1,1.5" */
static int set_scales(struct pd_detect_options *o, const char *list, struct pd_err *err)
{
    char one[32];
    o->n_scales = 0;
    for (const char *s = list;; s++) {
        size_t n = strcspn(s, ",");
        if (o->n_scales == PD_SCALES_MAX)
            return pd_err_set(err, -EINVAL, "--scales has more than %d numbers", PD_SCALES_MAX);
        snprintf(one, sizeof(one), "%.*s", (int)PD_MIN(n, sizeof(one)), s);
        int rc = pd_cli_float("--scales", one, SCALE_MIN, SCALE_MAX, &o->scales[o->n_scales++], err);
        if (rc)
            return rc;
        s += n;
        if (!*s)
            return 0;
    }
}

static int set_own(struct pd_detect_options *o, int opt, const char *arg, struct pd_err *err)
{
    struct pd_post_params *post = &o->post;
    switch (opt) {
    case OPT_FORMAT:
        return set_format(o, arg, err);
    case 'o':
        o->output = arg;
        return 0;
    case 'd':
        o->draw = arg;
        return 0;
    case OPT_ANNOTATIONS:
        o->annotations = arg;
        return 0;
    case OPT_PEAK:
        return pd_cli_float("--peak-threshold", arg, 0.0, 1.0, &post->peak_threshold, err);
    case OPT_LIMB:
        return pd_cli_float("--limb-threshold", arg, 0.0, 1.0, &post->limb_threshold, err);
    case OPT_LIMB_FRACTION:
        return pd_cli_float("--limb-fraction", arg, 0.0, 1.0, &post->limb_fraction, err);
    case OPT_MIN_SCORE:
        return pd_cli_float("--min-score", arg, 0.0, 1.0, &post->min_score, err);
    case OPT_MIN_KEYPOINTS:
        return pd_cli_int("--min-keypoints", arg, 1, PD_KEYPOINTS_MAX, &post->min_keypoints, err);
    case OPT_MAX_PEOPLE:
        return pd_cli_int("--max-people", arg, 1, PD_PEOPLE_MAX, &post->max_people, err);
    case OPT_TRACK:
        o->track = true;
        return 0;
    case OPT_FRAMES:
        return pd_cli_int("--frames", arg, 1, INT32_MAX, &o->frames, err);
    case OPT_SCALES:
        return set_scales(o, arg, err);
    case OPT_FLIP:
        o->flip = true;
        return 0;
    case 'q':
        o->quiet = true;
        return 0;
    default:
        return pd_err_set(err, -EINVAL, "option %d", opt);
    }
}

/* 0, or -EINVAL with a line. Stops at --help. */
static int parse(int argc, char **argv, struct pd_detect_options *o, struct pd_err *err)
{
    *o = (struct pd_detect_options){.cli = pd_cli_defaults("detect"), .post = pd_post_defaults()};
    o->post.min_score = -1.0f; /* not given */
    optind = 1;
    for (int opt; (opt = getopt_long(argc, argv, PD_CLI_SHORT "o:d:q", options, NULL)) != -1;) {
        int rc = pd_cli_option(&o->cli, opt, argv, optarg, err);
        if (rc == PD_CLI_E_OTHER)
            rc = set_own(o, opt, optarg, err);
        if (rc || o->cli.help)
            return rc;
    }
    if (o->post.min_score < 0.0f)
        o->post.min_score = o->format == PD_DETECT_COCO ? COCO_MIN_SCORE : pd_post_defaults().min_score;
    if (optind == argc)
        return pd_err_set(err, -EINVAL, "no INPUT: a picture, a folder, a video or a URL was expected");
    if (o->format == PD_DETECT_OPENPOSE && (!o->output || !strcmp(o->output, "-")))
        return pd_err_set(err, -EINVAL, "--format openpose writes a file a frame: give a folder with --output DIR");
    return 0;
}

/* ---- running ---- */

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
    interrupted = 1;
}

static int poll_signal(void *user)
{
    return interrupted ? -ECANCELED : 0;
}

struct detect {
    struct pd_detect_options o;
    struct pd_net *net;
    struct pd_detect_pipe *pipe;
    struct pd_detect_out *out;
    struct pd_detect_draw *draw;
    struct pd_progress progress;
    uint64_t expected; /* frames of the inputs opened so far; meaningless once unknown */
    bool unknown;      /* an input's length is not known */
    bool incomplete;   /* something was not read, or not written: exit 1 */
};

/* A line on stderr that does not end the run, but makes it a failure. */
static void complain(struct detect *d, const struct pd_err *err)
{
    pd_progress_clear(&d->progress);
    pd_cli_fail(&d->o.cli, 0, err);
    d->incomplete = true;
}

static int emit(const struct pd_detect_item *item, struct pd_people *people, void *user, struct pd_err *err)
{
    struct detect *d = user;
    int rc = pd_detect_out_write(d->out, item, people, err);
    if (rc == -ENOENT || rc == -EEXIST) { /* a picture without an id, a name that is taken: the others have theirs */
        complain(d, err);
        rc = 0;
    }
    if (!rc && d->draw)
        rc = pd_detect_draw_write(d->draw, item, people, err);
    if (rc == -EEXIST) {
        complain(d, err);
        rc = 0;
    }
    if (!rc)
        pd_progress_add(&d->progress, 1, pd_now_ns());
    return rc;
}

static void expect(struct detect *d, const char *input, const struct pd_reader_info *info)
{
    int64_t n = info->frames;
    if (d->o.frames && (n <= 0 || n > d->o.frames))
        n = info->live || n > 0 ? d->o.frames : 0;
    d->unknown = d->unknown || n <= 0;
    d->expected += n > 0 ? (uint64_t)n : 0;
    pd_progress_input(&d->progress, input, d->unknown ? 0 : (int64_t)d->expected);
}

/* Frames of one reader into the pipe. 0 when the run may go on with the next input. */
static int read_frames(struct detect *d, struct pd_reader *reader, const char *input, int index, struct pd_err *err)
{
    const struct pd_reader_info *info = pd_reader_info(reader);
    const bool folder = info->pictures && info->frames > 1;
    uint64_t told = 0; /* of what is corrupt: each bad picture has its line, and so has a file that is cut */
    for (uint64_t n = 0; !interrupted && (!d->o.frames || n < (uint64_t)d->o.frames); n++) {
        struct pd_err why = {{0}};
        struct pd_detect_item item = {.input = index, .picture = info->pictures, .fps = info->fps};
        int rc = pd_reader_next(reader, &item.frame, &why);
        if (rc == PD_READER_E_END || rc == -ECANCELED)
            break;
        if (rc) {
            complain(d, &why);
            told = rc == PD_READER_E_CUT ? UINT64_MAX : told + (info->pictures && !info->live);
            if (rc > 0 || !folder)
                break;
            continue; /* with the picture after the bad one */
        }
        item.name = (char *)pd_reader_current(reader);
        rc = pd_detect_pipe_push(d->pipe, &item, err);
        if (rc)
            return rc;
    }
    uint64_t corrupt = pd_reader_corrupt(reader);
    if (corrupt > told) {
        struct pd_err why;
        pd_err_set(&why, 0, "%s: %llu corrupt frames were left out", input, (unsigned long long)(corrupt - told));
        complain(d, &why);
    }
    return 0;
}

static int run_input(struct detect *d, const char *input, int index, struct pd_err *err)
{
    struct pd_reader *reader;
    struct pd_err why;
    const struct pd_reader_params params = {.input = input, .threads = 1, .interrupt = poll_signal};
    if (pd_reader_open(&params, &reader, &why)) {
        if (!interrupted)
            complain(d, &why);
        return 0;
    }
    expect(d, input, pd_reader_info(reader));
    int rc = read_frames(d, reader, input, index, err);
    pd_reader_close(reader);
    return rc;
}

static int run_inputs(struct detect *d, char **inputs, struct pd_err *err)
{
    int rc = 0;
    for (int i = 0; inputs[i] && !rc && !interrupted; i++)
        rc = run_input(d, inputs[i], i, err);
    if (!rc)
        rc = pd_detect_pipe_flush(d->pipe, err);
    pd_progress_clear(&d->progress);
    return rc;
}

static int open_all(struct detect *d, char **inputs, struct pd_err *err)
{
    int rc = pd_detect_targets_check(&d->o, inputs, err);
    if (!rc)
        rc = pd_cli_load(&d->o.cli, false, &d->net, err);
    if (!rc)
        rc = pd_detect_out_open(&d->o, d->net->meta.skeleton, &d->out, err);
    if (!rc && d->o.draw) {
        d->draw = pd_detect_draw_create(d->o.draw, d->net->meta.skeleton);
        rc = d->draw ? 0 : pd_err_set(err, -ENOMEM, "out of memory");
    }
    return rc ? rc : pd_detect_pipe_create(&d->o, d->net, emit, d, &d->pipe, err);
}

static int close_all(struct detect *d, struct pd_err *err)
{
    struct pd_err later;
    pd_detect_pipe_destroy(d->pipe);
    int rc = pd_detect_draw_close(d->draw, err);
    int out_rc = pd_detect_out_close(d->out, rc ? &later : err);
    pd_net_destroy(d->net);
    return rc ? rc : out_rc;
}

/* A video whose end is not written cannot be played: what may end the run leaves time for that. */
static void catch_signals(const struct pd_detect_options *o)
{
    /* A second ^C ends at once. */
    const struct sigaction on_interrupt = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    struct sigaction hangup;
    sigaction(SIGINT, &on_interrupt, NULL);
    sigaction(SIGTERM, &on_interrupt, NULL);
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN) /* nohup: to go on is what is wanted */
        sigaction(SIGHUP, &on_interrupt, NULL);
    if (o->draw) /* `| head` then is an error of a write; else it ends the run without a word, as is usual */
        signal(SIGPIPE, SIG_IGN);
}

static int detect_main(int argc, char **argv)
{
    struct pd_err err = {{0}};
    struct detect d = {0};
    int rc = parse(argc, argv, &d.o, &err);
    if (rc)
        return pd_cli_usage(&d.o.cli, &err);
    if (d.o.cli.help) {
        help();
        return PD_EXIT_OK;
    }
    catch_signals(&d.o);
    pd_progress_start(&d.progress, d.o.quiet);
    rc = open_all(&d, argv + optind, &err);
    if (!rc)
        rc = run_inputs(&d, argv + optind, &err);
    struct pd_err closing;
    int close_rc = close_all(&d, rc ? &closing : &err);
    if (rc || close_rc)
        return pd_cli_fail(&d.o.cli, rc == -ENODEV ? PD_EXIT_TEMPFAIL : PD_EXIT_FAILURE, &err);
    if (interrupted) {
        fprintf(stderr, "posed detect: interrupted after %llu frames\n", (unsigned long long)d.progress.done);
        return PD_EXIT_FAILURE;
    }
    return d.incomplete ? PD_EXIT_FAILURE : PD_EXIT_OK;
}

const struct pd_command pd_cmd_detect = {
    .name = "detect",
    .summary = "find the people in pictures, videos and streams",
    .run = detect_main,
};
