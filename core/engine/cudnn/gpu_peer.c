/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames that another GPU decoded. Batches go to whichever GPU is free, so most of a batch may lie elsewhere: such
 * planes are copied over, directly where the GPUs can, else through the host by the driver's own buffers. 1.4 MB for
 * 1280x720 is a fraction of what a frame costs in the network.
 */
#include <errno.h>

#include "core/engine/cudnn/gpu_batch.h"
#include "core/engine/cudnn/input.h"

int pd_gpu_peer_of(const struct pd_gpu *gpu, const struct pd_frame *frame)
{
    struct cudaPointerAttributes at;
    if (frame->mem != PD_MEM_CUDA)
        return -1;
    if (cudaPointerGetAttributes(&at, frame->plane[0]) != cudaSuccess) {
        (void)cudaGetLastError(); /* not sticky; the kernel that reads it will say what is wrong */
        return -1;
    }
    return at.type == cudaMemoryTypeDevice && at.device != gpu->device ? at.device : -1;
}

static size_t plane_bytes(const struct pd_frame *f, int i)
{
    return (size_t)f->stride[i] * (size_t)pd_frame_plane_rows(f, i);
}

size_t pd_gpu_peer_bytes(const struct pd_frame *f)
{
    size_t n = 0;
    for (int i = 0; i < pd_frame_planes(f->format); i++)
        n += (plane_bytes(f, i) + PD_GPU_ROW_ALIGN - 1) / PD_GPU_ROW_ALIGN * PD_GPU_ROW_ALIGN;
    return n;
}

/* An event lives on the device whose stream it is recorded on. */
static int event_on(struct pd_gpu_batch *b, int device, cudaEvent_t *ret_event, struct pd_err *err)
{
    int r = 0;
    if (!b->peer_decoded[device])
        r = pd_gpu_check(cudaEventCreateWithFlags(&b->peer_decoded[device], cudaEventDisableTiming), "making an event",
                         err);
    *ret_event = b->peer_decoded[device];
    return r;
}

int pd_gpu_peer_wait(struct pd_gpu_batch *b, int device, struct pd_err *err)
{
    static const char what[] = "waiting for another GPU's frames";
    cudaEvent_t event = NULL;
    int r = pd_gpu_check(cudaSetDevice(device), what, err);
    if (r == 0)
        r = event_on(b, device, &event, err);
    if (r == 0)
        r = pd_gpu_check(cudaEventRecord(event, cudaStreamLegacy), what, err);
    int back = pd_gpu_check(cudaSetDevice(b->gpu->device), what, r == 0 ? err : NULL);
    if (r == 0)
        r = back;
    return r < 0 ? r : pd_gpu_check(cudaStreamWaitEvent(b->gpu->upload, event, 0), what, err);
}

int pd_gpu_peer_fetch(struct pd_gpu_batch *b, const struct pd_frame *f, int device, size_t at,
                      struct pd_gpu_frame *out, struct pd_err *err)
{
    int r = 0;
    for (int i = 0; r == 0 && i < pd_frame_planes(f->format); i++) {
        size_t rows = (size_t)pd_frame_plane_rows(f, i), row = (size_t)pd_frame_plane_row_bytes(f, i);
        /* behind the last row's pixels there may be nothing to read */
        size_t bytes = (size_t)f->stride[i] * (rows - 1) + row;
        r = pd_gpu_check(cudaMemcpyPeerAsync(b->frames + at, b->gpu->device, f->plane[i], device, bytes,
                                             b->gpu->upload), "fetching another GPU's frame", err);
        out->plane[i] = b->frames + at;
        out->stride[i] = f->stride[i];
        at += (plane_bytes(f, i) + PD_GPU_ROW_ALIGN - 1) / PD_GPU_ROW_ALIGN * PD_GPU_ROW_ALIGN;
    }
    return r;
}
