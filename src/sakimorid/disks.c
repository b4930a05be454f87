#include "sakimorid/disks.h"
#include <errno.h>
#include <unistd.h>
#include "core/log.h"
#include "plat/fs.h"
#include "plat/mount.h"

enum { LOOK_MS = 2000, PATH_BYTES = 4300 };

struct disks {
    const char *folder;
    char base[PATH_BYTES];
    struct sm_timer *timer;
    void (*fn)(void *arg);
    void *arg;
    char names[PLAT_DISKS_MAX][PLAT_DISK_NAME_MAX + 1];
    int n;
    char mounted[PATH_BYTES + PLAT_DISK_NAME_MAX + 2]; /* "" = none */
};

static void look(void *arg)
{
    struct disks *d = arg;
    char now[PLAT_DISKS_MAX][PLAT_DISK_NAME_MAX + 1] = { { 0 } };
    int n = plat_disks(d->folder, now);
    if (n < 0)
        return; /* looked at again in two seconds */
    bool same = n == d->n;
    for (int i = 0; same && i < n; i++)
        same = strcmp(now[i], d->names[i]) == 0;
    if (same)
        return;
    memcpy(d->names, now, sizeof now);
    d->n = n;
    d->fn(d->arg);
}

static void unmount(const char *path)
{
    int r = plat_unmount(path, false);
    if (r == -EBUSY || r == -EIO)
        r = plat_unmount(path, true);
    if (r < 0 && r != -EINVAL) /* not mounted */
        sm_warn("unmounting %s: %s", path, sm_strerror(r));
}

static int left_over(void *arg, struct sm_span name, unsigned char type)
{
    struct disks *d = arg;
    char path[sizeof d->mounted];
    (void)type;
    if (!plat_disk_name_ok((const char *)name.p))
        return 0;
    (void)snprintf(path, sizeof path, "%s/%s", d->base, (const char *)name.p); /* fits: a checked name */
    if (plat_is_mounted(path))
        unmount(path);
    (void)!plat_fs_rmdir(AT_FDCWD, path); /* an empty folder more is no harm */
    return 0;
}

int disks_new(struct sm_loop *loop, const char *folder, const char *data, void (*fn)(void *arg), void *arg,
    struct disks **ret)
{
    struct disks *d = calloc(1, sizeof *d);
    if (!d)
        return -ENOMEM;
    d->folder = folder;
    d->fn = fn;
    d->arg = arg;
    (void)snprintf(d->base, sizeof d->base, "%.4200s/run/disks", data); /* data is a real path */
    int fd = plat_fs_open_dir(AT_FDCWD, d->base);
    if (fd >= 0) {
        (void)!plat_fs_list(fd, left_over, d); /* what stays mounted is refused when it is wanted */
        close(fd);
    }
    int r = !*folder ? 0 : sm_loop_timer(loop, LOOK_MS, LOOK_MS, look, d, &d->timer);
    if (r < 0) {
        free(d);
        return r;
    }
    r = *folder ? plat_disks(folder, d->names) : 0;
    d->n = r > 0 ? r : 0;
    *ret = d;
    return 0;
}

void disks_free(struct disks *d)
{
    if (!d)
        return;
    disks_release(d);
    sm_timer_free(d->timer);
    free(d);
}

json_t *disks_list(const struct disks *d)
{
    json_t *list = json_array();
    for (int i = 0; list && i < d->n; i++)
        if (json_array_append_new(list, json_string(d->names[i])) < 0) {
            json_decref(list);
            return NULL;
        }
    return list ? json_pack("{s:o}", "disks", list) : NULL;
}

int disks_take(struct disks *d, const char *uuid, uid_t uid, gid_t gid, const char **ret_path)
{
    char device[PATH_BYTES];
    if (!plat_disk_name_ok(uuid))
        return -SM_EINVAL;
    if (d->mounted[0])
        return -SM_ESTATE;
    if (snprintf(device, sizeof device, "%s/%s", d->folder, uuid) >= (int)sizeof device)
        return -ENAMETOOLONG;
    if (access(device, F_OK) < 0)
        return -SM_ENOTFOUND;
    (void)snprintf(d->mounted, sizeof d->mounted, "%s/%s", d->base, uuid); /* fits: a checked name */
    /* Others pass through to what is their own below it. */
    int r = plat_fs_mkdir_p(d->mounted, 0711);
    if (r >= 0)
        r = plat_mount_disk(device, d->mounted, uid, gid);
    if (r < 0) {
        (void)!plat_fs_rmdir(AT_FDCWD, d->mounted); /* may never have been made */
        d->mounted[0] = '\0';
        return r;
    }
    *ret_path = d->mounted;
    return 0;
}

void disks_release(struct disks *d)
{
    if (!d->mounted[0])
        return;
    unmount(d->mounted);
    (void)!plat_fs_rmdir(AT_FDCWD, d->mounted); /* made again next time */
    d->mounted[0] = '\0';
}
