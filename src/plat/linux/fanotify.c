/* Watching folders: the three groups of fanotify, their marks, asks and answers.  fanotify_tell.c reads notices. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include "plat/clock.h"
#include "plat/linux/fanotify.h"

#define ASKS_FLAGS (FAN_CLASS_CONTENT | FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_QUEUE | FAN_UNLIMITED_MARKS)
#define FD_FLAGS ((unsigned)(O_RDONLY | O_LARGEFILE | O_CLOEXEC | O_NOATIME | O_NONBLOCK))
#define RUNNING_MAX 200u
#define EVENT_BYTES (sizeof(struct fanotify_event_metadata) + 24) /* with a range */
#define OPENS_MASK (FAN_OPEN_PERM | FAN_ONDIR)
#define NOTICES_MASK (FAN_CREATE | FAN_DELETE | FAN_RENAME | FAN_CLOSE_WRITE | FAN_ONDIR)

/* How each group is made, and what is said when it cannot be. */
static const struct {
    unsigned flags, fd_flags;
    const char *missing;
} groups[FSWATCH_GROUPS] = {
    [FSWATCH_OPENS] = {ASKS_FLAGS | FAN_REPORT_TID, FD_FLAGS, "no asking before files are opened"},
    /* The queue keeps its limit: a storm overflows it, and that is told, instead of filling the memory. */
    [FSWATCH_NOTICES] = {FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_MARKS | FAN_REPORT_DFID_NAME_TARGET,
        (unsigned)O_CLOEXEC, "no names of what is renamed and removed"},
    [FSWATCH_EXECS] = {ASKS_FLAGS, FD_FLAGS, "no asking before programs are started"},
    [FSWATCH_CUTS] = {(ASKS_FLAGS & ~(unsigned)FAN_CLASS_CONTENT) | FAN_CLASS_PRE_CONTENT | FAN_REPORT_TID, FD_FLAGS,
        "no asking before files are cut by their names"},
};

static void missing(char *why, const char *what, int err)
{
    size_t n = strlen(why);
    snprintf(why + n, 240 - n, "%s%s (%s)", n ? "; " : "", what, sm_strerror(err));
}

int fswatch_open(unsigned which, struct fswatch **ret, char *ret_why)
{
    struct fswatch *w = calloc(1, sizeof *w);
    bool any = false;
    if (!w)
        return -ENOMEM;
    ret_why[0] = 0;
    for (int g = 0; g < FSWATCH_GROUPS; g++) {
        w->fd[g] = -1;
        if (!(which & 1u << g))
            continue;
        w->fd[g] = fanotify_init(groups[g].flags, groups[g].fd_flags);
        any |= w->fd[g] >= 0;
        if (w->fd[g] < 0)
            missing(ret_why, groups[g].missing, -errno);
    }
    if (!any || pthread_mutex_init(&w->lock, NULL)) {
        fswatch_close(w);
        return any ? -ENOMEM : -SM_EUNSUPPORTED;
    }
    *ret = w;
    return 0;
}

void fswatch_close(struct fswatch *w)
{
    if (!w)
        return;
    for (int g = 0; g < FSWATCH_GROUPS; g++)
        if (w->fd[g] >= 0)
            close(w->fd[g]);
    for (size_t i = 0; i < w->mount_n; i++)
        if (w->mount[i].fd >= 0)
            close(w->mount[i].fd);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

bool fswatch_has(const struct fswatch *w, enum fswatch_group g)
{
    return w->fd[g] >= 0;
}

int fswatch_fd(const struct fswatch *w, enum fswatch_group g)
{
    return w->fd[g];
}

/* ---- marks ---- */

bool fswatch_removable(const char *path)
{
    static const char *const below[] = {"/media/", "/mnt/", "/run/media/"};
    for (size_t i = 0; i < sizeof below / sizeof below[0]; i++)
        if (strncmp(path, below[i], strlen(below[i])) == 0)
            return true;
    return false;
}

/* Handles are opened by a descriptor of their file system.  One that was opened for it alone would be asked for itself. */
void fswatch_disk(struct fswatch *w, int fd)
{
    char path[FSWATCH_PATH];
    struct statfs fs;
    if (fstatfs(fd, &fs))
        return;
    pthread_mutex_lock(&w->lock);
    size_t i = 0;
    while (i < w->mount_n && memcmp(&w->mount[i].fsid, &fs.f_fsid, sizeof w->mount[i].fsid) != 0)
        i++;
    bool add = i == w->mount_n && i < FSWATCH_MOUNTS && fswatch_fd_path(fd, path) > 0;
    if (add) {
        memcpy(&w->mount[i].fsid, &fs.f_fsid, sizeof w->mount[i].fsid);
        w->mount[i].fd = -1;
        w->mount[i].removable = fswatch_removable(path);
        w->mount_n++;
    }
    if (i < w->mount_n && w->mount[i].fd < 0) {
        w->mount[i].fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        w->mount[i].used_ms = plat_clock_mono_ms();
    }
    pthread_mutex_unlock(&w->lock);
}

void fswatch_rest(struct fswatch *w)
{
    uint64_t now = plat_clock_mono_ms();
    pthread_mutex_lock(&w->lock);
    for (size_t i = 0; i < w->mount_n; i++)
        if (w->mount[i].removable && w->mount[i].fd >= 0 && now - w->mount[i].used_ms > FSWATCH_REST_MS) {
            close(w->mount[i].fd);
            w->mount[i].fd = -1;
        }
    pthread_mutex_unlock(&w->lock);
}

/* The kernel takes an empty dirfd with a NULL path as: this descriptor itself. */
static int mark(const struct fswatch *w, enum fswatch_group g, unsigned flags, uint64_t mask, int fd)
{
    if (w->fd[g] < 0)
        return 0;
    return fanotify_mark(w->fd[g], flags, mask, fd, NULL) ? -errno : 0;
}

static int mark_both(struct fswatch *w, int dirfd, bool on, unsigned how, uint64_t children)
{
    unsigned flags = (on ? FAN_MARK_ADD : FAN_MARK_REMOVE) | how;
    if (on)
        fswatch_disk(w, dirfd);
    int r = mark(w, FSWATCH_NOTICES, flags, NOTICES_MASK | children, dirfd);
    if (r && on) /* a file system without handles has no notices; its opens are asked for all the same */
        r = r == -EOPNOTSUPP || r == -ENODEV || r == -EXDEV ? 0 : r;
    int also = mark(w, FSWATCH_OPENS, flags, OPENS_MASK | children, dirfd);
    return r ? r : also;
}

int fswatch_folder(struct fswatch *w, int dirfd, bool on)
{
    int r = mark_both(w, dirfd, on, FAN_MARK_ONLYDIR, FAN_EVENT_ON_CHILD);
    return !on && r == -ENOENT ? 0 : r;
}

int fswatch_file(struct fswatch *w, int dirfd, const char *name, bool pinned)
{
    const unsigned flags = FAN_MARK_ADD | (name ? FAN_MARK_DONT_FOLLOW : 0) | (pinned ? 0 : FAN_MARK_EVICTABLE);
    if (w->fd[FSWATCH_OPENS] < 0 || !fanotify_mark(w->fd[FSWATCH_OPENS], flags, FAN_OPEN_PERM, dirfd, name))
        return 0;
    return errno == EEXIST ? 0 : -errno; /* pinned already */
}

int fswatch_filesystem(struct fswatch *w, int dirfd, bool on)
{
    return mark_both(w, dirfd, on, FAN_MARK_FILESYSTEM, 0);
}

void fswatch_forget(struct fswatch *w)
{
    static const unsigned kinds[] = {FAN_MARK_INODE, FAN_MARK_FILESYSTEM};
    for (int g = FSWATCH_OPENS; g <= FSWATCH_NOTICES; g++)
        for (size_t i = 0; i < 2 && w->fd[g] >= 0; i++)
            (void)fanotify_mark(w->fd[g], FAN_MARK_FLUSH | kinds[i], 0, AT_FDCWD, NULL); /* there may be none */
}

int fswatch_leave_out(struct fswatch *w, int dirfd)
{
    const unsigned flags = FAN_MARK_ADD | FAN_MARK_IGNORE_SURV | FAN_MARK_ONLYDIR;
    int r = mark(w, FSWATCH_OPENS, flags, OPENS_MASK | FAN_EVENT_ON_CHILD, dirfd);
    int also = mark(w, FSWATCH_NOTICES, flags, NOTICES_MASK | FAN_EVENT_ON_CHILD, dirfd);
    r = r ? r : also;
    return r == -EINVAL ? -SM_EUNSUPPORTED : r;
}

int fswatch_unasked(struct fswatch *w, int dirfd, bool on)
{
    const unsigned flags = (on ? FAN_MARK_ADD | FAN_MARK_IGNORE_SURV : FAN_MARK_REMOVE | FAN_MARK_IGNORE) | FAN_MARK_ONLYDIR;
    /* By name: dirfd may be open for its path alone, since opening it otherwise is what would ask. */
    if (w->fd[FSWATCH_OPENS] < 0 || !fanotify_mark(w->fd[FSWATCH_OPENS], flags, FAN_OPEN_PERM | FAN_ONDIR, dirfd, "."))
        return 0;
    return errno == EINVAL ? -SM_EUNSUPPORTED : -errno;
}

int fswatch_programs(struct fswatch *w, int dirfd, bool on)
{
    return mark(w, FSWATCH_EXECS, (on ? FAN_MARK_ADD : FAN_MARK_REMOVE) | FAN_MARK_FILESYSTEM, FAN_OPEN_EXEC_PERM, dirfd);
}

int fswatch_program_known(struct fswatch *w, int fd)
{
    return mark(w, FSWATCH_EXECS, FAN_MARK_ADD | FAN_MARK_IGNORED_MASK, FAN_OPEN_EXEC_PERM, fd);
}

void fswatch_programs_forget(struct fswatch *w)
{
    if (w->fd[FSWATCH_EXECS] >= 0)
        (void)fanotify_mark(w->fd[FSWATCH_EXECS], FAN_MARK_FLUSH, 0, AT_FDCWD, NULL); /* of files alone: there is none else to lose */
}

int fswatch_guard(struct fswatch *w, int fd, bool on)
{
    const unsigned flags = on ? FAN_MARK_ADD : FAN_MARK_REMOVE;
    int r = w->fd[FSWATCH_CUTS] < 0 ? -EINVAL : mark(w, FSWATCH_CUTS, flags, FAN_PRE_ACCESS, fd);
    if (!r)
        return 1;
    return w->fd[FSWATCH_NOTICES] < 0 ? -SM_EUNSUPPORTED : mark(w, FSWATCH_NOTICES, flags, FAN_MODIFY, fd);
}

/* ---- asks ---- */

/* Cutting is told as a range without length. */
static bool is_cut(const struct fanotify_event_metadata *e)
{
    const uint8_t *p = (const uint8_t *)e + e->metadata_len, *end = (const uint8_t *)e + e->event_len;
    struct {
        struct fanotify_event_info_header h;
        uint32_t pad;
        uint64_t offset, count;
    } range;
    while ((size_t)(end - p) >= sizeof range.h) {
        memcpy(&range.h, p, sizeof range.h);
        if (range.h.info_type == FSWATCH_INFO_RANGE && range.h.len == sizeof range && (size_t)(end - p) >= sizeof range) {
            memcpy(&range, p, sizeof range);
            return range.count == 0;
        }
        if (range.h.len < sizeof range.h || range.h.len > end - p)
            return true;
        p += range.h.len;
    }
    return true;
}

ssize_t fswatch_asks(struct fswatch *w, enum fswatch_group g, struct fswatch_ask *ret, size_t n, uint64_t *ret_lost)
{
    _Alignas(struct fanotify_event_metadata) char buf[FSWATCH_BATCH * EVENT_BYTES];
    size_t room = n < FSWATCH_BATCH ? n : FSWATCH_BATCH, got = 0;
    ssize_t len = read(w->fd[g], buf, room * (g == FSWATCH_CUTS ? EVENT_BYTES : sizeof(struct fanotify_event_metadata)));
    if (len < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    const struct fanotify_event_metadata *e = (const void *)buf;
    for (; FAN_EVENT_OK(e, len); e = FAN_EVENT_NEXT(e, len)) {
        if (e->vers != FANOTIFY_METADATA_VERSION)
            return -SM_EVERSION;
        if (e->mask & FAN_Q_OVERFLOW)
            ++*ret_lost;
        if (e->fd < 0)
            continue; /* its descriptor could not be made: the kernel has answered it itself */
        if (!(e->mask & (FAN_OPEN_PERM | FAN_OPEN_EXEC_PERM | FAN_PRE_ACCESS)) || got == room) {
            close(e->fd);
            continue;
        }
        ret[got++] = (struct fswatch_ask){.fd = e->fd, .thread = (uint32_t)e->pid, .folder = e->mask & FAN_ONDIR,
            .cut = g == FSWATCH_CUTS && is_cut(e)};
    }
    return (ssize_t)got;
}

void fswatch_answer(struct fswatch *w, enum fswatch_group g, int fd, bool allow)
{
    const struct fanotify_response r = {.fd = fd, .response = allow ? FAN_ALLOW : FAN_DENY};
    while (write(w->fd[g], &r, sizeof r) < 0 && errno == EINTR)
        ; /* any other failure: it was answered already, or the asking thread was killed */
}

/* ---- how it opens ---- */

enum { IN_ARG, CREATES, IN_MEMORY, READS };
/* The calls that open something: where their flags stand.  Numbers of 32-bit programs stand beside those of 64-bit ones: what these
 * mean in the other table opens nothing. */
static const struct {
    long nr;
    int how, arg;
} calls[] = {
#if defined(__x86_64__)
    {2, IN_ARG, 1}, {257, IN_ARG, 2}, {85, CREATES, 0}, {437, IN_MEMORY, 2}, {304, IN_ARG, 2}, {59, READS, 0}, {322, READS, 0},
    {5, IN_ARG, 1}, {295, IN_ARG, 2}, {8, CREATES, 0}, {342, IN_ARG, 2}, {11, READS, 0}, {358, READS, 0},
#elif defined(__aarch64__)
    {56, IN_ARG, 2}, {437, IN_MEMORY, 2}, {265, IN_ARG, 2}, {221, READS, 0}, {281, READS, 0},
#endif
};

int fswatch_parse_call(struct sm_span text, int *ret_flags, uint64_t *ret_at)
{
    char line[256], *end;
    uint64_t arg[6] = {0};
    size_t n = text.n < sizeof line - 1 ? text.n : sizeof line - 1, i = 0;
    memcpy(line, text.p, n);
    line[n] = 0;
    long nr = strtol(line, &end, 10);
    if (end == line)
        return strncmp(line, "running", 7) == 0 ? -SM_ENOTFOUND : -SM_EFORMAT;
    if (nr < 0)
        return -SM_ENOTFOUND; /* in no call at all */
    for (size_t k = 0; k < 6; k++) {
        char *from = end;
        arg[k] = strtoull(from, &end, 16);
        if (end == from)
            return -SM_EFORMAT;
    }
    while (i < sizeof calls / sizeof calls[0] && calls[i].nr != nr)
        i++;
    if (i == sizeof calls / sizeof calls[0])
        return -SM_ENOTFOUND;
    *ret_at = calls[i].how == IN_MEMORY ? arg[calls[i].arg] : 0;
    *ret_flags = calls[i].how == IN_ARG ? (int)arg[calls[i].arg] : calls[i].how == CREATES ? O_WRONLY | O_CREAT | O_TRUNC : O_RDONLY;
    return 0;
}

/* Text of /proc/THREAD/syscall.  A thread whose ask was read before it went to sleep is "running" for a moment yet. */
static ssize_t read_call(uint32_t thread, char *text, size_t room)
{
    char path[48];
    snprintf(path, sizeof path, "/proc/%u/syscall", thread);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? -ESRCH : -SM_ENOTFOUND;
    ssize_t n = pread(fd, text, room, 0);
    for (unsigned i = 0; i < RUNNING_MAX && n > 0 && text[0] == 'r'; i++) {
        (void)sched_yield();
        n = pread(fd, text, room, 0);
    }
    close(fd);
    return n > 0 ? n : -SM_ENOTFOUND;
}

int fswatch_how(uint32_t thread, int *ret)
{
    char text[256];
    uint64_t at = 0, value = 0;
    int flags = 0;
    ssize_t n = read_call(thread, text, sizeof text);
    if (n < 0)
        return (int)n;
    int r = fswatch_parse_call(SM_SPAN(text, (size_t)n), &flags, &at);
    if (!r && at) {
        /* Another thread of it may change these bytes between the kernel's look and ours, so what says "reading" is not believed. */
        const struct iovec to = {&value, sizeof value}, from = {(void *)(uintptr_t)at, sizeof value};
        if (process_vm_readv((pid_t)thread, &to, 1, &from, 1, 0) != (ssize_t)sizeof value)
            return -SM_ENOTFOUND;
        flags = (int)value;
        if ((flags & O_ACCMODE) == O_RDONLY && !(flags & O_TRUNC))
            return -SM_ENOTFOUND;
    }
    if (!r)
        *ret = flags;
    return r == -SM_EFORMAT ? -SM_ENOTFOUND : r;
}

ssize_t fswatch_fd_path(int fd, char ret[FSWATCH_PATH])
{
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, ret, FSWATCH_PATH - 1);
    if (n < 0)
        return -errno;
    ret[n] = 0;
    return n;
}

size_t fswatch_marks(const struct fswatch *w, enum fswatch_group g)
{
    char path[48], line[512];
    size_t n = 0;
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", w->fd[g]);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        n += strncmp(line, "fanotify ino:", 13) == 0 || strncmp(line, "fanotify sdev:", 14) == 0;
    if (f)
        fclose(f);
    return n;
}
