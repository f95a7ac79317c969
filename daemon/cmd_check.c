/* SPDX-License-Identifier: Apache-2.0 - `posed check`: what is wrong before it matters. */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "daemon/check.h"
#include "daemon/command.h"
#include "daemon/config.h"

struct pd_check {
    json_t *findings; /* NULL: lines as they come */
    int n[PD_CHECK_FAIL + 1];
};

static const char *const level_names[] = {"ok", "note", "warn", "fail"};

/* A path may be no UTF-8: a finding with question marks in it is better than none. */
static json_t *text_of(char *text)
{
    json_t *string = json_string(text);
    for (char *c = text; !string && *c; c++)
        if ((signed char)*c < 0)
            *c = '?';
    return string ? string : json_string(text);
}

void pd_check_tell(struct pd_check *check, enum pd_check_level level, const char *part, const char *fmt, ...)
{
    char text[1200];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    pd_log_clean(text, n < 0 || (size_t)n >= sizeof(text));
    check->n[level]++;
    if (check->findings)
        json_array_append_new(check->findings, json_pack("{s:s, s:s, s:o}", "level", level_names[level], "part", part,
                                                         "text", text_of(text)));
    else
        printf("%-4s  %-8s  %s\n", level_names[level], part, text);
}

static void tell_config(const char *line, void *user)
{
    pd_check_tell(user, strstr(line, ": warning: ") ? PD_CHECK_WARN : PD_CHECK_FAIL, "config", "%s", line);
}

static void check_all(struct pd_check *check, const char *path, bool files_only, bool cameras)
{
    struct pd_config *config = NULL;
    int r = pd_config_load(path, tell_config, check, &config);
    if (r < 0) {
        if (r == -ENOMEM)
            pd_check_tell(check, PD_CHECK_FAIL, "config", "%s: %s", path, strerror(-r));
        return;
    }
    if (config->n_cameras == 0)
        pd_check_tell(check, PD_CHECK_WARN, "config", "%s: no camera in %s; the daemon would run, and wait for a "
                      "NAME.json there and a reload", path, config->cameras_dir);
    else
        pd_check_tell(check, PD_CHECK_OK, "config", "%s: %d camera%s in %s", path, config->n_cameras,
                      config->n_cameras == 1 ? "" : "s", config->cameras_dir);
    if (files_only)
        goto out;
    pd_check_site(check, config);
    pd_check_engine(check, config);
    if (cameras)
        pd_check_cameras(check, config);
    else
        pd_check_inputs(check, config);
out:
    pd_config_destroy(config);
}

static int finish(struct pd_check *check)
{
    bool good = check->n[PD_CHECK_FAIL] == 0;
    if (check->findings) {
        json_t *all = json_pack("{s:b, s:O}", "ok", good, "findings", check->findings);
        if (!all || json_dumpf(all, stdout, JSON_INDENT(2)) < 0) {
            fprintf(stderr, "posed check: the findings could not be written: out of memory\n");
            good = false;
        }
        putchar('\n');
        json_decref(all);
    } else {
        printf("%d problem%s, %d warning%s\n", check->n[PD_CHECK_FAIL], check->n[PD_CHECK_FAIL] == 1 ? "" : "s",
               check->n[PD_CHECK_WARN], check->n[PD_CHECK_WARN] == 1 ? "" : "s");
    }
    json_decref(check->findings);
    if (fflush(stdout) == EOF || ferror(stdout)) {
        fprintf(stderr, "posed check: cannot write to standard output\n");
        good = false;
    }
    return good ? PD_EXIT_OK : PD_EXIT_FAILURE;
}

/* ---- command line ---- */

struct arguments {
    const char *config, *print, *scope;
    bool cameras, files, json;
};

static void usage(FILE *out)
{
    fprintf(out,
            "usage: posed check [OPTION...]\n\n"
            "Says what is wrong before it matters: configuration, network file, engines,\n"
            "socket and, if asked, cameras. Changes nothing.\n\n"
            "  -c, --config FILE   default: " PD_SYSCONFDIR "/posed.json\n"
            "      --cameras       open each camera once\n"
            "      --files         look at the configuration files alone, as a reload does\n"
            "      --json          findings as JSON\n"
            "      --print WHAT    only print what keys a file may have, as help, example,\n"
            "                      schema (JSON Schema) or man (roff)\n"
            "      --scope FILE    for --print: daemon is posed.json (default), camera is\n"
            "                      cameras.d/NAME.json\n"
            "  -h, --help          this text\n\n"
            "Exit status: 0 no problem, 1 problems, 2 wrong usage.\n"
            "Example: posed check --cameras\n");
}

static int print_form(const struct arguments *args)
{
    static const char *const forms[] = {[PD_FORM_SCHEMA] = "schema", [PD_FORM_EXAMPLE] = "example",
                                        [PD_FORM_MAN] = "man", [PD_FORM_HELP] = "help"};
    static const char *const scopes[] = {[PD_SCOPE_DAEMON] = "daemon", [PD_SCOPE_CAMERA] = "camera"};
    size_t form = 0, scope = 0;
    while (form < PD_ARRAY_SIZE(forms) && strcmp(args->print, forms[form]) != 0)
        form++;
    while (scope < PD_ARRAY_SIZE(scopes) && strcmp(args->scope, scopes[scope]) != 0)
        scope++;
    if (form == PD_ARRAY_SIZE(forms) || scope == PD_ARRAY_SIZE(scopes)) {
        fprintf(stderr, "posed check: --print is one of schema, example, man, help; --scope is daemon or camera\n");
        return PD_EXIT_USAGE;
    }
    int r = pd_config_print((enum pd_config_scope)scope, (enum pd_config_form)form);
    if (r < 0)
        fprintf(stderr, "posed check: cannot print: %s\n", strerror(-r));
    return r < 0 ? PD_EXIT_FAILURE : PD_EXIT_OK;
}

/* Returns -1 with @args set, or the exit code when the program has nothing more to do. */
static int parse(int argc, char **argv, struct arguments *args)
{
    enum { OPT_CAMERAS = 256, OPT_FILES, OPT_JSON, OPT_PRINT, OPT_SCOPE };
    static const struct option long_options[] = {
        {"config", required_argument, NULL, 'c'},      {"cameras", no_argument, NULL, OPT_CAMERAS},
        {"files", no_argument, NULL, OPT_FILES},       {"json", no_argument, NULL, OPT_JSON},
        {"print", required_argument, NULL, OPT_PRINT}, {"scope", required_argument, NULL, OPT_SCOPE},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int c;
    opterr = 0; /* one line of our own instead */
    while ((c = getopt_long(argc, argv, "c:h", long_options, NULL)) != -1) {
        if (c == 'c') {
            args->config = optarg;
        } else if (c == OPT_CAMERAS) {
            args->cameras = true;
        } else if (c == OPT_FILES) {
            args->files = true;
        } else if (c == OPT_JSON) {
            args->json = true;
        } else if (c == OPT_PRINT) {
            args->print = optarg;
        } else if (c == OPT_SCOPE) {
            args->scope = optarg;
        } else if (c == 'h') {
            usage(stdout);
            return PD_EXIT_OK;
        } else {
            fprintf(stderr, "posed check: '%s' is no option, or lacks its value; see posed check --help\n",
                    argv[optind - 1]);
            return PD_EXIT_USAGE;
        }
    }
    if (optind == argc)
        return -1;
    fprintf(stderr, "posed check: does not know what to do with '%s'; see posed check --help\n", argv[optind]);
    return PD_EXIT_USAGE;
}

static int run(int argc, char **argv)
{
    struct arguments args = {.config = PD_SYSCONFDIR "/posed.json", .scope = "daemon"};
    int code = parse(argc, argv, &args);
    if (code >= 0)
        return code;
    if (args.print)
        return print_form(&args);
    struct pd_check check = {.findings = args.json ? json_array() : NULL};
    check_all(&check, args.config, args.files, args.cameras);
    return finish(&check);
}

const struct pd_command pd_cmd_check = {"check", "say what is wrong before it matters", run};
