#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * A convolution and what follows it as an operation graph of cuDNN's backend.
 */
#include "core/engine/cudnn/conv_cudnn.h"

/* Tensors of the graph, by unique id. */
enum { PD_CUDNN_X = 1, PD_CUDNN_W, PD_CUDNN_B, PD_CUDNN_R, PD_CUDNN_Y, PD_CUDNN_VIRTUAL };

#define PD_CUDNN_DESCRIPTORS_MAX 24

/* The first failure sticks in status; what was made is destroyed with it. */
struct pd_cudnn_graph {
    cudnnBackendDescriptor_t made[PD_CUDNN_DESCRIPTORS_MAX];
    int n_made;
    cudnnStatus_t status;
    cudnnDataType_t type;
    int64_t uid;
    cudnnBackendDescriptor_t operations[4];
    int n_operations;
    cudnnBackendDescriptor_t operation_graph;
};

/* To be destroyed also when it came to nothing. */
void pd_cudnn_graph_build(struct pd_cudnn_graph *g, cudnnHandle_t handle, const struct pd_cudnn_problem *problem);
void pd_cudnn_graph_destroy(struct pd_cudnn_graph *g);
