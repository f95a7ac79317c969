#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening an input and taking the packets of its one video stream. One thread.
 */
#include "core/err.h"
#include "decode/reader_impl.h"
#include "decode/tls.h"

struct AVFormatContext;
struct AVIOContext;
struct AVPacket;
struct AVStream;

struct pd_demux {
    struct AVFormatContext *fmt;
    struct AVIOContext *file; /* local files: our own reading end, closed after fmt */
    int pipe;                 /* what file reads when it is no regular file, else -1; closed after it */
    struct AVStream *stream;
    struct AVPacket *packet;
    struct pd_interrupt interrupt;
    struct pd_tls tls;
    bool network;     /* the bytes are a stranger's */
    const char *name; /* for messages; the input's */
    uint64_t packets; /* of the video stream since the start of the input */
    int64_t end_pts;  /* furthest end of a packet, in the stream's time base */
    bool restarted;   /* its times went back by seconds: a part of a playlist with a clock of its own */
    double other_end; /* furthest end of another stream, where those are read: seconds after the start of this one */
    bool damaged_end; /* the last packet was short */
    bool lost;        /* something went missing before the packet at hand, or in it */
    bool marked;      /* the last packet was, see note_loss() */
    int marks;        /* so many more of the last packets said so of themselves than did not */
    unsigned missing; /* parts of a playlist that could not be opened, since the start of the input */
    int parts;        /* JPEGs that follow and belong to the last one, see photo.h */
    bool video;       /* a video that belongs to it does */
    int64_t since_ns; /* when the call under way began, for messages */
};

/* @demux must not move afterwards: libav keeps a pointer to its interrupt. @input outlives it. */
int pd_demux_open(struct pd_demux *demux, const struct pd_reader_params *params, const struct pd_input *input,
                  struct pd_err *err);
void pd_demux_finish(struct pd_demux *demux);
/* 0: demux->packet is the next one. PD_READER_E_END, PD_READER_E_CUT with a line, or a negative errno with a line. */
int pd_demux_read(struct pd_demux *demux, struct pd_err *err);
int pd_demux_rewind(struct pd_demux *demux, struct pd_err *err);

/* Time @ts of the stream in microseconds after @start (both in its time base), or PD_PTS_NONE when that is no sane
 * time: a file may claim anything, and sums with the result must not overflow. */
int64_t pd_demux_us(const struct pd_demux *demux, int64_t ts, int64_t start);

bool pd_demux_is_picture(const struct pd_demux *demux); /* a still picture's format */
bool pd_demux_is_live(const struct pd_demux *demux);    /* has no known end */
bool pd_demux_is_playlist(const struct pd_demux *demux); /* comes in parts of some seconds each */
double pd_demux_fps(const struct pd_demux *demux);      /* nominal, 0 unknown */
int64_t pd_demux_frames(const struct pd_demux *demux);  /* expected, 0 unknown */
