#pragma once
/* SPDX-License-Identifier: Apache-2.0
 *
 * The daemon's configuration: posed.json and cameras.d/NAME.json, read through one option table (config_table.c) that
 * also makes the help, the man page, the shipped example and the JSON Schema.
 *
 * Everything is parsed into a new tree, checked whole, and every problem of every file is reported in one run; a tree
 * is immutable once loaded. Loop thread.
 */
#include <errno.h>

#include "core/err.h"
#include "core/queue.h"
#include "core/engine/engine.h"
#include "decode/reader.h"
#include "postproc/post.h"

#define PD_CAMERA_NAME_MAX 64
#define PD_POLYGONS_MAX 16
#define PD_POLYGON_POINTS_MAX 32
#define PD_CONFIG_DEVICES_MAX 8
#define PD_SECRET_FORMS 3

struct pd_polygon {
    int n;
    float x[PD_POLYGON_POINTS_MAX], y[PD_POLYGON_POINTS_MAX]; /* 0..1 of the frame */
};

struct pd_camera_config {
    char name[PD_CAMERA_NAME_MAX]; /* the file's name without .json: [A-Za-z0-9._-]+ */
    char *file;                    /* path it was read from */
    bool enabled;
    char *url;
    char *username;
    char *password_file;  /* absolute path, or a name in $CREDENTIALS_DIRECTORY */
    char *password;       /* read from password_file at load; never written anywhere */
    char *hidden[PD_SECRET_FORMS]; /* forms of it that no log line shows as long as this lives, and for a while after */
    char *ca_file, *tls_name; /* TLS: what the camera's certificate has to be; NULL: anything will do */
    enum pd_transport transport;
    char *hwaccel;        /* "none", "cuda", "auto" */
    bool loop, realtime;
    double max_fps;       /* 0: all */
    float roi[4];         /* x y w h, 0..1 of the frame; w = 0: whole frame */
    int n_mask;
    struct pd_polygon mask[PD_POLYGONS_MAX];
    struct pd_post_params post; /* peak_threshold, limb_threshold, min_score, min_keypoints, max_people, ... */
    bool track;
    double smooth;        /* One-Euro minimum cutoff in Hz, 0: off; implies track */
    double open_timeout_s, read_timeout_s;
};

struct pd_config {
    char *dir;             /* directory of posed.json; relative paths in it start there */
    char *socket;          /* path */
    int socket_mode;       /* e.g. 0660 */
    char *socket_group;    /* NULL: leave */
    int max_clients;
    char *metrics_listen;  /* valid "ADDRESS:PORT"; NULL: no endpoint */
    bool metrics_remote;   /* it may be reached from elsewhere */
    char *engine;          /* "auto", "cudnn", "onednn", "reference", "null" */
    char *network;         /* path of the ONNX file */
    enum pd_precision precision;
    int width, height;     /* network input */
    int batch;             /* 1..PD_BATCH_MAX, 0: as the engine likes */
    double batch_wait_ms;
    int threads;           /* CPU engine, 0: all cores */
    int post_threads;
    int devices[PD_CONFIG_DEVICES_MAX], n_devices;
    char *cache_dir;
    char *log_level;
    char *cameras_dir;
    int n_cameras;
    struct pd_camera_config *cameras; /* sorted by name */
};

/* One call a problem: "FILE:LINE: KEY: what was found, what was expected". A line "FILE:LINE: warning: KEY: ..." is
 * advice and does not make the load fail. */
typedef void (*pd_config_report_fn)(const char *line, void *user);

/* Read @path and its cameras. Returns 0, -EINVAL after reporting every problem, -ENOMEM, or another error that
 * pd_config_passes(), after reporting the file or folder. */
int pd_config_load(const char *path, pd_config_report_fn report, void *user, struct pd_config **ret_config);
void pd_config_destroy(struct pd_config *config);
/* Errors that are no mistake of whoever wrote the configuration: another try may find what this one lacked. */
static inline bool pd_config_passes(int r)
{
    return r == -ENOMEM || r == -EMFILE || r == -ENFILE || r == -EIO;
}
/* Whether a running camera has to be restarted to go from @a to @b (same name). */
bool pd_camera_config_equal(const struct pd_camera_config *a, const struct pd_camera_config *b);

/* Made from the table: JSON Schema, example files, man page section (roff), key list for --help. Printed to stdout. */
enum pd_config_scope { PD_SCOPE_DAEMON, PD_SCOPE_CAMERA };
enum pd_config_form { PD_FORM_SCHEMA, PD_FORM_EXAMPLE, PD_FORM_MAN, PD_FORM_HELP };
int pd_config_print(enum pd_config_scope scope, enum pd_config_form form);
