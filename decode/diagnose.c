/* SPDX-License-Identifier: Apache-2.0 */
#include "decode/diagnose.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libavutil/error.h>

#include "decode/av.h"

/* ---- files ---- */

int pd_diagnose_access(const char *path, struct pd_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        int e = errno;
        if (e == ENOENT)
            return pd_err_set(err, -e, "%s: no such file or folder", path);
        return pd_err_set(err, -e, "%s: cannot be opened: %s", path, strerror(e));
    }
    struct stat st;
    int r = 0;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0)
        r = pd_err_set(err, -EBADMSG, "%s: the file is empty", path);
    close(fd);
    return r;
}

bool pd_diagnose_is_text(const char *path)
{
    unsigned char head[512];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, head, sizeof(head));
    close(fd);
    for (ssize_t i = 0; i < n; i++)
        if ((head[i] < 0x20 && !strchr("\t\n\r\f\033", head[i])) || head[i] == 0x7f || !head[i])
            return false;
    return n > 0;
}

static uint64_t big_endian(const unsigned char *p, int n)
{
    uint64_t v = 0;
    for (int i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

/* Walks the top-level boxes. True: an MP4 or MOV (it has 'ftyp') in which no whole 'moov', the index, was found. */
static bool mp4_without_index(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    const off_t end = fstat(fd, &st) == 0 ? st.st_size : 0;
    bool ftyp = false, moov = false;
    off_t at = 0;
    unsigned char box[16];
    ssize_t n;
    for (int i = 0; i < 1000 && !moov && (n = pread(fd, box, 16, at)) >= 8; i++) {
        uint64_t size = big_endian(box, 4);
        ftyp |= !memcmp(box + 4, "ftyp", 4);
        if (size == 1 && n == 16)
            size = big_endian(box + 8, 8);
        if (size == 0) /* up to the end */
            size = (uint64_t)(end - at);
        if (size < 8 || size > (uint64_t)INT64_MAX - (uint64_t)at)
            break;
        moov = !memcmp(box + 4, "moov", 4) && at + (off_t)size <= end;
        at += (off_t)size;
    }
    close(fd);
    return ftyp && !moov;
}

int pd_diagnose_index(const char *path, struct pd_err *err)
{
    if (!mp4_without_index(path))
        return 0;
    return pd_err_set(err, -EBADMSG,
                      "%s: the video is cut off: its index (moov) is missing or not whole, which is written last; the "
                      "recording or the copy did not finish, copy it again", path);
}

int pd_diagnose_refusal(const char *path, int averror, struct pd_err *err)
{
    int r = pd_diagnose_access(path, err);
    if (r < 0)
        return r;
    if (pd_diagnose_is_text(path))
        return pd_err_set(err, -EBADMSG, "%s: this is text, not a picture or a video", path);
    r = pd_diagnose_index(path, err);
    if (r < 0)
        return r;
    r = pd_av_errno(averror);
    if (r == -EBADMSG)
        return pd_err_set(err, r, "%s: not a picture or a video of a known kind, or damaged at its start", path);
    return pd_av_err(err, averror, path, "cannot be read");
}

/* ---- cameras ---- */

/* In words that tell what to do: libav's own are "4XX Client Error, but not one of 40{0,1,3,4}". */
static int refused(const char *name, int status, bool known, struct pd_err *err)
{
    switch (status) {
    case 401:
        return pd_err_set(err, -EACCES, known ? "%s: user name or password refused (401)"
                                              : "%s: wants a user name and a password, and has none (401)", name);
    case 403:
        return pd_err_set(err, -EACCES, "%s: access denied (403): this user or this machine may not watch", name);
    case 404:
        return pd_err_set(err, -ENOENT, "%s: there is no such stream (404): check the path of its URL", name);
    case 429:
    case 453:
        return pd_err_set(err, -EBUSY, "%s: serves no more viewers (%d): end another one or lower its bit rate",
                          name, status);
    case 461:
        return pd_err_set(err, -EPROTO, "%s: does not serve over this transport (461): try the other one", name);
    default:
        return pd_err_set(err, -EPROTO, "%s: %s (%d)", name,
                          status < 500 ? "the request was refused" : "it cannot serve now", status);
    }
}

/* libav gives no reason but "Input/output error". */
static int refused_by_tls(const char *name, const char *why, struct pd_err *err)
{
    if (strstr(why, "failed verification"))
        return pd_err_set(err, -EACCES, "%s: its certificate is out of date or not vouched for by ca_file", name);
    if (strstr(why, "does not match hostname"))
        return pd_err_set(err, -EACCES, "%s: its certificate is for another name: set tls_name to the one it bears",
                          name);
    return pd_err_set(err, -EPROTO, "%s: TLS: %s", name, why);
}

int pd_diagnose_descriptors(const char *name, int code, struct pd_err *err)
{
    return pd_err_set(err, code, "%s: too many open files: raise LimitNOFILE= of the unit", name);
}

int pd_diagnose_camera(const char *name, int averror, bool known, bool checked, struct pd_err *err)
{
    char why[128];
    int status = pd_av_log_take_status();
    if (status >= 400)
        return refused(name, status, known, err);
    if (averror == AVERROR(EMFILE) || averror == AVERROR(ENFILE))
        return pd_diagnose_descriptors(name, averror, err);
    if (averror == AVERROR(EPERM) && checked)
        return pd_err_set(err, -EACCES, "%s: leads to an address without TLS, where nothing could be checked", name);
    if (pd_av_log_take_tls(why, sizeof(why)))
        return refused_by_tls(name, why, err);
    return pd_av_err(err, averror, name, "cannot be opened");
}
