/*
 * The seam for faults.  Every change to a file by the vault and the agent goes through plat_fs_* (and buffers
 * grow through sm_buf), and those ask here first: so a test can let the k-th operation fail, for every k, and
 * can record all operations and rebuild what a disk might hold after the power went at any moment.
 * Off (the normal state) it costs one predictable branch.  Process-wide, for one thread.
 */
#ifndef SM_PLAT_FAULT_H
#define SM_PLAT_FAULT_H
#include "core/buf.h"

enum plat_op {
    PLAT_OP_WRITE = 1, PLAT_OP_FSYNC = 2, PLAT_OP_RENAME = 4, PLAT_OP_CREATE = 8, PLAT_OP_UNLINK = 16,
    PLAT_OP_TRUNCATE = 32, PLAT_OP_MKDIR = 64, PLAT_OP_ALLOC = 128,
    PLAT_OP_FILES = 127, PLAT_OP_ALL = 255,
    PLAT_FAULT_STICKY = 256, /* the k-th and every later one fails (full disk, lost disk) */
    PLAT_FAULT_SHORT = 512,  /* a failing write first puts half of its bytes on the disk */
};

/* Let the k-th (from 1) operation of a kind in kinds fail with -err (err > 0, e.g. ENOSPC; ALLOC always says
 * -ENOMEM).  k = 0 only counts. */
void plat_fault_set(unsigned kinds, uint64_t k, int err);
void plat_fault_clear(void);
/* Operations of the chosen kinds seen since plat_fault_set; and whether one was made to fail. */
uint64_t plat_fault_seen(void);
bool plat_fault_fired(void);

/*
 * Recording.  All plat_fs_* changes below root are kept in memory, on top of a copy of what root holds at the
 * start (bounded: PLAT_RECORD_MAX bytes in all; beyond it the recording says -SM_ELIMIT when replayed).
 */
#define PLAT_RECORD_MAX ((size_t)512 << 20)
struct plat_record_op {
    enum plat_op kind;
    const char *path, *to;  /* relative to root; to for renames */
    uint64_t off, len;      /* WRITE: where and how long; TRUNCATE: len */
    bool dir;               /* FSYNC of a folder */
};
sm_must_use int plat_record_start(const char *root);
void plat_record_stop(void);               /* keeps what was recorded */
void plat_record_free(void);
size_t plat_record_count(void);
/* The i-th operation, borrowed; NULL past the end. */
const struct plat_record_op *plat_record_get(size_t i);

enum plat_replay {
    PLAT_REPLAY_ALL,    /* everything up to the cut reached the disk, in order */
    PLAT_REPLAY_TORN,   /* the same, but of the last write only the first half */
    PLAT_REPLAY_SYNCED, /* only bytes fsynced, and names whose folder was fsynced */
    PLAT_REPLAY_NAMES,  /* all names, but only fsynced bytes: renamed files without content, right lengths as zeros */
    PLAT_REPLAY_DATA,   /* all bytes, but only names whose folder was fsynced */
};
/* Build in the (empty or absent) folder `to` what the disk holds when the power goes after the first n
 * operations.  -errno, -SM_ELIMIT. */
sm_must_use int plat_record_replay(const char *to, size_t n, enum plat_replay how);

/* For plat_fs and sm_buf only. */
extern bool plat_fault_on, plat_record_on;
int plat_fault_ask(enum plat_op op);       /* 0 or the -errno to fail with */
bool plat_fault_is_short(void);
struct plat_record_note { enum plat_op kind; int fd; int dirfd; const char *name; int dirfd2; const char *name2;
    uint64_t off, len; struct sm_span data; bool dir; };
void plat_record_put(const struct plat_record_note *n);
#endif
