/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/model_import.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/net/import.h"
#include "daemon/command.h"

enum {
    OPT_HEATMAPS = 1,
    OPT_PAFS,
    OPT_BOTH,
    OPT_PAFS_FIRST,
    OPT_SKELETON,
    OPT_PAF_CHANNELS,
    OPT_MEAN,
    OPT_SCALE,
    OPT_ORDER,
    OPT_NAME,
    OPT_LICENCE,
    OPT_NON_COMMERCIAL,
};

const char pd_model_import_help[] =
    "import reads a .caffemodel (its .prototxt is not needed) or an ONNX file and writes an ONNX file that says what\n"
    "it is. OpenPose's own networks need no options; OpenPose's weights may not be used commercially.\n"
    "\n"
    "  -o FILE             where to write it (default: the name of FILE, with .onnx)\n"
    "  --heatmaps NAME --pafs NAME\n"
    "                      the tensors with confidence maps and part affinity fields, if not found by themselves\n"
    "  --both NAME         the one tensor that holds both; with --pafs-first if the fields come first\n"
    "  --skeleton NAME     coco18, body25, mpi15, trt18, or none for a classifier (default: by the channels)\n"
    "  --paf-channels LIST the fields' channels, one 'x,y' for each limb, separated by blanks\n"
    "  --mean M --scale S  input is (v - M) * S for v in 0..255: one number, or one a channel with commas between\n"
    "  --order NAME        bgr or rgb: which colour the network's first channel is (default: bgr)\n"
    "  --name NAME         what the network is called from now on\n"
    "  --licence TEXT      of the weights; with --non-commercial if it forbids commercial use\n";

static int fail(int status, const struct pd_err *err)
{
    fprintf(stderr, "posed model: %s%s\n", err->text, status == PD_EXIT_USAGE ? "; see posed model --help" : "");
    return status;
}

/* FILE with .onnx for its suffix; never over a file that is there, since nobody named it. */
static int default_output(const char *file, char *path, size_t size, struct pd_err *err)
{
    const char *slash = strrchr(file, '/'), *dot = strrchr(file, '.');
    int stem = (int)(dot && dot > (slash ? slash + 1 : file) ? dot - file : (ptrdiff_t)strlen(file));
    int n = snprintf(path, size, "%.*s.onnx", stem, file);
    if (n < 0 || (size_t)n >= size)
        return pd_err_set(err, -ENAMETOOLONG, "%s: the path is too long", file);
    if (access(path, F_OK) == 0)
        return pd_err_set(err, -EEXIST, "%s is there already; say where to write with -o FILE", path);
    return 0;
}

static int check(const struct pd_net_import *im, int n_files, struct pd_err *err)
{
    if (n_files != 1)
        return pd_err_set(err, -EINVAL, "import takes one FILE, got %d", n_files);
    if (!im->heatmaps != !im->pafs)
        return pd_err_set(err, -EINVAL, "--heatmaps and --pafs go together");
    if (im->output && im->heatmaps)
        return pd_err_set(err, -EINVAL, "--both names one tensor; --heatmaps and --pafs name two");
    if (im->pafs_first && !im->output)
        return pd_err_set(err, -EINVAL, "--pafs-first goes with --both NAME");
    if (im->order && strcmp(im->order, "bgr") && strcmp(im->order, "rgb"))
        return pd_err_set(err, -EINVAL, "--order is '%s', bgr or rgb is expected", im->order);
    return 0;
}

static const struct option options[] = {
    {"output", required_argument, NULL, 'o'},
    {"heatmaps", required_argument, NULL, OPT_HEATMAPS},
    {"pafs", required_argument, NULL, OPT_PAFS},
    {"both", required_argument, NULL, OPT_BOTH},
    {"pafs-first", no_argument, NULL, OPT_PAFS_FIRST},
    {"skeleton", required_argument, NULL, OPT_SKELETON},
    {"paf-channels", required_argument, NULL, OPT_PAF_CHANNELS},
    {"mean", required_argument, NULL, OPT_MEAN},
    {"scale", required_argument, NULL, OPT_SCALE},
    {"order", required_argument, NULL, OPT_ORDER},
    {"name", required_argument, NULL, OPT_NAME},
    {"licence", required_argument, NULL, OPT_LICENCE},
    {"non-commercial", no_argument, NULL, OPT_NON_COMMERCIAL},
    {0},
};

/* Where an option's value goes; NULL: it has none. */
static const char **place_of(struct pd_net_import *im, int opt)
{
    switch (opt) {
    case OPT_HEATMAPS:
        return &im->heatmaps;
    case OPT_PAFS:
        return &im->pafs;
    case OPT_BOTH:
        return &im->output;
    case OPT_SKELETON:
        return &im->skeleton;
    case OPT_PAF_CHANNELS:
        return &im->paf_channels;
    case OPT_MEAN:
        return &im->mean;
    case OPT_SCALE:
        return &im->scale;
    case OPT_ORDER:
        return &im->order;
    case OPT_NAME:
        return &im->name;
    case OPT_LICENCE:
        return &im->licence;
    default:
        return NULL;
    }
}

int pd_model_import(int argc, char **argv)
{
    struct pd_net_import im = {0};
    struct pd_err err;
    const char *output = NULL;
    char found[PATH_MAX];
    int opt;
    while ((opt = getopt_long(argc, argv, ":o:", options, NULL)) != -1) {
        const char **place = place_of(&im, opt);
        if (place) {
            *place = optarg;
        } else if (opt == 'o') {
            output = optarg;
        } else if (opt == OPT_PAFS_FIRST) {
            im.pafs_first = true;
        } else if (opt == OPT_NON_COMMERCIAL) {
            im.non_commercial = true;
        } else {
            pd_err_set(&err, -EINVAL, opt == ':' ? "%s needs a value" : "no option '%s'", argv[optind - 1]);
            return fail(PD_EXIT_USAGE, &err);
        }
    }
    if (check(&im, argc - optind, &err) < 0)
        return fail(PD_EXIT_USAGE, &err);
    if (!output && default_output(argv[optind], found, sizeof(found), &err) < 0)
        return fail(PD_EXIT_FAILURE, &err);
    if (pd_net_import(argv[optind], output ? output : found, &im, &err) < 0)
        return fail(PD_EXIT_FAILURE, &err);
    return PD_EXIT_OK;
}
