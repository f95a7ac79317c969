/* SPDX-License-Identifier: Apache-2.0 */
#include "decode/reader.h"

#include <errno.h>
#include <sys/stat.h>

#include "decode/av.h"
#include "decode/reader_impl.h"

int pd_interrupt_poll(void *interrupt)
{
    struct pd_interrupt *in = interrupt;
    if (in->code || !in->poll)
        return in->code != 0;
    int r = in->poll(in->user);
    if (r)
        in->code = r < 0 ? r : -ECANCELED;
    return r != 0;
}

static bool is_folder(const struct pd_input *input)
{
    struct stat st;
    return input->kind == PD_INPUT_FILE && stat(input->address, &st) == 0 && S_ISDIR(st.st_mode);
}

int pd_reader_open(const struct pd_reader_params *params, struct pd_reader **ret_reader, struct pd_err *err)
{
    pd_av_init();
    struct pd_input input;
    int r = pd_input_parse(params->input, &input, err);
    if (r < 0)
        return r;
    struct pd_reader *reader = NULL;
    if (input.kind == PD_INPUT_PATTERN)
        r = pd_reader_open_pattern(params, &input, &reader, err);
    else if (is_folder(&input))
        r = pd_reader_open_pictures(params, &input, &reader, err);
    else
        r = pd_reader_open_stream(params, &input, &reader, err);
    if (r < 0) {
        pd_input_finish(&input);
        return r;
    }
    *ret_reader = reader;
    return 0;
}

void pd_reader_close(struct pd_reader *reader)
{
    if (reader)
        reader->ops->close(reader);
}

const struct pd_reader_info *pd_reader_info(const struct pd_reader *reader)
{
    return &reader->info;
}

int pd_reader_next(struct pd_reader *reader, struct pd_frame **ret_frame, struct pd_err *err)
{
    struct pd_frame *frame = NULL;
    int r = reader->ops->next(reader, &frame, err);
    if (r != 0)
        return r;
    frame->seq = ++reader->seq;
    /* A live stream is opened without decoding anything, so its size is known only now. */
    if (!reader->info.width) {
        reader->info.width = frame->width;
        reader->info.height = frame->height;
    }
    *ret_frame = frame;
    return 0;
}

const char *pd_reader_current(const struct pd_reader *reader)
{
    return reader->current;
}

uint64_t pd_reader_corrupt(const struct pd_reader *reader)
{
    return reader->corrupt;
}

int pd_reader_rewind(struct pd_reader *reader, struct pd_err *err)
{
    if (reader->info.live)
        return pd_err_set(err, -ESPIPE, "%s: a live stream cannot start again", reader->current);
    return reader->ops->rewind(reader, err);
}

void pd_reader_set_progress(struct pd_reader *reader, void (*progress)(void *user), void *user)
{
    reader->progress = progress;
    reader->progress_user = user;
}

void pd_reader_set_discard(struct pd_reader *reader, enum pd_discard discard)
{
    if (reader->ops->discard)
        reader->ops->discard(reader, discard);
}

bool pd_reader_hardware(const struct pd_reader *reader)
{
    return reader->hardware;
}

int64_t pd_reader_clock_error_us(const struct pd_reader *reader)
{
    return reader->clock_error_us;
}

int64_t pd_reader_key_interval_us(const struct pd_reader *reader)
{
    return reader->key_interval_us;
}
