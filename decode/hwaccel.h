#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoding on the GPU through FFmpeg's own hwaccel interface, with software as the answer to every "cannot".
 */
#include <stdbool.h>

/* Frames that may be on their way to the network at once. Of surfaces so many are asked for beyond what the decoder
 * itself needs: NVDEC fixes the pool when the stream starts and fails above 32 in all, 19 of which H.264 may claim. Who
 * holds more, or is about to decode while holding as many, loses frames. */
#define PD_HWACCEL_FRAMES 8

struct AVCodec;
struct pd_decoder;

/* Before avcodec_open2(): sets the decoder up for its params.hwaccel where codec and device can; else leaves it. */
void pd_hwaccel_attach(struct pd_decoder *decoder, const struct AVCodec *codec);
/* After the codec context is gone. */
void pd_hwaccel_detach(struct pd_decoder *decoder);
/* False: closing it is as quick as any. True: the process ends, and it is left to the driver. */
bool pd_hwaccel_is_forsaken(const struct pd_decoder *decoder);
