/* A folder beside the record that stands still while it is saved. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal/writer.h"
#include "plat/fs.h"

enum { MODE = 0600, PIECE = 1 << 20 };

/* What of `from` is behind the end of the copy. */
static int grow(int from, int dir, const char *name, uint64_t size)
{
    struct sm_buf b = SM_BUF_INIT(PIECE);
    uint64_t at = 0;
    int to = plat_fs_create(dir, name, PLAT_FS_RW, MODE);
    int r = to < 0 ? to : plat_fs_size(to, &at);

    if (r >= 0 && at > size) {
        r = plat_fs_truncate(to, 0);
        at = 0;
    }
    bool more = at < size;
    if (r >= 0)
        r = sm_buf_reserve(&b, PIECE);
    while (r >= 0 && at < size) {
        size_t n = size - at < PIECE ? (size_t)(size - at) : PIECE;
        r = plat_fs_pread_all(from, b.p, n, at);
        if (r >= 0)
            r = plat_fs_pwrite_all(to, SM_SPAN(b.p, n), at);
        at += n;
    }
    if (r >= 0 && more)
        r = plat_fs_datasync(to);
    if (to >= 0)
        (void)close(to); /* synced, or it failed */
    sm_buf_wipe(&b);
    return r < 0 ? r : 0;
}

/* A file that is never written again.  Where links are not possible it is copied. */
static int stand(struct evidence *j, int dir, const char *name)
{
    struct stat is, copy;

    if (fstatat(j->dirfd, name, &is, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (fstatat(dir, name, &copy, AT_SYMLINK_NOFOLLOW) == 0) {
        if (copy.st_ino == is.st_ino)
            return 0;
        int r = plat_fs_unlink(dir, name);
        if (r < 0)
            return r;
    }
    int r = plat_fs_link(j->dirfd, name, dir, name);
    if (r != -EXDEV && r != -EPERM && r != -EACCES && r != -EMLINK && r != -ENOSYS)
        return r;
    int fd = plat_fs_open_read(j->dirfd, name);
    r = fd < 0 ? fd : grow(fd, dir, name, (uint64_t)is.st_size);
    if (fd >= 0)
        (void)close(fd); /* it was read */
    return r;
}

static bool is_there(const struct evidence *j, uint64_t number)
{
    for (size_t i = 0; i < EVIDENCE_CLASSES_MAX; i++)
        if (j->lane[i].open.fd >= 0 && j->lane[i].open.number == number)
            return true;
    size_t from = 0, to = j->closed_n;
    while (from < to) {
        size_t mid = (from + to) / 2;
        if (j->closed[mid].number < number)
            from = mid + 1;
        else
            to = mid;
    }
    return from < j->closed_n && j->closed[from].number == number;
}

struct clearing { const struct evidence *j; int dir; };

static int clear_one(void *arg, struct sm_span name, unsigned char type)
{
    const struct clearing *k = arg;
    uint64_t n = ev_name_number(name, "seg-", ".sjs");

    (void)type; /* opened as files, or not at all */
    return n && !is_there(k->j, n) ? plat_fs_unlink(k->dir, (const char *)name.p) : 0;
}

/* Ledgers and keys of the boxes before, the own key, the link. */
static int small_ones(struct evidence *j, int dir)
{
    static const char *const one[] = { "epoch0", EV_LINK_FILE };
    char name[32];
    int r = 0;

    for (size_t i = 0; i < sizeof one / sizeof *one && r >= 0; i++) {
        r = stand(j, dir, one[i]);
        r = r == -ENOENT ? 0 : r;
    }
    for (unsigned i = 1; i <= 2 * EV_LINKS_MAX && r >= 0; i++) {
        (void)snprintf(name, sizeof name, i % 2 ? EV_LEDGER_OLD : EV_KEY_OLD, (i + 1) / 2); /* fits */
        r = stand(j, dir, name);
        r = r == -ENOENT ? 0 : r;
    }
    return r;
}

static int copy_all(struct evidence *j, int dir)
{
    struct clearing k = { .j = j, .dir = dir };
    char name[EV_NAME_LEN];
    bool partial = false;
    int r = plat_fs_list(dir, clear_one, &k);

    for (size_t i = 0; i < j->closed_n && r >= 0; i++) {
        snprintf(name, sizeof name, EV_SEGMENT_NAME, (unsigned long long)j->closed[i].number);
        r = stand(j, dir, name);
        partial |= r == -ENOENT;
        r = r == -ENOENT ? 0 : r;
    }
    for (size_t i = 0; i < EVIDENCE_CLASSES_MAX && r >= 0; i++) {
        const struct ev_segment *s = &j->lane[i].open;
        snprintf(name, sizeof name, EV_SEGMENT_NAME, (unsigned long long)s->number);
        r = s->fd < 0 ? 0 : grow(s->fd, dir, name, s->good);
    }
    if (r >= 0)
        r = grow(j->ledger, dir, "seals", j->ledger_off);
    if (r >= 0)
        r = small_ones(j, dir);
    return r < 0 ? r : partial ? -SM_EPARTIAL : 0;
}

int evidence_copy(struct evidence *j, const char *sub)
{
    int r = j->copied ? 0 : plat_fs_remove_tree(j->dirfd, sub); /* what a power cut left of copies may look whole */

    if (r >= 0 || r == -ENOENT)
        r = plat_fs_mkdir(j->dirfd, sub, 0700);
    int dir = r < 0 && r != -EEXIST && r != -SM_EEXISTS ? r : plat_fs_open_dir(j->dirfd, sub);
    r = dir < 0 ? dir : copy_all(j, dir);
    if (dir >= 0)
        (void)close(dir); /* its files are synced */
    j->copied = r >= 0 || r == -SM_EPARTIAL;
    return r;
}
