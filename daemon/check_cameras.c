/* SPDX-License-Identifier: Apache-2.0 - `posed check --cameras`: open each camera once. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "daemon/check.h"
#include "daemon/config_url.h"
#include "decode/reader.h"

/* A store's cameras answer in a second or two each; a dead one takes its whole timeout, and must not add up. */
#define THREADS_MAX 16

struct job {
    const struct pd_camera_config *camera;
    int64_t deadline_ns;
    enum pd_check_level level;
    char text[640];
};

struct jobs {
    struct job *jobs;
    int n;
    _Atomic int next;
};

static int past_deadline(void *user)
{
    const struct job *job = user;
    return pd_now_ns() > job->deadline_ns ? -ETIMEDOUT : 0;
}

static void look_at(struct job *job)
{
    const struct pd_camera_config *camera = job->camera;
    struct pd_reader_params params = {
        .input = camera->url,
        .username = camera->username,
        .password = camera->password,
        .ca_file = camera->ca_file,
        .tls_name = camera->tls_name,
        .transport = camera->transport,
        .live = !pd_config_url_path(camera->url),
        .interrupt = past_deadline,
        .user = job,
    };
    struct pd_err err = {""};
    struct pd_reader *reader = NULL;
    struct pd_frame *frame = NULL;
    int64_t start = pd_now_ns();
    job->deadline_ns = start + (int64_t)(camera->open_timeout_s * (double)PD_NS_PER_S);
    job->level = PD_CHECK_FAIL;
    int r = pd_reader_open(&params, &reader, &err);
    if (r == 0) {
        job->deadline_ns = pd_now_ns() + (int64_t)(camera->read_timeout_s * (double)PD_NS_PER_S);
        r = pd_reader_next(reader, &frame, &err);
    }
    double took = (double)(pd_now_ns() - start) / (double)PD_NS_PER_S;
    if (r == 0) {
        const struct pd_reader_info *info = pd_reader_info(reader);
        char rate[32] = ""; /* pictures have none, and a live stream need not tell it */
        if (info->fps > 0.0)
            snprintf(rate, sizeof(rate), "%.4g frames/s, ", info->fps);
        job->level = PD_CHECK_OK;
        snprintf(job->text, sizeof(job->text), "%s: %dx%d, %s, %sfirst frame after %.1f s", camera->name, frame->width,
                 frame->height, info->codec, rate, took);
    } else if (r == PD_READER_E_END) {
        snprintf(job->text, sizeof(job->text), "%s: it ends before its first frame", camera->name);
    } else {
        snprintf(job->text, sizeof(job->text), "%s: %s", camera->name, err.text);
    }
    pd_frame_unref(&frame);
    if (reader)
        pd_reader_close(reader);
}

static void *work(void *user)
{
    struct jobs *all = user;
    int i;
    while ((i = atomic_fetch_add(&all->next, 1)) < all->n)
        look_at(&all->jobs[i]);
    return NULL;
}

static void run_jobs(struct jobs *all)
{
    pthread_t threads[THREADS_MAX];
    int n = 0;
    /* this thread works too, so that a refused thread only makes it slower */
    while (n < PD_MIN(all->n - 1, THREADS_MAX) && pthread_create(&threads[n], NULL, work, all) == 0)
        n++;
    work(all);
    for (int i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
}

void pd_check_cameras(struct pd_check *check, const struct pd_config *config)
{
    struct jobs all = {.jobs = calloc((size_t)PD_MAX(config->n_cameras, 1), sizeof(*all.jobs))};
    if (!all.jobs) {
        pd_check_tell(check, PD_CHECK_FAIL, "camera", "out of memory");
        return;
    }
    for (int i = 0; i < config->n_cameras; i++) {
        if (config->cameras[i].enabled)
            all.jobs[all.n++].camera = &config->cameras[i];
        else
            pd_check_tell(check, PD_CHECK_NOTE, "camera", "%s: not enabled", config->cameras[i].name);
    }
    run_jobs(&all);
    for (int i = 0; i < all.n; i++)
        pd_check_tell(check, all.jobs[i].level, "camera", "%s", all.jobs[i].text);
    free(all.jobs);
}
