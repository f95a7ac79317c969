/* SPDX-License-Identifier: Apache-2.0
 *
 * A name server that does not answer must not keep a camera's thread. This program's getaddrinfo stands in for it.
 */
#include "tests/core/test.h"

#include <errno.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "decode/source.h"
#include "tests/decode/record.h"

static _Atomic int lookups;
static _Atomic bool release;

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret_list)
{
    atomic_fetch_add(&lookups, 1);
    for (int i = 0; i < 10000 && node && !strcmp(node, "stuck.example") && !atomic_load(&release); i++)
        usleep(1000);
    return EAI_NONAME;
}

static void a_stuck_name_server_costs_the_deadline_and_no_more(void **state)
{
    static const char *const urls[] = {"rtsp://stuck.example:554/x", "http://stuck.example/x.m3u8"};
    for (size_t i = 0; i < PD_ARRAY_SIZE(urls); i++) {
        struct record r;
        struct pd_source *source =
            record_start(&r, &(struct pd_source_config){.name = "door", .url = urls[i], .open_timeout_s = 0.3});
        int down = record_wait_state(&r, PD_SOURCE_DOWN, 1);
        if (!strstr(r.reasons[down], "in looking up its host name"))
            fail_msg("%s", r.reasons[down]);
        assert_true((double)(r.state_ns[down] - r.state_ns[0]) / (double)PD_NS_PER_S < record_bound(1));
        assert_true(record_destroy(source) < record_bound(0.5));
    }
}

static void stopping_does_not_wait_for_the_name_server(void **state)
{
    struct record r;
    int before = atomic_load(&lookups);
    struct pd_source *source =
        record_start(&r, &(struct pd_source_config){.name = "door", .url = "rtsp://stuck.example/x"});
    while (atomic_load(&lookups) == before)
        usleep(1000);
    assert_true(record_destroy(source) < record_bound(0.5));
}

static void an_unknown_name_is_told(void **state)
{
    struct record r;
    struct pd_source *source =
        record_start(&r, &(struct pd_source_config){.name = "door", .url = "rtsp://user:pw@nobody.example/x"});
    int down = record_wait_state(&r, PD_SOURCE_DOWN, 1);
    assert_non_null(strstr(r.reasons[down], "rtsp://nobody.example/x: host name nobody.example: "));
    record_destroy(source);
}

static int let_go(void **state)
{
    atomic_store(&release, true);
    usleep(100000); /* the lookups that were given up end, so that the leak checker finds nothing */
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stuck_name_server_costs_the_deadline_and_no_more),
        cmocka_unit_test(stopping_does_not_wait_for_the_name_server),
        cmocka_unit_test(an_unknown_name_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, let_go);
}
