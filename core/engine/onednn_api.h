#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * The oneDNN functions that the engine uses, in its own words: descriptors in, a primitive with what it chose out. The
 * library's 2.x and 3.x interfaces differ in just this (descriptor structs against opaque descriptors), so a port
 * touches this pair of files alone. One thread at a time, except pd_dnn_execute: any number, each with its own
 * arguments.
 */
#include <oneapi/dnnl/dnnl.h>

#include "core/engine/engine.h"

#define PD_DNN_ARGS_MAX 6

struct pd_dnn {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
};

struct pd_dnn_md {
    dnnl_memory_desc_t d;
};

/* What follows the primitive's own result, in this order. */
struct pd_dnn_post {
    bool sum; /* add what is in dst already */
    enum pd_act act;
    float alpha, beta;
    bool channel_slopes; /* PD_ACT_PRELU with a slope a channel: argument pd_dnn_slopes_arg() */
};

struct pd_dnn_conv {
    bool transposed;
    struct pd_dnn_md src, dst;
    dnnl_data_type_t weights_type;
    int groups, co, ci; /* channels of all groups */
    int kh, kw;
    int stride[2], dilation[2], pad_begin[2], pad_end[2]; /* y, x */
    bool bias;
    struct pd_dnn_post post;
};

struct pd_dnn_pool {
    dnnl_alg_kind_t alg;
    struct pd_dnn_md src, dst;
    int kernel[2], stride[2], dilation[2], pad_begin[2], pad_end[2];
};

struct pd_dnn_prim {
    dnnl_primitive_t prim;
    struct pd_dnn_md src, weights, dst; /* as chosen where `any` was asked for */
    size_t scratchpad;                  /* bytes */
    char impl[64];
};

int pd_dnn_open(struct pd_dnn *dnn, struct pd_err *err);
void pd_dnn_close(struct pd_dnn *dnn);
/* "avx2", "avx512_core_bf16", ...: the best that both the library and this processor have. */
const char *pd_dnn_isa(void);
bool pd_dnn_has_bf16(void);
/* Channels that one block of the fastest activation layout holds here: 16, 8, or 1 for plain nchw. */
int pd_dnn_block(void);
/* Whether omp_set_num_threads() bounds the library's threads. */
bool pd_dnn_uses_openmp(void);
void pd_dnn_version(char *text, size_t size);

/* n = 1 activations of @c x @h x @w; @block as of pd_dnn_block. @c must be a multiple of it. */
int pd_dnn_activation(struct pd_dnn_md *ret_md, int c, int h, int w, int block, dnnl_data_type_t type);
/* Dense rows: vectors (n = 1 dim), weights (4 or 5 dims) as networks store them. */
int pd_dnn_dense(struct pd_dnn_md *ret_md, int n_dims, const int64_t *dims, dnnl_data_type_t type);
struct pd_dnn_md pd_dnn_any(const struct pd_dnn_md *md); /* same sizes, layout left to the library */
bool pd_dnn_md_equal(const struct pd_dnn_md *a, const struct pd_dnn_md *b);
size_t pd_dnn_md_bytes(const struct pd_dnn_md *md);

/* Primitives. -ENOTSUP where the library has none for the request (no line then), else a negative errno and a line. */
int pd_dnn_conv(struct pd_dnn *dnn, const struct pd_dnn_conv *c, struct pd_dnn_prim *ret_prim, struct pd_err *err);
int pd_dnn_pool(struct pd_dnn *dnn, const struct pd_dnn_pool *p, struct pd_dnn_prim *ret_prim, struct pd_err *err);
int pd_dnn_binary(struct pd_dnn *dnn, bool multiply, const struct pd_dnn_md *a, const struct pd_dnn_md *b,
                  const struct pd_dnn_md *dst, const struct pd_dnn_post *post, struct pd_dnn_prim *ret_prim,
                  struct pd_err *err);
int pd_dnn_act(struct pd_dnn *dnn, const struct pd_dnn_md *md, const struct pd_dnn_post *post,
               struct pd_dnn_prim *ret_prim, struct pd_err *err);
int pd_dnn_resize(struct pd_dnn *dnn, bool bilinear, const struct pd_dnn_md *src, const struct pd_dnn_md *dst,
                  struct pd_dnn_prim *ret_prim, struct pd_err *err);
int pd_dnn_inner_product(struct pd_dnn *dnn, const struct pd_dnn_md *src, int co, dnnl_data_type_t type, bool bias,
                         const struct pd_dnn_md *dst, struct pd_dnn_prim *ret_prim, struct pd_err *err);
int pd_dnn_reorder(struct pd_dnn *dnn, const struct pd_dnn_md *src, const struct pd_dnn_md *dst,
                   struct pd_dnn_prim *ret_prim, struct pd_err *err);
void pd_dnn_prim_destroy(struct pd_dnn_prim *prim);

int pd_dnn_slopes_arg(const struct pd_dnn_post *post);

int pd_dnn_memory(struct pd_dnn *dnn, const struct pd_dnn_md *md, void *data, dnnl_memory_t *ret_memory,
                  struct pd_err *err);
int pd_dnn_execute(struct pd_dnn *dnn, const struct pd_dnn_prim *prim, int n_args, const dnnl_exec_arg_t *args,
                   struct pd_err *err);
