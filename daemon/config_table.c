/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config_table.h"

#include <string.h>

static const char *const engines[] = {"auto", "cudnn", "onednn", "reference", "null", NULL};
static const char *const precisions[] = {"auto", "fp32", "tf32", "bf16", "fp16", NULL}; /* enum pd_precision */
static const char *const log_levels[] = {"error", "warning", "info", "debug", NULL};
static const char *const transports[] = {"tcp", "udp", NULL}; /* enum pd_transport */
static const char *const hwaccels[] = {"none", "cuda", "auto", NULL};

#define DAEMON(field) .scope = PD_SCOPE_DAEMON, .offset = offsetof(struct pd_config, field)
#define CAMERA(field) .scope = PD_SCOPE_CAMERA, .offset = offsetof(struct pd_camera_config, field)
#define RANGE(lo, hi) .min = (lo), .max = (hi)
#define OF_POSTPROC "" /* pd_post_defaults() has it */

/* Rows in reading order: where it listens, what it computes, what is around it; then a camera, from input to output. */
static const struct pd_option options[] = {
    {"socket", PD_OPT_PATH, DAEMON(socket), .def = "\"/run/posed/posed.sock\"", .on_change = PD_CHANGE_RESTART,
     .text = "Unix socket on which clients subscribe. At most 107 bytes."},
    {"socket_mode", PD_OPT_MODE, DAEMON(socket_mode), .def = "\"0660\"", RANGE(0, 0777),
     .on_change = PD_CHANGE_RESTART,
     .text = "Permissions of the socket, octal, as a string: who may write to it may subscribe."},
    {"socket_group", PD_OPT_STRING, DAEMON(socket_group), .on_change = PD_CHANGE_RESTART,
     .text = "Group that the socket is given to; the daemon must be root or a member. Not set: its own group."},
    {"max_clients", PD_OPT_INT, DAEMON(max_clients), .def = "1024", RANGE(1, 8192), .on_change = PD_CHANGE_LIVE,
     .text = "Clients connected at a time; further ones are turned away with a line that says so."},
    {"metrics_listen", PD_OPT_STRING, DAEMON(metrics_listen), .on_change = PD_CHANGE_RESTART,
     .text = "Address and port, such as \"127.0.0.1:9464\", at which Prometheus finds GET /metrics; port 0 is any free "
             "one, which the log tells. Not set: none; posectl metrics has the same text. There is no password: "
             "whoever can reach it can read it."},
    {"metrics_remote", PD_OPT_BOOL, DAEMON(metrics_remote), .def = "false", .on_change = PD_CHANGE_RESTART,
     .text = "true: metrics_listen may be an address that other machines can reach."},
    {"engine", PD_OPT_CHOICE, DAEMON(engine), .choices = engines, .def = "\"auto\"", .on_change = PD_CHANGE_RESTART,
     .text = "What runs the network: cudnn on an NVIDIA GPU, onednn on the CPU, reference in plain C (slow, exact), "
             "null without any network (load tests). auto takes the first of cudnn, onednn, reference that can run."},
    {"network", PD_OPT_PATH, DAEMON(network), .def = "\"" PD_DATADIR "/posed-lite.onnx\"",
     .on_change = PD_CHANGE_RESTART, .text = "ONNX file of a network of the OpenPose family."},
    {"precision", PD_OPT_ENUM, DAEMON(precision), .choices = precisions, .def = "\"auto\"",
     .on_change = PD_CHANGE_RESTART,
     .text = "Arithmetic of the engine; auto is the engine's fastest that keeps the accuracy."},
    {"width", PD_OPT_INT, DAEMON(width), .def = "456", RANGE(32, 4096), .unit = "pixels",
     .on_change = PD_CHANGE_RESTART,
     .text = "Width of the network's input, rounded up to a multiple of its stride (usually 8). Frames are scaled to "
             "fit; a larger input finds smaller people and takes more time."},
    {"height", PD_OPT_INT, DAEMON(height), .def = "256", RANGE(32, 4096), .unit = "pixels",
     .on_change = PD_CHANGE_RESTART, .text = "Height of the network's input, rounded up likewise."},
    {"batch", PD_OPT_INT, DAEMON(batch), .def = "0", RANGE(0, PD_BATCH_MAX), .unit = "frames",
     .on_change = PD_CHANGE_RESTART,
     .text = "Most frames, of different cameras, that the network sees at once; 0 is what the engine does best: 32 on "
             "a GPU, 1 on a CPU of up to four threads, where more takes longer and gains nothing, else one a thread."},
    {"batch_wait_ms", PD_OPT_NUMBER, DAEMON(batch_wait_ms), .def = "10", RANGE(0, 1000), .unit = "ms",
     .on_change = PD_CHANGE_LIVE, .text = "Longest that a frame waits for others to fill its batch."},
    {"threads", PD_OPT_INT, DAEMON(threads), .def = "0", RANGE(0, 256), .on_change = PD_CHANGE_RESTART,
     .text = "Threads of a CPU engine; 0: one for each core that the daemon may use."},
    {"post_threads", PD_OPT_INT, DAEMON(post_threads), .def = "1", RANGE(1, 64), .on_change = PD_CHANGE_RESTART,
     .text = "Threads that turn the network's maps into people."},
    {"devices", PD_OPT_INTS, DAEMON(devices), .count_offset = offsetof(struct pd_config, n_devices), .def = "[]",
     RANGE(0, 63), .on_change = PD_CHANGE_RESTART,
     .text = "Numbers of the GPUs to use, at most 8; empty: the first. Each batch goes to a GPU that is free; decoders "
             "are shared out among them. A CPU engine has no use for it."},
    {"cache_dir", PD_OPT_PATH, DAEMON(cache_dir), .def = "\"/var/cache/posed\"", .on_change = PD_CHANGE_RESTART,
     .text = "Directory in which an engine remembers what it measured, so that the next start is quick."},
    {"log_level", PD_OPT_CHOICE, DAEMON(log_level), .choices = log_levels, .def = "\"info\"",
     .on_change = PD_CHANGE_LIVE, .text = "Lines less important than this are not logged."},
    {"cameras_dir", PD_OPT_PATH, DAEMON(cameras_dir), .def = "\"cameras.d\"", .on_change = PD_CHANGE_LIVE,
     .text = "Directory with one NAME.json for each camera."},

    {"enabled", PD_OPT_BOOL, CAMERA(enabled), .def = "true", .on_change = PD_CHANGE_CAMERA,
     .text = "false: the camera is checked with the others but not opened."},
    {"url", PD_OPT_URL, CAMERA(url), .required = true, .example = "\"rtsp://192.168.1.20/stream1\"",
     .on_change = PD_CHANGE_CAMERA,
     .text = "The input: rtsp://, rtsps://, http://, https://, v4l2:/dev/video0, the path of a video, a picture or a "
             "folder of pictures, or test:people. No user name or password in it: see username and password_file."},
    {"username", PD_OPT_STRING, CAMERA(username), .on_change = PD_CHANGE_CAMERA,
     .text = "User to log in as at the camera."},
    {"password_file", PD_OPT_SECRET, CAMERA(password_file), .on_change = PD_CHANGE_CAMERA,
     .text = "File whose only line is the camera's password: a path, or the bare name of a systemd credential. A bare "
             "name outside systemd means that name in the folder credentials beside posed.json."},
    {"ca_file", PD_OPT_PATH, CAMERA(ca_file), .on_change = PD_CHANGE_CAMERA,
     .text = "Of https:// and rtsps:// cameras: PEM file of certificates, one of them the camera's own or the one that "
             "signed it; a camera that shows another is not watched. Not set: the stream is encrypted, but the "
             "certificate is not checked, so whoever stands in between can pose as the camera and learn its password. "
             "With FFmpeg 5.1 a camera at rtsps:// cannot be checked, and stays down if this is set."},
    {"tls_name", PD_OPT_STRING, CAMERA(tls_name), .on_change = PD_CHANGE_CAMERA,
     .text = "With ca_file: the name that the camera's certificate bears. Not set: the host of url."},
    {"transport", PD_OPT_ENUM, CAMERA(transport), .choices = transports, .def = "\"tcp\"",
     .on_change = PD_CHANGE_CAMERA, .text = "How RTSP carries the stream. udp is a little quicker and loses packets."},
    {"hwaccel", PD_OPT_CHOICE, CAMERA(hwaccel), .choices = hwaccels, .def = "\"auto\"", .on_change = PD_CHANGE_CAMERA,
     .text = "Where the stream is decoded: none is the CPU, cuda is the GPU's decoder, auto is cuda when the engine "
             "runs on a GPU."},
    {"loop", PD_OPT_BOOL, CAMERA(loop), .def = "false", .on_change = PD_CHANGE_CAMERA,
     .text = "Files: start again at the end, as if it were a camera that never stops."},
    {"realtime", PD_OPT_BOOL, CAMERA(realtime), .def = "false", .on_change = PD_CHANGE_CAMERA,
     .text = "Files: play at their own rate and drop frames that come too fast, like a camera; false: as fast as "
             "possible, every frame."},
    {"max_fps", PD_OPT_NUMBER, CAMERA(max_fps), .def = "0", RANGE(0, 1000), .unit = "frames/s",
     .on_change = PD_CHANGE_CAMERA, .text = "Frames a second to look at, 0: all."},
    {"open_timeout_s", PD_OPT_NUMBER, CAMERA(open_timeout_s), .def = "8", RANGE(0.5, 300), .unit = "s",
     .on_change = PD_CHANGE_CAMERA, .text = "Longest that opening the stream may take before it counts as failed."},
    {"read_timeout_s", PD_OPT_NUMBER, CAMERA(read_timeout_s), .def = "3", RANGE(0.5, 300), .unit = "s",
     .on_change = PD_CHANGE_CAMERA, .text = "Longest silence of the stream before the camera counts as down."},
    {"roi", PD_OPT_RECT, CAMERA(roi), RANGE(0, 1), .on_change = PD_CHANGE_CAMERA,
     .text = "The part of the picture to look at, [x, y, width, height] in fractions of the frame; people are found in "
             "it as if it were the whole picture, so small ones become larger. Not set: all of it."},
    {"mask", PD_OPT_POLYGONS, CAMERA(mask), .count_offset = offsetof(struct pd_camera_config, n_mask), .def = "[]",
     RANGE(0, 1), .on_change = PD_CHANGE_CAMERA,
     .text = "Areas that are blanked before the network sees the picture (a window, a screen, a neighbour's door): "
             "a list of polygons, each a list of [x, y] in fractions of the frame."},
    {"peak_threshold", PD_OPT_FLOAT, CAMERA(post.peak_threshold), .def = OF_POSTPROC, RANGE(0, 1),
     .on_change = PD_CHANGE_CAMERA, .text = "Confidence that a joint must reach."},
    {"limb_threshold", PD_OPT_FLOAT, CAMERA(post.limb_threshold), .def = OF_POSTPROC, RANGE(0, 1),
     .on_change = PD_CHANGE_CAMERA, .text = "Agreement with the limb's direction that a point on a limb must reach."},
    {"limb_fraction", PD_OPT_FLOAT, CAMERA(post.limb_fraction), .def = OF_POSTPROC, RANGE(0, 1),
     .on_change = PD_CHANGE_CAMERA, .text = "Share of a limb's points that must reach it."},
    {"min_keypoints", PD_OPT_INT, CAMERA(post.min_keypoints), .def = OF_POSTPROC, RANGE(1, PD_KEYPOINTS_MAX),
     .on_change = PD_CHANGE_CAMERA, .text = "People with fewer joints are not reported."},
    {"min_score", PD_OPT_FLOAT, CAMERA(post.min_score), .def = OF_POSTPROC, RANGE(0, 1), .on_change = PD_CHANGE_CAMERA,
     .text = "People with a lower score are not reported."},
    {"max_people", PD_OPT_INT, CAMERA(post.max_people), .def = OF_POSTPROC, RANGE(1, PD_PEOPLE_MAX),
     .on_change = PD_CHANGE_CAMERA, .text = "Most people reported in one frame, the best first."},
    {"track", PD_OPT_BOOL, CAMERA(track), .def = "false", .on_change = PD_CHANGE_CAMERA,
     .text = "Follow people from frame to frame and give each an id."},
    {"smooth", PD_OPT_NUMBER, CAMERA(smooth), .def = "0", RANGE(0, 30), .unit = "Hz", .on_change = PD_CHANGE_CAMERA,
     .text = "Take the tremble out of joints: the cut-off of a One-Euro filter, 1 is strong, 5 is light, 0 is off. "
             "Anything but 0 turns track on."},
};

const struct pd_option *pd_option_at(enum pd_config_scope scope, int i)
{
    for (size_t k = 0; k < PD_ARRAY_SIZE(options); k++)
        if (options[k].scope == scope && i-- == 0)
            return &options[k];
    return NULL;
}

const struct pd_option *pd_option_find(enum pd_config_scope scope, const char *key)
{
    for (size_t k = 0; k < PD_ARRAY_SIZE(options); k++)
        if (options[k].scope == scope && !strcmp(options[k].key, key))
            return &options[k];
    return NULL;
}

#define NEAR_MAX 32 /* longer than any key; what is longer still is no slip of the finger */

/* Levenshtein distance of two short strings. */
static int distance(const char *a, const char *b)
{
    int row[NEAR_MAX + 1];
    int n = (int)strlen(b);
    for (int j = 0; j <= n; j++)
        row[j] = j;
    for (int i = 1; a[i - 1]; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            int above = row[j];
            int change = diagonal + (a[i - 1] != b[j - 1]);
            row[j] = PD_MIN(change, PD_MIN(above, row[j - 1]) + 1);
            diagonal = above;
        }
    }
    return row[n];
}

const char *pd_option_nearest(enum pd_config_scope scope, const char *key)
{
    size_t len = strlen(key);
    if (len < 2 || len > NEAR_MAX)
        return NULL;
    const char *best = NULL;
    int best_distance = (int)len / 3 + 2; /* one slip in "url", four in "password_file" */
    for (size_t k = 0; k < PD_ARRAY_SIZE(options); k++) {
        if (options[k].scope != scope)
            continue;
        const char *known = options[k].key;
        /* "password" for "password_file", "timeout" for "read_timeout_s" */
        int d = len >= 4 && strstr(known, key) ? 1 : distance(key, known);
        if (d < best_distance) {
            best = known;
            best_distance = d;
        }
    }
    return best;
}
