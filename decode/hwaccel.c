/* SPDX-License-Identifier: Apache-2.0 */
#include "decode/hwaccel.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavutil/hwcontext.h>

#include "core/log.h"
#include "decode/decoder.h"

/* Surfaces beyond what the decoder itself needs: how many frames may be on their way to the network at once. NVDEC
 * fixes the pool when the stream starts and fails above 32 in all, 19 of which H.264 may claim. */
#define EXTRA_SURFACES 8

#define DEVICES_MAX 64

/* FFmpeg's struct AVCUDADeviceContext, whose header needs cuda.h: its first member is the CUcontext, its second the
 * CUstream. Declared here so that a build without the CUDA Toolkit can still hand a context over. */
struct cuda_device {
    void *context, *stream;
};

/* Called again at every change of format: the GPU's format when it is offered and possible, else software. */
static enum AVPixelFormat choose_format(AVCodecContext *avctx, const enum AVPixelFormat *formats)
{
    for (const enum AVPixelFormat *f = formats; *f != AV_PIX_FMT_NONE; f++)
        if (*f == AV_PIX_FMT_CUDA)
            return *f;
    return avcodec_default_get_format(avctx, formats);
}

static bool offers_cuda(const AVCodec *codec)
{
    const AVCodecHWConfig *config;
    for (int i = 0; (config = avcodec_get_hw_config(codec, i)); i++)
        if (config->pix_fmt == AV_PIX_FMT_CUDA && (config->methods & AV_CODEC_HW_CONFIG_METHOD_HW_DEVICE_CTX))
            return true;
    return false;
}

/* The context that CUDA's runtime, and so the engine, uses of a device. FFmpeg's own flag for it refuses a context that
 * was made with other flags than its own, so it is asked for here. Retained until the process ends, as the runtime
 * does: a decoder may come back at any time. NULL: no driver, or no such device. */
static void *primary_context(int device)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static void *contexts[DEVICES_MAX], *driver;
    if (device < 0 || device >= DEVICES_MAX)
        return NULL;
    pthread_mutex_lock(&lock);
    if (!driver)
        driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (driver && !contexts[device]) {
        int (*init)(unsigned) = (int (*)(unsigned))dlsym(driver, "cuInit");
        int (*get)(int *, int) = (int (*)(int *, int))dlsym(driver, "cuDeviceGet");
        int (*retain)(void **, int) = (int (*)(void **, int))dlsym(driver, "cuDevicePrimaryCtxRetain");
        int handle;
        if (!init || !get || !retain || init(0) || get(&handle, device) || retain(&contexts[device], handle))
            contexts[device] = NULL;
    }
    void *context = contexts[device];
    pthread_mutex_unlock(&lock);
    return context;
}

static AVBufferRef *open_device(void *cuda_context)
{
    if (!cuda_context)
        return NULL;
    AVBufferRef *ref = av_hwdevice_ctx_alloc(AV_HWDEVICE_TYPE_CUDA);
    if (!ref)
        return NULL;
    struct cuda_device *device = ((AVHWDeviceContext *)ref->data)->hwctx;
    device->context = cuda_context;
    if (av_hwdevice_ctx_init(ref) < 0)
        av_buffer_unref(&ref);
    return ref;
}

void pd_hwaccel_attach(struct pd_decoder *decoder, const AVCodec *codec, const struct pd_decoder_params *params)
{
    if (!params->hwaccel || strcmp(params->hwaccel, "cuda") != 0 || !offers_cuda(codec))
        return;
    decoder->device = open_device(primary_context(params->cuda_device));
    if (!decoder->device)
        return;
    AVBufferRef *ref = av_buffer_ref(decoder->device);
    if (!ref)
        return;
    decoder->avctx->hw_device_ctx = ref;
    decoder->avctx->extra_hw_frames = EXTRA_SURFACES;
    decoder->avctx->get_format = choose_format;
    /* Frame threads would each claim a surface more. */
    decoder->avctx->thread_count = 1;
}
