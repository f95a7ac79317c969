#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * How posed reports failure.
 *
 * A function that can fail returns int: 0 is success; a negative errno is a failure that is passed up unchanged; a
 * positive PD_<MODULE>_E_* is a named condition of that function, which its direct caller handles and never forwards.
 * Results go through ret_ parameters, written only on success.
 *
 * Functions that read something from outside (a file, a URL, a device) also take a struct pd_err and leave one line
 * there that a person can act on: what, where, what was expected, what to do. Library code never logs it: whoever
 * gives up on the operation does, once.
 */
#include "core/util.h"

struct pd_err {
    char text[512];
};

/* Write the line and return @code, so that a failing function ends with `return pd_err_set(err, -EINVAL, "...")`.
 * @err may be NULL. Control characters are replaced by '?', so that hostile input cannot forge log lines. */
int pd_err_set(struct pd_err *err, int code, const char *fmt, ...) PD_PRINTF(3, 4);

/* Put "prefix: " before the line that is there. Returns @code. @err may be NULL. */
int pd_err_prefix(struct pd_err *err, int code, const char *fmt, ...) PD_PRINTF(3, 4);
