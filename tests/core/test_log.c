/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/core/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"

static void secrets_are_replaced_everywhere(void **state)
{
    assert_int_equal(pd_log_add_secret("hunter2"), 0);
    assert_int_equal(pd_log_add_secret("hunter2"), 0);
    char text[64] = "hunter2 rtsp://a:hunter2@b hunter";
    pd_log_redact(text);
    assert_string_equal(text, "*** rtsp://a:***@b hunter");
}

static void a_secret_inside_another_leaves_nothing_of_it(void **state)
{
    assert_int_equal(pd_log_add_secret("orse"), 0);
    assert_int_equal(pd_log_add_secret("correct horse"), 0);
    char text[64] = "a correct horse, a horse";
    pd_log_redact(text);
    assert_string_equal(text, "a ***, a h***");
}

static void a_line_cut_inside_a_secret_shows_no_piece_of_it(void **state)
{
    assert_int_equal(pd_log_add_secret("battery-staple"), 0);
    char text[64] = "rtsp://u:battery-sta", whole[64] = "rtsp://u:battery-sta\n";
    pd_log_clean(text, true);
    assert_string_equal(text, "rtsp://u:");
    pd_log_clean(whole, false);
    assert_string_equal(whole, "rtsp://u:battery-sta ");
    pd_log_forget_secrets();
    strcpy(text, "battery-staple");
    pd_log_redact(text);
    assert_string_equal(text, "battery-staple");
}

static bool is_hidden(const char *secret)
{
    char text[64];
    snprintf(text, sizeof(text), "%s", secret);
    pd_log_redact(text);
    return strcmp(text, "***") == 0;
}

static void a_secret_is_forgotten_long_after_its_last_user_is_gone(void **state)
{
    char name[32];
    assert_int_equal(pd_log_add_secret("kept by one"), 0);
    assert_int_equal(pd_log_add_secret("kept by two"), 0);
    assert_int_equal(pd_log_add_secret("kept by two"), 0);
    assert_int_equal(pd_log_add_secret("let go"), 0);
    pd_log_release_secret("kept by two");
    pd_log_release_secret("let go");
    pd_log_release_secret("never seen");
    pd_log_release_secret(NULL);
    for (int i = 0; i < PD_LOG_SECRETS_OLD; i++) {
        assert_true(is_hidden("let go"));
        snprintf(name, sizeof(name), "number %d", i);
        assert_int_equal(pd_log_add_secret(name), 0);
        assert_true(is_hidden(name));
        pd_log_release_secret(name);
    }
    assert_false(is_hidden("let go"));
    assert_true(is_hidden("number 0"));
    assert_true(is_hidden("kept by one"));
    assert_true(is_hidden("kept by two"));
    pd_log_forget_secrets();
    pd_log_release_secret("kept by one");
    assert_false(is_hidden("kept by one"));
}

static void a_replacement_as_long_as_the_secret_fits(void **state)
{
    assert_int_equal(pd_log_add_secret("abc"), 0);
    char text[8] = "abcabcx";
    pd_log_redact(text);
    assert_string_equal(text, "******x");
}

static void short_secrets_are_refused(void **state)
{
    assert_int_equal(pd_log_add_secret("ab"), -EINVAL);
    assert_int_equal(pd_log_add_secret(NULL), -EINVAL);
}

static void levels_have_names(void **state)
{
    enum pd_log_level level;
    assert_int_equal(pd_log_level_parse("debug", &level), 0);
    assert_int_equal(level, PD_LOG_DEBUG);
    assert_int_equal(pd_log_level_parse("loud", &level), -EINVAL);
}

static char taken[4][128];
static int n_taken;

static bool take(enum pd_log_level level, const char *context, const char *message)
{
    snprintf(taken[n_taken % 4], sizeof(taken[0]), "%d %s %s", (int)level, context ? context : "-", message);
    return ++n_taken % 2; /* every other line is left to stderr */
}

static void a_sink_gets_lines_first_and_redacted(void **state)
{
    int ends[2], before = dup(STDERR_FILENO);
    char text[128] = "";
    assert_int_equal(pipe(ends), 0);
    unsetenv("JOURNAL_STREAM"); /* looked at once, with the first line */
    fflush(stderr);
    dup2(ends[1], STDERR_FILENO);
    assert_int_equal(pd_log_add_secret("swordfish"), 0);
    pd_log_set_sink(take);
    pd_log_warn("camera till", "no swordfish\nhere");
    pd_log_debug("camera till", "below the level");
    pd_log_info(NULL, "left");
    pd_log_set_sink(NULL);
    pd_log_info(NULL, "without a sink");
    pd_log_forget_secrets();
    dup2(before, STDERR_FILENO);
    close(ends[1]);
    assert_true(read(ends[0], text, sizeof(text) - 1) > 0);
    close(ends[0]);
    close(before);
    assert_int_equal(n_taken, 2);
    assert_string_equal(taken[0], "1 camera till no *** here");
    assert_string_equal(taken[1], "2 - left");
    assert_string_equal(text, "info: left\ninfo: without a sink\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secrets_are_replaced_everywhere),
        cmocka_unit_test(a_secret_inside_another_leaves_nothing_of_it),
        cmocka_unit_test(a_replacement_as_long_as_the_secret_fits),
        cmocka_unit_test(a_line_cut_inside_a_secret_shows_no_piece_of_it),
        cmocka_unit_test(a_secret_is_forgotten_long_after_its_last_user_is_gone),
        cmocka_unit_test(short_secrets_are_refused),
        cmocka_unit_test(levels_have_names),
        cmocka_unit_test(a_sink_gets_lines_first_and_redacted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
