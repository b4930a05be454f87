/*
 * A folder as target: on another disk, a share of the network that is mounted, or a removable disk.  Every name is
 * opened below the folder's descriptor without following a link: what a foreign disk holds leads nowhere.
 */
#include <errno.h>
#include <unistd.h>
#include "plat/fs.h"
#include "vault/copy/copy_internal.h"

#define PART "tmp/copy.part"

struct folder { int dir, lock, part; char name[COPY_NAME_MAX]; };

int folder_read_at(int dir, const char *name, uint64_t off, void *to, size_t n, size_t *ret_got)
{
    int fd = plat_fs_open_beneath(dir, name, O_RDONLY, 0);
    uint64_t size = 0;
    if (fd < 0)
        return fd == -ENOENT ? -SM_ENOTFOUND : fd;
    int r = plat_fs_size(fd, &size);
    size_t want = off >= size ? 0 : size - off < n ? (size_t)(size - off) : n;
    if (r == 0)
        r = plat_fs_pread_all(fd, to, want, off);
    (void)close(fd); /* opened for reading */
    if (r == 0)
        *ret_got = want;
    return r;
}

/* The folder of name, and where its last part begins. */
static int parent_of(const struct folder *f, const char *name, const char **ret_last)
{
    const char *slash = strrchr(name, '/');
    char dir[COPY_NAME_MAX];
    if (!slash) {
        *ret_last = name;
        return plat_fs_open_beneath(f->dir, ".", O_RDONLY | O_DIRECTORY, 0);
    }
    (void)snprintf(dir, sizeof dir, "%.*s", (int)(slash - name), name); /* fits: names are ours */
    *ret_last = slash + 1;
    return plat_fs_open_beneath(f->dir, dir, O_RDONLY | O_DIRECTORY, 0);
}

static int make_dir(int dir, const char *name)
{
    int r = plat_fs_mkdir(dir, name, 0700);
    return r == -EEXIST ? 0 : r;
}

static int make_folders(int dir)
{
    static const char *const names[] = { "journal", "packs", "manifests", "tmp", "heads" };
    int r = 0;
    for (size_t i = 0; !r && i < sizeof names / sizeof *names; i++)
        r = make_dir(dir, names[i]);
    int packs = r ? r : plat_fs_open_beneath(dir, "packs", O_RDONLY | O_DIRECTORY, 0);
    if (packs < 0)
        return packs;
    for (unsigned i = 0; !r && i < 256; i++) {
        char name[4];
        (void)snprintf(name, sizeof name, "%02x", i); /* fits */
        r = make_dir(packs, name);
    }
    if (!r)
        r = plat_fs_sync_dir(packs);
    (void)close(packs); /* synced, or the error is told */
    return r ? r : plat_fs_sync_dir(dir);
}

static void folder_close(void *t)
{
    struct folder *f = t;
    if (!f)
        return;
    int fds[] = { f->part, f->lock, f->dir };
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0)
            (void)close(fds[i]); /* what was to be kept was synced */
    free(f);
}

static int folder_open(const char *where, void **ret)
{
    struct folder *f = malloc(sizeof *f);
    if (!f)
        return -ENOMEM;
    *f = (struct folder){ .dir = plat_fs_open_dir(AT_FDCWD, where), .lock = -1, .part = -1 };
    int r = f->dir < 0 ? f->dir : 0;
    if (!r)
        r = f->lock = plat_fs_lock(f->dir, "lock");
    if (r >= 0)
        r = make_folders(f->dir);
    if (r < 0) {
        folder_close(f);
        return r == -ENOENT ? -SM_ENOTFOUND : r;
    }
    *ret = f;
    return 0;
}

static int folder_size(void *t, const char *name, uint64_t *ret)
{
    struct folder *f = t;
    int fd = plat_fs_open_beneath(f->dir, name, O_RDONLY, 0);
    if (fd < 0)
        return fd == -ENOENT ? -SM_ENOTFOUND : fd;
    int r = plat_fs_size(fd, ret);
    (void)close(fd); /* opened for reading */
    return r;
}

static int folder_read(void *t, const char *name, uint64_t off, void *to, size_t n, size_t *ret_got)
{
    return folder_read_at(((struct folder *)t)->dir, name, off, to, n, ret_got);
}

static void folder_abort(void *t)
{
    struct folder *f = t;
    if (f->part < 0)
        return;
    (void)close(f->part); /* not wanted */
    f->part = -1;
    const char *last;
    int tmp = parent_of(f, PART, &last);
    if (tmp < 0)
        return; /* gone with its disk */
    (void)!plat_fs_unlink(tmp, last); /* else it is cut by the next begin */
    (void)close(tmp);
}

static int folder_begin(void *t, const char *name)
{
    struct folder *f = t;
    folder_abort(f);
    const char *last;
    int tmp = parent_of(f, PART, &last);
    if (tmp < 0)
        return tmp;
    f->part = plat_fs_create(tmp, last, PLAT_FS_TRUNC, 0600);
    (void)close(tmp); /* a folder */
    (void)snprintf(f->name, sizeof f->name, "%s", name); /* fits: names are ours */
    return f->part < 0 ? f->part : 0;
}

static int folder_put(void *t, struct sm_span bytes)
{
    struct folder *f = t;
    return f->part < 0 ? -SM_ESTATE : plat_fs_write_all(f->part, bytes);
}

static int folder_end(void *t)
{
    struct folder *f = t;
    const char *last = "";
    int r = f->part < 0 ? -SM_ESTATE : plat_fs_sync(f->part);
    int to = r ? r : parent_of(f, f->name, &last);
    int tmp = to < 0 ? to : plat_fs_open_beneath(f->dir, "tmp", O_RDONLY | O_DIRECTORY, 0);
    r = to < 0 ? to : tmp < 0 ? tmp : 0;
    if (!r)
        r = plat_fs_rename(tmp, "copy.part", to, last, true);
    if (!r) {
        (void)close(f->part); /* synced */
        f->part = -1;
        r = plat_fs_sync_dir(to);
    }
    if (!r)
        r = plat_fs_sync_dir(tmp); /* where it was renamed from */
    if (to >= 0)
        (void)close(to); /* folders */
    if (tmp >= 0)
        (void)close(tmp);
    if (r)
        folder_abort(f);
    return r;
}

static int folder_append(void *t, const char *name, uint64_t at, struct sm_span bytes)
{
    struct folder *f = t;
    const char *last;
    uint64_t size = 0;
    int dir = parent_of(f, name, &last);
    if (dir < 0)
        return dir;
    int fd = plat_fs_create(dir, last, 0, 0600);
    int r = fd < 0 ? fd : plat_fs_size(fd, &size);
    if (!r && size > at)
        r = plat_fs_truncate(fd, at);
    if (!r && size < at)
        r = -SM_ESTATE; /* no holes */
    if (!r)
        r = plat_fs_pwrite_all(fd, bytes, at);
    if (!r)
        r = plat_fs_sync(fd);
    if (!r && at == 0)
        r = plat_fs_sync_dir(dir); /* a new name */
    if (fd >= 0)
        (void)close(fd); /* synced, or the error is told */
    (void)close(dir);
    return r;
}

static int folder_replace(void *t, const char *name, struct sm_span content)
{
    struct folder *f = t;
    const char *last;
    int dir = parent_of(f, name, &last);
    if (dir < 0)
        return dir;
    int r = plat_replace(dir, last, content, 0600);
    (void)close(dir); /* a folder */
    return r;
}

const struct copy_target_ops copy_folder = { .kind = "folder", .open = folder_open, .close = folder_close,
    .size = folder_size, .read = folder_read, .begin = folder_begin, .put = folder_put, .end = folder_end,
    .abort = folder_abort, .append = folder_append, .replace = folder_replace };

const struct copy_target_ops *const copy_targets[] = { &copy_folder };
const size_t copy_targets_n = sizeof copy_targets / sizeof *copy_targets;

const struct copy_target_ops *copy_target_find(const char *kind)
{
    for (size_t i = 0; i < copy_targets_n; i++)
        if (strcmp(copy_targets[i]->kind, kind) == 0)
            return copy_targets[i];
    return NULL;
}
