/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/load.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/net/net.h"

/* Protocol buffers cannot be larger. */
#define FILE_MAX ((size_t)INT32_MAX)
/* What reading may take in all: parsed copy, lowering tables and folded weights are each about the file's size, and
 * small files are mostly names and tables. */
#define BUDGET_FACTOR 8
#define BUDGET_MIN ((size_t)16 << 20)

static void sha256_hex(const void *data, size_t size, char hex[65])
{
    struct sha256_ctx ctx;
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_init(&ctx);
    sha256_update(&ctx, size, data);
    sha256_digest(&ctx, sizeof(digest), digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

/* Takes over @data, which is freed as soon as it is parsed: a large network is held twice, not three times. */
static int load_owned(void *data, size_t size, const char *name, struct pd_net **ret_net, struct pd_err *err)
{
    struct pd_arena arena;
    Onnx__ModelProto *model = NULL;
    struct pd_onnx onnx;
    struct pd_net *net = NULL;
    char sha[65];
    pd_arena_init(&arena, size * BUDGET_FACTOR + BUDGET_MIN);
    sha256_hex(data, size, sha);
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
    if (!size || size > FILE_MAX)
        return pd_err_set(err, -EINVAL, "%s: %s", name, size ? "larger than an ONNX file can be" : "is empty");
    void *copy = malloc(size);
    if (!copy)
        return pd_err_set(err, -ENOMEM, "%s: out of memory for %zu bytes", name, size);
    memcpy(copy, data, size);
    return load_owned(copy, size, name, ret_net, err);
}

static int read_all(int fd, const char *path, size_t size, void **ret_data, struct pd_err *err)
{
    char *data = malloc(size);
    size_t got = 0;
    if (!data)
        return pd_err_set(err, -ENOMEM, "%s: out of memory for %zu bytes", path, size);
    while (got < size) {
        ssize_t n = read(fd, data + got, size - got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            int r = n < 0 ? -errno : -EIO;
            free(data);
            return pd_err_set(err, r, "%s: %s", path, n < 0 ? strerror(-r) : "became shorter while it was read");
        }
        got += (size_t)n;
    }
    *ret_data = data;
    return 0;
}

int pd_net_load(const char *path, struct pd_net **ret_net, struct pd_err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a fifo must not block here; it is refused below */
    if (fd < 0) {
        int r = -errno;
        return pd_err_set(err, r, "%s: %s", path, strerror(-r));
    }
    void *data = NULL;
    int r = 0;
    if (fstat(fd, &st) < 0)
        r = pd_err_set(err, -errno, "%s: %s", path, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        r = pd_err_set(err, -EINVAL, "%s: not a file; the path of an ONNX network is expected", path);
    else if (st.st_size <= 0 || (uintmax_t)st.st_size > FILE_MAX)
        r = pd_err_set(err, -EINVAL, "%s: %s", path, st.st_size <= 0 ? "is empty" : "larger than an ONNX file can be");
    else
        r = read_all(fd, path, (size_t)st.st_size, &data, err);
    close(fd);
    return r < 0 ? r : load_owned(data, (size_t)st.st_size, path, ret_net, err);
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
