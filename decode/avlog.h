#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * libav's log lines, sent to ours: with the camera's name, without secrets (pd_log redacts), and at most a few a
 * second a thread, since a broken stream can produce one line a macroblock.
 */
void pd_avlog_install(void);
