#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * What ONNX has no place for, kept in metadata_props. Private to core/net.
 *
 *   posed.name            "openpose-coco"
 *   posed.skeleton        "coco18", "body25", "mpi15"; "none": a classifier
 *   posed.paf_channels    one "x,y" for each limb of the skeleton, separated by spaces
 *   posed.input_order     "bgr" or "rgb"
 *   posed.input_mean      one number, or three separated by commas, in the network's order: (v - mean) * scale
 *   posed.input_scale     likewise
 *   posed.stride          input pixels per map sample; checked against the graph
 *   posed.offset          input pixel of map sample 0
 *   posed.licence         of the weights
 *   posed.non_commercial  "true" or "false"
 *   posed.source_sha256   of the file that an import read
 */
#include "core/net/onnx.h"

#define PD_META_PREFIX "posed."

/* Channels of the two outputs of a family of networks. */
struct pd_family {
    const char *skeleton;
    int heat, paf;
};

/* The family with so many channels; -1: any. NULL: none. */
const struct pd_family *pd_family_of(int heat, int paf);

/* The value of "posed.KEY"; NULL when the file has none. */
const char *pd_meta_find(const Onnx__ModelProto *model, const char *key);
