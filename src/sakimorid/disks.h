/*
 * Removable disks as the parent sees them: which are plugged in (by the UUIDs that udev writes as names into a folder,
 * looked at every two seconds), and the one that is mounted for a copy.  Only names are read here, never what is on a
 * disk; mounting and unmounting are done by a process for each (diskwork.h) with a time limit, one at a time: a disk that
 * hangs keeps nobody but the copy that wants it.
 */
#ifndef SAKIMORID_DISKS_H
#define SAKIMORID_DISKS_H
#include <sys/types.h>
#include "core/json.h"
#include "core/loop.h"

struct disks;
struct disks_config {
    struct sm_loop *loop;
    const char *folder, *data;   /* folder: of the setting "disks", "" = none; data: the box's.  Both borrowed */
    void (*fn)(void *arg);       /* the list changed */
    void *arg;
    const char *helper;          /* program that does the work, NULL = this one */
    unsigned mount_ms, unmount_ms;   /* time limits, 0 = DISKS_MOUNT_MS, DISKS_UNMOUNT_MS */
};
#define DISKS_MOUNT_MS 30000u
#define DISKS_UNMOUNT_MS 600000u     /* what was written goes to a slow disk first */
/* What an earlier life left mounted is unmounted. */
sm_must_use int disks_new(const struct disks_config *c, struct disks **ret);
void disks_free(struct disks *d);       /* unmounts, at most 20 s; NULL is fine */
/* {"disks": [uuid…]}, new reference; NULL when out of memory. */
json_t *disks_list(const struct disks *d);
/* err 0: path (borrowed) is good until disks_release. */
typedef void (*disks_fn)(void *arg, int err, const char *path);
/*
 * Mount it below DATA/run/disks for uid and gid; the folder `must` has to be on it.  0: fn is called once, later, with 0,
 * -SM_ENOTFOUND (no such folder), -SM_ETIME (it hangs), -SM_EPEER, else as plat_mount_disk.
 * At once: -SM_EINVAL (no UUID), -SM_ESTATE (one is mounted, or the last one still hangs), -SM_ENOTFOUND (not plugged in).
 */
sm_must_use int disks_take(struct disks *d, const char *uuid, uid_t uid, gid_t gid, const char *must, disks_fn fn,
    void *arg);
/* Is one being mounted or unmounted, and not given up? */
bool disks_busy(const struct disks *d);
/* Unmount it.  fn (may be NULL) is called once: when that is done or given up, at once when none is mounted. */
void disks_release(struct disks *d, disks_fn fn, void *arg);
#endif
