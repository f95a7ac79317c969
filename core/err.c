/* SPDX-License-Identifier: Apache-2.0 */
#include "core/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void strip_controls(char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            *s = '?';
}

int pd_err_set(struct pd_err *err, int code, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(err->text, sizeof(err->text), fmt, ap);
        va_end(ap);
        strip_controls(err->text);
    }
    return code;
}

int pd_err_prefix(struct pd_err *err, int code, const char *fmt, ...)
{
    if (err) {
        char old[sizeof(err->text)];
        memcpy(old, err->text, sizeof(old));
        va_list ap;
        va_start(ap, fmt);
        int n = vsnprintf(err->text, sizeof(err->text), fmt, ap);
        va_end(ap);
        if (n >= 0 && (size_t)n < sizeof(err->text))
            snprintf(err->text + n, sizeof(err->text) - (size_t)n, ": %s", old);
        strip_controls(err->text);
    }
    return code;
}
