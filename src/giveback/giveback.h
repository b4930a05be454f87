/*
 * Give back: what files were before a program changed them, kept for a while in bounded room, and put back on a verdict.
 * The folder and its files: docs/FORMAT-giveback.md.  One process writes (the agent's sensor), another one gives back (actor) with
 * the same folder: the list is append-only, records carry lengths and checksums, a torn end is cut.
 *
 * Room: `max_bytes`, and never more than leaves `reserve_bytes` free.  What makes room: pre-images of trees that were said to be
 * harmless, or that a keeper before this one knew and nobody suspected, oldest first; never those of a suspected tree, nor of one
 * that nothing was said about.  When nothing may go, keeping fails with -ENOSPC and the caller decides.
 *
 * How a change is told (the keeper learns nothing by itself):
 *   opened for writing, truncated   CONTENT with fd, before it happens
 *   made (file, folder, link)       MADE, with fd where there is one: then later CONTENT of the same file costs nothing
 *   renamed                         RENAMED was -> path; what stood at path before, if anything: REMOVED of path with fd FIRST
 *   removed                         REMOVED with the held fd (also of a folder: its owner and mode); -1: what it held is lost, and
 *                                   a roll-back says so.  A file whose CONTENT the tree has kept already: nothing is kept twice
 * Paths are absolute, with no link in them (as /proc/self/fd shows them), raw bytes, at most GIVEBACK_PATH_MAX.
 */
#ifndef SM_GIVEBACK_GIVEBACK_H
#define SM_GIVEBACK_GIVEBACK_H
#include "core/buf.h"
#include "core/json.h"

enum {
    GIVEBACK_PATH_MAX = 4096,
    GIVEBACK_RECORDS_MAX = 200000,  /* records kept at a time: the room is also this */
    GIVEBACK_BACK_AGE_S = 30 * 86400, /* how long an ended roll-back can be undone */
};

enum giveback_kind {
    GIVEBACK_CONTENT,   /* the contents and metadata before the first change */
    GIVEBACK_MADE,      /* there was none: the tree made it (given back by moving it aside, never by deleting) */
    GIVEBACK_RENAMED,   /* it had another name */
    GIVEBACK_REMOVED,   /* contents, taken from a file held open, of a name that is gone */
};
struct giveback_limits { uint64_t max_bytes, reserve_bytes, file_max_bytes; int64_t age_s; };

struct giveback;        /* the keeping side */
/* folder: an open directory, 0700; borrowed, a descriptor of its own is made.
 * -SM_EFORMAT, -SM_EVERSION, -SM_EAGAIN (another one keeps), -errno. */
sm_must_use int giveback_open(int folder, const struct giveback_limits *l, struct giveback **ret);
void giveback_close(struct giveback *g);

struct giveback_what {
    uint64_t tree;      /* never 0 */
    uint32_t pid;
    uint8_t kind;
    int fd;             /* of the file, for reading; its contents and metadata are kept; -1 where kind needs none.  Borrowed */
    struct sm_span path, was; /* where it is; RENAMED: where it was */
    int64_t at_s;
};
/* Keep one.  A second CONTENT of the same inode by the same tree is 0 and keeps nothing.  *ret_id names it.  May take long for a large
 * file: cancel (may be NULL) is looked at between pieces; safe to call from several threads (calls that begin later are later
 * changes).
 * -ENOSPC, -EFBIG (larger than file_max_bytes), -SM_ECANCEL, -SM_EINVAL (no file or folder, a path that is none), -errno: nothing is
 * kept. */
sm_must_use int giveback_keep(struct giveback *g, const struct giveback_what *w, const bool *cancel, uint64_t *ret_id);
/* Read what was kept, for comparing.  Bytes read; -SM_ENOTFOUND. */
ssize_t giveback_read(struct giveback *g, uint64_t id, uint64_t offset, uint8_t *buf, size_t n);
sm_must_use int giveback_size(struct giveback *g, uint64_t id, uint64_t *ret);
/* The tree is suspected (its pre-images stay), or harmless (they may go): say the latter also of a tree that ended and that nothing
 * speaks against, else its room is never free again. */
void giveback_suspect(struct giveback *g, uint64_t tree, bool yes);
/* Everything kept so far onto the disk, and what grew older than age_s let go.  A kill loses nothing that was kept; a power cut
 * what came after the last call of this.  Slow (not for the thread that answers); every few seconds is enough.  -errno. */
sm_must_use int giveback_sync(struct giveback *g);
struct giveback_room { uint64_t bytes, files, let_go; };
void giveback_room(const struct giveback *g, struct giveback_room *ret);

/* ---- the giving side: reads the folder, never needs the keeper ---- */
/* files: put back (contents or name); unchanged: were as they should be; left: changed by somebody else since;
 * failed: could not be; aside: made by the tree and moved aside. */
struct giveback_done { unsigned files, unchanged, left, failed, aside; uint64_t bytes; };
/* what: "given", "aside", "renamed", "unchanged", "left", "failed", "undone". */
typedef void giveback_say_fn(void *ctx, struct sm_span path, const char *what, int err);
/*
 * Put back what tree changed (paths: only these and what is below, under their names of now or of before; none: all), newest change
 * first, so that names and contents end as they were before.  What stands there now is itself kept as part of the roll-back `number`
 * first, so that giveback_undo can take it back; what somebody else changed after the tree is left and said.  Journaled: killed in
 * the middle, the same call goes on.  Only what was not given yet: a second call tries again what was left or failed.
 * -SM_ENOTFOUND no such tree, or nothing of it left to give; -SM_EAGAIN another roll-back runs; -SM_ELIMIT more than 1,024 paths;
 * -errno; single files that fail are said and counted.
 */
sm_must_use int giveback_roll_back(int folder, uint64_t tree, const struct sm_span *paths, size_t n, giveback_say_fn *say, void *ctx,
    uint64_t *ret_number, struct giveback_done *ret);
/* Everything as it was when the roll-back began; what somebody changed since is left and said.  Then it can be given back anew.
 * Killed in the middle, the same call goes on.  -SM_ENOTFOUND, -SM_ESTATE (it is undone already), -SM_EAGAIN, -errno. */
sm_must_use int giveback_undo(int folder, uint64_t number, giveback_say_fn *say, void *ctx, struct giveback_done *ret);
/* What is kept of a tree: [{"id","path": base64,"was": base64 (renamed),"kind": "content|made|renamed|removed","size","at","state":
 * "kept|given|let_go|lost"}…] from a cursor on. */
sm_must_use int giveback_list(int folder, uint64_t tree, size_t from, size_t limit, json_t **ret);
/* Roll-backs, oldest first: [{"number","tree","at","state": "running|given|undoing|undone","files","left","failed"}…≤1000]. */
sm_must_use int giveback_backs(int folder, json_t **ret);
#endif
