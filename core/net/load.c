/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/load.h"

#include <errno.h>
#include <string.h>

#include "core/net/file.h"
#include "core/net/net.h"

int pd_net_load_owned(void *data, size_t size, const char *name, struct pd_net **ret_net, struct pd_err *err)
{
    struct pd_arena arena;
    Onnx__ModelProto *model = NULL;
    struct pd_onnx onnx;
    struct pd_net *net = NULL;
    char sha[65];
    pd_arena_init(&arena, PD_NET_FILE_BUDGET(size));
    pd_net_sha256(data, size, sha);
    int r = pd_onnx_parse(data, size, name, &arena, &model, err);
    free(data);
    if (!r)
        r = pd_onnx_index(model, name, &arena, &onnx, err);
    if (!r)
        r = pd_lower(&onnx, &net, err);
    if (!r) {
        memcpy(net->file_sha256, sha, sizeof(sha));
        *ret_net = net;
    }
    pd_onnx_model_free(model);
    pd_arena_finish(&arena);
    return r;
}

int pd_net_load_memory(const void *data, size_t size, const char *name, struct pd_net **ret_net, struct pd_err *err)
{
    if (!size || size > PD_NET_FILE_MAX)
        return pd_err_set(err, -EINVAL, "%s: %s", name, size ? "larger than a network file can be" : "is empty");
    void *copy = malloc(size);
    if (!copy)
        return pd_err_set(err, -ENOMEM, "%s: out of memory for %zu bytes", name, size);
    memcpy(copy, data, size);
    return pd_net_load_owned(copy, size, name, ret_net, err);
}

int pd_net_load(const char *path, struct pd_net **ret_net, struct pd_err *err)
{
    void *data;
    size_t size;
    int r = pd_net_read_file(path, "an ONNX network", &data, &size, err);
    return r < 0 ? r : pd_net_load_owned(data, size, path, ret_net, err);
}

void pd_net_destroy(struct pd_net *net)
{
    if (!net)
        return;
    free(net->storage);
    free(net->layers);
    free(net->tensors);
    free(net);
}
