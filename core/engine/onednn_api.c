/* SPDX-License-Identifier: Apache-2.0 */
#include "core/engine/onednn_api.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int check(dnnl_status_t status, const char *what, struct pd_err *err)
{
    switch (status) {
    case dnnl_success:
        return 0;
    case dnnl_unimplemented:
        return -ENOTSUP;
    case dnnl_out_of_memory:
        return pd_err_set(err, -ENOMEM, "oneDNN: out of memory in %s", what);
    default:
        /* A process that may not make memory executable cannot have generated code, and fails just like this. */
        return pd_err_set(err, -EIO, "oneDNN: %s failed with status %d; if the service runs with "
                          "MemoryDenyWriteExecute=yes, turn that off", what, (int)status);
    }
}

int pd_dnn_open(struct pd_dnn *dnn, struct pd_err *err)
{
    memset(dnn, 0, sizeof(*dnn));
    int r = check(dnnl_engine_create(&dnn->engine, dnnl_cpu, 0), "dnnl_engine_create", err);
    if (r == 0)
        r = check(dnnl_stream_create(&dnn->stream, dnn->engine, dnnl_stream_default_flags), "dnnl_stream_create", err);
    if (r < 0)
        pd_dnn_close(dnn);
    return r;
}

void pd_dnn_close(struct pd_dnn *dnn)
{
    if (dnn->stream)
        dnnl_stream_destroy(dnn->stream);
    if (dnn->engine)
        dnnl_engine_destroy(dnn->engine);
    memset(dnn, 0, sizeof(*dnn));
}

static bool has_isa(dnnl_cpu_isa_t isa)
{
    return ((unsigned)dnnl_get_effective_cpu_isa() & (unsigned)isa) == (unsigned)isa;
}

const char *pd_dnn_isa(void)
{
    static const struct {
        dnnl_cpu_isa_t isa;
        const char *name;
    } names[] = {
        {dnnl_cpu_isa_avx512_core_amx, "avx512_core_amx"}, {dnnl_cpu_isa_avx512_core_bf16, "avx512_core_bf16"},
        {dnnl_cpu_isa_avx512_core_vnni, "avx512_core_vnni"}, {dnnl_cpu_isa_avx512_core, "avx512_core"},
        {dnnl_cpu_isa_avx2, "avx2"}, {dnnl_cpu_isa_avx, "avx"}, {dnnl_cpu_isa_sse41, "sse41"},
    };
    for (size_t i = 0; i < PD_ARRAY_SIZE(names); i++)
        if (has_isa(names[i].isa))
            return names[i].name;
    return "generic";
}

bool pd_dnn_has_bf16(void)
{
    return has_isa(dnnl_cpu_isa_avx512_core_bf16);
}

int pd_dnn_block(void)
{
    return has_isa(dnnl_cpu_isa_avx512_core) ? 16 : has_isa(dnnl_cpu_isa_sse41) ? 8 : 1;
}

bool pd_dnn_uses_openmp(void)
{
    return dnnl_version()->cpu_runtime == DNNL_RUNTIME_OMP;
}

void pd_dnn_version(char *text, size_t size)
{
    const dnnl_version_t *v = dnnl_version();
    snprintf(text, size, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
}

/* ---- descriptors ---- */

int pd_dnn_activation(struct pd_dnn_md *ret_md, int c, int h, int w, int block, dnnl_data_type_t type)
{
    dnnl_dims_t dims = {1, c, h, w};
    dnnl_format_tag_t tag = block == 16 ? dnnl_nChw16c : block == 8 ? dnnl_nChw8c : dnnl_nchw;
    return dnnl_memory_desc_init_by_tag(&ret_md->d, 4, dims, type, tag) == dnnl_success ? 0 : -EINVAL;
}

int pd_dnn_dense(struct pd_dnn_md *ret_md, int n_dims, const int64_t *dims, dnnl_data_type_t type)
{
    dnnl_dims_t d = {0}, strides = {0};
    int64_t stride = 1;
    for (int i = n_dims - 1; i >= 0; i--) {
        d[i] = dims[i];
        strides[i] = stride;
        stride *= dims[i];
    }
    return dnnl_memory_desc_init_by_strides(&ret_md->d, n_dims, d, type, strides) == dnnl_success ? 0 : -EINVAL;
}

struct pd_dnn_md pd_dnn_any(const struct pd_dnn_md *md)
{
    struct pd_dnn_md any;
    dnnl_memory_desc_init_by_tag(&any.d, md->d.ndims, md->d.dims, md->d.data_type, dnnl_format_tag_any);
    return any;
}

bool pd_dnn_md_equal(const struct pd_dnn_md *a, const struct pd_dnn_md *b)
{
    return dnnl_memory_desc_equal(&a->d, &b->d) != 0;
}

size_t pd_dnn_md_bytes(const struct pd_dnn_md *md)
{
    return dnnl_memory_desc_get_size(&md->d);
}

/* ---- primitives ---- */

static dnnl_alg_kind_t eltwise_of(enum pd_act act)
{
    switch (act) {
    case PD_ACT_CLIP:
        return dnnl_eltwise_clip;
    case PD_ACT_ELU:
        return dnnl_eltwise_elu;
    case PD_ACT_SIGMOID:
        return dnnl_eltwise_logistic;
    case PD_ACT_TANH:
        return dnnl_eltwise_tanh;
    case PD_ACT_SWISH:
        return dnnl_eltwise_swish;
    case PD_ACT_HARDSWISH:
        return dnnl_eltwise_hardswish;
    default:
        return dnnl_eltwise_relu; /* RELU, and PRELU with one slope, which is then alpha */
    }
}

/* The library's parameters of an activation: its relu takes the slope, its swish the factor of x. */
static void act_params(const struct pd_dnn_post *post, float *alpha, float *beta)
{
    *alpha = post->act == PD_ACT_RELU ? 0.0f : post->act == PD_ACT_SWISH ? 1.0f : post->alpha;
    *beta = post->beta;
}

static dnnl_status_t append_post(dnnl_post_ops_t ops, const struct pd_dnn_post *post)
{
    if (post->sum) {
        dnnl_status_t s = dnnl_post_ops_append_sum(ops, 1.0f);
        if (s != dnnl_success)
            return s;
    }
    if (post->act == PD_ACT_NONE)
        return dnnl_success;
    if (post->channel_slopes)
        return dnnl_post_ops_append_prelu(ops, 1 << 1);
    float alpha, beta;
    act_params(post, &alpha, &beta);
    return dnnl_post_ops_append_eltwise(ops, 1.0f, eltwise_of(post->act), alpha, beta);
}

/* Attributes with the caller's scratchpad and @post (may be NULL). */
static dnnl_status_t make_attr(const struct pd_dnn_post *post, dnnl_primitive_attr_t *ret_attr)
{
    dnnl_primitive_attr_t attr;
    dnnl_post_ops_t ops = NULL;
    dnnl_status_t s = dnnl_primitive_attr_create(&attr);
    if (s != dnnl_success)
        return s;
    s = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    if (s == dnnl_success && post) {
        s = dnnl_post_ops_create(&ops);
        if (s == dnnl_success)
            s = append_post(ops, post);
        if (s == dnnl_success)
            s = dnnl_primitive_attr_set_post_ops(attr, ops);
        if (ops)
            dnnl_post_ops_destroy(ops);
    }
    if (s != dnnl_success) {
        dnnl_primitive_attr_destroy(attr);
        return s;
    }
    *ret_attr = attr;
    return dnnl_success;
}

/* Make the primitive of @pd, which is used up, and note what it chose. */
static dnnl_status_t finish_prim(dnnl_primitive_desc_t pd, struct pd_dnn_prim *ret_prim)
{
    struct pd_dnn_prim p = {0};
    const dnnl_memory_desc_t *md;
    const char *impl = NULL;
    if ((md = dnnl_primitive_desc_query_md(pd, dnnl_query_src_md, 0)))
        p.src.d = *md;
    if ((md = dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0)))
        p.weights.d = *md;
    if ((md = dnnl_primitive_desc_query_md(pd, dnnl_query_dst_md, 0)))
        p.dst.d = *md;
    if ((md = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0)))
        p.scratchpad = dnnl_memory_desc_get_size(md);
    if (dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, (void *)&impl) == dnnl_success && impl)
        snprintf(p.impl, sizeof(p.impl), "%s", impl);
    dnnl_status_t s = dnnl_primitive_create(&p.prim, pd);
    dnnl_primitive_desc_destroy(pd);
    if (s == dnnl_success)
        *ret_prim = p;
    return s;
}

static int make_prim(struct pd_dnn *dnn, const void *op_desc, const struct pd_dnn_post *post, const char *what,
                     struct pd_dnn_prim *ret_prim, struct pd_err *err)
{
    dnnl_primitive_attr_t attr;
    dnnl_primitive_desc_t pd;
    dnnl_status_t s = make_attr(post, &attr);
    if (s != dnnl_success)
        return check(s, what, err);
    s = dnnl_primitive_desc_create(&pd, op_desc, attr, dnn->engine, NULL);
    dnnl_primitive_attr_destroy(attr);
    if (s == dnnl_success)
        s = finish_prim(pd, ret_prim);
    return check(s, what, err);
}

static void conv_weights(const struct pd_dnn_conv *c, dnnl_memory_desc_t *weights, dnnl_memory_desc_t *bias)
{
    dnnl_dims_t grouped = {c->groups, c->co / c->groups, c->ci / c->groups, c->kh, c->kw};
    dnnl_dims_t dense = {c->co, c->ci, c->kh, c->kw}, vector = {c->co};
    bool g = c->groups > 1;
    dnnl_memory_desc_init_by_tag(weights, g ? 5 : 4, g ? grouped : dense, c->weights_type, dnnl_format_tag_any);
    dnnl_memory_desc_init_by_tag(bias, 1, vector, dnnl_f32, dnnl_a);
}

int pd_dnn_conv(struct pd_dnn *dnn, const struct pd_dnn_conv *c, struct pd_dnn_prim *ret_prim, struct pd_err *err)
{
    dnnl_memory_desc_t weights, bias;
    conv_weights(c, &weights, &bias);
    dnnl_dims_t stride = {c->stride[0], c->stride[1]};
    dnnl_dims_t dilation = {c->dilation[0] - 1, c->dilation[1] - 1}; /* oneDNN counts the gaps */
    dnnl_dims_t begin = {c->pad_begin[0], c->pad_begin[1]}, end = {c->pad_end[0], c->pad_end[1]};
    const dnnl_memory_desc_t *b = c->bias ? &bias : NULL;
    dnnl_convolution_desc_t conv;
    dnnl_deconvolution_desc_t deconv;
    dnnl_status_t s =
        c->transposed
            ? dnnl_dilated_deconvolution_forward_desc_init(&deconv, dnnl_forward_inference, dnnl_deconvolution_direct,
                                                           &c->src.d, &weights, b, &c->dst.d, stride, dilation, begin,
                                                           end)
            : dnnl_dilated_convolution_forward_desc_init(&conv, dnnl_forward_inference, dnnl_convolution_direct,
                                                         &c->src.d, &weights, b, &c->dst.d, stride, dilation, begin,
                                                         end);
    /* A padding behind that is below zero, of an output_padding, by a stride or more is nothing that it knows. */
    if (s == dnnl_invalid_arguments && c->transposed)
        return -ENOTSUP;
    if (s != dnnl_success)
        return check(s, "convolution", err);
    const void *op = c->transposed ? (const void *)&deconv : (const void *)&conv;
    return make_prim(dnn, op, &c->post, "convolution", ret_prim, err);
}

int pd_dnn_pool(struct pd_dnn *dnn, const struct pd_dnn_pool *p, struct pd_dnn_prim *ret_prim, struct pd_err *err)
{
    dnnl_dims_t stride = {p->stride[0], p->stride[1]}, kernel = {p->kernel[0], p->kernel[1]};
    dnnl_dims_t dilation = {p->dilation[0] - 1, p->dilation[1] - 1};
    dnnl_dims_t begin = {p->pad_begin[0], p->pad_begin[1]}, end = {p->pad_end[0], p->pad_end[1]};
    dnnl_pooling_v2_desc_t dilated;
    dnnl_pooling_desc_t plain;
    bool is_plain = p->dilation[0] == 1 && p->dilation[1] == 1;
    dnnl_status_t s = is_plain ? dnnl_pooling_forward_desc_init(&plain, dnnl_forward_inference, p->alg, &p->src.d,
                                                                &p->dst.d, stride, kernel, begin, end)
                               : dnnl_pooling_v2_forward_desc_init(&dilated, dnnl_forward_inference, p->alg, &p->src.d,
                                                                   &p->dst.d, stride, kernel, dilation, begin, end);
    if (s != dnnl_success)
        return check(s, "pooling", err);
    const void *op = is_plain ? (const void *)&plain : (const void *)&dilated;
    return make_prim(dnn, op, NULL, "pooling", ret_prim, err);
}

int pd_dnn_binary(struct pd_dnn *dnn, bool multiply, const struct pd_dnn_md *a, const struct pd_dnn_md *b,
                  const struct pd_dnn_md *dst, const struct pd_dnn_post *post, struct pd_dnn_prim *ret_prim,
                  struct pd_err *err)
{
    dnnl_binary_desc_t op;
    dnnl_status_t s = dnnl_binary_desc_init(&op, multiply ? dnnl_binary_mul : dnnl_binary_add, &a->d, &b->d, &dst->d);
    if (s != dnnl_success)
        return check(s, "binary", err);
    return make_prim(dnn, &op, post, "binary", ret_prim, err);
}

int pd_dnn_act(struct pd_dnn *dnn, const struct pd_dnn_md *md, const struct pd_dnn_post *post,
               struct pd_dnn_prim *ret_prim, struct pd_err *err)
{
    if (post->channel_slopes) {
        dnnl_dims_t dims = {1, md->d.dims[1], 1, 1};
        dnnl_memory_desc_t slopes;
        dnnl_prelu_desc_t op;
        dnnl_memory_desc_init_by_tag(&slopes, 4, dims, dnnl_f32, dnnl_nchw);
        dnnl_status_t s = dnnl_prelu_forward_desc_init(&op, dnnl_forward_inference, &md->d, &slopes);
        return s == dnnl_success ? make_prim(dnn, &op, NULL, "prelu", ret_prim, err) : check(s, "prelu", err);
    }
    float alpha, beta;
    act_params(post, &alpha, &beta);
    dnnl_eltwise_desc_t op;
    dnnl_status_t s = dnnl_eltwise_forward_desc_init(&op, dnnl_forward_inference, eltwise_of(post->act), &md->d, alpha,
                                                     beta);
    return s == dnnl_success ? make_prim(dnn, &op, NULL, "eltwise", ret_prim, err) : check(s, "eltwise", err);
}

int pd_dnn_resize(struct pd_dnn *dnn, bool bilinear, const struct pd_dnn_md *src, const struct pd_dnn_md *dst,
                  struct pd_dnn_prim *ret_prim, struct pd_err *err)
{
    dnnl_resampling_desc_t op;
    dnnl_status_t s = dnnl_resampling_forward_desc_init(&op, dnnl_forward_inference,
                                                        bilinear ? dnnl_resampling_linear : dnnl_resampling_nearest,
                                                        NULL, &src->d, &dst->d);
    return s == dnnl_success ? make_prim(dnn, &op, NULL, "resampling", ret_prim, err) : check(s, "resampling", err);
}

int pd_dnn_inner_product(struct pd_dnn *dnn, const struct pd_dnn_md *src, int co, dnnl_data_type_t type, bool bias,
                         const struct pd_dnn_md *dst, struct pd_dnn_prim *ret_prim, struct pd_err *err)
{
    dnnl_dims_t dims, vector = {co};
    memcpy(dims, src->d.dims, sizeof(dims));
    dims[0] = co;
    dnnl_memory_desc_t weights, b;
    dnnl_memory_desc_init_by_tag(&weights, src->d.ndims, dims, type, dnnl_format_tag_any);
    dnnl_memory_desc_init_by_tag(&b, 1, vector, dnnl_f32, dnnl_a);
    dnnl_inner_product_desc_t op;
    dnnl_status_t s = dnnl_inner_product_forward_desc_init(&op, dnnl_forward_inference, &src->d, &weights,
                                                           bias ? &b : NULL, &dst->d);
    return s == dnnl_success ? make_prim(dnn, &op, NULL, "inner product", ret_prim, err)
                             : check(s, "inner product", err);
}

int pd_dnn_reorder(struct pd_dnn *dnn, const struct pd_dnn_md *src, const struct pd_dnn_md *dst,
                   struct pd_dnn_prim *ret_prim, struct pd_err *err)
{
    dnnl_primitive_attr_t attr;
    dnnl_primitive_desc_t pd;
    dnnl_status_t s = make_attr(NULL, &attr);
    if (s != dnnl_success)
        return check(s, "reorder", err);
    s = dnnl_reorder_primitive_desc_create(&pd, &src->d, dnn->engine, &dst->d, dnn->engine, attr);
    dnnl_primitive_attr_destroy(attr);
    if (s == dnnl_success)
        s = finish_prim(pd, ret_prim);
    return check(s, "reorder", err);
}

void pd_dnn_prim_destroy(struct pd_dnn_prim *prim)
{
    if (prim->prim)
        dnnl_primitive_destroy(prim->prim);
    prim->prim = NULL;
}

int pd_dnn_slopes_arg(const struct pd_dnn_post *post)
{
    return DNNL_ARG_ATTR_MULTIPLE_POST_OP(post->sum ? 1 : 0) | DNNL_ARG_WEIGHTS;
}

int pd_dnn_memory(struct pd_dnn *dnn, const struct pd_dnn_md *md, void *data, dnnl_memory_t *ret_memory,
                  struct pd_err *err)
{
    return check(dnnl_memory_create(ret_memory, &md->d, dnn->engine, data), "dnnl_memory_create", err);
}

int pd_dnn_execute(struct pd_dnn *dnn, const struct pd_dnn_prim *prim, int n_args, const dnnl_exec_arg_t *args,
                   struct pd_err *err)
{
    return check(dnnl_primitive_execute(prim->prim, dnn->stream, n_args, args), prim->impl, err);
}
