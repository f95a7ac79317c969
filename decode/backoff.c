/* SPDX-License-Identifier: Apache-2.0 */
#include "decode/backoff.h"

#include <errno.h>

#include "core/util.h"

int64_t pd_backoff_ns(unsigned failures, int error, double scale, uint32_t random)
{
    int64_t wait;
    if (error == -EACCES || error == -EBUSY)
        wait = PD_BACKOFF_REFUSED_NS;
    else
        wait = PD_MIN(PD_BACKOFF_FIRST_NS << PD_CLAMP(failures, 1, 30) >> 1, PD_BACKOFF_MAX_NS);
    /* -1/5 .. +1/5 */
    return (int64_t)((double)wait * scale * (1 + 0.2 * (2.0 * random / UINT32_MAX - 1.0)));
}
