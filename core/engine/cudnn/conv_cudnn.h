#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolutions by cuDNN's backend graph API: convolution, bias, residual and activation as one fused graph where cuDNN
 * has an engine for it. A search lists the engines that can do a shape; each is a plan that can be timed and run.
 */
#include <cudnn.h>
#include <stdint.h>

#include "core/engine/cudnn/kernels.h"
#include "core/err.h"

struct pd_cudnn_plan;

enum pd_cudnn_math { PD_CUDNN_FP16, PD_CUDNN_TF32, PD_CUDNN_FP32 };

/* Tensors are fp16 or fp32 by the math, and so is the filter: co x kh x kw x (ci / groups) for NHWC, and for NCHW
 * co x (ci / groups) x kh x kw. All begin on 16 bytes. */
struct pd_cudnn_problem {
    enum pd_cudnn_math math;
    bool nchw; /* the products alone, of tensors without gaps */
    struct pd_conv_shape shape;
    int in_stride, out_stride; /* NHWC: channels from a pixel to the next */
    struct pd_conv_epilogue epilogue;
};

/* Which activations the fused graph can end with. */
bool pd_cudnn_fuses(int act);

/* Engines for @problem, best guess first: at most @max plans into @plans. Returns how many (0: cuDNN has none), or a
 * negative errno. Of fp32 none that rounds to less on the way: no tensor cores, no tf32. */
int pd_cudnn_plans(cudnnHandle_t handle, const struct pd_cudnn_problem *problem, int max, struct pd_cudnn_plan **plans,
                   struct pd_err *err);
/* The plan whose pd_cudnn_plan_name() is @name, or NULL. */
struct pd_cudnn_plan *pd_cudnn_plan_named(cudnnHandle_t handle, const struct pd_cudnn_problem *problem,
                                          const char *name);
/* Several layers may run one plan: each holds it. */
struct pd_cudnn_plan *pd_cudnn_plan_ref(struct pd_cudnn_plan *plan);
void pd_cudnn_plan_destroy(struct pd_cudnn_plan *plan);

size_t pd_cudnn_plan_workspace(const struct pd_cudnn_plan *plan);
/* "eng42:k2=1,k3=0 tensor-core": engine, knobs, and what cuDNN tells of the algorithm. */
const char *pd_cudnn_plan_name(const struct pd_cudnn_plan *plan);
/* Queue it on the handle's stream. Returns 0 or -EIO. */
int pd_cudnn_plan_run(cudnnHandle_t handle, const struct pd_cudnn_plan *plan, const void *in, const void *weight,
                      const float *bias, const void *residual, void *out, void *workspace);
