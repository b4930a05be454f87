/* The contents of one file into another, as cheaply as the file system can. */
#ifndef SM_PLAT_CLONE_H
#define SM_PLAT_CLONE_H
#include "core/buf.h"

/*
 * Make `to` (open for reading and writing, its earlier contents are replaced) hold the first `size` bytes of `from`: sharing blocks where the
 * file system can (FICLONE), else copied run by run with holes left holes.  Where from is shorter by now, to is, too.
 * cancel (may be NULL) is looked at every few MiB.  Does not sync.  -SM_ECANCEL, -errno; `to` is then in any state.
 */
sm_must_use int plat_clone(int from, int to, uint64_t size, const bool *cancel);
/* Bytes of disk behind fd. */
sm_must_use int plat_clone_room(int fd, uint64_t *ret);
/* Device, inode and time of birth: what names a file while it lives, and not the next one with its inode number. */
struct plat_object { uint64_t dev, ino; int64_t born_s; uint32_t born_ns; };
sm_must_use int plat_object_of(int dirfd, const char *name /* "" = dirfd itself */, struct plat_object *ret);
bool plat_object_eq(const struct plat_object *a, const struct plat_object *b);
#endif
