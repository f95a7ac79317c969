#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * `posed bench`: what was measured, and the forms in which it is told. Main thread.
 */
#include <stdio.h>

#include "daemon/cli.h"

#define PD_BENCH_BATCHES_MAX 7
#define PD_BENCH_CAMERA_FPS 30.0 /* what a camera-hour is counted at */
#define PD_BENCH_CAMERAS_MAX 1024

struct pd_bench_batch {
    int n;
    int runs;
    double ms, best_ms; /* median and least time of a batch */
    double fps;         /* frames a second at the median */
    double growth;      /* median time over that of the first */
};

struct pd_bench_pipeline { /* one camera, one frame at a time; medians in ms */
    bool there;
    int src_w, src_h;
    double preprocess, network, post, total;
};

struct pd_bench_cameras { /* several cameras at once, each with its next frame as soon as its last one is through */
    int n;                /* 0: not measured */
    int src_w, src_h;
    double fps;           /* of all of them */
    double median_ms, p99_ms; /* a frame, from its batch's submission to its people */
};

struct pd_bench {
    const struct pd_net *net;
    const struct pd_engine_caps *caps;
    int width, height;
    struct pd_shape *shapes; /* net->n_tensors */
    double gflop;            /* of one frame */
    int layer_batch;         /* frames that layers were timed with */
    int n_layers;            /* 0: the engine cannot tell */
    struct pd_layer_time *layers;
    int n_wanted;            /* batch sizes to measure; 0: all that the engine makes plans of */
    int wanted[PD_BENCH_BATCHES_MAX];
    int n_batches;
    struct pd_bench_batch batch[PD_BENCH_BATCHES_MAX];
    bool device_clock;       /* batches: the network alone, by the device; else input and maps in host memory */
    double peak_gflops;      /* of the engine's best large matrix product or layer here; 0: not measured */
    struct pd_bench_pipeline pipeline;
    struct pd_bench_cameras cameras;
    double price; /* of an hour of this machine, 0: not given */
    bool cpu_time; /* batches in processor time of the whole process instead of elapsed time */
};

/* Billions of operations (two a multiply-add) for one frame of what the i-th entry of layers ran: it and those that
 * ran with it. */
double pd_bench_layer_gflop(const struct pd_bench *bench, int i);
double pd_bench_best_fps(const struct pd_bench *bench);
/* Price of one camera for an hour at PD_BENCH_CAMERA_FPS, the machine full. */
double pd_bench_camera_hour(const struct pd_bench *bench);

/* bench_measure.c. @seconds: how long each measurement goes on, at least. */
int pd_bench_layers(struct pd_bench *bench, struct pd_engine *engine, double seconds, struct pd_err *err);
int pd_bench_batches(struct pd_bench *bench, struct pd_engine *engine, double seconds, struct pd_err *err);
int pd_bench_pipeline(struct pd_bench *bench, struct pd_engine *engine, double seconds, struct pd_err *err);
/* A frame of a camera of 1280x720 with something in it, the same each time; NULL: no memory. */
struct pd_frame *pd_bench_frame(void);
double pd_bench_median(double *v, int n); /* sorts @v */

/* bench_cameras.c. @n cameras; the engine takes two batches in flight. */
int pd_bench_cameras(struct pd_bench *bench, struct pd_engine *engine, int n, double seconds, struct pd_err *err);

/* bench_peak.c: measure peak_gflops with an engine of its own, opened as @cli says. */
int pd_bench_peak(struct pd_bench *bench, const struct pd_cli *cli, double seconds, struct pd_err *err);

/* bench_print.c */
void pd_bench_print(const struct pd_bench *bench, FILE *out);
int pd_bench_print_json(const struct pd_bench *bench, FILE *out, struct pd_err *err);

/* bench_plot.c: time against batch size as a drawing of its own. */
int pd_bench_plot(const struct pd_bench *bench, const char *path, struct pd_err *err);
