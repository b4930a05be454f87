/*
 * Give a generation back, whole or in part, or compare it with what is on the disk.  No network, no log; objects and
 * keys come by callback, what happens is told by callbacks and in the result.
 *
 * Threads: the caller's walks the generation; three fetch and open chunks, in turn; one writes.  Memory is bounded
 * (RESTORE_BATCHES x RESTORE_BATCH_BYTES of plain bytes, as much sealed for each that opens, the reader's cache,
 * RESTORE_AHEAD_BYTES of folder pages).
 *
 * Invariants: 1. a file has its final name only when every byte of it was opened and written.  2. nothing outside of
 * the target is touched: folders are entered one by one by descriptor, never through a symbolic link below a root.
 * 3. with RESTORE_ASIDE nothing that stood there is lost: it is moved, keeping its relative path, and a folder restored
 * whole then equals the generation.  4. a folder whose content could not be read from the vault is never emptied.
 */
#ifndef VAULT_RESTORE_RESTORE_H
#define VAULT_RESTORE_RESTORE_H
#include "vault/snapshot/reader.h"

#define RESTORE_BATCHES 5u
#define RESTORE_BATCH_BYTES ((size_t)3 << 20)
#define RESTORE_AHEAD_BYTES ((size_t)8 << 20)
#define RESTORE_PATHS_MAX 4096u
#define RESTORE_GET_MAX 512u             /* objects asked for at once */
#define RESTORE_GETTERS 4u               /* the walker and three openers */
#define RESTORE_LINKS_MAX 131072u        /* files with several names that are remembered */

/*
 * Where sealed objects and keys come from.  Calls come from several threads, one at a time unless parallel is set: then
 * get_many at once from up to RESTORE_GETTERS of them, and file_key beside it.  A negative answer of get_many ends the
 * restore; a single object that is not there is told by its err.
 * get_held (may be NULL, else parallel is set) is get_many for who does not want to copy: what fn is given stays until
 * release, which is called once for *ret_held of each call that was answered with 0.
 */
typedef void (*restore_object_fn)(void *arg, size_t i, int err, struct sm_span sealed);
struct restore_source {
    /* Give fn every object of cids, in any order; err -SM_EMISSING, -SM_ECORRUPT. */
    int (*get_many)(void *arg, const struct cid *cids, size_t n, restore_object_fn fn, void *fn_arg);
    int (*get_held)(void *arg, const struct cid *cids, size_t n, restore_object_fn fn, void *fn_arg, void **ret_held);
    void (*release)(void *arg, void *held);
    /* F of an envelope. */
    int (*file_key)(void *arg, const struct cid *envelope, struct file_key *ret);
    bool parallel;
    bool names_checked;                  /* get_many has compared the bytes with their names */
    void *arg;
};

enum restore_target { RESTORE_ORIGINAL, RESTORE_PLACE };
enum restore_existing { RESTORE_ASIDE, RESTORE_SKIP, RESTORE_OVERWRITE };
struct restore_config {
    struct sm_span manifest;
    const uint8_t *device_public;        /* NULL: checked by the caller */
    const struct sm_span *paths; size_t paths_n; /* absolute, as in the generation; none = everything */
    enum restore_target target;
    const char *place;                   /* absolute; the roots' whole paths are made below it */
    enum restore_existing existing;
    uint8_t id[16];                      /* of this restore: a second run with the same id goes on */
    int state_dir;                       /* for the note how far it came; -1: none */
    /* Folders that are left where they are and as they are, also when the generation does not know them (keep), and those
     * that are not even entered (skip): what a machine keeps for itself. */
    const struct plat_id *keep, *skip; size_t keep_n, skip_n;
    int work;                            /* where files are written that may not be written where they belong, but moved
                                          * there (the same file system; restore_work_name); -1: nowhere */
    bool sync;                           /* everything on disk before it returns */
};

/* The name of such a folder: never taken for something that stood there. */
enum { RESTORE_WORK_NAME = 40 };
void restore_work_name(const uint8_t id[16], char ret[RESTORE_WORK_NAME]);

struct restore_progress { uint64_t files, bytes; const char *now; };
struct restore_watch {
    void (*progress)(void *arg, const struct restore_progress *p);   /* at most every 250 ms, caller's thread */
    bool (*cancelled)(void *arg);                                    /* from any thread */
    /* path as it stands in the generation; what is stable English.  From any thread, one call at a time. */
    void (*problem)(void *arg, struct sm_span path, int err, const char *what);
    void *arg;
};
struct restore_result {
    uint64_t files, dirs, others, bytes; /* given back (or found equal) */
    uint64_t same;                       /* files that were there already, bit for bit */
    uint64_t resumed;                    /* finished by an earlier run */
    uint64_t set_aside, skipped, problems;
};
/*
 * Restore.  0: all of it; -SM_EPARTIAL: with problems, which were told; -SM_ECANCEL; -ENOSPC and -EDQUOT: the disk is
 * full, what was finished stands, temporary files are gone; -SM_ENOTFOUND: none of paths is in the generation; errors of
 * reader_open; what get_many answered; -ENOMEM; -SM_EINVAL.  ret is filled in every case.
 */
sm_must_use int restore_run(const struct restore_config *c, const struct restore_source *source,
    const struct restore_watch *watch, struct restore_result *ret);
/*
 * The same walk without writing: every difference between generation and disk is told as a problem (what: "missing",
 * "extra", "kind", "content", "size", "target", "mode", "owner", "mtime", "xattr", "link").  0: equal; -SM_EMISMATCH: there were
 * differences.
 */
sm_must_use int restore_compare(const struct restore_config *c, const struct restore_source *source,
    const struct restore_watch *watch, struct restore_result *ret);

#endif
