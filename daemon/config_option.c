/* SPDX-License-Identifier: Apache-2.0 - what is the same for every option: defaults, reading back, comparing. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "daemon/config_table.h"
#include "daemon/config_value.h"
#include "daemon/json_memory.h"

static bool is_text(enum pd_option_type type)
{
    return type == PD_OPT_STRING || type == PD_OPT_PATH || type == PD_OPT_URL || type == PD_OPT_SECRET ||
           type == PD_OPT_CHOICE;
}

static void expected_choices(const struct pd_option *opt, char *buf, size_t cap)
{
    size_t len = (size_t)snprintf(buf, cap, "one of");
    for (int i = 0; opt->choices[i] && len < cap; i++)
        len += (size_t)snprintf(buf + len, cap - len, "%s \"%s\"", i ? "," : "", opt->choices[i]);
}

const char *pd_option_expected(const struct pd_option *opt, char *buf, size_t cap)
{
    const char *unit = opt->unit ? opt->unit : "";
    const char *space = *unit ? " " : "";
    switch (opt->type) {
    case PD_OPT_BOOL:
        snprintf(buf, cap, "true or false");
        break;
    case PD_OPT_INT:
        snprintf(buf, cap, "an integer %g..%g%s%s", opt->min, opt->max, space, unit);
        break;
    case PD_OPT_NUMBER:
    case PD_OPT_FLOAT:
        snprintf(buf, cap, "a number %g..%g%s%s", opt->min, opt->max, space, unit);
        break;
    case PD_OPT_PATH:
        snprintf(buf, cap, "a path as a string");
        break;
    case PD_OPT_URL:
        snprintf(buf, cap, "a URL or path as a string, as in \"rtsp://192.168.1.20/stream1\"");
        break;
    case PD_OPT_SECRET:
        snprintf(buf, cap, "a path or the name of a credential as a string");
        break;
    case PD_OPT_CHOICE:
    case PD_OPT_ENUM:
        expected_choices(opt, buf, cap);
        break;
    case PD_OPT_MODE:
        snprintf(buf, cap, "an octal mode as a string, as in \"0660\"");
        break;
    case PD_OPT_INTS:
        snprintf(buf, cap, "a list of at most %d integers %g..%g", PD_CONFIG_DEVICES_MAX, opt->min, opt->max);
        break;
    case PD_OPT_RECT:
        snprintf(buf, cap, "[x, y, width, height], each 0..1");
        break;
    case PD_OPT_POLYGONS:
        snprintf(buf, cap, "a list of at most %d polygons of 3..%d points [x, y], each 0..1", PD_POLYGONS_MAX,
                 PD_POLYGON_POINTS_MAX);
        break;
    case PD_OPT_STRING:
    case PD_OPT_TYPES:
        snprintf(buf, cap, "a string that is not empty");
        break;
    }
    return buf;
}

int pd_options_defaults(enum pd_config_scope scope, void *base)
{
    const struct pd_option *opt;
    if (scope == PD_SCOPE_CAMERA)
        ((struct pd_camera_config *)base)->post = pd_post_defaults();
    for (int i = 0; (opt = pd_option_at(scope, i)); i++) {
        if (!opt->def || !*opt->def)
            continue;
        pd_json_watch();
        json_t *value = json_loads(opt->def, JSON_DECODE_ANY, NULL);
        struct pd_config_member member = {.key = opt->key, .value = value};
        int r = value && !pd_json_starved() ? pd_option_set(opt, base, NULL, &member) : -ENOMEM;
        json_decref(value);
        if (r < 0)
            return r;
    }
    return 0;
}

void pd_options_finish(enum pd_config_scope scope, void *base)
{
    const struct pd_option *opt;
    for (int i = 0; (opt = pd_option_at(scope, i)); i++) {
        if (!is_text(opt->type))
            continue;
        char **at = (char **)(void *)((char *)base + opt->offset);
        free(*at);
        *at = NULL;
    }
}

/* Whole numbers without ".0", as people write them. */
static json_t *json_number(double v)
{
    return v == rint(v) && fabs(v) < 1e15 ? json_integer((json_int_t)v) : json_real(v);
}

/* A float as people wrote it: 0.1f is 0.1, not 0.10000000149. */
static json_t *json_float(float v)
{
    char text[32];
    snprintf(text, sizeof(text), "%.6g", (double)v);
    return json_number(strtod(text, NULL));
}

static json_t *get_floats(const float *v, int n)
{
    json_t *list = json_array();
    for (int i = 0; list && i < n; i++) {
        if (json_array_append_new(list, json_float(v[i])) < 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static json_t *get_polygons(const struct pd_polygon *polygons, int n)
{
    json_t *list = json_array();
    for (int i = 0; list && i < n; i++) {
        json_t *points = json_array();
        bool good = json_array_append_new(list, points) == 0;
        for (int k = 0; good && k < polygons[i].n; k++)
            good = json_array_append_new(points, get_floats((float[]){polygons[i].x[k], polygons[i].y[k]}, 2)) == 0;
        if (!good) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static json_t *get_ints(const int *v, int n)
{
    json_t *list = json_array();
    for (int i = 0; list && i < n; i++) {
        if (json_array_append_new(list, json_integer(v[i])) < 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static int count(const struct pd_option *opt, const void *base)
{
    return *(const int *)(const void *)((const char *)base + opt->count_offset);
}

json_t *pd_option_get(const struct pd_option *opt, const void *base)
{
    const void *at = (const char *)base + opt->offset;
    char mode[8];
    switch (opt->type) {
    case PD_OPT_BOOL:
        return json_boolean(*(const bool *)at);
    case PD_OPT_INT:
        return json_integer(*(const int *)at);
    case PD_OPT_NUMBER:
        return json_number(*(const double *)at);
    case PD_OPT_FLOAT:
        return json_float(*(const float *)at);
    case PD_OPT_ENUM:
        return json_string(opt->choices[*(const int *)at]);
    case PD_OPT_MODE:
        snprintf(mode, sizeof(mode), "%04o", (unsigned)*(const int *)at & 07777u);
        return json_string(mode);
    case PD_OPT_INTS:
        return get_ints(at, count(opt, base));
    case PD_OPT_RECT:
        return ((const float *)at)[2] > 0 ? get_floats(at, 4) : json_null();
    case PD_OPT_POLYGONS:
        return get_polygons(at, count(opt, base));
    default: /* is_text() */
        return *(char *const *)at ? json_string(*(char *const *)at) : json_null();
    }
}

/* Bytes, for a path may be no UTF-8, of which JSON knows nothing. */
static bool is_same_text(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

bool pd_option_equal(const struct pd_option *opt, const void *a, const void *b)
{
    if (is_text(opt->type))
        return is_same_text(*(char *const *)(const void *)((const char *)a + opt->offset),
                            *(char *const *)(const void *)((const char *)b + opt->offset));
    json_t *va = pd_option_get(opt, a), *vb = pd_option_get(opt, b);
    bool equal = va && vb && json_equal(va, vb);
    json_decref(va);
    json_decref(vb);
    return equal;
}
