/* SPDX-License-Identifier: Apache-2.0 */
#include "decode/hwaccel.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavutil/hwcontext.h>

#include "core/log.h"
#include "decode/decoder.h"
#include "decode/source.h"

#define DEVICES_MAX 64

/* FFmpeg's struct AVCUDADeviceContext, whose header needs cuda.h: its first member is the CUcontext, its second the
 * CUstream. Declared here so that a build without the CUDA Toolkit can still hand a context over. */
struct cuda_device {
    void *context, *stream;
};

/* What the engine reads: NVDEC gives NV12 for the first ones, P010 for the 10-bit one. */
static bool engine_reads(enum AVPixelFormat format)
{
    return format == AV_PIX_FMT_YUV420P || format == AV_PIX_FMT_YUVJ420P || format == AV_PIX_FMT_YUV420P10LE;
}

/* Called at every change of format, and again without the GPU's format when its decoder could not be made. */
static enum AVPixelFormat choose_format(AVCodecContext *avctx, const enum AVPixelFormat *formats)
{
    struct pd_decoder *decoder = avctx->opaque;
    const enum AVPixelFormat *f = formats;
    bool offered = false;
    for (; *f != AV_PIX_FMT_NONE; f++)
        offered |= *f == AV_PIX_FMT_CUDA;
    const bool take = offered && engine_reads(avctx->sw_pix_fmt);
    const bool failed = decoder->hardware && !offered;
    if (failed || (!take && !decoder->told))
        pd_log_info(decoder->name, "%s: decoding in software",
                    failed ? "the GPU has no decoder for this stream (or no libnvcuvid)"
                           : "the GPU decodes no such pixel format");
    decoder->told |= failed || !take;
    decoder->hardware = take;
    /* the last is the software format; avcodec_default_get_format() would pick the GPU's whenever it is there */
    return take ? AV_PIX_FMT_CUDA : f > formats ? f[-1] : AV_PIX_FMT_NONE;
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

void pd_hwaccel_attach(struct pd_decoder *decoder, const AVCodec *codec)
{
    const struct pd_decoder_params *params = &decoder->params;
    /* for single pictures a decoder of the GPU's costs more to set up than it saves */
    if (!params->hwaccel || strcmp(params->hwaccel, "cuda") != 0 || params->strict || !offers_cuda(codec))
        return;
    decoder->device = open_device(primary_context(params->cuda_device));
    if (!decoder->device) {
        pd_log_info(decoder->name, "no GPU %d to decode on: decoding in software", params->cuda_device);
        return;
    }
    AVBufferRef *ref = av_buffer_ref(decoder->device);
    if (!ref)
        return;
    decoder->avctx->hw_device_ctx = ref;
    decoder->avctx->extra_hw_frames = PD_HWACCEL_FRAMES;
    decoder->avctx->get_format = choose_format;
    decoder->avctx->opaque = decoder;
    /* Frame threads would each claim a surface more. */
    decoder->avctx->thread_count = 1;
}

static _Atomic bool forsaken;

void pd_hwaccel_forsake(void)
{
    atomic_store(&forsaken, true);
}

bool pd_hwaccel_is_forsaken(const struct pd_decoder *decoder)
{
    return decoder->hardware && atomic_load(&forsaken);
}

void pd_hwaccel_detach(struct pd_decoder *decoder)
{
    av_buffer_unref(&decoder->device);
    decoder->hardware = false;
    decoder->failures = decoder->errors = 0;
}
