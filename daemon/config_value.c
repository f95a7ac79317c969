/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config_value.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "daemon/config_url.h"

/* Everything a setter needs. Setters return 0 or -ENOMEM; wrong() reports and returns 0. */
struct setting {
    const struct pd_option *opt;
    void *base;
    struct pd_config_doc *doc;
    const struct pd_config_member *member;
};

static void *field(const struct setting *s)
{
    return (char *)s->base + s->opt->offset;
}

static int *count(const struct setting *s)
{
    return (int *)(void *)((char *)s->base + s->opt->count_offset);
}

/* ---- saying what was found ---- */

static bool is_whole(double v)
{
    return fabs(v) < 1e9 && fmod(v, 1.0) == 0.0;
}

/* @value in at most a few words. Strings that may hold a secret are not shown. */
static const char *describe(const struct pd_option *opt, const json_t *value, char *buf, size_t cap)
{
    bool secret = opt->type == PD_OPT_URL || opt->type == PD_OPT_SECRET || opt->type == PD_OPT_STRING;
    if (json_is_object(value))
        snprintf(buf, cap, "an object");
    else if (json_is_array(value))
        snprintf(buf, cap, "a list of %zu", json_array_size(value));
    else if (json_is_string(value) && secret)
        snprintf(buf, cap, "%s", *json_string_value(value) ? "a string" : "an empty string");
    else if (json_is_string(value))
        snprintf(buf, cap, "\"%.60s\"%s", json_string_value(value), json_string_length(value) > 60 ? "..." : "");
    else if (json_is_real(value)) /* 1.0 and 1e3 must not look like the integers that they are not */
        snprintf(buf, cap, is_whole(json_real_value(value)) ? "%.1f" : "%.10g", json_real_value(value));
    else if (json_is_integer(value))
        snprintf(buf, cap, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else
        snprintf(buf, cap, "%s", json_is_true(value) ? "true" : json_is_false(value) ? "false" : "null");
    return buf;
}

/* Report @value, element @index of the member's value (@n = 0: the value itself), as not what it should be. @expected
 * NULL: what the option expects as a whole. */
static int wrong_at(const struct setting *s, const json_t *value, const int *index, int n, const char *expected)
{
    char found[100], wanted[400], key[160];
    int len = snprintf(key, sizeof(key), "%s", s->opt->key);
    for (int i = 0; i < n; i++)
        len += snprintf(key + len, sizeof(key) - (size_t)len, "[%d]", index[i]);
    pd_config_problem(s->doc, pd_config_member_line(s->doc, s->member, index, n), key, "found %s, expected %s",
                      describe(s->opt, value, found, sizeof(found)),
                      expected ? expected : pd_option_expected(s->opt, wanted, sizeof(wanted)));
    return 0;
}

static int wrong(const struct setting *s)
{
    return wrong_at(s, s->member->value, NULL, 0, NULL);
}

/* ---- one setter a type ---- */

static bool in_range(const struct pd_option *opt, double v)
{
    return isfinite(v) && ((opt->min == 0 && opt->max == 0) || (v >= opt->min && v <= opt->max));
}

static int set_bool(const struct setting *s, const json_t *value)
{
    if (!json_is_boolean(value))
        return wrong(s);
    *(bool *)field(s) = json_is_true(value);
    return 0;
}

static int set_int(const struct setting *s, const json_t *value)
{
    if (!json_is_integer(value) || !in_range(s->opt, (double)json_integer_value(value)))
        return wrong(s);
    *(int *)field(s) = (int)json_integer_value(value);
    return 0;
}

static int set_number(const struct setting *s, const json_t *value)
{
    double v = json_number_value(value);
    if (!json_is_number(value) || !in_range(s->opt, v))
        return wrong(s);
    if (s->opt->type == PD_OPT_FLOAT)
        *(float *)field(s) = (float)v;
    else
        *(double *)field(s) = v;
    return 0;
}

static int keep_string(const struct setting *s, char *fresh)
{
    if (!fresh)
        return -ENOMEM;
    char **at = field(s);
    free(*at);
    *at = fresh;
    return 0;
}

static bool has_controls(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    return false;
}

static int set_string(const struct setting *s, const json_t *value)
{
    const char *text = json_string_value(value);
    if (!text || !*text || has_controls(text))
        return wrong(s);
    return keep_string(s, strdup(text));
}

char *pd_config_path(const char *dir, const char *path)
{
    char *full = NULL;
    if (*path == '/' || !dir)
        return strdup(path);
    while (!strncmp(path, "./", 2))
        path += 2;
    if (asprintf(&full, "%s/%s", strcmp(dir, "/") ? dir : "", path) < 0)
        return NULL;
    return full;
}

static int set_path(const struct setting *s, const json_t *value)
{
    const char *text = json_string_value(value);
    if (!text || !*text || has_controls(text))
        return wrong(s);
    /* defaults (no doc) are made absolute when the file's directory is known */
    return keep_string(s, pd_config_path(s->doc ? s->doc->dir : NULL, text));
}

/* A bare name stays as it is: it names a credential. */
static int set_secret(const struct setting *s, const json_t *value)
{
    const char *text = json_string_value(value);
    if (text && *text && !strchr(text, '/') && strcmp(text, ".") && strcmp(text, ".."))
        return set_string(s, value);
    return set_path(s, value);
}

static int choice(const struct setting *s, const json_t *value)
{
    const char *text = json_string_value(value);
    for (int i = 0; text && s->opt->choices[i]; i++)
        if (!strcmp(text, s->opt->choices[i]))
            return i;
    return -1;
}

static int set_choice(const struct setting *s, const json_t *value)
{
    int i = choice(s, value);
    return i < 0 ? wrong(s) : keep_string(s, strdup(s->opt->choices[i]));
}

static int set_enum(const struct setting *s, const json_t *value)
{
    int i = choice(s, value);
    if (i < 0)
        return wrong(s);
    *(int *)field(s) = i;
    return 0;
}

static int set_mode(const struct setting *s, const json_t *value)
{
    const char *text = json_string_value(value);
    size_t len = text ? strlen(text) : 0;
    if (len < 3 || len > 4 || strspn(text, "01234567") != len)
        return wrong(s);
    long mode = strtol(text, NULL, 8);
    if (!in_range(s->opt, (double)mode))
        return wrong(s);
    *(int *)field(s) = (int)mode;
    return 0;
}

static int set_ints(const struct setting *s, const json_t *value)
{
    int *to = field(s), fresh[PD_CONFIG_DEVICES_MAX];
    size_t n = json_array_size(value);
    if (!json_is_array(value) || n > PD_ARRAY_SIZE(fresh))
        return wrong(s);
    for (int i = 0; i < (int)n; i++) {
        const json_t *item = json_array_get(value, (size_t)i);
        if (!json_is_integer(item) || !in_range(s->opt, (double)json_integer_value(item))) {
            char expected[80];
            snprintf(expected, sizeof(expected), "an integer %g..%g", s->opt->min, s->opt->max);
            return wrong_at(s, item, &i, 1, expected);
        }
        fresh[i] = (int)json_integer_value(item);
        for (int k = 0; k < i; k++)
            if (fresh[k] == fresh[i])
                return wrong_at(s, item, &i, 1, "each number once");
    }
    memcpy(to, fresh, n * sizeof(*to));
    *count(s) = (int)n;
    return 0;
}

/* Numbers of a list of exactly @n, each 0..1; the index path so far is @index[0..depth). False after a report. */
static bool fractions(const struct setting *s, const json_t *list, int *index, int depth, int n, const char *expected,
                      float *to)
{
    if (!json_is_array(list) || json_array_size(list) != (size_t)n) {
        wrong_at(s, list, index, depth, expected);
        return false;
    }
    bool good = true;
    for (int i = 0; i < n; i++) {
        const json_t *item = json_array_get(list, (size_t)i);
        double v = json_number_value(item);
        index[depth] = i;
        if (!json_is_number(item) || !(v >= 0 && v <= 1)) {
            wrong_at(s, item, index, depth + 1, "a number 0..1, a fraction of the frame");
            good = false;
        }
        to[i] = (float)v;
    }
    return good;
}

static int set_rect(const struct setting *s, const json_t *value)
{
    float r[4];
    int index[1];
    if (!fractions(s, value, index, 0, 4, NULL, r))
        return 0;
    /* a hair of slack: 0.7 + 0.3 is above 1 in binary */
    if (!(r[2] > 0) || !(r[3] > 0) || r[0] + r[2] > 1.0001f || r[1] + r[3] > 1.0001f)
        return wrong_at(s, value, NULL, 0, "an area inside the frame: x + width <= 1, y + height <= 1");
    memcpy(field(s), r, sizeof(r));
    return 0;
}

/* Twice the signed area (shoelace formula). */
static double area2(const struct pd_polygon *p)
{
    double sum = 0;
    for (int i = 0, j = p->n - 1; i < p->n; j = i++)
        sum += (double)p->x[j] * (double)p->y[i] - (double)p->x[i] * (double)p->y[j];
    return sum;
}

static bool polygon(const struct setting *s, const json_t *list, int *index, struct pd_polygon *to)
{
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n < 3 || n > PD_POLYGON_POINTS_MAX) {
        char expected[80];
        snprintf(expected, sizeof(expected), "a polygon: a list of 3..%d points [x, y]", PD_POLYGON_POINTS_MAX);
        wrong_at(s, list, index, 1, expected);
        return false;
    }
    bool good = true;
    to->n = (int)n;
    for (int i = 0; i < to->n; i++) {
        float xy[2] = {0, 0};
        index[1] = i;
        good &= fractions(s, json_array_get(list, (size_t)i), index, 2, 2, "a point [x, y]", xy);
        to->x[i] = xy[0];
        to->y[i] = xy[1];
    }
    if (good && fabs(area2(to)) < 1e-9) {
        wrong_at(s, list, index, 1, "a polygon with an area, not points on one line");
        good = false;
    }
    return good;
}

static int set_polygons(const struct setting *s, const json_t *value)
{
    size_t n = json_array_size(value);
    if (!json_is_array(value) || n > PD_POLYGONS_MAX)
        return wrong(s);
    struct pd_polygon *fresh = calloc(PD_POLYGONS_MAX, sizeof(*fresh));
    if (!fresh)
        return -ENOMEM;
    bool good = true;
    for (int i = 0; i < (int)n; i++) {
        int index[3] = {i};
        good &= polygon(s, json_array_get(value, (size_t)i), index, &fresh[i]);
    }
    if (good) {
        memcpy(field(s), fresh, PD_POLYGONS_MAX * sizeof(*fresh));
        *count(s) = (int)n;
    }
    free(fresh);
    return 0;
}

static int set_url(const struct setting *s, const json_t *value)
{
    const char *url = json_string_value(value);
    if (!url || !*url || has_controls(url))
        return wrong(s);
    const char *fault = pd_config_url_fault(url), *path = pd_config_url_path(url);
    if (fault) {
        pd_config_problem(s->doc, s->member->line, s->opt->key, "%s", fault);
        return 0;
    }
    return keep_string(s, path ? pd_config_path(s->doc ? s->doc->dir : NULL, path) : strdup(url));
}

int pd_option_set(const struct pd_option *opt, void *base, struct pd_config_doc *doc,
                  const struct pd_config_member *member)
{
    static int (*const setters[PD_OPT_TYPES])(const struct setting *s, const json_t *value) = {
        [PD_OPT_BOOL] = set_bool,     [PD_OPT_INT] = set_int,       [PD_OPT_NUMBER] = set_number,
        [PD_OPT_FLOAT] = set_number,  [PD_OPT_STRING] = set_string, [PD_OPT_PATH] = set_path,
        [PD_OPT_URL] = set_url,       [PD_OPT_SECRET] = set_secret, [PD_OPT_CHOICE] = set_choice,
        [PD_OPT_ENUM] = set_enum,     [PD_OPT_MODE] = set_mode,     [PD_OPT_INTS] = set_ints,
        [PD_OPT_RECT] = set_rect,     [PD_OPT_POLYGONS] = set_polygons,
    };
    if (json_is_null(member->value) && !opt->def && !opt->required)
        return 0;
    struct setting s = {opt, base, doc, member};
    return setters[opt->type](&s, member->value);
}
