/*
 * Give back: what files were before a program changed them, kept for a while in bounded room, and put back on a verdict.
 * The folder and its files: docs/FORMAT-giveback.md.  One process writes (the agent's sensor), another one gives back (actor) with
 * the same folder: the list is append-only, records carry lengths and checksums, a torn end is cut.
 *
 * Room: `max_bytes`, and never more than leaves `reserve_bytes` free.  What makes room: pre-images of trees that ended and were not
 * suspected, oldest first; never those of a suspected tree.  When nothing may go, keeping fails with -ENOSPC and the caller decides.
 */
#ifndef SM_GIVEBACK_GIVEBACK_H
#define SM_GIVEBACK_GIVEBACK_H
#include "core/buf.h"
#include "core/json.h"

enum giveback_kind {
    GIVEBACK_CONTENT,   /* the contents and metadata before the first change */
    GIVEBACK_MADE,      /* there was none: the tree made it (given back by moving it aside, never by deleting) */
    GIVEBACK_RENAMED,   /* it had another name */
    GIVEBACK_REMOVED,   /* contents, taken from a file held open, of a name that is gone */
};
struct giveback_limits { uint64_t max_bytes, reserve_bytes, file_max_bytes; int64_t age_s; };

struct giveback;        /* the keeping side */
/* folder: an open directory, 0700.  -SM_EFORMAT, -SM_EVERSION, -SM_EAGAIN (another one keeps), -errno. */
sm_must_use int giveback_open(int folder, const struct giveback_limits *l, struct giveback **ret);
void giveback_close(struct giveback *g);

struct giveback_what {
    uint64_t tree;
    uint32_t pid;
    uint8_t kind;
    int fd;             /* of the file, for reading; its contents and metadata are kept; -1 where kind needs none.  Borrowed */
    struct sm_span path, was; /* where it is; RENAMED: where it was */
    int64_t at_s;
};
/* Keep one.  A second CONTENT of the same inode by the same tree is 0 and keeps nothing.  *ret_id names it.  May take long for a large
 * file: cancel (may be NULL) is looked at between pieces; safe to call from several threads.
 * -ENOSPC, -EFBIG (larger than file_max_bytes), -SM_ECANCEL, -errno: nothing is kept. */
sm_must_use int giveback_keep(struct giveback *g, const struct giveback_what *w, const bool *cancel, uint64_t *ret_id);
/* Read what was kept, for comparing.  Bytes read; -SM_ENOTFOUND. */
ssize_t giveback_read(struct giveback *g, uint64_t id, uint64_t offset, uint8_t *buf, size_t n);
sm_must_use int giveback_size(struct giveback *g, uint64_t id, uint64_t *ret);
/* The tree is suspected (its pre-images stay), or harmless (they may go). */
void giveback_suspect(struct giveback *g, uint64_t tree, bool yes);
struct giveback_room { uint64_t bytes, files, let_go; };
void giveback_room(const struct giveback *g, struct giveback_room *ret);

/* ---- the giving side: reads the folder, never needs the keeper ---- */
struct giveback_done { unsigned files, unchanged, failed, aside; uint64_t bytes; };
typedef void giveback_say_fn(void *ctx, struct sm_span path, const char *what, int err);
/*
 * Put back what tree changed (paths: only these and what is below; none: all), newest change first, so that names and contents end as
 * they were before.  What stands there now is itself kept as part of the roll-back `number` first, so that giveback_undo can take it
 * back; what somebody else changed after the tree is left and said.  Journaled: killed in the middle, the same call goes on.
 * -SM_ENOTFOUND no such tree, -errno; single files that fail are said and counted.
 */
sm_must_use int giveback_roll_back(int folder, uint64_t tree, const struct sm_span *paths, size_t n, giveback_say_fn *say, void *ctx,
    uint64_t *ret_number, struct giveback_done *ret);
sm_must_use int giveback_undo(int folder, uint64_t number, giveback_say_fn *say, void *ctx, struct giveback_done *ret);
/* What is kept of a tree: [{"path": base64,"kind","size","at","state": kept|given|let_go}…] from a cursor on. */
sm_must_use int giveback_list(int folder, uint64_t tree, size_t from, size_t limit, json_t **ret);
#endif
