#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * One camera: a decode thread that opens its input, hands over frames, and on any failure says so, waits and opens
 * again, for ever. Files end (or loop); live inputs never do.
 */
#include "core/err.h"
#include "core/frame.h"
#include "decode/reader.h"

enum pd_source_state {
    PD_SOURCE_CONNECTING, /* opening for the first time or again */
    PD_SOURCE_UP,         /* the first frame of this connection came */
    PD_SOURCE_DOWN,       /* failed; waits retry_s, then connects again */
    PD_SOURCE_ENDED,      /* a file is done */
    PD_SOURCE_STOPPED,
};
const char *pd_source_state_name(enum pd_source_state state); /* the wire's "connecting", "up", "down", "ended" */

struct pd_source_config {
    const char *name; /* camera name, for log lines and the thread's name */
    const char *url, *username, *password;
    const char *ca_file, *tls_name; /* see pd_reader_params */
    enum pd_transport transport;
    bool loop;        /* files: start again at the end */
    bool realtime;    /* files: one frame each 1/fps by the monotonic clock, like a camera */
    double max_fps;   /* 0: all. Frames above it are not decoded into lines; they are not counted as decoded */
    /* See pd_reader_params. With a device that may decode, no more than 8 frames of the source are in use at once: it
     * reads on when one of them is released, so who holds them must not wait for another. */
    const char *hwaccel;
    int cuda_device;
    double open_timeout_s, read_timeout_s; /* 0: 8 and 3 */
    double picture_timeout_s;              /* packets come, but no whole picture; 0: 30 */
    double retry_scale;                    /* of pd_backoff_ns, 0: 1 */
};

/* Called on the decode thread. */
struct pd_source_sink {
    /* Takes the frame. camera and generation are set. May block (lossless files). */
    void (*frame)(struct pd_frame *frame, void *user);
    /* @reason: one line for people, "" when there is nothing to say. @retry_s: seconds until the next try, 0 none. */
    void (*state)(enum pd_source_state state, const char *reason, double retry_s, void *user);
    void *user;
};

struct pd_source_stats { /* totals since start */
    uint64_t decoded, corrupt, skipped; /* skipped: decoded, but above max_fps */
    uint32_t connects;
    int width, height;
    double fps;           /* measured over the last seconds */
    char codec[32];
    bool hardware;
    enum pd_source_state state;
    int64_t last_frame_ns; /* monotonic, 0: none yet */
    int64_t deadline_ns;   /* of the blocking call under way, 0: none; for the watchdog */
};

struct pd_source;

int pd_source_start(const struct pd_source_config *config, int camera, const struct pd_source_sink *sink,
                    struct pd_source **ret_source, struct pd_err *err);
/* Ask the thread to end; returns at once. */
void pd_source_stop(struct pd_source *source);
/* Stop, wait (bounded by the interrupt deadline), free. No sink call runs after it returns. */
void pd_source_destroy(struct pd_source *source);
/* The process is about to end: decoders on a GPU are not closed any more, which takes tens of milliseconds each, one
 * after another. The driver frees them with the process. Any thread. */
void pd_hwaccel_forsake(void);
void pd_source_get_stats(struct pd_source *source, struct pd_source_stats *ret_stats);
/* Live files, devices and streams differ in what the queue may drop. */
bool pd_source_is_live(const struct pd_source_config *config);
