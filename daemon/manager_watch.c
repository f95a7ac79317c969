/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/manager.h"

#include <malloc.h>
#include <time.h>

#include "core/log.h"
#include "daemon/notify.h"

#define TRIM_EVERY_NS (10 * PD_NS_PER_S)
#define TRIM_PAUSE 10000 /* at least, in times of the processor time of a trim */
#define STUCK_TELL_NS (10 * PD_NS_PER_S) /* between two lines about what the watchdog is not fed for */

/* The longest that a batch of device @i takes. What the engine took while the process was stopped is not its time. */
static int64_t longest_batch(const struct pd_manager *m, const struct pd_pipeline_health *health, int i)
{
    return PD_MAX(health->device[i].longest_ns, m->batch[i].longest_ns);
}

/* Each engine has to come to an end of its batch, though frames may come out of the others. */
static bool engines_move(struct pd_manager *m, const struct pd_pipeline_health *health, struct pd_err *why)
{
    bool move = true;
    for (int i = 0; i < health->n_devices; i++) {
        int64_t age = pd_watchdog_age(&m->watchdog, &m->batch[i], health->device[i].since_ns);
        if (pd_watchdog_allows(&m->watchdog, age, longest_batch(m, health, i)))
            continue;
        struct pd_pipeline_device device;
        pd_pipeline_get_device(m->pipeline, i, &device);
        pd_err_set(why, 0, "no batch has come out of %s for %.0f s", device.caps->device, (double)age / 1e9);
        move = false;
    }
    return move;
}

static bool decoders_move(struct pd_manager *m, int64_t now, struct pd_err *why)
{
    bool move = true;
    for (struct pd_camera *camera = m->cameras; camera; camera = camera->next) {
        int64_t deadline = pd_manager_source_stats(m, camera).deadline_ns;
        int64_t age = pd_watchdog_age(&m->watchdog, &camera->late, deadline && now > deadline ? deadline : 0);
        if (pd_watchdog_allows(&m->watchdog, age, 0))
            continue;
        pd_err_set(why, 0, "the decoder of camera %s has been stuck for %.0f s", camera->config->name,
                   (double)age / 1e9);
        move = false;
    }
    return move;
}

/* @why: what is wrong when it is not. Looks at everything each time, so that no age stands still. */
static bool is_healthy(struct pd_manager *m, int64_t now, struct pd_err *why)
{
    struct pd_pipeline_health health;
    pd_pipeline_get_health(m->pipeline, &health);
    uint64_t came_out = 0;
    int64_t longest_ns = 0;
    int waiting = health.in_flight;
    for (int i = 0; i < health.n_devices; i++)
        longest_ns = PD_MAX(longest_ns, longest_batch(m, &health, i));
    for (const struct pd_camera *camera = m->cameras; camera; camera = camera->next) {
        came_out += pd_counted(&camera->published) + pd_counted(&camera->failed);
        waiting += pd_queue_stats(camera->queue, camera->index).depth;
    }
    bool healthy = pd_watchdog_look(&m->watchdog, came_out, waiting, longest_ns, now);
    pd_err_set(why, 0, "frames wait and none comes out");
    healthy &= engines_move(m, &health, why);
    healthy &= decoders_move(m, now, why);
    return healthy;
}

/*
 * A heap for each decode thread would keep their free memory apart, and glibc keeps ever larger blocks inside the heap
 * once one of them was freed: cameras that come and go would leave it full of holes.
 */
void pd_manager_keep_heap_small(void)
{
    mallopt(M_ARENA_MAX, 4);
    mallopt(M_MMAP_THRESHOLD, 128 * 1024);
}

static int64_t cpu_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return ts.tv_sec * PD_NS_PER_S + ts.tv_nsec;
}

/* Cameras, clients and reloads come and go for a year and leave holes in the heaps, of which glibc by itself gives back
 * only the last one of each. Takes 0.1 to 0.8 ms with 30 MB; with a thousand clients 15 ms, for which they wait: less
 * often then. In processor time: what others took meanwhile, on a loaded machine, is no reason to wait. */
static void give_memory_back(struct pd_manager *m, int64_t now)
{
    if (now < m->trim_ns)
        return;
    int64_t before = cpu_ns();
    malloc_trim(0);
    m->trim_ns = now + PD_MAX(TRIM_EVERY_NS, (cpu_ns() - before) * TRIM_PAUSE);
}

void pd_manager_on_second(uv_timer_t *timer)
{
    struct pd_manager *m = timer->data;
    if (m->stopping)
        return;
    struct pd_totals t = pd_manager_totals(m);
    pd_notify("STATUS=%d/%d cameras up, %.0f frames/s, %d clients", t.up, t.cameras, t.fps,
              pd_hub_subscribers(m->hub));
    int64_t now = pd_now_ns();
    pd_manager_tell_again(m);
    give_memory_back(m, now);
    struct pd_err why;
    bool healthy = is_healthy(m, now, &why);
    if (!m->watchdog_ns || now - m->watchdog_fed_ns < m->watchdog_ns / 4)
        return;
    if (healthy) {
        pd_notify("WATCHDOG=1");
        m->watchdog_fed_ns = now;
    } else if (!m->stuck_told_ns || now - m->stuck_told_ns >= STUCK_TELL_NS) {
        m->stuck_told_ns = now;
        pd_log_err("watchdog", "%s; the service manager is left to restart the daemon", why.text);
    }
}
