/* SPDX-License-Identifier: Apache-2.0
 *
 * The reader of a folder: its pictures in the natural order of their names, one after another.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "decode/reader_impl.h"

/* A folder with more is a mistake; the list is held in memory. */
#define FILES_MAX 1000000

static const char *const suffixes[] = {
    "png", "jpg", "jpeg", "jpe",  "webp", "bmp", "gif", "tif", "tiff", "ppm", "pgm",  "pbm",  "pnm", "jp2",
    "j2k", "jxl", "avif", "exr", "hdr",  "qoi", "dpx", "sgi", "pcx", "apng", "jfif", "dds", "psd",
};

struct pictures {
    struct pd_reader base;
    struct pd_input input;
    struct pd_reader_params params; /* strings in it are not used after opening */
    struct dirent **files;
    int n_files, at;        /* at: the next to open */
    struct pd_reader *file; /* the open one */
    char *path;             /* its path */
    uint64_t corrupt;       /* of closed files */
};

static struct pictures *pictures_of(struct pd_reader *reader)
{
    return PD_CONTAINER_OF(reader, struct pictures, base);
}

/* A pipe or a device would be waited for, and what is in a folder below was not asked for. */
static int is_picture_name(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    if (!dot || dot == entry->d_name || entry->d_name[0] == '.' ||
        (entry->d_type != DT_REG && entry->d_type != DT_LNK && entry->d_type != DT_UNKNOWN))
        return 0;
    for (size_t i = 0; i < PD_ARRAY_SIZE(suffixes); i++)
        if (!strcasecmp(dot + 1, suffixes[i]))
            return 1;
    return 0;
}

static size_t digits(const char *s)
{
    return strspn(s, "0123456789");
}

/* Numbers compare by value whatever their zeros: img9, img010, img10 (strverscmp would put 010 before 9). */
static int compare_names(const char *a, const char *b)
{
    while (*a && *b) {
        if (digits(a) && digits(b)) {
            a += strspn(a, "0");
            b += strspn(b, "0");
            size_t na = digits(a), nb = digits(b);
            int r = na != nb ? (na < nb ? -1 : 1) : memcmp(a, b, na);
            if (r)
                return r;
            a += na;
            b += nb;
        } else if (*a != *b) {
            break;
        } else {
            a++;
            b++;
        }
    }
    return (int)(unsigned char)*a - (int)(unsigned char)*b;
}

/* Names that differ only in zeros fall back to plain order, so that the order is total. */
static int natural_order(const struct dirent **a, const struct dirent **b)
{
    int r = compare_names((*a)->d_name, (*b)->d_name);
    return r ? r : strcmp((*a)->d_name, (*b)->d_name);
}

static void close_file(struct pictures *p)
{
    if (p->file)
        p->corrupt += pd_reader_corrupt(p->file);
    pd_reader_close(p->file);
    p->file = NULL;
}

static int open_next(struct pictures *p, struct pd_err *err)
{
    const char *dir = p->input.address, *name = p->files[p->at++]->d_name;
    free(p->path);
    if (asprintf(&p->path, "%s%s%s", dir, dir[strlen(dir) - 1] == '/' ? "" : "/", name) < 0) {
        p->path = NULL;
        p->base.current = p->input.name;
        return pd_err_set(err, -ENOMEM, "%s: out of memory", dir);
    }
    p->base.current = p->path;
    struct pd_input input = {.kind = PD_INPUT_FILE, .address = strdup(p->path), .name = strdup(p->path)};
    int r = input.address && input.name ? pd_reader_open_stream(&p->params, &input, &p->file, err)
                                        : pd_err_set(err, -ENOMEM, "%s: out of memory", dir);
    if (r < 0)
        pd_input_finish(&input);
    return r;
}

static int pictures_next(struct pd_reader *reader, struct pd_frame **ret_frame, struct pd_err *err)
{
    struct pictures *p = pictures_of(reader);
    for (;;) {
        if (!p->file) {
            if (p->at == p->n_files)
                return PD_READER_E_END;
            int r = open_next(p, err);
            if (r < 0) {
                p->corrupt++;
                reader->corrupt++;
                return r;
            }
        }
        int r = pd_reader_next(p->file, ret_frame, err);
        reader->corrupt = p->corrupt + pd_reader_corrupt(p->file);
        if (r == 0)
            return 0;
        close_file(p);
        if (r != PD_READER_E_END)
            return r < 0 ? r : -EBADMSG;
    }
}

static int pictures_rewind(struct pd_reader *reader, struct pd_err *err)
{
    struct pictures *p = pictures_of(reader);
    close_file(p);
    p->at = 0;
    return 0;
}

static void pictures_close(struct pd_reader *reader)
{
    struct pictures *p = pictures_of(reader);
    close_file(p);
    for (int i = 0; i < p->n_files; i++)
        free(p->files[i]);
    free(p->files);
    free(p->path);
    pd_input_finish(&p->input);
    free(p);
}

static const struct pd_reader_ops pictures_ops = {
    .next = pictures_next,
    .rewind = pictures_rewind,
    .close = pictures_close,
};

/* What the first readable picture says of them all. There may be none for a long time, so each is a call that whoever
 * waits may end. */
static int describe(struct pictures *p, struct pd_err *err)
{
    struct pd_interrupt interrupt = {p->params.interrupt, p->params.user, 0};
    struct pd_reader_info *info = &p->base.info;
    while (!p->file && p->at < p->n_files) {
        if (pd_interrupt_poll(&interrupt))
            return pd_err_set(err, interrupt.code, "%s: %s; none of its first %d pictures can be read", p->input.name,
                              interrupt.code == -ETIMEDOUT ? "timed out" : "stopped", p->at);
        open_next(p, NULL);
    }
    if (p->file)
        *info = *pd_reader_info(p->file);
    info->fps = 0;
    info->frames = p->n_files;
    info->pictures = true;
    pictures_rewind(&p->base, NULL);
    p->base.current = p->input.name;
    return 0;
}

int pd_reader_open_pictures(const struct pd_reader_params *params, struct pd_input *input,
                            struct pd_reader **ret_reader, struct pd_err *err)
{
    struct pictures *p = calloc(1, sizeof(*p));
    if (!p)
        return pd_err_set(err, -ENOMEM, "%s: out of memory", input->name);
    p->base.ops = &pictures_ops;
    p->params = (struct pd_reader_params){
        .threads = params->threads, .interrupt = params->interrupt, .user = params->user};
    p->n_files = scandir(input->address, &p->files, is_picture_name, natural_order);
    int r = 0;
    if (p->n_files < 0) {
        r = pd_err_set(err, -errno, "%s: cannot be listed: %s", input->name, strerror(errno));
        p->n_files = 0;
    } else if (p->n_files == 0) {
        r = pd_err_set(err, -ENOENT, "%s: no pictures in this folder (png, jpg, webp, bmp, ...)", input->name);
    } else if (p->n_files > FILES_MAX) {
        r = pd_err_set(err, -E2BIG, "%s: %d pictures; at most %d are taken", input->name, p->n_files, FILES_MAX);
    }
    if (r < 0) {
        pictures_close(&p->base);
        return r;
    }
    p->input = *input;
    r = describe(p, err);
    if (r < 0) {
        memset(&p->input, 0, sizeof(p->input)); /* stays the caller's */
        pictures_close(&p->base);
        return r;
    }
    memset(input, 0, sizeof(*input));
    *ret_reader = &p->base;
    return 0;
}
