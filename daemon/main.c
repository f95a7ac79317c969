/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/util.h"
#include "daemon/command.h"

static const struct pd_command *const commands[] = {
    &pd_cmd_run,
    &pd_cmd_check,
    &pd_cmd_detect,
    &pd_cmd_bench,
    &pd_cmd_model,
    NULL,
};

static void usage(FILE *out)
{
    fprintf(out, "usage: posed COMMAND [OPTION...]\n\n"
                 "posed watches cameras and says, for every frame, where the people are.\n\n");
    for (size_t i = 0; i < PD_ARRAY_SIZE(commands) && commands[i]; i++)
        fprintf(out, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(out, "\n`posed COMMAND --help` says more, `posed --version` which one this is.\n"
                 "Example: posed detect photo.jpg --draw drawn.png\n");
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        usage(stderr);
        return PD_EXIT_USAGE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        usage(stdout);
        return PD_EXIT_OK;
    }
    if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
        printf("posed %s\n", PD_VERSION);
        return PD_EXIT_OK;
    }
    for (size_t i = 0; i < PD_ARRAY_SIZE(commands) && commands[i]; i++)
        if (!strcmp(argv[1], commands[i]->name))
            return commands[i]->run(argc - 1, argv + 1);
    fprintf(stderr, "posed: no command '%s'; see posed --help\n", argv[1]);
    return PD_EXIT_USAGE;
}
