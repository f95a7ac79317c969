#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * What the two parts of a source share: source.c starts and stops it, says how it is and opens the input again after a
 * failure, source_connection.c is one such opening: its deadlines, its frames, and how it is left.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "core/stats.h"
#include "decode/pace.h"
#include "decode/source.h"

struct pd_source {
    /* set once */
    struct pd_source_config config;
    struct pd_source_sink sink;
    int camera;
    bool live;
    struct pd_held *held; /* frames in use, where there may be only so many; or NULL */
    pthread_t thread;

    /* decode thread */
    struct pd_reader *reader;
    struct pd_pace pace;
    uint64_t seq;
    uint32_t generation;
    uint64_t corrupt_before; /* of earlier readers */
    int64_t picture_deadline_ns; /* of the call under way */
    int64_t silent_ns;           /* when too long has passed since its start and since a packet */
    bool up;           /* this connection has given a frame */
    bool was_live;     /* the last one that was opened was a live stream */
    bool closing;      /* it is being left */
    bool hurried;      /* since a stop */
    unsigned failures; /* in a row */
    bool clock_told;   /* that the camera's clock is wrong */
    char log_context[80];
    uint32_t random;

    /* any thread */
    _Atomic bool stop;
    _Atomic int64_t deadline_ns;

    /* lock: the fields below */
    pthread_mutex_t lock;
    pthread_cond_t wake; /* stop was set; on the monotonic clock */
    struct pd_source_stats stats;
    struct pd_rate rate;
};

/* ---- source.c ---- */
void pd_source_set_state(struct pd_source *source, enum pd_source_state state, const char *reason, double retry_s);
/* Sleep until @until_ns; false: stopped. */
bool pd_source_sleep_until(struct pd_source *source, int64_t until_ns);

/* ---- source_connection.c ---- */
/* Opens and reads the input, with its loops, until something ends it: PD_READER_E_END (after one frame at least),
 * PD_READER_E_CUT or a negative errno. */
int pd_source_run_once(struct pd_source *source, struct pd_err *err);
