/* Notices of fanotify: what was made, renamed, removed and closed after writing, and the paths of it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "plat/clock.h"
#include "plat/linux/fanotify.h"

#define HANDLE_MAX 128
/* A folder in a notice: 8 bytes fsid, then struct file_handle as the kernel writes it. */
#define FSID 8u
#define HEAD 8u

static uint64_t mix(uint64_t h, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

/* fsid ‖ file_handle to one number, never 0. */
static uint64_t number(struct sm_span id)
{
    uint64_t h = mix(0xcbf29ce484222325u, id.p, id.n);
    h ^= h >> 29;
    return h ? h : 1;
}

/* One record of what belongs to an event: fsid, handle, and perhaps a name.  What is left of it is name. */
static int take_handle(struct sm_span body, struct sm_span *ret_id, struct sm_span *ret_name)
{
    uint32_t n;
    if (body.n < FSID + HEAD)
        return -SM_EFORMAT;
    memcpy(&n, body.p + FSID, sizeof n);
    if (n > HANDLE_MAX || body.n < FSID + HEAD + n)
        return -SM_EFORMAT;
    *ret_id = SM_SPAN(body.p, FSID + HEAD + n);
    *ret_name = SM_SPAN(body.p + FSID + HEAD + n, body.n - FSID - HEAD - n);
    const void *end = ret_name->n ? memchr(ret_name->p, 0, ret_name->n) : NULL;
    if (end)
        ret_name->n = (size_t)((const uint8_t *)end - ret_name->p);
    return 0;
}

static int take_info(struct sm_span all, struct fswatch_notice *n)
{
    while (all.n >= sizeof(struct fanotify_event_info_header)) {
        struct fanotify_event_info_header h;
        struct sm_span id, name;
        memcpy(&h, all.p, sizeof h);
        if (h.len < sizeof h || h.len > all.n)
            return -SM_EFORMAT;
        const struct sm_span body = SM_SPAN(all.p + sizeof h, h.len - sizeof h);
        bool knows = h.info_type == FAN_EVENT_INFO_TYPE_FID || h.info_type == FAN_EVENT_INFO_TYPE_DFID ||
            h.info_type == FAN_EVENT_INFO_TYPE_DFID_NAME || h.info_type == FAN_EVENT_INFO_TYPE_OLD_DFID_NAME ||
            h.info_type == FAN_EVENT_INFO_TYPE_NEW_DFID_NAME;
        if (knows && take_handle(body, &id, &name))
            return -SM_EFORMAT;
        if (h.info_type == FAN_EVENT_INFO_TYPE_FID) {
            n->file = number(id);
            n->self.folder = id;
        } else if (h.info_type == FAN_EVENT_INFO_TYPE_NEW_DFID_NAME) {
            n->to = (struct fswatch_name){id, name};
        } else if (knows) {
            n->at = (struct fswatch_name){id, name};
        }
        all = SM_SPAN(all.p + h.len, all.n - h.len);
    }
    return 0;
}

/* The kernel joins what one process did to one name, in the order it is in here when it did all of it. */
static const struct {
    uint64_t bit;
    uint8_t kind;
} kinds[] = {{FAN_Q_OVERFLOW, FSWATCH_OVERFLOW}, {FAN_CREATE, FSWATCH_MADE}, {FAN_MODIFY, FSWATCH_CHANGED}, {FAN_CLOSE_WRITE, FSWATCH_WRITTEN},
    {FAN_RENAME, FSWATCH_RENAMED}, {FAN_DELETE, FSWATCH_REMOVED}};

ssize_t fswatch_parse(struct sm_span bytes, fswatch_notice_fn *fn, void *ctx)
{
    ssize_t got = 0;
    while (bytes.n) {
        struct fanotify_event_metadata e;
        if (bytes.n < sizeof e)
            return -SM_EFORMAT;
        memcpy(&e, bytes.p, sizeof e);
        if (e.vers != FANOTIFY_METADATA_VERSION || e.metadata_len < sizeof e || e.event_len < e.metadata_len ||
            e.event_len > bytes.n)
            return -SM_EFORMAT;
        struct fswatch_notice n = {.pid = e.pid > 0 ? (uint32_t)e.pid : 0, .folder = e.mask & FAN_ONDIR};
        if (take_info(SM_SPAN(bytes.p + e.metadata_len, e.event_len - e.metadata_len), &n))
            return -SM_EFORMAT;
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
            if (e.mask & kinds[i].bit) {
                n.kind = kinds[i].kind;
                fn(ctx, &n);
                got++;
            }
        bytes = SM_SPAN(bytes.p + e.event_len, bytes.n - e.event_len);
    }
    return got;
}

ssize_t fswatch_notices(struct fswatch *w, fswatch_notice_fn *fn, void *ctx)
{
    ssize_t n = read(w->fd[FSWATCH_NOTICES], w->buf, sizeof w->buf);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    return fswatch_parse(SM_SPAN(w->buf, (size_t)n), fn, ctx);
}

/* fsid ‖ file_handle, as notices have them. */
static int handle_of(int fd, uint8_t ret[FSID + HEAD + HANDLE_MAX], size_t *ret_n)
{
    union {
        struct file_handle h;
        uint8_t room[sizeof(struct file_handle) + HANDLE_MAX];
    } u = {.h = {.handle_bytes = HANDLE_MAX}};
    struct statfs fs;
    int mount;
    if (name_to_handle_at(fd, "", &u.h, &mount, AT_EMPTY_PATH) || fstatfs(fd, &fs))
        return -errno;
    uint32_t n = u.h.handle_bytes;
    memcpy(ret, &fs.f_fsid, FSID);
    memcpy(ret + FSID, &n, 4);
    memcpy(ret + FSID + 4, &u.h.handle_type, 4);
    memcpy(ret + FSID + HEAD, u.h.f_handle, n);
    *ret_n = FSID + HEAD + n;
    return 0;
}

int fswatch_number(int fd, uint64_t *ret)
{
    uint8_t id[FSID + HEAD + HANDLE_MAX];
    size_t n;
    int r = handle_of(fd, id, &n);
    if (r == 0)
        *ret = number(SM_SPAN(id, n));
    return r;
}

/* ---- paths ---- */

static int open_handle(struct fswatch *w, struct sm_span id)
{
    union {
        struct file_handle h;
        uint8_t room[sizeof(struct file_handle) + HANDLE_MAX];
    } u;
    uint32_t n;
    int fd = -SM_ENOTFOUND;
    memcpy(&n, id.p + FSID, sizeof n);
    u.h.handle_bytes = n;
    memcpy(&u.h.handle_type, id.p + FSID + 4, 4);
    memcpy(u.h.f_handle, id.p + FSID + HEAD, n);
    pthread_mutex_lock(&w->lock);
    for (size_t i = 0; i < w->mount_n; i++)
        if (memcmp(w->mount[i].fsid, id.p, FSID) == 0 && w->mount[i].fd >= 0) {
            fd = open_by_handle_at(w->mount[i].fd, &u.h, O_PATH | O_CLOEXEC);
            fd = fd < 0 ? -errno : fd;
            w->mount[i].used_ms = plat_clock_mono_ms();
            break;
        }
    pthread_mutex_unlock(&w->lock);
    return fd;
}

/* Where a folder stood that was removed meanwhile: the system says so behind its path, which is no part of its name. */
static ssize_t living_path(int fd, char *path, ssize_t n)
{
    static const char gone[] = " (deleted)";
    const ssize_t end = (ssize_t)sizeof gone - 1;
    struct stat st;
    if (fstat(fd, &st) || st.st_nlink)
        return n;
    if (n <= end || memcmp(path + n - end, gone, (size_t)end) != 0)
        return -ESTALE;
    path[n - end] = 0;
    return n - end;
}

static int folder_path(struct fswatch *w, struct sm_span id, size_t slot)
{
    int fd = open_handle(w, id);
    if (fd < 0)
        return fd;
    ssize_t n = fswatch_fd_path(fd, w->folder[slot].path);
    n = n < 0 ? n : living_path(fd, w->folder[slot].path, n);
    close(fd);
    if (n < 0)
        return (int)n;
    w->folder[slot].path_n = (uint16_t)n;
    w->folder[slot].handle_n = (uint16_t)id.n;
    memcpy(w->folder[slot].handle, id.p, id.n);
    return 0;
}

ssize_t fswatch_path(struct fswatch *w, const struct fswatch_name *n, char *ret)
{
    const struct sm_span id = n->folder;
    if (id.n < FSID + HEAD || id.n > FSWATCH_HANDLE)
        return -SM_ENOTFOUND;
    size_t slot = number(id) % FSWATCH_FOLDERS, at;
    if (w->folder[slot].handle_n != id.n || memcmp(w->folder[slot].handle, id.p, id.n) != 0) {
        w->folder[slot].handle_n = 0;
        int r = folder_path(w, id, slot);
        if (r)
            return r;
    }
    at = w->folder[slot].path_n;
    if (at + 1 + n->name.n >= FSWATCH_PATH)
        return -ENAMETOOLONG;
    memcpy(ret, w->folder[slot].path, at);
    if (n->name.n && !(n->name.n == 1 && n->name.p[0] == '.')) {
        if (at && ret[at - 1] != '/')
            ret[at++] = '/';
        memcpy(ret + at, n->name.p, n->name.n);
        at += n->name.n;
    }
    ret[at] = 0;
    return (ssize_t)at;
}

/* ---- paths of those who ask ---- */

/* Is fd what stands at path, through the same mount?  Nothing is waited for: the way to what was just opened is in memory. */
static bool is_there(int fd, const char *path)
{
    const struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
        .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_CACHED};
    struct statx a, b;
    int there = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
    if (there < 0)
        return false;
    const unsigned flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC, mask = STATX_INO | STATX_MNT_ID;
    bool same = !statx(fd, "", (int)flags, mask, &a) && !statx(there, "", (int)flags, mask, &b) && a.stx_ino == b.stx_ino &&
        a.stx_dev_major == b.stx_dev_major && a.stx_dev_minor == b.stx_dev_minor && a.stx_mnt_id == b.stx_mnt_id;
    close(there);
    return same;
}

ssize_t fswatch_own_path(struct fswatch *w, int fd, char ret[FSWATCH_PATH], bool *ret_ours)
{
    static const char gone[] = " (deleted)";
    const size_t end = sizeof gone - 1;
    uint8_t id[FSID + HEAD + HANDLE_MAX];
    size_t id_n;
    ssize_t n = fswatch_fd_path(fd, ret);
    *ret_ours = n > 0 && ret[0] == '/' && is_there(fd, ret);
    if (n < 0 || *ret_ours)
        return n;
    if (handle_of(fd, id, &id_n))
        return -ESTALE;
    int own = open_handle(w, SM_SPAN(id, id_n)); /* through the mount that we marked */
    if (own < 0)
        return -ESTALE;
    n = fswatch_fd_path(own, ret);
    close(own);
    bool named = n > 1 && ret[0] == '/' && !((size_t)n > end && memcmp(ret + n - end, gone, end) == 0);
    return named ? n : -ESTALE;
}

int fswatch_follow(struct fswatch *w, const struct fswatch_name *self)
{
    char path[48];
    if (self->folder.n < FSID + HEAD)
        return -SM_ENOTFOUND;
    int fd = open_handle(w, self->folder);
    if (fd < 0)
        return fd;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int r = fanotify_mark(w->fd[FSWATCH_OPENS], FAN_MARK_ADD, FAN_OPEN_PERM, AT_FDCWD, path) ? -errno : 0;
    close(fd);
    return r;
}

void fswatch_moved(struct fswatch *w)
{
    for (size_t i = 0; i < FSWATCH_FOLDERS; i++)
        w->folder[i].handle_n = 0;
}
