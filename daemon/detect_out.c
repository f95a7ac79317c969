/* SPDX-License-Identifier: Apache-2.0
 *
 * jsonl: one pose line of the wire a frame. openpose: a file a frame, field names of OpenPose's --write_json, version
 * 1.3. coco: one array of COCO keypoint results.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "core/half.h"
#include "daemon/detect.h"
#include "daemon/json_pose.h"

struct pd_detect_out {
    enum pd_detect_format format;
    const struct pd_skeleton *skeleton;
    const char *path; /* for messages; the folder for openpose */
    FILE *file;
    struct pd_coco_ids *ids;
    bool some; /* coco: an element has been written */
    json_t *taken;      /* openpose: what each stem of a file name stands for, [input, name] */
    int video;          /* coco: the input whose frames' numbers are image ids; -1: none yet */
    int refused_input;  /* the last video that was left out; told once, not for each frame */
    char line[PD_LINE_MAX];
};

static int open_target(struct pd_detect_out *out, const struct pd_detect_options *options, struct pd_err *err)
{
    if (out->format == PD_DETECT_NONE)
        return 0;
    if (out->format == PD_DETECT_OPENPOSE) {
        if (!out->path || !strcmp(out->path, "-"))
            return pd_err_set(err, -EINVAL, "--format openpose writes a file a frame: give a folder with --output DIR");
        if (mkdir(out->path, 0777) && errno != EEXIST)
            return pd_err_set(err, -errno, "%s: %s", out->path, strerror(errno));
        out->taken = json_object();
        return out->taken ? 0 : pd_err_set(err, -ENOMEM, "out of memory");
    }
    if (options->annotations) {
        int rc = pd_coco_ids_load(options->annotations, &out->ids, err);
        if (rc)
            return rc;
    }
    if (!out->path || !strcmp(out->path, "-")) {
        out->path = "standard output";
        out->file = stdout;
    } else {
        out->file = fopen(out->path, "we");
        if (!out->file)
            return pd_err_set(err, -errno, "%s: %s", out->path, strerror(errno));
    }
    if (out->format == PD_DETECT_COCO)
        fputc('[', out->file);
    return 0;
}

int pd_detect_out_open(const struct pd_detect_options *options, const struct pd_skeleton *skeleton,
                       struct pd_detect_out **ret_out, struct pd_err *err)
{
    struct pd_detect_out *out = calloc(1, sizeof(*out));
    if (!out)
        return pd_err_set(err, -ENOMEM, "out of memory");
    out->format = options->format;
    out->skeleton = skeleton;
    out->path = options->output;
    out->video = out->refused_input = -1;
    int rc = open_target(out, options, err);
    if (rc) {
        pd_coco_ids_destroy(out->ids);
        free(out);
        return rc;
    }
    *ret_out = out;
    return 0;
}

static int write_failed(const char *path, struct pd_err *err)
{
    int code = errno ? errno : EIO;
    return pd_err_set(err, -code, "%s: %s", path, strerror(code));
}

static int write_jsonl(struct pd_detect_out *out, const struct pd_detect_item *item, const struct pd_people *people,
                       struct pd_err *err)
{
    const struct pd_frame *f = item->frame;
    const struct pd_pose_line pose = {
        .file = item->name,
        .seq = f->seq,
        .timed = f->time_source != PD_TIME_FILE,
        .time_us = f->captured_us,
        .time_source = f->time_source,
        .pts_us = f->pts_us,
        .width = f->width,
        .height = f->height,
        .latency_ms = -1.0,
        .people = people,
    };
    size_t n = pd_json_pose(&pose, out->line);
    /* A line a time, so that whoever reads a pipe sees frames as they come. */
    errno = 0;
    if (fwrite(out->line, 1, n, out->file) != n || fflush(out->file))
        return write_failed(out->path, err);
    return 0;
}

#define E_TOLD 1 /* left out, which has been told of an earlier frame */

static bool was_refused(struct pd_detect_out *out, const struct pd_detect_item *item)
{
    bool told = !item->picture && out->refused_input == item->input;
    out->refused_input = item->input;
    return told;
}

/* ---- OpenPose's JSON ---- */

static double rounded(float v, double steps)
{
    return isfinite(v) ? round((double)v * steps) / steps : 0.0;
}

/* The array takes the value over; false when out of memory. */
static bool append(json_t *array, json_t *value)
{
    return json_array_append_new(array, value) == 0;
}

static json_t *openpose_person(const struct pd_person *person, int n_keypoints)
{
    json_t *points = json_array();
    bool ok = points;
    for (int k = 0; k < n_keypoints && ok; k++) {
        const struct pd_keypoint *p = &person->keypoints[k];
        bool found = p->score > 0.0f;
        ok = append(points, json_real(found ? rounded(p->x, 10.0) : 0.0)) &&
             append(points, json_real(found ? rounded(p->y, 10.0) : 0.0)) &&
             append(points, json_real(found ? rounded(p->score, 1000.0) : 0.0));
    }
    if (!ok) {
        json_decref(points);
        return NULL;
    }
    return json_pack("{s:[I], s:o, s:[], s:[], s:[], s:[], s:[], s:[], s:[]}", "person_id",
                     (json_int_t)(person->id > 0 ? person->id : -1), "pose_keypoints_2d", points, "face_keypoints_2d",
                     "hand_left_keypoints_2d", "hand_right_keypoints_2d", "pose_keypoints_3d", "face_keypoints_3d",
                     "hand_left_keypoints_3d", "hand_right_keypoints_3d");
}

/* a.jpg and a.png, or two videos of one name in two folders, come to the same file names: the first has them, the other
 * is told and left out, so that nothing is overwritten. */
static int claim_stem(struct pd_detect_out *out, const struct pd_detect_item *item, const char *stem,
                      struct pd_err *err)
{
    char key[208];
    snprintf(key, sizeof(key), "%s%s", stem, item->picture ? "" : "_"); /* a video's files have a number behind it */
    const json_t *owner = json_object_get(out->taken, key);
    if (!owner) { /* names of files need not be UTF-8 */
        json_t *name = json_stringn_nocheck(item->name, strlen(item->name));
        if (json_object_set_new_nocheck(out->taken, key, json_pack("[i, o]", item->input, name)))
            return pd_err_set(err, -ENOMEM, "out of memory");
        return 0;
    }
    if (!item->picture && json_integer_value(json_array_get(owner, 0)) == item->input)
        return 0;
    if (was_refused(out, item))
        return E_TOLD;
    return pd_err_set(err, -EEXIST, "%s: left out: %s/%s... is that of %s; give it a folder of its own with --output",
                      item->name, out->path, key, json_string_value(json_array_get(owner, 1)));
}

static int write_openpose(struct pd_detect_out *out, const struct pd_detect_item *item, const struct pd_people *people,
                          struct pd_err *err)
{
    char stem[200], path[4096];
    pd_detect_stem(item->name, stem, sizeof(stem));
    int claim = claim_stem(out, item, stem, err);
    if (claim)
        return claim == E_TOLD ? 0 : claim;
    uint64_t number = item->frame->seq ? item->frame->seq - 1 : 0; /* OpenPose counts from 0 */
    int n = item->picture
                ? snprintf(path, sizeof(path), "%s/%s_keypoints.json", out->path, stem)
                : snprintf(path, sizeof(path), "%s/%s_%012" PRIu64 "_keypoints.json", out->path, stem, number);
    if (n < 0 || (size_t)n >= sizeof(path))
        return pd_err_set(err, -ENAMETOOLONG, "%s: name too long", out->path);
    json_t *list = json_array();
    for (int i = 0; list && i < people->n; i++)
        if (!append(list, openpose_person(&people->person[i], people->n_keypoints))) {
            json_decref(list);
            list = NULL;
        }
    json_t *root = list ? json_pack("{s:f, s:o}", "version", 1.3, "people", list) : NULL;
    if (!root)
        return pd_err_set(err, -ENOMEM, "out of memory");
    errno = 0;
    int rc = json_dump_file(root, path, JSON_COMPACT | JSON_REAL_PRECISION(7)) ? write_failed(path, err) : 0;
    json_decref(root);
    return rc;
}

static int write_coco(struct pd_detect_out *out, const struct pd_detect_item *item, const struct pd_people *people,
                      struct pd_err *err)
{
    if (!item->picture && out->video < 0)
        out->video = item->input;
    if (!item->picture && out->video != item->input)
        return was_refused(out, item) ? 0
                                      : pd_err_set(err, -EEXIST, "%s: left out: image ids are the numbers of another "
                                                   "video's frames; give each a run of its own", item->name);
    int64_t id = (int64_t)item->frame->seq; /* frames of a video are its images */
    int rc = item->picture ? pd_coco_ids_find(out->ids, item->name, &id, err) : 0;
    if (rc)
        return rc;
    errno = 0;
    for (int i = 0; i < people->n; i++) {
        if (fputs(out->some ? ",\n" : "\n", out->file) == EOF ||
            pd_coco_write(out->file, id, out->skeleton, &people->person[i]))
            return write_failed(out->path, err);
        out->some = true;
    }
    return 0;
}

int pd_detect_out_write(struct pd_detect_out *out, const struct pd_detect_item *item, const struct pd_people *people,
                        struct pd_err *err)
{
    switch (out->format) {
    case PD_DETECT_JSONL:
        return write_jsonl(out, item, people, err);
    case PD_DETECT_OPENPOSE:
        return write_openpose(out, item, people, err);
    case PD_DETECT_COCO:
        return write_coco(out, item, people, err);
    case PD_DETECT_NONE:
        break;
    }
    return 0;
}

int pd_detect_out_close(struct pd_detect_out *out, struct pd_err *err)
{
    if (!out)
        return 0;
    int rc = 0;
    if (out->file) {
        errno = 0;
        if (out->format == PD_DETECT_COCO)
            fputs("\n]\n", out->file);
        /* fclose() forgets an earlier failure, ferror() remembers it. */
        bool bad = fflush(out->file) || ferror(out->file);
        if (out->file != stdout)
            bad = fclose(out->file) || bad;
        if (bad)
            rc = write_failed(out->path, err);
        if (bad && out->file != stdout)
            pd_remove_half(out->path);
    }
    pd_coco_ids_destroy(out->ids);
    json_decref(out->taken);
    free(out);
    return rc;
}

void pd_detect_stem(const char *path, char *stem, size_t size)
{
    /* "dir/" names dir */
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/')
        start--;
    size_t dot = end;
    for (size_t i = start + 1; i < end; i++)
        if (path[i] == '.')
            dot = i;
    size_t n = PD_MIN(dot - start, size - 1);
    memcpy(stem, path + start, n);
    stem[n] = 0;
    /* URLs and the like make file names, too. */
    for (size_t i = 0; i < n; i++)
        if (strchr(":?&=*|<>\"\\", stem[i]) || (unsigned char)stem[i] < 0x20)
            stem[i] = '_';
}
