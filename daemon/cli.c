/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/cli.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"

#define SIDE_MAX 4096 /* of a network input: 16 million pixels are more memory than any card has */

const char pd_cli_options_help[] =
    "  --network FILE      ONNX file (default: $POSED_NETWORK, else the bundled network)\n"
    "  --engine NAME       auto, cudnn, onednn, reference or null (default: auto)\n"
    "  --precision NAME    auto, fp32, tf32, bf16 or fp16 (default: auto)\n"
    "  --threads N         CPU threads (default: one per core)\n"
    "  --height N          height of the network's input, rounded up to its stride\n"
    "  --width N           width of the network's input, rounded up to its stride\n"
    "  --batch N           frames that the network sees at once, 1..32\n"
    "  -h, --help          this text\n";

struct pd_cli pd_cli_defaults(const char *command)
{
    return (struct pd_cli){.command = command, .engine = "auto", .precision = PD_PRECISION_AUTO};
}

/* ---- values ---- */

int pd_cli_int(const char *what, const char *text, int lo, int hi, int *ret_value, struct pd_err *err)
{
    char *end;
    errno = 0;
    long v = strtol(text, &end, 10);
    if (end == text || *end || errno || v < lo || v > hi)
        return pd_err_set(err, -EINVAL, "%s is '%s', a whole number from %d to %d was expected", what, text, lo, hi);
    *ret_value = (int)v;
    return 0;
}

int pd_cli_float(const char *what, const char *text, double lo, double hi, float *ret_value, struct pd_err *err)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || !isfinite(v) || v < lo || v > hi)
        return pd_err_set(err, -EINVAL, "%s is '%s', a number from %g to %g was expected", what, text, lo, hi);
    *ret_value = (float)v;
    return 0;
}

static int set_engine(struct pd_cli *cli, const char *name, struct pd_err *err)
{
    char known[128] = "auto";
    bool found = !strcmp(name, "auto");
    for (int i = 0; pd_engine_name(i); i++) {
        size_t n = strlen(known);
        snprintf(known + n, sizeof(known) - n, ", %s", pd_engine_name(i));
        found = found || !strcmp(name, pd_engine_name(i));
    }
    if (!found)
        return pd_err_set(err, -EINVAL, "--engine is '%s', this build has %s", name, known);
    cli->engine = name;
    return 0;
}

static int complain(int opt, char **argv, struct pd_err *err)
{
    /* getopt leaves the offending word behind for long options, and the letter in optopt for short ones. */
    const char *word = optind > 0 && argv[optind - 1] ? argv[optind - 1] : "?";
    if (opt == ':')
        return pd_err_set(err, -EINVAL, "%s needs a value", word);
    return pd_err_set(err, -EINVAL, "no option '%s'", word);
}

int pd_cli_option(struct pd_cli *cli, int opt, char **argv, const char *arg, struct pd_err *err)
{
    switch (opt) {
    case 'h':
        cli->help = true;
        return 0;
    case '?':
    case ':':
        return complain(opt, argv, err);
    case PD_CLI_NETWORK:
        cli->network = arg;
        return 0;
    case PD_CLI_ENGINE:
        return set_engine(cli, arg, err);
    case PD_CLI_PRECISION:
        if (pd_precision_parse(arg, &cli->precision))
            return pd_err_set(err, -EINVAL, "--precision is '%s', auto, fp32, tf32, bf16 or fp16 was expected", arg);
        return 0;
    case PD_CLI_THREADS:
        return pd_cli_int("--threads", arg, 1, 1024, &cli->threads, err);
    case PD_CLI_WIDTH:
        return pd_cli_int("--width", arg, 1, SIDE_MAX, &cli->width, err);
    case PD_CLI_HEIGHT:
        return pd_cli_int("--height", arg, 1, SIDE_MAX, &cli->height, err);
    case PD_CLI_BATCH:
        return pd_cli_int("--batch", arg, 1, PD_BATCH_MAX, &cli->batch, err);
    default:
        return PD_CLI_E_OTHER;
    }
}

/* ---- network and engine ---- */

/* FILE of "../../models/FILE", seen from the folder of this program: BUILD/daemon/posed in a source tree. */
static bool beside_build(const char *file, char *path, size_t size)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n <= 0)
        return false;
    self[n] = 0;
    char *slash = strrchr(self, '/');
    if (!slash)
        return false;
    *slash = 0;
    int len = snprintf(path, size, "%s/../../models/%s", self, file);
    return len > 0 && (size_t)len < size && access(path, R_OK) == 0;
}

int pd_cli_default_network(char *path, size_t size, struct pd_err *err)
{
    const char *env = getenv("POSED_NETWORK");
    const char *installed = PD_DATADIR "/posed-lite.onnx";
    if ((env && *env) || access(installed, R_OK) == 0) {
        const char *from = env && *env ? env : installed;
        if (strlen(from) >= size)
            return pd_err_set(err, -ENAMETOOLONG, "the network's path is longer than %zu bytes", size - 1);
        strcpy(path, from);
        return 0;
    }
    if (beside_build("posed-lite.onnx", path, size))
        return 0;
    return pd_err_set(err, -ENOENT, "no network: %s is not there; install it or give --network FILE", installed);
}

int pd_cli_load(const struct pd_cli *cli, bool any, struct pd_net **ret_net, struct pd_err *err)
{
    char found[PATH_MAX];
    const char *path = cli->network;
    if (!path) {
        int rc = pd_cli_default_network(found, sizeof(found), err);
        if (rc)
            return rc;
        path = found;
    }
    struct pd_net *net;
    int rc = pd_net_load(path, &net, err);
    if (rc)
        return rc;
    if (!any && !net->meta.skeleton) {
        pd_net_destroy(net);
        return pd_err_set(err, -EINVAL, "%s is not a pose network: it has no skeleton of keypoints and limbs", path);
    }
    *ret_net = net;
    return 0;
}

int pd_cli_round(const struct pd_net *net, int size)
{
    int multiple = pd_net_multiple(net);
    return PD_MAX((size + multiple - 1) / multiple, 1) * multiple;
}

int pd_cli_open(const struct pd_cli *cli, const struct pd_net *net, int width, int height, int batch, int in_flight,
                struct pd_engine **ret_engine, struct pd_err *err)
{
    const struct pd_engine_params params = {
        .precision = cli->precision,
        .width = width,
        .height = height,
        .max_batch = batch,
        .threads = cli->threads,
        .in_flight = in_flight,
        .candidates = cli->candidates,
        .cache_dir = getenv("POSED_CACHE_DIR"),
    };
    pd_log_set_level(PD_LOG_WARN); /* which engines `auto` passed over is the daemon's news, not a command's */
    return pd_engine_open(cli->engine, net, &params, ret_engine, err);
}

/* ---- saying what is wrong ---- */

int pd_cli_fail(const struct pd_cli *cli, int status, const struct pd_err *err)
{
    fprintf(stderr, "posed %s: %s\n", cli->command, err->text);
    return status;
}

int pd_cli_usage(const struct pd_cli *cli, const struct pd_err *err)
{
    fprintf(stderr, "posed %s: %s; see posed %s --help\n", cli->command, err->text, cli->command);
    return PD_EXIT_USAGE;
}
