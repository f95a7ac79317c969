#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * One input, frame by frame: a video file, a picture, a folder of pictures, a URL, a capture device, a test pattern.
 * Blocking calls on the caller's thread, each bounded by the deadline callback. decode/ is the only folder that knows
 * FFmpeg; frames leave it as struct pd_frame.
 *
 *   /path/clip.mp4  file:/path   anything libavformat opens       rtsp:// rtsps:// http:// https://   network streams
 *   /path/photo.jpg /path/dir/   pictures, sorted by name         v4l2:/dev/video0                    capture device
 *   test:people?size=640x360&rate=25&frames=100                   synthetic pattern, deterministic
 */
#include "core/err.h"
#include "core/frame.h"

enum pd_transport { PD_TRANSPORT_TCP, PD_TRANSPORT_UDP };

struct pd_reader_params {
    const char *input;
    const char *username, *password; /* NULL: none; kept out of every message */
    const char *ca_file, *tls_name;  /* what a camera behind TLS has to show, see tls.h; NULL: it may show anything */
    enum pd_transport transport;     /* rtsp */
    bool live;                       /* low latency: no frame threads, no probing beyond need */
    int threads;                     /* decoder threads, files only; 0 = 1 */
    const char *hwaccel;             /* NULL or "none": software; "cuda": NVDEC, software when it cannot */
    int cuda_device;                 /* hwaccel cuda: its number; frames lie in its primary context */
    /* Polled inside blocking calls. Non-zero ends the call with that code, -ECANCELED or -ETIMEDOUT, and every later
     * call of the same reader. May be NULL. */
    int (*interrupt)(void *user);
    void *user;
};

struct pd_reader_info {
    int width, height;         /* of the first frame, 0 before it (live); later ones may differ */
    double fps;                /* nominal, 0 unknown */
    int64_t frames;            /* expected in all, 0 unknown (live) */
    char codec[32];
    bool live;                 /* a network stream or device: an end is a failure */
    bool parts;                /* live, in parts of some seconds each: frames come in bursts */
    bool pictures;             /* a picture or a folder of them */
};

struct pd_reader;

int pd_reader_open(const struct pd_reader_params *params, struct pd_reader **ret_reader, struct pd_err *err);
void pd_reader_close(struct pd_reader *reader);
const struct pd_reader_info *pd_reader_info(const struct pd_reader *reader);

#define PD_READER_E_END 1 /* the input ended; nothing was left out */
#define PD_READER_E_CUT 2 /* the input ended early or is damaged at the end: @err says where; frames so far are good */
/* The next frame (caller owns the reference); seq, captured_us, arrived_ns, pts_us, time_source are set, camera is not.
 * Corrupt frames are skipped and counted. Returns 0, a condition above, or a negative errno with a line in @err; after
 * an error of a folder's picture the next call goes on with the picture after it. */
int pd_reader_next(struct pd_reader *reader, struct pd_frame **ret_frame, struct pd_err *err);
/* Name of the picture the last frame came from (folder inputs), else the input. Valid until the next call. */
const char *pd_reader_current(const struct pd_reader *reader);
uint64_t pd_reader_corrupt(const struct pd_reader *reader); /* corrupt frames skipped so far */
int pd_reader_rewind(struct pd_reader *reader, struct pd_err *err); /* files: start again (loop) */
