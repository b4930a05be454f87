#include "plat/clone.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "plat/fault.h"
#include "plat/fs.h"

enum { PIECE = 4 << 20, WINDOW = 256 << 10 };

/* By hand: where the kernel cannot copy between the two, and where a test watches every write. */
static int copy_read(int from, int to, uint64_t off, uint64_t end, uint8_t *window)
{
    while (off < end) {
        size_t want = end - off < WINDOW ? (size_t)(end - off) : WINDOW;
        ssize_t n = pread(from, window, want, (off_t)off);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return 1; /* it ends here by now */
        int r = plat_fs_pwrite_all(to, SM_SPAN(window, (size_t)n), off);
        if (r < 0)
            return r;
        off += (uint64_t)n;
    }
    return 0;
}

/* 1: the file ended before `end`. */
static int copy_piece(int from, int to, uint64_t off, uint64_t end, uint8_t *window)
{
    loff_t in = (loff_t)off, out = (loff_t)off;
    while (!plat_fault_on && !plat_record_on && (uint64_t)in < end) {
        ssize_t n = copy_file_range(from, &in, to, &out, end - (uint64_t)in, 0);
        if (n == 0)
            break; /* its end, or a file system that cannot say its size: reading tells */
        if (n < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EIO))
            return -errno;
        if (n < 0 && errno != EINTR)
            break;
    }
    return copy_read(from, to, (uint64_t)in, end, window);
}

static int copy_runs(int from, int to, uint64_t size, const bool *cancel, uint8_t *window)
{
    uint64_t off = 0, start, end, have;
    int r = 0;
    while (r == 0 && plat_fs_next_data(from, off, size, &start, &end) == 1) {
        for (off = start; off < end && r == 0; off += off + PIECE < end ? PIECE : end - off) {
            if (cancel && __atomic_load_n(cancel, __ATOMIC_RELAXED))
                return -SM_ECANCEL;
            r = copy_piece(from, to, off, off + PIECE < end ? off + PIECE : end, window);
        }
    }
    if (r < 0 || plat_fs_size(from, &have) < 0)
        return r < 0 ? r : -EIO;
    return plat_fs_truncate(to, have < size ? have : size); /* a hole at the end, too */
}

int plat_clone(int from, int to, uint64_t size, const bool *cancel)
{
    int r = plat_fs_truncate(to, 0);
    if (r < 0)
        return r;
    if (!plat_fault_on && !plat_record_on && ioctl(to, FICLONE, from) == 0) {
        uint64_t have;
        r = plat_fs_size(to, &have);
        return r == 0 && have > size ? plat_fs_truncate(to, size) : r;
    }
    uint8_t *window = malloc(WINDOW);
    if (!window)
        return -ENOMEM;
    r = copy_runs(from, to, size, cancel, window);
    free(window);
    return r;
}

int plat_clone_room(int fd, uint64_t *ret)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    *ret = (uint64_t)st.st_blocks * 512;
    return 0;
}

int plat_object_of(int dirfd, const char *name, struct plat_object *ret)
{
    struct statx x;
    if (statx(dirfd, name, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_INO | STATX_BTIME, &x) < 0)
        return -errno;
    *ret = (struct plat_object){.dev = makedev(x.stx_dev_major, x.stx_dev_minor), .ino = x.stx_ino};
    if (x.stx_mask & STATX_BTIME) {
        ret->born_s = x.stx_btime.tv_sec;
        ret->born_ns = x.stx_btime.tv_nsec;
    }
    return 0;
}

bool plat_object_eq(const struct plat_object *a, const struct plat_object *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->born_s == b->born_s && a->born_ns == b->born_ns;
}
