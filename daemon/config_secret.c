/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config_secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "daemon/config_value.h"

#define PASSWORD_MAX 512

static void forget(char *secret, size_t size)
{
    if (secret)
        explicit_bzero(secret, size);
    free(secret);
}

/* ---- forms in which a password travels ---- */

static char *percent_encode(const char *text)
{
    static const char hex[] = "0123456789ABCDEF";
    char *out = malloc(3 * strlen(text) + 1), *o = out;
    for (; out && *text; text++) {
        unsigned char c = (unsigned char)*text;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~", c);
        if (plain) {
            *o++ = (char)c;
        } else {
            *o++ = '%';
            *o++ = hex[c >> 4];
            *o++ = hex[c & 15];
        }
    }
    if (out)
        *o = 0;
    return out;
}

static char *base64_encode(const char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = strlen(text);
    char *out = malloc((n + 2) / 3 * 4 + 1), *o = out;
    for (size_t i = 0; out && i < n; i += 3) {
        unsigned char c[3] = {0};
        size_t k = PD_MIN(n - i, 3);
        memcpy(c, text + i, k);
        *o++ = digits[c[0] >> 2];
        *o++ = digits[(c[0] & 3) << 4 | c[1] >> 4];
        *o++ = k > 1 ? digits[(c[1] & 15) << 2 | c[2] >> 6] : '=';
        *o++ = k > 2 ? digits[c[2] & 63] : '=';
    }
    if (out)
        *o = 0;
    return out;
}

int pd_config_hide_secret(const char *username, const char *password, char *forms[PD_SECRET_FORMS])
{
    char *basic = NULL;
    if (asprintf(&basic, "%s:%s", username ? username : "", password) < 0)
        return -ENOMEM;
    char *const texts[PD_SECRET_FORMS] = {strdup(password), percent_encode(password), base64_encode(basic)};
    forget(basic, strlen(basic));
    int r = 0;
    for (int i = 0; i < PD_SECRET_FORMS; i++) {
        if (r == 0)
            r = texts[i] ? pd_log_add_secret(texts[i]) : -ENOMEM;
        if (r == 0)
            forms[i] = texts[i];
        else
            forget(texts[i], texts[i] ? strlen(texts[i]) : 0);
    }
    return r;
}

void pd_config_release_secret(char *forms[PD_SECRET_FORMS])
{
    for (int i = 0; i < PD_SECRET_FORMS; i++) {
        pd_log_release_secret(forms[i]);
        forget(forms[i], forms[i] ? strlen(forms[i]) : 0);
        forms[i] = NULL;
    }
}

/* ---- finding and reading it ---- */

/* The file that @name stands for. A bare name is a systemd credential, loaded one by one (NAME) or as a directory with
 * the identifier "camera" (camera_NAME); outside a unit it is looked for where the unit would load it from, so that
 * `posed check` in a shell tells the same. *ret_path is NULL when there is none. */
static int locate(const char *name, const char *root_dir, char **ret_path)
{
    *ret_path = NULL;
    if (*name == '/') {
        *ret_path = strdup(name);
        return *ret_path ? 0 : -ENOMEM;
    }
    const char *unit_dir = getenv("CREDENTIALS_DIRECTORY");
    const char *dir = unit_dir ? unit_dir : root_dir;
    const char *const prefixes[] = {unit_dir ? "" : "credentials/", unit_dir ? "camera_" : NULL};
    for (size_t i = 0; i < PD_ARRAY_SIZE(prefixes) && prefixes[i]; i++) {
        char *path = NULL;
        if (asprintf(&path, "%s/%s%s", dir, prefixes[i], name) < 0)
            return -ENOMEM;
        if (access(path, F_OK) == 0) {
            *ret_path = path;
            return 0;
        }
        free(path);
    }
    return 0;
}

/* Cut the line end off; false when what is left is no password. */
static bool trim(char *text, size_t size)
{
    if (strlen(text) != size)
        return false;
    text[strcspn(text, "\r\n")] = 0;
    size_t len = strlen(text);
    if (len == 0 || size - len > 2 || strspn(text + len + (len < size), "\n") + len + 1 < size)
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    return true;
}

/* The first line of @path as a new string. Reports, and leaves *ret_password NULL, when it is not to be had. */
static int read_password(const char *path, struct pd_config_doc *doc, int line, char **ret_password)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    char *text = NULL;
    int r = fd < 0 && pd_config_passes(-errno) ? -errno : 0;
    if (fd < 0 || fstat(fd, &st) < 0) {
        pd_config_problem(doc, line, "password_file", "found a file that cannot be read (%s), expected one that the "
                          "daemon's user can read", strerror(errno));
        goto out;
    }
    if (!S_ISREG(st.st_mode)) {
        pd_config_problem(doc, line, "password_file", "found something that is no regular file");
        goto out;
    }
    if (st.st_mode & (S_IRGRP | S_IROTH))
        pd_config_warning(doc, line, "password_file", "found mode %04o, which lets %s read it, expected 0600 or 0400",
                          (unsigned)st.st_mode & 07777u, st.st_mode & S_IROTH ? "everybody" : "its group");
    text = calloc(1, PASSWORD_MAX + 1);
    ssize_t n = text ? read(fd, text, PASSWORD_MAX) : 0;
    if (!text) {
        r = -ENOMEM;
    } else if (n < 0) {
        r = pd_config_passes(-errno) ? -errno : 0;
        pd_config_problem(doc, line, "password_file", "found a file that cannot be read: %s", strerror(errno));
    } else if (n == PASSWORD_MAX || !trim(text, (size_t)n)) {
        pd_config_problem(doc, line, "password_file", "found something else than one line of text, expected the "
                          "password alone, at most %d bytes", PASSWORD_MAX - 1);
    } else {
        *ret_password = text;
        text = NULL;
    }
out:
    forget(text, text ? PASSWORD_MAX : 0);
    if (fd >= 0)
        close(fd);
    return r;
}

int pd_config_read_password(struct pd_camera_config *camera, const char *root_dir, struct pd_config_doc *doc, int line)
{
    if (!camera->password_file)
        return 0;
    if (!camera->username) {
        pd_config_problem(doc, line, "password_file", "found without a username, expected both or neither");
        return 0;
    }
    const char *unit_dir = getenv("CREDENTIALS_DIRECTORY");
    if (unit_dir && *camera->password_file != '/' && access(unit_dir, X_OK) < 0) {
        /* systemd shows credentials to a unit's ExecStart= alone, and ExecReload= checks the files before the daemon
         * reads them again */
        pd_config_warning(doc, line, "password_file", "found no way to the unit's credentials from here (%s), so it is "
                          "not checked", strerror(errno));
        return 0;
    }
    PD_CLEANUP(pd_freep) char *path = NULL;
    int r = locate(camera->password_file, root_dir, &path);
    if (r < 0)
        return r;
    if (!path) {
        pd_config_problem(doc, line, "password_file", "found the name of a credential that is not there, expected a "
                          "file of that name in %s",
                          unit_dir ? "the unit's credentials (LoadCredential=camera:DIRECTORY, "
                          "read when the unit starts)" : "the folder credentials beside posed.json");
        return 0;
    }
    r = read_password(path, doc, line, &camera->password);
    if (r < 0 || !camera->password)
        return r;
    r = pd_config_hide_secret(camera->username, camera->password, camera->hidden);
    if (r == -EINVAL)
        pd_config_warning(doc, line, "password_file", "found a password under 3 bytes, too short to be kept out of "
                          "log lines, expected a longer one");
    return r == -ENOMEM ? r : 0;
}
