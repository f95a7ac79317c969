/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/notify.h"

void pd_notify(const char *fmt, ...)
{
    (void)fmt;
}

void pd_notify_take_log(void)
{
}

int64_t pd_notify_watchdog_ns(void)
{
    return 0;
}

int pd_notify_listen_fd(void)
{
    return -1;
}
