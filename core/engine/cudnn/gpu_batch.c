/* SPDX-License-Identifier: Apache-2.0 */
#include "core/engine/cudnn/gpu_batch.h"

#include <errno.h>
#include <string.h>

#include "core/engine/cudnn/input.h"

int pd_gpu_batch_create(struct pd_gpu *gpu, struct pd_gpu_batch **ret_batch, struct pd_err *err)
{
    struct pd_gpu_batch *b = calloc(1, sizeof(*b));
    if (!b)
        return pd_err_set(err, -ENOMEM, "out of memory");
    b->gpu = gpu;
    /* timed: when a batch began computing is known only from its events; blocking: waiting must not burn a core */
    cudaEvent_t *const events[] = {&b->decoded,      &b->uploaded, &b->started,
                                   &b->preprocessed, &b->computed, &b->downloaded};
    for (size_t i = 0; i < PD_ARRAY_SIZE(events); i++) {
        int r = pd_gpu_check(cudaEventCreateWithFlags(events[i], cudaEventBlockingSync), "making an event", err);
        if (r < 0) {
            pd_gpu_batch_destroy(b);
            return r;
        }
    }
    *ret_batch = b;
    return 0;
}

void pd_gpu_batch_destroy(struct pd_gpu_batch *b)
{
    if (!b)
        return;
    cudaEvent_t events[] = {b->decoded, b->uploaded, b->started, b->preprocessed, b->computed, b->downloaded};
    for (size_t i = 0; i < PD_ARRAY_SIZE(events); i++)
        if (events[i])
            cudaEventDestroy(events[i]);
    for (int i = 0; i < PD_GPU_PEERS_MAX; i++)
        if (b->peer_decoded[i])
            cudaEventDestroy(b->peer_decoded[i]);
    cudaFreeHost(b->staging);
    pd_gpu_free(b->gpu, b->frames, b->frame_bytes);
    pd_gpu_free(b->gpu, b->heat, b->heat_bytes);
    pd_gpu_free(b->gpu, b->paf, b->paf_bytes);
    cudaFreeHost(b->host_heat);
    cudaFreeHost(b->host_paf);
    cudaFreeHost(b->candidates);
    free(b);
}

static int grow_device(struct pd_gpu *gpu, size_t bytes, size_t *have, float **p, struct pd_err *err)
{
    if (bytes <= *have)
        return 0;
    pd_gpu_free(gpu, *p, *have);
    *p = NULL;
    *have = 0;
    int r = pd_gpu_alloc(gpu, bytes, (void **)p, err);
    if (r == 0)
        *have = bytes;
    return r;
}

/* Pinned memory; @ret is written on success alone, whatever CUDA leaves behind. */
static int take_host(size_t bytes, unsigned flags, const char *what, void **ret, struct pd_err *err)
{
    void *p = NULL;
    int r = pd_gpu_check(cudaHostAlloc(&p, bytes, flags), what, err);
    if (r == 0)
        *ret = p;
    return r;
}

static int grow_host(size_t bytes, size_t *have, float **p, struct pd_err *err)
{
    if (bytes <= *have)
        return 0;
    cudaFreeHost(*p);
    *p = NULL;
    *have = 0;
    void *host = NULL;
    int r = take_host(bytes, cudaHostAllocDefault, "taking pinned memory for results", &host, err);
    if (r < 0)
        return r;
    *p = host;
    *have = bytes;
    return 0;
}

int pd_gpu_batch_reserve(struct pd_gpu_batch *b, size_t heat_bytes, size_t paf_bytes, bool host, struct pd_err *err)
{
    int r = grow_device(b->gpu, heat_bytes, &b->heat_bytes, &b->heat, err);
    if (r == 0)
        r = grow_device(b->gpu, paf_bytes, &b->paf_bytes, &b->paf, err);
    if (r == 0 && host)
        r = grow_host(heat_bytes, &b->host_heat_bytes, &b->host_heat, err);
    if (r == 0 && host)
        r = grow_host(paf_bytes, &b->host_paf_bytes, &b->host_paf, err);
    return r;
}

/* Mapped: the search writes the few kilobytes that there are straight into it, instead of a copy of all that there
 * could be. */
int pd_gpu_batch_reserve_candidates(struct pd_gpu_batch *b, int n, struct pd_err *err)
{
    if (b->candidates)
        return 0;
    const size_t bytes = sizeof(*b->candidates) * (size_t)n;
    void *host = NULL, *device = NULL;
    int r = take_host(bytes, cudaHostAllocMapped, "taking pinned memory for results", &host, err);
    if (r < 0)
        return r;
    r = pd_gpu_check(cudaHostGetDevicePointer(&device, host, 0), "mapping memory for results", err);
    if (r < 0) { /* the next batch tries again, and must not take this for done */
        cudaFreeHost(host);
        return r;
    }
    memset(host, 0, bytes);
    b->candidates = host;
    b->device_candidates = device;
    return 0;
}

static int grow_staging(struct pd_gpu_batch *b, size_t bytes, struct pd_err *err)
{
    if (bytes <= b->frame_bytes)
        return 0;
    /* growing stops the device, under other batches too: not for every batch that is a little larger */
    bytes = PD_MAX(bytes, 2 * b->frame_bytes);
    pd_gpu_free(b->gpu, b->frames, b->frame_bytes);
    cudaFreeHost(b->staging);
    b->frames = b->staging = NULL;
    b->frame_bytes = 0;
    void *device = NULL, *host = NULL;
    int r = pd_gpu_alloc(b->gpu, bytes, &device, err);
    if (r < 0)
        return r;
    r = take_host(bytes, cudaHostAllocDefault, "taking pinned memory for frames", &host, err);
    if (r < 0) { /* the batch goes round again with no room, and asks for it again */
        pd_gpu_free(b->gpu, device, bytes);
        return r;
    }
    b->frames = device;
    b->staging = host;
    b->frame_bytes = bytes;
    return 0;
}

static size_t padded(size_t bytes)
{
    return (bytes + PD_GPU_ROW_ALIGN - 1) / PD_GPU_ROW_ALIGN * PD_GPU_ROW_ALIGN;
}

/* Bytes that a slot takes in staging memory; frame sizes are bounded by PD_FRAME_SIDE_MAX, so sums fit a size_t. */
static size_t slot_bytes(const struct pd_slot *slot)
{
    size_t n = slot->mask ? padded((size_t)slot->lb.dst_w * (size_t)slot->lb.dst_h) : 0;
    const struct pd_frame *f = slot->frame;
    for (int i = 0; f->mem == PD_MEM_HOST && i < pd_frame_planes(f->format); i++)
        n += padded((size_t)pd_frame_plane_row_bytes(f, i) * (size_t)pd_frame_plane_rows(f, i));
    return n;
}

/* Copy a slot's planes, rows dense, to @at in staging memory, and point @out at where they will be on the device. */
static size_t pack_slot(struct pd_gpu_batch *b, const struct pd_slot *slot, size_t at, struct pd_gpu_frame *out)
{
    const struct pd_frame *f = slot->frame;
    for (int i = 0; i < pd_frame_planes(f->format); i++) {
        out->plane[i] = f->plane[i];
        out->stride[i] = f->stride[i];
        if (f->mem != PD_MEM_HOST)
            continue;
        const size_t row = (size_t)pd_frame_plane_row_bytes(f, i);
        const int rows = pd_frame_plane_rows(f, i);
        if ((size_t)f->stride[i] == row)
            memcpy(b->staging + at, f->plane[i], row * (size_t)rows);
        else
            for (int y = 0; y < rows; y++)
                memcpy(b->staging + at + row * (size_t)y, f->plane[i] + (size_t)f->stride[i] * (size_t)y, row);
        out->plane[i] = b->frames + at;
        out->stride[i] = (int)row;
        at += padded(row * (size_t)rows);
    }
    if (slot->mask) {
        const size_t n = (size_t)slot->lb.dst_w * (size_t)slot->lb.dst_h;
        memcpy(b->staging + at, slot->mask, n);
        out->mask = b->frames + at;
        at += padded(n);
    }
    return at;
}

/* As core/letterbox.c: offsets and excursions of the range at the format's depth, times 255. */
static void set_colour(const struct pd_frame *f, struct pd_gpu_frame *out)
{
    const double kr = f->matrix == PD_MATRIX_BT709 ? 0.2126 : f->matrix == PD_MATRIX_BT2020 ? 0.2627 : 0.299;
    const double kb = f->matrix == PD_MATRIX_BT709 ? 0.0722 : f->matrix == PD_MATRIX_BT2020 ? 0.0593 : 0.114;
    const bool ten = f->format == PD_PIX_P010, full = f->range == PD_RANGE_FULL;
    const double unit = ten ? 1.0 / 64.0 : 1.0, depth = ten ? 4.0 : 1.0;
    const double y_zero = full ? 0.0 : 16.0 * depth, y_span = full ? (ten ? 1023.0 : 255.0) : 219.0 * depth;
    const double c_zero = 128.0 * depth, c_span = full ? y_span : 224.0 * depth;
    const double rv = 255.0 * 2.0 * (1.0 - kr) / c_span, bu = 255.0 * 2.0 * (1.0 - kb) / c_span;
    const double gu = -bu * kb / (1.0 - kr - kb), gv = -rv * kr / (1.0 - kr - kb), yk = 255.0 / y_span;
    const bool grey = f->format == PD_PIX_GRAY8;
    out->yk = (float)(yk * unit);
    out->rv = (float)(rv * unit);
    out->gu = (float)(gu * unit);
    out->gv = (float)(gv * unit);
    out->bu = (float)(bu * unit);
    out->r0 = (float)(-yk * y_zero - (grey ? 0 : rv * c_zero));
    out->g0 = (float)(-yk * y_zero - (grey ? 0 : (gu + gv) * c_zero));
    out->b0 = (float)(-yk * y_zero - (grey ? 0 : bu * c_zero));
}

static void describe(const struct pd_slot *slot, const struct pd_normalise *norm, struct pd_gpu_frame *out)
{
    const struct pd_frame *f = slot->frame;
    const struct pd_letterbox *lb = &slot->lb;
    const bool yuv = f->format == PD_PIX_YUV;
    *out = (struct pd_gpu_frame){
        .format = (int)f->format, .shift_x = yuv ? f->chroma_shift_x : 1, .shift_y = yuv ? f->chroma_shift_y : 1,
        .x = lb->roi.x, .y = lb->roi.y, .w = lb->roi.w, .h = lb->roi.h, .dst_w = lb->dst_w, .dst_h = lb->dst_h,
        .in_w = lb->in_w, .in_h = lb->in_h, .bgr = norm->bgr,
    };
    memcpy(out->mean, norm->mean, sizeof(out->mean));
    memcpy(out->scale, norm->scale, sizeof(out->scale));
    set_colour(f, out);
}

/* NVDEC's last step, the copy into the surface, is queued on the context's default stream: the compute stream, which
 * does not wait for that one by itself, must. */
static int wait_for_surfaces(struct pd_gpu_batch *b, const struct pd_batch *batch, struct pd_err *err)
{
    bool any = false;
    for (int i = 0; i < batch->n; i++)
        any |= batch->slot[i].frame->mem == PD_MEM_CUDA;
    if (!any)
        return 0;
    int r = pd_gpu_check(cudaEventRecord(b->decoded, cudaStreamLegacy), "waiting for decoded frames", err);
    return r < 0 ? r : pd_gpu_check(cudaStreamWaitEvent(b->gpu->compute, b->decoded, 0), "waiting for decoded frames",
                                    err);
}

/* The letterbox was made for this frame: nothing on the device checks it again. */
static bool belongs(const struct pd_slot *slot, const struct pd_view *input)
{
    const struct pd_letterbox *lb = &slot->lb;
    const struct pd_frame *f = slot->frame;
    return lb->dst_w == input->w && lb->dst_h == input->h && lb->in_w >= 1 && lb->in_w <= lb->dst_w &&
           lb->in_h >= 1 && lb->in_h <= lb->dst_h && lb->roi.x >= 0 && lb->roi.y >= 0 && lb->roi.w >= 1 &&
           lb->roi.h >= 1 && lb->roi.x <= f->width - lb->roi.w && lb->roi.y <= f->height - lb->roi.h;
}

/* Copy the frames that lie on other GPUs (@peers: which, -1 none) behind the @at bytes that came from the host. */
static int fetch_peers(struct pd_gpu_batch *b, const struct pd_batch *batch, const int *peers, size_t at,
                       struct pd_gpu_frame *frames, struct pd_err *err)
{
    uint64_t waited = 0;
    int r = 0;
    for (int i = 0; r == 0 && i < batch->n; i++) {
        if (peers[i] < 0)
            continue;
        if (!(waited >> peers[i] & 1))
            r = pd_gpu_peer_wait(b, peers[i], err);
        waited |= UINT64_C(1) << peers[i];
        if (r == 0)
            r = pd_gpu_peer_fetch(b, batch->slot[i].frame, peers[i], at, &frames[i], err);
        at += pd_gpu_peer_bytes(batch->slot[i].frame);
    }
    return r;
}

int pd_gpu_batch_preprocess(struct pd_gpu_batch *b, struct pd_batch *batch, const struct pd_normalise *norm,
                            const struct pd_view *input, struct pd_err *err)
{
    struct pd_gpu *gpu = b->gpu;
    struct pd_gpu_frame frames[PD_BATCH_MAX];
    int peers[PD_BATCH_MAX];
    size_t bytes = 0, at = 0;
    for (int i = 0; i < batch->n; i++) {
        const struct pd_slot *slot = &batch->slot[i];
        if (!belongs(slot, input))
            return pd_err_set(err, -EINVAL, "frame %d of a batch does not fit its letterbox", i);
        peers[i] = pd_gpu_peer_of(gpu, slot->frame);
        if (peers[i] >= PD_GPU_PEERS_MAX)
            return pd_err_set(err, -ENOTSUP, "a frame lies on GPU %d: the first %d are known", peers[i],
                              PD_GPU_PEERS_MAX);
        bytes += slot_bytes(slot) + (peers[i] < 0 ? 0 : pd_gpu_peer_bytes(slot->frame));
    }
    int r = grow_staging(b, bytes, err);
    if (r < 0)
        return r;
    for (int i = 0; i < batch->n; i++) {
        describe(&batch->slot[i], norm, &frames[i]);
        at = pack_slot(b, &batch->slot[i], at, &frames[i]);
    }
    if (at > 0)
        r = pd_gpu_check(cudaMemcpyAsync(b->frames, b->staging, at, cudaMemcpyHostToDevice, gpu->upload),
                         "uploading frames", err);
    if (r == 0)
        r = fetch_peers(b, batch, peers, at, frames, err);
    if (r == 0)
        r = pd_gpu_check(cudaEventRecord(b->uploaded, gpu->upload), "uploading frames", err);
    if (r == 0)
        r = pd_gpu_check(cudaStreamWaitEvent(gpu->compute, b->uploaded, 0), "waiting for frames", err);
    if (r == 0)
        r = wait_for_surfaces(b, batch, err);
    if (r == 0)
        r = pd_gpu_check(cudaEventRecord(b->started, gpu->compute), "preparing frames", err);
    for (int i = 0; r == 0 && i < batch->n; i++)
        r = pd_gpu_check(pd_cuda_letterbox(gpu->elem, &frames[i], input, i, gpu->compute), "preparing frames", err);
    if (r == 0)
        r = pd_gpu_check(cudaEventRecord(b->preprocessed, gpu->compute), "preparing frames", err);
    return r;
}
