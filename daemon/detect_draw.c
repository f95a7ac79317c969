/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/detect.h"
#include "decode/writer.h"
#include "postproc/draw.h"

struct pd_detect_draw {
    const char *path;
    bool folder; /* pictures keep their names in it */
    const struct pd_skeleton *skeleton;
    struct pd_writer *writer;
    json_t *taken; /* what each name in the folder stands for */
};

static bool is_folder(const char *path)
{
    struct stat st;
    size_t n = strlen(path);
    return (n && path[n - 1] == '/') || (!stat(path, &st) && S_ISDIR(st.st_mode));
}

struct pd_detect_draw *pd_detect_draw_create(const char *path, const struct pd_skeleton *skeleton)
{
    struct pd_detect_draw *d = calloc(1, sizeof(*d));
    json_t *taken = json_object();
    if (!d || !taken) {
        free(d);
        json_decref(taken);
        return NULL;
    }
    *d = (struct pd_detect_draw){.path = path, .folder = is_folder(path), .skeleton = skeleton, .taken = taken};
    return d;
}

/* a.jpg and a.png, or two a.png of two folders, would be drawn to one name: the first has it. */
static int claim_name(struct pd_detect_draw *d, const char *input, const char *path, struct pd_err *err)
{
    const char *owner = json_string_value(json_object_get(d->taken, path));
    if (owner)
        return pd_err_set(err, -EEXIST, "%s: not drawn: %s is that of %s; draw it into a folder of its own", input,
                          path, owner);
    /* names of files need not be UTF-8 */
    if (json_object_set_new_nocheck(d->taken, path, json_stringn_nocheck(input, strlen(input))))
        return pd_err_set(err, -ENOMEM, "out of memory");
    return 0;
}

/* A picture of its own, named after the one it was drawn on. */
static int write_named(struct pd_detect_draw *d, const struct pd_detect_item *item, const struct pd_frame *rgb,
                       struct pd_err *err)
{
    char stem[200], path[4096];
    pd_detect_stem(item->name, stem, sizeof(stem));
    int n = snprintf(path, sizeof(path), "%s/%s.png", d->path, stem);
    if (n < 0 || (size_t)n >= sizeof(path))
        return pd_err_set(err, -ENAMETOOLONG, "%s: name too long", d->path);
    if (mkdir(d->path, 0777) && errno != EEXIST)
        return pd_err_set(err, -errno, "%s: %s", d->path, strerror(errno));
    struct pd_writer *w;
    int rc = claim_name(d, item->name, path, err);
    if (!rc)
        rc = pd_writer_open(path, 0.0, &w, err);
    if (rc)
        return rc;
    rc = pd_writer_write(w, rgb, err);
    if (rc) {
        pd_writer_close(w, NULL);
        return rc;
    }
    return pd_writer_close(w, err);
}

int pd_detect_draw_write(struct pd_detect_draw *d, const struct pd_detect_item *item, const struct pd_people *people,
                         struct pd_err *err)
{
    struct pd_frame *rgb = pd_frame_to_rgb(item->frame);
    if (!rgb)
        return pd_err_set(err, -ENOMEM, "%s: no memory for a drawing of %dx%d", item->name, item->frame->width,
                          item->frame->height);
    /* The copy is ours alone until it is written: its pixels may be drawn on. */
    const struct pd_canvas canvas = {(uint8_t *)rgb->plane[0], rgb->width, rgb->height, rgb->stride[0]};
    const struct pd_draw_params params = {.labels = true};
    pd_draw_people(&canvas, d->skeleton, people, &params);
    int rc = 0;
    if (d->folder && item->picture) {
        rc = write_named(d, item, rgb, err);
    } else {
        if (!d->writer)
            rc = pd_writer_open(d->path, item->fps > 0.0 ? item->fps : 25.0, &d->writer, err);
        if (!rc)
            rc = pd_writer_write(d->writer, rgb, err);
    }
    pd_frame_unref(&rgb);
    return rc;
}

int pd_detect_draw_close(struct pd_detect_draw *d, struct pd_err *err)
{
    if (!d)
        return 0;
    int rc = d->writer ? pd_writer_close(d->writer, err) : 0;
    json_decref(d->taken);
    free(d);
    return rc;
}
