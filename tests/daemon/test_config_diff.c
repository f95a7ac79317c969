/* SPDX-License-Identifier: Apache-2.0 - what a reload finds changed. */
#include "tests/daemon/config_site.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/config_diff.h"
#include "daemon/config_table.h"

/* A camera with one key more than its url. */
static struct pd_config *load_with(struct site *s, const char *member)
{
    struct pd_config *c = NULL;
    char text[256];
    snprintf(text, sizeof(text), "{\"url\": \"rtsps://h/\", \"username\": \"u\", \"password_file\": \"./pw\"%s%s}",
             *member ? ", " : "", member);
    put(s, "cameras.d/till.json", text);
    if (load(s, &c) < 0)
        fail_msg("%s", s->lines[0]);
    return c;
}

static void any_changed_key_makes_cameras_differ(void **state)
{
    static const char *const others[] = {
        "\"ca_file\": \"/ca\"", "\"tls_name\": \"n\", \"ca_file\": \"/ca\"",
        "\"enabled\": false", "\"transport\": \"udp\"", "\"hwaccel\": \"none\"", "\"loop\": true", "\"realtime\": true",
        "\"max_fps\": 5", "\"open_timeout_s\": 7", "\"read_timeout_s\": 2", "\"roi\": [0, 0, 0.5, 0.5]",
        "\"mask\": [[[0, 0], [1, 0], [0, 1]]]", "\"peak_threshold\": 0.3", "\"limb_threshold\": 0.3",
        "\"limb_fraction\": 0.3", "\"min_keypoints\": 9", "\"min_score\": 0.3", "\"max_people\": 9", "\"track\": true",
        "\"smooth\": 2"};
    struct site *s = *state;
    put(s, "posed.json", "{}");
    put(s, "cameras.d/pw", "first password");
    struct pd_config *a = load_with(s, "");
    struct pd_config *b = load_with(s, "\"max_fps\": 0, \"// note\": \"a default, and a comment\"");
    assert_true(pd_camera_config_equal(&a->cameras[0], &b->cameras[0]));
    pd_config_destroy(b);
    for (size_t i = 0; i < PD_ARRAY_SIZE(others); i++) {
        b = load_with(s, others[i]);
        if (pd_camera_config_equal(&a->cameras[0], &b->cameras[0]))
            fail_msg("%s changes nothing", others[i]);
        pd_config_destroy(b);
    }
    /* 3 more rows: url, username, password_file */
    int n = 0;
    while (pd_option_at(PD_SCOPE_CAMERA, n))
        n++;
    assert_int_equal(n, PD_ARRAY_SIZE(others) + 3);

    put(s, "cameras.d/pw", "second password");
    b = load_with(s, "");
    assert_false(pd_camera_config_equal(&a->cameras[0], &b->cameras[0]));
    pd_config_destroy(b);
    pd_config_destroy(a);
}

static void tell_camera(const struct pd_camera_config *before, const struct pd_camera_config *after, void *user)
{
    char *told = user;
    sprintf(told + strlen(told), "%s%s ", !before ? "+" : !after ? "-" : "!", after ? after->name : before->name);
}

static void tell_key(const char *key, bool live, void *user)
{
    char *told = user;
    sprintf(told + strlen(told), "%s=%s ", key, live ? "live" : "restart");
}

static void a_reload_touches_only_what_changed(void **state)
{
    struct site *s = *state;
    struct pd_config *a = NULL, *b = NULL;
    char told[512] = "", path[256];
    const struct pd_config_diff diff = {tell_camera, tell_key, told};
    put(s, "posed.json", "{\"batch_wait_ms\": 5}");
    put(s, "cameras.d/b.json", "{\"url\": \"test:people\"}");
    put(s, "cameras.d/c.json", "{\"url\": \"test:people\"}");
    put(s, "cameras.d/d.json", "{\"url\": \"test:people\"}");
    assert_int_equal(load(s, &a), 0);
    pd_config_diff(a, a, a, &diff);
    assert_string_equal(told, "");

    put(s, "posed.json", "{\"batch_wait_ms\": 6, \"engine\": \"null\"}");
    put(s, "cameras.d/a.json", "{\"url\": \"test:people\"}");
    put(s, "cameras.d/c.json", "{\"url\": \"test:people\", \"max_fps\": 5}");
    put(s, "cameras.d/e.json", "{\"url\": \"test:people\"}");
    snprintf(path, sizeof(path), "%s/d.json", s->cameras);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(load(s, &b), 0);
    pd_config_diff(a, a, b, &diff);
    assert_string_equal(told, "engine=restart batch_wait_ms=live +a !c -d +e ");
    *told = 0;
    pd_config_diff(a, b, b, &diff);
    assert_string_equal(told, "engine=restart batch_wait_ms=live ");
    *told = 0;
    pd_config_diff(b, a, b, &diff);
    assert_string_equal(told, "+a !c -d +e ");
    pd_config_destroy(a);
    pd_config_destroy(b);
}

static void a_folder_with_any_name_changes_nothing(void **state)
{
    struct site *s = *state;
    struct pd_config *a = NULL;
    char told[512] = "", path[256];
    const struct pd_config_diff diff = {tell_camera, tell_key, told};
    snprintf(path, sizeof(path), "%s/caf\xe9", s->dir); /* Latin-1, which is no UTF-8 */
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/caf\xe9/cameras.d", s->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(s->main, sizeof(s->main), "%s/caf\xe9/posed.json", s->dir);
    put(s, "caf\xe9/posed.json", "{\"cache_dir\": \"cache\"}");
    put(s, "caf\xe9/cameras.d/a.json", "{\"url\": \"clip.mp4\"}");
    assert_int_equal(load(s, &a), 0);
    pd_config_diff(a, a, a, &diff);
    assert_string_equal(told, "");
    pd_config_destroy(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SITE_TEST(any_changed_key_makes_cameras_differ),
        SITE_TEST(a_reload_touches_only_what_changed),
        SITE_TEST(a_folder_with_any_name_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
