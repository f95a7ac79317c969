/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/json_pose.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/util.h"

#define NAME_BYTES_MAX 4096
#define COORDINATE_MAX 1e6
/* One keypoint: "[-1000000.0,-1000000.0,1000.000]," */
#define KEYPOINT_BYTES_MAX 36
#define PERSON_BYTES_MAX (80 + PD_KEYPOINTS_MAX * KEYPOINT_BYTES_MAX)
#define TAIL_BYTES_MAX 40
/* Everything before the people: names at worst six bytes a byte, the rest under 400. */
static_assert(2 * NAME_BYTES_MAX * 6 + 400 + PERSON_BYTES_MAX + TAIL_BYTES_MAX < PD_LINE_MAX, "the head always fits");

struct out {
    char *p;
};

static void put_text(struct out *o, const char *s)
{
    size_t n = strlen(s);
    memcpy(o->p, s, n);
    o->p += n;
}

static void put_uint(struct out *o, uint64_t v)
{
    char digits[20];
    int n = 0;
    do
        digits[n++] = (char)('0' + v % 10);
    while (v /= 10);
    while (n)
        *o->p++ = digits[--n];
}

static void put_int(struct out *o, int64_t v)
{
    if (v < 0)
        *o->p++ = '-';
    put_uint(o, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

/* @v rounded to @decimals places, trailing zeros left away; @v is finite and of modest size. */
static void put_fixed(struct out *o, double v, int decimals)
{
    static const int64_t scales[] = {1, 10, 100, 1000, 10000, 100000, 1000000};
    int64_t scale = scales[decimals];
    int64_t n = llrint(v * (double)scale);
    if (n < 0) {
        *o->p++ = '-';
        n = -n;
    }
    put_uint(o, (uint64_t)(n / scale));
    int64_t rest = n % scale;
    if (!rest)
        return;
    *o->p++ = '.';
    while (rest) {
        scale /= 10;
        *o->p++ = (char)('0' + rest / scale);
        rest %= scale;
    }
}

/* Length of the well-formed UTF-8 sequence at @s (RFC 3629, table in section 4), 0 when there is none. */
static int utf8_length(const unsigned char *s)
{
    if (s[0] < 0x80)
        return 1;
    int n = s[0] >= 0xc2 && s[0] <= 0xdf ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : s[0] >= 0xf0 && s[0] <= 0xf4 ? 4 : 0;
    if (!n)
        return 0;
    for (int i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
        (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return n;
}

static void put_string(struct out *o, const char *string)
{
    const unsigned char *s = (const unsigned char *)string;
    const unsigned char *end = s + strnlen(string, NAME_BYTES_MAX);
    *o->p++ = '"';
    while (s < end) {
        int n = utf8_length(s);
        if (!n || s + n > end) {
            put_text(o, "\\ufffd");
            s++;
        } else if (*s == '"' || *s == '\\') {
            *o->p++ = '\\';
            *o->p++ = (char)*s++;
        } else if (*s < 0x20 || *s == 0x7f) {
            o->p += sprintf(o->p, "\\u%04x", *s++);
        } else {
            memcpy(o->p, s, (size_t)n);
            o->p += n;
            s += n;
        }
    }
    *o->p++ = '"';
}

void pd_time_text(int64_t us, char text[static PD_TIME_TEXT])
{
    us = PD_CLAMP(us, 0, INT64_C(253402300799999999));
    time_t s = (time_t)(us / 1000000);
    struct tm tm;
    gmtime_r(&s, &tm);
    /* The modulo tells the compiler what the clamp guarantees: no field is wider than its place. */
    snprintf(text, PD_TIME_TEXT, "%04u-%02u-%02uT%02u:%02u:%02u.%06uZ", (unsigned)(tm.tm_year + 1900) % 10000,
             (unsigned)(tm.tm_mon + 1) % 100, (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100,
             (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100, (unsigned)(us % 1000000));
}

static double score_of(double v)
{
    return isfinite(v) ? PD_CLAMP(v, -999.0, 999.0) : 0;
}

static void put_person(struct out *o, const struct pd_person *person, int n_keypoints)
{
    put_text(o, "{");
    if (person->id > 0) {
        put_text(o, "\"id\":");
        put_int(o, person->id);
        put_text(o, ",");
    }
    put_text(o, "\"score\":");
    put_fixed(o, score_of((double)person->score), 3);
    put_text(o, ",\"keypoints\":[");
    for (int k = 0; k < n_keypoints; k++) {
        const struct pd_keypoint *kp = &person->keypoints[k];
        if (k)
            *o->p++ = ',';
        if (!(kp->score > 0) || !isfinite(kp->score) || !isfinite(kp->x) || !isfinite(kp->y)) {
            put_text(o, "null");
            continue;
        }
        *o->p++ = '[';
        put_fixed(o, PD_CLAMP((double)kp->x, -COORDINATE_MAX, COORDINATE_MAX), 1);
        *o->p++ = ',';
        put_fixed(o, PD_CLAMP((double)kp->y, -COORDINATE_MAX, COORDINATE_MAX), 1);
        *o->p++ = ',';
        put_fixed(o, score_of((double)kp->score), 3);
        *o->p++ = ']';
    }
    put_text(o, "]}");
}

static void put_head(struct out *o, const struct pd_pose_line *pose)
{
    static const char *const clocks[] = {
        [PD_TIME_ARRIVAL] = "arrival",
        [PD_TIME_NTP] = "ntp",
        [PD_TIME_FILE] = "file",
    };
    put_text(o, "{\"type\":\"pose\"");
    if (pose->camera) {
        put_text(o, ",\"camera\":");
        put_string(o, pose->camera);
    }
    if (pose->file) {
        put_text(o, ",\"file\":");
        put_string(o, pose->file);
    }
    put_text(o, ",\"seq\":");
    put_uint(o, pose->seq);
    if (pose->timed) {
        char text[PD_TIME_TEXT];
        pd_time_text(pose->time_us, text);
        put_text(o, ",\"time\":\"");
        put_text(o, text);
        put_text(o, "\",\"clock\":\"");
        put_text(o, clocks[pose->time_source]);
        put_text(o, "\"");
    }
    put_text(o, ",\"pts\":");
    if (pose->pts_us == PD_PTS_NONE)
        put_text(o, "null");
    else
        put_fixed(o, PD_CLAMP((double)pose->pts_us * 1e-6, -9e12, 9e12), 6);
    put_text(o, ",\"width\":");
    put_int(o, pose->width);
    put_text(o, ",\"height\":");
    put_int(o, pose->height);
    if (pose->latency_ms >= 0) {
        put_text(o, ",\"latency_ms\":");
        put_fixed(o, PD_MIN(pose->latency_ms, 1e9), 1);
    }
}

size_t pd_json_pose(const struct pd_pose_line *pose, char buf[static PD_LINE_MAX])
{
    struct out o = {buf};
    put_head(&o, pose);
    const struct pd_people *people = pose->people;
    int n_keypoints = PD_CLAMP(people->n_keypoints, 0, PD_KEYPOINTS_MAX);
    put_text(&o, ",\"people\":[");
    int i;
    for (i = 0; i < people->n; i++) {
        if (PD_LINE_MAX - (o.p - buf) < PERSON_BYTES_MAX + TAIL_BYTES_MAX)
            break;
        if (i)
            *o.p++ = ',';
        put_person(&o, &people->person[i], n_keypoints);
    }
    put_text(&o, "]");
    uint64_t omitted = (uint64_t)(people->n - i) + people->capped_people;
    if (omitted) {
        put_text(&o, ",\"omitted\":");
        put_uint(&o, omitted);
    }
    put_text(&o, "}\n");
    assert(o.p - buf <= PD_LINE_MAX);
    return (size_t)(o.p - buf);
}
