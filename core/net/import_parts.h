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
    bool has_vgg, has_cpm;            /* see pd_import_look_at() */
    const char *family;               /* the name for OpenPose's own, "openpose-coco"; NULL */
    struct pd_import_meta meta[PD_IMPORT_META_MAX];
    int n_meta;
};

/* A layer's name, as one more hint. OpenPose's networks are VGG-19's first ten convolutions, the last of them conv4_2,
 * and then conv4_3_CPM and conv4_4_CPM. Others copied the latter names, with a MobileNet before them and a licence of
 * their own. */
void pd_import_look_at(struct pd_import_facts *facts, const char *name);
/* Fill @facts->meta from what is known by then. */
void pd_import_describe(struct pd_import_facts *facts);

/* Each takes over @data and writes @to. */
int pd_import_caffe(void *data, size_t size, struct pd_import_facts *facts, const char *to, struct pd_err *err);
int pd_import_onnx(void *data, size_t size, struct pd_import_facts *facts, const char *to, struct pd_err *err);
