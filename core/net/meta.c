/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/meta.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/net/lower.h"

#define OFFSET_MAX 1023 /* pixels; beyond, no sample is where its picture is */
#define PAF_CHANNELS_MAX 256 /* struct pd_limb holds no others */

const char *pd_meta_find(const Onnx__ModelProto *model, const char *key)
{
    const size_t prefix = sizeof(PD_META_PREFIX) - 1;
    for (size_t i = 0; i < model->n_metadata_props; i++) {
        const Onnx__StringStringEntryProto *p = model->metadata_props[i];
        if (p->key && p->value && !strncmp(p->key, PD_META_PREFIX, prefix) && !strcmp(p->key + prefix, key))
            return p->value;
    }
    return NULL;
}

static int bad_value(struct pd_lower *lw, const char *key, const char *value, const char *expected)
{
    return pd_err_set(lw->err, -EINVAL, "%s: metadata '" PD_META_PREFIX "%s' is '%.60s'; expected %s", lw->onnx->file,
                      key, value, expected);
}

/* @n numbers separated by commas; a single one stands for all. */
static int read_numbers(struct pd_lower *lw, const char *key, int n, float *numbers)
{
    const char *value = pd_meta_find(lw->onnx->model, key), *s = value;
    if (!value)
        return 0;
    int got = 0;
    for (; got < n; got++) {
        char *end;
        numbers[got] = strtof(s, &end);
        if (end == s || !isfinite(numbers[got]))
            return bad_value(lw, key, value, "numbers separated by commas");
        s = end;
        if (*s != ',')
            break;
        s++;
    }
    got = PD_MIN(got + 1, n);
    if (*s || (got != 1 && got != n))
        return bad_value(lw, key, value, "one number, or three separated by commas");
    for (; got < n; got++)
        numbers[got] = numbers[0];
    return 0;
}

static int read_input(struct pd_lower *lw)
{
    struct pd_normalise *in = &lw->meta.input;
    const char *order = pd_meta_find(lw->onnx->model, "input_order");
    *in = (struct pd_normalise){.scale = {1, 1, 1}, .bgr = true};
    if (order && strcmp(order, "bgr") && strcmp(order, "rgb"))
        return bad_value(lw, "input_order", order, "bgr or rgb");
    in->bgr = !order || !strcmp(order, "bgr");
    int r = read_numbers(lw, "input_mean", 3, in->mean);
    if (!r)
        r = read_numbers(lw, "input_scale", 3, in->scale);
    for (int c = 0; c < 3 && !r; c++)
        if (in->scale[c] == 0)
            r = bad_value(lw, "input_scale", "0", "a number other than zero");
    return r;
}

static int read_geometry(struct pd_lower *lw)
{
    const char *stride = pd_meta_find(lw->onnx->model, "stride");
    char real[16];
    snprintf(real, sizeof(real), "%d", lw->meta.stride);
    if (stride && strcmp(stride, real))
        return bad_value(lw, "stride", stride, real);
    int r = read_numbers(lw, "offset", 1, &lw->meta.offset);
    if (!r && fabsf(lw->meta.offset) > OFFSET_MAX)
        r = bad_value(lw, "offset", pd_meta_find(lw->onnx->model, "offset"), "a number of pixels from -1023 to 1023");
    return r;
}

static int read_paf_channels(struct pd_lower *lw, int n_paf)
{
    const struct pd_skeleton *sk = lw->meta.skeleton;
    const char *value = pd_meta_find(lw->onnx->model, "paf_channels"), *s = value;
    memcpy(lw->meta.limbs, sk->limbs, (size_t)sk->n_limbs * sizeof(sk->limbs[0]));
    for (int l = 0; l < sk->n_limbs; l++) {
        unsigned x = sk->limbs[l].paf_x, y = sk->limbs[l].paf_y;
        int used = 0;
        if (value && (sscanf(s, " %3u,%3u%n", &x, &y, &used) != 2 || !used))
            return bad_value(lw, "paf_channels", value, "one 'x,y' for each limb");
        if (x >= (unsigned)PD_MIN(n_paf, PAF_CHANNELS_MAX) || y >= (unsigned)PD_MIN(n_paf, PAF_CHANNELS_MAX))
            return pd_err_set(lw->err, -EINVAL, "%s: limb %d uses PAF channels %u and %u of %d", lw->onnx->file, l, x,
                              y, n_paf);
        lw->meta.limbs[l].paf_x = (uint8_t)x;
        lw->meta.limbs[l].paf_y = (uint8_t)y;
        if (value)
            s += used;
    }
    return value && *s ? bad_value(lw, "paf_channels", value, "one 'x,y' for each limb") : 0;
}

static int read_skeleton(struct pd_lower *lw)
{
    if (lw->paf < 0)
        return 0;
    int heat = lw->tensors[lw->heat].channels, paf = lw->tensors[lw->paf].channels;
    const char *name = pd_meta_find(lw->onnx->model, "skeleton");
    const struct pd_family *family = pd_family_of(heat, paf);
    if (!name && !family)
        return pd_err_set(lw->err, -ENOTSUP,
                          "%s: %d confidence maps and %d part affinity fields belong to no known skeleton; 19 + "
                          "38, 26 + 52, 16 + 28 or 18 + 42 are expected",
                          lw->onnx->file, heat, paf);
    lw->meta.skeleton = pd_skeleton_by_name(name ? name : family->skeleton);
    if (!lw->meta.skeleton)
        return name ? bad_value(lw, "skeleton", name, "coco18, body25, mpi15, trt18 or none") : -EINVAL;
    if (heat < lw->meta.skeleton->n_keypoints)
        return pd_err_set(lw->err, -EINVAL, "%s: %d confidence maps for the %d keypoints of %s", lw->onnx->file, heat,
                          lw->meta.skeleton->n_keypoints, lw->meta.skeleton->name);
    return read_paf_channels(lw, paf);
}

/* The file's name without folders and suffix. */
static void name_of_file(char *dst, size_t size, const char *file)
{
    const char *slash = strrchr(file, '/');
    pd_onnx_copy_name(dst, size, slash ? slash + 1 : file);
    char *dot = strrchr(dst, '.');
    if (dot && dot != dst)
        *dot = 0;
}

static int read_texts(struct pd_lower *lw)
{
    const Onnx__ModelProto *model = lw->onnx->model;
    struct pd_net_meta *m = &lw->meta;
    const char *name = pd_meta_find(model, "name"), *nc = pd_meta_find(model, "non_commercial");
    const char *sha = pd_meta_find(model, "source_sha256");
    name_of_file(m->name, sizeof(m->name), lw->onnx->file);
    if (name && *name)
        pd_onnx_copy_name(m->name, sizeof(m->name), name);
    pd_onnx_copy_name(m->licence, sizeof(m->licence), pd_meta_find(model, "licence"));
    if (nc && strcmp(nc, "true") && strcmp(nc, "false"))
        return bad_value(lw, "non_commercial", nc, "true or false");
    m->non_commercial = nc && !strcmp(nc, "true");
    if (sha && (strlen(sha) != 64 || strspn(sha, "0123456789abcdef") != 64))
        return bad_value(lw, "source_sha256", sha, "64 hexadecimal digits");
    pd_onnx_copy_name(m->source_sha256, sizeof(m->source_sha256), sha);
    return 0;
}

int pd_lower_meta(struct pd_lower *lw)
{
    int r = read_texts(lw);
    if (!r)
        r = read_input(lw);
    if (!r)
        r = read_geometry(lw);
    return r ? r : read_skeleton(lw);
}
