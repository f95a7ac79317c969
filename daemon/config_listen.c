/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config_listen.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

/* @text is "HOST:PORT", its last colon at @colon. */
static bool parse_v4(const char *text, const char *colon, unsigned port, struct pd_listen_address *ret)
{
    char host[INET_ADDRSTRLEN] = "";
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if ((size_t)(colon - text) >= sizeof(host))
        return false;
    memcpy(host, text, (size_t)(colon - text));
    if (inet_pton(AF_INET, host, &in.sin_addr) != 1)
        return false;
    memcpy(&ret->address, &in, sizeof(in));
    ret->len = sizeof(in);
    ret->loopback = ntohl(in.sin_addr.s_addr) >> 24 == 127;
    return true;
}

/* "[HOST]:PORT" */
static bool parse_v6(const char *text, const char *colon, unsigned port, struct pd_listen_address *ret)
{
    char host[INET6_ADDRSTRLEN] = "";
    struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    if (colon - text < 2 || colon[-1] != ']' || (size_t)(colon - text) - 2 >= sizeof(host))
        return false;
    memcpy(host, text + 1, (size_t)(colon - text) - 2);
    if (inet_pton(AF_INET6, host, &in.sin6_addr) != 1)
        return false;
    memcpy(&ret->address, &in, sizeof(in));
    ret->len = sizeof(in);
    ret->loopback = IN6_IS_ADDR_LOOPBACK(&in.sin6_addr);
    return true;
}

bool pd_config_listen_address(const char *text, struct pd_listen_address *ret_address)
{
    *ret_address = (struct pd_listen_address){0};
    const char *colon = strrchr(text, ':');
    if (!colon || !colon[1] || strlen(colon + 1) > 5 || strspn(colon + 1, "0123456789") != strlen(colon + 1))
        return false;
    unsigned long port = strtoul(colon + 1, NULL, 10);
    if (port > 65535)
        return false;
    return *text == '[' ? parse_v6(text, colon, (unsigned)port, ret_address)
                        : parse_v4(text, colon, (unsigned)port, ret_address);
}

const char *pd_config_listen_fault(const char *text, bool metrics_remote)
{
    struct pd_listen_address a;
    if (!text)
        return NULL;
    if (!pd_config_listen_address(text, &a))
        return "found something else, expected an address and a port such as \"127.0.0.1:9464\" or \"[::1]:9464\"";
    if (!a.loopback && !metrics_remote)
        return "found an address that other machines can reach, expected one of 127.0.0.0/8 or [::1], or "
               "\"metrics_remote\": true beside it";
    return NULL;
}
