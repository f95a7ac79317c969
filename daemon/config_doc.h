#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * One configuration file in memory: its text, what jansson made of it, and where each key stands. jansson keeps no
 * positions, so a small scanner walks the text again - only after jansson has accepted it - to find the line of each
 * member. Loop thread.
 */
#include <jansson.h>

#include "daemon/config.h"

#define PD_CONFIG_FILE_MAX (1024 * 1024)
/* Lines told per file; the rest are summed up in one. A file of garbage must not fill the journal. */
#define PD_CONFIG_REPORTS_MAX 100

struct pd_config_doc {
    const char *path; /* as the user knows it, borrowed */
    char *dir;        /* where its relative paths start */
    char *text;
    size_t size;
    json_t *root; /* an object; NULL when the file could not be read or parsed */
    int n_problems, n_told;
    pd_config_report_fn report;
    void *user;
};

struct pd_config_member {
    const char *key;
    const json_t *value;
    int line;       /* of the key, from 1 */
    int value_line; /* of the value's first character, which stands at @at */
    const char *at;
};

/* Read and parse @path. What is wrong with it is reported and counted, and root stays NULL then. 0, or what
 * pd_config_passes(); close it in any case. @report may be NULL. */
int pd_config_doc_open(struct pd_config_doc *doc, const char *path, pd_config_report_fn report, void *user);
void pd_config_doc_close(struct pd_config_doc *doc);

/* Call @each for every member of the top object in the order of the text. A key that is there twice is reported, and
 * given once (the last value, as JSON has it). Keys that start with "//" are comments and are left out, and so is
 * "$schema". Returns 0 or the first negative result of @each, or -ENOMEM. */
int pd_config_doc_each(struct pd_config_doc *doc, int (*each)(const struct pd_config_member *member, void *user),
                       void *user);
/* Line of element @index[0] of the member's value, of element @index[1] of that, ... The key's line when @n is 0. */
int pd_config_member_line(const struct pd_config_doc *doc, const struct pd_config_member *member, const int *index,
                          int n);

/* "FILE:LINE: KEY: ..." to the reporter, counted. @doc may be NULL (defaults of the table: cannot fail). */
void pd_config_problem(struct pd_config_doc *doc, int line, const char *key, const char *fmt, ...) PD_PRINTF(4, 5);
/* "FILE:LINE: warning: KEY: ...": told, not counted as a problem. */
void pd_config_warning(struct pd_config_doc *doc, int line, const char *key, const char *fmt, ...) PD_PRINTF(4, 5);
