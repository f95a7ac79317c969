/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "core/letterbox.h"
#include "core/util.h"
#include "postproc/post_internal.h"

#define MAP_SIDE_MAX 4096

/* Chosen on labelled pictures with two networks at several sizes: docs/performance.md, "Decoding". */
struct pd_post_params pd_post_defaults(void)
{
    return (struct pd_post_params){
        .peak_threshold = 0.06f,
        .limb_threshold = 0.03f,
        .limb_fraction = 0.8f,
        .min_keypoints = 3,
        .min_score = 0.2f,
        .max_people = PD_PEOPLE_MAX,
    };
}

/* The group that keypoint @k belongs to when limbs join keypoints: union-find without ranks, the tables are tiny. */
static int group_of(const int *parent, int k)
{
    while (parent[k] != k)
        k = parent[k];
    return k;
}

void pd_post_mark_bridges(const struct pd_limb *limbs, int n_limbs, bool *ret_bridge)
{
    int parent[PD_KEYPOINTS_MAX];
    for (int k = 0; k < PD_KEYPOINTS_MAX; k++)
        parent[k] = k;
    for (int l = 0; l < n_limbs; l++) {
        int a = group_of(parent, limbs[l].a), b = group_of(parent, limbs[l].b);
        ret_bridge[l] = a == b;
        parent[a] = b;
    }
}

int pd_post_create(const struct pd_skeleton *skeleton, const struct pd_limb *limbs, int max_w, int max_h,
                   struct pd_post **ret_post)
{
    if (!skeleton || !limbs || skeleton->n_keypoints < 1 || skeleton->n_keypoints > PD_KEYPOINTS_MAX ||
        skeleton->n_limbs < 0 || skeleton->n_limbs > PD_LIMBS_MAX || max_w < 1 || max_h < 1 || max_w > MAP_SIDE_MAX ||
        max_h > MAP_SIDE_MAX)
        return -EINVAL;
    for (int l = 0; l < skeleton->n_limbs; l++) {
        if (limbs[l].a >= skeleton->n_keypoints || limbs[l].b >= skeleton->n_keypoints || limbs[l].a == limbs[l].b)
            return -EINVAL;
    }
    struct pd_post *post = calloc(1, sizeof(*post));
    if (!post)
        return -ENOMEM;
    post->skeleton = skeleton;
    memcpy(post->limbs, limbs, sizeof(*limbs) * (size_t)skeleton->n_limbs);
    pd_post_mark_bridges(post->limbs, skeleton->n_limbs, post->bridge);
    post->max_w = max_w;
    post->max_h = max_h;
    post->cells = calloc((size_t)max_w * (size_t)max_h, sizeof(*post->cells));
    post->pairs = calloc(PD_PAIRS_MAX, sizeof(*post->pairs));
    post->pairs_spare = calloc(PD_PAIRS_MAX, sizeof(*post->pairs_spare));
    post->owner = calloc((size_t)skeleton->n_keypoints, sizeof(*post->owner));
    post->making = calloc(PD_MAKING_MAX, sizeof(*post->making));
    if (!post->cells || !post->pairs || !post->pairs_spare || !post->owner || !post->making) {
        pd_post_destroy(post);
        return -ENOMEM;
    }
    *ret_post = post;
    return 0;
}

void pd_post_destroy(struct pd_post *post)
{
    if (!post)
        return;
    free(post->cells);
    free(post->pairs);
    free(post->pairs_spare);
    free(post->owner);
    free(post->making);
    free(post);
}

int pd_post_check(const struct pd_post *post, const struct pd_maps *maps)
{
    if (maps->w < 1 || maps->h < 1 || maps->w > post->max_w || maps->h > post->max_h || !maps->heat || !maps->paf ||
        maps->n_heat < post->skeleton->n_keypoints || !(maps->stride > 0.0f) || !isfinite(maps->stride) ||
        !isfinite(maps->offset))
        return -EINVAL;
    for (int l = 0; l < post->skeleton->n_limbs; l++) {
        if (post->limbs[l].paf_x >= maps->n_paf || post->limbs[l].paf_y >= maps->n_paf)
            return -EINVAL;
    }
    return 0;
}

int pd_post_run(struct pd_post *post, const struct pd_maps *maps, const struct pd_post_params *params,
                struct pd_people *ret_people)
{
    int r = pd_post_find_peaks(post, maps, params, &post->cand);
    if (r == 0)
        r = pd_post_score_limbs(post, maps, params, &post->cand);
    if (r == 0)
        r = pd_post_assemble(post, &post->cand, params, ret_people);
    return r;
}

void pd_people_to_source(struct pd_people *people, const struct pd_letterbox *lb)
{
    float left = (float)lb->roi.x, top = (float)lb->roi.y;
    float right = left + (float)(lb->roi.w - 1), bottom = top + (float)(lb->roi.h - 1);
    for (int i = 0; i < people->n; i++) {
        for (int k = 0; k < people->n_keypoints; k++) {
            struct pd_keypoint *kp = &people->person[i].keypoints[k];
            if (!(kp->score > 0.0f))
                continue;
            pd_letterbox_to_source(lb, kp->x, kp->y, &kp->x, &kp->y);
            kp->x = PD_CLAMP(kp->x, left, right);
            kp->y = PD_CLAMP(kp->y, top, bottom);
        }
    }
}
