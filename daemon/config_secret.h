#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Camera passwords: found, read once, and made known to the log so that no line can show them. No message of this file
 * says what it read, nor what stood in password_file: people do write the password itself there. Loop thread.
 */
#include "daemon/config_doc.h"

/* Read the camera's password_file, if it has one, into camera->password. @root_dir: directory of posed.json. Problems
 * are reported to @doc at @line. Returns 0 or what pd_config_passes(). */
int pd_config_read_password(struct pd_camera_config *camera, const char *root_dir, struct pd_config_doc *doc, int line);

/* Make @password unreadable in every log line: as it is, percent-encoded, and as HTTP Basic credentials of @username
 * (may be NULL). Returns 0, -EINVAL (too short to hide) or -ENOMEM. @forms, all NULL before, gets what is hidden, until
 * pd_config_release_secret(). */
int pd_config_hide_secret(const char *username, const char *password, char *forms[PD_SECRET_FORMS]);
/* The log may forget it, by and by; all NULL afterwards. */
void pd_config_release_secret(char *forms[PD_SECRET_FORMS]);
