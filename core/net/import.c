/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/import.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/net/file.h"
#include "core/net/import_parts.h"
#include "core/net/load.h"

/* Files that people take for a network of a kind that is read here; their first bytes tell. */
static int refuse_others(const char *file, const unsigned char *data, size_t size, struct pd_err *err)
{
    static const struct {
        const char *magic;
        size_t n;
        const char *what;
    } others[] = {
        {"PK\x03\x04", 4, "a PyTorch checkpoint or archive; export the network with torch.onnx.export"},
        {"\x80\x02\x8a\x0a", 4, "a PyTorch checkpoint; export the network with torch.onnx.export"},
        {"\x89HDF", 4, "an HDF5 file (Keras, or a Caffe snapshot in that format); convert it to ONNX"},
        {"name:", 5, "a .prototxt, which holds no weights; give the .caffemodel"},
        {"input", 5, "a .prototxt, which holds no weights; give the .caffemodel"},
        {"layer", 5, "a .prototxt, which holds no weights; give the .caffemodel"},
        {"<?xml", 5, "an XML file (OpenVINO?); import the network that it was made from"},
    };
    for (size_t i = 0; i < PD_ARRAY_SIZE(others); i++)
        if (size >= others[i].n && !memcmp(data, others[i].magic, others[i].n))
            return pd_err_set(err, -ENOTSUP, "%s: is %s", file, others[i].what);
    return 0;
}

/* ONNX begins with its version, field 1 as a number; Caffe with its name, field 1 as a text, or with layers. */
static bool looks_like_onnx(const unsigned char *data, size_t size)
{
    return size && data[0] == 0x08;
}

void pd_import_look_at(struct pd_import_facts *f, const char *name)
{
    static const char vgg[] = "conv4_2";
    char after = name && !strncmp(name, vgg, sizeof(vgg) - 1) ? name[sizeof(vgg) - 1] : 'x';
    f->has_vgg |= !after || after == '.';
    f->has_cpm |= name && strstr(name, "conv4_4_CPM");
    f->openpose = f->has_vgg && f->has_cpm;
}

/* ---- metadata ---- */

static void put(struct pd_import_facts *f, const char *key, const char *value)
{
    if (value && f->n_meta < PD_IMPORT_META_MAX)
        f->meta[f->n_meta++] = (struct pd_import_meta){key, value};
}

static void name_of_file(char *dst, size_t size, const char *file)
{
    const char *slash = strrchr(file, '/');
    snprintf(dst, size, "%s", slash ? slash + 1 : file);
    char *dot = strrchr(dst, '.');
    if (dot && dot != dst)
        *dot = 0;
}

/* Input of OpenPose's networks: blue first, v / 256 - 0.5. */
void pd_import_describe(struct pd_import_facts *f)
{
    const struct pd_net_import *im = f->import;
    bool known_input = f->openpose && f->caffe; /* what an exporter put into the graph is not known */
    name_of_file(f->name, sizeof(f->name), f->file);
    put(f, "name", im->name ? im->name : f->family ? f->family : f->caffe ? f->name : NULL);
    put(f, "skeleton", im->skeleton ? im->skeleton : f->classifier ? "none" : NULL);
    put(f, "paf_channels", im->paf_channels);
    put(f, "input_order", im->order ? im->order : known_input || f->caffe ? "bgr" : NULL);
    put(f, "input_mean", im->mean ? im->mean : known_input ? "128" : NULL);
    put(f, "input_scale", im->scale ? im->scale : known_input ? "0.00390625" : NULL);
    if (im->licence) {
        put(f, "licence", im->licence);
        put(f, "non_commercial", im->non_commercial ? "true" : "false");
    } else if (f->openpose) {
        put(f, "licence", "OpenPose (CMU), academic or non-profit organization noncommercial research use only");
        put(f, "non_commercial", "true");
    } else if (im->non_commercial) {
        put(f, "non_commercial", "true");
    }
    put(f, "source_sha256", f->sha256);
}

/* ---- the way through ---- */

static int check_paths(const char *from, const char *to, struct pd_err *err)
{
    struct stat a, b;
    if (!stat(from, &a) && !stat(to, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
        return pd_err_set(err, -EINVAL, "%s: is what is read; write to another file", to);
    return 0;
}

/* Make a new file beside @to, whatever else is there: a fixed name could be that of what is read. */
static int make_part(const char *to, char *part, size_t size, struct pd_err *err)
{
    int n = snprintf(part, size, "%s.part.XXXXXX", to);
    if (n < 0 || (size_t)n >= size)
        return pd_err_set(err, -ENAMETOOLONG, "%s: the path is too long", to);
    int fd = mkostemp(part, O_CLOEXEC);
    if (fd < 0)
        return pd_err_set(err, -errno, "%s: %s", to, strerror(errno));
    close(fd);
    return 0;
}

/* The file at @path, which must load; messages speak of @from. */
static int try_out(const char *path, const char *from, struct pd_err *err)
{
    struct pd_net *net;
    void *data;
    size_t size;
    int r = pd_net_read_file(path, "an ONNX network", &data, &size, err);
    if (!r)
        r = pd_net_load_owned(data, size, from, &net, err);
    if (!r)
        pd_net_destroy(net);
    return r;
}

int pd_net_import(const char *from, const char *to, const struct pd_net_import *import, struct pd_err *err)
{
    struct pd_import_facts facts = {.import = import, .file = from};
    char part[4096];
    void *data;
    size_t size;
    int r = check_paths(from, to, err);
    if (!r)
        r = pd_net_read_file(from, "a network", &data, &size, err);
    if (r < 0)
        return r;
    r = refuse_others(from, data, size, err);
    if (!r)
        r = make_part(to, part, sizeof(part), err);
    if (r < 0) {
        free(data);
        return r;
    }
    pd_net_sha256(data, size, facts.sha256);
    facts.caffe = !looks_like_onnx(data, size);
    r = facts.caffe ? pd_import_caffe(data, size, &facts, part, err) : pd_import_onnx(data, size, &facts, part, err);
    if (!r)
        r = try_out(part, from, err);
    if (!r && rename(part, to) < 0)
        r = pd_err_set(err, -errno, "%s: %s", to, strerror(errno));
    if (r < 0)
        unlink(part);
    return r;
}
