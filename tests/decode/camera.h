#pragma once
/* SPDX-License-Identifier: Apache-2.0 - cameras in processes of their own, which a test may stop, continue and kill. */
#include <stdbool.h>
#include <sys/types.h>

struct camera {
    pid_t pid;
    int port;
};

/* Runs tests/decode/@script with @args (NULL at the end) and waits for the port that it prints. False: it exited
 * without one, because what it needs is not installed. The process ends with the test at the latest. */
bool camera_start(struct camera *camera, const char *script, const char *const *args);
void camera_kill(struct camera *camera);
/* rtsp://127.0.0.1:PORT/PATH, valid until the 64th next call. */
const char *camera_url(const struct camera *camera, const char *path);
