/* SPDX-License-Identifier: Apache-2.0
 *
 * The cudnn engine against the reference engine: single layers of every kind with random shapes and batch sizes, whole
 * networks, and frames from host memory. Skips, saying so, where there is no GPU.
 *
 *   test-engine-gpu [SEED [COUNT [NETWORK.onnx|random:KIND...]]]
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/engine/engine.h"
#include "tests/engine/netmaker.h"

static struct maker maker; /* also draws the inputs */

static int between(int lo, int hi)
{
    return lo + (int)maker_random(&maker, (uint32_t)(hi - lo + 1));
}

static int conv(int in, int co, int k, int stride, int dilation, int groups, bool bias)
{
    struct pd_layer *l = maker_layer(&maker, PD_LAYER_CONV, in, co);
    l->kh = l->kw = k;
    l->stride_y = l->stride_x = stride;
    l->dilation_y = l->dilation_x = dilation;
    l->groups = groups;
    l->pad_top = l->pad_left = l->pad_bottom = l->pad_right = (k - 1) * dilation / 2;
    const size_t ci = (size_t)(maker.tensors[in].channels / groups);
    maker_weights(&maker, l, (size_t)co * ci * (size_t)k * (size_t)k, bias);
    return l->out;
}

static struct pd_layer *layer_of(int tensor)
{
    return &maker.layers[maker.tensors[tensor].producer];
}

/* Input, a first convolution to some channels, then the layers under test; heat is what the last one writes. */
static void build(uint64_t seed, char *what, size_t cap)
{
    maker_begin(&maker, seed);
    const int channels = between(0, 2) ? between(1, 24) * 8 : between(4, 200);
    const int in = conv(maker.net.input, channels, between(0, 1) ? 3 : 5, 1, 1, 1, true), kind = between(0, 9);
    layer_of(in)->act = PD_ACT_RELU;
    if (kind <= 4) {
        static const int kernels[] = {1, 1, 3, 3, 3, 5, 7, 7};
        const int k = kernels[between(0, 7)], depthwise = kind == 0, stride = between(0, 5) ? 1 : 2;
        const int co = depthwise ? channels : between(0, 1) ? between(1, 280) : 128 * between(1, 3);
        const int dilation = k > 1 && !between(0, 3) ? 2 : 1, groups = depthwise ? channels : 1;
        const int out = conv(in, co, k, stride, dilation, groups, between(0, 4));
        struct pd_layer *l = layer_of(out);
        maker_act(&maker, l);
        if (stride == 1 && !between(0, 2) && co == channels)
            l->residual = in;
        snprintf(what, cap, "conv %d>%d k%d s%d d%d g%d act %d residual %d", channels, co, k, stride, l->dilation_x,
                 l->groups, l->act, l->residual);
    } else if (kind == 5) {
        struct pd_layer *l = maker_layer(&maker, between(0, 1) ? PD_LAYER_MAXPOOL : PD_LAYER_AVGPOOL, in, channels);
        l->kh = l->kw = between(2, 3);
        l->stride_y = l->stride_x = 2;
        l->pad_top = l->pad_left = l->pad_bottom = l->pad_right = l->kh == 3 ? 1 : 0;
        l->count_include_pad = between(0, 1);
        snprintf(what, cap, "pool %d k%d", channels, l->kh);
    } else if (kind == 6) {
        const int b = conv(in, channels, 1, 1, 1, 1, true);
        struct pd_layer *l = maker_layer(&maker, between(0, 1) ? PD_LAYER_ADD : PD_LAYER_MUL, in, channels);
        l->n_in = 2;
        l->in[1] = b;
        maker_act(&maker, l);
        snprintf(what, cap, "binary %d act %d", channels, l->act);
    } else if (kind == 7) { /* a concatenation with parts of any width, read by a convolution */
        const int a = between(1, 70), b = between(1, 70), x = conv(in, a, 3, 1, 1, 1, true),
                  y = conv(in, b, 3, 1, 1, 1, true);
        struct pd_layer *c = maker_layer(&maker, PD_LAYER_CONCAT, x, a + b + channels);
        c->n_in = 3;
        c->in[1] = in;
        c->in[2] = y;
        conv(c->out, between(1, 150), 3, 1, 1, 1, true);
        snprintf(what, cap, "concat %d+%d+%d", a, channels, b);
    } else if (kind == 8) {
        struct pd_layer *l = maker_layer(&maker, PD_LAYER_RESIZE, in, channels);
        l->scale_y = l->scale_x = 2;
        l->bilinear = between(0, 1);
        snprintf(what, cap, "resize %d bilinear %d", channels, l->bilinear);
    } else { /* two branches of equal geometry from one input */
        const int k = between(0, 1) ? 7 : 3, co = 128 * between(1, 2);
        const int x = conv(in, co, k, 1, 1, 1, true), y = conv(in, co, k, 1, 1, 1, true);
        struct pd_layer *l = maker_layer(&maker, PD_LAYER_ADD, x, co);
        layer_of(x)->act = layer_of(y)->act = PD_ACT_RELU;
        l->n_in = 2;
        l->in[1] = y;
        snprintf(what, cap, "branches %d>%d k%d", channels, co, k);
    }
}

/* ---- comparison ---- */

static double difference(const float *a, const float *b, size_t n)
{
    double d = 0, s = 0;
    for (size_t i = 0; i < n; i++) {
        const double e = (double)a[i] - b[i];
        if (!(fabs(e) < 1e30))
            return INFINITY;
        d += e * e;
        s += (double)b[i] * b[i];
    }
    /* maps are of the order of 1: what is far below that (noise in, hardly any field out) need not be more exact */
    return sqrt(d / (double)n) / (sqrt(s / (double)n) + 0.02);
}

static int compare(const struct pd_net *net, enum pd_precision precision, int n, int w, int h, double limit,
                   const char *what, bool verbose)
{
    struct pd_err err = {""};
    struct pd_engine *gpu = NULL, *ref = NULL;
    struct pd_engine_params p = {.precision = precision, .width = w, .height = h, .max_batch = n,
                                 .cache_dir = getenv("POSED_CACHE_DIR")};
    struct pd_engine_params q = {.precision = PD_PRECISION_FP32, .width = w, .height = h, .max_batch = n};
    struct pd_shape *shapes = calloc((size_t)net->n_tensors, sizeof(*shapes));
    int failed = 1;
    float *input = NULL, *heat[2] = {0}, *paf[2] = {0};
    if (!shapes || pd_net_shapes(net, h, w, shapes, &err) < 0 || pd_engine_open("cudnn", net, &p, &gpu, &err) < 0 ||
        pd_engine_open("reference", net, &q, &ref, &err) < 0)
        goto out;
    const struct pd_shape *sh = &shapes[net->heat], *sp = net->paf >= 0 ? &shapes[net->paf] : NULL;
    const size_t nh = (size_t)n * (size_t)sh->c * (size_t)sh->h * (size_t)sh->w;
    const size_t np = sp ? (size_t)n * (size_t)sp->c * (size_t)sp->h * (size_t)sp->w : 0;
    input = malloc((size_t)n * 3 * (size_t)w * (size_t)h * sizeof(float));
    for (size_t i = 0; i < (size_t)n * 3 * (size_t)w * (size_t)h; i++)
        input[i] = maker_uniform(&maker, -1.0f, 1.0f);
    for (int i = 0; i < 2; i++) {
        heat[i] = malloc(nh * sizeof(float));
        paf[i] = malloc((np + 1) * sizeof(float));
        memset(heat[i], 0xff, nh * sizeof(float)); /* NaN: what is not written is seen */
        memset(paf[i], 0xff, np * sizeof(float));
    }
    if (pd_engine_forward(gpu, n, w, h, input, heat[0], np ? paf[0] : NULL, &err) < 0 ||
        pd_engine_forward(ref, n, w, h, input, heat[1], np ? paf[1] : NULL, &err) < 0)
        goto out;
    const double dh = difference(heat[0], heat[1], nh), dp = np ? difference(paf[0], paf[1], np) : 0;
    failed = !(dh <= limit && dp <= limit);
    if (failed || verbose)
        printf("# %s n%d %dx%d %s: heat %.2e paf %.2e%s\n", what, n, w, h, pd_precision_name(precision), dh, dp,
               failed ? "  <-- over the limit" : "");
    err.text[0] = 0;
out:
    if (err.text[0])
        printf("# %s n%d %dx%d: %s\n", what, n, w, h, err.text);
    pd_engine_close(gpu);
    pd_engine_close(ref);
    free(shapes);
    free(input);
    for (int i = 0; i < 2; i++) {
        free(heat[i]);
        free(paf[i]);
    }
    fflush(stdout);
    return failed;
}

static int random_layers(uint64_t seed, int count)
{
    int failed = 0;
    for (int i = 0; i < count; i++) {
        char what[128], where[192];
        build(seed + (uint64_t)i * 7919, what, sizeof(what));
        snprintf(where, sizeof(where), "case %d: %s", i, what);
        const enum pd_precision p = i % 5 ? PD_PRECISION_FP16 : PD_PRECISION_FP32;
        const double limit = p == PD_PRECISION_FP16 ? 3e-3 : 2e-5;
        failed += compare(&maker.net, p, between(1, 6), between(8, 70), between(8, 40), limit, where, false);
        maker_end(&maker);
    }
    return failed;
}

/* A file, or "random:KIND": one of the networks with random weights. */
static int load(const char *name, struct pd_net **ret_net, struct pd_err *err)
{
    char path[] = "/tmp/posed-gpu-XXXXXX";
    if (strncmp(name, "random:", 7) != 0)
        return pd_net_load(name, ret_net, err);
    const int fd = mkstemp(path);
    if (fd < 0)
        return pd_err_set(err, -1, "cannot make a temporary file");
    close(fd);
    int r = pd_net_random_write(name + 7, 1, path, err);
    if (r == 0)
        r = pd_net_load(path, ret_net, err);
    unlink(path);
    return r;
}

int main(int argc, char **argv)
{
    struct pd_err err = {""};
    const uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)pd_wall_us();
    const int count = argc > 2 ? atoi(argv[2]) : 60;
    int failed = 0, gpu = -1;
    for (int i = 0; pd_engine_name(i); i++)
        if (!strcmp(pd_engine_name(i), "cudnn"))
            gpu = i;
    if (gpu < 0 || pd_engine_probe(gpu, &err) < 0) {
        printf("1..0 # SKIP no GPU: %s\n", gpu < 0 ? "this build has no cudnn engine" : err.text);
        return 0;
    }
    printf("# seed %llu\n", (unsigned long long)seed);
    failed += random_layers(seed, count);
    printf("%sok 1 - %d random layers agree with the reference\n", failed ? "not " : "", count);
    for (int i = 3; i < argc; i++) {
        struct pd_net *net;
        if (load(argv[i], &net, &err) < 0) {
            printf("not ok %d - %s\n", i - 1, err.text);
            failed++;
            continue;
        }
        int bad = 0;
        maker_begin(&maker, seed);
        for (int n = 1; n <= 5; n += 4)
            bad += compare(net, PD_PRECISION_FP16, n, 232, 184, 2e-2, net->meta.name, true);
        bad += compare(net, PD_PRECISION_TF32, 2, 232, 184, 5e-3, net->meta.name, true);
        bad += compare(net, PD_PRECISION_FP32, 2, 232, 184, 1e-4, net->meta.name, true);
        printf("%sok %d - %s agrees with the reference\n", bad ? "not " : "", i - 1, net->meta.name);
        failed += bad;
        pd_net_destroy(net);
    }
    printf("1..%d\n", argc > 3 ? argc - 2 : 1);
    return failed ? 1 : 0;
}
