/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "daemon/config.h"
#include "daemon/config_diff.h"
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
    assert_int_equal(c->batch, 0);
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
    assert_line(s, 1, "posed.json", 3, "batch: found 33, expected an integer 0..32 frames");
    assert_line(s, 2, "posed.json", 5, "engine: found \"tensorrt\", expected one of \"auto\", \"cudnn\"");
    assert_line(s, 3, "cameras.d/a.json", 3, "track: found \"yes\", expected true or false");
    assert_line(s, 4, "cameras.d/b.json", 3, "max_fps: found a second time, expected once; the first is on line 2");
}

static void every_type_is_read(void **state)
{
    struct site *s = *state;
    struct pd_config *c = NULL;
    put(s, "posed.json",
        "{\"// why\": \"comments are keys that start so\", \"$schema\": \"x\",\n"
        "\"socket\": \"run/p.sock\", \"socket_mode\": \"600\", \"socket_group\": \"video\", \"max_clients\": 3,\n"
        "\"metrics_listen\": \"[::1]:0\",\n"
        "\"engine\": \"null\", \"network\": \"./net.onnx\", \"precision\": \"bf16\", \"width\": 656, \"height\": 368,\n"
        "\"batch\": 4, \"batch_wait_ms\": 2.5, \"threads\": 2, \"post_threads\": 3, \"devices\": [2, 0],\n"
        "\"cache_dir\": \"/c\", \"log_level\": \"debug\", \"cameras_dir\": \"cameras.d\"}");
    put(s, "cameras.d/b.json",
        "{\"enabled\": false, \"url\": \"clips/a.mp4\", \"username\": \"u\", \"password_file\": null,\n"
        "\"transport\": \"udp\", \"hwaccel\": \"none\", \"loop\": true, \"realtime\": true, \"max_fps\": 7,\n"
        "\"roi\": [0.1, 0.2, 0.7, 0.8], \"mask\": [[[0, 0], [1, 0], [0.5, 1]]], \"peak_threshold\": 0.25,\n"
        "\"limb_threshold\": 0.5, \"limb_fraction\": 1, \"min_keypoints\": 6, \"min_score\": 0, \"max_people\": 1,\n"
        "\"track\": false, \"smooth\": 1.5, \"open_timeout_s\": 4, \"read_timeout_s\": 0.5}");
    put(s, "cameras.d/a.json", "{\"\\u0075rl\": \"rtsp://host:554/a@b\"}");
    int r = load(s, &c);
    if (r < 0)
        fail_msg("%s", s->lines[0]);
    char path[256];
    snprintf(path, sizeof(path), "%s/run/p.sock", s->dir);
    assert_string_equal(c->socket, path);
    snprintf(path, sizeof(path), "%s/net.onnx", s->dir);
    assert_string_equal(c->network, path);
    assert_int_equal(c->socket_mode, 0600);
    assert_string_equal(c->socket_group, "video");
    assert_string_equal(c->metrics_listen, "[::1]:0");
    assert_int_equal(c->max_clients, 3);
    assert_string_equal(c->engine, "null");
    assert_int_equal(c->precision, PD_PRECISION_BF16);
    assert_int_equal(c->width, 656);
    assert_float_equal(c->batch_wait_ms, 2.5, 0);
    assert_int_equal(c->n_devices, 2);
    assert_int_equal(c->devices[0], 2);
    assert_string_equal(c->cache_dir, "/c");
    assert_int_equal(c->n_cameras, 2);
    assert_string_equal(c->cameras[0].name, "a");
    assert_string_equal(c->cameras[0].url, "rtsp://host:554/a@b");
    const struct pd_camera_config *k = &c->cameras[1];
    snprintf(path, sizeof(path), "%s/clips/a.mp4", s->cameras);
    assert_string_equal(k->url, path);
    assert_false(k->enabled);
    assert_int_equal(k->transport, PD_TRANSPORT_UDP);
    assert_true(k->loop && k->realtime);
    assert_float_equal(k->roi[2], 0.7f, 0);
    assert_int_equal(k->n_mask, 1);
    assert_int_equal(k->mask[0].n, 3);
    assert_float_equal(k->mask[0].x[2], 0.5f, 0);
    assert_float_equal(k->post.limb_fraction, 1, 0);
    assert_int_equal(k->post.max_people, 1);
    assert_true(k->track); /* smooth needs it */
    assert_float_equal(k->read_timeout_s, 0.5, 0);
    pd_config_destroy(c);
}

static void wrong_types_and_ranges_are_told(void **state)
{
    static const struct {
        const char *text, *told;
    } cases[] = {
        {"\"socket\": 3", "socket: found 3, expected a path"},
        {"\"socket\": \"\"", "socket: found \"\", expected a path"},
        {"\"socket\": null", "socket: found null, expected a path"},
        {"\"metrics_listen\": \"9464\"", "metrics_listen: found something else, expected an address and a port"},
        {"\"metrics_listen\": \"localhost:9464\"", "metrics_listen: found something else"},
        {"\"metrics_listen\": \"127.0.0.1:65536\"", "metrics_listen: found something else"},
        {"\"metrics_listen\": \"[::1:9464\"", "metrics_listen: found something else"},
        {"\"metrics_listen\": \"0.0.0.0:9464\"", "metrics_listen: found an address that other machines can reach"},
        {"\"metrics_listen\": \"[::]:9464\"", "metrics_listen: found an address that other machines can reach"},
        {"\"metrics_listen\": \"[::ffff:127.0.0.1]:9464\"", "metrics_listen: found an address that other machines"},
        {"\"socket_mode\": 660", "socket_mode: found 660, expected an octal mode"},
        {"\"socket_mode\": \"0888\"", "socket_mode: found \"0888\""},
        {"\"socket_mode\": \"1777\"", "socket_mode: found \"1777\""},
        {"\"batch\": -1", "batch: found -1, expected an integer 0..32"},
        {"\"batch\": 1.0", "batch: found 1, expected an integer"},
        {"\"batch\": [1]", "batch: found a list of 1"},
        {"\"batch_wait_ms\": -1", "batch_wait_ms: found -1, expected a number 0..1000 ms"},
        {"\"batch_wait_ms\": true", "batch_wait_ms: found true"},
        {"\"devices\": [0, 1, 0]", "devices[2]: found 0, expected each number once"},
        {"\"devices\": [0, -1]", "devices[1]: found -1, expected an integer 0..63"},
        {"\"devices\": [0,1,2,3,4,5,6,7,8]", "devices: found a list of 9, expected a list of at most 8"},
        {"\"devices\": {}", "devices: found an object"},
        {"\"url\": \"x\"", "url: found a key of a camera's file"},
        {"\"\": 1", ": found an unknown key"},
        {"\"zzzzzzzz\": 1", "zzzzzzzz: found an unknown key, expected one of those in posed.conf(5)"},
    };
    struct site *s = *state;
    for (size_t i = 0; i < PD_ARRAY_SIZE(cases); i++) {
        struct pd_config *c = NULL;
        char text[256];
        snprintf(text, sizeof(text), "{\n%s\n}", cases[i].text);
        put(s, "posed.json", text);
        assert_int_equal(load(s, &c), -EINVAL);
        assert_int_equal(s->n_lines, 1);
        assert_line(s, 0, "posed.json", 2, cases[i].told);
    }
}

static void wrong_camera_values_are_told(void **state)
{
    static const struct {
        const char *text, *told;
        int line;
    } cases[] = {
        {"\"url\": \"test:people\", \"transport\": \"quic\"", "transport: found \"quic\", expected one of \"tcp\"", 2},
        {"\"url\": \"test:people\", \"roi\": [0, 0, 1]", "roi: found a list of 3, expected [x, y, width, height]", 2},
        {"\"url\": \"test:people\", \"roi\": [0, 0,\n 2, 1]", "roi[2]: found 2, expected a number 0..1", 3},
        {"\"url\": \"test:people\", \"roi\": [0.5, 0, 0.6, 1]", "roi: found a list of 4, expected an area", 2},
        {"\"url\": \"test:people\", \"roi\": [0, 0, 0, 1]", "roi: found a list of 4, expected an area", 2},
        {"\"url\": \"test:people\", \"mask\": [[0, 1]]", "mask[0]: found a list of 2, expected a polygon", 2},
        {"\"url\": \"test:people\", \"mask\":\n[\n[[0,0],[1,1],[1,0]],\n[[0,0],\n[1,1,1],[1,0]]]",
         "mask[1][1]: found a list of 3, expected a point [x, y]", 6},
        {"\"url\": \"test:people\", \"mask\": [[[0,0],[0.5,0.5],[1,1]]]", "mask[0]: found a list of 3, expected a poly"
         "gon with an area", 2},
        {"\"url\": \"test:people\", \"mask\": [[[0,0],[0.5,\"a, [b\"],[1,1]],\n[1]]",
         "mask[0][1][1]: found \"a, [b\"", 2},
        {"\"url\": \"gopher://host/\"", "url: found a string, expected rtsp://", 2},
        {"\"url\": \"rtsp:///x\"", "url: found a string, expected a host", 2},
        {"\"url\": \"test:\"", "url: found a string, expected a URL", 2},
        {"\"url\": null", "url: found null, expected a URL", 2},
        {"\"track\": true", "url: found none, expected the camera's URL or a path", 1},
        {"\"url\": \"rtsp://h/\", \"ca_file\": \"/x\"", "ca_file: found with a url that is not encrypted", 2},
        {"\"url\": \"https://h/\", \"tls_name\": \"n\"", "tls_name: found without ca_file", 2},
        {"\"url\": \"test:people\", \"password_file\": \"/x\"", "password_file: found without a username", 2},
    };
    struct site *s = *state;
    put(s, "posed.json", "{}");
    for (size_t i = 0; i < PD_ARRAY_SIZE(cases); i++) {
        struct pd_config *c = NULL;
        char text[256];
        snprintf(text, sizeof(text), "{\n%s\n}", cases[i].text);
        put(s, "cameras.d/till.json", text);
        assert_int_equal(load(s, &c), -EINVAL);
        assert_true(s->n_lines >= 1);
        assert_line(s, 0, "cameras.d/till.json", cases[i].line, cases[i].told);
    }
}

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
    assert_line(s, 0, "posed.json", 2, "cameras_dir: found a directory that cannot be read");
}

static void a_flood_of_problems_is_summed_up(void **state)
{
    struct site *s = *state;
    struct pd_config *c = NULL;
    char *text = malloc(100000), *t = text;
    assert_non_null(text);
    t += sprintf(t, "{");
    for (int i = 0; i < 5000; i++)
        t += sprintf(t, "%s\n\"k%d\": 1", i ? "," : "", i);
    sprintf(t, "}");
    put(s, "posed.json", text);
    free(text);
    assert_int_equal(load(s, &c), -EINVAL);
    assert_int_equal(s->n_lines, 101);
    assert_line(s, 99, "posed.json", 101, "k99: ");
    assert_line(s, 100, "posed.json", 0, "and 4900 more");
}

static void control_characters_do_not_forge_lines(void **state)
{
    struct site *s = *state;
    struct pd_config *c = NULL;
    put(s, "posed.json", "{\"x\\nfake: all is well\\u001b[2J\": 1, \"engine\": \"\\n\"}");
    assert_int_equal(load(s, &c), -EINVAL);
    assert_int_equal(s->n_lines, 2);
    for (int i = 0; i < 2; i++)
        for (const char *p = s->lines[i]; *p; p++)
            assert_true((unsigned char)*p >= 0x20);
}

static void too_long_a_socket_path_is_told(void **state)
{
    struct site *s = *state;
    struct pd_config *c = NULL;
    char text[300], path[109];
    for (size_t len = 107; len <= 108; len++) {
        memset(path, 'x', len);
        path[0] = '/';
        path[len] = 0;
        snprintf(text, sizeof(text), "{\"socket\": \"%s\"}", path);
        put(s, "posed.json", text);
        assert_int_equal(load(s, &c), len == 107 ? 0 : -EINVAL);
        if (len == 107)
            pd_config_destroy(c);
        else
            assert_line(s, 0, "posed.json", 1, "socket: found a path of 108 bytes, expected at most 107");
    }
}

/* ---- passwords ---- */

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

/* ---- reload ---- */

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
    pd_config_diff(a, a, &diff);
    assert_string_equal(told, "");

    put(s, "posed.json", "{\"batch_wait_ms\": 6, \"engine\": \"null\"}");
    put(s, "cameras.d/a.json", "{\"url\": \"test:people\"}");
    put(s, "cameras.d/c.json", "{\"url\": \"test:people\", \"max_fps\": 5}");
    put(s, "cameras.d/e.json", "{\"url\": \"test:people\"}");
    snprintf(path, sizeof(path), "%s/d.json", s->cameras);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(load(s, &b), 0);
    pd_config_diff(a, b, &diff);
    assert_string_equal(told, "engine=restart batch_wait_ms=live +a !c -d +e ");
    pd_config_destroy(a);
    pd_config_destroy(b);
}

/* ---- the table ---- */

static void the_nearest_key_is_offered(void **state)
{
    assert_string_equal(pd_option_nearest(PD_SCOPE_DAEMON, "sokcet"), "socket");
    assert_string_equal(pd_option_nearest(PD_SCOPE_DAEMON, "batch_wait"), "batch_wait_ms");
    assert_string_equal(pd_option_nearest(PD_SCOPE_CAMERA, "password"), "password_file");
    assert_string_equal(pd_option_nearest(PD_SCOPE_CAMERA, "ulr"), "url");
    assert_null(pd_option_nearest(PD_SCOPE_CAMERA, "x"));
    assert_null(pd_option_nearest(PD_SCOPE_CAMERA, "colour"));
    assert_null(pd_option_nearest(PD_SCOPE_CAMERA, "a key that is much longer than any that there is in the table"));
}

static void choices_follow_their_enums(void **state)
{
    const struct pd_option *opt = pd_option_find(PD_SCOPE_CAMERA, "transport");
    assert_string_equal(opt->choices[PD_TRANSPORT_TCP], "tcp");
    assert_string_equal(opt->choices[PD_TRANSPORT_UDP], "udp");
    opt = pd_option_find(PD_SCOPE_DAEMON, "precision");
    assert_string_equal(opt->choices[PD_PRECISION_AUTO], "auto");
    assert_string_equal(opt->choices[PD_PRECISION_FP32], "fp32");
    assert_string_equal(opt->choices[PD_PRECISION_TF32], "tf32");
    assert_string_equal(opt->choices[PD_PRECISION_BF16], "bf16");
    assert_string_equal(opt->choices[PD_PRECISION_FP16], "fp16");
}

int main(void)
{
#define SITE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        SITE_TEST(an_empty_object_gives_every_default),
        SITE_TEST(five_mistakes_are_told_with_their_lines),
        SITE_TEST(every_type_is_read),
        SITE_TEST(wrong_types_and_ranges_are_told),
        SITE_TEST(wrong_camera_values_are_told),
        SITE_TEST(a_password_in_the_url_is_refused_and_not_shown),
        SITE_TEST(a_syntax_error_has_its_line_and_hides_nothing_else),
        SITE_TEST(a_broken_main_file_does_not_hide_the_cameras),
        SITE_TEST(odd_files_are_told),
        SITE_TEST(camera_names_are_checked_and_sorted),
        SITE_TEST(more_cameras_than_can_be_are_told),
        SITE_TEST(a_missing_folder_matters_only_when_it_was_asked_for),
        SITE_TEST(a_flood_of_problems_is_summed_up),
        SITE_TEST(control_characters_do_not_forge_lines),
        SITE_TEST(too_long_a_socket_path_is_told),
        SITE_TEST(a_password_is_read_and_hidden_from_the_log),
        SITE_TEST(a_password_that_changes_for_ever_is_always_hidden),
        SITE_TEST(a_password_file_that_others_read_is_warned_of),
        SITE_TEST(a_bad_password_file_is_told_without_its_content),
        SITE_TEST(a_bare_name_is_a_credential),
        SITE_TEST(any_changed_key_makes_cameras_differ),
        SITE_TEST(a_reload_touches_only_what_changed),
        cmocka_unit_test(the_nearest_key_is_offered),
        cmocka_unit_test(choices_follow_their_enums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
