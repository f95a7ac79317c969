/* SPDX-License-Identifier: Apache-2.0 - `posed model`: what network files hold, and networks to measure with. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "daemon/cli.h"
#include "daemon/command.h"
#include "daemon/model_import.h"
#include "daemon/model_info.h"

#define SIDE_MAX 4096

enum { OPT_HEIGHT = 1, OPT_WIDTH, OPT_JSON, OPT_NETWORK, OPT_SEED, OPT_LIST };

static int usage(FILE *out, int status)
{
    fprintf(out, "usage: posed model info [FILE] [--height N] [--width N] [--json]\n"
                 "       posed model import FILE [-o FILE] [OPTION...]\n"
                 "       posed model random --network NAME -o FILE [--seed N]\n"
                 "       posed model random --list\n"
                 "\n"
                 "info says what an ONNX file holds once it is lowered: skeleton, licence, input, layers, cost.\n"
                 "random writes a network of a known shape with random weights, to measure speed with.\n"
                 "\n"
                 "  FILE                the network (default: $POSED_NETWORK, else the bundled one)\n"
                 "  --height N          input size that shapes and costs are told for (368; 224 for a classifier)\n"
                 "  --width N           (16/9 of the height; a classifier's is square)\n"
                 "  --json              one JSON object instead of a table\n"
                 "  --network NAME      which shape; --list tells the names\n"
                 "  -o, --output FILE   where to write it\n"
                 "  --seed N            another seed, other weights (default: 1)\n"
                 "  -h, --help          this text\n"
                 "\n"
                 "%s"
                 "\n"
                 "Example: posed model import pose_iter_440000.caffemodel -o openpose-coco.onnx\n"
                 "         posed model import trained.onnx -o ours.onnx --mean 128 --scale 0.00390625 --licence MIT\n"
                 "         posed model random --network openpose-coco -o coco.onnx && posed model info coco.onnx\n",
            pd_model_import_help);
    return status;
}

static int fail(int status, const struct pd_err *err)
{
    fprintf(stderr, "posed model: %s%s\n", err->text, status == PD_EXIT_USAGE ? "; see posed model --help" : "");
    return status;
}

/* What getopt itself complained about. */
static int bad_option(int opt, char **argv)
{
    struct pd_err err;
    const char *word = optind > 0 && argv[optind - 1] ? argv[optind - 1] : "?";
    pd_err_set(&err, -EINVAL, opt == ':' ? "%s needs a value" : "no option '%s'", word);
    return fail(PD_EXIT_USAGE, &err);
}

/* ---- info ---- */

struct info_options {
    int width, height;
    bool json;
};

static int show_info(const struct info_options *opt, const char *path)
{
    struct pd_err err;
    struct pd_net *net;
    struct pd_model_cost cost;
    if (pd_net_load(path, &net, &err) < 0)
        return fail(PD_EXIT_FAILURE, &err);
    int height = opt->height, width = opt->width;
    bool pose = net->meta.skeleton != NULL;
    if (!height)
        height = pose ? (width ? (width * 9 + 8) / 16 : 368) : width ? width : 224;
    if (!width)
        width = pose ? (height * 16 + 8) / 9 : height;
    int r = pd_model_cost(net, pd_cli_round(net, width), pd_cli_round(net, height), &cost, &err);
    if (r < 0) {
        pd_net_destroy(net);
        return fail(PD_EXIT_FAILURE, &err);
    }
    if (opt->json)
        r = pd_model_print_json(net, &cost, path);
    else
        pd_model_print(net, &cost, path);
    if (r < 0 || fflush(stdout) || ferror(stdout)) {
        pd_err_set(&err, r, "cannot write the answer: %s", strerror(r < 0 ? -r : errno));
        r = fail(PD_EXIT_FAILURE, &err);
    }
    pd_model_cost_finish(&cost);
    pd_net_destroy(net);
    return r;
}

static int info(int argc, char **argv)
{
    static const struct option options[] = {
        {"height", required_argument, NULL, OPT_HEIGHT},
        {"width", required_argument, NULL, OPT_WIDTH},
        {"json", no_argument, NULL, OPT_JSON},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct info_options o = {0};
    struct pd_err err;
    char found[PATH_MAX];
    int opt;
    while ((opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        int r = 0;
        if (opt == 'h')
            return usage(stdout, PD_EXIT_OK);
        else if (opt == OPT_HEIGHT)
            r = pd_cli_int("--height", optarg, 1, SIDE_MAX, &o.height, &err);
        else if (opt == OPT_WIDTH)
            r = pd_cli_int("--width", optarg, 1, SIDE_MAX, &o.width, &err);
        else if (opt == OPT_JSON)
            o.json = true;
        else
            return bad_option(opt, argv);
        if (r < 0)
            return fail(PD_EXIT_USAGE, &err);
    }
    if (argc - optind > 1) {
        pd_err_set(&err, -EINVAL, "info takes one FILE, got %d", argc - optind);
        return fail(PD_EXIT_USAGE, &err);
    }
    const char *path = argv[optind];
    if (!path && pd_cli_default_network(found, sizeof(found), &err) < 0)
        return fail(PD_EXIT_FAILURE, &err);
    return show_info(&o, path ? path : found);
}

/* ---- random ---- */

static int list_random(void)
{
    for (int i = 0; pd_net_random_name(i); i++)
        puts(pd_net_random_name(i));
    return PD_EXIT_OK;
}

static bool is_known(const char *network)
{
    for (int i = 0; pd_net_random_name(i); i++)
        if (!strcmp(network, pd_net_random_name(i)))
            return true;
    return false;
}

static int random_network(int argc, char **argv)
{
    static const struct option options[] = {
        {"network", required_argument, NULL, OPT_NETWORK},
        {"output", required_argument, NULL, 'o'},
        {"seed", required_argument, NULL, OPT_SEED},
        {"list", no_argument, NULL, OPT_LIST},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    const char *network = NULL, *output = NULL;
    struct pd_err err;
    int seed = 1, opt;
    while ((opt = getopt_long(argc, argv, ":ho:", options, NULL)) != -1) {
        if (opt == 'h')
            return usage(stdout, PD_EXIT_OK);
        else if (opt == OPT_LIST)
            return list_random();
        else if (opt == OPT_NETWORK)
            network = optarg;
        else if (opt == 'o')
            output = optarg;
        else if (opt != OPT_SEED)
            return bad_option(opt, argv);
        else if (pd_cli_int("--seed", optarg, 0, INT_MAX, &seed, &err) < 0)
            return fail(PD_EXIT_USAGE, &err);
    }
    if (!network || !output || argv[optind]) {
        pd_err_set(&err, -EINVAL, "random needs --network NAME and -o FILE, and nothing else");
        return fail(PD_EXIT_USAGE, &err);
    }
    if (pd_net_random_write(network, (uint64_t)seed, output, &err) < 0)
        return fail(is_known(network) ? PD_EXIT_FAILURE : PD_EXIT_USAGE, &err);
    return PD_EXIT_OK;
}

static int run(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    if (!strcmp(verb, "info"))
        return info(argc - 1, argv + 1);
    if (!strcmp(verb, "import")) {
        if (argc > 2 && (!strcmp(argv[2], "--help") || !strcmp(argv[2], "-h")))
            return usage(stdout, PD_EXIT_OK);
        return pd_model_import(argc - 1, argv + 1);
    }
    if (!strcmp(verb, "random"))
        return random_network(argc - 1, argv + 1);
    if (!strcmp(verb, "--help") || !strcmp(verb, "-h"))
        return usage(stdout, PD_EXIT_OK);
    struct pd_err err;
    pd_err_set(&err, -EINVAL,
               *verb ? "no '%s'; info, import or random is expected" : "info, import or random is expected", verb);
    return fail(PD_EXIT_USAGE, &err);
}

const struct pd_command pd_cmd_model = {
    .name = "model",
    .summary = "say what a network file holds; import one from Caffe or ONNX",
    .run = run,
};
