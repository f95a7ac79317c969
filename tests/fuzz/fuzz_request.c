/* SPDX-License-Identifier: Apache-2.0
 *
 * What a client may send, line by line, against a hub with two cameras that publish in between. Promises: every line is
 * taken or refused with one line of JSON; whatever comes out of the outbox is lines of JSON; the bytes that wait stay
 * within the cap.
 */
#include "tests/fuzz/fuzz.h"

#include <jansson.h>
#include <string.h>

#include "daemon/hub.h"

#define CAP 4096

static struct pd_request request;

static void check_lines(const struct iovec *iov)
{
    json_t *line = json_loadb(iov->iov_base, iov->iov_len, 0, NULL);
    FUZZ_CHECK(line && json_is_object(line));
    FUZZ_CHECK(((const char *)iov->iov_base)[iov->iov_len - 1] == '\n');
    json_decref(line);
}

static void read_some(struct pd_hub *hub, struct pd_outbox *ob, int max)
{
    struct pd_gather g;
    pd_outbox_gather(ob, pd_hub_gaps(hub), max, &g);
    for (int i = 0; i < g.n; i++)
        if (g.iov[i].iov_len)
            check_lines(&g.iov[i]);
    pd_outbox_commit(ob, &g, g.bytes);
}

static void handle(struct pd_hub *hub, struct pd_subscriber *sub, const char *text, size_t len)
{
    struct pd_err err = {""};
    if (pd_json_parse_request(text, len, &request, &err) == 0) {
        if (request.kind == PD_REQUEST_SUBSCRIBE)
            FUZZ_CHECK(pd_hub_subscribe(hub, sub, &request) == 0);
        return;
    }
    FUZZ_CHECK(err.text[0]);
    struct pd_line *line = pd_json_error(err.text);
    FUZZ_CHECK(line && pd_outbox_reply(&sub->outbox, line) == 0);
    pd_line_unref(line);
}

static void publish(struct pd_hub *hub, uint64_t step)
{
    static const char text[] = "{\"type\":\"pose\",\"pad\":\"................................................\"}\n";
    struct pd_line *line = pd_line_new(text, sizeof(text) - 1);
    FUZZ_CHECK(line);
    pd_hub_publish(hub, (int)(step % 2), step + 1, line, (int64_t)step * 10000000);
    pd_line_unref(line);
    if (step % 7 == 0)
        pd_hub_settle(hub, (int)(step % 2), step + 3);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct pd_hub_params params = {.client_cap = CAP};
    struct pd_hub *hub = pd_hub_create(&params);
    struct pd_subscriber sub;
    FUZZ_CHECK(hub && pd_hub_add_camera(hub, "a") == 0 && pd_hub_add_camera(hub, "b") == 1);
    FUZZ_CHECK(pd_hub_join(hub, &sub) == 0);
    uint64_t step = 0;
    const char *at = (const char *)data, *end = at + size;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        handle(hub, &sub, at, (size_t)(stop - at));
        for (int i = 0; i < 20; i++)
            publish(hub, step++);
        pd_hub_spread(hub, NULL);
        FUZZ_CHECK(sub.outbox.bytes - sub.outbox.reply_bytes <= CAP + 512);
        read_some(hub, &sub.outbox, 1 + (int)(step % 9));
        at = stop + 1;
    }
    while (!pd_outbox_empty(&sub.outbox))
        read_some(hub, &sub.outbox, PD_OUTBOX_GATHER_MAX);
    pd_hub_leave(hub, &sub);
    pd_hub_destroy(hub);
    FUZZ_CHECK(pd_line_live_bytes() == 0);
    return 0;
}
