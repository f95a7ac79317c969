#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolution on Hopper's tensor cores (sm_90a): stride 1, any kernel up to 15x15, dilation, fp16 in, fp32 accumulated,
 * with bias, residual and activation in the epilogue. NHWC in and out, any channel count and stride.
 *
 * A second opinion beside cuDNN, and often the better one: the copy engine (TMA, im2col mode) loads a run of pixels
 * with its halo once for each row of the filter, and all taps of that row read it from shared memory at shifted
 * addresses, so that a 7x7 layer moves a seventh of the bytes. 768 TFLOP/s for OpenPose's 7x7 layers on a cool H200,
 * where PyTorch's choice among cuDNN's engines reaches 390.
 *
 * Output pixels are walked in rows that include the halo (wo + (kw-1)*dilation long); what falls into the halo is
 * computed and not stored. Up to two convolutions of equal geometry (the two branches) run as one launch.
 */
#include <cuda_runtime.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PD_SM90_PROBLEMS 2

struct pd_conv_shape {
    int n, h, w, ci;            /* input */
    int ho, wo, co;             /* output */
    int kh, kw, stride_y, stride_x, dilation_y, dilation_x, groups;
    int pad_top, pad_left;
};

struct pd_conv_epilogue {
    const float *bias;     /* co floats, device; NULL: none */
    const void *residual;  /* same element type as the output, NHWC; NULL: none */
    int residual_stride;   /* channels from a pixel to the next */
    int act;               /* enum pd_act; pd_sm90_fuses() tells which the kernel does itself */
    float alpha, beta;
    const float *slope;    /* device */
    int n_slopes;
};

struct pd_sm90_problem {
    const void *in;        /* NHWC fp16, device, 16-byte aligned; ci channels from here */
    int in_stride;         /* channels from a pixel to the next, a multiple of 8 */
    const void *weights;   /* packed by pd_sm90_pack_weights */
    void *out;
    int out_stride;        /* channels from a pixel to the next */
    int co;
    struct pd_conv_epilogue epilogue;
};

/* What a launch needs, tensor maps included; plain memory, may be copied. */
struct pd_sm90_launch {
    unsigned char bytes[1024] __attribute__((aligned(64)));
};

/* Whether the kernel can do @shape at all. */
bool pd_sm90_supports(const struct pd_conv_shape *shape);
bool pd_sm90_fuses(int act);
/* Elements (fp16) of the packed weights. */
size_t pd_sm90_weight_elements(const struct pd_conv_shape *shape);
/* @weight: (co, ci, kh, kw) fp32 host; @packed: host memory for pd_sm90_weight_elements() fp16 bit patterns. */
void pd_sm90_pack_weights(const struct pd_conv_shape *shape, const float *weight, uint16_t *packed);

/* Tile sizes to try, best guess first, for @problems convolutions of @shape on @sms multiprocessors: how many. */
#define PD_SM90_CHOICES 16
int pd_sm90_choices(const struct pd_conv_shape *shape, int problems, int sms, int *choices);

/* Prepare a launch; @choice is one of pd_sm90_choices(). @shape->co is ignored: each problem has its own.
 * Returns a cudaError_t. */
int pd_sm90_prepare(const struct pd_conv_shape *shape, const struct pd_sm90_problem *problems, int n_problems,
                    int choice, int sms, struct pd_sm90_launch *ret_launch);
int pd_sm90_run(const struct pd_sm90_launch *launch, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
