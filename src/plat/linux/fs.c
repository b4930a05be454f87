#include "plat/fs.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include "plat/fault.h"

#define UNLIKELY(x) __builtin_expect(!!(x), 0)

static inline int ask(enum plat_op op)
{
    return UNLIKELY(plat_fault_on) ? plat_fault_ask(op) : 0;
}

static inline void note(struct plat_record_note n)
{
    if (UNLIKELY(plat_record_on))
        plat_record_put(&n);
}

/* ---- reading ---- */

int plat_fs_open_read(int dirfd, const char *name)
{
    int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

int plat_fs_open_dir(int dirfd, const char *name)
{
    int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_DIRECTORY);
    return fd < 0 ? -errno : fd;
}

int plat_fs_size(int fd, uint64_t *ret)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    *ret = (uint64_t)st.st_size;
    return 0;
}

ssize_t plat_fs_read(int fd, void *to, size_t n)
{
    ssize_t k;
    do
        k = read(fd, to, n);
    while (k < 0 && errno == EINTR);
    return k < 0 ? -errno : k;
}

int plat_fs_pread_all(int fd, void *to, size_t n, uint64_t off)
{
    size_t done = 0;
    while (done < n) {
        ssize_t k = pread(fd, (char *)to + done, n - done, (off_t)(off + done));
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return -errno;
        if (k == 0)
            return -SM_EPARTIAL;
        done += (size_t)k;
    }
    return 0;
}

static int read_to_end(int fd, size_t max, struct sm_buf *ret)
{
    struct stat st;
    size_t before = ret->n;
    size_t guess = fstat(fd, &st) == 0 && st.st_size > 0 && (uint64_t)st.st_size <= max ? (size_t)st.st_size : 0;
    for (;;) {
        int r = sm_buf_reserve(ret, guess + 1);
        if (r == -SM_ELIMIT)
            r = sm_buf_reserve(ret, 1); /* the buffer's own maximum may be just enough */
        if (r < 0)
            return r;
        size_t room = ret->cap - ret->n;
        ssize_t k = plat_fs_read(fd, ret->p + ret->n, room);
        if (k <= 0)
            return (int)k;
        ret->n += (size_t)k;
        if (ret->n - before > max)
            return -SM_ELIMIT;
        guess = 4096;
    }
}

int plat_fs_read_file(int dirfd, const char *path, size_t max, struct sm_buf *ret)
{
    int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return -errno;
    size_t before = ret->n;
    int r = read_to_end(fd, max, ret);
    close(fd);
    if (r < 0)
        ret->n = before;
    return r;
}

/* ---- changing ---- */

int plat_fs_create(int dirfd, const char *name, unsigned flags, mode_t mode)
{
    int r = ask(PLAT_OP_CREATE);
    if (r < 0)
        return r;
    int f = O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | (flags & PLAT_FS_RW ? O_RDWR : O_WRONLY);
    f |= flags & PLAT_FS_EXISTING ? 0 : O_CREAT;
    f |= flags & PLAT_FS_EXCL ? O_EXCL : 0;
    f |= flags & PLAT_FS_TRUNC ? O_TRUNC : 0;
    f |= flags & PLAT_FS_APPEND ? O_APPEND : 0;
    int fd = openat(dirfd, name, f, mode);
    if (fd < 0)
        return -errno;
    note((struct plat_record_note){.kind = PLAT_OP_CREATE, .fd = fd, .dirfd = dirfd, .name = name});
    if (flags & PLAT_FS_TRUNC)
        note((struct plat_record_note){.kind = PLAT_OP_TRUNCATE, .fd = fd});
    return fd;
}

static int pwrite_some(int fd, struct sm_span s, uint64_t off)
{
    while (s.n > 0) {
        ssize_t k = pwrite(fd, s.p, s.n, (off_t)off);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return -errno;
        if (k == 0)
            return -ENOSPC;
        s.p += k;
        s.n -= (size_t)k;
        off += (uint64_t)k;
    }
    return 0;
}

static int write_some(int fd, struct sm_span s)
{
    while (s.n > 0) {
        ssize_t k = write(fd, s.p, s.n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return -errno;
        if (k == 0)
            return -ENOSPC;
        s.p += k;
        s.n -= (size_t)k;
    }
    return 0;
}

/* Where a write without offset goes; only asked while recording. */
static uint64_t write_place(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    off_t at = lseek(fd, 0, flags >= 0 && flags & O_APPEND ? SEEK_END : SEEK_CUR);
    return at < 0 ? 0 : (uint64_t)at;
}

int plat_fs_write_all(int fd, struct sm_span s)
{
    int fault = ask(PLAT_OP_WRITE);
    if (fault < 0)
        s.n = plat_fault_is_short() ? s.n / 2 : 0;
    uint64_t off = UNLIKELY(plat_record_on) ? write_place(fd) : 0;
    int r = write_some(fd, s);
    if (r == 0 && s.n)
        note((struct plat_record_note){.kind = PLAT_OP_WRITE, .fd = fd, .off = off, .data = s});
    return fault < 0 ? fault : r;
}

int plat_fs_pwrite_all(int fd, struct sm_span s, uint64_t off)
{
    int fault = ask(PLAT_OP_WRITE);
    if (fault < 0)
        s.n = plat_fault_is_short() ? s.n / 2 : 0;
    int r = pwrite_some(fd, s, off);
    if (r == 0 && s.n)
        note((struct plat_record_note){.kind = PLAT_OP_WRITE, .fd = fd, .off = off, .data = s});
    return fault < 0 ? fault : r;
}

int plat_fs_pwritev_all(int fd, const struct sm_span *s, size_t n, uint64_t off)
{
    struct iovec iov[64];
    size_t total = 0;
    if (n > sizeof iov / sizeof iov[0])
        return -SM_EINVAL;
    for (size_t i = 0; i < n; i++) {
        iov[i] = (struct iovec){(void *)s[i].p, s[i].n};
        total += s[i].n;
    }
    ssize_t k = -1;
    if (total && !UNLIKELY(plat_fault_on || plat_record_on))
        k = pwritev(fd, iov, (int)n, (off_t)off);
    if (k == (ssize_t)total)
        return 0;
    /* Cut short, a seam in force, or an error that pwrite will name: one by one from where it stands. */
    size_t skip = k > 0 ? (size_t)k : 0;
    for (size_t i = 0; i < n; i++) {
        struct sm_span part = s[i];
        size_t cut = skip < part.n ? skip : part.n;
        part.p += cut;
        part.n -= cut;
        skip -= cut;
        int r = part.n ? plat_fs_pwrite_all(fd, part, off + cut) : 0;
        if (r < 0)
            return r;
        off += s[i].n;
    }
    return 0;
}

static int sync_fd(int fd, bool data_only, bool dir)
{
    int r = ask(PLAT_OP_FSYNC);
    if (r < 0)
        return r;
    if ((data_only ? fdatasync(fd) : fsync(fd)) < 0)
        return -errno;
    note((struct plat_record_note){.kind = PLAT_OP_FSYNC, .fd = fd, .dir = dir});
    return 0;
}

int plat_fs_sync(int fd)
{
    return sync_fd(fd, false, false);
}

int plat_fs_datasync(int fd)
{
    return sync_fd(fd, true, false);
}

int plat_fs_sync_dir(int dirfd)
{
    if (dirfd == AT_FDCWD)
        return plat_fs_sync_dir_path(".");
    return sync_fd(dirfd, false, true);
}

int plat_fs_sync_dir_path(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = sync_fd(fd, false, true);
    close(fd);
    return r;
}

int plat_fs_rename(int from_dir, const char *from, int to_dir, const char *to, bool replace)
{
    int r = ask(PLAT_OP_RENAME);
    if (r < 0)
        return r;
    int k = renameat2(from_dir, from, to_dir, to, replace ? 0 : RENAME_NOREPLACE);
    if (k < 0 && !replace && (errno == EINVAL || errno == ENOSYS)) {
        /* A file system without NOREPLACE: a link refuses an existing name just as atomically. */
        k = linkat(from_dir, from, to_dir, to, 0);
        if (k == 0)
            k = unlinkat(from_dir, from, 0);
    }
    if (k < 0)
        return -errno;
    note((struct plat_record_note){
        .kind = PLAT_OP_RENAME, .dirfd = from_dir, .name = from, .dirfd2 = to_dir, .name2 = to});
    return 0;
}

static int remove_name(int dirfd, const char *name, int flags)
{
    int r = ask(PLAT_OP_UNLINK);
    if (r < 0)
        return r;
    if (unlinkat(dirfd, name, flags) < 0)
        return -errno;
    note((struct plat_record_note){.kind = PLAT_OP_UNLINK, .dirfd = dirfd, .name = name, .dir = flags != 0});
    return 0;
}

int plat_fs_unlink(int dirfd, const char *name)
{
    return remove_name(dirfd, name, 0);
}

int plat_fs_rmdir(int dirfd, const char *name)
{
    return remove_name(dirfd, name, AT_REMOVEDIR);
}

int plat_fs_truncate(int fd, uint64_t size)
{
    int r = ask(PLAT_OP_TRUNCATE);
    if (r < 0)
        return r;
    if (ftruncate(fd, (off_t)size) < 0)
        return -errno;
    note((struct plat_record_note){.kind = PLAT_OP_TRUNCATE, .fd = fd, .len = size});
    return 0;
}

int plat_fs_mkdir(int dirfd, const char *name, mode_t mode)
{
    int r = ask(PLAT_OP_MKDIR);
    if (r < 0)
        return r;
    if (mkdirat(dirfd, name, mode) < 0)
        return -errno;
    note((struct plat_record_note){.kind = PLAT_OP_MKDIR, .dirfd = dirfd, .name = name});
    return 0;
}

int plat_fs_link(int from_dir, const char *from, int to_dir, const char *to)
{
    int r = ask(PLAT_OP_CREATE);
    if (r < 0)
        return r;
    return linkat(from_dir, from, to_dir, to, 0) < 0 ? -errno : 0;
}

int plat_fs_symlink(const char *target, int dirfd, const char *name)
{
    int r = ask(PLAT_OP_CREATE);
    if (r < 0)
        return r;
    return symlinkat(target, dirfd, name) < 0 ? -errno : 0;
}

int plat_fs_mknod(int dirfd, const char *name, mode_t mode, dev_t dev)
{
    int r = ask(PLAT_OP_CREATE);
    if (r < 0)
        return r;
    return mknodat(dirfd, name, mode, dev) < 0 ? -errno : 0;
}

int plat_fs_mkdir_p(const char *path, mode_t mode)
{
    char part[PATH_MAX];
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof part)
        return n ? -ENAMETOOLONG : -ENOENT;
    memcpy(part, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (part[i] != '/' && part[i])
            continue;
        char end = part[i];
        part[i] = 0;
        struct stat st;
        /* Asked first: an existing folder may lie where nothing may be made (read-only, Landlock). */
        int r = stat(part, &st) == 0 ? (S_ISDIR(st.st_mode) ? 0 : -ENOTDIR) : plat_fs_mkdir(AT_FDCWD, part, mode);
        if (r < 0 && r != -EEXIST)
            return r;
        part[i] = end;
    }
    return 0;
}

static int write_temporary(int dirfd, const char *name, struct sm_span content, mode_t mode)
{
    int fd = plat_fs_create(dirfd, name, PLAT_FS_EXCL, mode);
    if (fd < 0)
        return fd;
    int r = plat_fs_write_all(fd, content);
    if (r == 0)
        r = plat_fs_sync(fd);
    if (close(fd) < 0 && r == 0)
        r = -errno;
    if (r < 0)
        (void)plat_fs_unlink(dirfd, name); /* the first error is the one to tell */
    return r;
}

int plat_replace(int dirfd, const char *name, struct sm_span content, mode_t mode)
{
    uint8_t rnd[8];
    char hex[17], tmp[PATH_MAX];
    if (getrandom(rnd, sizeof rnd, 0) != (ssize_t)sizeof rnd)
        return -errno;
    sm_hex(rnd, sizeof rnd, hex);
    const char *slash = strrchr(name, '/');
    int dir_n = slash ? (int)(slash - name) + 1 : 0;
    if (snprintf(tmp, sizeof tmp, "%.*s.tmp-%s", dir_n, name, hex) >= (int)sizeof tmp)
        return -ENAMETOOLONG;
    int r = write_temporary(dirfd, tmp, content, mode);
    if (r < 0)
        return r;
    r = plat_fs_rename(dirfd, tmp, dirfd, name, true);
    if (r < 0) {
        (void)plat_fs_unlink(dirfd, tmp);
        return r;
    }
    tmp[dir_n] = 0;
    int dir = openat(dirfd, dir_n ? tmp : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return -errno;
    r = plat_fs_sync_dir(dir);
    close(dir);
    return r;
}

struct removal {
    int dirfd;
    unsigned depth;
};
static int remove_at(int dirfd, const char *name, unsigned depth);

static int remove_entry(void *arg, struct sm_span name, unsigned char type)
{
    struct removal *d = arg;
    return remove_at(d->dirfd, (const char *)name.p, d->depth);
}

static int remove_at(int dirfd, const char *name, unsigned depth)
{
    int r = plat_fs_unlink(dirfd, name);
    if (r != -EISDIR && r != -EPERM)
        return r;
    if (depth >= 128)
        return -SM_ELIMIT;
    int fd = plat_fs_open_dir(dirfd, name);
    if (fd < 0)
        return r == -EPERM ? r : fd;
    struct removal d = {fd, depth + 1};
    r = plat_fs_list(fd, remove_entry, &d);
    close(fd);
    return r < 0 ? r : plat_fs_rmdir(dirfd, name);
}

int plat_fs_remove_tree(int dirfd, const char *name)
{
    return remove_at(dirfd, name, 0);
}

/* ---- locks, space, safety ---- */

int plat_fs_lock(int dirfd, const char *name)
{
    int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int err = errno == EWOULDBLOCK ? -SM_EAGAIN : -errno;
        close(fd);
        return err;
    }
    return fd;
}

int plat_fs_space(int dirfd, const char *path, struct plat_fs_space *ret)
{
    int fd = openat(dirfd, path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    struct statvfs v;
    int err = fstatvfs(fd, &v) < 0 ? -errno : 0;
    close(fd);
    if (err < 0)
        return err;
    *ret = (struct plat_fs_space){(uint64_t)v.f_blocks * v.f_frsize, (uint64_t)v.f_bfree * v.f_frsize,
        (uint64_t)v.f_bavail * v.f_frsize, v.f_files, v.f_ffree};
    return 0;
}

bool plat_fs_name_ok(struct sm_span name)
{
    if (name.n == 0 || name.n > 255 || memchr(name.p, '/', name.n) || memchr(name.p, 0, name.n))
        return false;
    return !(name.p[0] == '.' && (name.n == 1 || (name.n == 2 && name.p[1] == '.')));
}

/* Part by part for kernels without openat2: ".." is refused whole, each part is opened without following. */
static int walk_beneath(int dirfd, const char *path, int flags, mode_t mode)
{
    char part[256];
    int at = dirfd, r = 0;
    for (;;) {
        size_t n = strcspn(path, "/");
        bool last = path[n + strspn(path + n, "/")] == 0;
        if (n >= sizeof part || (n == 2 && memcmp(path, "..", 2) == 0) || (n == 0 && *path == '/')) {
            r = n >= sizeof part ? -ENAMETOOLONG : -EXDEV;
            break;
        }
        memcpy(part, path, n);
        part[n] = 0;
        int f = last ? flags | O_NOFOLLOW | O_CLOEXEC : O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
        int fd = openat(at, n ? part : ".", f, mode);
        r = fd < 0 ? -errno : fd;
        if (r == -ENOTDIR && !last)
            r = -ELOOP; /* a link in the middle looks like this */
        if (r < 0 || last)
            break;
        if (at != dirfd)
            close(at);
        at = fd;
        path += n + strspn(path + n, "/");
    }
    if (at != dirfd)
        close(at);
    return r;
}

int plat_fs_open_beneath(int dirfd, const char *path, int flags, mode_t mode)
{
    int r = flags & O_CREAT ? ask(PLAT_OP_CREATE) : 0;
    if (r < 0)
        return r;
    struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC | O_NOFOLLOW),
        .mode = flags & O_CREAT ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    int fd = (int)syscall(SYS_openat2, dirfd, path, &how, sizeof how);
    if (fd < 0)
        fd = errno == ENOSYS || errno == EPERM ? walk_beneath(dirfd, path, flags, mode) : -errno;
    if (fd >= 0 && flags & O_CREAT)
        note((struct plat_record_note){.kind = PLAT_OP_CREATE, .fd = fd, .dirfd = dirfd, .name = path});
    if (fd >= 0 && flags & O_TRUNC)
        note((struct plat_record_note){.kind = PLAT_OP_TRUNCATE, .fd = fd});
    return fd;
}

/* ---- sparse files, hints, folders ---- */

int plat_fs_next_data(int fd, uint64_t off, uint64_t size, uint64_t *ret_start, uint64_t *ret_end)
{
    if (off >= size)
        return 0;
    off_t start = lseek(fd, (off_t)off, SEEK_DATA);
    if (start < 0 && errno == ENXIO)
        return 0;
    if (start < 0 && errno != EINVAL && errno != EOPNOTSUPP)
        return -errno;
    off_t end = start < 0 ? (off_t)size : lseek(fd, start, SEEK_HOLE);
    if (end < 0)
        return -errno;
    if (start >= 0 && (uint64_t)start >= size)
        return 0; /* it grew meanwhile */
    *ret_start = start < 0 ? off : (uint64_t)start;
    *ret_end = (uint64_t)end < size ? (uint64_t)end : size;
    return 1;
}

int plat_fs_punch(int fd, uint64_t off, uint64_t n)
{
    if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)n) == 0)
        return 0;
    return errno == EOPNOTSUPP || errno == ENOSYS ? -SM_EUNSUPPORTED : -errno;
}

void plat_fs_forget(int fd, uint64_t off, uint64_t n)
{
    (void)posix_fadvise(fd, (off_t)off, (off_t)n, POSIX_FADV_DONTNEED);
}

void plat_fs_sequential(int fd)
{
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
}

void plat_fs_write_soon(int fd, uint64_t off, uint64_t n)
{
    (void)sync_file_range(fd, (off_t)off, (off_t)n, SYNC_FILE_RANGE_WRITE);
}

static int list_window(const char *window, size_t n, plat_fs_dir_fn fn, void *arg)
{
    for (size_t at = 0; at < n;) {
        const struct dirent64 *d = (const struct dirent64 *)(const void *)(window + at);
        size_t len = strnlen(d->d_name, d->d_reclen - offsetof(struct dirent64, d_name));
        at += d->d_reclen;
        if (len == 0 || (d->d_name[0] == '.' && (len == 1 || (len == 2 && d->d_name[1] == '.'))))
            continue;
        int r = fn(arg, SM_SPAN(d->d_name, len), d->d_type);
        if (r)
            return r;
    }
    return 0;
}

int plat_fs_list(int dirfd, plat_fs_dir_fn fn, void *arg)
{
    enum { WINDOW = 32 << 10 };
    char *window = malloc(WINDOW); /* not on the stack: trees are walked recursively */
    if (!window)
        return -ENOMEM;
    int r = 0;
    if (lseek(dirfd, 0, SEEK_SET) < 0)
        r = -errno;
    while (r == 0) {
        ssize_t n = getdents64(dirfd, window, WINDOW);
        if (n < 0)
            r = -errno;
        if (n <= 0)
            break;
        r = list_window(window, (size_t)n, fn, arg);
    }
    free(window);
    return r;
}
