#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Why an input could not be opened, in words that help: libav only says "invalid data" of a file, and "input/output
 * error" of a camera.
 */
#include "core/err.h"

/* A file that can at least be opened: 0; else a negative errno with the line. */
int pd_diagnose_access(const char *path, struct pd_err *err);
/* After libav refused @path with @averror. Returns a negative errno. */
int pd_diagnose_refusal(const char *path, int averror, struct pd_err *err);
/* -EBADMSG with the line when @path is an MP4 or MOV without its whole index, else 0. */
int pd_diagnose_index(const char *path, struct pd_err *err);
/* Whether the file starts like text that is no picture format written as text. */
bool pd_diagnose_is_text(const char *path);

/* After libav refused the camera called @name with @averror, on the thread that tried. @known: it was given a user name
 * or a password; @checked: its certificate had to be vouched for. Returns a negative errno. */
int pd_diagnose_camera(const char *name, int averror, bool known, bool checked, struct pd_err *err);
/* Without a descriptor left. Returns @code. */
int pd_diagnose_descriptors(const char *name, int code, struct pd_err *err);
