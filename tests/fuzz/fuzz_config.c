/* SPDX-License-Identifier: Apache-2.0
 *
 * posed.json, a 0 byte, and a camera's file. Promises: a load ends well with a config inside the table's limits that
 * reads back as the same, or with a problem told; no line of the report holds a control character, the password, or the
 * user part of a URL.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/config_table.h"

#define PASSWORD "correct-horse-battery"

static char dir[64];

static void put(const char *name, const void *data, size_t size)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *file = fopen(path, "wb");
    FUZZ_CHECK(file && fwrite(data, 1, size, file) == size && fclose(file) == 0);
}

static void remove_dir(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    if (system(command) != 0)
        fprintf(stderr, "%s is left over\n", dir);
}

static void make_dir(void)
{
    char path[128];
    snprintf(dir, sizeof(dir), "%s/posed-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    FUZZ_CHECK(mkdtemp(dir) && atexit(remove_dir) == 0);
    snprintf(path, sizeof(path), "%s/cameras.d", dir);
    FUZZ_CHECK(mkdir(path, 0700) == 0);
    snprintf(path, sizeof(path), "%s/credentials", dir);
    FUZZ_CHECK(mkdir(path, 0700) == 0);
    put("credentials/pw", PASSWORD "\n", sizeof(PASSWORD));
    snprintf(path, sizeof(path), "%s/credentials/pw", dir);
    FUZZ_CHECK(chmod(path, 0600) == 0);
}

struct told {
    int problems;
    char *userinfo; /* of the camera's url, where it stands nowhere else; may be NULL */
};

static void check_line(const char *line, void *user)
{
    struct told *told = user;
    FUZZ_CHECK(*line == '/');
    for (const char *c = line; *c; c++)
        FUZZ_CHECK((unsigned char)*c >= 0x20 && *c != 0x7f);
    FUZZ_CHECK(!strstr(line, PASSWORD));
    FUZZ_CHECK(!told->userinfo || !strstr(line, told->userinfo));
    told->problems += !strstr(line, ": warning: ");
}

/* What stands between "//" and "@" in the url, if it is long enough to be told from chance and stands nowhere else. */
static char *find_userinfo(const char *text, size_t size)
{
    json_t *root = json_loadb(text, size, 0, NULL);
    const char *url = json_string_value(json_object_get(root, "url"));
    const char *begin = url ? strstr(url, "://") : NULL, *end = begin ? strchr(begin, '@') : NULL;
    char *userinfo = end && end - begin > 3 + 8 ? strndup(begin + 3, (size_t)(end - begin) - 3) : NULL;
    if (userinfo) {
        const char *first = memmem(text, size, userinfo, strlen(userinfo));
        const char *rest = first ? first + 1 : NULL;
        if (rest && memmem(rest, size - (size_t)(rest - text), userinfo, strlen(userinfo))) {
            free(userinfo);
            userinfo = NULL;
        }
    }
    json_decref(root);
    return userinfo;
}

static void check_camera(const struct pd_camera_config *c)
{
    FUZZ_CHECK(c->url && *c->url);
    FUZZ_CHECK(c->n_mask >= 0 && c->n_mask <= PD_POLYGONS_MAX);
    for (int i = 0; i < c->n_mask; i++) {
        FUZZ_CHECK(c->mask[i].n >= 3 && c->mask[i].n <= PD_POLYGON_POINTS_MAX);
        for (int k = 0; k < c->mask[i].n; k++)
            FUZZ_CHECK(c->mask[i].x[k] >= 0 && c->mask[i].x[k] <= 1 && c->mask[i].y[k] >= 0 && c->mask[i].y[k] <= 1);
    }
    FUZZ_CHECK(c->roi[0] >= 0 && c->roi[1] >= 0 && c->roi[0] + c->roi[2] < 1.001f && c->roi[1] + c->roi[3] < 1.001f);
    FUZZ_CHECK(c->max_fps >= 0 && c->max_fps <= 1000);
    FUZZ_CHECK(c->post.max_people >= 1 && c->post.max_people <= PD_PEOPLE_MAX);
    FUZZ_CHECK(c->smooth == 0 || c->track);
    FUZZ_CHECK(!c->password || !strcmp(c->password, PASSWORD));
}

/* The camera written out again and read back is the same. */
static void check_round_trip(const struct pd_config *config, const char *main_file)
{
    json_t *all = json_object();
    const struct pd_option *opt;
    for (int i = 0; (opt = pd_option_at(PD_SCOPE_CAMERA, i)); i++)
        FUZZ_CHECK(json_object_set_new(all, opt->key, pd_option_get(opt, &config->cameras[0])) == 0);
    char *text = json_dumps(all, JSON_REAL_PRECISION(17));
    FUZZ_CHECK(text);
    put("cameras.d/till.json", text, strlen(text));
    struct pd_config *again = NULL;
    struct told told = {0};
    FUZZ_CHECK(pd_config_load(main_file, check_line, &told, &again) == 0);
    FUZZ_CHECK(again->n_cameras == 1);
    FUZZ_CHECK(pd_camera_config_equal(&config->cameras[0], &again->cameras[0]));
    pd_config_destroy(again);
    free(text);
    json_decref(all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!*dir)
        make_dir();
    const uint8_t *zero = memchr(data, 0, size);
    size_t n_main = zero ? (size_t)(zero - data) : size;
    const char *camera = zero ? (const char *)zero + 1 : "{\"url\": \"test:people\"}";
    size_t n_camera = zero ? size - n_main - 1 : strlen(camera);
    put("posed.json", data, n_main);
    put("cameras.d/till.json", camera, n_camera);

    char path[128];
    snprintf(path, sizeof(path), "%s/posed.json", dir);
    struct told told = {.userinfo = find_userinfo(camera, n_camera)};
    struct pd_config *config = NULL;
    int r = pd_config_load(path, check_line, &told, &config);
    FUZZ_CHECK(r == 0 ? config && told.problems == 0 : r == -EINVAL && !config && told.problems > 0);
    if (config) {
        FUZZ_CHECK(config->batch >= 0 && config->batch <= PD_BATCH_MAX); /* 0: as the engine likes */
        FUZZ_CHECK(config->n_devices >= 0 && config->n_devices <= PD_CONFIG_DEVICES_MAX);
        FUZZ_CHECK(*config->socket == '/' && strlen(config->socket) <= 107);
        for (int i = 0; i < config->n_cameras; i++)
            check_camera(&config->cameras[i]);
        char in_dir[128];
        snprintf(in_dir, sizeof(in_dir), "%s/cameras.d", dir);
        if (!strcmp(config->cameras_dir, in_dir))
            check_round_trip(config, path);
    }
    pd_config_destroy(config);
    free(told.userinfo);
    return 0;
}
