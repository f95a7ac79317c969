/* SPDX-License-Identifier: Apache-2.0
 *
 * Loading and printing a configuration while one allocation after the other fails, ours and jansson's: each ends with
 * -ENOMEM, and a sanitizer sees no leak.
 */
#include "tests/core/test.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/config_diff.h"

/* The linker sends calls of the library and of this file here (--wrap). */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t n);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t n);

static long fail_at; /* the how-manieth allocation from now fails; 0: none */
static bool failed;

static bool fails(void)
{
    if (fail_at == 0 || --fail_at > 0)
        return false;
    failed = true;
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t n)
{
    return fails() ? NULL : __real_strndup(text, n);
}

static char dir[64], main_file[96];

static void put(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static int make_site(void **state)
{
    char path[128];
    strcpy(dir, "/tmp/posed-alloc-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(main_file, sizeof(main_file), "%s/posed.json", dir);
    snprintf(path, sizeof(path), "%s/cameras.d", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    put("posed.json", "{\"socket\": \"s\", \"devices\": [1, 2], \"engine\": \"null\"}");
    put("pw", "correct horse\n");
    put("cameras.d/a.json", "{\"url\": \"a.mp4\", \"mask\": [[[0, 0], [1, 0], [0, 1]]], \"roi\": [0, 0, 1, 1]}");
    put("cameras.d/b.json", "{\"url\": \"rtsp://h/\", \"username\": \"u\", \"password_file\": \"../pw\"}");
    return 0;
}

static int remove_site(void **state)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    return system(command);
}

static void count_line(const char *line, void *user)
{
    ++*(int *)user;
}

static void a_load_survives_any_failed_allocation(void **state)
{
    long k = 1;
    for (failed = true; failed; k++) {
        struct pd_config *config = NULL;
        int lines = 0;
        failed = false;
        fail_at = k;
        int r = pd_config_load(main_file, count_line, &lines, &config);
        fail_at = 0;
        if (failed && r != -ENOMEM)
            fail_msg("allocation %ld failed, and the load returned %d", k, r);
        assert_int_equal(r == 0, config != NULL);
        assert_int_equal(lines, 0); /* the files have no mistake */
        pd_config_destroy(config);
    }
    assert_true(k > 30); /* there was something to fail */
}

static void a_report_survives_any_failed_allocation(void **state)
{
    put("cameras.d/c.json", "{\"url\": \"rtsp://u:p@h/\", \"url\": 1, \"mask\": [[[0, 0], [1, 2], [0]]], \"x\": 1}");
    for (long k = 1, more = 1; more; k++) {
        struct pd_config *config = NULL;
        int lines = 0;
        failed = false;
        fail_at = k;
        int r = pd_config_load(main_file, count_line, &lines, &config);
        fail_at = 0;
        more = failed;
        assert_int_equal(r, failed ? -ENOMEM : -EINVAL);
        assert_null(config);
    }
}

static void printing_survives_any_failed_allocation(void **state)
{
    int out = dup(STDOUT_FILENO);
    FILE *null = freopen("/dev/null", "w", stdout);
    assert_non_null(null);
    bool good = true;
    json_set_alloc_funcs(__wrap_malloc, free);
    for (int form = PD_FORM_SCHEMA; form <= PD_FORM_HELP; form++) {
        for (long k = 1, more = 1; more; k++) {
            failed = false;
            fail_at = k;
            int r = pd_config_print(PD_SCOPE_CAMERA, (enum pd_config_form)form);
            fail_at = 0;
            more = failed;
            good &= r == 0 || (failed && r == -ENOMEM) || (failed && r == -EIO);
        }
    }
    json_set_alloc_funcs(malloc, free);
    fflush(stdout);
    dup2(out, STDOUT_FILENO);
    close(out);
    assert_true(good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_load_survives_any_failed_allocation),
        cmocka_unit_test(a_report_survives_any_failed_allocation),
        cmocka_unit_test(printing_survives_any_failed_allocation),
    };
    return cmocka_run_group_tests(tests, make_site, remove_site);
}
