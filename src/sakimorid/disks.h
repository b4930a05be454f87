/*
 * Removable disks as the parent sees them: which are plugged in (by the UUIDs that udev writes as names into a folder,
 * looked at every two seconds), and the one that is mounted for a copy.  Only names are read, never what is on a disk.
 */
#ifndef SAKIMORID_DISKS_H
#define SAKIMORID_DISKS_H
#include <sys/types.h>
#include "core/json.h"
#include "core/loop.h"

struct disks;
/* folder: of the setting "disks", "" = none; data: the box's.  Both borrowed.  fn is called when the list changes.
 * What an earlier life left mounted is unmounted. */
sm_must_use int disks_new(struct sm_loop *loop, const char *folder, const char *data, void (*fn)(void *arg), void *arg,
    struct disks **ret);
void disks_free(struct disks *d);       /* unmounts; NULL is fine */
/* {"disks": [uuid…]}, new reference; NULL when out of memory. */
json_t *disks_list(const struct disks *d);
/* Mount it below DATA/run/disks for uid and gid.  ret_path stays valid until disks_release.
 * -SM_EINVAL (no UUID), -SM_ESTATE (one is mounted), -SM_ENOTFOUND (not plugged in), else as plat_mount_disk. */
sm_must_use int disks_take(struct disks *d, const char *uuid, uid_t uid, gid_t gid, const char **ret_path);
/* Unmount it; nothing when none is. */
void disks_release(struct disks *d);
#endif
