/* SPDX-License-Identifier: Apache-2.0 - the option table as documents for people and editors. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/config_table.h"

#define DUMP_FLAGS (JSON_ENCODE_ANY | JSON_REAL_PRECISION(6))

/* One option and its default as JSON text. */
struct row {
    const struct pd_option *opt;
    json_t *def;
    char *def_text;
    char expected[400];
};

static const char *when(enum pd_option_change change)
{
    static const char *const names[] = {
        [PD_CHANGE_LIVE] = "a reload applies it",
        [PD_CHANGE_CAMERA] = "a reload restarts this camera",
        [PD_CHANGE_RESTART] = "needs a restart",
    };
    return names[change];
}

static bool is_set(const struct row *row)
{
    return !row->opt->required && !json_is_null(row->def);
}

/* The default, or what holds where there is none. */
static const char *default_words(const struct row *row)
{
    return row->opt->required ? "required" : is_set(row) ? row->def_text : "not set";
}

/* ---- help ---- */

/* @text in lines of at most @width columns, each after @indent blanks. */
static void print_wrapped(const char *text, int indent, int width)
{
    int column = 0;
    while (*text) {
        int word = (int)strcspn(text, " ");
        if (column > 0 && column + 1 + word > width) {
            putchar('\n');
            column = 0;
        }
        column += column == 0 ? printf("%*s%.*s", indent, "", word, text) : printf(" %.*s", word, text);
        text += word + (int)strspn(text + word, " ");
    }
    putchar('\n');
}

static void print_help(const struct row *row, bool last)
{
    printf("  %s: %s; %s%s\n", row->opt->key, row->expected, is_set(row) ? "default " : "", default_words(row));
    print_wrapped(row->opt->text, 6, 90);
}

/* ---- man page ---- */

/* Text as roff: no accidental escapes, requests or hyphens that cannot be copied. */
static void print_roff(const char *text)
{
    if (*text == '.' || *text == '\'')
        printf("\\&");
    for (; *text; text++) {
        if (*text == '\\')
            printf("\\e");
        else if (*text == '-')
            printf("\\-");
        else if (*text == '\'')
            printf("\\(aq");
        else
            putchar(*text);
    }
}

/* Sentences on lines of their own, as roff wants them for its spacing. */
static void print_roff_text(const char *text)
{
    const char *end;
    while ((end = strstr(text, ". "))) {
        char sentence[600];
        snprintf(sentence, sizeof(sentence), "%.*s", (int)(end + 1 - text), text);
        print_roff(sentence);
        putchar('\n');
        text = end + 2;
    }
    print_roff(text);
    putchar('\n');
}

static void print_man(const struct row *row, bool last)
{
    printf(".TP\n\\fB");
    print_roff(row->opt->key);
    printf("\\fP\n");
    print_roff_text(row->opt->text);
    printf(".br\n");
    print_roff(row->expected);
    printf(is_set(row) ? "; default \\fB" : "; ");
    print_roff(default_words(row));
    printf(is_set(row) ? "\\fP; " : "; ");
    print_roff(when(row->opt->on_change));
    printf("\n");
}

/* ---- example file ---- */

static void print_example(const struct row *row, bool last)
{
    json_t *text = json_sprintf("%s Value: %s.", row->opt->text, row->expected);
    char *quoted = text ? json_dumps(text, DUMP_FLAGS) : NULL;
    if (quoted)
        printf("    \"// %s\": %s,\n", row->opt->key, quoted);
    printf("    \"%s\": %s%s\n", row->opt->key, row->opt->example ? row->opt->example : row->def_text,
           last ? "" : ",\n");
    free(quoted);
    json_decref(text);
}

/* ---- JSON Schema ---- */

static json_t *schema_of(const struct pd_option *opt)
{
    json_t *fraction = json_pack("{s:s, s:i, s:i}", "type", "number", "minimum", 0, "maximum", 1);
    json_t *schema = NULL;
    switch (opt->type) {
    case PD_OPT_BOOL:
        schema = json_pack("{s:s}", "type", "boolean");
        break;
    case PD_OPT_INT:
        schema = json_pack("{s:s, s:i, s:i}", "type", "integer", "minimum", (int)opt->min, "maximum", (int)opt->max);
        break;
    case PD_OPT_NUMBER:
    case PD_OPT_FLOAT:
        schema = json_pack("{s:s, s:f, s:f}", "type", "number", "minimum", opt->min, "maximum", opt->max);
        break;
    case PD_OPT_URL:
        /* nothing secret: no "user:password@" */
        schema = json_pack("{s:s, s:i, s:{s:s}}", "type", "string", "minLength", 1, "not", "pattern",
                           "^[A-Za-z]+://[^/?#]*@");
        break;
    case PD_OPT_MODE:
        schema = json_pack("{s:s, s:s}", "type", "string", "pattern", "^[0-7]{3,4}$");
        break;
    case PD_OPT_CHOICE:
    case PD_OPT_ENUM:
        schema = json_pack("{s:[]}", "enum");
        for (int i = 0; schema && opt->choices[i]; i++)
            json_array_append_new(json_object_get(schema, "enum"), json_string(opt->choices[i]));
        break;
    case PD_OPT_INTS:
        schema = json_pack("{s:s, s:i, s:b, s:{s:s, s:i, s:i}}", "type", "array", "maxItems", PD_CONFIG_DEVICES_MAX,
                           "uniqueItems", 1, "items", "type", "integer", "minimum", (int)opt->min, "maximum",
                           (int)opt->max);
        break;
    case PD_OPT_RECT:
        schema = json_pack("{s:[ss], s:i, s:i, s:O}", "type", "array", "null", "minItems", 4, "maxItems", 4, "items",
                           fraction);
        break;
    case PD_OPT_POLYGONS:
        schema = json_pack("{s:s, s:i, s:{s:s, s:i, s:i, s:{s:s, s:i, s:i, s:O}}}", "type", "array", "maxItems",
                           PD_POLYGONS_MAX, "items", "type", "array", "minItems", 3, "maxItems", PD_POLYGON_POINTS_MAX,
                           "items", "type", "array", "minItems", 2, "maxItems", 2, "items", fraction);
        break;
    default: /* strings; one without a default may be null */
        schema = opt->def ? json_pack("{s:s, s:i}", "type", "string", "minLength", 1)
                          : json_pack("{s:[ss], s:i}", "type", "string", "null", "minLength", 1);
        break;
    }
    json_decref(fraction);
    return schema;
}

static int add_property(json_t *properties, json_t *required, const struct row *row)
{
    json_t *schema = schema_of(row->opt);
    int r = json_object_set_new(schema, "description", json_string(row->opt->text));
    if (r == 0 && row->opt->required)
        r = json_array_append_new(required, json_string(row->opt->key));
    else if (r == 0)
        r = json_object_set(schema, "default", row->def);
    if (r == 0)
        return json_object_set_new(properties, row->opt->key, schema);
    json_decref(schema);
    return r;
}

static int print_schema(enum pd_config_scope scope, const struct row *rows, int n)
{
    json_t *properties = json_pack("{s:{s:s}}", "$schema", "type", "string");
    json_t *required = json_array();
    int r = properties && required ? 0 : -ENOMEM;
    for (int i = 0; i < n && r == 0; i++)
        r = add_property(properties, required, &rows[i]) < 0 ? -ENOMEM : 0;
    const char *title = scope == PD_SCOPE_DAEMON ? "posed.json" : "cameras.d/NAME.json";
    json_t *schema = NULL;
    if (r == 0)
        schema = json_pack("{s:s, s:s, s:s, s:b, s:{s:{}}, s:O, s:O}", "$schema",
                           "http://json-schema.org/draft-07/schema#", "title", title, "type", "object",
                           "additionalProperties", 0, "patternProperties", "^//", "properties", properties, "required",
                           required);
    if (!schema)
        r = -ENOMEM;
    else if (json_dumpf(schema, stdout, JSON_INDENT(2) | DUMP_FLAGS) < 0)
        r = -EIO;
    putchar('\n');
    json_decref(schema);
    json_decref(properties);
    json_decref(required);
    return r;
}

/* ---- all rows of a scope ---- */

static int make_rows(enum pd_config_scope scope, struct row *rows, int n)
{
    union {
        struct pd_config daemon;
        struct pd_camera_config camera;
    } *defaults = calloc(1, sizeof(*defaults));
    int r = defaults ? pd_options_defaults(scope, defaults) : -ENOMEM;
    for (int i = 0; i < n && r == 0; i++) {
        rows[i].opt = pd_option_at(scope, i);
        rows[i].def = pd_option_get(rows[i].opt, defaults);
        rows[i].def_text = rows[i].def ? json_dumps(rows[i].def, DUMP_FLAGS) : NULL;
        pd_option_expected(rows[i].opt, rows[i].expected, sizeof(rows[i].expected));
        if (!rows[i].def_text)
            r = -ENOMEM;
    }
    if (defaults)
        pd_options_finish(scope, defaults);
    free(defaults);
    return r;
}

int pd_config_print(enum pd_config_scope scope, enum pd_config_form form)
{
    static void (*const printers[])(const struct row *row, bool last) = {
        [PD_FORM_EXAMPLE] = print_example, [PD_FORM_MAN] = print_man, [PD_FORM_HELP] = print_help};
    int n = 0;
    while (pd_option_at(scope, n))
        n++;
    struct row *rows = calloc((size_t)n, sizeof(*rows));
    int r = rows ? make_rows(scope, rows, n) : -ENOMEM;
    if (r == 0 && form == PD_FORM_SCHEMA) {
        r = print_schema(scope, rows, n);
    } else if (r == 0) {
        printf("%s", form == PD_FORM_EXAMPLE ? "{\n" : "");
        for (int i = 0; i < n; i++)
            printers[form](&rows[i], i == n - 1);
        printf("%s", form == PD_FORM_EXAMPLE ? "}\n" : "");
    }
    for (int i = 0; rows && i < n; i++) {
        json_decref(rows[i].def);
        free(rows[i].def_text);
    }
    free(rows);
    if (r == 0 && (fflush(stdout) != 0 || ferror(stdout)))
        r = -EIO;
    return r;
}
