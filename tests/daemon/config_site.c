/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/daemon/config_site.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int site_setup(void **state)
{
    struct site *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    strcpy(s->dir, "/tmp/posed-config-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    snprintf(s->main, sizeof(s->main), "%s/posed.json", s->dir);
    snprintf(s->cameras, sizeof(s->cameras), "%s/cameras.d", s->dir);
    assert_int_equal(mkdir(s->cameras, 0700), 0);
    *state = s;
    return 0;
}

int site_teardown(void **state)
{
    struct site *s = *state;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", s->dir);
    assert_int_equal(system(command), 0);
    free(s);
    return 0;
}

void put_bytes(const char *path, const char *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

void put(struct site *s, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", s->dir, name);
    put_bytes(path, text, strlen(text));
    assert_int_equal(chmod(path, 0600), 0);
}

static void keep_line(const char *line, void *user)
{
    struct site *s = user;
    assert_true(s->n_lines < (int)PD_ARRAY_SIZE(s->lines));
    snprintf(s->lines[s->n_lines++], sizeof(s->lines[0]), "%s", line);
}

int load(struct site *s, struct pd_config **ret_config)
{
    s->n_lines = 0;
    return pd_config_load(s->main, keep_line, s, ret_config);
}

void assert_line(struct site *s, int i, const char *file, int line, const char *rest)
{
    char wanted[512];
    if (line > 0)
        snprintf(wanted, sizeof(wanted), "%s/%s:%d: %s", s->dir, file, line, rest);
    else
        snprintf(wanted, sizeof(wanted), "%s/%s: %s", s->dir, file, rest);
    assert_true(i < s->n_lines);
    if (strncmp(s->lines[i], wanted, strlen(wanted)))
        fail_msg("line %d is\n  %s\nnot\n  %s", i, s->lines[i], wanted);
}
