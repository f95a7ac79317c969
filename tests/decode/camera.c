/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/decode/camera.h"

bool camera_start(struct camera *camera, const char *script, const char *const *args)
{
    char path[512], *argv[16] = {(char *)"python3", path};
    const char *root = getenv("POSED_SOURCE_ROOT");
    snprintf(path, sizeof(path), "%s/tests/decode/%s", root ? root : ".", script);
    for (int i = 0; args && args[i] && i < 13; i++)
        argv[2 + i] = (char *)args[i];
    int out[2];
    assert_int_equal(pipe(out), 0);
    pid_t test = getpid();
    camera->pid = fork();
    if (camera->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed assertion leaves without camera_kill() */
        if (getppid() != test)
            _exit(1);
        dup2(out[1], STDOUT_FILENO);
        close(out[0]);
        close(out[1]);
        execv("/usr/bin/python3", argv); /* Debian's own: it has the packages of scripts/packages */
        _exit(77);
    }
    assert_true(camera->pid > 0);
    close(out[1]);
    FILE *f = fdopen(out[0], "r");
    bool up = fscanf(f, "%d", &camera->port) == 1;
    fclose(f);
    if (!up)
        waitpid(camera->pid, NULL, 0);
    return up;
}

void camera_kill(struct camera *camera)
{
    kill(camera->pid, SIGKILL);
    waitpid(camera->pid, NULL, 0);
}

const char *camera_url(const struct camera *camera, const char *path)
{
    static char urls[64][160];
    static int next;
    char *url = urls[next++ % 64];
    snprintf(url, sizeof(urls[0]), "rtsp://127.0.0.1:%d/%s", camera->port, path);
    return url;
}
