/* SPDX-License-Identifier: Apache-2.0
 *
 * Post-processing on arbitrary bits. Input: skeleton, width and height less 1, thresholds (1, 2 and 3 bytes), then the
 * maps' floats, repeated as often as the maps need. Promises: what post.h says of any result, ids for everyone,
 * and a picture that is not written outside of.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "core/util.h"
#include "postproc/draw.h"
#include "postproc/post.h"
#include "postproc/track.h"

#define HEADER 6
#define SIDE_MAX 24

/* What post.h promises of any result. */
static void check_people(const struct pd_people *people, const struct pd_skeleton *skeleton,
                         const struct pd_post_params *params, int w, int h)
{
    FUZZ_CHECK(people->n >= 0 && people->n <= params->max_people);
    FUZZ_CHECK(people->n_keypoints == skeleton->n_keypoints);
    for (int i = 0; i < people->n; i++) {
        const struct pd_person *p = &people->person[i];
        FUZZ_CHECK(p->score >= params->min_score && p->score <= 1.0f);
        FUZZ_CHECK(i == 0 || people->person[i - 1].score >= p->score);
        FUZZ_CHECK(p->n_found >= params->min_keypoints && p->n_found <= skeleton->n_keypoints);
        for (int k = 0; k < skeleton->n_keypoints; k++) {
            const struct pd_keypoint *kp = &p->keypoints[k];
            FUZZ_CHECK(kp->score >= 0.0f && kp->score <= 1.0f);
            FUZZ_CHECK(kp->x >= 0.0f && kp->x < (float)(w * 8) && kp->y >= 0.0f && kp->y < (float)(h * 8));
        }
    }
}

/* The rest of the way: ids, smoothing, drawing. */
static void use_people(struct pd_people *people, const struct pd_skeleton *skeleton, int w, int h)
{
    static uint8_t rgb[SIDE_MAX * SIDE_MAX * 3];
    _Atomic int64_t next_id = 1;
    struct pd_tracker *tracker = pd_tracker_create(skeleton, &next_id);
    struct pd_smoother *smoother = pd_smoother_create(1.0, 0.01);
    struct pd_canvas canvas = {rgb, w, h, w * 3};
    struct pd_draw_params params = {.labels = true};
    FUZZ_CHECK(tracker && smoother);
    for (int64_t t = 0; t < 3; t++) {
        pd_tracker_update(tracker, people, t * 40000);
        pd_smoother_update(smoother, people, t * 40000);
        for (int i = 0; i < people->n; i++)
            FUZZ_CHECK(people->person[i].id > 0 && people->person[i].id < next_id);
    }
    pd_draw_people(&canvas, skeleton, people, &params);
    pd_tracker_destroy(tracker);
    pd_smoother_destroy(smoother);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct pd_people people;
    if (size < HEADER + sizeof(float))
        return 0;
    const struct pd_skeleton *skeleton = pd_skeleton_at(data[0] % 3);
    int w = data[1] % SIDE_MAX + 1, h = data[2] % SIDE_MAX + 1, n_paf = 52;
    struct pd_post_params params = pd_post_defaults();
    params.peak_threshold = (float)data[3] / 256.0f;
    params.limb_threshold = (float)data[4] / 512.0f;
    params.limb_fraction = (float)(data[5] & 15) / 15.0f;
    params.min_keypoints = 1 + (data[5] >> 4);
    size_t plane = (size_t)w * (size_t)h, n = plane * (size_t)(skeleton->n_keypoints + n_paf);
    size_t filled = (size - HEADER) / sizeof(float) * sizeof(float), bytes = n * sizeof(float);
    float *maps_data = malloc(bytes);
    FUZZ_CHECK(maps_data);
    for (size_t at = 0; at < bytes; at += filled)
        memcpy((char *)maps_data + at, data + HEADER, PD_MIN(filled, bytes - at));
    struct pd_maps maps = {.w = w, .h = h, .n_heat = skeleton->n_keypoints, .n_paf = n_paf, .heat = maps_data,
                           .paf = maps_data + plane * (size_t)skeleton->n_keypoints, .stride = 8, .offset = 3.5f};
    struct pd_post *post = NULL;
    FUZZ_CHECK(pd_post_create(skeleton, skeleton->limbs, w, h, &post) == 0);
    FUZZ_CHECK(pd_post_run(post, &maps, &params, &people) == 0);
    check_people(&people, skeleton, &params, w, h);
    use_people(&people, skeleton, w, h);
    pd_post_destroy(post);
    free(maps_data);
    return 0;
}
