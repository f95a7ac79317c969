/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "daemon/config.h"
#include "daemon/config_table.h"

/* A folder of config files in /tmp for one test, and the lines that loading it told. */
struct site {
    char dir[64], main[96], cameras[96];
    int n_lines;
    char lines[256][1100];
};

static int setup(void **state)
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

static int teardown(void **state)
{
    struct site *s = *state;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", s->dir);
    assert_int_equal(system(command), 0);
    free(s);
    return 0;
}

static void put_bytes(const char *path, const char *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

static void put(struct site *s, const char *name, const char *text)
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

static int load(struct site *s, struct pd_config **ret_config)
{
    s->n_lines = 0;
    return pd_config_load(s->main, keep_line, s, ret_config);
}

/* Line @i of the report is "@file:@line: @rest...". */
static void assert_line(struct site *s, int i, const char *file, int line, const char *rest)
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

static void an_empty_object_gives_every_default(void **state)
{
    struct site *s = *state;
    struct pd_config *c = NULL;
    put(s, "posed.json", "{}");
    put(s, "cameras.d/till.json", "{\"url\": \"test:people\"}");
    assert_int_equal(load(s, &c), 0);
    assert_int_equal(s->n_lines, 0);
    assert_string_equal(c->socket, "/run/posed/posed.sock");
    assert_int_equal(c->socket_mode, 0660);
    assert_null(c->socket_group);
    assert_string_equal(c->engine, "auto");
    assert_int_equal(c->precision, PD_PRECISION_AUTO);
    assert_int_equal(c->batch, 32);
    assert_int_equal(c->n_devices, 0);
    assert_string_equal(c->cameras_dir, s->cameras);
    assert_int_equal(c->n_cameras, 1);
    const struct pd_camera_config *k = &c->cameras[0];
    assert_string_equal(k->name, "till");
    assert_string_equal(k->url, "test:people");
    assert_true(k->enabled);
    assert_int_equal(k->transport, PD_TRANSPORT_TCP);
    assert_float_equal(k->read_timeout_s, 3, 0);
    assert_float_equal(k->post.peak_threshold, pd_post_defaults().peak_threshold, 0);
    assert_null(k->password);
    pd_config_destroy(c);
}

static void five_mistakes_are_told_with_their_lines(void **state)
{
    struct site *s = *state;
    struct pd_config *c = NULL;
    put(s, "posed.json", "{\n  \"sokcet\": \"/tmp/x\",\n  \"batch\": 33,\n\n  \"engine\": \"tensorrt\"\n}\n");
    put(s, "cameras.d/a.json", "{\n  \"url\": \"test:people\",\n  \"track\": \"yes\"\n}\n");
    put(s, "cameras.d/b.json", "{\n  \"max_fps\": 10,\n  \"max_fps\": 12,\n  \"url\":\n  \"test:people\" }");
    assert_int_equal(load(s, &c), -EINVAL);
    assert_null(c);
    assert_int_equal(s->n_lines, 5);
    assert_line(s, 0, "posed.json", 2, "sokcet: found an unknown key, expected perhaps \"socket\"");
    assert_line(s, 1, "posed.json", 3, "batch: found 33, expected an integer 1..32 frames");
    assert_line(s, 2, "posed.json", 5, "engine: found \"tensorrt\", expected one of \"auto\", \"cudnn\"");
    assert_line(s, 3, "cameras.d/a.json", 3, "track: found \"yes\", expected true or false");
    assert_line(s, 4, "cameras.d/b.json", 3, "max_fps: found a second time, expected once; the first is on line 2");
}

int main(void)
{
#define SITE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        SITE_TEST(an_empty_object_gives_every_default),
        SITE_TEST(five_mistakes_are_told_with_their_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
