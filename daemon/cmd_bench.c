/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/bench.h"

#define DEFAULT_WIDTH 456
#define DEFAULT_HEIGHT 256

enum { OPT_JSON = PD_CLI_OWN, OPT_PLOT, OPT_PRICE, OPT_SECONDS, OPT_NO_LAYERS, OPT_CPU_TIME, OPT_CAMERAS,
       OPT_BATCHES };

static const struct option options[] = {
    PD_CLI_OPTIONS,
    {"json", no_argument, NULL, OPT_JSON},
    {"plot", required_argument, NULL, OPT_PLOT},
    {"price", required_argument, NULL, OPT_PRICE},
    {"seconds", required_argument, NULL, OPT_SECONDS},
    {"no-layers", no_argument, NULL, OPT_NO_LAYERS},
    {"cpu-time", no_argument, NULL, OPT_CPU_TIME},
    {"cameras", required_argument, NULL, OPT_CAMERAS},
    {"batches", required_argument, NULL, OPT_BATCHES},
    {0},
};

struct settings {
    struct pd_cli cli;
    bool json, no_layers, cpu_time;
    const char *plot;
    float price, seconds;
    int cameras;
    int n_batches, batches[PD_BENCH_BATCHES_MAX];
};

static void help(void)
{
    printf(
        "usage: posed bench [OPTION...]\n\n"
        "Measures the network on this machine: time of every layer and stage, time and frames a second of batches of\n"
        "1, 2, 4, 8, 16, 24 and 32 frames, and one camera's way from picture to people. A layer's share of peak is of\n"
        "the most that the same engine reached with a product of large matrices or in a layer.\n\n"
        "  --json              figures as JSON\n"
        "  --plot OUT.svg      draw time against batch size\n"
        "  --price X           price of an hour of this machine: says what a camera-hour costs\n"
        "  --seconds X         how long each measurement goes on, at least (default: 1)\n"
        "  --no-layers         leave out the layers\n"
        "  --batches N,N,...   measure these alone: on a GPU the fastest way is searched for each of them first\n"
        "  --cameras N         also N made-up cameras of 1280x720 at once, each as fast as it is served: frames a\n"
        "                      second through letterbox, network and post-processing\n"
        "  --cpu-time          batches in processor time of all threads, which a busy machine disturbs less\n"
        "%s\n"
        "Here --batch is the largest batch (default: 32), and the input is %dx%d unless given.\n\n"
        "Example: posed bench --batch 8 --plot batches.svg\n",
        pd_cli_options_help, DEFAULT_WIDTH, DEFAULT_HEIGHT);
}

/* Numbers that rise, with commas between them. */
static int parse_batches(struct settings *s, const char *text, struct pd_err *err)
{
    char one[16];
    s->n_batches = 0;
    for (int last = 0; s->n_batches < PD_BENCH_BATCHES_MAX; last = s->batches[s->n_batches++]) {
        size_t n = strcspn(text, ",");
        snprintf(one, sizeof(one), "%.*s", (int)PD_MIN(n, sizeof(one) - 1), text);
        int r = pd_cli_int("--batches", one, last + 1, PD_BATCH_MAX, &s->batches[s->n_batches], err);
        if (r < 0)
            return r;
        if (!text[n]) {
            s->n_batches++;
            return 0;
        }
        text += n + 1;
    }
    return pd_err_set(err, -EINVAL, "--batches: at most %d are measured", PD_BENCH_BATCHES_MAX);
}

static int own_option(struct settings *s, int opt, const char *arg, struct pd_err *err)
{
    switch (opt) {
    case OPT_JSON:
        s->json = true;
        return 0;
    case OPT_PLOT:
        s->plot = arg;
        return 0;
    case OPT_PRICE:
        return pd_cli_float("--price", arg, 0, 1e6, &s->price, err);
    case OPT_SECONDS:
        return pd_cli_float("--seconds", arg, 0, 3600, &s->seconds, err);
    case OPT_NO_LAYERS:
        s->no_layers = true;
        return 0;
    case OPT_CAMERAS:
        return pd_cli_int("--cameras", arg, 1, PD_BENCH_CAMERAS_MAX, &s->cameras, err);
    case OPT_BATCHES:
        return parse_batches(s, arg, err);
    case OPT_CPU_TIME:
        s->cpu_time = true;
        return 0;
    default:
        return pd_err_set(err, -EINVAL, "unknown option");
    }
}

static int parse(struct settings *s, int argc, char **argv, struct pd_err *err)
{
    int opt;
    while ((opt = getopt_long(argc, argv, PD_CLI_SHORT, options, NULL)) != -1) {
        int r = pd_cli_option(&s->cli, opt, argv, optarg, err);
        if (r == PD_CLI_E_OTHER)
            r = own_option(s, opt, optarg, err);
        if (r < 0)
            return r;
    }
    if (optind < argc)
        return pd_err_set(err, -EINVAL, "'%s' is not expected", argv[optind]);
    return 0;
}

static int measure(const struct settings *s, struct pd_bench *b, struct pd_engine *engine, struct pd_err *err)
{
    int r = s->no_layers ? 0 : pd_bench_layers(b, engine, s->seconds, err);
    if (r == 0 && b->n_layers)
        r = pd_bench_peak(b, &s->cli, s->seconds, err);
    if (r == 0)
        r = pd_bench_batches(b, engine, s->seconds, err);
    if (r == 0)
        r = pd_bench_pipeline(b, engine, s->seconds, err);
    if (r == 0 && s->cameras)
        r = pd_bench_cameras(b, engine, s->cameras, s->seconds, err);
    return r;
}

static int tell(const struct settings *s, const struct pd_bench *b, struct pd_err *err)
{
    int r = 0;
    if (s->json)
        r = pd_bench_print_json(b, stdout, err);
    else
        pd_bench_print(b, stdout);
    if (r == 0 && (fflush(stdout) == EOF || ferror(stdout)))
        r = pd_err_set(err, -EIO, "cannot write to standard output");
    return r == 0 && s->plot ? pd_bench_plot(b, s->plot, err) : r;
}

static int bench(const struct settings *s, struct pd_net *net, struct pd_err *err)
{
    struct pd_bench b = {.net = net, .price = (double)s->price, .cpu_time = s->cpu_time, .n_wanted = s->n_batches};
    memcpy(b.wanted, s->batches, sizeof(b.wanted));
    b.width = pd_cli_round(net, s->cli.width ? s->cli.width : DEFAULT_WIDTH);
    b.height = pd_cli_round(net, s->cli.height ? s->cli.height : DEFAULT_HEIGHT);
    PD_CLEANUP(pd_freep) struct pd_shape *shapes = calloc((size_t)net->n_tensors, sizeof(*shapes));
    if (!shapes)
        return pd_err_set(err, -ENOMEM, "out of memory");
    b.shapes = shapes;
    int r = pd_net_shapes(net, b.height, b.width, shapes, err);
    if (r < 0)
        return r;
    for (int i = 0; i < net->n_layers; i++)
        b.gflop += 2 * pd_layer_macs(net, &net->layers[i], shapes) / 1e9;
    struct pd_engine *engine;
    int largest = s->n_batches ? s->batches[s->n_batches - 1] : PD_BATCH_MAX;
    r = pd_cli_open(&s->cli, net, b.width, b.height, s->cli.batch ? s->cli.batch : largest, 2, &engine, err);
    if (r < 0)
        return r;
    b.caps = pd_engine_caps(engine);
    if (s->n_batches && largest > b.caps->max_batch)
        r = pd_err_set(err, -EINVAL, "--batches: %d is more than the %d that a batch of %s can be here", largest,
                       b.caps->max_batch, b.caps->name);
    if (r == 0)
        r = measure(s, &b, engine, err);
    if (r == 0) {
        pd_engine_update_memory(engine);
        r = tell(s, &b, err);
    }
    free(b.layers);
    pd_engine_close(engine);
    return r;
}

static int run(int argc, char **argv)
{
    struct settings s = {.cli = pd_cli_defaults("bench"), .seconds = 1};
    s.cli.candidates = true;
    struct pd_err err = {""};
    struct pd_net *net;
    if (parse(&s, argc, argv, &err) < 0)
        return pd_cli_usage(&s.cli, &err);
    if (s.cli.help) {
        help();
        return PD_EXIT_OK;
    }
    if (pd_cli_load(&s.cli, true, &net, &err) < 0)
        return pd_cli_fail(&s.cli, PD_EXIT_FAILURE, &err);
    int r = bench(&s, net, &err);
    pd_net_destroy(net);
    return r < 0 ? pd_cli_fail(&s.cli, PD_EXIT_FAILURE, &err) : PD_EXIT_OK;
}

const struct pd_command pd_cmd_bench = {"bench", "measure the network on this machine", run};
