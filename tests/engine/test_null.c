/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine without compute: its maps must give plausible people through the real post-processing.
 */
#include "tests/core/test.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/engine/engine.h"
#include "postproc/post.h"
#include "tests/engine/netmaker.h"

enum { WIDTH = 456, HEIGHT = 256, STRIDE = 8 };

/* A network that only has the right outputs: nothing runs it. */
static void begin_pose_net(struct maker *m, const char *skeleton)
{
    maker_begin(m, 1);
    struct pd_net_meta *meta = &m->net.meta;
    meta->skeleton = pd_skeleton_by_name(skeleton);
    assert_non_null(meta->skeleton);
    meta->stride = STRIDE;
    meta->offset = (STRIDE - 1) / 2.0f;
    int n_paf = 0;
    for (int l = 0; l < meta->skeleton->n_limbs; l++) {
        meta->limbs[l] = meta->skeleton->limbs[l];
        n_paf = PD_MAX(n_paf, PD_MAX(meta->limbs[l].paf_x, meta->limbs[l].paf_y) + 1);
    }
    for (int i = 0; i < 2; i++) {
        struct pd_layer *l = maker_layer(m, PD_LAYER_CONV, 0, i ? n_paf : meta->skeleton->n_keypoints + 1);
        l->kh = l->kw = l->stride_y = l->stride_x = STRIDE;
        *(i ? &m->net.paf : &m->net.heat) = l->out;
    }
}

static struct pd_engine *open_null(const struct maker *m)
{
    struct pd_engine_params p = {.width = WIDTH, .height = HEIGHT, .max_batch = 2};
    struct pd_engine *e;
    struct pd_err err = {""};
    if (pd_engine_open("null", &m->net, &p, &e, &err) < 0)
        fail_msg("%s", err.text);
    return e;
}

static void nothing(struct pd_batch *batch, void *user)
{
}

static void run_frame(struct pd_engine *e, struct pd_batch *batch, struct pd_frame *frame)
{
    batch->n = 1;
    batch->width = WIDTH;
    batch->height = HEIGHT;
    batch->done = nothing;
    batch->slot[0].frame = frame;
    assert_int_equal(pd_letterbox_fit(frame->width, frame->height, NULL, WIDTH, HEIGHT, &batch->slot[0].lb), 0);
    if (!batch->engine)
        assert_int_equal(pd_engine_batch_init(e, batch, NULL), 0);
    assert_int_equal(pd_engine_submit(e, batch), 0);
    pd_engine_drain(e);
}

static void people_of(const struct maker *m, struct pd_batch *batch, struct pd_people *people)
{
    const struct pd_maps *maps = &batch->slot[0].maps;
    struct pd_post_params params = pd_post_defaults();
    struct pd_post *post;
    assert_int_equal(pd_post_create(m->net.meta.skeleton, m->net.meta.limbs, maps->w, maps->h, &post), 0);
    assert_int_equal(pd_post_run(post, maps, &params, people), 0);
    pd_post_destroy(post);
}

static void every_skeleton_gives_three_whole_people_that_move(void **state)
{
    static struct pd_people a, b;
    for (int i = 0; pd_skeleton_at(i); i++) {
        struct maker m;
        begin_pose_net(&m, pd_skeleton_at(i)->name);
        struct pd_engine *e = open_null(&m);
        static struct pd_batch batch;
        struct pd_frame frame = {.refs = 1, .width = 1280, .height = 720, .seq = 1};
        memset(&batch, 0, sizeof(batch));
        run_frame(e, &batch, &frame);
        people_of(&m, &batch, &a);
        assert_int_equal(batch.status, 0);
        assert_int_equal(a.n, 3);
        for (int p = 0; p < a.n; p++)
            assert_true(a.person[p].n_found >= pd_skeleton_at(i)->n_keypoints - 6);
        frame.seq = 4;
        run_frame(e, &batch, &frame);
        people_of(&m, &batch, &b);
        assert_int_equal(b.n, 3);
        assert_memory_not_equal(&a, &b, sizeof(a));
        pd_engine_batch_finish(e, &batch);
        pd_engine_close(e);
        maker_end(&m);
    }
}

static void maps_of_one_size_outlive_a_batch_of_another(void **state)
{
    struct maker m;
    begin_pose_net(&m, "coco18");
    struct pd_engine *e = open_null(&m);
    static struct pd_batch batch, other;
    struct pd_frame frame = {.refs = 1, .width = 640, .height = 480, .seq = 7};
    memset(&batch, 0, sizeof(batch));
    memset(&other, 0, sizeof(other));
    run_frame(e, &batch, &frame);
    float before = batch.slot[0].maps.heat[100];
    other = (struct pd_batch){.n = 1, .width = 64, .height = 64, .done = nothing};
    other.slot[0].frame = &frame;
    assert_int_equal(pd_letterbox_fit(640, 480, NULL, 64, 64, &other.slot[0].lb), 0);
    assert_int_equal(pd_engine_batch_init(e, &other, NULL), 0);
    assert_int_equal(pd_engine_submit(e, &other), 0);
    pd_engine_drain(e);
    assert_int_equal(other.slot[0].maps.w, 8);
    assert_true(batch.slot[0].maps.heat[100] == before);
    pd_engine_batch_finish(e, &batch);
    pd_engine_batch_finish(e, &other);
    pd_engine_close(e);
    maker_end(&m);
}

static void the_environment_makes_the_device_go_away(void **state)
{
    struct maker m;
    begin_pose_net(&m, "coco18");
    setenv("POSED_NULL_LOST_AFTER", "2", 1);
    struct pd_engine *e = open_null(&m);
    unsetenv("POSED_NULL_LOST_AFTER");
    static struct pd_batch batch;
    struct pd_frame frame = {.refs = 1, .width = 640, .height = 480};
    memset(&batch, 0, sizeof(batch));
    for (int i = 0; i < 4; i++) {
        run_frame(e, &batch, &frame);
        assert_int_equal(batch.status, i < 2 ? 0 : -ENODEV);
    }
    assert_non_null(strstr(batch.err.text, "lost"));
    pd_engine_batch_finish(e, &batch);
    pd_engine_close(e);
    maker_end(&m);
}

static void a_network_without_people_is_refused(void **state)
{
    struct maker m;
    struct pd_engine_params p = {.width = 16, .height = 16, .max_batch = 1};
    struct pd_engine *e;
    struct pd_err err = {""};
    maker_begin(&m, 1);
    maker_conv(&m, 0, 5, 1, 1, 1);
    assert_int_equal(pd_engine_open("null", &m.net, &p, &e, &err), -EINVAL);
    assert_non_null(strstr(err.text, "pose network"));
    maker_end(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_skeleton_gives_three_whole_people_that_move),
        cmocka_unit_test(maps_of_one_size_outlive_a_batch_of_another),
        cmocka_unit_test(the_environment_makes_the_device_go_away),
        cmocka_unit_test(a_network_without_people_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
