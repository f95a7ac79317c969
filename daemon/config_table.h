#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * The one table of every configuration key. The parser, `--help`, the example files, the man page and the JSON Schema
 * are all walks over it, so a key that is added here is everywhere. Const data, any thread.
 */
#include "daemon/config.h"

struct json_t;

enum pd_option_type {
    PD_OPT_BOOL,     /* bool */
    PD_OPT_INT,      /* int, min..max */
    PD_OPT_NUMBER,   /* double, min..max */
    PD_OPT_FLOAT,    /* float, min..max */
    PD_OPT_STRING,   /* char *, not empty */
    PD_OPT_PATH,     /* char *, relative ones start at the file's own directory */
    PD_OPT_URL,      /* char *, an input for pd_reader_open without anything secret in it */
    PD_OPT_SECRET,   /* char *, where a password is: a path or a credential's name */
    PD_OPT_CHOICE,   /* char *, one of choices */
    PD_OPT_ENUM,     /* int-sized enum, the index into choices */
    PD_OPT_MODE,     /* int, file mode as an octal string "0660" */
    PD_OPT_INTS,     /* int[8] and a count */
    PD_OPT_RECT,     /* float[4]: x y w h, fractions of the frame */
    PD_OPT_POLYGONS, /* struct pd_polygon[] and a count */
    PD_OPT_TYPES
};

/* What has to happen for a changed value to take effect after SIGHUP. */
enum pd_option_change { PD_CHANGE_LIVE, PD_CHANGE_CAMERA, PD_CHANGE_RESTART };

struct pd_option {
    const char *key;
    enum pd_option_type type;
    enum pd_config_scope scope;
    size_t offset;       /* in struct pd_config or struct pd_camera_config */
    size_t count_offset; /* of the int beside an array */
    double min, max;     /* both 0: not limited */
    const char *const *choices; /* NULL-terminated */
    const char *def;     /* as JSON; "": the part of the program that uses it has one; NULL: not set, null accepted */
    const char *example; /* as JSON, where the default would not do in the example file */
    bool required;
    const char *unit;
    const char *text;    /* one or two sentences, no markup */
    enum pd_option_change on_change;
};

/* The i-th option of @scope in the order in which people should read about them; NULL past the last. */
const struct pd_option *pd_option_at(enum pd_config_scope scope, int i);
const struct pd_option *pd_option_find(enum pd_config_scope scope, const char *key);
/* The key of @scope that @key was most likely meant to be, NULL when none is near. */
const char *pd_option_nearest(enum pd_config_scope scope, const char *key);

/* "an integer 1..32", "one of \"tcp\", \"udp\"": what a value has to be, for messages and help. Returns @buf. */
const char *pd_option_expected(const struct pd_option *opt, char *buf, size_t cap);

/* Fill a zeroed struct pd_config / pd_camera_config with the table's defaults. Returns 0 or -ENOMEM. */
int pd_options_defaults(enum pd_config_scope scope, void *base);
/* Free what the options of @scope own in @base and clear it. */
void pd_options_finish(enum pd_config_scope scope, void *base);
/* The value in @base as new JSON (null: not set). NULL: out of memory. */
struct json_t *pd_option_get(const struct pd_option *opt, const void *base);
/* Whether both hold the same value. False as well when memory runs out: a needless restart is the safe side. */
bool pd_option_equal(const struct pd_option *opt, const void *a, const void *b);
