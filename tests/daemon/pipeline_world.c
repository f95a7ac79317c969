/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/daemon/pipeline_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIDE 256

struct world world;

/* ---- a site of file cameras: nothing is dropped ---- */

static void put(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", world.dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

int world_make_site(void **state)
{
    char path[512];
    struct pd_err err;
    strcpy(world.dir, "/tmp/posed-pipeline-XXXXXX");
    assert_non_null(mkdtemp(world.dir));
    snprintf(path, sizeof(path), "%s/cameras.d", world.dir);
    assert_int_equal(mkdir(path, 0700), 0);
    put("posed.json", "{\"socket\": \"s\", \"engine\": \"null\"}");
    for (int i = 0; i < CAMERAS; i++) {
        snprintf(path, sizeof(path), "cameras.d/c%d.json", i);
        put(path, "{\"url\": \"test:people\", \"track\": true}");
    }
    struct pd_config *config = NULL;
    snprintf(path, sizeof(path), "%s/posed.json", world.dir);
    assert_int_equal(pd_config_load(path, NULL, NULL, &config), 0);
    world.tree = pd_tree_new(config);
    assert_non_null(world.tree);
    snprintf(path, sizeof(path), "%s/models/posed-lite.onnx", getenv("POSED_SOURCE_ROOT"));
    assert_int_equal(pd_net_load(path, &world.net, &err), 0);
    return 0;
}

int world_remove_site(void **state)
{
    char command[128];
    pd_tree_unref(world.tree);
    pd_net_destroy(world.net);
    snprintf(command, sizeof(command), "rm -rf '%s'", world.dir);
    return system(command);
}

/* ---- the loop ---- */

static void on_closed(uv_handle_t *handle)
{
    (void)handle;
}

void world_drain(void)
{
    for (struct pd_handoff_item *at = pd_handoff_take(&world.handoff), *next; at; at = next) {
        next = at->next;
        struct pd_event *event = PD_CONTAINER_OF(at, struct pd_event, item);
        if (event->kind == PD_EVENT_FATAL) {
            world.fatal = event->status;
        } else {
            struct feeder *f = &world.feeders[event->camera->index];
            assert_true(event->seq > f->last_seq);
            f->last_seq = event->seq;
            f->lines++;
        }
        pd_event_free(event);
    }
}

static void on_wake(uv_async_t *async)
{
    world_drain();
}

static void on_tick(uv_timer_t *timer)
{
}

bool world_all_settled(void)
{
    for (int i = 0; i < CAMERAS; i++)
        if (atomic_load(&world.feeders[i].camera->settled) < FRAMES)
            return false;
    return true;
}

/* ---- start and stop ---- */

void world_start(int n_devices)
{
    struct pd_err err = {""};
    struct pd_pipeline_params params = {
        .net = world.net, .engine = "null", .batch_wait_ns = PD_NS_PER_S / 1000, .post_threads = 2,
        .handoff = &world.handoff, .stats = &world.stats,
        .engine_params = {.width = SIDE, .height = SIDE, .max_batch = 3, .n_devices = n_devices},
    };
    for (int i = 0; i < n_devices; i++)
        params.engine_params.devices[i] = i;
    memset(&world.stats, 0, sizeof(world.stats));
    memset(world.feeders, 0, sizeof(world.feeders));
    world.fatal = 0;
    world.next_id = 1;
    assert_int_equal(uv_loop_init(&world.loop), 0);
    assert_int_equal(pd_handoff_init(&world.handoff, &world.loop, 64, on_wake), 0);
    uv_timer_init(&world.loop, &world.tick);
    uv_timer_start(&world.tick, on_tick, 2, 2); /* a failed frame posts nothing */
    if (pd_pipeline_open(&params, &world.pipeline, &err) < 0)
        fail_msg("%s", err.text);
    for (int i = 0; i < CAMERAS; i++) {
        const struct pd_camera_params camera = {
            .tree = world.tree, .config = &world.tree->config->cameras[i], .queue = pd_pipeline_queue(world.pipeline),
            .handoff = &world.handoff, .skeleton = world.net->meta.skeleton, .next_id = &world.next_id, .hub = i,
            .worker = i % pd_pipeline_workers(world.pipeline),
        };
        assert_int_equal(pd_camera_create(&camera, &world.feeders[i].camera, &err), 0);
        assert_int_equal(world.feeders[i].camera->index, i);
        pd_pipeline_set_camera(world.pipeline, i, world.feeders[i].camera);
    }
}

static void *feed(void *user)
{
    struct feeder *f = user;
    for (uint64_t seq = 1; seq <= FRAMES; seq++) {
        struct pd_frame *frame = pd_frame_alloc(PD_PIX_GRAY8, SIDE, SIDE, 0, 0);
        if (!frame)
            abort();
        memset((uint8_t *)frame->plane[0], 128, (size_t)frame->stride[0] * SIDE);
        frame->camera = f->camera->index;
        frame->seq = seq;
        frame->arrived_ns = pd_now_ns();
        frame->pts_us = (int64_t)seq * 40000;
        /* as two B frames come in: after the picture behind them, which needs no others */
        frame->captured_us = frame->pts_us + (seq % 3 == 0 ? 0 : 80000);
        atomic_store(&f->camera->decoded, seq);
        if (pd_queue_push(f->camera->queue, f->camera->index, frame) == PD_QUEUE_E_FINISHED) {
            pd_frame_unref(&frame);
            pd_camera_drop(f->camera);
        }
    }
    pd_queue_set_up(f->camera->queue, f->camera->index, false);
    return NULL;
}

void world_feed(void)
{
    for (int i = 0; i < CAMERAS; i++) {
        pd_queue_set_up(pd_pipeline_queue(world.pipeline), i, true);
        assert_int_equal(pthread_create(&world.feeders[i].thread, NULL, feed, &world.feeders[i]), 0);
    }
}

void world_stop(void)
{
    pd_handoff_open_gates(&world.handoff);
    pd_queue_finish(pd_pipeline_queue(world.pipeline));
    for (int i = 0; i < CAMERAS; i++)
        pthread_join(world.feeders[i].thread, NULL);
    pd_pipeline_stop(world.pipeline);
    world_drain();
    for (int i = 0; i < CAMERAS; i++) {
        struct feeder *f = &world.feeders[i];
        uint64_t failed = atomic_load(&f->camera->failed), dropped = atomic_load(&f->camera->dropped);
        assert_int_equal(f->lines, atomic_load(&f->camera->published));
        assert_int_equal(f->lines + failed + dropped, FRAMES);
        assert_int_equal(atomic_load(&f->camera->settled), FRAMES);
        pd_camera_destroy(f->camera);
    }
    pd_pipeline_destroy(world.pipeline);
    uv_close((uv_handle_t *)&world.tick, on_closed);
    pd_handoff_close(&world.handoff, on_closed);
    uv_run(&world.loop, UV_RUN_DEFAULT);
    pd_handoff_finish(&world.handoff);
    assert_int_equal(uv_loop_close(&world.loop), 0);
}

struct pd_pipeline_device world_device(int i)
{
    struct pd_pipeline_device d;
    pd_pipeline_get_device(world.pipeline, i, &d);
    return d;
}
