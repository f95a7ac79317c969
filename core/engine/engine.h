#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * Engines: batches of frames in, maps or candidates out. One struct pd_engine_ops a backend; callers use only the
 * functions here, which check arguments and do what is common to all (queueing, timing, optional entries).
 *
 * Asynchronous: pd_engine_submit() queues a batch and returns; the batch's done() runs on a thread of the engine's with
 * batch->status set, on every path, exactly once for each submitted batch, in submission order. The slots of a batch
 * (frames, maps) belong to the engine from submit until done() is entered, and to the caller from then on until the
 * next submit. Submit and the others are called by one thread at a time (the scheduler's).
 */
#include "core/err.h"
#include "core/frame.h"
#include "core/letterbox.h"
#include "core/net/net.h"
#include "core/pose.h"

#define PD_BATCH_MAX 32

enum pd_precision { PD_PRECISION_AUTO, PD_PRECISION_FP32, PD_PRECISION_TF32, PD_PRECISION_BF16, PD_PRECISION_FP16 };

struct pd_engine_params {
    enum pd_precision precision; /* AUTO: the engine's best that keeps accuracy */
    int width, height;           /* network input for which memory is taken at open: multiples of the net's stride */
    int max_batch;               /* 1..PD_BATCH_MAX; 0: what the engine does best */
    int threads;                 /* CPU engines: compute threads, 0 = one per core that this process may use */
    int in_flight;               /* batches accepted before submit blocks, 1..4; 0 = 2 */
    int devices[8];              /* GPU engines; an engine drives one */
    int n_devices;               /* 0 = device 0 */
    const char *cache_dir;       /* where measured choices are remembered; NULL: nowhere */
    const char *after;           /* "auto" begins after the engine of this name, which failed; NULL: with the first */
    /* An engine that can is to find peaks and limbs itself; caps.candidates tells whether it will. One that cannot, or
     * a network without a skeleton, gives maps. */
    bool candidates;
    bool maps_too; /* maps come back all the same; they are a hundred times as many bytes */
};

/* One frame's place in a batch. */
struct pd_slot {
    struct pd_frame *frame;      /* the batch owns one reference from submit; done()'s caller releases it */
    struct pd_letterbox lb;
    const uint8_t *mask;         /* see pd_letterbox_run; stays valid until done() */
    struct pd_find_params find;  /* read at submit, and only when caps.candidates */
    struct pd_maps maps;         /* filled by the engine: views its memory, valid until the batch is submitted again */
    struct pd_candidates *candidates; /* instead of maps when caps.candidates; the engine's memory like theirs */
    void *user;
};

struct pd_batch {
    int n;                       /* 1..max_batch slots in use */
    int width, height;           /* network input of this batch; all letterboxes have it as dst */
    struct pd_slot slot[PD_BATCH_MAX];
    int status;                  /* 0; -EIO engine failed, -ENODEV device lost, -ECANCELED closing */
    struct pd_err err;           /* says why when status < 0 */
    int64_t submitted_ns, started_ns, preprocessed_ns, done_ns; /* monotonic, set by the engine */
    void (*done)(struct pd_batch *batch, void *user);
    void *user;
    struct pd_engine *engine; /* whose batch this is; set by pd_engine_batch_init */
    void *engine_private;     /* the engine's memory for this batch; see pd_engine_batch_init */
};

struct pd_engine_caps {
    const char *name;     /* "onednn", "cudnn", ... */
    char device[160];     /* "NVIDIA H200", "AMD EPYC, 2 threads, avx2" */
    char version[64];     /* of the backing library */
    enum pd_precision precision;
    int max_batch;        /* what memory allowed, <= params.max_batch */
    bool synchronous;     /* one batch at a time: a second one in flight only waits, and its frames grow old */
    bool candidates;      /* slots come back with candidates, not maps */
    bool per_device;      /* drives one GPU, params.devices[0]; several want an engine each. Else: the CPU */
    bool device_frames;   /* takes frames with mem == PD_MEM_CUDA */
    size_t memory_bytes;  /* taken on the device at open, or by the last pd_engine_update_memory */
};

struct pd_engine;

/* Open the engine called @name ("auto": the first in order of preference that can run here; `reference` only with a
 * warning, `null` never). @net must outlive it. */
int pd_engine_open(const char *name, const struct pd_net *net, const struct pd_engine_params *params,
                   struct pd_engine **ret_engine, struct pd_err *err);
/* Whether "auto" has one to try after @name. */
bool pd_engine_has_next(const char *name);
/* Waits for submitted batches (their done() runs; those not begun yet come back with -ECANCELED, so drain first if
 * their results matter), then frees everything. Not from within done(). NULL is fine. */
void pd_engine_close(struct pd_engine *engine);
const struct pd_engine_caps *pd_engine_caps(const struct pd_engine *engine);

/* Give @batch (zeroed by the caller, then n, width, height, slots set) the memory its results will be written to, for
 * max_batch slots; grown when a later submit has a larger input. Undone by pd_engine_batch_finish. */
int pd_engine_batch_init(struct pd_engine *engine, struct pd_batch *batch, struct pd_err *err);
void pd_engine_batch_finish(struct pd_engine *engine, struct pd_batch *batch);

/* Queue @batch. Blocks while in_flight batches are under way. 0, or a negative errno (then done() is not called). */
int pd_engine_submit(struct pd_engine *engine, struct pd_batch *batch);
/* Wait until nothing is in flight and the last done() has returned. Not from within done(). */
void pd_engine_drain(struct pd_engine *engine);

/* Build what batches of @n frames of width x height need before the first comes (warm-up). */
int pd_engine_prepare(struct pd_engine *engine, int n, int width, int height, struct pd_err *err);

/* Bring caps.memory_bytes up to date: preparing takes more. Only while no other thread reads the caps. */
void pd_engine_update_memory(struct pd_engine *engine);

/* Run the network alone on @input (n x 3 x height x width fp32, normalised, host memory), outputs to @heat and @paf
 * (n x c x h' x w' fp32 host; either may be NULL). Synchronous; for tests and `posed bench`. */
int pd_engine_forward(struct pd_engine *engine, int n, int width, int height, const float *input, float *heat,
                      float *paf, struct pd_err *err);

/* Time of each layer of the last profiled run: pd_engine_profile runs a batch with timing on. For `posed bench`. */
struct pd_layer_time {
    int layer;          /* index into net->layers, the first of those that ran as one */
    int with;           /* 1 + index of another layer that the same launch ran (two branches), 0: none */
    double ms;          /* for the whole batch */
    char algorithm[64]; /* what the backend picked: "brgconv:avx2", "implicit_gemm tensor-core eng 44", ... */
};
/* Fills at most net->n_layers entries; returns how many, or a negative errno (-ENOTSUP: engine cannot tell). */
int pd_engine_profile(struct pd_engine *engine, int n, int width, int height, int repeats, struct pd_layer_time *times,
                      struct pd_err *err);

/* Milliseconds of one run of the network alone on the device's own clock, whatever its input holds: nothing is copied.
 * -ENOTSUP: the engine has no such clock; time pd_engine_forward() instead. */
int pd_engine_time_network(struct pd_engine *engine, int n, int width, int height, double *ret_ms,
                           struct pd_err *err);

/* Names of the engines in this build, in order of preference; NULL past the last. */
const char *pd_engine_name(int i);
/* Whether engine @i could run here at all; a line in @err says what is missing. */
int pd_engine_probe(int i, struct pd_err *err);
int pd_precision_parse(const char *name, enum pd_precision *ret_precision);
const char *pd_precision_name(enum pd_precision precision);

/* ---- for backends ---- */

/* A synchronous backend (CPU) leaves submit NULL: the wrapper owns one worker thread, and every entry but probe runs on
 * it, so such a backend needs no locks. It gives `forward` and may leave batch_init, batch_finish and run NULL: the
 * wrapper then keeps the memory of inputs and maps, letterboxes the frames and calls forward. An asynchronous backend
 * with its own streams gives submit, batch_init and batch_finish; its entries run on the caller's thread, and it calls
 * pd_engine_done() once for each batch that its submit accepted. Failing entries leave a line in @err or batch->err. */
struct pd_engine_ops {
    const char *name;
    bool automatic;  /* `auto` may choose it */
    bool per_device; /* it computes on a device of params.devices, and on one only */
    int (*probe)(struct pd_err *err);
    int (*open)(const struct pd_net *net, const struct pd_engine_params *params, struct pd_engine_caps *caps,
                void **ret_self, struct pd_err *err);
    void (*close)(void *self);
    int (*batch_init)(void *self, struct pd_batch *batch, struct pd_err *err);
    void (*batch_finish)(void *self, struct pd_batch *batch);
    int (*run)(void *self, struct pd_batch *batch);    /* synchronous; sets preprocessed_ns and every slot's maps */
    int (*submit)(void *self, struct pd_batch *batch); /* asynchronous */
    int (*prepare)(void *self, int n, int width, int height, struct pd_err *err); /* optional */
    int (*forward)(void *self, int n, int width, int height, const float *input, float *heat, float *paf,
                   struct pd_err *err);
    int (*profile)(void *self, int n, int width, int height, int repeats, struct pd_layer_time *times,
                   struct pd_err *err); /* optional */
    int (*best_batch)(const struct pd_engine_params *params); /* for params.max_batch 0; NULL: PD_BATCH_MAX */
    int (*time_network)(void *self, int n, int width, int height, double *ret_ms, struct pd_err *err); /* optional */
    size_t (*memory)(void *self); /* what caps.memory_bytes is now; NULL: what open() said */
};

/* @batch is finished with @status (0 or a negative errno): hands it to its done() once every batch submitted before it
 * has been handed over. Any thread; asynchronous backends only. */
void pd_engine_done(struct pd_batch *batch, int status);

/* Open @ops itself, for a backend that is not in the table (tests). */
int pd_engine_open_ops(const struct pd_engine_ops *ops, const struct pd_net *net, const struct pd_engine_params *params,
                       struct pd_engine **ret_engine, struct pd_err *err);

extern const struct pd_engine_ops pd_engine_reference;
extern const struct pd_engine_ops pd_engine_null;
extern const struct pd_engine_ops pd_engine_onednn; /* HAVE_ONEDNN */
extern const struct pd_engine_ops pd_engine_cudnn;  /* HAVE_CUDA */
