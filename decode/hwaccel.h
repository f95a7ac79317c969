#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoding on the GPU through FFmpeg's own hwaccel interface, with software as the answer to every "cannot".
 */
struct AVCodec;
struct pd_decoder;
struct pd_decoder_params;

/* Before avcodec_open2(): sets the decoder up for params->hwaccel where codec and device can; else leaves it. */
void pd_hwaccel_attach(struct pd_decoder *decoder, const struct AVCodec *codec, const struct pd_decoder_params *params);
