/* SPDX-License-Identifier: Apache-2.0 */
#include "decode/descriptors.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/util.h"

int pd_descriptors_left(int n)
{
    int fds[8], had = 0, r = 0;
    for (n = PD_MIN(n, (int)PD_ARRAY_SIZE(fds)); had < n && !r; had += !r) {
        fds[had] = eventfd(0, EFD_CLOEXEC);
        r = fds[had] < 0 ? -errno : 0;
    }
    while (had)
        close(fds[--had]);
    return r == -EMFILE || r == -ENFILE ? r : 0;
}
