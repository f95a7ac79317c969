/* SPDX-License-Identifier: Apache-2.0
 *
 * COCO's results format: https://cocodataset.org/#format-results, keypoint detection. 17 keypoints as x, y, confidence;
 * those that were not found are 0, 0, 0.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "daemon/detect.h"
#include "daemon/json_memory.h"

struct pd_coco_ids {
    json_t *by_name; /* file name without folder -> id */
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int fill_ids(json_t *by_name, const json_t *images)
{
    for (size_t i = 0; i < json_array_size(images); i++) {
        const json_t *image = json_array_get(images, i);
        const char *name = json_string_value(json_object_get(image, "file_name"));
        json_t *id = json_object_get(image, "id");
        if (!name || !json_is_integer(id))
            return -EINVAL;
        if (json_object_set(by_name, base_name(name), id))
            return -ENOMEM;
    }
    return 0;
}

int pd_coco_ids_load(const char *path, struct pd_coco_ids **ret_ids, struct pd_err *err)
{
    json_error_t at;
    pd_json_watch();
    json_t *root = json_load_file(path, 0, &at);
    if (pd_json_starved()) {
        json_decref(root);
        return pd_err_set(err, -ENOMEM, "out of memory");
    }
    if (!root)
        return pd_err_set(err, -EINVAL, "%s: %s", path, at.text);
    const json_t *images = json_object_get(root, "images");
    struct pd_coco_ids *ids = calloc(1, sizeof(*ids));
    json_t *by_name = json_object();
    int rc = !ids || !by_name ? -ENOMEM : json_is_array(images) ? fill_ids(by_name, images) : -EINVAL;
    json_decref(root);
    if (rc) {
        json_decref(by_name);
        free(ids);
        return rc == -ENOMEM
                   ? pd_err_set(err, rc, "out of memory")
                   : pd_err_set(err, rc, "%s: not COCO annotations: no \"images\" with file_name and id", path);
    }
    ids->by_name = by_name;
    *ret_ids = ids;
    return 0;
}

void pd_coco_ids_destroy(struct pd_coco_ids *ids)
{
    if (!ids)
        return;
    json_decref(ids->by_name);
    free(ids);
}

/* "COCO_val2014_000000000139.jpg" is 139: the last run of digits before the suffix. */
static int id_from_digits(const char *name, int64_t *ret_id, struct pd_err *err)
{
    char stem[256];
    pd_detect_stem(name, stem, sizeof(stem));
    size_t end = strlen(stem);
    while (end && !isdigit((unsigned char)stem[end - 1]))
        end--;
    size_t start = end;
    while (start && isdigit((unsigned char)stem[start - 1]))
        start--;
    stem[end] = 0;
    errno = 0;
    long long id = strtoll(stem + start, NULL, 10);
    if (start == end || errno)
        return pd_err_set(err, -ENOENT, "%s: no number in the name to take as image_id; give --annotations FILE", name);
    *ret_id = id;
    return 0;
}

int pd_coco_ids_find(const struct pd_coco_ids *ids, const char *name, int64_t *ret_id, struct pd_err *err)
{
    if (!ids)
        return id_from_digits(name, ret_id, err);
    const json_t *id = json_object_get(ids->by_name, base_name(name));
    if (!id)
        return pd_err_set(err, -ENOENT, "%s: not among the images of the annotations", name);
    *ret_id = json_integer_value(id);
    return 0;
}

/* JSON has no NaN; numbers are printed here so that five decimals keep people apart whose scores are close. */
static double finite_or_zero(float v)
{
    return isfinite(v) ? (double)v : 0.0;
}

int pd_coco_write(FILE *file, int64_t image_id, const struct pd_skeleton *skeleton, const struct pd_person *person)
{
    if (fprintf(file, "{\"image_id\":%" PRId64 ",\"category_id\":1,\"keypoints\":[", image_id) < 0)
        return -errno;
    for (int k = 0; k < 17; k++) {
        int from = skeleton->coco17[k];
        struct pd_keypoint p = from >= 0 ? person->keypoints[from] : (struct pd_keypoint){0};
        const char *comma = k ? "," : "";
        int n = p.score > 0.0f ? fprintf(file, "%s%.2f,%.2f,%.3f", comma, finite_or_zero(p.x), finite_or_zero(p.y),
                                         finite_or_zero(p.score))
                               : fprintf(file, "%s0,0,0", comma);
        if (n < 0)
            return -errno;
    }
    return fprintf(file, "],\"score\":%.5f}", finite_or_zero(person->score)) < 0 ? -errno : 0;
}
