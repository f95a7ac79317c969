#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * What one batch in flight owns: pinned host memory that its frames are packed into, the same on the device, and its
 * results on the device and in pinned host memory. Several batches share the network's own memory, which only the
 * compute stream touches; these parts let uploads, the network and downloads of different batches overlap.
 */
#include "core/engine/cudnn/gpu.h"

struct pd_gpu_batch {
    struct pd_gpu *gpu;
    unsigned char *staging, *frames; /* host (pinned), device */
    size_t frame_bytes;              /* capacity of both */
    float *heat, *paf;               /* device, n x c x h x w */
    float *host_heat, *host_paf;     /* pinned */
    size_t heat_bytes, paf_bytes;
    cudaEvent_t uploaded, started, preprocessed, computed, downloaded;
    cudaEvent_t decoded; /* surfaces of the batch are complete */
};

int pd_gpu_batch_create(struct pd_gpu *gpu, struct pd_gpu_batch **ret_batch, struct pd_err *err);
void pd_gpu_batch_destroy(struct pd_gpu_batch *b);
/* Room for the maps of @n frames. */
int pd_gpu_batch_reserve(struct pd_gpu_batch *b, size_t heat_bytes, size_t paf_bytes, struct pd_err *err);
/* Queue the way of all frames of @batch into images 0.. of @input: packing and upload for those in host memory, then
 * one kernel each. Waits only until an earlier use of the staging memory is over. */
int pd_gpu_batch_preprocess(struct pd_gpu_batch *b, struct pd_batch *batch, const struct pd_normalise *norm,
                            const struct pd_view *input, struct pd_err *err);
