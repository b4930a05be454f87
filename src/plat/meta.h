/*
 * What Linux knows about a file besides its bytes: read without following links, given back in the right order.
 * Identity is opaque (seam for Windows): never taken apart by others.
 */
#ifndef SM_PLAT_META_H
#define SM_PLAT_META_H
#include "core/buf.h"
#include "core/time.h"

enum plat_type {
    PLAT_FILE = 1,
    PLAT_DIR = 2,
    PLAT_SYMLINK = 3,
    PLAT_FIFO = 4,
    PLAT_SOCKET = 5,
    PLAT_CHAR = 6,
    PLAT_BLOCK = 7
};
struct plat_id { uint8_t volume[16], id[16]; uint64_t generation; };
bool plat_id_eq(const struct plat_id *a, const struct plat_id *b);

#define PLAT_XATTR_MAX 256                  /* attributes of one file */
#define PLAT_XATTR_BYTES ((size_t)1 << 20)  /* names and values of one file together */
struct plat_xattr { char *name; uint8_t *value; size_t value_n; };
#define PLAT_NAME_MAX 64
struct plat_meta {
    enum plat_type type;
    uint32_t mode;              /* 07777 bits only */
    uint32_t uid, gid;
    char user[PLAT_NAME_MAX], group[PLAT_NAME_MAX]; /* "" when unknown or not asked for */
    uint64_t size, blocks_bytes;
    struct sm_time mtime, ctime, atime, btime;
    bool has_btime;
    struct plat_id id;
    uint32_t nlink, rdev_major, rdev_minor;
    struct sm_buf target;       /* symlink target, raw bytes */
    struct plat_xattr *xattr; size_t xattr_n; /* sorted by name, ACLs (system.posix_acl_*) and security.* among them */
    uint64_t attr_flags;        /* statx attributes: immutable, append, nodump, ... (STATX_ATTR_*) */
    uint32_t dos_attributes;    /* of a share of another machine (FILE_ATTRIBUTE_*); 0 for what is of this one */
    int xattr_err;              /* 0, or why the attributes could not be read whole (-EACCES, -SM_ELIMIT, ...) */
};
enum { PLAT_META_XATTR = 1, PLAT_META_NAMES = 2 };
/* Read name in dirfd (name "" = dirfd itself).  ret becomes the caller's (plat_meta_wipe).  -errno; an unreadable
 * attribute list is not an error but xattr_err. */
sm_must_use int plat_meta_read(int dirfd, const char *name, unsigned flags, struct plat_meta *ret);
/* The inode's generation where the file system tells it (0 else); goes into plat_id.generation if wanted. */
uint64_t plat_meta_generation(int fd);
void plat_meta_wipe(struct plat_meta *m);
/* Add one attribute (copied).  For those who rebuild a plat_meta from stored bytes.  -ENOMEM, -SM_ELIMIT, -SM_EEXISTS.
 */
sm_must_use int plat_meta_add_xattr(struct plat_meta *m, const char *name, struct sm_span value);

#define PLAT_META_FAIL_MAX 32
struct plat_meta_fail { char what[64]; int err; };      /* "owner", "mode", "times", "xattr user.x" */
struct plat_meta_report { struct plat_meta_fail fail[PLAT_META_FAIL_MAX]; size_t n, more; };
enum {
    PLAT_APPLY_OWNER = 1,       /* chown */
    PLAT_APPLY_BY_NAME = 2,     /* user and group names win over numbers where this machine knows them */
    PLAT_APPLY_XATTR = 4,
    PLAT_APPLY_PRUNE = 8,       /* remove attributes that the object has and m has not (default ACLs inherited, ...) */
    PLAT_APPLY_ALL = 15,
};
/* Give a restored object its metadata: owner, mode, ACLs and other attributes, times last.  set-user-id bits are not
 * set when the owner could not be.  Returns 0 when all was applied, -SM_EPARTIAL with ret_report otherwise,
 * -errno when there is no such object.  ret_report is always filled. */
sm_must_use int plat_meta_apply(int dirfd, const char *name, const struct plat_meta *m, unsigned flags,
    struct plat_meta_report *ret_report);
/* Times alone (for folders, after their content was written). */
sm_must_use int plat_meta_apply_times(int dirfd, const char *name, const struct plat_meta *m);
#endif
