/*
 * Removable disks, for the one process that is root: which are there, and mounting one of them.
 */
#ifndef SM_PLAT_MOUNT_H
#define SM_PLAT_MOUNT_H
#include <sys/types.h>
#include "core/buf.h"

#define PLAT_DISK_NAME_MAX 64
#define PLAT_DISKS_MAX 64
/* A UUID as udev writes it: 1..64 of [0-9A-Za-z-]. */
bool plat_disk_name_ok(const char *name);
/*
 * The names in folder (/dev/disk/by-uuid), sorted, at most PLAT_DISKS_MAX (the first of them); others than UUIDs are left
 * out.  Returns how many; a folder that does not exist holds none.  -errno.
 */
sm_must_use int plat_disks(const char *folder, char (*ret)[PLAT_DISK_NAME_MAX + 1]);
/* The name in folder of the block device dev.  -SM_ENOTFOUND. */
sm_must_use int plat_disk_of(const char *folder, dev_t dev, char ret[PLAT_DISK_NAME_MAX + 1]);
/*
 * Mount the block device at the folder `at` without set-user-id, devices or programs.  File systems without owners
 * (vfat, exfat) get uid and gid.  Only file systems of plat/linux/mount.c are tried.  -ENOTBLK (no block device),
 * -SM_EUNSUPPORTED (none of them), -errno.
 */
sm_must_use int plat_mount_disk(const char *device, const char *at, uid_t uid, gid_t gid);
/* Everything is on the disk when it returns 0.  lazily: also while somebody uses it (a disk that is gone). */
sm_must_use int plat_unmount(const char *at, bool lazily);
/* Is a file system of its own mounted at this folder? */
bool plat_is_mounted(const char *at);
#endif
