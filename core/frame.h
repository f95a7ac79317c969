#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * A decoded picture on its way from a decode thread to the engine: a reference-counted view of memory that somebody
 * else owns (an AVFrame, an NVDEC surface, a test's array), returned through @release with the last reference.
 *
 * Ownership: passing a frame to a function that "takes" it moves the caller's reference. The pixels and every field
 * are read-only once the frame has left its maker. Reference counting is safe from any thread.
 */
#include <stdatomic.h>
#include <stdint.h>

enum pd_pix {
    PD_PIX_YUV,   /* three 8-bit planes Y, U, V; chroma subsampled by chroma_shift_x/y (4:2:0 is 1,1) */
    PD_PIX_NV12,  /* 8-bit Y; interleaved UV, 4:2:0 */
    PD_PIX_P010,  /* 16-bit little-endian words, 10 significant high bits: Y; interleaved UV, 4:2:0 */
    PD_PIX_RGB24, /* one plane, R G B bytes */
    PD_PIX_BGR24, /* one plane, B G R bytes */
    PD_PIX_GRAY8, /* one plane of luma */
};

enum pd_mem { PD_MEM_HOST, PD_MEM_CUDA };
enum pd_range { PD_RANGE_LIMITED, PD_RANGE_FULL };                     /* 16..235 or 0..255 */
enum pd_matrix { PD_MATRIX_BT601, PD_MATRIX_BT709, PD_MATRIX_BT2020 }; /* non-constant luminance */

/* Where captured_us comes from; the wire's "clock". */
enum pd_time_source { PD_TIME_ARRIVAL, PD_TIME_NTP, PD_TIME_FILE };

#define PD_PTS_NONE INT64_MIN
#define PD_FRAME_SIDE_MAX 16384

struct pd_frame {
    _Atomic int refs;

    /* who and when; set by the decode thread before the frame leaves it */
    int camera;                      /* the manager's camera index; 0 for a reader on its own */
    uint32_t generation;             /* counts (re)connects of the camera's stream */
    uint64_t seq;                    /* decoded frames of this camera, from 1, over all generations */
    int64_t captured_us;             /* UTC microseconds, see time_source */
    int64_t arrived_ns;              /* monotonic, when the packet (or file read) came in */
    int64_t pts_us;                  /* the stream's own time, or PD_PTS_NONE */
    enum pd_time_source time_source;

    /* what */
    int width, height; /* pixels, 1..PD_FRAME_SIDE_MAX */
    enum pd_pix format;
    enum pd_mem mem;
    enum pd_range range;
    enum pd_matrix matrix;
    int chroma_shift_x, chroma_shift_y; /* log2 subsampling, PD_PIX_YUV only: 0..2 */
    const uint8_t *plane[3];
    int stride[3]; /* bytes from a row to the next, >= the row's bytes */

    void (*release)(struct pd_frame *frame); /* frees the frame and what it views; runs on any thread */
    void *opaque;                            /* for release */
    /* Told after release, when the memory is free again; for whoever bounds how much is in use. May be NULL. */
    void (*released)(void *user);
    void *released_user;
};

static inline struct pd_frame *pd_frame_ref(struct pd_frame *frame)
{
    atomic_fetch_add_explicit(&frame->refs, 1, memory_order_relaxed);
    return frame;
}

/* Drop the caller's reference and clear its pointer. *frame may be NULL. */
void pd_frame_unref(struct pd_frame **frame);

/* A frame with its own host memory for @format, refs 1, planes allocated and uninitialised, who-and-when zeroed.
 * NULL when out of memory or the size is out of range. */
struct pd_frame *pd_frame_alloc(enum pd_pix format, int width, int height, int chroma_shift_x, int chroma_shift_y);

/* Number of planes of @format, and the bytes of a row and the rows of plane @i. */
int pd_frame_planes(enum pd_pix format);
int pd_frame_plane_row_bytes(const struct pd_frame *frame, int i);
int pd_frame_plane_rows(const struct pd_frame *frame, int i);
