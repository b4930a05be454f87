/* Names and what stands at them; never through a link. */
#include <errno.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "giveback/internal.h"
#include "plat/fs.h"

int place_enter(struct sm_span path, struct place *ret)
{
    char dir[GIVEBACK_PATH_MAX];
    if (!path_ok(path))
        return -SM_EINVAL;
    size_t cut = path.n;
    while (path.p[cut - 1] != '/')
        cut--;
    struct place p;
    memcpy(p.name, path.p + cut, path.n - cut);
    p.name[path.n - cut] = 0;
    if (cut > 1)
        memcpy(dir, path.p + 1, cut - 2);
    dir[cut > 1 ? cut - 2 : 0] = 0;
    int root = plat_fs_open_dir(AT_FDCWD, "/");
    if (root < 0)
        return root;
    p.dir = plat_fs_open_beneath(root, *dir ? dir : ".", O_RDONLY | O_DIRECTORY, 0);
    close(root);
    if (p.dir < 0)
        return p.dir;
    *ret = p;
    return 0;
}

void place_leave(struct place *p)
{
    if (p->dir >= 0)
        close(p->dir);
    p->dir = -1;
}

bool place_there(const struct place *p, struct plat_object *ret)
{
    return plat_object_of(p->dir, p->name, ret) == 0;
}

/* Owner and mode must be as they were; an attribute that cannot be is a smaller loss than the file. */
static int apply(int fd, const struct plat_meta *m)
{
    struct plat_meta_report report;
    int r = plat_meta_apply(fd, "", m, PLAT_APPLY_OWNER | PLAT_APPLY_XATTR | PLAT_APPLY_PRUNE, &report);
    for (size_t i = 0; r == -SM_EPARTIAL && i < report.n; i++) {
        if (strcmp(report.fail[i].what, "owner") == 0 || strcmp(report.fail[i].what, "mode") == 0)
            return report.fail[i].err;
    }
    return r == -SM_EPARTIAL ? 0 : r;
}

/* While we hold it open for writing nobody can start it. */
static int lend_nothing(int fd)
{
    /* Asked for first: taking them away needs CAP_SETFCAP even where there are none, and who gives back need not have it. */
    if (fgetxattr(fd, "security.capability", NULL, 0) < 0)
        return errno == ENODATA || errno == EOPNOTSUPP ? 0 : -errno;
    if (fremovexattr(fd, "security.capability") < 0)
        return -errno;
    return 0;
}

static int fill(int from, const struct plat_meta *meta, int fd)
{
    struct plat_meta plain = *meta;
    const struct plat_meta *m = &plain;
    uint64_t size;
    plain.mode &= ~(uint32_t)(S_ISUID | S_ISGID);
    int r = plat_fs_size(from, &size);
    if (r == 0)
        r = plat_clone(from, fd, size, NULL);
    if (r == 0)
        r = apply(fd, m);
    if (r == 0)
        r = lend_nothing(fd);
    return r < 0 ? r : plat_fs_sync(fd);
}

int copy_to(int from, const struct plat_meta *m, int dir, const char *name)
{
    int fd = plat_fs_create(dir, name, PLAT_FS_EXCL | PLAT_FS_RW, 0600);
    if (fd < 0)
        return fd;
    int r = fill(from, m, fd);
    if (close(fd) < 0 && r == 0)
        r = -errno;
    if (r < 0)
        (void)plat_fs_unlink(dir, name);
    return r;
}

int copy_over(int from, const struct plat_meta *m, int dir, const char *name, const struct plat_object *o)
{
    struct plat_object now;
    int fd = plat_fs_create(dir, name, PLAT_FS_EXISTING | PLAT_FS_RW, 0);
    if (fd < 0)
        return fd;
    int r = plat_object_of(fd, "", &now);
    if (r == 0)
        r = plat_object_eq(&now, o) ? fill(from, m, fd) : -SM_EAGAIN; /* whoever has the folder put another under the name */
    if (close(fd) < 0 && r == 0)
        r = -errno;
    return r;
}
