#pragma once
/* SPDX-License-Identifier: Apache-2.0 - a pose network as an ONNX file holds it, for tests that spoil it. */
#include "core/net/net.h"
#include "core/net/onnx.pb-c.h"

/* A small sound pose network: image -> c1 -> relu -> heatmap, paf. Freed with onnx__model_proto__free_unpacked.
 * Nodes are 0 c1, 1 r1, 2 heatmap, 3 paf; initializers 0 c1.w, 1 heatmap.w, 2 paf.w. */
Onnx__ModelProto *sound_model(void);
/* As a file called bad.onnx. Returns what loading it did: 0, or a negative errno with the line. */
int load(const Onnx__ModelProto *m, struct pd_err *err);
/* Replace a string of the model. */
void set(char **field, const char *text);
