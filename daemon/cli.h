#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * What the offline commands (detect, bench) share: options that choose network and engine, values checked with one
 * clear line, and opening both. Main thread.
 *
 *     static const struct option options[] = {PD_CLI_OPTIONS, {"draw", required_argument, NULL, 'd'}, {0}};
 *     struct pd_cli cli = pd_cli_defaults("detect");
 *     while ((opt = getopt_long(argc, argv, PD_CLI_SHORT, options, NULL)) != -1)
 *         if ((rc = pd_cli_option(&cli, opt, argv, optarg, &err)) == PD_CLI_E_OTHER) ...
 */
#include <getopt.h>

#include "core/err.h"
#include "core/engine/engine.h"
#include "core/net/net.h"
#include "daemon/command.h"

struct pd_cli {
    const char *command;  /* "detect": error lines begin with "posed detect: " */
    const char *network;  /* path as given, NULL: pd_cli_default_network() */
    const char *engine;
    enum pd_precision precision;
    int threads;          /* 0: one per core */
    int width, height;    /* as given, 0: not given */
    int batch;            /* 0: not given */
    bool candidates;      /* ask engines that can for candidates instead of maps */
    bool help;            /* --help was there */
};

/* Values of long options that pd_cli_option() takes; a command's own start at PD_CLI_OWN or are characters. */
enum {
    PD_CLI_NETWORK = 0x100,
    PD_CLI_ENGINE,
    PD_CLI_PRECISION,
    PD_CLI_THREADS,
    PD_CLI_WIDTH,
    PD_CLI_HEIGHT,
    PD_CLI_BATCH,
    PD_CLI_OWN = 0x200,
};

#define PD_CLI_SHORT ":h"
#define PD_CLI_OPTIONS                                                                                                 \
    {"network", required_argument, NULL, PD_CLI_NETWORK}, {"engine", required_argument, NULL, PD_CLI_ENGINE},          \
        {"precision", required_argument, NULL, PD_CLI_PRECISION},                                                      \
        {"threads", required_argument, NULL, PD_CLI_THREADS}, {"width", required_argument, NULL, PD_CLI_WIDTH},        \
        {"height", required_argument, NULL, PD_CLI_HEIGHT}, {"batch", required_argument, NULL, PD_CLI_BATCH},          \
    {                                                                                                                  \
        "help", no_argument, NULL, 'h'                                                                                 \
    }

/* Help text of PD_CLI_OPTIONS, a line an option, for printf("%s"). */
extern const char pd_cli_options_help[];

struct pd_cli pd_cli_defaults(const char *command);

#define PD_CLI_E_OTHER 1 /* not one of PD_CLI_OPTIONS: the command's own */
/* Handle what getopt_long() returned, its own complaints ('?', ':') included. 0, PD_CLI_E_OTHER or -EINVAL. */
int pd_cli_option(struct pd_cli *cli, int opt, char **argv, const char *arg, struct pd_err *err);

/* A number within lo..hi, nothing after it; @what is the option as the user typed it, "--height". 0 or -EINVAL. */
int pd_cli_int(const char *what, const char *text, int lo, int hi, int *ret_value, struct pd_err *err);
int pd_cli_float(const char *what, const char *text, double lo, double hi, float *ret_value, struct pd_err *err);

/* Where the network is looked for without --network: $POSED_NETWORK, the installed one, the source tree's beside the
 * build folder that this program runs from. -ENOENT with a line that says what to do. */
int pd_cli_default_network(char *path, size_t size, struct pd_err *err);

/* Load the network that the options choose. A network without a skeleton (a classifier) is refused unless @any. */
int pd_cli_load(const struct pd_cli *cli, bool any, struct pd_net **ret_net, struct pd_err *err);

/* @size rounded up to a side that the network takes. */
int pd_cli_round(const struct pd_net *net, int size);

/* Open the chosen engine for inputs of @width x @height (multiples of the stride), @batch frames, @in_flight batches.
 * */
int pd_cli_open(const struct pd_cli *cli, const struct pd_net *net, int width, int height, int batch, int in_flight,
                struct pd_engine **ret_engine, struct pd_err *err);

/* "posed COMMAND: LINE" on stderr; returns @status. */
int pd_cli_fail(const struct pd_cli *cli, int status, const struct pd_err *err);
/* The same for wrong usage, with where to read on. Returns PD_EXIT_USAGE. */
int pd_cli_usage(const struct pd_cli *cli, const struct pd_err *err);
