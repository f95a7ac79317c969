/* SPDX-License-Identifier: Apache-2.0
 *
 * Passwords, one a line, up to an empty line; then what somebody would log. Promises: no password that was taken is
 * left in the line, nor, where the line's end was cut off, the beginning of one at its end; no control character is;
 * the line did not grow.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "core/log.h"
#include "daemon/config_secret.h"

#define SECRETS 8

static char secrets[SECRETS][513];
static char *forms[SECRETS][PD_SECRET_FORMS];
static int n_secrets;

/* The forms in which it travels are hidden as well. A password with a star in it may be made by the stars. */
static void add(const char *text, size_t len)
{
    char *secret = secrets[n_secrets];
    if (n_secrets == SECRETS || len >= sizeof(secrets[0]) || memchr(text, 0, len) || memchr(text, '*', len))
        return;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return; /* no password file may hold one */
    memcpy(secret, text, len);
    secret[len] = 0;
    int r = pd_config_hide_secret("user", secret, forms[n_secrets]);
    FUZZ_CHECK(len < 3 ? r < 0 : r == 0);
    if (len >= 3)
        n_secrets++;
    else
        pd_config_release_secret(forms[n_secrets]);
}

static const char *take_secrets(const char *at, const char *end)
{
    n_secrets = 0;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        if (stop == at)
            return PD_MIN(stop + 1, end);
        add(at, (size_t)(stop - at));
        at = PD_MIN(stop + 1, end);
    }
    return end;
}

static void check(const char *line, bool cut)
{
    for (const char *c = line; *c; c++)
        FUZZ_CHECK((unsigned char)*c >= 0x20 && *c != 0x7f);
    size_t len = strlen(line);
    for (int i = 0; i < n_secrets; i++) {
        FUZZ_CHECK(!strstr(line, secrets[i]));
        for (size_t n = strlen(secrets[i]); cut && n > 0; n--)
            FUZZ_CHECK(n > len || memcmp(line + len - n, secrets[i], n));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *end = (const char *)data + size, *begin = take_secrets((const char *)data, end);
    size_t len = (size_t)(end - begin);
    for (int cut = 0; cut < 2; cut++) {
        char *line = malloc(len + 1);
        FUZZ_CHECK(line);
        memcpy(line, begin, len);
        line[len] = 0;
        size_t before = strlen(line);
        pd_log_clean(line, cut);
        FUZZ_CHECK(strlen(line) <= before);
        check(line, cut);
        free(line);
    }
    for (int i = 0; i < n_secrets; i++)
        pd_config_release_secret(forms[i]);
    pd_log_forget_secrets();
    return 0;
}
