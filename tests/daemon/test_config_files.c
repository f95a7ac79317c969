/* SPDX-License-Identifier: Apache-2.0 - the files and the folder that a configuration is read from. */
#include "tests/daemon/config_site.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void a_syntax_error_has_its_line_and_hides_nothing_else(void **state)
{
    struct site *s = *state;
    struct pd_config *c = NULL;
    put(s, "posed.json", "{\n  \"batch\": 99\n}");
    put(s, "cameras.d/a.json", "{\n  \"url\"\n  \"rtsp://u:s3cret@host/\"\n}");
    put(s, "cameras.d/b.json", "[]");
    put(s, "cameras.d/c.json", "");
    put(s, "cameras.d/d.json", "{\"url\": \"test:people\", \"smoth\": 1}");
    assert_int_equal(load(s, &c), -EINVAL);
    assert_int_equal(s->n_lines, 5);
    assert_line(s, 0, "posed.json", 2, "batch: ");
    assert_line(s, 1, "cameras.d/a.json", 3, "JSON: ':' expected");
    assert_null(strstr(s->lines[1], "s3cret"));
    assert_line(s, 2, "cameras.d/b.json", 1, "JSON: found an array");
    assert_line(s, 3, "cameras.d/c.json", 1, "JSON: ");
    assert_line(s, 4, "cameras.d/d.json", 1, "smoth: found an unknown key, expected perhaps \"smooth\"");
}

static void a_broken_main_file_does_not_hide_the_cameras(void **state)
{
    struct site *s = *state;
    struct pd_config *c = NULL;
    put(s, "posed.json", "{\"batch\": 1,}");
    put(s, "cameras.d/a.json", "{}");
    assert_int_equal(load(s, &c), -EINVAL);
    assert_int_equal(s->n_lines, 2);
    assert_line(s, 0, "posed.json", 1, "JSON: ");
    assert_line(s, 1, "cameras.d/a.json", 1, "url: ");
}

static void a_byte_order_mark_is_told(void **state)
{
    struct site *s = *state;
    struct pd_config *c = NULL;
    put(s, "posed.json", "\xef\xbb\xbf{}");
    assert_int_equal(load(s, &c), -EINVAL);
    assert_int_equal(s->n_lines, 1);
    assert_line(s, 0, "posed.json", 1, "JSON: found a byte order mark, expected UTF-8 without one");
}

static void odd_files_are_told(void **state)
{
    struct site *s = *state;
    struct pd_config *c = NULL;
    assert_int_equal(load(s, &c), -EINVAL);
    assert_int_equal(s->n_lines, 1);
    assert_line(s, 0, "posed.json", 0, "cannot be read: No such file or directory");

    char path[256];
    put(s, "posed.json", "{}");
    snprintf(path, sizeof(path), "%s/a.json", s->cameras);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/b.json", s->cameras);
    assert_int_equal(mkfifo(path, 0600), 0);
    char *big = malloc(1024 * 1024 + 1);
    assert_non_null(big);
    memset(big, ' ', 1024 * 1024 + 1);
    snprintf(path, sizeof(path), "%s/c.json", s->cameras);
    put_bytes(path, big, 1024 * 1024 + 1);
    free(big);
    assert_int_equal(load(s, &c), -EINVAL);
    assert_int_equal(s->n_lines, 3);
    assert_line(s, 0, "cameras.d/a.json", 0, "found something that is no regular file");
    assert_line(s, 1, "cameras.d/b.json", 0, "found something that is no regular file");
    assert_line(s, 2, "cameras.d/c.json", 0, "found 1048577 bytes, expected at most 1048576");
}

static void want_of_descriptors_is_no_mistake_of_the_files(void **state)
{
    struct site *s = *state;
    struct pd_config *c = NULL;
    struct rlimit limit, low;
    put(s, "posed.json", "{}");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    low = (struct rlimit){.rlim_cur = 0, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    int r = load(s, &c);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(r, -EMFILE);
    assert_int_equal(s->n_lines, 1);
    assert_line(s, 0, "posed.json", 0, "cannot be read: Too many open files");
}

static void camera_names_are_checked_and_sorted(void **state)
{
    struct site *s = *state;
    struct pd_config *c = NULL;
    char name[128] = "cameras.d/";
    put(s, "posed.json", "{}");
    put(s, "cameras.d/a-b.json", "{\"url\": \"test:people\"}");
    put(s, "cameras.d/a.json", "{\"url\": \"test:people\"}");
    put(s, "cameras.d/.hidden.json", "not read");
    put(s, "cameras.d/a.json~", "not read");
    assert_int_equal(load(s, &c), 0);
    assert_int_equal(c->n_cameras, 2);
    assert_string_equal(c->cameras[0].name, "a");
    assert_string_equal(c->cameras[1].name, "a-b");
    pd_config_destroy(c);

    memset(name + strlen(name), 'x', PD_CAMERA_NAME_MAX);
    strcat(name, ".json");
    put(s, name, "{\"url\": \"test:people\"}");
    put(s, "cameras.d/front door.json", "{}");
    assert_int_equal(load(s, &c), -EINVAL);
    assert_int_equal(s->n_lines, 3);
    assert_line(s, 0, "cameras.d/front door.json", 0, "file name: found a camera name with other characters");
    assert_line(s, 1, "cameras.d/front door.json", 1, "url: ");
    assert_line(s, 2, name, 0, "file name: found a camera name that is too long");
}

static void more_cameras_than_can_be_are_told(void **state)
{
    struct site *s = *state;
    struct pd_config *c = NULL;
    put(s, "posed.json", "{}");
    for (int i = 0; i <= PD_CAMERAS_MAX; i++) {
        char name[64];
        snprintf(name, sizeof(name), "cameras.d/c%03d.json", i);
        put(s, name, "{\"url\": \"test:people\"}");
    }
    assert_int_equal(load(s, &c), -EINVAL);
    assert_int_equal(s->n_lines, 1);
    assert_line(s, 0, "cameras.d", 0, "cameras_dir: found 257 camera files, expected at most 256");
}

static void a_missing_folder_matters_only_when_it_was_asked_for(void **state)
{
    struct site *s = *state;
    struct pd_config *c = NULL;
    assert_int_equal(rmdir(s->cameras), 0);
    put(s, "posed.json", "{}");
    assert_int_equal(load(s, &c), 0);
    assert_int_equal(c->n_cameras, 0);
    pd_config_destroy(c);
    put(s, "posed.json", "{\n\"cameras_dir\": \"cams\"}");
    assert_int_equal(load(s, &c), -EINVAL);
    char told[300];
    snprintf(told, sizeof(told), "cameras_dir: found a directory that cannot be read: %s/cams: No such file", s->dir);
    assert_line(s, 0, "posed.json", 2, told);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SITE_TEST(a_syntax_error_has_its_line_and_hides_nothing_else),
        SITE_TEST(a_broken_main_file_does_not_hide_the_cameras),
        SITE_TEST(a_byte_order_mark_is_told),
        SITE_TEST(odd_files_are_told),
        SITE_TEST(want_of_descriptors_is_no_mistake_of_the_files),
        SITE_TEST(camera_names_are_checked_and_sorted),
        SITE_TEST(more_cameras_than_can_be_are_told),
        SITE_TEST(a_missing_folder_matters_only_when_it_was_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
