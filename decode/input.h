#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * What an input string means: its kind, the address libav gets, the protocols that kind may use, and a name for
 * messages that holds no password. Pure; any thread.
 */
#include "core/err.h"
#include "decode/reader.h"

struct AVDictionary;

enum pd_input_kind { PD_INPUT_FILE, PD_INPUT_RTSP, PD_INPUT_HTTP, PD_INPUT_V4L2, PD_INPUT_PATTERN };

struct pd_input {
    enum pd_input_kind kind;
    char *address; /* path, URL without user and password, device, or pattern, as the kind wants it */
    char *user;    /* "user:password", percent-encoded, from the input itself; NULL: none */
    char *name;    /* for people: no user, password or query */
};

/* Unknown schemes are an error: a config value must never reach concat:, subfile: or the like. */
int pd_input_parse(const char *text, struct pd_input *ret_input, struct pd_err *err);
void pd_input_finish(struct pd_input *input);

/* The kind alone, without allocation; -EINVAL for an unknown scheme. */
int pd_input_kind_of(const char *text, enum pd_input_kind *ret_kind);

/* The address with user and password in it; the caller wipes and frees it. NULL: out of memory. @username, if not
 * NULL, wins over what the input itself holds. */
char *pd_input_url(const struct pd_input *input, const char *username, const char *password);
void pd_input_wipe(char **url);

/* Options for opening @input. Every one must be consumed: what is left over is a mistake of ours or a libav that
 * renamed it, and a silently ignored timeout is a camera that hangs. */
int pd_input_options(const struct pd_input *input, const struct pd_reader_params *params, struct AVDictionary **opts);
