#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Why a local file could not be opened, in words that help: libav only says "invalid data".
 */
#include "core/err.h"

/* A file that can at least be opened: 0; else a negative errno with the line. */
int pd_diagnose_access(const char *path, struct pd_err *err);
/* After libav refused @path with @averror. Returns a negative errno. */
int pd_diagnose_refusal(const char *path, int averror, struct pd_err *err);
/* Whether the file starts like text that is no picture format written as text. */
bool pd_diagnose_is_text(const char *path);
