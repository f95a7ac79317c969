#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * One video decoder: packets in, whole frames out. Damaged frames and packets that do not decode are counted and
 * swallowed here, whatever bytes come. A GPU that fails where it was asked to decode is replaced by software. One
 * thread.
 */
#include "core/err.h"
#include "decode/avframe.h"
#include "decode/reader_impl.h"

struct AVBufferRef;
struct AVCodecContext;
struct AVCodecParameters;
struct AVFrame;
struct AVPacket;

/* When a packet came in, carried through the decoder's delay to its frame. */
struct pd_arrival {
    int64_t arrived_ns;
    int64_t wall_us; /* of arrival, or of capture when ntp */
    bool ntp;
    bool damaged; /* set by the decoder: its picture refers to what was lost */
};
#define PD_ARRIVALS 256 /* a power of two, above any decoder's delay (16 reference frames, 64 threads) */

struct pd_decoder_params {
    const struct AVCodecParameters *par; /* outlives the decoder */
    bool live;
    bool network; /* made by a stranger: smaller pictures are enough */
    int threads;
    const char *hwaccel;
    int cuda_device;
    bool strict; /* pictures: refuse what a video would conceal */
};

struct pd_decoder {
    struct AVCodecContext *avctx;
    struct AVFrame *frame;
    const char *name; /* not copied */
    struct pd_decoder_params params;
    struct AVBufferRef *device; /* hwaccel, or NULL */
    bool hardware;              /* the GPU was asked to decode this stream and did not refuse so far */
    int failures;               /* of it, while it is asked: packets without a frame, less the frames since */
    int errors;                 /* of it, since there were no failures */
    bool told;                  /* that it is software after all */
    uint64_t corrupt;           /* packets and frames swallowed */
    bool draining;              /* the end was given to it */
    bool keyframes;             /* of this stream are worth waiting for */
    bool wait_key;              /* nothing goes in before a keyframe */
    bool recovering;            /* that is because of damage: what is dropped counts as corrupt */
    int waited;                 /* packets dropped while waiting */
    bool key_seen;
    int since_key;              /* packets */
    int key_distance;           /* the longest so far, 0: unknown */
    int64_t key_pts;            /* of the keyframe that ended it, while pictures to be shown before it may come */
    int leading;                /* such pictures so far */
    unsigned n_arrivals;
    struct pd_arrival arrivals[PD_ARRIVALS];
};

/* @name, for messages, outlives the decoder, which must not move meanwhile. */
int pd_decoder_open(struct pd_decoder *decoder, const struct pd_decoder_params *params, const char *name,
                    struct pd_err *err);
void pd_decoder_finish(struct pd_decoder *decoder);
/* NULL packet: the end, frames inside come out. Takes nothing over. -EAGAIN: take frames out,
 * then give it again; 0, -ENOMEM. */
int pd_decoder_send(struct pd_decoder *decoder, struct AVPacket *packet, const struct pd_arrival *arrival);
/* 0: @ret_frame points to the decoder's frame, valid until the next call. -EAGAIN: wants a packet. -EPIPE: ended. */
int pd_decoder_receive(struct pd_decoder *decoder, struct AVFrame **ret_frame, struct pd_arrival *ret_arrival);
/* Something is missing before the next packet: nothing is shown until a keyframe, where the codec has them. */
void pd_decoder_lost(struct pd_decoder *decoder);
/* Forget what is inside, for a new start of the same stream. */
void pd_decoder_flush(struct pd_decoder *decoder);
void pd_decoder_discard(struct pd_decoder *decoder, enum pd_discard discard);
