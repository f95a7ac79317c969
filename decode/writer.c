/* SPDX-License-Identifier: Apache-2.0 */
#include "decode/writer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "core/half.h"
#include "decode/av.h"
#include "decode/encode.h"

struct pd_writer {
    char *path;
    double fps;
    enum { VIDEO, ONE_PICTURE, NUMBERED } kind;
    struct pd_video *video; /* from the first frame on */
    size_t head;            /* NUMBERED: bytes of path before the number, */
    int digits;             /* its least width, */
    size_t tail;            /* and where path goes on after it */
    uint64_t count;
    bool told; /* ONE_PICTURE: that more have come */
    bool failed;
};

static bool has_suffix(const char *path, const char *const *suffixes)
{
    const char *dot = strrchr(path, '.');
    for (; dot && *suffixes; suffixes++)
        if (!strcasecmp(dot + 1, *suffixes))
            return true;
    return false;
}

/* Finds the one "%d" or "%0Nd". The path is never a format string: it comes from a user. */
static bool find_number(struct pd_writer *w)
{
    const char *percent = strchr(w->path, '%');
    if (!percent)
        return false;
    int digits = 1, n = 0;
    if (percent[1] == 'd')
        n = 2;
    else if (sscanf(percent, "%%0%1dd%n", &digits, &n) != 1 || n == 0)
        return false;
    w->head = (size_t)(percent - w->path);
    w->tail = w->head + (size_t)n;
    w->digits = digits;
    return !strchr(w->path + w->tail, '%');
}

/* An existing folder, or a name ending in '/', which is made. */
static int as_folder(struct pd_writer *w, struct pd_err *err)
{
    struct stat st;
    size_t len = strlen(w->path);
    bool slash = len > 0 && w->path[len - 1] == '/';
    bool there = stat(w->path, &st) == 0;
    if (there ? !S_ISDIR(st.st_mode) : !slash)
        return 0;
    if (!there && mkdir(w->path, 0777) < 0)
        return pd_err_set(err, -errno, "%s: the folder cannot be made: %s", w->path, strerror(errno));
    char *path;
    if (asprintf(&path, "%s%s%%06d.png", w->path, slash ? "" : "/") < 0)
        return pd_err_set(err, -ENOMEM, "%s: out of memory", w->path);
    free(w->path);
    w->path = path;
    w->head = strlen(path) - strlen("%06d.png");
    w->tail = w->head + strlen("%06d");
    w->digits = 6;
    w->kind = NUMBERED;
    return 1;
}

static int classify(struct pd_writer *w, struct pd_err *err)
{
    static const char *const videos[] = {"mp4", "m4v", "mov", "mkv", NULL};
    static const char *const pictures[] = {"png", "jpg", "jpeg", NULL};
    int r = as_folder(w, err);
    if (r != 0)
        return r;
    if (has_suffix(w->path, videos)) {
        w->kind = VIDEO;
        return 0;
    }
    if (!has_suffix(w->path, pictures))
        return pd_err_set(err, -EINVAL, "%s: expected a name ending in .mp4, .png or .jpg, or a folder (one that is "
                          "there, or / at its end)", w->path);
    w->kind = find_number(w) ? NUMBERED : ONE_PICTURE;
    return 0;
}

int pd_writer_open(const char *path, double fps, struct pd_writer **ret_writer, struct pd_err *err)
{
    pd_av_init();
    struct pd_writer *w = calloc(1, sizeof(*w));
    if (!w || !(w->path = strdup(path))) {
        free(w);
        return pd_err_set(err, -ENOMEM, "%s: out of memory", path);
    }
    w->fps = fps;
    int r = classify(w, err);
    if (r < 0) {
        free(w->path);
        free(w);
        return r;
    }
    *ret_writer = w;
    return 0;
}

static int write_numbered(struct pd_writer *w, const struct pd_frame *rgb, struct pd_err *err)
{
    PD_CLEANUP(pd_freep) char *path = NULL;
    if (asprintf(&path, "%.*s%0*" PRIu64 "%s", (int)w->head, w->path, w->digits, w->count + 1, w->path + w->tail) < 0) {
        path = NULL;
        return pd_err_set(err, -ENOMEM, "%s: out of memory", w->path);
    }
    return pd_encode_picture(path, rgb, err);
}

int pd_writer_write(struct pd_writer *w, const struct pd_frame *rgb, struct pd_err *err)
{
    if (rgb->format != PD_PIX_RGB24 || rgb->mem != PD_MEM_HOST)
        return pd_err_set(err, -EINVAL, "%s: only RGB pictures can be written", w->path);
    int r = 0;
    switch (w->kind) {
    case VIDEO:
        if (!w->video)
            r = pd_video_open(w->path, w->fps, rgb, &w->video, err);
        if (r == 0)
            r = pd_video_write(w->video, rgb, err);
        break;
    case ONE_PICTURE:
        if (w->count == 0)
            r = pd_encode_picture(w->path, rgb, err);
        else if (!w->told)
            r = pd_err_set(err, -EEXIST, "%s: has the first picture alone; for all of them name a folder (/ at its "
                           "end) or an .mp4", w->path);
        w->told |= w->count > 0;
        break;
    case NUMBERED:
        r = write_numbered(w, rgb, err);
        break;
    }
    w->count += r == 0;
    w->failed |= r < 0;
    return r;
}

int pd_writer_close(struct pd_writer *w, struct pd_err *err)
{
    int r = w->video ? pd_video_close(w->video, err) : 0;
    if (w->video && (w->failed || r < 0))
        pd_remove_half(w->path);
    free(w->path);
    free(w);
    return r;
}
