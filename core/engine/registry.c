/* SPDX-License-Identifier: Apache-2.0
 *
 * Which engines this build has, and choosing one by name.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/engine/engine.h"
#include "core/log.h"

/* In order of preference. `auto` takes the first automatic one that can run here. */
static const struct pd_engine_ops *const engines[] = {
#if HAVE_CUDA
    &pd_engine_cudnn,
#endif
#if HAVE_ONEDNN
    &pd_engine_onednn,
#endif
    &pd_engine_reference,
    &pd_engine_null,
};

static const char *const precision_names[] = {
    [PD_PRECISION_AUTO] = "auto", [PD_PRECISION_FP32] = "fp32", [PD_PRECISION_TF32] = "tf32",
    [PD_PRECISION_BF16] = "bf16", [PD_PRECISION_FP16] = "fp16",
};

const char *pd_engine_name(int i)
{
    return i >= 0 && (size_t)i < PD_ARRAY_SIZE(engines) ? engines[i]->name : NULL;
}

int pd_engine_probe(int i, struct pd_err *err)
{
    if (!pd_engine_name(i))
        return pd_err_set(err, -EINVAL, "this build has no engine number %d", i);
    return engines[i]->probe(err);
}

int pd_precision_parse(const char *name, enum pd_precision *ret_precision)
{
    for (size_t i = 0; i < PD_ARRAY_SIZE(precision_names); i++) {
        if (!strcmp(precision_names[i], name)) {
            *ret_precision = (enum pd_precision)i;
            return 0;
        }
    }
    return -EINVAL;
}

const char *pd_precision_name(enum pd_precision precision)
{
    return (size_t)precision < PD_ARRAY_SIZE(precision_names) ? precision_names[precision] : "unknown";
}

static int no_such_engine(const char *name, struct pd_err *err)
{
    char list[128] = "auto";
    for (size_t i = 0; i < PD_ARRAY_SIZE(engines); i++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof(list) - used, ", %s", engines[i]->name);
    }
    return pd_err_set(err, -EINVAL, "no engine '%s' in this build; it has: %s", name, list);
}

/* The best engine that can both run here and open this network: a device that probes well may still lack the memory. */
static int open_automatic(const struct pd_net *net, const struct pd_engine_params *params,
                          struct pd_engine **ret_engine, struct pd_err *err)
{
    struct pd_err reason = {""};
    bool begun = !params->after;
    for (size_t i = 0; i < PD_ARRAY_SIZE(engines); i++) {
        struct pd_err e = {""};
        const bool skip = !begun || !engines[i]->automatic;
        begun |= params->after && !strcmp(engines[i]->name, params->after);
        if (skip)
            continue;
        int r = engines[i]->probe(&e);
        if (r == 0)
            r = pd_engine_open_ops(engines[i], net, params, ret_engine, &e);
        if (r == 0)
            return 0;
        if (r == -EINVAL) /* wrong arguments are wrong for every engine */
            return pd_err_set(err, r, "%s", e.text);
        pd_log_info("engine", "%s is not usable: %s", engines[i]->name, e.text);
        reason = e;
    }
    pd_log_warn("engine", "no fast engine can run here; taking 'reference', which is many times slower");
    int r = pd_engine_open("reference", net, params, ret_engine, err);
    if (r < 0 && reason.text[0])
        return pd_err_prefix(err, r, "%s; and reference", reason.text);
    return r;
}

bool pd_engine_has_next(const char *name)
{
    return strcmp(name, pd_engine_reference.name) != 0; /* the last that is tried */
}

int pd_engine_open(const char *name, const struct pd_net *net, const struct pd_engine_params *params,
                   struct pd_engine **ret_engine, struct pd_err *err)
{
    if (!strcmp(name, "auto"))
        return open_automatic(net, params, ret_engine, err);
    for (size_t i = 0; i < PD_ARRAY_SIZE(engines); i++) {
        if (strcmp(engines[i]->name, name) != 0)
            continue;
        int r = engines[i]->probe(err);
        return r < 0 ? r : pd_engine_open_ops(engines[i], net, params, ret_engine, err);
    }
    return no_such_engine(name, err);
}
