/* SPDX-License-Identifier: Apache-2.0 */
#include "decode/input.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <libavformat/version.h>
#include <libavutil/dict.h>
#include <libavutil/error.h>

static const struct {
    const char *prefix;
    enum pd_input_kind kind;
    bool keep; /* the prefix is part of the address */
} schemes[] = {
    {"file:", PD_INPUT_FILE, false},   {"rtsp://", PD_INPUT_RTSP, true},   {"rtsps://", PD_INPUT_RTSP, true},
    {"http://", PD_INPUT_HTTP, true},  {"https://", PD_INPUT_HTTP, true},  {"v4l2:", PD_INPUT_V4L2, false},
    {"test:", PD_INPUT_PATTERN, false},
};

/* -1: a plain path; -EINVAL: a scheme we do not take; else the index in schemes[]. */
static int find_scheme(const char *text)
{
    for (size_t i = 0; i < PD_ARRAY_SIZE(schemes); i++)
        if (!strncasecmp(text, schemes[i].prefix, strlen(schemes[i].prefix)))
            return (int)i;
    /* "name://" is a scheme; "a:b.mp4" is a file with a colon in its name. */
    size_t n = 0;
    while (isalnum((unsigned char)text[n]) || text[n] == '+' || text[n] == '-' || text[n] == '.')
        n++;
    return n > 1 && !strncmp(text + n, "://", 3) ? -EINVAL : -1;
}

int pd_input_kind_of(const char *text, enum pd_input_kind *ret_kind)
{
    int s = find_scheme(text);
    if (s == -EINVAL)
        return -EINVAL;
    *ret_kind = s < 0 ? PD_INPUT_FILE : schemes[s].kind;
    return 0;
}

/* Take "user:password@" out of the authority of @url. */
static int split_user(struct pd_input *input)
{
    char *authority = strstr(input->address, "://") + 3;
    size_t len = strcspn(authority, "/?#");
    char *at = memrchr(authority, '@', len);
    if (!at)
        return 0;
    input->user = strndup(authority, (size_t)(at - authority));
    if (!input->user)
        return -ENOMEM;
    memmove(authority, at + 1, strlen(at + 1) + 1);
    return 0;
}

int pd_input_parse(const char *text, struct pd_input *ret_input, struct pd_err *err)
{
    int s = find_scheme(text);
    if (s == -EINVAL)
        return pd_err_set(err, -EINVAL,
                          "%.*s: unknown kind of input; expected a path, rtsp://, rtsps://, http://, https://, "
                          "v4l2:/dev/videoN or test:NAME",
                          (int)strcspn(text, ":"), text);
    struct pd_input in = {.kind = s < 0 ? PD_INPUT_FILE : schemes[s].kind};
    const char *address = s < 0 || schemes[s].keep ? text : text + strlen(schemes[s].prefix);
    if (!*address)
        return pd_err_set(err, -EINVAL, "input is empty; expected a path or a URL");
    in.address = strdup(address);
    if (!in.address)
        goto nomem;
    if (s >= 0 && schemes[s].keep) /* in small letters, the only ones in which FFmpeg knows it */
        memcpy(in.address, schemes[s].prefix, strlen(schemes[s].prefix));
    bool url = in.kind == PD_INPUT_RTSP || in.kind == PD_INPUT_HTTP;
    if (url && split_user(&in) < 0)
        goto nomem;
    /* Tokens and passwords also travel in queries; no message needs one. */
    in.name = in.kind == PD_INPUT_PATTERN || in.kind == PD_INPUT_V4L2 ? strdup(text) : strdup(in.address);
    if (!in.name)
        goto nomem;
    if (url)
        in.name[strcspn(in.name, "?#")] = 0;
    *ret_input = in;
    return 0;
nomem:
    pd_input_finish(&in);
    return pd_err_set(err, -ENOMEM, "out of memory");
}

void pd_input_wipe(char **url)
{
    if (*url)
        explicit_bzero(*url, strlen(*url));
    free(*url);
    *url = NULL;
}

void pd_input_finish(struct pd_input *input)
{
    free(input->address);
    free(input->name);
    pd_input_wipe(&input->user);
    input->address = input->name = NULL;
}

/* Percent-encode everything that could end the user part or be taken for an escape. Returns the end. */
static char *encode(char *out, const char *text)
{
    for (; text && *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (isalnum(c) || strchr("-._~", c))
            *out++ = (char)c;
        else
            out += sprintf(out, "%%%02X", c);
    }
    return out;
}

char *pd_input_url(const struct pd_input *input, const char *username, const char *password)
{
    bool own = username || password;
    if (!own && !input->user)
        return strdup(input->address);
    size_t user_max = own ? 3 * (strlen(username ? username : "") + strlen(password ? password : "")) + 1
                          : strlen(input->user);
    char *url = malloc(strlen(input->address) + user_max + 2);
    if (!url)
        return NULL;
    size_t head = (size_t)(strstr(input->address, "://") + 3 - input->address);
    memcpy(url, input->address, head);
    char *out = url + head;
    if (own) {
        out = encode(out, username);
        *out++ = ':';
        out = encode(out, password);
    } else {
        out = stpcpy(out, input->user);
    }
    *out++ = '@';
    strcpy(out, input->address + head);
    return url;
}

/* libav's own timeout is the second net under the reader's interrupt deadline; 0 would mean "never" for connect. */
#define NET_TIMEOUT_US "10000000"
/* Renamed with libavformat 59; as an unknown key it would be ignored in silence. */
#if LIBAVFORMAT_VERSION_MAJOR >= 59
#define RTSP_TIMEOUT "timeout"
#else
#define RTSP_TIMEOUT "stimeout"
#endif

struct option {
    const char *key, *value;
};

static int set_all(struct AVDictionary **opts, const struct option *list)
{
    for (; list->key; list++) {
        int r = av_dict_set(opts, list->key, list->value, 0);
        if (r < 0)
            return r;
    }
    return 0;
}

int pd_input_options(const struct pd_input *input, const struct pd_reader_params *params, struct AVDictionary **opts)
{
    bool tcp = params->transport == PD_TRANSPORT_TCP;
    switch (input->kind) {
    case PD_INPUT_FILE:
        /* A playlist on disk may name its segments, never the network. */
        return set_all(opts, (struct option[]){{"protocol_whitelist", "file,crypto,data"}, {0}});
    case PD_INPUT_RTSP:
        return set_all(opts, (struct option[]){{"protocol_whitelist", "rtsp,rtsps,rtp,srtp,udp,tcp,tls"},
                                               {"rtsp_transport", tcp ? "tcp" : "udp"},
                                               /* Over TCP nothing comes out of order, but a camera may leave packets
                                                * out, and without a queue nobody would notice. */
                                               {"reorder_queue_size", tcp ? "2" : "500"},
                                               {RTSP_TIMEOUT, NET_TIMEOUT_US},
                                               {"allowed_media_types", "video"},
                                               {0}});
    case PD_INPUT_HTTP:
        return set_all(opts, (struct option[]){{"protocol_whitelist", "http,https,httpproxy,tcp,tls,crypto,data"},
                                               {"rw_timeout", NET_TIMEOUT_US},
                                               {0}});
    case PD_INPUT_V4L2:
    case PD_INPUT_PATTERN:
        break;
    }
    return 0;
}
