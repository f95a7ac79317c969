#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether two searches found the same, to the last bit. Only what the counts say is there is looked at.
 */
#include <stdio.h>
#include <string.h>

#include "core/pose.h"

static bool same_peaks(const struct pd_candidates *got, const struct pd_candidates *want, int k, const char *where)
{
    if (got->n_peaks[k] != want->n_peaks[k]) {
        printf("# %s, keypoint %d: %d peaks, not %d\n", where, k, got->n_peaks[k], want->n_peaks[k]);
        return false;
    }
    for (int i = 0; i < want->n_peaks[k]; i++) {
        const struct pd_peak *g = &got->peaks[k][i], *w = &want->peaks[k][i];
        if (memcmp(g, w, sizeof(*g)) != 0) {
            printf("# %s, keypoint %d, peak %d of %d: %.9g,%.9g score %.9g, not %.9g,%.9g score %.9g\n", where, k, i,
                   want->n_peaks[k], (double)g->x, (double)g->y, (double)g->score, (double)w->x, (double)w->y,
                   (double)w->score);
            return false;
        }
    }
    return true;
}

static bool same_connections(const struct pd_candidates *got, const struct pd_candidates *want, int l,
                             const char *where)
{
    if (got->n_connections[l] != want->n_connections[l]) {
        printf("# %s, limb %d: %d connections, not %d\n", where, l, got->n_connections[l], want->n_connections[l]);
        return false;
    }
    for (int i = 0; i < want->n_connections[l]; i++) {
        const struct pd_connection *g = &got->connections[l][i], *w = &want->connections[l][i];
        if (g->a != w->a || g->b != w->b || memcmp(&g->score, &w->score, sizeof(g->score)) != 0) {
            printf("# %s, limb %d, connection %d of %d: %d-%d score %.9g, not %d-%d score %.9g\n", where, l, i,
                   want->n_connections[l], g->a, g->b, (double)g->score, w->a, w->b, (double)w->score);
            return false;
        }
    }
    return true;
}

static bool same_candidates(const struct pd_skeleton *skeleton, const struct pd_candidates *got,
                            const struct pd_candidates *want, const char *where)
{
    for (int k = 0; k < skeleton->n_keypoints; k++)
        if (!same_peaks(got, want, k, where))
            return false;
    for (int l = 0; l < skeleton->n_limbs; l++)
        if (!same_connections(got, want, l, where))
            return false;
    if (got->capped_peaks != want->capped_peaks || got->capped_connections != want->capped_connections) {
        printf("# %s: %u peaks and %u connections let go, not %u and %u\n", where, got->capped_peaks,
               got->capped_connections, want->capped_peaks, want->capped_connections);
        return false;
    }
    return true;
}
