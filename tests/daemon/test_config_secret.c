/* SPDX-License-Identifier: Apache-2.0 - passwords: where they come from, and that none is shown. */
#include "tests/daemon/config_site.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"

static void a_password_in_the_url_is_refused_and_not_shown(void **state)
{
    static const char *const urls[] = {"rtsp://admin:s3cret@10.0.0.1/a", "rtsp://s3cret@10.0.0.1/",
                                       "RTSP://admin:s3cret@[::1]:554/a", "http://admin:s3/cret@cam/x?y",
                                       "rtsp://admin:s3cret#@10.0.0.1", "s3cret://x", "rtsp:s3cret"};
    struct site *s = *state;
    put(s, "posed.json", "{}");
    for (size_t i = 0; i < PD_ARRAY_SIZE(urls); i++) {
        struct pd_config *c = NULL;
        char text[256];
        snprintf(text, sizeof(text), "{\"url\": \"%s\"}", urls[i]);
        put(s, "cameras.d/till.json", text);
        assert_int_equal(load(s, &c), -EINVAL);
        assert_int_equal(s->n_lines, 1);
        assert_null(strstr(s->lines[0], "s3"));
    }
}

static void a_password_is_read_and_hidden_from_the_log(void **state)
{
    struct site *s = *state;
    struct pd_config *c = NULL;
    put(s, "posed.json", "{}");
    put(s, "cameras.d/till.json", "{\"url\": \"rtsp://h/\", \"username\": \"admin\", \"password_file\": \"./pw\"}");
    put(s, "cameras.d/pw", "p@ss w/rd\r\n");
    assert_int_equal(load(s, &c), 0);
    assert_int_equal(s->n_lines, 0);
    assert_string_equal(c->cameras[0].password, "p@ss w/rd");
    pd_config_destroy(c);
    char text[200] = "a p@ss w/rd b p%40ss%20w%2Frd c YWRtaW46cEBzcyB3L3Jk d";
    pd_log_redact(text);
    assert_string_equal(text, "a *** b *** c *** d");
}

static bool is_hidden(const char *secret)
{
    char text[64];
    snprintf(text, sizeof(text), "%s", secret);
    pd_log_redact(text);
    return strcmp(text, "***") == 0;
}

/* As a daemon does that is told of each change: the tree before goes once the next one is there. */
static void a_password_that_changes_for_ever_is_always_hidden(void **state)
{
    struct site *s = *state;
    struct pd_config *before = NULL, *now = NULL;
    char password[32], last[32] = "", first[32] = "";
    put(s, "posed.json", "{}");
    put(s, "cameras.d/door.json", "{\"url\": \"rtsp://h/\", \"username\": \"admin\", \"password_file\": \"./door\"}");
    put(s, "cameras.d/door", "stays as it is");
    put(s, "cameras.d/till.json", "{\"url\": \"rtsp://h/\", \"username\": \"admin\", \"password_file\": \"./till\"}");
    for (int i = 0; i < 2000; i++) {
        snprintf(password, sizeof(password), "no. %d of many", i);
        put(s, "cameras.d/till", password);
        if (load(s, &now) < 0)
            fail_msg("change %d: %s", i, s->lines[0]);
        assert_int_equal(s->n_lines, 0);
        pd_config_destroy(before);
        before = now;
        assert_true(is_hidden(password));
        assert_true(!*last || is_hidden(last));
        assert_true(is_hidden("stays as it is"));
        memcpy(last, password, sizeof(last));
        if (i == 0)
            memcpy(first, password, sizeof(first));
    }
    assert_false(is_hidden(first));
    pd_config_destroy(before);
    assert_true(is_hidden(last));
}

static void a_password_file_that_others_read_is_warned_of(void **state)
{
    struct site *s = *state;
    struct pd_config *c = NULL;
    char path[256];
    put(s, "posed.json", "{}");
    put(s, "cameras.d/till.json", "{\"url\": \"rtsp://h/\",\n\"username\": \"admin\",\n\"password_file\": \"./pw\"}");
    put(s, "cameras.d/pw", "correct horse");
    snprintf(path, sizeof(path), "%s/pw", s->cameras);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(load(s, &c), 0);
    assert_int_equal(s->n_lines, 1);
    assert_line(s, 0, "cameras.d/till.json", 3, "warning: password_file: found mode 0644, which lets everybody read");
    assert_string_equal(c->cameras[0].password, "correct horse");
    pd_config_destroy(c);
}

static void a_bad_password_file_is_told_without_its_content(void **state)
{
    static const char *const contents[] = {"", "\n", "one-s3cret\ntwo-s3cret\n", "tab\ts3cret\n", "s3cret\n\n\n\n"};
    struct site *s = *state;
    struct pd_config *c = NULL;
    put(s, "posed.json", "{}");
    put(s, "cameras.d/till.json", "{\"url\": \"rtsp://h/\", \"username\": \"admin\", \"password_file\": \"./pw\"}");
    for (size_t i = 0; i < PD_ARRAY_SIZE(contents); i++) {
        put(s, "cameras.d/pw", contents[i]);
        assert_int_equal(load(s, &c), -EINVAL);
        assert_int_equal(s->n_lines, 1);
        assert_line(s, 0, "cameras.d/till.json", 1, "password_file: found something else than one line of text");
        assert_null(strstr(s->lines[0], "s3cret"));
    }
    put(s, "cameras.d/till.json", "{\"url\": \"rtsp://h/\", \"username\": \"admin\", \"password_file\": \"s3cret\"}");
    assert_int_equal(load(s, &c), -EINVAL);
    assert_line(s, 0, "cameras.d/till.json", 1, "password_file: found the name of a credential that is not there");
    assert_null(strstr(s->lines[0], "s3cret"));
}

static void a_bare_name_is_a_credential(void **state)
{
    static const char *const files[] = {"till-pw", "camera_till-pw"};
    struct site *s = *state;
    struct pd_config *c = NULL;
    char dir[128], path[256];
    put(s, "posed.json", "{}");
    put(s, "cameras.d/till.json", "{\"url\": \"rtsp://h/\", \"username\": \"admin\", \"password_file\": \"till-pw\"}");
    snprintf(dir, sizeof(dir), "%s/credentials", s->dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    put(s, "credentials/till-pw", "outside systemd\n");
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    assert_int_equal(load(s, &c), 0);
    assert_string_equal(c->cameras[0].password, "outside systemd");
    pd_config_destroy(c);

    snprintf(dir, sizeof(dir), "%s/unit", s->dir);
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", dir, 1), 0);
    assert_int_equal(load(s, &c), 0); /* as in ExecReload=, which does not see them */
    assert_int_equal(s->n_lines, 1);
    assert_line(s, 0, "cameras.d/till.json", 1, "warning: password_file: found no way to the unit's credentials");
    assert_null(c->cameras[0].password);
    pd_config_destroy(c);

    assert_int_equal(mkdir(dir, 0700), 0);
    for (size_t i = 0; i < PD_ARRAY_SIZE(files); i++) {
        snprintf(path, sizeof(path), "unit/%s", files[i]);
        put(s, path, "inside systemd");
        assert_int_equal(load(s, &c), 0);
        assert_string_equal(c->cameras[0].password, "inside systemd");
        pd_config_destroy(c);
        snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SITE_TEST(a_password_in_the_url_is_refused_and_not_shown),
        SITE_TEST(a_password_is_read_and_hidden_from_the_log),
        SITE_TEST(a_password_that_changes_for_ever_is_always_hidden),
        SITE_TEST(a_password_file_that_others_read_is_warned_of),
        SITE_TEST(a_bad_password_file_is_told_without_its_content),
        SITE_TEST(a_bare_name_is_a_credential),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
