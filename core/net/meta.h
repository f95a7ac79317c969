#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * What ONNX has no place for, kept in metadata_props. Private to core/net.
 *
 *   posed.name            "openpose-coco"
 *   posed.skeleton        "coco18", "body25", "mpi15", "trt18"; "none": a classifier
 *   posed.paf_channels    one "x,y" for each limb of the skeleton, separated by spaces
 *   posed.input_order     "bgr" or "rgb"
 *   posed.input_mean      one number, or three separated by commas, in the network's order: (v - mean) * scale
 *   posed.input_scale     likewise
 *   posed.stride          input pixels per map sample; checked against the graph
 *   posed.offset          input pixel of map sample 0
 *   posed.licence         of the weights
 *   posed.non_commercial  "true" or "false"
 *   posed.source_sha256   of the file that an import read
 *
 * A file that says nothing is taken for a network that wants BGR as it is, 0..255, with its skeleton told by the
 * number of its channels (19 + 38 COCO-18, 26 + 52 BODY_25, 16 + 28 MPI-15, 18 + 42 trt_pose) and its PAF channels in
 * the order of that skeleton.
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
/* The family with so many channels in all. */
const struct pd_family *pd_family_of_both(int channels);

/* The value of "posed.KEY"; NULL when the file has none. */
const char *pd_meta_find(const Onnx__ModelProto *model, const char *key);
