/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/file.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void pd_net_sha256(const void *data, size_t size, char hex[65])
{
    struct sha256_ctx ctx;
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_init(&ctx);
    sha256_update(&ctx, size, data);
    sha256_digest(&ctx, sizeof(digest), digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
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

int pd_net_read_file(const char *path, const char *what, void **ret_data, size_t *ret_size, struct pd_err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a fifo must not block here; it is refused below */
    if (fd < 0) {
        int r = -errno;
        return pd_err_set(err, r, "%s: %s", path, strerror(-r));
    }
    int r = 0;
    if (fstat(fd, &st) < 0)
        r = pd_err_set(err, -errno, "%s: %s", path, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        r = pd_err_set(err, -EINVAL, "%s: not a file; the path of %s is expected", path, what);
    else if (st.st_size <= 0 || (uintmax_t)st.st_size > PD_NET_FILE_MAX)
        r = pd_err_set(err, -EINVAL, "%s: %s", path,
                       st.st_size <= 0 ? "is empty" : "larger than a network file can be");
    else
        r = read_all(fd, path, (size_t)st.st_size, ret_data, err);
    close(fd);
    if (!r)
        *ret_size = (size_t)st.st_size;
    return r;
}
