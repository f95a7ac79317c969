/* SPDX-License-Identifier: Apache-2.0 - the listener of the socket while there is no memory for clients. */
#include "tests/core/test.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/clock.h"
#include "daemon/json.h"
#include "daemon/server.h"

/* The linker sends calls of the library here (--wrap). */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);

static bool no_memory;

void *__wrap_malloc(size_t size)
{
    return no_memory ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return no_memory ? NULL : __real_calloc(n, size);
}

static struct pd_line *hello(void *user)
{
    return pd_json_error("hello"); /* any line */
}

static const struct pd_server_ops ops = {.hello = hello};
static uv_loop_t loop;
static bool closed;

static void on_closed(void *user)
{
    closed = true;
}

/* A connection that the server has not been told of yet. */
static int connect_to(int listener)
{
    struct sockaddr_un address = {0};
    socklen_t size = sizeof(address);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, size), 0);
    return fd;
}

/* What the server sends within five seconds: >0 bytes, 0 its end, -1 nothing. */
static ssize_t hear(int fd)
{
    char text[256];
    int64_t end = pd_now_ns() + 5 * PD_NS_PER_S;
    while (pd_now_ns() < end) {
        ssize_t n = recv(fd, text, sizeof(text), 0);
        if (n >= 0 || errno != EAGAIN)
            return n;
        uv_run(&loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    return -1;
}

static void clients_are_served_again_when_there_is_memory(void **state)
{
    struct pd_err err;
    struct pd_server *server = NULL;
    struct sockaddr_un address = {.sun_family = AF_UNIX}; /* a name of the kernel's choice, in no folder */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
    assert_int_equal(uv_loop_init(&loop), 0);
    struct pd_hub *hub = pd_hub_create(&(struct pd_hub_params){0});
    assert_non_null(hub);
    const struct pd_server_params params = {.loop = &loop, .hub = hub, .fd = fd, .max_clients = 8, .ops = &ops};
    assert_int_equal(pd_server_start(&params, &server, &err), 0);

    int first = connect_to(fd);
    no_memory = true;
    assert_int_equal(hear(first), 0);
    no_memory = false;
    int second = connect_to(fd);
    assert_true(hear(second) > 0);

    pd_server_close(server, "done", 100, on_closed);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(closed);
    close(first);
    close(second);
    pd_hub_destroy(hub);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(clients_are_served_again_when_there_is_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
