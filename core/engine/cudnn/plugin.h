#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * The cudnn engine is a plug-in, posed-cudnn.so, so that one program runs on machines with and without NVIDIA's
 * libraries: what links CUDA and cuDNN is only opened when a GPU engine is asked for.
 */
#include "core/engine/engine.h"

/* What the plug-in needs of the program that loaded it. */
struct pd_gpu_host {
    void (*done)(struct pd_batch *batch, int status);
    void (*info)(const char *line);
};

/* The plug-in's one symbol. @version is the program's; NULL when it is not the plug-in's own. */
const struct pd_engine_ops *pd_cudnn_plugin(const struct pd_gpu_host *host, const char *version);
typedef const struct pd_engine_ops *(*pd_cudnn_plugin_fn)(const struct pd_gpu_host *host, const char *version);
