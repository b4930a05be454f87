#include "plat/mount.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include "plat/fs.h"

bool plat_disk_name_ok(const char *name)
{
    static const char known[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-";
    size_t n = strspn(name, known);
    return n >= 1 && n <= PLAT_DISK_NAME_MAX && name[n] == 0;
}

struct found { char (*names)[PLAT_DISK_NAME_MAX + 1]; int n; };

static int one_name(void *arg, struct sm_span name, unsigned char type)
{
    (void)type;
    struct found *f = arg;
    if (f->n < PLAT_DISKS_MAX && plat_disk_name_ok((const char *)name.p))
        (void)snprintf(f->names[f->n++], PLAT_DISK_NAME_MAX + 1, "%s", (const char *)name.p); /* measured */
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

int plat_disks(const char *folder, char (*ret)[PLAT_DISK_NAME_MAX + 1])
{
    struct found f = {ret, 0};
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    int r = plat_fs_list(fd, one_name, &f);
    close(fd);
    if (r < 0)
        return r;
    qsort(ret, (size_t)f.n, sizeof *ret, by_name);
    return f.n;
}

int plat_disk_of(const char *folder, dev_t dev, char ret[PLAT_DISK_NAME_MAX + 1])
{
    char names[PLAT_DISKS_MAX][PLAT_DISK_NAME_MAX + 1], path[PATH_MAX];
    struct stat st;
    int n = plat_disks(folder, names);
    for (int i = 0; i < n; i++) {
        if (snprintf(path, sizeof path, "%s/%s", folder, names[i]) >= (int)sizeof path)
            return -ENAMETOOLONG;
        if (stat(path, &st) == 0 && S_ISBLK(st.st_mode) && st.st_rdev == dev) {
            memcpy(ret, names[i], sizeof names[i]);
            return 0;
        }
    }
    return n < 0 ? n : -SM_ENOTFOUND;
}

int plat_mount_disk(const char *device, const char *at, uid_t uid, gid_t gid)
{
    static const struct { const char *type; bool owned; } known[] = {
        {"ext4", true}, {"xfs", true}, {"btrfs", true}, {"exfat", false}, {"vfat", false}};
    const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME;
    char options[96], path[PATH_MAX];
    struct stat st;
    int r = -SM_EUNSUPPORTED;
    if (!realpath(device, path) || stat(path, &st) < 0)
        return -errno;
    if (!S_ISBLK(st.st_mode))
        return -ENOTBLK;
    (void)snprintf(options, sizeof options, "uid=%u,gid=%u,umask=0077", (unsigned)uid, (unsigned)gid); /* fits */
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (mount(path, at, known[i].type, flags, known[i].owned ? "" : options) == 0)
            return 0;
        /* EINVAL: not of this type; ENODEV: this kernel does not know the type. */
        if (errno != EINVAL && errno != ENODEV)
            return -errno;
    }
    return r;
}

int plat_unmount(const char *at, bool lazily)
{
    return umount2(at, UMOUNT_NOFOLLOW | (lazily ? MNT_DETACH : 0)) < 0 ? -errno : 0;
}

bool plat_is_mounted(const char *at)
{
    char up[PATH_MAX];
    struct stat here, above;
    if (snprintf(up, sizeof up, "%s/..", at) >= (int)sizeof up)
        return false;
    return lstat(at, &here) == 0 && lstat(up, &above) == 0 && S_ISDIR(here.st_mode) && here.st_dev != above.st_dev;
}
