/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config_url.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/util.h"

static bool is_scheme(const char *url, const char *scheme)
{
    size_t len = strlen(scheme);
    return !strncasecmp(url, scheme, len) && url[len] == ':';
}

bool pd_config_url_is_stream(const char *url)
{
    static const char *const schemes[] = {"rtsp", "rtsps", "http", "https"};
    for (size_t i = 0; i < PD_ARRAY_SIZE(schemes); i++)
        if (is_scheme(url, schemes[i]))
            return true;
    return false;
}

bool pd_config_url_is_tls(const char *url)
{
    return is_scheme(url, "rtsps") || is_scheme(url, "https");
}

/* "user:password@" before the host. A password may hold '/', '?' or '#' unescaped, which ends the authority early; then
 * what follows the first colon is no port, and that is taken for one too. */
static bool has_userinfo(const char *authority)
{
    size_t len = strcspn(authority, "/?#");
    if (memchr(authority, '@', len))
        return true;
    const char *colon = *authority == '[' ? NULL : memchr(authority, ':', len);
    if (!colon)
        return false;
    size_t rest = len - (size_t)(colon + 1 - authority);
    return strspn(colon + 1, "0123456789") < rest && strchr(authority, '@');
}

/* "host:port", "[address]:port": FFmpeg calls any other port an invalid argument and does not say of what. */
static bool has_bad_port(const char *authority)
{
    size_t len = strcspn(authority, "/?#");
    const char *host = *authority == '[' ? memchr(authority, ']', len) : authority;
    const char *colon = host ? memchr(host, ':', len - (size_t)(host - authority)) : NULL;
    if (!colon)
        return !host;
    size_t digits = strspn(colon + 1, "0123456789");
    long port = digits < 6 ? strtol(colon + 1, NULL, 10) : 0;
    return colon + 1 + digits != authority + len || port < 1 || port > 65535;
}

static const char *stream_fault(const char *url)
{
    const char *authority = strchr(url, ':') + 1;
    if (strncmp(authority, "//", 2) || strcspn(authority + 2, "/?#") == 0)
        return "found a string, expected a host, as in rtsp://192.168.1.20/stream1";
    if (has_userinfo(authority + 2))
        return "found a user name or password in it, expected none: take them out, and set username and password_file";
    if (authority[2] == ':' && authority[3] != ':')
        return "found a string, expected a host before the port, as in rtsp://192.168.1.20:554/stream1";
    if (has_bad_port(authority + 2))
        return "found a string, expected 1 to 65535 as the port behind the host, and an IPv6 address in [ ]";
    return NULL;
}

const char *pd_config_url_path(const char *url)
{
    if (pd_config_url_is_stream(url) || is_scheme(url, "v4l2") || is_scheme(url, "test"))
        return NULL;
    if (!is_scheme(url, "file"))
        return url;
    url += strlen("file:");
    return strncmp(url, "//", 2) ? url : url + 2; /* file:///path: an empty host */
}

const char *pd_config_url_fault(const char *url)
{
    if (pd_config_url_is_stream(url))
        return stream_fault(url);
    const char *path = pd_config_url_path(url);
    /* Also behind a blank that was copied with it: taken for a path, a password in it would be shown. */
    if (path == url && *url != '/' && strstr(url, "://"))
        return "found a string, expected rtsp://, rtsps://, http://, https://, file:, v4l2:, test: or a path";
    if (path ? !*path : !strchr(url, ':')[1])
        return "found a string, expected a URL or path, as in rtsp://192.168.1.20/stream1";
    return NULL;
}
