/* SPDX-License-Identifier: Apache-2.0 - `posed check`: network file and engines. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/check.h"
#include "daemon/cli.h"

/* The network at the input size that the daemon would use. */
static void check_size(struct pd_check *check, const struct pd_config *config, const struct pd_net *net)
{
    struct pd_err err;
    int width = pd_cli_round(net, config->width), height = pd_cli_round(net, config->height);
    struct pd_shape *shapes = calloc((size_t)net->n_tensors, sizeof(*shapes));
    if (!shapes)
        pd_check_tell(check, PD_CHECK_FAIL, "network", "out of memory");
    else if (pd_net_shapes(net, height, width, shapes, &err) < 0)
        pd_check_tell(check, PD_CHECK_FAIL, "network", "width %d, height %d do not fit the network: %s", width, height,
                      err.text);
    else if (width != config->width || height != config->height)
        pd_check_tell(check, PD_CHECK_NOTE, "network", "its input will be %dx%d: %dx%d is no multiple of %d",
                      width, height, config->width, config->height, pd_net_multiple(net));
    free(shapes);
}

static struct pd_net *check_network(struct pd_check *check, const struct pd_config *config)
{
    struct pd_err err;
    struct pd_net *net = NULL;
    if (pd_net_load(config->network, &net, &err) < 0) {
        pd_check_tell(check, PD_CHECK_FAIL, "network", "%s", err.text);
        return NULL;
    }
    const struct pd_net_meta *meta = &net->meta;
    if (!meta->skeleton) {
        pd_check_tell(check, PD_CHECK_FAIL, "network", "%s: no pose network: it names no skeleton; `posed model info` "
                      "says what it holds", config->network);
    } else {
        pd_check_tell(check, PD_CHECK_OK, "network", "%s: %s, skeleton %s, %d layers, %.1f M parameters",
                      config->network, meta->name, meta->skeleton->name, net->n_layers,
                      (double)pd_net_parameters(net) / 1e6);
        check_size(check, config, net);
    }
    if (meta->non_commercial)
        pd_check_tell(check, PD_CHECK_WARN, "network", "its licence forbids commercial use: %s",
                      *meta->licence ? meta->licence : "(no text)");
    return net;
}

/* Whether the engine called @name is here; tells of each engine of this build. */
static bool check_engines(struct pd_check *check, const char *wanted)
{
    bool any = false, automatic = !strcmp(wanted, "auto");
    const char *name;
    for (int i = 0; (name = pd_engine_name(i)); i++) {
        struct pd_err err = {""};
        bool here = pd_engine_probe(i, &err) == 0;
        bool asked = !strcmp(name, wanted);
        any |= here && (asked || automatic);
        if (here)
            pd_check_tell(check, PD_CHECK_OK, "engine", "%s: can run here", name);
        else
            pd_check_tell(check, asked ? PD_CHECK_FAIL : PD_CHECK_NOTE, "engine", "%s: %s", name, err.text);
        wanted = asked ? "" : wanted;
    }
    if (!automatic && *wanted)
        pd_check_tell(check, PD_CHECK_FAIL, "engine", "%s: not in this build", wanted);
    return any;
}

/* Open the engine as the daemon would, for one frame, on the @i-th device. Returns whether there may be more. */
static bool open_engine(struct pd_check *check, const struct pd_config *config, const struct pd_net *net, int i)
{
    struct pd_engine_params params = {
        .precision = config->precision,
        .width = pd_cli_round(net, config->width),
        .height = pd_cli_round(net, config->height),
        .max_batch = 1,
        .threads = config->threads,
        .devices = {config->devices[i]},
        .n_devices = PD_MIN(config->n_devices, 1),
    };
    struct pd_engine *engine = NULL;
    struct pd_err err;
    if (pd_engine_open(config->engine, net, &params, &engine, &err) < 0) {
        pd_check_tell(check, PD_CHECK_FAIL, "engine", "%s", err.text);
        return false;
    }
    const struct pd_engine_caps *caps = pd_engine_caps(engine);
    pd_check_tell(check, PD_CHECK_OK, "engine", "%s opens the network: %s%s%s, %s", caps->name, caps->device,
                  *caps->version ? ", " : "", caps->version, pd_precision_name(caps->precision));
    bool more = caps->per_device;
    pd_engine_close(engine);
    return more;
}

void pd_check_engine(struct pd_check *check, const struct pd_config *config)
{
    struct pd_net *net = check_network(check, config);
    if (check_engines(check, config->engine) && net && net->meta.skeleton)
        for (int i = 0; open_engine(check, config, net, i) && i + 1 < config->n_devices; i++)
            ;
    pd_net_destroy(net);
}
