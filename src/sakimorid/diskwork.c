#include "sakimorid/diskwork.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core/log.h"
#include "plat/fs.h"
#include "plat/mount.h"

enum { PATH_BYTES = 4600 };

static int unmount(const char *path)
{
    int r = plat_unmount(path, false);
    if (r == -EBUSY || r == -EIO)
        r = plat_unmount(path, true);
    if (r < 0 && r != -EINVAL) /* not mounted */
        sm_warn("unmounting %s: %s", path, sm_strerror(r));
    (void)!plat_fs_rmdir(AT_FDCWD, path); /* an empty folder more is no harm */
    return r == -EINVAL ? 0 : r;
}

static bool is_there(const char *at, const char *name)
{
    char path[PATH_BYTES];
    struct stat st;
    int n = snprintf(path, sizeof path, "%s/%s", at, name);
    return n > 0 && (size_t)n < sizeof path && lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int mount_one(char **arg)
{
    const char *device = arg[0], *at = arg[1];
    uid_t uid = (uid_t)strtoul(arg[2], NULL, 10);
    gid_t gid = (gid_t)strtoul(arg[3], NULL, 10);
    /* Others pass through to what is their own below it. */
    int r = plat_fs_mkdir_p(at, 0711);
    if (r >= 0)
        r = plat_mount_disk(device, at, uid, gid);
    if (r < 0) {
        (void)!plat_fs_rmdir(AT_FDCWD, at); /* may never have been made */
        return r;
    }
    if (is_there(at, arg[4]))
        return 0;
    (void)!unmount(at); /* said in the log */
    return -SM_ENOTFOUND;
}

static int tidy_one(void *arg, struct sm_span name, unsigned char type)
{
    const char *base = arg;
    char path[PATH_BYTES];
    int n = snprintf(path, sizeof path, "%s/%s", base, (const char *)name.p);
    (void)type;
    if (plat_disk_name_ok((const char *)name.p) && n > 0 && (size_t)n < sizeof path)
        (void)!unmount(path); /* what stays mounted is refused when it is wanted */
    return 0;
}

static int tidy(char *base)
{
    int fd = plat_fs_open_dir(AT_FDCWD, base);
    if (fd < 0)
        return fd == -ENOENT ? 0 : fd;
    int r = plat_fs_list(fd, tidy_one, base);
    close(fd);
    return r;
}

int disk_work_main(int argc, char **argv)
{
    const char *work = argc > 1 ? argv[1] + strlen(DISK_WORK) : "";
    int r = -SM_EINVAL;
    if (!strcmp(work, "mount") && argc == 7)
        r = mount_one(argv + 2);
    else if (!strcmp(work, "unmount") && argc == 3)
        r = unmount(argv[2]);
    else if (!strcmp(work, "tidy") && argc == 3)
        r = tidy(argv[2]);
    return write(DISK_RESULT_FD, &r, sizeof r) == (ssize_t)sizeof r ? 0 : 1;
}
