#pragma once
/* SPDX-License-Identifier: Apache-2.0 - small clips and pictures made with libav for the tests of decode/. */
#include <stdbool.h>
#include <stdint.h>

#include "core/frame.h"

struct clip {
    const char *path;
    const char *container; /* NULL: by the path */
    const char *codec;     /* encoder name */
    const char *pix_fmt;
    int width, height, fps, frames, gop;
    int first;             /* number of the first frame */
    const char *options;   /* "key=value:..." for the encoder, or NULL */
    int rotate;            /* degrees clockwise that a player turns the picture by */
    int u, v;              /* chroma; of RGB formats green and blue as they are. 0: 128, or grey */
    int color_range, color_space; /* enum AVColorRange, AVColorSpace; 0, 0: what the encoder does */
    bool transparent;      /* wholly, in formats with alpha */
    bool texture;          /* noise instead of one colour, so that there is something to damage */
    bool faststart;        /* MP4: the index first */
    bool mark;             /* the top left quarter is darker by 9, for telling directions */
    int sound_s;           /* seconds of silence beside the pictures, 0: none */
    int tail_width, tail_height, tail_frames; /* raw streams: go on with another size */
};

/* Frame n of a clip is of one colour whose luma (or red) is clip_luma(n). Returns 0, or -ENOTSUP when this
 * FFmpeg lacks the encoder. */
int clip_write(const struct clip *clip);
int clip_luma(int n);
/* Frame n as libav holds it; the caller frees it. NULL: this FFmpeg does not know the pixel format. */
struct AVFrame *clip_frame(const struct clip *clip, int n);
/* Which frame of a clip this is, by its middle; -1: none. */
int clip_number(const struct pd_frame *frame);

/* A fresh folder for a test's files, removed at exit; "FOLDER/name", valid until the 16th next call. */
const char *clip_path(const char *name);
/* The file's bytes; *ret_size is set. The caller frees. */
uint8_t *clip_load(const char *path, long *ret_size);
void clip_save(const char *path, const void *bytes, long size);
/* Path of a clip of other people in POSED_SHARED or beside the source; NULL: it is not there. */
const char *clip_shared(const char *name);
