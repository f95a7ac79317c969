#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * `posed COMMAND ...`: main.c looks the command up and hands it its own argv (argv[0] is the command's name).
 */

enum {
    PD_EXIT_OK = 0,
    PD_EXIT_FAILURE = 1,
    PD_EXIT_USAGE = 2,     /* wrong usage */
    PD_EXIT_TEMPFAIL = 75, /* EX_TEMPFAIL: the device is lost, a restart may help */
    PD_EXIT_CONFIG = 78,   /* EX_CONFIG: a restart will not help */
};

struct pd_command {
    const char *name;
    const char *summary; /* one line for `posed --help` */
    int (*run)(int argc, char **argv);
};

extern const struct pd_command pd_cmd_run, pd_cmd_check, pd_cmd_detect, pd_cmd_bench, pd_cmd_model;
