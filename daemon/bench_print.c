/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "daemon/bench.h"

#define STAGES_MAX 64

struct stage {
    double ms, gflop;
    int layers;
};

/* Sum the layers' times by stage; returns the number of stages. */
static int sum_stages(const struct pd_bench *b, struct stage *stages, double *ret_total)
{
    int n = 0;
    *ret_total = 0;
    for (int i = 0; i < b->n_layers; i++) {
        int s = PD_CLAMP(b->net->layers[b->layers[i].layer].stage, 0, STAGES_MAX - 1);
        for (; n <= s; n++)
            stages[n] = (struct stage){0};
        stages[s].ms += b->layers[i].ms;
        stages[s].gflop += pd_bench_layer_gflop(b, i) * b->layer_batch;
        stages[s].layers++;
        *ret_total += b->layers[i].ms;
    }
    return n;
}

/* Share of the peak, "" where that is not known. */
static const char *share_of_peak(const struct pd_bench *b, double gflop, double ms, char text[16])
{
    text[0] = 0;
    if (b->peak_gflops > 0)
        snprintf(text, 16, "%5.1f%%", 100 * gflop / PD_MAX(ms, 1e-9) * 1e3 / b->peak_gflops);
    return text;
}

static void print_stages(const struct pd_bench *b, FILE *out)
{
    struct stage stages[STAGES_MAX];
    double total;
    char share[16];
    int n = sum_stages(b, stages, &total);
    fprintf(out, "\nstage        layers    GFLOP        ms  share  GFLOP/s  of peak\n");
    for (int i = 0; i < n; i++) {
        char name[32] = "features";
        if (i > 0)
            snprintf(name, sizeof(name), "stage %d", i);
        fprintf(out, "%-10s %8d %8.3f %9.3f %5.1f%% %8.1f  %7s\n", name, stages[i].layers, stages[i].gflop,
                stages[i].ms, 100 * stages[i].ms / PD_MAX(total, 1e-9),
                stages[i].gflop / PD_MAX(stages[i].ms, 1e-9) * 1e3,
                share_of_peak(b, stages[i].gflop, stages[i].ms, share));
    }
    fprintf(out, "%-10s %8d %8.3f %9.3f %6s %8.1f  %7s\n", "all", b->n_layers, b->gflop * b->layer_batch, total, "",
            b->gflop * b->layer_batch / PD_MAX(total, 1e-9) * 1e3,
            share_of_peak(b, b->gflop * b->layer_batch, total, share));
    if (b->peak_gflops > 0)
        fprintf(out, "peak: %.1f GFLOP/s, the most that this engine reached, with a product of large matrices or in a "
                "layer\n", b->peak_gflops);
}

static void print_layers(const struct pd_bench *b, FILE *out)
{
    fprintf(out, "\n%4s %-8s %-16s %-16s %-12s %8s %8s %8s %7s  %s\n", "", "layer", "in", "out", "window", "GFLOP",
            "ms", "GFLOP/s", "of peak", "algorithm");
    char share[16];
    for (int i = 0; i < b->n_layers; i++) {
        const struct pd_layer_time *t = &b->layers[i];
        const struct pd_layer *l = &b->net->layers[t->layer];
        struct pd_shape in = b->shapes[l->in[0]], to = b->shapes[l->out];
        char from_text[48], to_text[48], window[48];
        snprintf(from_text, sizeof(from_text), "%dx%dx%d", in.c, in.h, in.w);
        snprintf(to_text, sizeof(to_text), "%dx%dx%d", to.c, to.h, to.w);
        snprintf(window, sizeof(window), "%dx%d/%d%s%s", l->kh, l->kw, l->stride_y, l->dilation_y > 1 ? " dil" : "",
                 l->groups > 1 ? " dw" : "");
        double gflop = pd_bench_layer_gflop(b, i) * b->layer_batch;
        fprintf(out, "%4d %-8s %-16s %-16s %-12s %8.3f %8.3f %8.1f %7s  %s\n", t->layer,
                pd_layer_kind_name(l->kind), from_text, to_text, window, gflop, t->ms,
                gflop / PD_MAX(t->ms, 1e-9) * 1e3, share_of_peak(b, gflop, t->ms, share), t->algorithm);
    }
}

static void print_batches(const struct pd_bench *b, FILE *out)
{
    if (b->device_clock)
        fprintf(out, "\nnetwork alone, by the device's clock");
    fprintf(out, "\nbatch        ms   best ms  frames/s  time/batch %d  runs\n", b->n_batches ? b->batch[0].n : 1);
    for (int i = 0; i < b->n_batches; i++) {
        const struct pd_bench_batch *r = &b->batch[i];
        fprintf(out, "%5d %9.2f %9.2f %9.1f %12.2fx %5d\n", r->n, r->ms, r->best_ms, r->fps, r->growth, r->runs);
    }
}

void pd_bench_print(const struct pd_bench *b, FILE *out)
{
    fprintf(out, "network   %s, %dx%d, %.2f GFLOP a frame, %zu parameters\n", b->net->meta.name, b->width, b->height,
            b->gflop, pd_net_parameters(b->net));
    fprintf(out, "engine    %s, %s%s%s, %s, %zu MiB\n", b->caps->name, b->caps->version,
            b->caps->version[0] ? ", " : "",
            b->caps->device, pd_precision_name(b->caps->precision), b->caps->memory_bytes >> 20);
    if (b->n_layers) {
        fprintf(out, "\nlayers, %d frame%s", b->layer_batch, b->layer_batch > 1 ? "s at once" : "");
        print_layers(b, out);
        print_stages(b, out);
    }
    print_batches(b, out);
    if (b->pipeline.there) {
        const struct pd_bench_pipeline *p = &b->pipeline;
        fprintf(out, "\none camera of %dx%d, a frame at a time: preprocess %.2f ms, network %.2f ms, people %.2f ms; "
                "together %.2f ms, %.1f frames/s\n", p->src_w, p->src_h, p->preprocess, p->network, p->post, p->total,
                1e3 / p->total);
    }
    if (b->cameras.n)
        fprintf(out, "\n%d camera%s of %dx%d at once: %.1f frames/s, %.1f each; a frame takes %.1f ms (median), "
                "%.1f ms (99 %%)\n", b->cameras.n, b->cameras.n > 1 ? "s" : "", b->cameras.src_w, b->cameras.src_h,
                b->cameras.fps, b->cameras.fps / b->cameras.n, b->cameras.median_ms, b->cameras.p99_ms);
    if (b->price > 0)
        fprintf(out, "\nat %.3f an hour: %.1f frames/s are %.2f cameras of %g frames/s, %.4f a camera-hour\n", b->price,
                pd_bench_best_fps(b), pd_bench_best_fps(b) / PD_BENCH_CAMERA_FPS, PD_BENCH_CAMERA_FPS,
                pd_bench_camera_hour(b));
}

/* ---- JSON ---- */

static void set_share_of_peak(const struct pd_bench *b, double gflop, double ms, json_t *item)
{
    if (b->peak_gflops > 0 && ms > 0)
        json_object_set_new(item, "of_peak", json_real(gflop / ms * 1e3 / b->peak_gflops));
}

static json_t *layers_json(const struct pd_bench *b)
{
    json_t *list = json_array();
    for (int i = 0; i < b->n_layers; i++) {
        const struct pd_layer_time *t = &b->layers[i];
        const struct pd_layer *l = &b->net->layers[t->layer];
        struct pd_shape in = b->shapes[l->in[0]], out = b->shapes[l->out];
        const double gflop = pd_bench_layer_gflop(b, i) * b->layer_batch;
        json_t *item = json_pack("{s:i,s:s,s:s,s:i,s:[iii],s:[iii],s:[ii],s:i,s:i,s:i,s:f,s:f,s:s}", "layer", t->layer,
                                 "name", l->name, "kind", pd_layer_kind_name(l->kind), "stage", l->stage, "in", in.c,
                                 in.h, in.w, "out", out.c, out.h, out.w, "kernel", l->kh, l->kw, "stride", l->stride_y,
                                 "dilation", l->dilation_y, "groups", l->groups, "gflop", gflop, "ms", t->ms,
                                 "algorithm", t->algorithm);
        set_share_of_peak(b, gflop, t->ms, item);
        json_array_append_new(list, item);
    }
    return list;
}

static json_t *stages_json(const struct pd_bench *b)
{
    struct stage stages[STAGES_MAX];
    double total;
    json_t *list = json_array();
    int n = sum_stages(b, stages, &total);
    for (int i = 0; i < n; i++) {
        json_t *item = json_pack("{s:i,s:i,s:f,s:f,s:f}", "stage", i, "layers", stages[i].layers, "gflop",
                                 stages[i].gflop, "ms", stages[i].ms, "share", stages[i].ms / PD_MAX(total, 1e-9));
        set_share_of_peak(b, stages[i].gflop, stages[i].ms, item);
        json_array_append_new(list, item);
    }
    return list;
}

static json_t *batches_json(const struct pd_bench *b)
{
    json_t *list = json_array();
    for (int i = 0; i < b->n_batches; i++) {
        const struct pd_bench_batch *r = &b->batch[i];
        json_array_append_new(list, json_pack("{s:i,s:f,s:f,s:f,s:f,s:i}", "batch", r->n, "ms", r->ms, "best_ms",
                                              r->best_ms, "fps", r->fps, "growth", r->growth, "runs", r->runs));
    }
    return list;
}

int pd_bench_print_json(const struct pd_bench *b, FILE *out, struct pd_err *err)
{
    json_t *root =
        json_pack("{s:s,s:i,s:i,s:f,s:s,s:s,s:s,s:s,s:i,s:o,s:o,s:o}", "network", b->net->meta.name, "width", b->width,
                  "height", b->height, "gflop", b->gflop, "engine", b->caps->name, "device", b->caps->device, "version",
                  b->caps->version, "precision", pd_precision_name(b->caps->precision), "layer_batch", b->layer_batch,
                  "stages", stages_json(b), "layers", layers_json(b), "batches", batches_json(b));
    const struct pd_bench_pipeline *p = &b->pipeline;
    if (root && p->there)
        json_object_set_new(root, "pipeline", json_pack("{s:[ii],s:f,s:f,s:f,s:f}", "source", p->src_w, p->src_h,
                                                        "preprocess_ms", p->preprocess, "network_ms", p->network,
                                                        "people_ms", p->post, "total_ms", p->total));
    if (root && b->peak_gflops > 0)
        json_object_set_new(root, "peak_gflops", json_real(b->peak_gflops));
    const struct pd_bench_cameras *c = &b->cameras;
    if (root && c->n)
        json_object_set_new(root, "cameras", json_pack("{s:i,s:[ii],s:f,s:f,s:f}", "cameras", c->n, "source", c->src_w,
                                                       c->src_h, "fps", c->fps, "median_ms", c->median_ms, "p99_ms",
                                                       c->p99_ms));
    if (root && b->price > 0)
        json_object_set_new(root, "cost", json_pack("{s:f,s:f,s:f}", "price_hour", b->price, "camera_fps",
                                                    PD_BENCH_CAMERA_FPS, "camera_hour", pd_bench_camera_hour(b)));
    int r = root ? json_dumpf(root, out, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : -1;
    json_decref(root);
    if (r < 0 || fputc('\n', out) == EOF)
        return pd_err_set(err, -EIO, "cannot write the figures as JSON");
    return 0;
}
