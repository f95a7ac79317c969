#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * The one door for networks from elsewhere: Caffe's files, and ONNX files that other programs exported, become ONNX
 * files with our metadata (meta.h). What the file does not say and the caller does not tell is left at the value that
 * meta.h gives for it; OpenPose's own networks are known by the names of their layers.
 */
#include "core/err.h"

struct pd_net_import {
    /* Which tensors are the outputs; NULL: found by themselves. Either the first two, or @output with both in it. */
    const char *heatmaps, *pafs, *output;
    bool pafs_first; /* in @output, the part affinity fields come first */

    /* Metadata, in the words of meta.h; NULL: known, or kept as it is. */
    const char *name, *skeleton, *paf_channels, *order, *mean, *scale, *licence;
    bool non_commercial; /* counts beside @licence, or without one where the file has none */
};

/* Read @from, write @to. What is written was loaded first: a file that posed cannot use is never left behind. */
int pd_net_import(const char *from, const char *to, const struct pd_net_import *import, struct pd_err *err);
