/*
 * Metadata lists (FORMAT 3): to and from struct plat_meta, and raw.  Entries this build does not know survive
 * wherever a list is copied as bytes.
 */
#ifndef VAULT_SNAPSHOT_META_H
#define VAULT_SNAPSHOT_META_H
#include "plat/meta.h"
#include "vault/seal/format.h"

enum meta_os { META_ANY = 0, META_LINUX = 1, META_WINDOWS = 2, META_MACOS = 3 };
enum meta_any {
    META_MTIME = 1, META_CTIME = 2, META_ATIME = 3, META_BTIME = 4, META_LINK = 5, META_TARGET = 6, META_SPARSE = 7,
    META_READ_NOTE = 8, META_CANARY = 9,
};
enum meta_linux {
    META_MODE = 1, META_UID = 2, META_GID = 3, META_USER = 4, META_GROUP = 5, META_RDEV = 6, META_XATTR = 7,
    META_FLAGS = 8,
};
enum meta_windows { META_DOS = 1 };
#define META_ENTRIES_MAX 4096u /* of one list */

/* What a list says besides plat_meta. */
struct meta_extra {
    bool has_link; uint64_t link_group, link_count;
    bool sparse, changed_while_read, canary;
};

/* One raw entry; value points into the list. */
struct meta_entry { uint8_t os; uint64_t type; struct sm_span value; };
struct meta_it { struct sm_rd rd; struct meta_entry last; bool any; uint32_t count; };
/* Begin; version is checked.  -SM_EFORMAT, -SM_EVERSION, -SM_ELIMIT. */
sm_must_use int meta_begin(struct sm_span list, struct meta_it *ret);
/* 1 and an entry, 0 at the end, -SM_EFORMAT (form, or not strictly ascending), -SM_ELIMIT. */
sm_must_use int meta_next(struct meta_it *it, struct meta_entry *ret);
/* Walk all of it: 0, or why it is refused. */
sm_must_use int meta_check(struct sm_span list);

enum { META_WITH_ATIME = 1, META_WITH_CTIME = 2 };
/*
 * Write the list of m and extra (may be NULL); appended to ret.  mtime always; ctime and atime as flags say.
 * -SM_ELIMIT (longer than VAULT_META_MAX), -ENOMEM.
 */
sm_must_use int meta_from_plat(const struct plat_meta *m, const struct meta_extra *extra, unsigned flags,
    struct sm_buf *ret);
/*
 * Read a list into a plat_meta (becomes the caller's: plat_meta_wipe) and extra.  kind is the entry's kind.  Entries
 * of other systems and unknown ones are passed over.
 * -SM_EFORMAT (form, a known entry of wrong length, or one that may stand once standing twice), -SM_EVERSION,
 * -SM_ELIMIT, -ENOMEM.
 */
sm_must_use int meta_to_plat(struct sm_span list, uint8_t kind, struct plat_meta *ret, struct meta_extra *ret_extra);
/* Only the extra: cheap, for walks. */
sm_must_use int meta_extra_of(struct sm_span list, struct meta_extra *ret);

#endif
