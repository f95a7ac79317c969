/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config_doc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/json_memory.h"

/* ---- telling ---- */

static void tell(struct pd_config_doc *doc, int line, const char *kind, const char *key, const char *fmt, va_list ap)
    __attribute__((format(printf, 5, 0)));

static void tell(struct pd_config_doc *doc, int line, const char *kind, const char *key, const char *fmt, va_list ap)
{
    if (!doc || !doc->report || ++doc->n_told > PD_CONFIG_REPORTS_MAX)
        return;
    char what[512];
    vsnprintf(what, sizeof(what), fmt, ap);
    char text[1024];
    if (line > 0)
        snprintf(text, sizeof(text), "%s:%d: %s%s: %s", doc->path, line, kind, key, what);
    else
        snprintf(text, sizeof(text), "%s: %s%s%s%s", doc->path, kind, key, *key ? ": " : "", what);
    /* keys and paths come from outside: they must not forge lines or move the cursor */
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    doc->report(text, doc->user);
}

void pd_config_problem(struct pd_config_doc *doc, int line, const char *key, const char *fmt, ...)
{
    if (doc)
        doc->n_problems++;
    va_list ap;
    va_start(ap, fmt);
    tell(doc, line, "", key, fmt, ap);
    va_end(ap);
}

void pd_config_warning(struct pd_config_doc *doc, int line, const char *key, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    tell(doc, line, "warning: ", key, fmt, ap);
    va_end(ap);
}

/* ---- reading ---- */

/* The directory in which @path names its file, absolute. A link is not followed: it has the link's neighbours. */
static char *dir_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    PD_CLEANUP(pd_freep) char *dir = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    return dir ? realpath(dir, NULL) : NULL;
}

/* Up to @cap bytes of @fd. How many, or a negative errno. */
static ssize_t read_all(int fd, char *text, size_t cap)
{
    size_t size = 0;
    ssize_t n = 0;
    while (size < cap && (n = read(fd, text + size, cap - size)) != 0) {
        if (n > 0)
            size += (size_t)n;
        else if (errno != EINTR)
            return -errno;
    }
    return (ssize_t)size;
}

/* Whether @fd, opened or not, is a file to be read; else the report says why it is not. */
static bool is_readable(struct pd_config_doc *doc, int fd, struct stat *st)
{
    if (fd < 0 || fstat(fd, st) < 0)
        pd_config_problem(doc, 0, "", "cannot be read: %s", strerror(errno));
    else if (!S_ISREG(st->st_mode))
        pd_config_problem(doc, 0, "", "found something that is no regular file, expected a JSON file");
    else if (st->st_size > PD_CONFIG_FILE_MAX)
        pd_config_problem(doc, 0, "", "found %lld bytes, expected at most %d", (long long)st->st_size,
                          PD_CONFIG_FILE_MAX);
    else
        return true;
    return false;
}

/* The whole of regular file @path, 0-terminated. Reports and leaves doc->text NULL when it cannot be had. 0, or
 * what pd_config_passes(). */
static int read_text(struct pd_config_doc *doc, const char *path)
{
    /* O_NONBLOCK: a FIFO in the directory must not hang the daemon; it has no meaning for regular files */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int r = fd < 0 && pd_config_passes(-errno) ? -errno : 0;
    struct stat st;
    if (!is_readable(doc, fd, &st))
        goto out;
    char *text = malloc((size_t)st.st_size + 1);
    if (!text) {
        r = -ENOMEM;
        goto out;
    }
    ssize_t size = read_all(fd, text, (size_t)st.st_size);
    if (size < 0) {
        pd_config_problem(doc, 0, "", "cannot be read: %s", strerror((int)-size));
        r = pd_config_passes((int)size) ? (int)size : 0;
        free(text);
        goto out;
    }
    text[size] = 0;
    doc->text = text;
    doc->size = (size_t)size;
out:
    if (fd >= 0)
        close(fd);
    return r;
}

static int parse_text(struct pd_config_doc *doc)
{
    json_error_t error;
    if (!strncmp(doc->text, "\xef\xbb\xbf", 3)) { /* an editor does not show it */
        pd_config_problem(doc, 1, "JSON", "found a byte order mark, expected UTF-8 without one: save the file so");
        return 0;
    }
    pd_json_watch();
    doc->root = json_loadb(doc->text, doc->size, 0, &error);
    if (pd_json_starved())
        return -ENOMEM; /* the caller closes @doc and what is in it */
    if (!doc->root) {
        /* jansson quotes the text near the error, which may be a password: cut that off */
        char *near = strstr(error.text, " near ");
        if (near)
            *near = 0;
        pd_config_problem(doc, PD_MAX(error.line, 1), "JSON", "%s (column %d); the rest of the file is not checked",
                          error.text, PD_MAX(error.column, 1));
    } else if (!json_is_object(doc->root)) {
        pd_config_problem(doc, 1, "JSON", "found an array, expected an object { \"KEY\": VALUE, ... }");
        json_decref(doc->root);
        doc->root = NULL;
    }
    return 0;
}

int pd_config_doc_open(struct pd_config_doc *doc, const char *path, pd_config_report_fn report, void *user)
{
    *doc = (struct pd_config_doc){.path = path, .report = report, .user = user};
    int r = read_text(doc, path);
    if (r < 0 || !doc->text)
        return r;
    doc->dir = dir_of(path);
    if (!doc->dir) {
        if (errno == ENOMEM)
            return -ENOMEM;
        pd_config_problem(doc, 0, "", "cannot be found: %s", strerror(errno));
        return 0;
    }
    return parse_text(doc);
}

void pd_config_doc_close(struct pd_config_doc *doc)
{
    if (doc->n_told > PD_CONFIG_REPORTS_MAX && doc->report) {
        char text[1024];
        snprintf(text, sizeof(text), "%s: and %d more", doc->path, doc->n_told - PD_CONFIG_REPORTS_MAX);
        doc->report(text, doc->user);
    }
    json_decref(doc->root);
    free(doc->text);
    free(doc->dir);
    *doc = (struct pd_config_doc){0};
}

/* ---- positions: over text that jansson has accepted; bounds are checked all the same ---- */

struct cursor {
    const char *p, *end;
    int line;
};

static void skip_space(struct cursor *c)
{
    for (; c->p < c->end && strchr(" \t\r\n", *c->p) && *c->p; c->p++)
        c->line += *c->p == '\n';
}

static void skip_string(struct cursor *c)
{
    for (c->p++; c->p < c->end && *c->p != '"'; c->p++)
        if (*c->p == '\\')
            c->p++;
    c->p++;
}

/* Over the value at the cursor, however deep it is nested. */
static void skip_value(struct cursor *c)
{
    int depth = 0;
    do {
        skip_space(c);
        if (c->p >= c->end)
            return;
        if (*c->p == '"') {
            skip_string(c);
        } else if (strchr("[{", *c->p)) {
            depth++;
            c->p++;
        } else if (strchr("]}", *c->p)) {
            depth--;
            c->p++;
        } else if (strchr(",:", *c->p)) {
            c->p++;
        } else {
            c->p += strcspn(c->p, ",:]} \t\r\n"); /* a number, true, false, null; text ends with a 0 */
        }
    } while (depth > 0);
}

/* Past white space and @punctuation, if that is what comes. */
static bool accept(struct cursor *c, char punctuation)
{
    skip_space(c);
    if (c->p >= c->end || *c->p != punctuation)
        return false;
    c->p++;
    skip_space(c);
    return true;
}

int pd_config_member_line(const struct pd_config_doc *doc, const struct pd_config_member *member, const int *index,
                          int n)
{
    if (!doc || n == 0)
        return member->line;
    struct cursor c = {member->at, doc->text + doc->size, member->value_line};
    for (int i = 0; i < n; i++) {
        if (!accept(&c, '['))
            return member->line;
        for (int k = 0; k < index[i]; k++) {
            skip_value(&c);
            if (!accept(&c, ','))
                return member->line;
        }
    }
    return c.line;
}

/* The key at the cursor without its escapes. */
static json_t *decode_key(const char *begin, const char *end)
{
    pd_json_watch();
    json_t *key = json_loadb(begin, (size_t)(end - begin), JSON_DECODE_ANY, NULL);
    if (!pd_json_starved())
        return key;
    json_decref(key);
    return NULL;
}

int pd_config_doc_each(struct pd_config_doc *doc, int (*each)(const struct pd_config_member *member, void *user),
                       void *user)
{
    struct cursor c = {doc->text, doc->text + doc->size, 1};
    json_t *seen = json_object();
    int r = seen ? 0 : -ENOMEM;
    bool more = r == 0 && accept(&c, '{') && c.p < c.end && *c.p == '"';
    while (more && r == 0) {
        struct pd_config_member m = {.line = c.line};
        const char *key_at = c.p;
        skip_string(&c);
        json_t *key = decode_key(key_at, c.p);
        accept(&c, ':');
        m.at = c.p;
        m.value_line = c.line;
        skip_value(&c);
        more = accept(&c, ',');

        m.key = json_string_value(key);
        const json_t *before = m.key ? json_object_get(seen, m.key) : NULL;
        if (!m.key)
            r = -ENOMEM;
        else if (!strncmp(m.key, "//", 2) || !strcmp(m.key, "$schema"))
            r = 0;
        else if (before)
            pd_config_problem(doc, m.line, m.key, "found a second time, expected once; the first is on line %d",
                              (int)json_integer_value(before));
        else if (json_object_set_new(seen, m.key, json_integer(m.line)) < 0)
            r = -ENOMEM;
        else {
            m.value = json_object_get(doc->root, m.key);
            r = each(&m, user);
        }
        json_decref(key);
    }
    json_decref(seen);
    return r;
}
