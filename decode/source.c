/* SPDX-License-Identifier: Apache-2.0 */
#include "decode/source_impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "decode/backoff.h"
#include "decode/held.h"
#include "decode/input.h"

const char *pd_source_state_name(enum pd_source_state state)
{
    static const char *const names[] = {"connecting", "up", "down", "ended", "stopped"};
    return names[state];
}

bool pd_source_is_live(const struct pd_source_config *config)
{
    enum pd_input_kind kind;
    if (config->realtime || pd_input_kind_of(config->url, &kind) < 0)
        return true;
    return kind == PD_INPUT_RTSP || kind == PD_INPUT_HTTP || kind == PD_INPUT_V4L2;
}

/* ---- reports ------------------------------------------------------------------------------------------------ */

void pd_source_set_state(struct pd_source *s, enum pd_source_state state, const char *reason, double retry_s)
{
    pthread_mutex_lock(&s->lock);
    s->stats.state = state;
    if (state != PD_SOURCE_UP)
        s->stats.fps = 0;
    pthread_mutex_unlock(&s->lock);
    s->sink.state(state, reason, retry_s, s->sink.user);
}

void pd_source_get_stats(struct pd_source *s, struct pd_source_stats *ret_stats)
{
    pthread_mutex_lock(&s->lock);
    *ret_stats = s->stats;
    if (s->stats.state == PD_SOURCE_UP)
        ret_stats->fps = pd_rate_get(&s->rate, pd_now_ns());
    pthread_mutex_unlock(&s->lock);
    ret_stats->deadline_ns = atomic_load(&s->deadline_ns);
}

/* ---- the thread --------------------------------------------------------------------------------------------- */

bool pd_source_sleep_until(struct pd_source *s, int64_t until_ns)
{
    const struct timespec ts = {.tv_sec = until_ns / PD_NS_PER_S, .tv_nsec = until_ns % PD_NS_PER_S};
    pthread_mutex_lock(&s->lock);
    while (!atomic_load(&s->stop) && pd_now_ns() < until_ns)
        pthread_cond_timedwait(&s->wake, &s->lock, &ts);
    pthread_mutex_unlock(&s->lock);
    return !atomic_load(&s->stop);
}

static void *source_thread(void *arg)
{
    struct pd_source *s = arg;
    char name[16];
    snprintf(name, sizeof(name), "dec:%.11s", s->config.name);
    pthread_setname_np(pthread_self(), name);
    while (!atomic_load(&s->stop)) {
        struct pd_err err = {""};
        int r = pd_source_run_once(s, &err);
        if (atomic_load(&s->stop))
            break;
        if (r > 0 && !s->config.loop) {
            pd_source_set_state(s, PD_SOURCE_ENDED, r == PD_READER_E_CUT ? err.text : "", 0);
            return NULL;
        }
        double scale = s->config.retry_scale > 0 ? s->config.retry_scale : 1;
        s->random = s->random * 1664525u + 1013904223u;
        int64_t wait = pd_backoff_ns(++s->failures, r, scale, s->random);
        pd_source_set_state(s, PD_SOURCE_DOWN, err.text, (double)wait / (double)PD_NS_PER_S);
        if (!pd_source_sleep_until(s, pd_now_ns() + wait))
            break;
    }
    pd_source_set_state(s, PD_SOURCE_STOPPED, "", 0);
    return NULL;
}

/* ---- start and stop ----------------------------------------------------------------------------------------- */

static void free_source(struct pd_source *s)
{
    struct pd_source_config *c = &s->config;
    pd_input_wipe((char **)&c->password);
    pd_input_wipe((char **)&c->url);
    free((char *)c->username);
    free((char *)c->name);
    free((char *)c->hwaccel);
    free((char *)c->ca_file);
    free((char *)c->tls_name);
    pd_held_destroy(s->held);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static bool copy_string(const char **field)
{
    if (!*field)
        return true;
    *field = strdup(*field);
    return *field != NULL;
}

int pd_source_start(const struct pd_source_config *config, int camera, const struct pd_source_sink *sink,
                    struct pd_source **ret_source, struct pd_err *err)
{
    struct pd_source *s = calloc(1, sizeof(*s));
    if (!s)
        return pd_err_set(err, -ENOMEM, "%s: out of memory", config->name);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&s->lock, NULL);
    s->sink = *sink;
    snprintf(s->log_context, sizeof(s->log_context), "camera %s", config->name);
    s->camera = camera;
    s->live = pd_source_is_live(config);
    s->random = (uint32_t)(pd_now_ns() ^ (camera * 2654435761u));
    struct pd_source_config *c = &s->config;
    *c = *config;
    /* Every one is attempted, so that none is left pointing at the caller's string. */
    bool copied = copy_string(&c->name);
    copied &= copy_string(&c->url);
    copied &= copy_string(&c->username);
    copied &= copy_string(&c->password);
    copied &= copy_string(&c->hwaccel);
    copied &= copy_string(&c->ca_file);
    copied &= copy_string(&c->tls_name);
    if (c->hwaccel && strcmp(c->hwaccel, "none") != 0) {
        s->held = pd_held_create();
        copied &= s->held != NULL;
    }
    int r = copied ? -pthread_create(&s->thread, NULL, source_thread, s) : -ENOMEM;
    if (r < 0) {
        r = pd_err_set(err, r, "%s: cannot start its thread: %s", config->name, strerror(-r));
        free_source(s);
        return r;
    }
    *ret_source = s;
    return 0;
}

void pd_source_stop(struct pd_source *s)
{
    pthread_mutex_lock(&s->lock);
    atomic_store(&s->stop, true);
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->lock);
    if (s->held)
        pd_held_cancel(s->held);
}

void pd_source_destroy(struct pd_source *s)
{
    if (!s)
        return;
    pd_source_stop(s);
    pthread_join(s->thread, NULL);
    free_source(s);
}
