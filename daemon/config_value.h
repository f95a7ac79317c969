#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * One JSON value into one field of a config struct, checked against its row of the option table. Loop thread.
 */
#include "daemon/config_doc.h"
#include "daemon/config_table.h"

/* Set @opt's field of @base from the member's value. A wrong value is reported to @doc and leaves the field as it was.
 * Returns 0 (also after a report) or -ENOMEM. */
int pd_option_set(const struct pd_option *opt, void *base, struct pd_config_doc *doc,
                  const struct pd_config_member *member);

/* @path made absolute: @dir/@path when it is relative. New string, NULL: out of memory. */
char *pd_config_path(const char *dir, const char *path);
