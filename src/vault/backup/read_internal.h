/*
 * Inside of the backup room: the reader thread.  merge.c compares the walk with the last generation, content.c reads
 * files and cuts them, read.c joins both.
 */
#ifndef VAULT_BACKUP_READ_INTERNAL_H
#define VAULT_BACKUP_READ_INTERNAL_H
#include <limits.h>

#include "plat/proc.h"
#include "vault/backup/run_internal.h"
#include "vault/snapshot/meta.h"

#define LINKS_MAX 131072u            /* files with several names that are remembered; more are stored one by one */
#define SHARED_OPEN 4u               /* shared chunks being filled: by owner and kind */
#define SHARED_WAIT 768u             /* entries after which shared chunks are closed */
#define NAMES_CACHE 64u
#define FD_REMOTE INT_MAX            /* in place of a descriptor: the file that the remote has open */
#define RENAME_BYTES ((size_t)32 << 10) /* names gone and come that are compared in one folder */

/* ---- merge.c ---- */
struct merge_level { bool old; uint64_t gone; struct sm_buf gone_names, new_names; };
struct merge {
    struct run *run;
    struct merge_level level[SCAN_DEPTH_MAX + 3];
    size_t depth;                    /* 0: the roots */
};
/* The old record of this name on the present level (ENTRY or ENTER), or NULL; smaller names are counted as deleted. */
const struct tree_record *merge_find(struct merge *m, struct sm_span name);
/* The record that merge_find gave was dealt with.  gone: it was another kind, so it counts as deleted. */
void merge_done(struct merge *m, bool gone);
/* Into a folder: does the last generation have it too? */
void merge_enter(struct merge *m, struct sm_span name);
/* Out of it: the rest of it is deleted.  *ret is its old LEAVE record (borrowed until merge_left), or NULL.
 * Returns how many entries were deleted directly in it. */
uint64_t merge_leave(struct merge *m, const struct tree_record **ret);
void merge_left(struct merge *m);
/* A new name on the present level, for finding renames. */
void merge_new(struct merge *m, uint64_t id, struct sm_span name);
void merge_wipe(struct merge *m);

/* ---- content.c ---- */
struct shared { bool open; uint32_t uid; bool plain, fresh; uint64_t group; struct block *block; size_t n; };
struct content {
    struct run *run;
    struct block *block;             /* being filled */
    size_t used;                     /* of it: cut already */
    size_t filled;
    struct shared shared[SHARED_OPEN];
    uint64_t groups;                 /* numbers given so far */
    unsigned waiting;                /* events since a shared chunk was opened */
    bool fresh;                      /* the file being read is new; set by the caller of content_read */
};
/* What reading a file found out. */
/* data: bytes that were really read, holes left out. */
struct content_result { uint64_t size, data, group, offset, sum; bool member, random; uint8_t class; };
/* Read fd (or FD_REMOTE) whole and push its chunks, or its place in a shared chunk (then the caller pushes EV_MEMBER).
 * -ECANCELED when the pipe failed, -SM_ECANCEL, or -errno of reading: nothing of it is used then. */
sm_must_use int content_read(struct content *c, int fd, const struct scan_entry *e, const struct plat_meta *m,
    bool canary, struct content_result *ret);
/* Push the shared chunks that are open. */
sm_must_use int content_close_shared(struct content *c);
/* One event was pushed for the present folder. */
sm_must_use int content_count(struct content *c);
void content_wipe(struct content *c);

#endif
