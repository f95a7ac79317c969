/* SPDX-License-Identifier: Apache-2.0
 *
 * posed run: the daemon, in the foreground; logs go to stderr.
 */
#include <getopt.h>
#include <stdio.h>

#include "daemon/command.h"
#include "daemon/manager.h"

static void usage(FILE *out)
{
    fprintf(out,
            "usage: posed run [OPTION...]\n\n"
            "Watch the configured cameras and send what they show to everyone who subscribes at the socket.\n"
            "Runs in the foreground until SIGTERM or SIGINT; SIGHUP reads the configuration again.\n\n"
            "  -c, --config FILE     configuration (default " PD_SYSCONFDIR "/posed.json)\n"
            "      --socket PATH     listen here instead of where the configuration says\n"
            "      --engine NAME     auto, cudnn, onednn, reference or null, instead of the configured one\n"
            "      --network FILE    network, instead of the configured one\n"
            "      --exit-when-done  end when every camera is a file that has ended\n"
            "  -h, --help            this text\n\n"
            "Exit status: 0 stopped, 1 failed, 2 wrong usage, 75 the device is lost (try again), 78 the configuration\n"
            "has mistakes (all are told). Example:\n"
            "  posed run --config ./posed.json --socket /tmp/posed.sock\n");
}

static int run(int argc, char **argv)
{
    enum { SOCKET = 256, ENGINE, NETWORK, EXIT_WHEN_DONE };
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"socket", required_argument, NULL, SOCKET},
        {"engine", required_argument, NULL, ENGINE},
        {"network", required_argument, NULL, NETWORK},
        {"exit-when-done", no_argument, NULL, EXIT_WHEN_DONE},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct pd_run_options run_options = {.config = PD_SYSCONFDIR "/posed.json"};
    int opt;
    while ((opt = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        switch (opt) {
        case 'c':
            run_options.config = optarg;
            break;
        case SOCKET:
            run_options.socket = optarg;
            break;
        case ENGINE:
            run_options.engine = optarg;
            break;
        case NETWORK:
            run_options.network = optarg;
            break;
        case EXIT_WHEN_DONE:
            run_options.exit_when_done = true;
            break;
        case 'h':
            usage(stdout);
            return PD_EXIT_OK;
        default:
            fprintf(stderr, "posed run: see posed run --help\n");
            return PD_EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "posed run: '%s' is too much; cameras are configured, see posed run --help\n", argv[optind]);
        return PD_EXIT_USAGE;
    }
    return pd_manager_run(&run_options);
}

const struct pd_command pd_cmd_run = {"run", "the daemon: watch cameras, serve subscribers", run};
