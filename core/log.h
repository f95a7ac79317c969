#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Log lines to stderr. Under systemd (JOURNAL_STREAM set) each carries its "<N>" priority; on a terminal the level and
 * the context are readable. Any thread; a line is written by one write(2), so lines never interleave.
 * Nothing that happens per frame is logged above PD_LOG_DEBUG.
 */
#include "core/util.h"

enum pd_log_level { PD_LOG_ERR, PD_LOG_WARN, PD_LOG_INFO, PD_LOG_DEBUG };

/* Lines above @level are dropped. Default PD_LOG_INFO. */
void pd_log_set_level(enum pd_log_level level);
enum pd_log_level pd_log_get_level(void);
/* "error", "warning", "info", "debug" -> level; -EINVAL for anything else. */
int pd_log_level_parse(const char *name, enum pd_log_level *ret_level);

/* From now on @secret (and its percent-encoded and base64 forms, where the caller passes those too) is replaced by
 * "***" in every line. Copies; as often as it was added it has to be released. Secrets under 3 bytes are refused with
 * -EINVAL: redacting them would destroy the log. Else -ENOMEM. */
int pd_log_add_secret(const char *secret);
/* Nobody has it any more. It is still replaced, for a line under way may hold it, until so many others have been
 * released after it: in three forms the passwords of as many cameras as there may be. One that is not known, or NULL,
 * is no fault. */
#define PD_LOG_SECRETS_OLD 768
void pd_log_release_secret(const char *secret);
/* Replace every known secret in @text in place; the text never grows, for no secret is shorter than "***". */
void pd_log_redact(char *text);
/* The same, and more: control characters become blanks, and with @cut (the text's end is missing) pieces of a secret
 * at its end go. What every line goes through. */
void pd_log_clean(char *text, bool cut);
/* Forget all secrets. */
void pd_log_forget_secrets(void);

/* Lines go to @sink first, redacted; only those that it does not take (false) are written to stderr. NULL: none.
 * Called on any thread. */
typedef bool (*pd_log_sink)(enum pd_log_level level, const char *context, const char *message);
void pd_log_set_sink(pd_log_sink sink);

/* @context names whom the line is about ("camera till-1", "engine onednn", ...) or is NULL. */
void pd_log(enum pd_log_level level, const char *context, const char *fmt, ...) PD_PRINTF(3, 4);

#define pd_log_err(context, ...) pd_log(PD_LOG_ERR, context, __VA_ARGS__)
#define pd_log_warn(context, ...) pd_log(PD_LOG_WARN, context, __VA_ARGS__)
#define pd_log_info(context, ...) pd_log(PD_LOG_INFO, context, __VA_ARGS__)
#define pd_log_debug(context, ...) pd_log(PD_LOG_DEBUG, context, __VA_ARGS__)
