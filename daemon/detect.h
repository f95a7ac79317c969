#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of `posed detect`: options (cmd_detect.c), the way of a frame through the engine (detect_pipe.c), several
 * looks at a frame (detect_looks.c), the formats (detect_out.c, detect_coco.c), drawing (detect_draw.c), what may be
 * written over (detect_targets.c). One thread, the engine's own aside.
 */
#include <stdio.h>

#include "core/frame.h"
#include "core/pose.h"
#include "daemon/cli.h"
#include "postproc/post.h"

enum pd_detect_format { PD_DETECT_JSONL, PD_DETECT_OPENPOSE, PD_DETECT_COCO, PD_DETECT_NONE };

#define PD_SCALES_MAX 8

struct pd_detect_options {
    struct pd_cli cli;
    enum pd_detect_format format;
    const char *output;      /* NULL or "-": standard output; a folder for PD_DETECT_OPENPOSE */
    const char *draw;        /* NULL: nothing is drawn */
    const char *annotations; /* COCO annotations that give pictures their ids, NULL: digits of the file name */
    struct pd_post_params post;
    bool track;
    bool quiet;
    int frames;              /* stop after so many of each input, 0: all */
    float scales[PD_SCALES_MAX]; /* of the network's input, looked at one after the other and averaged */
    int n_scales;            /* 0: as it is */
    bool flip;               /* each of them mirrored, too */
};

/* ---- what may be written over; detect_targets.c ---- */

/* -EINVAL with a line when the output or the drawing would replace one of @inputs (NULL at the end), the annotations or
 * the network. */
int pd_detect_targets_check(const struct pd_detect_options *options, char **inputs, struct pd_err *err);

/* ---- a frame on its way; detect_pipe.c ---- */

struct pd_detect_item {
    struct pd_frame *frame;
    char *name;   /* the picture's file, else the input */
    int input;    /* counts the inputs, so that tracks do not run from one into the next */
    bool picture;
    double fps;   /* of the input, 0 unknown */
};

/* Called on the pipe's thread, in the order of push(). Returns 0 or a negative errno with a line in @err. */
typedef int (*pd_detect_emit_fn)(const struct pd_detect_item *item, struct pd_people *people, void *user,
                                 struct pd_err *err);

struct pd_detect_pipe;

int pd_detect_pipe_create(const struct pd_detect_options *options, const struct pd_net *net, pd_detect_emit_fn emit,
                          void *user, struct pd_detect_pipe **ret_pipe, struct pd_err *err);
/* Frames whose results have not been emitted are released. NULL is fine. */
void pd_detect_pipe_destroy(struct pd_detect_pipe *pipe);
/* Takes the item's frame and a copy of its name, on every path. Emits what has become ready. */
int pd_detect_pipe_push(struct pd_detect_pipe *pipe, const struct pd_detect_item *item, struct pd_err *err);
/* Run what has been pushed and emit it all. */
int pd_detect_pipe_flush(struct pd_detect_pipe *pipe, struct pd_err *err);

/* The network's input for a picture of @w x @h: the options' height, the width that follows; multiples of the stride.
 * */
void pd_detect_size(const struct pd_detect_options *options, const struct pd_net *net, bool picture, int w, int h,
                    int *ret_width, int *ret_height);

/* ---- several looks at a frame; detect_looks.c ---- */

struct pd_looks;

int pd_looks_create(const struct pd_detect_options *options, const struct pd_net *net, struct pd_looks **ret_looks,
                    struct pd_err *err);
void pd_looks_destroy(struct pd_looks *looks); /* NULL is fine */
/* The largest network input of the options' scales, from that of scale 1: what an engine is to be opened for, with a
 * batch of 2 where the options say flip. */
void pd_looks_largest(const struct pd_detect_options *options, const struct pd_net *net, int *width, int *height);
/* The mean of all looks at @frame (host memory); @width x @height is the network input of scale 1, and the maps, valid
 * until the next call, are in its pixels: @ret_lb is its letterbox. */
int pd_looks_run(struct pd_looks *looks, struct pd_engine *engine, const struct pd_frame *frame, int width, int height,
                 struct pd_maps *ret_maps, struct pd_letterbox *ret_lb, struct pd_err *err);

/* ---- results; detect_out.c, detect_coco.c ---- */

struct pd_detect_out;

int pd_detect_out_open(const struct pd_detect_options *options, const struct pd_skeleton *skeleton,
                       struct pd_detect_out **ret_out, struct pd_err *err);
/* -ENOENT, -EEXIST: this one has no place in the results; go on with the next. */
int pd_detect_out_write(struct pd_detect_out *out, const struct pd_detect_item *item, const struct pd_people *people,
                        struct pd_err *err);
/* Ends the file and frees @out in any case. NULL is fine. */
int pd_detect_out_close(struct pd_detect_out *out, struct pd_err *err);

/* File name without folders and suffix, cut to fit. */
void pd_detect_stem(const char *path, char *stem, size_t size);

struct pd_coco_ids; /* ids of pictures by file name */
int pd_coco_ids_load(const char *path, struct pd_coco_ids **ret_ids, struct pd_err *err);
void pd_coco_ids_destroy(struct pd_coco_ids *ids);
/* @ids NULL: the number that the last digits of @name's stem make. -ENOENT with a line when there is none. */
int pd_coco_ids_find(const struct pd_coco_ids *ids, const char *name, int64_t *ret_id, struct pd_err *err);
/* One element of COCO's results array, without a line end. */
int pd_coco_write(FILE *file, int64_t image_id, const struct pd_skeleton *skeleton, const struct pd_person *person);

/* ---- drawing; detect_draw.c ---- */

struct pd_detect_draw;

struct pd_detect_draw *pd_detect_draw_create(const char *path, const struct pd_skeleton *skeleton);
/* -EEXIST: this one has no place; go on with the next. */
int pd_detect_draw_write(struct pd_detect_draw *draw, const struct pd_detect_item *item,
                         const struct pd_people *people, struct pd_err *err);
/* Finishes the file and frees @draw in any case. NULL is fine. */
int pd_detect_draw_close(struct pd_detect_draw *draw, struct pd_err *err);
