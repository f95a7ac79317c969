#pragma once
/* SPDX-License-Identifier: Apache-2.0 - between the files of the import. Private to core/net. */
#include "core/net/import.h"
#include "core/net/onnx.h"
#include "core/net/write.h"

/* What an import puts into the metadata; NULL: nothing. */
struct pd_import_meta {
    const char *key, *value;
};
#define PD_IMPORT_META_MAX 12

struct pd_import_facts {
    const struct pd_net_import *import;
    const char *file; /* for messages, and for the name */
    char name[96];
    char sha256[65];
    bool caffe, openpose, classifier; /* what the file turned out to be */
    const char *family;               /* the name for OpenPose's own, "openpose-coco"; NULL */
    struct pd_import_meta meta[PD_IMPORT_META_MAX];
    int n_meta;
};

/* The layers that OpenPose added to VGG are called ..._CPM, in its own files and whatever they were converted to. */
bool pd_import_is_openpose(const char *name);
/* Fill @facts->meta from what is known by then. */
void pd_import_describe(struct pd_import_facts *facts);

/* Each takes over @data and writes @to. */
int pd_import_caffe(void *data, size_t size, struct pd_import_facts *facts, const char *to, struct pd_err *err);
int pd_import_onnx(void *data, size_t size, struct pd_import_facts *facts, const char *to, struct pd_err *err);
