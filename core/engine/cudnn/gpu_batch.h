#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * What one batch in flight owns: pinned host memory that its frames are packed into, the same on the device, and its
 * results on the device and in pinned host memory. Several batches share the network's own memory, which only the
 * compute stream touches; these parts let uploads, the network and downloads of different batches overlap.
 */
#include "core/engine/cudnn/candidates.h"
#include "core/engine/cudnn/gpu.h"

#define PD_GPU_ROW_ALIGN 256
#define PD_GPU_PEERS_MAX 64

struct pd_gpu_frame;

struct pd_gpu_batch {
    struct pd_gpu *gpu;
    unsigned char *staging, *frames; /* host (pinned), device */
    size_t frame_bytes;              /* capacity of both */
    float *heat, *paf;               /* device, n x c x h x w */
    float *host_heat, *host_paf;     /* pinned; NULL where only candidates are asked for */
    size_t heat_bytes, paf_bytes, host_heat_bytes, host_paf_bytes;
    struct pd_candidates *candidates;        /* pinned, max_batch of them, which the device writes to, or NULL */
    struct pd_candidates *device_candidates; /* the same memory, seen from the device */
    cudaEvent_t uploaded, started, preprocessed, computed, downloaded;
    cudaEvent_t decoded; /* surfaces of the batch are complete */
    cudaEvent_t peer_decoded[PD_GPU_PEERS_MAX]; /* the same on other GPUs; NULL until needed */
};

int pd_gpu_batch_create(struct pd_gpu *gpu, struct pd_gpu_batch **ret_batch, struct pd_err *err);
void pd_gpu_batch_destroy(struct pd_gpu_batch *b);
/* Room for the batch's maps on the device, and (@host) in host memory. */
int pd_gpu_batch_reserve(struct pd_gpu_batch *b, size_t heat_bytes, size_t paf_bytes, bool host, struct pd_err *err);
/* Room for the candidates of @n frames. */
int pd_gpu_batch_reserve_candidates(struct pd_gpu_batch *b, int n, struct pd_err *err);
/* Queue the way of all frames of @batch into images 0.. of @input: packing and upload for those in host memory, then
 * one kernel each. Waits only until an earlier use of the staging memory is over. */
int pd_gpu_batch_preprocess(struct pd_gpu_batch *b, struct pd_batch *batch, const struct pd_normalise *norm,
                            const struct pd_view *input, struct pd_err *err);

/* ---- frames on other GPUs (gpu_peer.c); with the batch's own device current ---- */

/* The number of the other GPU that @frame lies on; -1: none. */
int pd_gpu_peer_of(const struct pd_gpu *gpu, const struct pd_frame *frame);
/* Room that a copy of @frame takes. */
size_t pd_gpu_peer_bytes(const struct pd_frame *frame);
/* The upload stream goes on when what @device decodes now is complete. */
int pd_gpu_peer_wait(struct pd_gpu_batch *b, int device, struct pd_err *err);
/* Queue the copy of @frame to @at in the batch's frame memory, and point @out there. */
int pd_gpu_peer_fetch(struct pd_gpu_batch *b, const struct pd_frame *frame, int device, size_t at,
                      struct pd_gpu_frame *out, struct pd_err *err);
