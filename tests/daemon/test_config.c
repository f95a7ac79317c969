/* SPDX-License-Identifier: Apache-2.0 - the keys of a configuration, and what is told of wrong ones. */
#include "tests/daemon/config_site.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/config_table.h"

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
        {"\"batch\": 1.0", "batch: found 1.0, expected an integer"},
        {"\"width\": 1e3", "width: found 1000.0, expected an integer"},
        {"\"width\": 4.5e20", "width: found 4.5e+20, expected an integer"},
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
        {"\"url\": \" rtsp://u:s3cret@host/\"", "url: found a string, expected rtsp://", 2},
        {"\"url\": \"rtsp:///x\"", "url: found a string, expected a host", 2},
        {"\"url\": \"rtsp://:554/x\"", "url: found a string, expected a host before the port", 2},
        {"\"url\": \"rtsp://h:65536/x\"", "url: found a string, expected 1 to 65535 as the port", 2},
        {"\"url\": \"http://h:0/x\"", "url: found a string, expected 1 to 65535 as the port", 2},
        {"\"url\": \"https://h:/x\"", "url: found a string, expected 1 to 65535 as the port", 2},
        {"\"url\": \"rtsp://h:55x/x\"", "url: found a string, expected 1 to 65535 as the port", 2},
        {"\"url\": \"rtsp://[::1]:99999999999/\"", "url: found a string, expected 1 to 65535 as the port", 2},
        {"\"url\": \"rtsp://fe80::1/x\"", "url: found a string, expected 1 to 65535 as the port", 2},
        {"\"url\": \"rtsp://::1/x\"", "url: found a string, expected 1 to 65535 as the port", 2},
        {"\"url\": \"rtsp://[::1/x\"", "url: found a string, expected 1 to 65535 as the port", 2},
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

static void good_urls_pass(void **state)
{
    static const char *const urls[] = {"rtsp://h/", "rtsp://h:554/x", "RTSPS://[fe80::1%25eth0]:65535/x",
                                       "http://[::1]/", "https://h?x=1:2", "rtsp://h/a:b"};
    struct site *s = *state;
    put(s, "posed.json", "{}");
    for (size_t i = 0; i < PD_ARRAY_SIZE(urls); i++) {
        struct pd_config *c = NULL;
        char text[100];
        snprintf(text, sizeof(text), "{\"url\": \"%s\"}", urls[i]);
        put(s, "cameras.d/a.json", text);
        assert_int_equal(load(s, &c), 0);
        assert_int_equal(s->n_lines, 0);
        pd_config_destroy(c);
    }
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
    const struct CMUnitTest tests[] = {
        SITE_TEST(an_empty_object_gives_every_default),
        SITE_TEST(five_mistakes_are_told_with_their_lines),
        SITE_TEST(every_type_is_read),
        SITE_TEST(wrong_types_and_ranges_are_told),
        SITE_TEST(wrong_camera_values_are_told),
        SITE_TEST(good_urls_pass),
        SITE_TEST(too_long_a_socket_path_is_told),
        SITE_TEST(a_flood_of_problems_is_summed_up),
        SITE_TEST(control_characters_do_not_forge_lines),
        cmocka_unit_test(the_nearest_key_is_offered),
        cmocka_unit_test(choices_follow_their_enums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
