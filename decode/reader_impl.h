#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the kinds of reader: each has its constructor and a table of what it does; reader.c does the common part.
 */
#include "decode/input.h"
#include "decode/reader.h"

/* The caller's interrupt, latched: once it has fired every later call of libav is cut short too. Without the latch a
 * parser that hands out its last buffered packet would look like progress and arm the deadline a second time. */
struct pd_interrupt {
    int (*poll)(void *user);
    void *user;
    int code; /* 0: not fired; -ECANCELED, -ETIMEDOUT */
};
int pd_interrupt_poll(void *interrupt);

/* How much of the stream is decoded; set while it runs, to shed load. */
enum pd_discard { PD_DISCARD_NONE, PD_DISCARD_NONREF, PD_DISCARD_NONKEY };

struct pd_reader_ops {
    int (*next)(struct pd_reader *reader, struct pd_frame **ret_frame, struct pd_err *err);
    int (*rewind)(struct pd_reader *reader, struct pd_err *err);
    void (*close)(struct pd_reader *reader);
    void (*discard)(struct pd_reader *reader, enum pd_discard discard); /* optional */
};

struct pd_reader {
    const struct pd_reader_ops *ops;
    struct pd_reader_info info;
    uint64_t seq;        /* frames handed out */
    uint64_t corrupt;    /* frames skipped as damaged */
    bool hardware;       /* the last frame was decoded by the GPU */
    int64_t clock_error_us; /* how far off the camera's own clock is when that is too much, else 0 */
    int64_t key_interval_us; /* between the last two keyframes, 0 unknown */
    const char *current; /* owned by the kind */
    /* Told of each complete packet of the stream; may be NULL. */
    void (*progress)(void *user);
    void *progress_user;
};

/* Each takes over @input on success. */
int pd_reader_open_stream(const struct pd_reader_params *params, struct pd_input *input, struct pd_reader **ret_reader,
                          struct pd_err *err);
int pd_reader_open_pictures(const struct pd_reader_params *params, struct pd_input *input,
                            struct pd_reader **ret_reader, struct pd_err *err);
int pd_reader_open_pattern(const struct pd_reader_params *params, struct pd_input *input,
                           struct pd_reader **ret_reader, struct pd_err *err);

/* For source_connection.c */
void pd_reader_set_progress(struct pd_reader *reader, void (*progress)(void *user), void *user);
void pd_reader_set_discard(struct pd_reader *reader, enum pd_discard discard);
bool pd_reader_hardware(const struct pd_reader *reader);
int64_t pd_reader_key_interval_us(const struct pd_reader *reader);
int64_t pd_reader_clock_error_us(const struct pd_reader *reader);
