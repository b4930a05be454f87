/*
 * Watching folders: programs that open something in them wait for our answer (asks), what they made, renamed, removed and
 * closed after writing is told afterwards (notices), and programs that are started can be asked for, too.  On Linux: fanotify,
 * three groups, marks on folders (so that files in unmarked folders cost nothing).
 *
 * An ask that is read MUST be answered and its descriptor closed: until then a program stands.  Whoever ends with asks open
 * lets all of them go (the kernel does).  Answering twice is harmless.  Functions may be called from any thread, but each
 * group is read by one thread at a time, fswatch_path too.
 */
#ifndef SM_PLAT_FSWATCH_H
#define SM_PLAT_FSWATCH_H
#include <sys/types.h>
#include "core/buf.h"

enum fswatch_group { FSWATCH_OPENS, FSWATCH_NOTICES, FSWATCH_EXECS, FSWATCH_CUTS, FSWATCH_GROUPS };
enum {
    FSWATCH_PATH = 4096,
    FSWATCH_BATCH = 64,     /* asks read at once */
    FSWATCH_REST_MS = 5000,
};

struct fswatch;
/* Opens what groups (bits 1 << enum fswatch_group) the system has and lets us; why (240 bytes) names what it has not, in English,
 * "; "-joined, "" when nothing is missing.  Needs CAP_SYS_ADMIN.  -SM_EUNSUPPORTED none of them, -ENOMEM. */
sm_must_use int fswatch_open(unsigned groups, struct fswatch **ret, char *ret_why);
void fswatch_close(struct fswatch *w);
bool fswatch_has(const struct fswatch *w, enum fswatch_group g);
int fswatch_fd(const struct fswatch *w, enum fswatch_group g); /* readable when there is something; -1 without it */

/* ---- what is watched ---- */
/* Mark the folder (not what is below it) in OPENS and NOTICES; off takes it back.  -ENOSPC too many marks, -errno. */
sm_must_use int fswatch_folder(struct fswatch *w, int dirfd, bool on);
/* Ask for opens of this one file of the folder under all its names, so that a second one (a hard link) in a folder that nobody watches escapes
 * nothing; name NULL: what dirfd itself is open at.  pinned keeps it in memory; else it is forgotten with what the system has in memory of the
 * file (a pinned one stays pinned).  -ENOENT, -ELOOP no file any more; -EINVAL before Linux 6.0 without pinned; -errno. */
sm_must_use int fswatch_file(struct fswatch *w, int dirfd, const char *name, bool pinned);
/* The whole file system that dirfd is on, instead of folders.  -errno. */
sm_must_use int fswatch_filesystem(struct fswatch *w, int dirfd, bool on);
/* No folder and no file system any more. */
void fswatch_forget(struct fswatch *w);
/* Never anything in this one folder (of a marked file system).  -SM_EUNSUPPORTED before Linux 6.0. */
sm_must_use int fswatch_leave_out(struct fswatch *w, int dirfd);
/* Opening this folder itself (not what lies in it) asks nobody, until on is false: for the thread that answers, which would wait for itself.
 * -SM_EUNSUPPORTED, -errno. */
sm_must_use int fswatch_unasked(struct fswatch *w, int dirfd, bool on);
/* Ask for programs started from dirfd's file system. */
sm_must_use int fswatch_programs(struct fswatch *w, int dirfd, bool on);
/* Do not ask again for the program behind fd until its file changes; forget all such words. */
sm_must_use int fswatch_program_known(struct fswatch *w, int fd);
void fswatch_programs_forget(struct fswatch *w);

/* ---- asks ---- */
struct fswatch_ask {
    int fd;         /* for reading, raises no event itself; the caller's */
    uint32_t thread;
    bool folder;    /* it is to be listed */
    bool cut;       /* CUTS: it is to be cut by its name; else some bytes of it are to be read or written */
};
/* Read at most n asks; how many, 0 when there is none now.  *ret_lost counts up when the queue overflowed.  -errno. */
sm_must_use ssize_t fswatch_asks(
    struct fswatch *w, enum fswatch_group g, struct fswatch_ask *ret, size_t n, uint64_t *ret_lost);
void fswatch_answer(struct fswatch *w, enum fswatch_group g, int fd, bool allow);

/*
 * Guard one file against being cut by its name (truncate(2)), which is no open: asked for in CUTS where the system can (Linux 6.14, ext4,
 * xfs, btrfs), else told as CHANGED.  What has it open already is not asked for its reading; what opens it later is, until off.
 * 1 it is asked for, 0 it is told, -errno.
 */
sm_must_use int fswatch_guard(struct fswatch *w, int fd, bool on);
/* How does a thread that waits in an ask open?  The flags of open(2) in *ret; -SM_ENOTFOUND it cannot be told (take it for writing),
 * -ESRCH. */
sm_must_use int fswatch_how(uint32_t thread, int *ret);
/* The same from the text of /proc/THREAD/syscall; *ret_at is not 0 when the flags stand at that address of the thread's memory.
 * Exposed for tests and fuzzing.  -SM_ENOTFOUND no call that opens, -SM_EFORMAT. */
sm_must_use int fswatch_parse_call(struct sm_span text, int *ret_flags, uint64_t *ret_at);

/* ---- notices ---- */
enum fswatch_kind { FSWATCH_MADE = 1, FSWATCH_REMOVED, FSWATCH_RENAMED, FSWATCH_WRITTEN, FSWATCH_OVERFLOW,
    FSWATCH_CHANGED /* a guarded file, where it cannot be asked for */ };
struct fswatch_name {
    struct sm_span folder;  /* the system's handle of it, for fswatch_path; empty: not told */
    struct sm_span name;
};
struct fswatch_notice {
    uint8_t kind;
    bool folder;            /* it is a folder itself */
    uint32_t pid;           /* of the process; 0: not told */
    uint64_t file;          /* as fswatch_number gives it; 0: not told */
    struct fswatch_name at, to; /* to: RENAMED only.  Of a rename from or to a folder that is not watched only one is told */
    struct fswatch_name self;   /* the file itself, as a folder without a name: for fswatch_path and fswatch_follow */
};
typedef void fswatch_notice_fn(void *ctx, const struct fswatch_notice *n);
/* Give fn what is there (one read: about a thousand at most); how many, 0 when there is none.  -errno. */
sm_must_use ssize_t fswatch_notices(struct fswatch *w, fswatch_notice_fn *fn, void *ctx);
/* The parser of the bytes a notice group is read as.  How many; -SM_EFORMAT (those before it were told).  For tests and fuzzing. */
sm_must_use ssize_t fswatch_parse(struct sm_span bytes, fswatch_notice_fn *fn, void *ctx);
/* Absolute path of a name as it is now; bytes in ret (FSWATCH_PATH).  -ESTALE the folder is gone, -ENAMETOOLONG, -SM_ENOTFOUND (also of
 * a disk that fswatch_rest let go: fswatch_disk, or marking a folder of it, makes it known again). */
sm_must_use ssize_t fswatch_path(struct fswatch *w, const struct fswatch_name *n, char *ret);
/* Ask for opens of this one file from now on, wherever it was moved to.  -errno. */
sm_must_use int fswatch_follow(struct fswatch *w, const struct fswatch_name *self);
/* Folders were renamed or removed: fswatch_path looks anew. */
void fswatch_moved(struct fswatch *w);
/* A descriptor for this file system is kept for fswatch_path (a duplicate of fd, which is open already).  Of one that may be removed,
 * as its path says, not for long: fswatch_rest lets go what was not used for some seconds, or it could not be unmounted. */
void fswatch_disk(struct fswatch *w, int fd);
void fswatch_rest(struct fswatch *w);
bool fswatch_removable(const char *path);
/* A number of the file itself, the same whatever its name.  -errno. */
sm_must_use int fswatch_number(int fd, uint64_t *ret);
/* Path of what a descriptor of ours is open at; how many bytes.  -errno. */
sm_must_use ssize_t fswatch_fd_path(int fd, char ret[FSWATCH_PATH]);
/* Path of what a descriptor of an ask is open at, as *we* reach it: whoever opened it may see it elsewhere (a mount namespace of their
 * own), and chooses what that place is called.  As fswatch_fd_path; -ESTALE: nobody knows (ret may be overwritten all the same).
 * *ret_ours: it was opened through a mount that we see too; else fd is none for fswatch_disk. */
sm_must_use ssize_t fswatch_own_path(struct fswatch *w, int fd, char ret[FSWATCH_PATH], bool *ret_ours);
/* Kernel marks of a group, for tests. */
size_t fswatch_marks(const struct fswatch *w, enum fswatch_group g);
#endif
